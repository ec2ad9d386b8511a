"""Parts of a step: they sum to what `decode` predicts, and the one that a faster part would shorten is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sizing.catalog import load
from sizing.llm.charts import replica_of
from sizing.llm.constants import engine_rates
from sizing.llm.serving import uniform_tpot_ms
from sizing.llm.speed import Decode, decode
from sizing.llm.steps import PARTS, StepCurve, dominant, step_curve, step_parts, step_words
from sizing.planner import plan
from sizing.scenario import LlmScenario

CATALOG = load()
RATES = replace(engine_rates("vllm", None)[0], not_hidden=0.25)
SCENARIOS = [
    LlmScenario(),
    LlmScenario(model="deepseek-v3", runtime="sglang"),
    LlmScenario(model="llama-2-70b-hf", pipeline_parallel=2),
    LlmScenario(model="llama-3.1-8b", runtime="llama_cpp", batch=1),
    LlmScenario(model="mixtral-8x7b-v0.1", engine_version="0.6.3", requests_per_s=None, concurrency=64),
]


def step(*, weights: float, products: float, kv: float, attention: float, collective: float, step_ms: float) -> Decode:
    """A step of one candidate at one batch with an overhead of 1 ms."""
    one = {
        "step_ms": step_ms,
        "memory_ms": weights + kv,
        "weights_ms": weights,
        "kv_ms": kv,
        "compute_ms": products + attention,
        "products_ms": products,
        "attention_ms": attention,
        "collective_ms": collective,
        "overhead_ms": 1.0,
        "bound_ms": 0.0,
    }
    return Decode(**{name: np.array([[value]]) for name, value in one.items()})


def parts(**given: float) -> dict[str, float]:
    return {name: float(part[0, 0]) for name, part in step_parts(step(**given), RATES).items()}


def test_the_longer_counts_in_full_and_the_other_by_what_is_not_hidden() -> None:
    # 10 + 0.25 x 4 + 3 + 2 + 1 = 17, the step itself: nothing is scaled
    found = parts(weights=10, products=4, kv=3, attention=1, collective=2, step_ms=17)
    assert found == pytest.approx(dict(zip(PARTS, (10, 1, 3, 0, 2, 1), strict=True)))
    assert dominant(found) == ("weights", pytest.approx(10 / 17))


def test_products_and_attention_dominate_where_they_are_longer() -> None:
    # 0.25 x 4 + 10 + 6 + 0 + 1 = 18, stretched to 36 by the interval's factor
    found = parts(weights=4, products=10, kv=1, attention=6, collective=0, step_ms=36)
    assert found == pytest.approx(dict(zip(PARTS, (2, 20, 0, 12, 0, 2), strict=True)))
    assert dominant(found) == ("matrix products", pytest.approx(20 / 36))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"weights": 1, "products": 1, "kv": 9, "attention": 2, "collective": 1}, "KV cache"),
        ({"weights": 1, "products": 1, "kv": 2, "attention": 9, "collective": 1}, "attention products"),
        ({"weights": 1, "products": 1, "kv": 2, "attention": 2, "collective": 9}, "collectives"),
        ({"weights": 0.2, "products": 0.1, "kv": 0.1, "attention": 0.1, "collective": 0}, "overhead"),
    ],
)
def test_each_part_is_named_where_it_is_the_longest(given: dict[str, float], name: str) -> None:
    assert dominant(parts(**given, step_ms=10.0))[0] == name


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.model + s.runtime)
@pytest.mark.parametrize("case", [0, 1, 2])
@pytest.mark.parametrize("scale", [None, 1e-3], ids=["fitted", "clipped by the bound"])
def test_parts_sum_to_the_predicted_step(scenario: LlmScenario, case: int, scale: float | None) -> None:
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    work, _ = replica_of(scenario, CATALOG, best)
    rates = engine_rates(scenario.runtime, scenario.engine_version)[case]
    rates = rates if scale is None else replace(rates, scale=scale)
    found = decode(work, np.array([[1.0, 7.0, 64.0, 512.0]]), rates)
    if scale is not None:
        assert (found.step_ms == found.bound_ms).all()
    split = step_parts(found, rates)
    assert tuple(split) == PARTS
    assert all((part >= 0).all() for part in split.values())
    assert sum(split.values()) == pytest.approx(found.step_ms, rel=1e-12)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.model + s.runtime)
def test_the_curve_holds_the_chosen_batch_and_adds_up_to_the_tpot(scenario: LlmScenario) -> None:
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    curve = step_curve(scenario, CATALOG, best)
    assert curve.batch[curve.chosen] == best.batch
    assert (np.diff(curve.batch) > 0).all()
    assert sum(curve.parts_ms.values()) == pytest.approx(curve.step_ms, rel=1e-12)
    work, _ = replica_of(scenario, CATALOG, best)
    rates = engine_rates(scenario.runtime, scenario.engine_version)[0]
    tpot_ms, _ = uniform_tpot_ms(work, curve.batch[None, :].astype(float), scenario.output_tokens, rates)
    assert curve.step_ms + curve.prompts_ms == pytest.approx(tpot_ms[0])
    assert bool(curve.parts_ms["collectives"].any()) == (best.accelerators_per_replica > 1)


def test_the_sentence_names_both_ends() -> None:
    rows = {name: np.array([1.0, 1.0]) for name in PARTS}
    curve = StepCurve(
        batch=np.array([8, 64]),
        parts_ms={**rows, "weights": np.array([5.0, 5.0]), "KV cache": np.array([1.0, 11.0])},
        step_ms=np.array([10.0, 20.0]),
        prompts_ms=np.array([0.0, 0.0]),
        chosen=0,
    )
    assert step_words(curve) == (
        "At batch 8, the batch limit, a step takes 10 ms; its largest part is reading weights (50 %); "
        "at batch 64, the largest, it is reading the KV cache (55 % of 20 ms)."
    )
    assert "still reading weights" in step_words(replace(curve, parts_ms={**rows, "weights": np.array([5.0, 15.0])}))
    assert step_words(replace(curve, chosen=1)).endswith("No larger batch fits or is searched.")
