"""Memory of engines beside weights and KV cache: against public start-up logs, and what must hold for any model and part."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.calibrate_llm_memory import LOGS, Log, constants, predicted_log_gib
from sizing import catalog as catalogs
from sizing.errors import InputError
from sizing.llm.engines.generations import ENGINE_GENERATIONS, SORT, Measured, generation_of, version_of
from sizing.llm.engines.runtime_memory import RuntimeMemory, default_batch, drift, runtime_memory, total_bytes
from sizing.units import GIB

CATALOG = catalogs.load()
H100 = CATALOG.accelerator("h100-sxm-80gb")
H200 = CATALOG.accelerator("h200-sxm-141gb")
A100 = CATALOG.accelerator("a100-sxm-80gb")
L40S = CATALOG.accelerator("l40s")
B200 = CATALOG.accelerator("b200-sxm-180gb")
MI300X = CATALOG.accelerator("mi300x")
LLAMA_8B = CATALOG.llm_model("llama-3.1-8b")
LLAMA_70B = CATALOG.llm_model("llama-3.3-70b-instruct")
DEEPSEEK = CATALOG.llm_model("deepseek-r1")
QWEN_30B = CATALOG.llm_model("qwen3-30b-a3b")
MODELS = [LLAMA_8B, LLAMA_70B, DEEPSEEK, QWEN_30B, CATALOG.llm_model("gpt-oss-120b"), CATALOG.llm_model("gemma-2-9b")]
PARTS = [H100, H200, A100, L40S, B200, MI300X, CATALOG.accelerator("t4")]
ENGINES = list(ENGINE_GENERATIONS)
DEGREES = [1, 2, 4, 8]


# Rest = utilization x total - weights - KV cache [GiB] of public start-up figures of vLLM, totals as the driver states them.
@pytest.mark.parametrize(
    ("model", "part", "version", "degree", "vision", "rest_gib", "tolerance_gib"),
    [
        (LLAMA_70B, H200, "v0.11.0", 4, False, 2.57, 0.35),
        (LLAMA_70B, H200, "v0.11.0+vendor5", 4, False, 5.79, 0.35),
        (LLAMA_70B, H200, "v0.16.0", 4, False, 5.44, 0.35),
        (LLAMA_70B, H200, "v0.19.0", 4, False, 4.16, 0.35),
        (LLAMA_70B, B200, "v0.18.0", 4, False, 4.17, 0.35),
        (LLAMA_70B, MI300X, "v0.16.0", 1, False, 6.08, 0.35),
        (LLAMA_70B, MI300X, "v0.18.0", 1, False, 3.27, 0.35),
        (QWEN_30B, H200, "v0.16.0", 1, True, 6.67, 0.35),
        (QWEN_30B, H200, "v0.18.0", 1, True, 3.37, 0.35),
        (DEEPSEEK, H200, "v0.16.0", 8, False, 5.80, 1.2),
        (DEEPSEEK, H200, "v0.14.1", 8, False, 7.45, 1.2),
        (DEEPSEEK, B200, "v0.18.0", 8, False, 4.39, 0.5),
    ],
)
def test_rest_of_public_start_ups(model, part, version, degree, vision, rest_gib, tolerance_gib) -> None:
    found = runtime_memory(
        model, part, runtime="vllm", engine_version=version, tensor_parallel=degree, context_tokens=8192, vision=vision
    )
    assert found.total_bytes / GIB == pytest.approx(rest_gib, abs=tolerance_gib)


@pytest.mark.parametrize("log", LOGS, ids=lambda log: f"{log.model} {log.version}")
def test_public_logs(log: Log) -> None:
    predicted, low, high = predicted_log_gib(log, CATALOG)
    assert low < predicted < high
    assert predicted == pytest.approx(log.gib, rel=0.2)


# What cudaMemGetInfo says, from "Free memory on device (x/y GiB)" and out-of-memory messages in public logs.
@pytest.mark.parametrize(
    ("part", "gib"),
    [
        ("h100-sxm-80gb", 79.18),
        ("h200-sxm-141gb", 139.81),
        ("a100-sxm-80gb", 79.2),
        ("a100-sxm-40gb", 39.49),
        ("l40s", 44.46),
        ("b200-sxm-180gb", 178.35),
        ("gb200-186gb", 184.31),
        ("a10g", 22.07),
        ("l4", 22.04),
        ("t4", 14.64),
        ("rtx-4090", 23.55),
        ("rtx-pro-6000-blackwell-server", 94.98),
    ],
)
def test_total_is_what_the_driver_leaves(part: str, gib: float) -> None:
    accelerator = CATALOG.accelerator(part)
    assert total_bytes(accelerator) / GIB == pytest.approx(gib, abs=0.1)
    assert total_bytes(accelerator) < accelerator.capacity_bytes


def test_total_of_every_part_is_below_its_capacity() -> None:
    for accelerator in CATALOG.accelerators.values():
        share = total_bytes(accelerator) / accelerator.capacity_bytes
        assert 0.95 < share <= 1.0, accelerator.id


def test_sampling_for_256_sequences_needs_a_quarter_of_that_for_1024() -> None:
    few, many = (
        runtime_memory(LLAMA_8B, H100, runtime="vllm", engine_version="0.16", max_sequences=n, max_batched_tokens=1024)
        for n in (256, 1024)
    )
    peaks = [found.activations_bytes + found.logits_bytes - 1024 * 2 * LLAMA_8B.hidden for found in (few, many)]
    assert peaks[1] / peaks[0] == pytest.approx(4, rel=0.01)
    assert peaks[1] == pytest.approx(1024 * 128_256 * SORT.value, rel=0.001)


@pytest.mark.parametrize(
    ("part", "version", "batch"),
    [
        (H100, "0.18", (8192, 1024)),
        (MI300X, "0.18", (8192, 1024)),
        (A100, "0.18", (2048, 256)),
        (A100, "0.31", (8192, 1024)),
        (L40S, "0.18", (2048, 256)),
    ],
)
def test_defaults_of_the_server(part, version, batch) -> None:
    assert default_batch(part, generation_of("vllm", version)) == batch
    stated = runtime_memory(
        LLAMA_8B, part, runtime="vllm", engine_version=version, max_batched_tokens=batch[0], max_sequences=batch[1]
    )
    assert runtime_memory(LLAMA_8B, part, runtime="vllm", engine_version=version) == stated


def test_fused_all_reduce_only_where_it_runs() -> None:
    added = {}
    for part in (A100, H100, L40S):
        pair = (
            runtime_memory(LLAMA_8B, part, runtime="vllm", engine_version=v, tensor_parallel=2).collectives_bytes
            for v in ("0.16", "0.18")
        )
        before, after = pair
        added[part.id] = after - before
    assert added[A100.id] == added[L40S.id] == 0
    assert added[H100.id] > GIB


def test_version_texts() -> None:
    assert version_of("v0.13.1.dev8+g2841a84ac") == (0, 13, 1)
    assert version_of("0.9/0.10 2025-07-22") == (0, 9, 0)
    assert version_of(None) == version_of("  ")
    assert generation_of("vllm", "0.11.0").flashinfer_builds
    assert not generation_of("vllm", "0.11.0", own_build=False).flashinfer_builds
    with pytest.raises(InputError, match="engine_version: 'nightly' is not allowed"):
        version_of("nightly")
    with pytest.raises(InputError, match="runtime: 'vlm' is not allowed"):
        runtime_memory(LLAMA_8B, H100, runtime="vlm")


def test_generations_are_in_order_and_every_constant_has_a_range_and_a_source() -> None:
    for generations in ENGINE_GENERATIONS.values():
        versions = [generation.from_version for generation in generations]
        assert versions == sorted(set(versions))
        for generation in generations:
            for name in generation.__dataclass_fields__:
                constant = getattr(generation, name)
                if isinstance(constant, Measured):
                    assert constant.low <= constant.value <= constant.high, (generation.words, name)
                    assert constant.source
                    assert constant.unit
                    assert constant.as_of


def test_drift_shows_each_generation_with_parts_that_sum() -> None:
    rows = drift(LLAMA_70B, H200, tensor_parallel=4)
    assert len({row.generation for row in rows}) == len(ENGINE_GENERATIONS["vllm"])
    for words in {row.generation for row in rows}:
        sizes = {row.part: row.gib for row in rows if row.generation == words}
        assert sum(gib for part, gib in sizes.items() if part != "all") == pytest.approx(sizes["all"])


def test_other_constants_act_only_inside_the_block() -> None:
    before = runtime_memory(LLAMA_8B, H100, runtime="vllm", engine_version="0.16")
    with constants({"SORT": 2 * SORT.value}):
        assert runtime_memory(LLAMA_8B, H100, runtime="vllm", engine_version="0.16").logits_bytes > before.logits_bytes
    assert runtime_memory(LLAMA_8B, H100, runtime="vllm", engine_version="0.16") == before


CASES = {
    "model": st.sampled_from(MODELS),
    "part": st.sampled_from(PARTS),
    "runtime": st.sampled_from(ENGINES),
    "version": st.sampled_from([None, "0.9", "0.10.2", "0.11.0", "0.16", "0.18", "0.22", "0.31"]),
    "degree": st.sampled_from(DEGREES),
    "tokens": st.integers(16, 65_536),
    "sequences": st.integers(1, 4096),
    "vision": st.booleans(),
}


def _memory(model, part, runtime, version, degree, tokens, sequences, vision) -> RuntimeMemory:
    return runtime_memory(
        model,
        part,
        runtime=runtime,
        engine_version=version,
        tensor_parallel=degree,
        max_batched_tokens=tokens,
        max_sequences=sequences,
        context_tokens=8192,
        vision=vision,
    )


@given(**CASES)
@settings(max_examples=150, deadline=None)
def test_parts_sum_and_lie_in_the_interval(**case) -> None:
    found = _memory(**case)
    assert sum(found.parts().values()) == found.total_bytes
    assert all(size >= 0 for size in found.parts().values())
    assert 0 <= found.low_bytes <= found.total_bytes <= found.high_bytes
    assert found.total_bytes >= found.context_bytes > 0


@given(**CASES, more=st.integers(1, 50_000))
@settings(max_examples=150, deadline=None)
def test_more_tokens_or_sequences_never_need_less(more: int, **case) -> None:
    found = _memory(**case).total_bytes
    assert _memory(**{**case, "tokens": case["tokens"] + more}).total_bytes >= found
    assert _memory(**{**case, "sequences": case["sequences"] + more}).total_bytes >= found


@given(**CASES, more=st.integers(1, 500_000))
@settings(max_examples=50, deadline=None)
def test_a_larger_vocabulary_never_needs_less(more: int, **case) -> None:
    small = LLAMA_8B
    large = small.model_copy(update={"vocab": small.vocab + more})
    assert _memory(**{**case, "model": large}).total_bytes >= _memory(**{**case, "model": small}).total_bytes


@given(**CASES)
@settings(max_examples=50, deadline=None)
def test_an_encoder_adds_and_one_rank_has_no_collectives(**case) -> None:
    text, image = (_memory(**{**case, "vision": vision}) for vision in (False, True))
    assert image.total_bytes - text.total_bytes == image.encoder_bytes - text.encoder_bytes
    assert image.encoder_bytes > 0 == text.encoder_bytes
    assert _memory(**{**case, "degree": 1}).collectives_bytes == 0
