"""Speed for generated scenarios: every engine and generation, family of parts, format and catalog model of known shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.catalog import load
from sizing.catalog_rows import Accelerator, LlmModel
from sizing.errors import InputError
from sizing.llm.candidates import RUNTIME_VENDORS
from sizing.llm.constants import family_of, rates, stated
from sizing.llm.formats import GGUF, NAMED, cannot_run, compute_peak, scheme_of
from sizing.llm.marginal import COMPUTE_FIELDS, LINK_FIELDS, raised
from sizing.llm.memory import replica_memory
from sizing.llm.rows import architecture_of
from sizing.llm.serving import closed_batch
from sizing.llm.sharding import Split, not_divided, step_bytes
from sizing.llm.speed import decode, prefill
from sizing.llm.work import Work, model_work, stack, work_of

CATALOG = load()
GENERATIONS = sorted(stated()["engines"])
BATCHES = np.array([[1.0, 2.0, 7.0, 32.0, 150.0, 512.0]])
TINY = 1e-9


def has_shape(model: LlmModel) -> bool:
    try:
        return architecture_of(model).layers > 0
    except InputError:
        return False


MODELS = sorted(m.id for m in CATALOG.llm_models.values() if has_shape(m))
PARTS = sorted(a.id for a in CATALOG.accelerators.values() if a.bf16_tflops or a.fp16_tflops)
FAMILIES = sorted({family_of(CATALOG.accelerator(p).architecture, CATALOG.accelerator(p).memory_type) for p in PARTS})


def runtime_of(generation: str) -> str:
    return next(name for name in sorted(RUNTIME_VENDORS, key=len, reverse=True) if generation.startswith(name))


@st.composite
def cases(draw: Any) -> dict[str, Any]:
    """A legal combination: the family is drawn before the part, so that small families come up as often as large ones."""
    generation = draw(st.sampled_from(GENERATIONS))
    family = draw(st.sampled_from(FAMILIES))
    part = CATALOG.accelerator(
        draw(
            st.sampled_from(
                [
                    p
                    for p in PARTS
                    if family_of(CATALOG.accelerator(p).architecture, CATALOG.accelerator(p).memory_type) == family
                ]
            )
        )
    )
    model = CATALOG.llm_model(draw(st.sampled_from(MODELS)))
    formats = ["native", *(GGUF if generation == "llama_cpp" else (f for f in NAMED if f not in GGUF))]
    runs = [f for f in formats if _runs(part, model, f)]
    weights = draw(st.sampled_from(runs or ["fp16"]))
    splits = [Split(tp, pp) for tp in (1, 2, 4, 8) for pp in (1, 2, 3) if pp <= architecture_of(model).layers]
    legal = [s for s in splits if not_divided(model, weights, s) is None]
    return {
        "generation": generation,
        "part": part,
        "model": model,
        "weights": weights,
        "split": draw(st.sampled_from(legal or [Split()])),
        "prompt": draw(st.integers(1, 30_000)),
        "output": draw(st.integers(1, 2_000)),
    }


def _runs(part: Accelerator, model: LlmModel, weights: str) -> bool:
    try:
        scheme = scheme_of(model, weights)
    except InputError:
        return False
    return cannot_run(part, scheme) is None and compute_peak(part, scheme) is not None


def work(case: dict[str, Any], part: Accelerator | None = None) -> Work:
    shape = model_work(
        case["model"], weight_format=case["weights"], kv_format="bf16", split=Split(case["split"].tensor),
        prompt_tokens=case["prompt"], output_tokens=case["output"],
    )  # fmt: skip
    one = work_of(
        case["model"], part or case["part"], shape, generation=case["generation"], weight_format=case["weights"],
        split=case["split"], prompt_tokens=case["prompt"], max_batched_tokens=8192,
    )  # fmt: skip
    return stack([one])


def times(case: dict[str, Any], part: Accelerator | None = None) -> list[np.ndarray[Any, Any]]:
    """Step, prompt alone, prompt among others, TTFT, TPOT and time for each request, of each end of the interval."""
    base, found = work(case, part), []
    for use in rates(case["generation"]):
        first, done = prefill(base, use), closed_batch(base, BATCHES, float(case["output"]), use)
        found += [done.decode.step_ms, first.alone_ms, first.occupied_ms, done.e2e_ms, 1.0 / done.requests_per_s]
    return found


@settings(max_examples=120, deadline=None)
@given(case=cases())
def test_never_faster_than_bytes_over_bandwidth_or_operations_over_peak(case: dict[str, Any]) -> None:
    """The least bytes and operations are counted here from the model, not taken from what the step itself counts."""
    model, part, split = case["model"], case["part"], case["split"]
    shape, scheme = architecture_of(model), scheme_of(model, case["weights"])
    peak = compute_peak(part, scheme)
    assert peak is not None
    dense, experts = step_bytes(model, case["weights"], Split(split.tensor))
    chosen = min(1.0, (model.experts_per_token or 0) / model.experts) if model.experts else 0.0
    weights_ms = (dense + experts * chosen) / part.memory_bandwidth_bytes_per_s * 1000
    base = work(case)
    token_ms = float(np.ravel(base.decode_flops_per_token)[0]) / peak[0] * 1000
    prompt_ms = float(np.ravel(base.prefill_flops)[0]) / peak[0] * 1000
    # Two operations for each parameter that a token meets, of those that stand in matrices, at the very least.
    assert token_ms * peak[0] / 1000 <= 2.0 * shape.parameters / split.tensor * (1 + TINY)
    for use in rates(case["generation"]):
        step = decode(base, BATCHES, use).step_ms
        micro = np.maximum(BATCHES / split.pipeline, 1.0)
        assert (step >= weights_ms * (1 - TINY)).all()
        assert (step >= micro * token_ms * (1 - TINY)).all()
        first = prefill(base, use)
        assert first.alone_ms[0, 0] >= max(prompt_ms, weights_ms) * (1 - TINY)
        assert first.occupied_ms[0, 0] >= prompt_ms / split.pipeline * (1 - TINY)
        done = closed_batch(base, BATCHES, float(case["output"]), use)
        assert (done.requests_per_s * prompt_ms / split.pipeline <= 1000 * (1 + TINY)).all()
        assert (np.diff(step, axis=1) >= -TINY * step[:, 1:]).all()


def _never_slower(case: dict[str, Any], better: Accelerator) -> None:
    for before, after in zip(times(case), times(case, better), strict=True):
        assert (after <= before * (1 + TINY)).all()


def test_the_properties_compare_parts_that_differ() -> None:
    """Each change must be able to matter: on a part and split where it does, the figures do move."""
    case = {
        "generation": "vllm", "part": CATALOG.accelerator("a100-sxm-80gb"), "model": CATALOG.llm_model("llama-2-70b-hf"),
        "weights": "fp16", "split": Split(4), "prompt": 4000, "output": 100,
    }  # fmt: skip
    changed: list[Callable[[Accelerator], Accelerator]] = [
        lambda part: raised(part, ("memory_bandwidth_gb_per_s",), 0.1),
        lambda part: raised(part, COMPUTE_FIELDS, 0.1),
        lambda part: raised(part, LINK_FIELDS, 0.1),
    ]
    for change in changed:
        before, after = times(case), times(case, change(case["part"]))
        assert any((a < b * (1 - 1e-4)).any() for a, b in zip(after, before, strict=True))


@settings(max_examples=100, deadline=None)
@given(case=cases(), gain=st.floats(0.0, 9.0))
def test_never_slower_with_more_bandwidth(case: dict[str, Any], gain: float) -> None:
    _never_slower(case, raised(case["part"], ("memory_bandwidth_gb_per_s",), gain))


@settings(max_examples=100, deadline=None)
@given(case=cases(), gain=st.floats(0.0, 9.0))
def test_never_slower_with_more_compute(case: dict[str, Any], gain: float) -> None:
    _never_slower(case, raised(case["part"], COMPUTE_FIELDS, gain))


@settings(max_examples=100, deadline=None)
@given(case=cases(), gain=st.floats(0.0, 9.0))
def test_never_slower_with_a_faster_link(case: dict[str, Any], gain: float) -> None:
    _never_slower(case, raised(case["part"], LINK_FIELDS, gain))


@settings(max_examples=100, deadline=None)
@given(case=cases())
def test_memory_does_not_fall_with_batch_or_length_nor_rise_with_fewer_bits(case: dict[str, Any]) -> None:
    def memory(weights: str, cache: str) -> Any:
        return replica_memory(
            case["model"], case["part"], weight_format=weights, kv_format=cache, split=case["split"],
            runtime=runtime_of(case["generation"]), max_batched_tokens=8192, context_tokens=32_768,
        )  # fmt: skip

    at, context = memory(case["weights"], "bf16"), case["prompt"] + case["output"]
    sizes = [at.parts(sequences=n, context_tokens=context).used_bytes for n in (1, 2, 7, 32, 150, 512)]
    assert sizes == sorted(sizes)
    needs = [at.need_bytes(4, tokens) for tokens in sorted((1, 100, context, 2 * context))]
    assert needs == sorted(needs)
    assert memory(case["weights"], "fp8").held(context) >= at.held(context)
    held = at.held(context)
    if 0 < held < 10**6:
        assert at.parts(sequences=held, context_tokens=context).used_bytes <= at.capacity_bytes
        assert at.need_bytes(held, context) <= at.usable_bytes + 1


def test_generated_cases_reach_every_engine_and_family() -> None:
    assert {runtime_of(g) for g in GENERATIONS} == set(RUNTIME_VENDORS)
    assert len(GENERATIONS) > 4
    assert len(FAMILIES) >= 10
    assert len(MODELS) > 100


def test_the_fullest_stage_counts_also_with_few_requests() -> None:
    """Three stages of Gemma 3 12B: the one that holds the fewest long requests is not the one with the most weights."""
    memory = replica_memory(
        CATALOG.llm_model("gemma-3-12b-it"), CATALOG.accelerator("l4"), split=Split(8, 3), runtime="llama_cpp"
    )
    needs = [memory.need_bytes(4, tokens) for tokens in (1, 100, 569, 1138, 8000)]
    assert needs == sorted(needs)
