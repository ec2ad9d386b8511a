"""Chance that the limits hold: the law of our error, its hand-made quantiles, and how it moves with count and limit."""

from __future__ import annotations

from math import log
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing import catalog as catalogs
from sizing.errors import InputError
from sizing.llm.candidates import configurations
from sizing.llm.confidence import (
    LEVELS,
    STRATA,
    Confidence,
    CountChance,
    ErrorLaw,
    chances,
    confidence,
    counts_around,
    error_laws,
)
from sizing.llm.constants import engine_rates
from sizing.llm.search import PERCENTILE_COLUMN, Group, load
from sizing.llm.serving import capacity_per_s
from sizing.llm.work import Work, stack
from sizing.plan import Deployment
from sizing.planner import plan
from sizing.scenario import LlmScenario

CATALOG = catalogs.load()
COUNTS = np.array([1.0, 2.0, 4.0, 8.0])
NO_LIMITS = {"ttft_target_ms": None, "tpot_target_ms": None}
HALF_STRATUM = 0.5 / STRATA + 1e-9


def one(part: str = "h100-sxm-80gb") -> Work:
    model = CATALOG.llm_model("llama-3.1-8b")
    item = configurations(LlmScenario(), model, None, CATALOG.accelerator(part), 1)[0]
    return stack([item.work])


def laws(work: Work) -> tuple[ErrorLaw, ErrorLaw]:
    """Laws of the errors on a step and on a first token of this part under this engine."""
    step, first = error_laws(LlmScenario())
    width = float(np.ravel(work.width)[0])
    return step.widened(width), first.widened(width)


def centre_ms(scenario: LlmScenario, work: Work, batch: int) -> tuple[float, float]:
    """TTFT and TPOT of one replica at the scenario's percentile, without any error."""
    group = Group((), work, np.array([batch], dtype=np.intp), np.zeros(1))
    done = load(scenario, group, np.ones(1), engine_rates(scenario.runtime, scenario.engine_version)[0])
    column = PERCENTILE_COLUMN[scenario.slo_percentile]
    return float(done.ttft_ms[0, column]), float(done.tpot_ms[0, column])


def recommended(scenario: LlmScenario) -> tuple[Deployment, Confidence]:
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    return best, confidence(scenario, CATALOG, best)


@given(low=st.floats(0.2, 0.97), high=st.floats(1.03, 5.0), share=st.floats(0.001, 0.999))
def test_law_has_the_stated_interval_and_its_median_at_the_prediction(low: float, high: float, share: float) -> None:
    law = ErrorLaw(low, high)
    assert law.quantile(np.array([0.1, 0.5, 0.9])) == pytest.approx([low, 1.0, high])
    assert law.below(law.quantile(np.array([share])))[0] == pytest.approx(share)
    assert law.widened(2.0).quantile(np.array([0.9]))[0] == pytest.approx(high**2)


def test_tpot_at_batch_1_holds_by_the_law_of_a_step_alone() -> None:
    """At a batch limit of 1 TPOT is one step at any count, so the chance is that of the step factor: a half with the
    limit on the prediction, however lopsided the interval, 90 % with it on the slow end, Phi(1) one spread up."""
    law = laws(one())[0]
    assert abs(log(law.high) + log(law.low)) > 0.01
    base = LlmScenario(requests_per_s=0.01, **NO_LIMITS)
    tpot = centre_ms(base, one(), 1)[1]
    spread = law.high ** (1 / NormalDist().inv_cdf(0.9))
    for limit, chance in ((tpot, 0.5), (tpot * law.high, 0.9), (tpot * spread, NormalDist().cdf(1.0))):
        found = chances(base.model_copy(update={"tpot_target_ms": limit}), one(), 1, COUNTS)
        assert found.tpot == pytest.approx(np.full(4, chance), abs=HALF_STRATUM)
        assert found.all == pytest.approx(found.tpot)


def test_ttft_of_an_idle_replica_holds_by_the_law_of_a_first_token_alone() -> None:
    law = laws(one())[1]
    base = LlmScenario(requests_per_s=1e-6, **NO_LIMITS)
    ttft = centre_ms(base, one(), 1)[0]
    for factor, chance in ((law.low, 0.1), (1.0, 0.5), (law.high, 0.9)):
        found = chances(base.model_copy(update={"ttft_target_ms": ttft * factor}), one(), 1, COUNTS)
        assert found.ttft == pytest.approx(np.full(4, chance), abs=0.01)


def test_the_two_errors_are_independent() -> None:
    step, first = laws(one())
    base = LlmScenario(requests_per_s=1e-6, **NO_LIMITS)
    ttft, tpot = centre_ms(base, one(), 1)
    limits = {"ttft_target_ms": ttft * first.high, "tpot_target_ms": tpot * step.high}
    assert chances(base.model_copy(update=limits), one(), 1, COUNTS).all == pytest.approx(np.full(4, 0.81), abs=0.01)


def test_overload_follows_the_step_factor() -> None:
    """Capacity falls as 1 / step factor: at the predicted capacity a half, at that of the slow end 90 %."""
    law = laws(one())[0]
    centre = engine_rates("vllm", None)[0]
    capacity = capacity_per_s(one(), np.array([64], dtype=np.intp), 250, centre)[0]
    for rate, chance in ((capacity, 0.5), (capacity / law.high, 0.9), (capacity * 3, 0.0), (capacity / 10, 1.0)):
        scenario = LlmScenario(requests_per_s=float(rate), **NO_LIMITS)
        found = chances(scenario, one(), 64, np.ones(1))
        assert found.steady == pytest.approx([chance], abs=0.011)
        assert found.all == pytest.approx(found.steady)


def test_a_part_that_nobody_measured_is_less_certain() -> None:
    """Its factors are those of its family to the power of 1.5, so one and a half times the logarithm."""
    law = error_laws(LlmScenario())[0]
    base = LlmScenario(requests_per_s=0.01, **NO_LIMITS)
    work = one("t4")
    assert float(np.ravel(work.width)[0]) == 1.5
    chance = NormalDist().cdf(NormalDist().inv_cdf(0.9) / 1.5)
    limit = centre_ms(base, work, 1)[1] * law.high
    found = chances(base.model_copy(update={"tpot_target_ms": limit}), work, 1, np.ones(1))
    assert found.tpot == pytest.approx([chance], abs=HALF_STRATUM)
    idle = LlmScenario(requests_per_s=1e-6, **NO_LIMITS)
    limit = centre_ms(idle, work, 1)[0] * error_laws(idle)[1].high
    found = chances(idle.model_copy(update={"ttft_target_ms": limit}), work, 1, np.ones(1))
    assert found.ttft == pytest.approx([chance], abs=0.01)


@pytest.mark.parametrize(
    "load_of",
    [{"requests_per_s": 60.0}, {"requests_per_s": None, "concurrency": 500}, {"requests_per_s": None, "concurrency": 500, "think_time_s": 3.0}],
    ids=["rate", "users", "users that think"],
)  # fmt: skip
def test_chances_rise_with_count_and_with_looser_limits(load_of: dict[str, object]) -> None:
    counts = np.arange(1.0, 13.0)
    before = None
    for looser in (1.0, 1.2, 1.6, 2.5):
        scenario = LlmScenario(ttft_target_ms=90.0 * looser, tpot_target_ms=11.0 * looser, **load_of)
        found = chances(scenario, one(), 128, counts)
        for chance in found:
            assert (np.diff(chance) >= -1e-9).all()
            assert ((chance >= 0.0) & (chance <= 1.0)).all()
        assert (found.all <= np.minimum(found.ttft, found.tpot) + 1e-9).all()
        if before is not None:
            assert all((now >= then - 1e-9).all() for now, then in zip(found, before, strict=True))
        before = found
    assert before is not None
    assert before.all[0] < 0.5 < before.all[-1]


def test_nothing_can_break_without_limits_far_below_capacity() -> None:
    found = chances(LlmScenario(requests_per_s=0.1, **NO_LIMITS), one(), 64, COUNTS)
    assert all((chance == 1.0).all() for chance in found)


SCENARIOS = {
    "default": LlmScenario(),
    "tight TPOT": LlmScenario(model="llama-2-70b-hf", ttft_target_ms=2000, tpot_target_ms=50),
    "many": LlmScenario(requests_per_s=300, utilization_cap=0.95, spare_replicas=2),
    "very many": LlmScenario(requests_per_s=2800, utilization_cap=0.95),
    "users": LlmScenario(requests_per_s=None, concurrency=200, ttft_target_ms=320, tpot_target_ms=18),
    "few users": LlmScenario(requests_per_s=None, concurrency=2),
    "eight parts a replica": LlmScenario(model="deepseek-v3", requests_per_s=20),
}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_the_recommended_count_agrees_with_its_verdicts(scenario: LlmScenario) -> None:
    """A limit that is met holds with a half at least, one outside the interval with 90 %, and no more where the interval
    reaches past it."""
    best, found = recommended(scenario)
    row = found.recommended
    overloaded = any("overloaded" in warning for warning in best.warnings)
    for verdict, chance in zip(best.verdicts, (row.ttft, row.tpot), strict=True):
        assert verdict.met
        assert verdict.limit_ms is not None
        is_tpot = "TPOT" in verdict.quantity
        assert chance >= 0.5
        if verdict.high_ms <= verdict.limit_ms and not overloaded:
            assert chance >= (0.9 if is_tpot else 0.81) - 0.01
        if verdict.high_ms > verdict.limit_ms and is_tpot:
            assert chance <= 0.91
    assert row.all <= min(row.ttft, row.tpot, row.steady) + 1e-6
    assert getattr(row, {"TTFT": "ttft", "TPOT": "tpot", "load": "steady"}[row.weakest]) == min(
        row.ttft, row.tpot, row.steady
    )


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_rows_cost_what_so_many_replicas_cost(scenario: LlmScenario) -> None:
    best, found = recommended(scenario)
    assert (found.recommended.replicas, found.recommended.instances) == (best.replicas, best.instances)
    assert found.recommended.usd_per_hour == pytest.approx(best.cost.usd_per_hour)
    assert found.recommended in found.rows
    assert len(found.rows) <= 12
    counts = [row.replicas for row in found.rows]
    assert counts == sorted(set(counts))
    assert [row.usd_per_hour for row in found.rows] == sorted(row.usd_per_hour for row in found.rows)
    assert confidence(scenario, CATALOG, best) == found


@pytest.mark.parametrize("name", ["many", "users", "tight TPOT", "very many"])
def test_the_fewest_replicas_are_the_fewest(name: str) -> None:
    scenario = SCENARIOS[name]
    best, found = recommended(scenario)
    item = next(
        c
        for c in configurations(
            scenario,
            CATALOG.llm_model(scenario.model),
            None,
            CATALOG.accelerator(best.accelerator or ""),
            best.accelerators_per_replica or 1,
        )
        if c.accelerators == best.accelerators_per_replica
    )
    work, spare = stack([item.work]), scenario.spare_replicas
    for level, fewest in zip(LEVELS, found.fewest, strict=True):
        if fewest is None:  # none up to the largest count shown
            assert found.rows[-1].all < level
            continue
        assert fewest in found.rows
        around = np.array([fewest.replicas - spare - 1.0, fewest.replicas - spare])
        chance = chances(scenario, work, best.batch or 0, np.maximum(around, 1.0)).all
        assert around[0] == 0 or chance[0] < level - 1e-6
        assert chance[1] >= level - 1e-6


def test_a_limit_that_no_count_holds_has_no_fewest() -> None:
    scenario = LlmScenario(model="llama-2-70b-hf", tpot_target_ms=50, ttft_target_ms=None, batch=1)
    best, _ = recommended(scenario)
    tight = scenario.model_copy(update={"tpot_target_ms": best.latency_ms["tpot"].p95})
    found = confidence(tight, CATALOG, best)
    assert found.fewest == (None, None)
    assert {row.tpot for row in found.rows} == {0.5}
    assert found.recommended.weakest == "TPOT"


@given(chosen=st.integers(1, 5000), most=st.none() | st.integers(1, 6000))
def test_counts_go_from_half_to_twice(chosen: int, most: int | None) -> None:
    counts = counts_around(chosen, most)
    assert chosen in counts
    assert counts == sorted(set(counts))
    assert len(counts) <= 10
    assert counts[0] == -(-chosen // 2)
    assert counts[-1] <= max(2 * chosen, chosen + 2)
    assert most is None or counts[-1] <= max(chosen, most)


def test_a_deployment_of_another_scenario_is_refused() -> None:
    best, _ = recommended(SCENARIOS["eight parts a replica"])
    with pytest.raises(InputError, match="deployment of this scenario"):
        confidence(LlmScenario(tensor_parallel=1), CATALOG, best)


def test_what_is_most_likely_to_break_is_named() -> None:
    assert CountChance(1, 1, 1.0, ttft=0.9, tpot=0.8, steady=0.95, all=0.7).weakest == "TPOT"
    assert CountChance(1, 1, 1.0, ttft=1.0, tpot=0.8, steady=0.5, all=0.4).weakest == "load"
