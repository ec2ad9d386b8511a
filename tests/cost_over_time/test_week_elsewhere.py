"""What the week's load makes of other figures: an API's bill, energy, the report's words; against sums written out here."""

from __future__ import annotations

import numpy as np
import pytest

from sizing import catalog as catalogs
from sizing.cost_over_time.curve import SHAPES
from sizing.cost_over_time.fleet_size import fleet_week, over_week
from sizing.cost_over_time.text import cheaper_machines
from sizing.cost_over_time.total import by_year, cost_over_time
from sizing.energy import energy
from sizing.plan import Deployment
from sizing.planner import plan
from sizing.scenario import AnyScenario, LlmScenario, StatisticalScenario, parse_scenario
from sizing.self_host import compare
from ui.cost_over_time import week_chart
from ui.energy import sentence as energy_sentence
from ui.plain_words import assumptions
from ui.self_host import sentence

CATALOG = catalogs.load()
_, WEEKDAY, WEEKEND = SHAPES["office_hours"]
WEEK = [s / 100 for day in range(7) for s in (WEEKDAY if day < 5 else WEEKEND)]
MEAN = sum(WEEK) / 168
LLAMA = LlmScenario(
    model="llama-2-70b-hf", requests_per_s=20.0, load_shape="office_hours",
    api_usd_per_million_input_tokens=0.9, api_usd_per_million_output_tokens=0.9,
)  # fmt: skip


def best_of(scenario: AnyScenario) -> Deployment:
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    return best


def test_an_api_is_billed_for_the_volume_of_the_week() -> None:
    found = compare(LLAMA, CATALOG)
    assert found is not None
    a_month = 20.0 * MEAN * 730 * 3600  # requests
    assert found.api_usd_per_month(found.offers[0]) == pytest.approx(a_month * (1000 + 250) * 0.9 / 1e6)
    flat = compare(LLAMA.model_copy(update={"load_shape": "constant"}), CATALOG)
    assert flat is not None
    assert flat.mean_share == 1.0
    assert flat.usd_per_month == best_of(LLAMA).cost.usd_per_month
    assert found.api_usd_per_month(found.offers[0]) == pytest.approx(MEAN * flat.api_usd_per_month(flat.offers[0]))


def test_machines_cost_the_hours_that_they_run() -> None:
    best = best_of(LLAMA)
    week = fleet_week(LLAMA, CATALOG, best)
    hours = week.instances.sum() + week.start_hours
    found = compare(LLAMA, CATALOG)
    assert found is not None
    assert found.usd_per_month == pytest.approx(hours / 168 * 730 * best.cost.usd_per_instance_hour)
    assert found.usd_per_month_low <= found.usd_per_month <= found.usd_per_month_high


def test_a_commitment_is_paid_at_every_hour() -> None:
    committed = StatisticalScenario(requests_per_s=3000.0, load_shape="office_hours", price_basis="committed_1y")
    assert over_week(committed, CATALOG, best_of(committed)).paid == 1.0
    rented = committed.model_copy(update={"price_basis": "on_demand"})
    assert over_week(rented, CATALOG, best_of(rented)).paid < 1.0


def test_at_the_break_even_both_cost_the_same() -> None:
    """The staircase and the bill written out again at the load of the busiest hour that the break-even names."""
    found = compare(LLAMA, CATALOG)
    assert found is not None
    even = found.break_evens[0].first_per_s
    if even is not None:
        assert found.steps.usd_per_month(even) == pytest.approx(
            found.api_usd_per_month(found.offers[0], even), rel=1e-6
        )
    cheap = compare(
        LLAMA.model_copy(update={"requests_per_s": 400.0, "api_usd_per_million_output_tokens": 60.0}), CATALOG
    )
    assert cheap is not None
    first = cheap.break_evens[0].first_per_s
    assert first is not None
    assert cheap.steps.usd_per_month(first) == pytest.approx(cheap.api_usd_per_month(cheap.offers[0], first), rel=1e-6)


def test_the_verdict_follows_the_week() -> None:
    flat = compare(LLAMA.model_copy(update={"load_shape": "constant"}), CATALOG)
    uneven = compare(LLAMA, CATALOG)
    assert flat is not None
    assert uneven is not None
    for scenario, found in ((LLAMA, uneven), (LLAMA.model_copy(update={"load_shape": "constant"}), flat)):
        cheaper = found.api_usd_per_month(found.offers[0]) < found.usd_per_month
        assert ("the API is cheaper" in sentence(scenario, found)) == cheaper
    assert "on average over the week" in sentence(LLAMA, uneven)
    assert "over the week" not in sentence(LLAMA, flat)


@pytest.mark.parametrize("fields", [{"kind": "llm", "requests_per_s": 60.0}, {"kind": "deep_learning", "requests_per_s": 3000.0}, {"kind": "statistical", "requests_per_s": 3000.0}])  # fmt: skip
def test_energy_of_the_week_is_less_in_all_and_more_a_request(fields: dict[str, object]) -> None:
    flat, uneven = parse_scenario(fields), parse_scenario({**fields, "load_shape": "office_hours"})
    best = best_of(flat)
    a, b = energy(flat, CATALOG, best), energy(uneven, CATALOG, best)
    assert a is not None
    assert b is not None
    assert a.mean_watts == a.watts == b.watts
    assert b.kwh_per_month.value < a.kwh_per_month.value
    assert b.wh_per_request.value > a.wh_per_request.value
    assert b.kwh_per_month.low <= b.kwh_per_month.value <= b.kwh_per_month.high
    assert b.kwh_per_month.value == pytest.approx(b.mean_watts.value * 0.73)
    rate = best.throughput.requests_per_s.demanded * MEAN
    assert b.wh_per_request.value == pytest.approx(b.mean_watts.value / (rate * 3600))
    assert "in the busiest hour" in energy_sentence(b)
    assert "busiest" not in energy_sentence(a)


def test_energy_of_a_table_that_is_always_full_is_that_of_a_constant_load() -> None:
    flat = LlmScenario(requests_per_s=60.0)
    full = flat.model_copy(update={"load_shape": "custom", "load_table": (100.0,) * 24})
    best = best_of(flat)
    a, b = energy(flat, CATALOG, best), energy(full, CATALOG, best)
    assert a is not None
    assert b is not None
    assert b.kwh_per_month.value == pytest.approx(a.kwh_per_month.value)
    assert b.wh_per_request.value == pytest.approx(a.wh_per_request.value)


def test_energy_of_a_quiet_hour_is_that_of_a_plan_for_its_load() -> None:
    """Independent of the hourly formula: the planner sizes the same machine anew at a tenth of the load."""
    busy = LlmScenario(requests_per_s=4.0, instances=("aws-g6e-xlarge",))
    quiet = busy.model_copy(update={"requests_per_s": 0.4})
    uneven = busy.model_copy(update={"load_shape": "custom", "load_table": (100.0, *[10.0] * 23)})
    best = best_of(busy)
    at_full, at_tenth, week = (
        energy(busy, CATALOG, best),
        energy(quiet, CATALOG, best_of(quiet)),
        energy(uneven, CATALOG, best),
    )
    assert at_full is not None
    assert at_tenth is not None
    assert week is not None
    assert fleet_week(uneven, CATALOG, best).instances.tolist()[1] == best_of(quiet).instances
    assert at_tenth.watts.value < 0.9 * at_full.watts.value
    expected = (at_full.watts.value + 23 * at_tenth.watts.value) / 24
    assert week.mean_watts.value == pytest.approx(expected, rel=0.05)


def test_the_words_of_the_traffic_name_the_busiest_hour_and_the_days_volume() -> None:
    said = dict(assumptions(plan(LLAMA, CATALOG)))["Traffic"]
    assert said.startswith("20 requests a second in the busiest hour, at random times")
    assert f"(about {float(f'{20 * MEAN * 86_400:.3g}'):,.10g} a day)" in said
    assert f"{MEAN:.0%} of that on average" in said


def test_cheaper_machines_are_named_with_what_they_save() -> None:
    found = plan(LLAMA, CATALOG)
    best, cost = best_of(LLAMA), cost_over_time(LLAMA, CATALOG, found)
    assert cost is not None
    assert cost.mix is not None
    ranked = by_year(LLAMA, CATALOG, found)
    first, usd = ranked[0]
    assert first.instance != best.instance
    less = 1 - usd / (12 * cost.mix.usd_per_month)
    said = cheaper_machines(LLAMA, ranked, best, cost)
    assert said is not None
    assert f"{first.instance_type} ({first.provider})" in said
    assert said.endswith(f"a year, {less:.0%} less.")
    assert cheaper_machines(LLAMA, [(best, 1.0)], best, cost) is None
    assert cheaper_machines(LLAMA, [(first, 12 * cost.mix.usd_per_month)], best, cost) is None
    assert cheaper_machines(LLAMA, [], best, cost) is None


def test_a_load_below_what_the_machines_may_serve_is_drawn_below_them() -> None:
    for scenario in (StatisticalScenario(), LLAMA):
        cost = cost_over_time(scenario, CATALOG, plan(scenario, CATALOG))
        assert cost is not None
        figure = week_chart(cost)
        machines, load = (next(t for t in figure.data if t.name == name) for name in ("machines that run", "load"))
        top, right = figure.layout.yaxis.range[1], figure.layout.yaxis2.range[1]
        heights = np.array(load.y) / right, np.array(machines.y) / top
        assert (heights[0] <= heights[1] + 1e-9).all()
        assert heights[0].max() == pytest.approx(
            cost.week.loads_per_s.max() / (top * cost.week.capacity_per_s * cost.week.replicas_per_instance)
        )
