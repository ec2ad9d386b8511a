"""The commands of the recipes parse with the options their engines publish, and say what the plan says."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from published_flags import parsed

from sizing import catalog as catalogs
from sizing.errors import InputError
from sizing.plan import Deployment
from sizing.planner import plan
from sizing.recipes import Recipe, recipes
from sizing.recipes.llm_point import llm_point
from sizing.scenario import LlmScenario

CATALOG = catalogs.load()


def made(**fields: Any) -> tuple[LlmScenario, Deployment, dict[str, Recipe]]:
    scenario = LlmScenario(**fields)
    found = plan(scenario, CATALOG)
    assert found.recommended is not None
    return scenario, found.recommended, {r.key: r for r in recipes(scenario, CATALOG, found)}


def options(engine: str, **fields: Any) -> tuple[Any, Deployment, dict[str, Recipe]]:
    _, best, found = made(runtime=engine, **fields)
    return parsed(engine, shlex.split(found[engine].text.replace("\\\n", " "))), best, found


def test_vllm_gets_the_split_the_batch_and_the_room_of_the_plan() -> None:
    got, best, found = options("vllm", model="llama-2-70b-hf", weight_format="fp8", kv_format="fp8", batch=24)
    assert best.parallelism is not None
    assert got.model == "meta-llama/Llama-2-70b-hf"
    assert (got.tensor_parallel_size, got.pipeline_parallel_size) == (best.parallelism.tp, best.parallelism.pp)
    assert (got.max_num_seqs, got.max_num_batched_tokens, got.gpu_memory_utilization) == (24, 8192, 0.9)
    assert (got.quantization, got.kv_cache_dtype) == ("fp8", "fp8")
    assert got.max_model_len == 1280  # 1,250 tokens, in steps of 256
    assert f"Start {best.replicas} of them" in found["vllm"].how or best.replicas == 1


def test_levers_of_the_scenario_stand_in_the_command() -> None:
    got, _, _ = options(
        "vllm", lora_adapters=3, lora_rank=24, draft_model="llama-3.2-1b", drafted_tokens=4, shared_prefix_tokens=200,
        kv_offload_gib=12.5,
    )  # fmt: skip
    assert (got.enable_lora, got.max_loras, got.max_lora_rank) == (True, 3, 32)
    assert got.speculative_config == {
        "method": "draft_model", "model": CATALOG.llm_model("llama-3.2-1b").hf_id, "num_speculative_tokens": 4,
    }  # fmt: skip
    assert (got.enable_prefix_caching, got.kv_offloading_size) == (True, 12.5)
    plain, _, _ = options("vllm")
    assert plain.enable_prefix_caching is None
    assert plain.speculative_config is None


def test_attention_data_parallel_counts_its_accelerators_once_in_each_engine() -> None:
    fields = {"model": "deepseek-v3", "attention_data_parallel": 8, "expert_parallel": True, "tensor_parallel": 1}
    vllm, best, _ = options("vllm", **fields)
    assert best.accelerators_per_replica == 8
    assert vllm.tensor_parallel_size * vllm.pipeline_parallel_size * vllm.data_parallel_size == 8
    assert vllm.enable_expert_parallel is True
    assert vllm.max_num_seqs == -(-(best.batch or 0) // 8)
    sglang, best, _ = options("sglang", **fields)
    assert (sglang.tp_size, sglang.attn_dp_size, sglang.ep_size) == (8, 8, 8)
    assert sglang.max_running_requests == best.batch
    tensorrt, _, found = options("tensorrt_llm", **fields)
    assert (tensorrt.tp_size, tensorrt.ep_size) == (8, 8)
    assert yaml.safe_load(found["tensorrt_llm_settings"].text)["enable_attention_dp"] is True


def test_a_static_share_leaves_out_what_comes_and_goes() -> None:
    scenario, best, _ = made(runtime="sglang")
    memory = best.memory_per_accelerator
    assert memory is not None
    beside = sum(memory.parts[name] for name in memory.parts if name not in ("weights", "kv_cache"))
    share = llm_point(scenario, CATALOG, best).static_share
    assert share <= 0.9 - beside / memory.capacity_bytes < share + 0.01


def test_what_the_cache_takes_of_free_memory_gives_the_budget_of_the_plan() -> None:
    scenario, best, _ = made(runtime="tensorrt_llm")
    memory = best.memory_per_accelerator
    assert memory is not None
    free = memory.capacity_bytes - sum(size for name, size in memory.parts.items() if name != "kv_cache")
    budget = float(best.extra["kv_budget_bytes"] or 0)
    share = llm_point(scenario, CATALOG, best).free_share
    assert share * free <= budget < (share + 0.01) * free


@pytest.mark.parametrize("form", ["int8", "int4", "nvfp4"])
def test_a_format_that_needs_a_quantised_checkpoint_says_so(form: str) -> None:
    _, _, found = made(weight_format=form)
    assert f"FILL_IN_{form.upper()}_CHECKPOINT" in found["vllm"].text
    assert any("quantised" in note and "meta-llama/Llama-3.1-8B" in note for note in found["vllm"].notes)


def test_llama_cpp_has_room_for_every_slot() -> None:
    got, best, _ = options("llama_cpp", weight_format="gguf_q4_k_m", kv_format="int8", requests_per_s=0.2)
    assert got.ctx_size == got.parallel * 1280
    assert got.parallel == best.batch
    assert got.model.endswith("Q4_K_M.gguf")
    assert (got.cache_type_k, got.cache_type_v) == ("q8_0", "q8_0")


@settings(max_examples=40, deadline=None)
@given(
    engine=st.sampled_from(["vllm", "sglang", "tensorrt_llm", "llama_cpp"]),
    model=st.sampled_from(["llama-3.1-8b", "llama-2-70b-hf", "deepseek-v3", "gpt2"]),
    weights=st.sampled_from(["native", "bf16", "fp16", "fp8", "int8", "int4", "nvfp4", "gguf_q4_k_m"]),
    kv=st.sampled_from(["bf16", "fp16", "fp8", "int8", "fp4"]),
    prompt=st.integers(1, 900),
    adapters=st.integers(0, 3),
    drafts=st.sampled_from([None, "mtp", "llama-3.2-1b"]),
)
def test_the_command_of_any_plan_parses(
    engine: str, model: str, weights: str, kv: str, prompt: int, adapters: int, drafts: str | None
) -> None:
    scenario = LlmScenario(
        runtime=engine, model=model, weight_format=weights, kv_format=kv, prompt_tokens=prompt, output_tokens=50,
        lora_adapters=adapters, draft_model=drafts, requests_per_s=0.1, ttft_target_ms=None, tpot_target_ms=None,
    )  # fmt: skip
    try:
        found = plan(scenario, CATALOG)
    except InputError:
        return  # a format or draft that this model or engine does not have
    for recipe in recipes(scenario, CATALOG, found):
        if recipe.key == engine:
            got = parsed(engine, shlex.split(recipe.text.replace("\\\n", " ")))
            longest = getattr(got, "max_model_len", None) or getattr(got, "context_length", None)
            limit = CATALOG.llm_model(model).context_length
            assert longest is None or limit is None or longest <= limit
        if recipe.language == "yaml":
            assert all(isinstance(part, dict) for part in yaml.safe_load_all(recipe.text))


def test_no_recommendation_has_no_recipes() -> None:
    scenario = LlmScenario(model="deepseek-v3", max_usd_per_month=1.0)
    assert recipes(scenario, CATALOG, plan(scenario, CATALOG)) == ()
