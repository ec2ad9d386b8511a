"""The load from which machines of one's own cost no more than an API: by hand, against a plain scan, and on real plans."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing import catalog as catalogs
from sizing.api_price import SECONDS_PER_MONTH
from sizing.planner import plan
from sizing.scenario import LlmScenario, parse_scenario
from sizing.self_host import Steps, break_even, compare, steps_of

CATALOG = catalogs.load()
ONE = Steps("replica", 10.0, 0.8, 1.25, SECONDS_PER_MONTH, 1, 1, 1, 0)
"""A replica of 10 requests/s on a machine of its own that costs 1 USD a second."""


@pytest.mark.parametrize(("steps", "usd", "first", "good"), [
    (ONE, 0.05, None, None),  # 10/s would have to cost 0.1 a request: full, the machine is twice as dear
    (ONE, 0.1, 10.0, None),  # equal exactly when each replica is full, dearer again with the next one
    (ONE, 0.25, 4.0, 4.0),  # 1 / 0.25 = 4/s; the second machine starts at 10/s > 8/s
    (ONE, 0.16, 6.25, 12.5),  # 6.25/s; at 10/s a second: 12.5/s; at 20/s a third: 18.75/s < 20/s
    (replace(ONE, units_per_machine=4), 0.05, 20.0, 20.0),  # a machine of 4 replicas: 40/s for 1 a second, even at 20/s
    (replace(ONE, spare=1), 0.25, 8.0, 12.0),  # two machines at once: 2 / 0.25 = 8/s; then 3 / 0.25 = 12/s; 4 / 0.25 = 16/s
    (replace(ONE, units_per_machine=0, machines_per_unit=2), 0.25, 8.0, 32.0),  # k replicas are even at 8 k/s and start at 10 (k - 1): behind up to k = 4
])  # fmt: skip
def test_break_even_by_hand(steps: Steps, usd: float, first: float | None, good: float | None) -> None:
    found = break_even(steps, usd)
    assert found.first_per_s == (None if first is None else pytest.approx(first))
    assert found.for_good_per_s == (None if good is None else pytest.approx(good))


STEPS = st.builds(
    Steps,
    st.just("replica"),
    st.floats(0.5, 50.0),
    st.just(1.0),
    st.just(1.0),
    st.floats(0.1, 10.0).map(lambda usd: usd * SECONDS_PER_MONTH),
    st.just(1),
    st.integers(0, 8),
    st.integers(1, 3),
    st.integers(0, 2),
)


def _dearer(steps: Steps, usd: float, load: float) -> float:
    """How much dearer the API is [USD a month]."""
    return load * SECONDS_PER_MONTH * usd - steps.usd_per_month(load)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.floats(0.005, 5.0))
def test_costs_are_equal_at_the_break_even_and_the_api_is_cheaper_below_the_first(steps: Steps, usd: float) -> None:
    found = break_even(steps, usd)
    if found.first_per_s is None:
        # Never: not at the ends of the first steps, where self-hosting is at its best.
        assert all(_dearer(steps, usd, k * steps.unit_per_s) < 1e-6 * steps.usd_per_machine_month for k in range(1, 60))
        return
    scale = steps.usd_per_month(found.first_per_s)
    assert _dearer(steps, usd, found.first_per_s) == pytest.approx(0.0, abs=1e-6 * scale)
    for share in (0.05, 0.3, 0.7, 0.99):
        assert _dearer(steps, usd, found.first_per_s * share) < 0.0
    if found.for_good_per_s is not None:
        assert found.for_good_per_s >= found.first_per_s
        for factor in (1.0001, 1.01, 1.3, 2.7, 11.0, 100.3):
            assert _dearer(steps, usd, found.for_good_per_s * factor) >= -1e-6 * scale * factor
        if found.for_good_per_s > found.first_per_s * 1.0001:
            assert _dearer(steps, usd, found.for_good_per_s * (1.0 - 1e-9)) < 1e-6 * scale


@given(STEPS, st.floats(0.005, 5.0), st.floats(1.0, 3.0))
def test_a_dearer_api_never_puts_the_break_even_up(steps: Steps, usd: float, factor: float) -> None:
    cheap, dear = break_even(steps, usd), break_even(steps, usd * factor)
    assert (dear.first_per_s or inf) <= (cheap.first_per_s or inf) * (1 + 1e-9)


def test_free_is_never_beaten() -> None:
    assert break_even(ONE, 0.0).first_per_s is None


@pytest.mark.parametrize("fields", [
    {"kind": "llm"}, {"kind": "llm", "requests_per_s": 60.0, "spare_replicas": 2},
    {"kind": "llm", "model": "deepseek-v3", "requests_per_s": 9.0}, {"kind": "llm", "concurrency": 300},
    {"kind": "llm", "model": "llama-3.1-405b", "weight_format": "bf16", "accelerators": ["h100-sxm-80gb"]},
    {"kind": "deep_learning"}, {"kind": "deep_learning", "requests_per_s": 9000.0, "spare_replicas": 1},
    {"kind": "deep_learning", "gpu_share": "mig_1g", "requests_per_s": 3000.0}, {"kind": "deep_learning", "compute": "cpu"},
    {"kind": "deep_learning", "concurrency": 64}, {"kind": "statistical"}, {"kind": "statistical", "requests_per_s": 7000.0, "spare_replicas": 2},
    {"kind": "statistical", "concurrency": 500}, {"kind": "statistical", "micro_batch_rows": 16, "requests_per_s": 2000.0},
])  # fmt: skip
def test_the_staircase_costs_what_the_plan_costs_at_its_load(fields: dict[str, object]) -> None:
    scenario = parse_scenario(fields)
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    steps = steps_of(scenario, best)
    load = best.throughput.requests_per_s.demanded
    assert steps.machines(steps.units(load)) == best.instances
    assert steps.usd_per_month(load) == pytest.approx(best.cost.usd_per_month)
    costs = [steps.usd_per_month(load * x) for x in (0.1, 0.5, 1.0, 1.7, 3.0, 10.0)]
    assert costs == sorted(costs)


def test_two_replicas_more_take_the_machines_that_the_plan_takes() -> None:
    usual = plan(LlmScenario(requests_per_s=10.0), CATALOG).recommended
    assert usual is not None
    steps = steps_of(LlmScenario(requests_per_s=10.0), usual)
    for load in (20.0, 45.0):
        scenario = LlmScenario(requests_per_s=load, instances=(usual.instance,), batch=usual.batch)
        there = plan(scenario, CATALOG).recommended
        assert there is not None
        assert steps.machines(steps.units(load)) == pytest.approx(there.instances, abs=1)


def test_the_users_own_price_takes_the_place_of_the_catalogs() -> None:
    listed = compare(LlmScenario(), CATALOG)
    assert listed is not None
    assert len(listed.offers) == len(listed.break_evens) >= 5
    own = compare(LlmScenario(api_usd_per_million_input_tokens=0.3, api_usd_per_million_output_tokens=0.6), CATALOG)
    assert own is not None
    assert [offer.id for offer in own.offers] == ["own"]
    # 1000 x 0.3 + 250 x 0.6 = 450 USD a million: the machine's month over that is the break-even.
    expected = own.usd_per_month / (450e-6 * SECONDS_PER_MONTH)
    assert own.break_evens[0].first_per_s == pytest.approx(expected)
    assert own.even_load_share(own.offers[0]) == pytest.approx(expected / 5.0)
    assert set(listed.offers) <= set(own.others)


def test_the_interval_of_the_machines_holds_their_cost() -> None:
    found = compare(LlmScenario(requests_per_s=100.0), CATALOG)
    assert found is not None
    assert found.usd_per_month_low < found.usd_per_month < found.usd_per_month_high
    assert found.steps.fast < 1.0 < found.steps.slow
