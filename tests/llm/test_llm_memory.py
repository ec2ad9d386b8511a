"""Memory of language models: published counts, KV bytes per layer kind, sharding, and the faults of other planners."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.catalog import load
from sizing.errors import InputError
from sizing.llm import parameters
from sizing.llm.memory import (
    activation_bytes,
    fits,
    kv_bytes_per_token,
    kv_layout,
    max_concurrent_sequences,
    memory_parts,
    padded_vocabulary,
    rank_memory,
    weights_bytes_per_rank,
    weights_of,
)
from sizing.units import GIB

CATALOG = load()
H100 = CATALOG.accelerator("h100-sxm-80gb").capacity_bytes
KNOWN = [m.id for m in CATALOG.llm_models.values() if m.params_total and m.kv_elems_per_token_full is not None]


def rank(model: str, *, tp: int = 1, pp: int = 1, weights: str = "native", capacity: int = H100):
    return rank_memory(
        CATALOG.llm_model(model),
        weight_format=weights,
        runtime="vllm",
        tensor_parallel=tp,
        pipeline_parallel=pp,
        max_batched_tokens=8192,
        capacity_bytes=capacity,
    )


@pytest.mark.parametrize(
    ("model", "count"),
    [
        ("llama-2-7b-hf", 6_738_415_616),
        ("llama-2-13b-hf", 13_015_864_320),
        ("llama-2-70b-hf", 68_976_648_192),
        ("gpt-3-175b-paper", 174_604_259_328),
        ("llama-3.1-8b", 8_030_261_248),
        ("mixtral-8x7b-v0.1", 46_702_792_704),
        ("deepseek-v3", 671_026_404_352),
    ],
)
def test_parameter_counts_are_exact(model: str, count: int) -> None:
    assert parameters.parameter_count(CATALOG.llm_model(model)) == count


def test_formula_agrees_with_every_counted_row() -> None:
    assert parameters.checked_count(CATALOG) == 96
    assert parameters.check(CATALOG) == []


def test_check_reports_a_wrong_row() -> None:
    row = CATALOG.llm_model("llama-2-7b-hf")
    wrong = row.model_copy(update={"params_total": row.params_total + 1})
    broken = type(CATALOG)(**{**CATALOG.__dict__, "llm_models": {wrong.id: wrong}})
    assert len(parameters.check(broken)) == 1


@pytest.mark.parametrize("model", KNOWN)
def test_groups_sum_to_the_catalog_total(model: str) -> None:
    row = CATALOG.llm_model(model)
    groups = parameters.parameter_groups(row)
    assert groups.total == row.params_total
    assert min(groups.named().values()) >= 0
    if row.params_expert_total:
        assert groups.experts == row.params_expert_total


@pytest.mark.parametrize(
    ("model", "gigabytes"),
    [("llama-2-7b-hf", 13.5), ("llama-2-13b-hf", 26.0), ("llama-2-70b-hf", 138.0), ("gpt-3-175b-paper", 349.2)],
)
def test_weights_in_fp16(model: str, gigabytes: float) -> None:
    assert weights_bytes_per_rank(CATALOG.llm_model(model), weight_format="fp16") / 1e9 == pytest.approx(
        gigabytes, abs=0.06
    )


@pytest.mark.parametrize(
    ("model", "bytes_"),
    [
        ("llama-2-7b-hf", 524_288),
        ("llama-2-13b-hf", 819_200),
        ("llama-2-70b-hf", 327_680),
        ("llama-3.1-8b", 131_072),
        ("deepseek-v3", 70_272),
    ],
)
def test_kv_bytes_of_a_token(model: str, bytes_: int) -> None:
    assert kv_bytes_per_token(CATALOG.llm_model(model), "fp16") == bytes_


@pytest.mark.parametrize(
    ("model", "tp", "weights", "measured_gib"),
    [
        ("llama-3.3-70b-instruct", 4, "bf16", 32.89),
        ("llama-3.3-70b-instruct", 4, "fp8", 16.96),
        ("deepseek-r1", 8, "native", 79.74),
    ],
)
def test_weights_of_a_rank_against_start_up_logs(model: str, tp: int, weights: str, measured_gib: float) -> None:
    """Figures of public vLLM 0.11 to 0.19 start-up logs on H200."""
    assert rank(model, tp=tp, weights=weights).weights_bytes / GIB == pytest.approx(measured_gib, rel=0.01)


@pytest.mark.parametrize(
    ("model", "tp", "weights", "low_gib", "high_gib", "off"),
    [
        ("llama-3.3-70b-instruct", 4, "bf16", 90.2, 91.6, 0.02),
        ("llama-3.3-70b-instruct", 4, "fp8", 105.9, 109.1, 0.02),
        ("deepseek-r1", 8, "native", 41.4, 43.1, 0.08),
    ],
)
def test_kv_budget_against_start_up_logs(
    model: str, tp: int, weights: str, low_gib: float, high_gib: float, off: float
) -> None:
    """Range of public vLLM logs on H200 at utilization 0.92, and how far outside it the estimate may lie."""
    capacity = CATALOG.accelerator("h200-sxm-141gb").capacity_bytes
    budget = rank(model, tp=tp, weights=weights, capacity=capacity).kv_budget_bytes(
        capacity_bytes=capacity, gpu_memory_utilization=0.92
    )
    assert low_gib * (1 - off) <= budget / GIB <= high_gib * (1 + off)


@pytest.mark.parametrize("tp", [1, 2])
def test_seventy_billion_in_fp16_fits_two_parts_not_one(tp: int) -> None:
    held = rank("llama-2-70b-hf", tp=tp, weights="fp16")
    assert fits(held, capacity_bytes=H100, gpu_memory_utilization=0.9, context_tokens=4096, kv_format="fp16") == (
        tp == 2
    )


def test_latent_cache_is_copied_to_every_rank() -> None:
    """Planners that divide it by tp show 1,770 requests of 4k on 16 x 80 GB; with the copies it is about 110."""
    row = CATALOG.llm_model("deepseek-v3")
    one, sixteen = (kv_layout(row, tensor_parallel=n, pipeline_parallel=1) for n in (1, 16))
    assert one == sixteen
    held = max_concurrent_sequences(
        rank("deepseek-v3", tp=16),
        capacity_bytes=H100,
        gpu_memory_utilization=0.9,
        context_tokens=4096,
        kv_format="bf16",
    )
    assert 90 <= held <= 125


@pytest.mark.parametrize(
    ("model", "context", "overcount"),
    [
        ("gemma-3-27b-it", 4096, 2.70),
        ("gemma-3-27b-it", 131072, 5.96),
        ("gpt-oss-120b", 4096, 1.94),
        ("qwen3-next-80b-a3b-instruct", 4096, 4.0),
    ],
)
def test_sliding_and_linear_layers_are_not_counted_as_full(model: str, context: int, overcount: float) -> None:
    row = CATALOG.llm_model(model)
    layout = kv_layout(row, tensor_parallel=1, pipeline_parallel=1)
    cache = layout.bytes_per_sequence(context_tokens=context, kv_format="bf16") - layout.state_elements * 4
    as_full = row.layers * 2 * row.kv_heads * row.head_dim * 2 * context
    assert as_full / cache == pytest.approx(overcount, rel=0.005)


def test_state_does_not_grow_with_context() -> None:
    layout = kv_layout(CATALOG.llm_model("mamba2-2.7b"), tensor_parallel=1, pipeline_parallel=1)
    sizes = {layout.bytes_per_sequence(context_tokens=n, kv_format="bf16") for n in (16, 4096, 131072)}
    assert sizes == {42_975_232 * 4}


def test_kv_heads_are_copied_beyond_their_number() -> None:
    row = CATALOG.llm_model("llama-2-70b-hf")  # 64 heads, 8 KV heads
    per_rank = [kv_layout(row, tensor_parallel=n, pipeline_parallel=1).full_elements_per_token for n in (1, 8, 16)]
    assert per_rank == [163_840, 20_480, 20_480]


def test_sequences_fill_whole_blocks() -> None:
    layout = kv_layout(CATALOG.llm_model("llama-2-7b-hf"), tensor_parallel=1, pipeline_parallel=1)
    assert layout.bytes_per_sequence(context_tokens=17, kv_format="fp16") == 32 * 524_288
    assert layout.bytes_per_sequence(context_tokens=16, kv_format="fp8") == 16 * 262_144


def test_vocabulary_is_padded_for_every_rank() -> None:
    assert padded_vocabulary(50257, 1) == 50304
    assert padded_vocabulary(32000, 8) == 32256


def test_what_is_not_known_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="kimi-k3"):
        weights_of(CATALOG.llm_model("kimi-k3"), "bf16")
    with pytest.raises(InputError, match="KV cache is known"):
        weights_of(CATALOG.llm_model("deepseek-v4-pro"), "native")


def test_experts_in_four_bit_floats() -> None:
    row = CATALOG.llm_model("gpt-oss-120b")
    groups = parameters.parameter_groups(row)
    expected = groups.experts * 4.25 / 8 + (groups.total - groups.experts) * 2
    assert weights_bytes_per_rank(row, weight_format="native") == pytest.approx(expected, rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    model=st.sampled_from(KNOWN),
    context=st.integers(1, 20_000),
    more=st.integers(0, 20_000),
    batch=st.integers(0, 64),
    tp=st.sampled_from([1, 2, 4, 8]),
    pp=st.sampled_from([1, 2, 4]),
    weights=st.sampled_from(["fp32", "bf16", "fp8", "int4"]),
)
def test_memory_properties(model: str, context: int, more: int, batch: int, tp: int, pp: int, weights: str) -> None:
    base = rank(model, tp=tp, pp=pp, weights=weights)

    def used(sequences: int, tokens: int) -> int:
        memory = memory_parts(base, sequences=sequences, context_tokens=tokens, kv_format="bf16", capacity_bytes=H100)
        assert sum(memory.parts.values()) == memory.used_bytes
        assert min(memory.parts.values()) >= 0
        return memory.used_bytes

    assert used(batch, context + more) >= used(batch, context)
    assert used(batch + 1, context) >= used(batch, context)
    whole = rank(model, weights=weights)
    assert base.weights_bytes * tp * pp >= whole.weights_bytes * 0.999
    assert base.weights_bytes <= whole.weights_bytes * 1.001 + 64 * tp * CATALOG.llm_model(model).hidden * 8
    one = whole.kv.bytes_per_sequence(context_tokens=context, kv_format="bf16")
    assert base.kv.bytes_per_sequence(context_tokens=context, kv_format="bf16") * tp * pp >= one * 0.999
    smaller = rank(model, tp=tp, pp=pp, weights="int4").weights_bytes
    assert smaller <= base.weights_bytes


def test_activations_grow_with_the_token_budget() -> None:
    row = CATALOG.llm_model("llama-3.1-8b")
    sizes = [
        activation_bytes(row, tensor_parallel=1, max_batched_tokens=n, capacity_bytes=H100) for n in (2048, 8192, 32768)
    ]
    assert sizes == sorted(sizes)
    assert 1.2 * GIB < sizes[1] < 3.9 * GIB
