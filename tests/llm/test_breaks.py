"""The load at which limits break: just below they hold and just above they do not, by the model itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sizing.catalog import load
from sizing.llm.breaks import PRECISION, Breaks, breaks, breaks_words
from sizing.llm.charts import replica_of
from sizing.llm.constants import engine_rates
from sizing.llm.search import PERCENTILE_COLUMN
from sizing.llm.serving import Loaded, open_loop
from sizing.plan import Deployment
from sizing.planner import plan
from sizing.scenario import LlmScenario

CATALOG = load()
SCENARIOS = [
    LlmScenario(),
    LlmScenario(slo_percentile=99, ttft_target_ms=400),
    LlmScenario(slo_percentile=50, batch=512, tpot_target_ms=60),
    LlmScenario(requests_per_s=None, concurrency=64),
    LlmScenario(model="llama-2-70b-hf", spare_replicas=1),
]


def best_of(scenario: LlmScenario) -> Deployment:
    found = plan(scenario, CATALOG).recommended
    assert found is not None
    return found


def under(scenario: LlmScenario, best: Deployment, per_s: float) -> Loaded:
    """What the deployment does at a load."""
    work, _ = replica_of(scenario, CATALOG, best)
    return open_loop(
        work,
        arrival_per_s=np.array([per_s / (best.replicas - scenario.spare_replicas)]),
        batch_cap=np.array([best.batch]),
        output_tokens=scenario.output_tokens,
        rates=engine_rates(scenario.runtime, scenario.engine_version)[0],
    )


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_limit_holds_at_its_break_and_not_half_a_percent_beyond(scenario: LlmScenario) -> None:
    best = best_of(scenario)
    found, column = breaks(scenario, CATALOG, best), PERCENTILE_COLUMN[scenario.slo_percentile]
    limits = {"TTFT": scenario.ttft_target_ms, "TPOT": scenario.tpot_target_ms}
    assert set(found.by_limit) == {name for name, limit in limits.items() if limit is not None}
    for name, at in found.by_limit.items():
        limit, known = limits[name], at if at is not None else found.capacity_per_s * (1 - PRECISION)
        assert limit is not None
        assert getattr(under(scenario, best, known), f"{name.lower()}_ms")[0, column] <= limit
        if at is not None:
            beyond = under(scenario, best, at * (1 + 1.001 * PRECISION))
            assert getattr(beyond, f"{name.lower()}_ms")[0, column] > limit
            assert 0 < at < found.capacity_per_s
    assert any(at is not None for at in found.by_limit.values())
    assert found.demanded_per_s <= found.capacity_per_s


def test_the_open_loop_scenario_asks_for_less_than_the_first_break() -> None:
    for scenario in (s for s in SCENARIOS if s.requests_per_s is not None):
        assert breaks(scenario, CATALOG, best_of(scenario)).room >= -PRECISION


def test_twice_the_replicas_break_at_twice_the_load_and_spares_carry_none() -> None:
    scenario = LlmScenario(model="llama-2-70b-hf")
    best = best_of(scenario)
    one = breaks(scenario, CATALOG, best)
    two = breaks(scenario, CATALOG, replace(best, replicas=2 * best.replicas))
    assert two.capacity_per_s == pytest.approx(2 * one.capacity_per_s)
    assert two.by_limit["TTFT"] == pytest.approx(2 * (one.by_limit["TTFT"] or 0))
    spared = scenario.model_copy(update={"spare_replicas": 1})
    more = replace(best, replicas=best.replicas + 1)
    assert breaks(spared, CATALOG, more).by_limit == one.by_limit


def test_without_limits_and_with_wide_ones_capacity_is_the_end() -> None:
    free = LlmScenario(ttft_target_ms=None, tpot_target_ms=None)
    found = breaks(free, CATALOG, best_of(free))
    assert found.by_limit == {}
    assert found.first_per_s == found.capacity_per_s
    wide = LlmScenario(ttft_target_ms=None, tpot_target_ms=5000)
    assert breaks(wide, CATALOG, best_of(wide)).by_limit == {"TPOT": None}


def test_a_limit_below_an_idle_replica_holds_at_no_load() -> None:
    best = best_of(LlmScenario())
    found = breaks(LlmScenario(ttft_target_ms=1), CATALOG, best)
    assert found.by_limit["TTFT"] == 0.0
    assert "TTFT p95 breaks at any load" in breaks_words(found, 0.7)


def test_the_sentence_gives_loads_and_room() -> None:
    found = Breaks(95, {"TTFT": 6.2, "TPOT": 9.1}, capacity_per_s=12.0, demanded_per_s=5.0, users=None)
    assert breaks_words(found, 0.7) == (
        "TTFT p95 breaks at 6.2 requests/s, TPOT p95 breaks at 9.1 requests/s; you ask for 5: 24 % room. "
        "Capacity is 12 requests/s; your utilization cap of 70 % allows 8.4."
    )
    users = breaks_words(replace(found, users=64, demanded_per_s=7.75), 0.7)
    assert "your 64 users make 7.75: 20 % beyond the first break." in users
    assert "at random" in users
    capacity = breaks_words(replace(found, by_limit={"TPOT": None}), 0.7)
    assert capacity.startswith("TPOT p95 holds up to capacity; you ask for 5: 140 % room.")
    none = breaks_words(replace(found, by_limit={}), 0.7)
    assert none.startswith("No latency limit is set, so none breaks before capacity; you ask for 5: 140 % room.")
