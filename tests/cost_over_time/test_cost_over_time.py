"""Cost over a week: machines by hour and totals against a computation written out here, the mix against brute force."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing import catalog as catalogs
from sizing.__main__ import main
from sizing.cost_over_time.curve import SHAPES, parsed, shares
from sizing.cost_over_time.fleet_size import FleetWeek, Start, fleet_week
from sizing.cost_over_time.purchase import Mix, Rates, best_mix
from sizing.cost_over_time.total import by_year, cost_over_time, interruptions, owned, server_watts
from sizing.energy import energy
from sizing.errors import InputError
from sizing.planner import plan
from sizing.scenario import AnyScenario, LlmScenario, parse_scenario
from sizing.scenario_fleet import FleetFields
from sizing.scenario_words import PriceBasis
from sizing.units import HOURS_PER_MONTH

CATALOG = catalogs.load()
KINDS = ({"kind": "llm", "requests_per_s": 60}, {"kind": "deep_learning", "requests_per_s": 3000}, {"kind": "statistical", "requests_per_s": 3000})  # fmt: skip


def of(fields: dict[str, object]):  # type: ignore[no-untyped-def]
    scenario = parse_scenario(fields)
    found = plan(scenario, CATALOG)
    assert found.recommended is not None
    cost = cost_over_time(scenario, CATALOG, found)
    assert cost is not None
    return scenario, found.recommended, cost


def test_a_week_of_office_hours_is_five_days_and_a_weekend() -> None:
    week = shares(FleetFields(load_shape="office_hours"))
    _, weekday, weekend = SHAPES["office_hours"]
    assert week[:24].tolist() == [v / 100 for v in weekday]
    assert week[5 * 24 : 6 * 24].tolist() == [v / 100 for v in weekend]
    for shape in SHAPES:
        assert shares(FleetFields(load_shape=shape)).max() == 1.0
    own = shares(FleetFields(load_shape="custom", load_table=(10.0, *[40.0] * 23)))
    assert own.tolist()[:25] == [0.25, *[1.0] * 23, 0.25]


@pytest.mark.parametrize(
    "text",
    [" ".join(["5"] * 23 + ["10"]), "\n".join(["50%"] * 23 + ["100%"]), "hour,load\n" + "\n".join(f"{h},{10 if h == 23 else 5}" for h in range(24)),
     "hour\trequests/s\n" + "\n".join(f"{h}\t{400.0 if h == 23 else 200.0}" for h in range(24)), ";".join(["1"] * 23 + ["2"])],
)  # fmt: skip
def test_pasted_tables_of_any_unit_become_shares(text: str) -> None:
    assert parsed(text) == (*[50.0] * 23, 100.0)


@pytest.mark.parametrize(
    "text", ["", "1 2 3", "a " * 24, "0 " * 24, "-1 " * 24, "hour,load\n1,x\n" + "1,1\n" * 23, "1e9 " * 24]
)
def test_a_table_that_cannot_be_used_is_one_sentence(text: str) -> None:
    with pytest.raises(InputError) as refused:
        parsed(text)
    assert refused.value.field.startswith("load_table")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: str(k["kind"]))
def test_machines_of_each_hour_are_what_a_plan_of_that_load_takes(kind: dict[str, object]) -> None:
    """Independent of the formula: the planner sizes the same instance anew at the loads of single hours."""
    scenario, best, cost = of({**kind, "load_shape": "consumer_day", "spare_replicas": 1})
    for hour in (4, 8, 13, 20):
        load = float(cost.week.loads_per_s[hour])
        again = plan(
            scenario.model_copy(update={"requests_per_s": load, "instances": (best.instance,)}), CATALOG
        ).recommended
        assert again is not None
        assert cost.week.instances[hour] == again.instances
    assert cost.week.peak == best.instances


def test_totals_of_a_month_by_hand() -> None:
    """A spreadsheet in Python: hour by hour, nothing taken from the code under test but the plan and the price list."""
    scenario, best, cost = of({
        "kind": "llm", "requests_per_s": 60, "load_shape": "office_hours", "headroom_percent": 20, "min_replicas": 2,
        "start_minutes": 30, "instances": ["aws-g6e-xlarge"], "ttft_target_ms": None, "tpot_target_ms": None,
    })  # fmt: skip
    instance = CATALOG.instance("aws-g6e-xlarge")
    price = {
        b: p.usd_per_hour
        for b in ("on_demand", "committed_1y", "committed_3y")
        if (p := instance.price("us", b)) is not None
    }
    assert set(price) == {"on_demand", "committed_1y", "committed_3y"}
    each = best.throughput.requests_per_s.capacity / best.replicas
    _, weekday, weekend = SHAPES["office_hours"]
    counts = []
    for day in range(7):
        for share in weekday if day < 5 else weekend:
            need = max(2, ceil(60 * share / 100 * 1.2 / each - 1e-9))
            counts.append(max(need, best.instances) if share == 100 else need)
    assert cost.week.instances.tolist() == counts
    rises = sum(max(0, counts[h] - counts[h - 1]) for h in range(168))
    hours = sum(counts) + rises * 0.5
    assert cost.following == pytest.approx(hours * price["on_demand"] * 730 / 168)
    assert cost.steady == pytest.approx(max(counts) * price["on_demand"] * 730)
    assert cost.requests_per_month == pytest.approx(
        sum(60 * s / 100 for d in range(7) for s in (weekday if d < 5 else weekend)) / 168 * 3600 * 730
    )
    best_usd = min(
        168 * three * price["committed_3y"] + 168 * one * price["committed_1y"] + _rest(counts, three + one, 0.5) * price["on_demand"]
        for three in range(floor(max(counts) * 0.5) + 1) for one in range(max(counts) - three + 1)
    )  # fmt: skip
    assert cost.mix is not None
    assert cost.mix.usd_per_month == pytest.approx(best_usd * 730 / 168)
    assert sum(cost.mix.usd_per_month_by_term.values()) == pytest.approx(cost.mix.usd_per_month)
    assert scenario.load_shape == "office_hours"


def _rest(counts: list[int], committed: int, start_hours: float) -> float:
    over = [max(0, n - committed) for n in counts]
    return sum(over) + start_hours * sum(max(0, over[h] - over[h - 1]) for h in range(len(over)))


def _week(counts: list[int], start_minutes: float = 0.0) -> FleetWeek:
    instances = np.array(counts, dtype=np.int64)
    return FleetWeek(instances * 1.0, instances, instances, 1.0, 1.0, Start(0, 0, 0, 0, start_minutes), 0.0)


def _brute(counts: list[int], rates: Rates, start_hours: float) -> float:
    """Every hour's machines handed out one by one, for every count of commitments."""
    price = dict(rates.usd_per_hour)
    spot = price["spot"] * (1 + rates.spot_extra) if "spot" in price else None
    cheapest = float("inf")
    peak = max(counts)
    for three, one in product(range(rates.three_year_most + 1), range(peak + 1)):
        if three + one > peak or (three and "committed_3y" not in price) or (one and "committed_1y" not in price):
            continue
        total = 168 * (three * price.get("committed_3y", 0) + one * price.get("committed_1y", 0))
        before = max(0, counts[-1] - three - one)
        for n in counts:
            over = max(0, n - three - one)
            on_spot = 0
            if spot is not None:
                on_spot = (
                    over
                    if "on_demand" not in price
                    else min(over, floor(rates.spot_share * n + 1e-9))
                    if spot < price["on_demand"]
                    else 0
                )
            by_hour = price.get("on_demand")
            rising = max(0, over - before) * start_hours
            before = over
            if by_hour is None:
                if spot is None and over:
                    total = float("inf")
                    break
                total += (on_spot + rising) * (spot or 0)
            else:
                total += on_spot * (spot or 0) + (over - on_spot + rising) * by_hour
        cheapest = min(cheapest, total)
    return cheapest


@settings(max_examples=60, deadline=None)
@given(
    day=st.lists(st.integers(0, 6), min_size=24, max_size=24).filter(any),
    price=st.dictionaries(st.sampled_from(["on_demand", "spot", "committed_1y", "committed_3y"]), st.floats(0.1, 2.0), min_size=1),
    most=st.integers(0, 6), share=st.sampled_from([0.0, 0.3, 0.5, 1.0]), extra=st.sampled_from([0.0, 0.2]), start=st.sampled_from([0.0, 30.0]),
)  # fmt: skip
def test_the_mix_is_the_best_there_is(
    day: list[int], price: dict[PriceBasis, float], most: int, share: float, extra: float, start: float
) -> None:
    counts = day * 7
    rates = Rates(price, min(most, max(counts)), share, extra)
    found = best_mix(_week(counts, start), rates)
    cheapest = _brute(counts, rates, start / 60)
    if found is None:
        assert cheapest == float("inf")
    else:
        assert found.usd_per_month == pytest.approx(cheapest * HOURS_PER_MONTH / 168)
        assert found.three_year <= rates.three_year_most


def test_the_mix_is_never_dearer_than_one_kind_of_terms_alone() -> None:
    for kind in KINDS:
        _, _, cost = of({**kind, "load_shape": "consumer_day"})
        assert isinstance(cost.mix, Mix)
        if cost.following is not None:
            assert cost.mix.usd_per_month <= cost.following * (1 + 1e-9)
            assert cost.following <= cost.steady * (1 + 1e-9) + cost.week.start_hours * 1e3
        assert 0 < cost.week.utilization <= 1


@settings(max_examples=25, deadline=None)
@given(rate=st.floats(5.0, 200.0), factor=st.floats(1.05, 3.0), headroom=st.floats(0, 100))
def test_more_load_or_headroom_never_needs_fewer_machines(rate: float, factor: float, headroom: float) -> None:
    scenario = LlmScenario(requests_per_s=rate, load_shape="consumer_day", instances=("aws-g6e-xlarge",))
    more = scenario.model_copy(update={"headroom_percent": headroom})
    larger = scenario.model_copy(update={"requests_per_s": rate * factor})
    counts = [_counts(s) for s in (scenario, more, larger)]
    assert (counts[0] <= counts[1]).all()
    assert (counts[0] <= counts[2]).all()


def _counts(scenario: AnyScenario):  # type: ignore[no-untyped-def]
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    return fleet_week(scenario, CATALOG, best).instances


def test_without_scaling_every_hour_has_the_machines_of_the_busiest() -> None:
    _, best, cost = of({"kind": "llm", "requests_per_s": 60, "load_shape": "office_hours", "scale_with_load": False})
    assert set(cost.week.instances.tolist()) == {best.instances}
    assert cost.week.start_hours == 0
    assert cost.following == pytest.approx(cost.steady)


def test_owned_servers_by_hand() -> None:
    _, best, cost = of({
        "kind": "llm", "requests_per_s": 60, "owned_usd_per_server": 30_000, "owned_years": 5, "owned_watts_per_server": 1000,
        "usd_per_kwh": 0.2, "pue": 1.5, "people_usd_per_year": 24_000, "colocation_usd_per_server_month": 100,
    })  # fmt: skip
    n = best.instances
    assert cost.owned is not None
    assert cost.owned.usd_per_month_by_part == {
        "purchase": pytest.approx(n * 30_000 / 60),
        "power": pytest.approx(n * 1.0 * 1.5 * 730 * 0.2),
        "space and network": n * 100,
        "people": 2_000,
    }


@pytest.mark.parametrize("shape", ["constant", "office_hours"])
def test_owned_servers_draw_what_the_section_on_energy_says(shape: str) -> None:
    """One model of power: with the same PUE and machines that are always on, both count the same kWh."""
    fields = {
        "kind": "llm",
        "requests_per_s": 60,
        "load_shape": shape,
        "scale_with_load": False,
        "pue": 1.25,
        "usd_per_kwh": 0.2,
    }
    scenario, best, cost = of({**fields, "owned_usd_per_server": 30_000})
    used = energy(scenario, CATALOG, best)
    assert used is not None
    assert cost.owned is not None
    assert cost.owned.usd_per_month_by_part["power"] == pytest.approx(used.kwh_per_month.value * 0.2)


def test_power_that_is_not_known_is_left_out_and_never_0() -> None:
    unknown = next(
        i
        for i in CATALOG.instances.values()
        if i.accelerator_id and CATALOG.accelerator(i.accelerator_id).tdp_w is None
    )
    scenario = LlmScenario(owned_usd_per_server=9_000.0)
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    on_it = replace(best, instance=unknown.id, accelerator=unknown.accelerator_id)
    assert server_watts(scenario, CATALOG, on_it) is None
    found = owned(scenario, CATALOG, on_it, fleet_week(scenario, CATALOG, best))
    assert found is not None
    assert "power" not in found.usd_per_month_by_part
    assert found.watts_per_server is None


def test_the_ranking_of_the_year_is_by_its_own_cost() -> None:
    scenario = parse_scenario({"kind": "llm", "requests_per_s": 60, "load_shape": "office_hours"})
    rows = by_year(scenario, CATALOG, plan(scenario, CATALOG))
    costs = [usd for _, usd in rows]
    assert costs == sorted(costs)
    assert len(costs) >= 3


def test_a_usual_scenario_is_answered_as_before() -> None:
    scenario, best, cost = of({"kind": "llm"})
    assert cost.as_planned == best.cost.usd_per_month
    assert cost.steady == pytest.approx(best.cost.usd_per_month)
    assert set(cost.week.instances.tolist()) == {best.instances}
    assert scenario.load_table == ()


def test_the_command_line_prints_totals(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "kind=llm&requests_per_s=60&load_shape=office_hours", "--json"]) == 0
    got = json.loads(capsys.readouterr().out)
    assert len(got["week"]["instances"]) == 168
    assert got["best_mix"]["usd_per_month"] == pytest.approx(sum(got["best_mix"]["usd_per_month_by_term"].values()))
    assert main(["cost", "kind=llm&requests_per_s=60&load_shape=office_hours"]) == 0
    assert "best mix" in capsys.readouterr().out
    assert main(["cost", "kind=llm&load_table=1,2"]) == 2


@pytest.mark.parametrize(
    ("known", "a_month"),
    [("<5% per month (2025-07)", 0.025), ("5-10% per month (2025-07)", 0.075), ("15-20% per month (2025-07)", 0.175), (">20% per month (2025-07)", 0.2), (None, 0.2)],
)  # fmt: skip
def test_interruptions_are_the_middle_of_their_class_and_no_date_is_read_as_one(
    known: str | None, a_month: float
) -> None:
    assert interruptions(LlmScenario(), known) == pytest.approx(a_month)
    assert interruptions(LlmScenario(spot_interruptions_per_month=3.0), known) == 3.0


def test_every_class_of_the_catalog_is_read_as_a_share_of_a_month() -> None:
    classes = {i.spot_interruption for i in CATALOG.instances.values()} - {None}
    assert len(classes) >= 5
    assert all(0 < interruptions(LlmScenario(), known) <= 0.2 for known in classes)
