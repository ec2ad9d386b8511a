"""Commands that start the engine of a planned language model, with the flags the plan implies.

Flags as published: vLLM 0.33.0 (engine/arg_utils.py), SGLang 0.5.23 (srt/arg_groups/fields), TensorRT-LLM
(commands/serve.py, 2026), llama.cpp (tools/server/README.md, 2026); read 2026-11-25.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from math import ceil
from typing import Any

from sizing.recipes.llm_point import LlmPoint
from sizing.recipes.recipe import Recipe, as_yaml, command

PORT = 8000
LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks of adapters that vLLM takes."""

DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
VLLM_KV = {"fp8": "fp8", "int8": "int8_per_token_head", "fp4": "nvfp4"}
SGLANG_KV = {"fp8": "fp8_e4m3", "fp4": "nvfp4"}
TENSORRT_KV = {"fp8": "fp8", "fp4": "nvfp4"}
LLAMA_KV = {"bf16": "bf16", "fp16": "f16", "int8": "q8_0", "fp4": "q4_0"}
TENSORRT_FILE = "trtllm.yaml"
Option = tuple[str, ...]


def engine_recipes(point: LlmPoint) -> tuple[Recipe, ...]:
    """The command of the scenario's engine, with the file it reads beside it where it reads one."""
    make: dict[str, Callable[[LlmPoint], tuple[Recipe, ...]]] = {
        "vllm": _vllm,
        "sglang": _sglang,
        "tensorrt_llm": _tensorrt_llm,
        "llama_cpp": _llama_cpp,
    }
    return make[point.scenario.runtime](point)


def engine_arguments(point: LlmPoint) -> list[str]:
    """Program and arguments of the engine, as a container takes them."""
    return shlex.split(engine_recipes(point)[0].text.removeprefix("#!/bin/sh\n").replace("\\\n", " "))


def vllm_options(point: LlmPoint) -> list[Option]:
    """Options of `vllm serve` [flag, value]."""
    scenario = point.scenario
    options: list[Option] = [
        ("--port", str(PORT)),
        ("--tensor-parallel-size", str(point.tp)),
        ("--pipeline-parallel-size", str(point.pp)),
    ]
    if point.data > 1:
        options.append(("--data-parallel-size", str(point.data)))
    if point.expert_parallel:
        options.append(("--enable-expert-parallel",))
    options += [
        ("--max-model-len", str(point.context_tokens)),
        ("--max-num-seqs", str(ceil(point.requests / point.data))),
        ("--max-num-batched-tokens", str(point.tokens_per_step)),
        ("--gpu-memory-utilization", f"{point.memory_share:g}"),
    ]
    if scenario.weight_format in DTYPES:
        options.append(("--dtype", DTYPES[scenario.weight_format]))
    if scenario.weight_format == "fp8":
        options.append(("--quantization", "fp8"))
    if scenario.weight_format.startswith("gguf_"):
        options.append(("--tokenizer", point.published))
    if scenario.kv_format in VLLM_KV:
        options.append(("--kv-cache-dtype", VLLM_KV[scenario.kv_format]))
    if _shares_prefixes(point):
        options.append(("--enable-prefix-caching",))
    if scenario.kv_offload_gib:
        options += [("--kv-offloading-size", f"{scenario.kv_offload_gib:g}"), ("--kv-offloading-backend", "native")]
    if scenario.lora_adapters:
        rank = next(r for r in LORA_RANKS if r >= scenario.lora_rank)
        options += [("--enable-lora",), ("--max-loras", str(scenario.lora_adapters)), ("--max-lora-rank", str(rank))]
    if scenario.draft_model is not None:
        drafts: dict[str, Any] = (
            {"method": "mtp"} if point.own_draft else {"method": "draft_model", "model": point.draft}
        )
        drafts["num_speculative_tokens"] = scenario.drafted_tokens
        options.append(("--speculative-config", json.dumps(drafts)))
    return options


def _vllm(point: LlmPoint) -> tuple[Recipe, ...]:
    scenario = point.scenario
    notes = [*point.notes, _lengths(point)]
    if scenario.kv_format == "int8":
        notes.append("int8 KV is kept with a scale for each token and head, as this version of vLLM names it.")
    if scenario.lora_adapters:
        notes.append("Name the adapters with --lora-modules NAME=PATH; they are not part of a plan.")
    return (
        Recipe(
            "vllm",
            "vLLM",
            "serve.sh",
            "bash",
            command(f"vllm serve {shlex.quote(point.model)}", vllm_options(point)) + "\n",
            _how(point, "vLLM", "0.33.0"),
            tuple(notes),
        ),
    )


def _sglang(point: LlmPoint) -> tuple[Recipe, ...]:
    scenario = point.scenario
    options: list[Option] = [
        ("--model-path", point.model),
        ("--host", "0.0.0.0"),
        ("--port", str(PORT)),
        ("--tp-size", str(point.tp * point.data)),
        ("--pp-size", str(point.pp)),
    ]
    if point.data > 1:
        options.append(("--attn-dp-size", str(point.data)))
    if point.expert_parallel:
        options.append(("--ep-size", str(point.tp * point.data)))
    options += [
        ("--context-length", str(point.context_tokens)),
        ("--max-running-requests", str(point.requests)),
        ("--chunked-prefill-size", str(point.tokens_per_step)),
        ("--mem-fraction-static", f"{point.static_share:g}"),
        ("--enable-metrics",),
    ]
    if scenario.weight_format in DTYPES:
        options.append(("--dtype", DTYPES[scenario.weight_format]))
    if scenario.weight_format == "fp8":
        options.append(("--quantization", "fp8"))
    if scenario.weight_format.startswith("gguf_"):
        options += [("--quantization", "gguf"), ("--tokenizer-path", point.published)]
    if scenario.kv_format in SGLANG_KV:
        options.append(("--kv-cache-dtype", SGLANG_KV[scenario.kv_format]))
    if scenario.kv_offload_gib:
        gigabytes = ceil(scenario.kv_offload_gib * 2**30 / 1e9)
        options += [("--enable-hierarchical-cache",), ("--hicache-size", str(gigabytes))]
    if scenario.lora_adapters:
        options += [
            ("--enable-lora",),
            ("--max-loras-per-batch", str(scenario.lora_adapters)),
            ("--max-lora-rank", str(scenario.lora_rank)),
        ]
    if scenario.draft_model is not None:
        options.append(("--speculative-algorithm", "NEXTN" if point.own_draft else "STANDALONE"))
        if point.draft is not None:
            options.append(("--speculative-draft-model-path", point.draft))
        options += [
            ("--speculative-num-steps", str(scenario.drafted_tokens)),
            ("--speculative-eagle-topk", "1"),
            ("--speculative-num-draft-tokens", str(scenario.drafted_tokens + 1)),
        ]
    notes = [
        *point.notes,
        _lengths(point),
        f"SGLang counts {point.static_share:.0%} for weights and cache: the {point.memory_share:.0%} of the plan less what "
        "comes and goes beside them.",
    ]
    if point.data > 1:
        notes.append("Versions before --attn-dp-size take --enable-dp-attention --dp-size for it.")
    if scenario.kv_format == "int8":
        notes.append(
            "This version of SGLang has no int8 KV cache: the command keeps its default, which needs twice the room."
        )
    if scenario.lora_adapters:
        notes.append("Name the adapters with --lora-paths NAME=PATH; they are not part of a plan.")
    return (
        Recipe(
            "sglang",
            "SGLang",
            "serve.sh",
            "bash",
            command("python -m sglang.launch_server", options) + "\n",
            _how(point, "SGLang", "0.5.23"),
            tuple(notes),
        ),
    )


def _tensorrt_llm(point: LlmPoint) -> tuple[Recipe, ...]:
    scenario = point.scenario
    settings: dict[str, Any] = {"kv_cache_config": {"enable_block_reuse": _shares_prefixes(point)}}
    if scenario.kv_format in TENSORRT_KV:
        settings["kv_cache_config"]["dtype"] = TENSORRT_KV[scenario.kv_format]
    if scenario.kv_offload_gib:
        settings["kv_cache_config"]["host_cache_size"] = int(scenario.kv_offload_gib * 2**30)
    if point.data > 1:
        settings["enable_attention_dp"] = True
    if scenario.draft_model is not None:
        drafts: dict[str, Any] = {"decoding_type": "MTP", "num_nextn_predict_layers": scenario.drafted_tokens}
        if point.draft is not None:
            drafts = {
                "decoding_type": "DraftTarget",
                "max_draft_len": scenario.drafted_tokens,
                "speculative_model_dir": point.draft,
            }
        settings["speculative_config"] = drafts
    if scenario.lora_adapters:
        settings["lora_config"] = {"max_lora_rank": scenario.lora_rank, "max_loras": scenario.lora_adapters}
    ranks = point.tp * point.data
    options: list[Option] = [
        ("--host", "0.0.0.0"),
        ("--port", str(PORT)),
        ("--backend", "pytorch"),
        ("--tp_size", str(ranks)),
        ("--pp_size", str(point.pp)),
    ]
    if point.expert_parallel:
        options.append(("--ep_size", str(ranks)))
    options += [
        ("--max_batch_size", str(ceil(point.requests / point.data))),
        ("--max_num_tokens", str(point.tokens_per_step)),
        ("--max_seq_len", str(point.context_tokens)),
        ("--kv_cache_free_gpu_memory_fraction", f"{point.free_share:g}"),
        ("--enable_chunked_prefill",),
        ("--config", TENSORRT_FILE),
    ]
    notes = [
        *point.notes,
        _lengths(point),
        f"The cache takes {point.free_share:.0%} of what the weights leave free, which is the plan's budget.",
    ]
    if scenario.weight_format in DTYPES and scenario.weight_format != "bf16":
        notes.append(
            f"TensorRT-LLM takes the weights' format from the checkpoint: use one in {scenario.weight_format}."
        )
    if scenario.kv_format == "int8":
        notes.append(
            "The PyTorch backend has no int8 KV cache: the command keeps its default, which needs twice the room."
        )
    return (
        Recipe(
            "tensorrt_llm",
            "TensorRT-LLM",
            "serve.sh",
            "bash",
            command(f"trtllm-serve {shlex.quote(point.model)}", options) + "\n",
            _how(point, "TensorRT-LLM", "1.x"),
            tuple(notes),
        ),
        Recipe(
            "tensorrt_llm_settings",
            "TensorRT-LLM settings",
            TENSORRT_FILE,
            "yaml",
            as_yaml(settings),
            "The file that the command above reads; put it beside.",
        ),
    )


def _llama_cpp(point: LlmPoint) -> tuple[Recipe, ...]:
    scenario = point.scenario
    model = point.model if point.model.endswith(".gguf") else f"{point.model.rsplit('/', 1)[-1]}.gguf"
    options: list[Option] = [
        ("--model", model),
        ("--host", "0.0.0.0"),
        ("--port", str(PORT)),
        ("--n-gpu-layers", "all"),
        ("--parallel", str(point.requests)),
        ("--ctx-size", str(point.context_tokens * point.requests)),
        ("--batch-size", str(point.tokens_per_step)),
    ]
    if point.accelerators > 1:
        options.append(("--split-mode", "row" if point.tp > 1 else "layer"))
    if scenario.kv_format in LLAMA_KV:
        kind = LLAMA_KV[scenario.kv_format]
        options += [("--cache-type-k", kind), ("--cache-type-v", kind)]
    options += [("--flash-attn", "on"), ("--metrics",)]
    if point.draft is not None:
        options += [
            ("--model-draft", f"{point.draft.rsplit('/', 1)[-1]}.gguf"),
            ("--draft-max", str(scenario.drafted_tokens)),
        ]
    notes = [*point.notes, _lengths(point)]
    if not point.model.endswith(".gguf"):
        notes.append(f"llama.cpp loads GGUF files: convert {point.published} first, in the format of the plan.")
    if scenario.kv_format == "fp8":
        notes.append("llama.cpp has no fp8 KV cache: the command keeps its default of f16, which needs twice the room.")
    return (
        Recipe(
            "llama_cpp",
            "llama.cpp",
            "serve.sh",
            "bash",
            command("llama-server", options) + "\n",
            _how(point, "llama.cpp", "2026"),
            tuple(notes),
        ),
    )


def _shares_prefixes(point: LlmPoint) -> bool:
    scenario = point.scenario
    return bool(scenario.shared_prefix_tokens or scenario.prefix_cache_tokens or scenario.turns_per_conversation > 1)


def _how(point: LlmPoint, engine: str, version: str) -> str:
    d = point.deployment
    each = f"{point.accelerators} × {d.accelerator_name}" if point.accelerators > 1 else f"one {d.accelerator_name}"
    many = "" if d.replicas == 1 else f" Start {d.replicas} of them behind a load balancer."
    return f"Starts one replica on {each}; flags as {engine} {version} has them.{many}"


def _lengths(point: LlmPoint) -> str:
    return (
        f"Requests of more than {point.context_tokens:,} tokens, prompt and reply together, are refused: raise that limit if "
        "yours can be longer, and the plan's lengths with it."
    )
