"""Options of the engines' commands as published, for the tests that parse a recipe as its engine would.

Read on 2026-11-25: vLLM 0.33.0 engine/arg_utils.py and config; SGLang 0.5.23 srt/arg_groups/fields and choices; TensorRT-LLM
commands/serve.py; llama.cpp tools/server/README.md. Only options that a recipe might write are listed, with their types.
"""

from __future__ import annotations

import argparse
import json
from typing import NoReturn

Flag = dict[str, object]
WHOLE: Flag = {"type": int}
SHARE: Flag = {"type": float}
TEXT: Flag = {"type": str}
SWITCH: Flag = {"action": "store_true"}
DTYPES: Flag = {"choices": ["auto", "half", "float16", "bfloat16", "float", "float32"]}
LLAMA_CACHE: Flag = {"choices": ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"]}

VLLM: dict[str, Flag] = {
    "--host": TEXT,
    "--port": WHOLE,
    "--tokenizer": TEXT,
    "--dtype": {"choices": ["auto", "half", "float16", "bfloat16", "float", "float32"]},
    "--max-model-len": WHOLE,
    "--quantization": {
        "choices": ["awq", "auto_awq", "fp8", "modelopt", "modelopt_fp4", "modelopt_mxfp8", "modelopt_mixed", "auto_gptq",
                    "gptq", "gptq_marlin", "awq_marlin", "humming", "compressed-tensors", "experts_int8", "quark", "moe_wna16",
                    "torchao", "inc", "mxfp4", "gpt_oss_mxfp4", "deepseek_v4_fp8", "online", "fp8_per_tensor", "fp8_per_block",
                    "fp8_per_channel", "int8_per_channel_weight_only", "nvfp4_per_token", "mxfp8"]
    },
    "--tensor-parallel-size": WHOLE,
    "--pipeline-parallel-size": WHOLE,
    "--data-parallel-size": WHOLE,
    "--enable-expert-parallel": {"action": argparse.BooleanOptionalAction},
    "--max-num-seqs": WHOLE,
    "--max-num-batched-tokens": WHOLE,
    "--gpu-memory-utilization": SHARE,
    "--kv-cache-dtype": {
        "choices": ["auto", "float16", "bfloat16", "fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc", "int4_per_token_head",
                    "int8_per_token_head", "fp8_per_token_head", "nvfp4", "nvfp4_4over6"]
    },
    "--enable-prefix-caching": {"action": argparse.BooleanOptionalAction},
    "--kv-offloading-size": SHARE,
    "--kv-offloading-backend": {"choices": ["native", "lmcache"]},
    "--enable-lora": {"action": argparse.BooleanOptionalAction},
    "--max-loras": WHOLE,
    "--max-lora-rank": {"type": int, "choices": [1, 8, 16, 32, 64, 128, 256, 320, 512]},
    "--speculative-config": {"type": json.loads},
}  # fmt: skip

SGLANG: dict[str, Flag] = {
    "--model-path": TEXT,
    "--tokenizer-path": TEXT,
    "--host": TEXT,
    "--port": WHOLE,
    "--tp-size": WHOLE,
    "--pp-size": WHOLE,
    "--attn-dp-size": WHOLE,
    "--ep-size": WHOLE,
    "--context-length": WHOLE,
    "--max-running-requests": WHOLE,
    "--chunked-prefill-size": WHOLE,
    "--mem-fraction-static": SHARE,
    "--enable-metrics": SWITCH,
    "--dtype": DTYPES,
    "--quantization": {
        "choices": ["awq", "fp8", "mxfp8", "gptq", "gptq_marlin", "awq_marlin", "bitsandbytes", "gguf", "modelopt",
                    "modelopt_fp8", "modelopt_fp4", "nvfp4_online", "w8a8_int8", "w8a8_fp8", "mxfp4", "compressed-tensors"]
    },
    "--kv-cache-dtype": {
        "choices": ["auto", "fp8_e5m2", "fp8_e4m3", "mxfp8", "bf16", "bfloat16", "nvfp4", "fp4_mx_block16"]
    },
    "--enable-hierarchical-cache": SWITCH,
    "--hicache-size": WHOLE,
    "--enable-lora": SWITCH,
    "--max-loras-per-batch": WHOLE,
    "--max-lora-rank": WHOLE,
    "--speculative-algorithm": {"choices": ["EAGLE", "EAGLE3", "NEXTN", "STANDALONE", "NGRAM", "DFLASH", "DSPARK", "UNO"]},
    "--speculative-draft-model-path": TEXT,
    "--speculative-num-steps": WHOLE,
    "--speculative-eagle-topk": WHOLE,
    "--speculative-num-draft-tokens": WHOLE,
}  # fmt: skip

TENSORRT_LLM: dict[str, Flag] = {
    "--host": TEXT,
    "--port": WHOLE,
    "--backend": {"choices": ["pytorch", "tensorrt", "_autodeploy", "trt"]},
    "--tp_size": WHOLE,
    "--pp_size": WHOLE,
    "--ep_size": WHOLE,
    "--max_batch_size": WHOLE,
    "--max_num_tokens": WHOLE,
    "--max_seq_len": WHOLE,
    "--kv_cache_free_gpu_memory_fraction": SHARE,
    "--enable_chunked_prefill": SWITCH,
    "--config": TEXT,
}

LLAMA_CPP: dict[str, Flag] = {
    "--model": TEXT,
    "--host": TEXT,
    "--port": WHOLE,
    "--n-gpu-layers": TEXT,
    "--parallel": WHOLE,
    "--ctx-size": WHOLE,
    "--batch-size": WHOLE,
    "--split-mode": {"choices": ["none", "layer", "row", "tensor"]},
    "--cache-type-k": LLAMA_CACHE,
    "--cache-type-v": LLAMA_CACHE,
    "--flash-attn": {"choices": ["on", "off", "auto"]},
    "--metrics": SWITCH,
    "--model-draft": TEXT,
    "--draft-max": WHOLE,
}

PROGRAMS: dict[str, tuple[list[str], dict[str, Flag], bool]] = {
    "vllm": (["vllm", "serve"], VLLM, True),
    "sglang": (["python", "-m", "sglang.launch_server"], SGLANG, False),
    "tensorrt_llm": (["trtllm-serve"], TENSORRT_LLM, True),
    "llama_cpp": (["llama-server"], LLAMA_CPP, False),
}
"""Start of each engine's command, its options, and whether the model stands as an argument of its own."""


class _Strict(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise AssertionError(message)


def parsed(engine: str, words: list[str]) -> argparse.Namespace:
    """The words of a command as the engine's parser reads them; an AssertionError where it would refuse them."""
    program, flags, positional = PROGRAMS[engine]
    assert words[: len(program)] == program
    parser = _Strict(allow_abbrev=False, add_help=False)
    if positional:
        parser.add_argument("model")
    for flag, options in flags.items():
        parser.add_argument(flag, **options)  # type: ignore[arg-type]
    return parser.parse_args(words[len(program) :])
