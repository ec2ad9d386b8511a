"""Power, energy and CO2: the fit to public runs, a node that others measured, and figures by hand."""

from __future__ import annotations

import csv
from dataclasses import replace
from math import exp, log2
from pathlib import Path

import numpy as np
import pytest

from sizing import catalog as catalogs
from sizing import power
from sizing.energy import DEFAULT_PUE, energy
from sizing.grid import SPREAD, grid_of
from sizing.planner import plan
from sizing.scenario import DeepLearningScenario, LlmScenario, StatisticalScenario, parse_scenario

CATALOG = catalogs.load()
RUNS = Path(__file__).resolve().parent.parent / "benchmarks" / "board_power.csv"


def runs() -> tuple[np.ndarray, np.ndarray]:
    """Requests in flight and power / TDP of each public run."""
    with RUNS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    shares = [float(r["watts"]) / (int(r["boards"]) * (CATALOG.accelerator(r["accelerator"]).tdp_w or 0)) for r in rows]
    return np.array([float(r["in_flight"]) for r in rows]), np.array(shares)


def test_the_constants_are_the_least_squares_of_the_runs() -> None:
    in_flight, shares = runs()
    assert len(shares) == 66
    slope, at_one = np.polyfit(np.log2(in_flight), shares, 1)
    assert at_one == pytest.approx(power.BUSY_SHARE_ONE, abs=5e-4)
    assert slope == pytest.approx(power.BUSY_SHARE_PER_DOUBLING, abs=5e-4)


def test_eight_of_ten_runs_lie_in_the_interval() -> None:
    in_flight, shares = runs()
    predicted = np.array([power.busy_share(n) for n in in_flight])
    inside = (shares >= predicted - power.BUSY_BELOW) & (shares <= predicted + power.BUSY_ABOVE)
    assert 0.75 <= inside.mean() <= 0.87


def test_power_grows_with_the_load_between_idle_and_full() -> None:
    lows, centres, highs = zip(*(power.board_shares(n) for n in (0.0, 0.1, 1.0, 8.0, 64.0, 1e5)), strict=True)
    for ends in (lows, centres, highs):
        assert list(ends) == sorted(ends)
    assert all(low <= centre <= high for low, centre, high in zip(lows, centres, highs, strict=True))
    assert power.board_shares(0.0)[1] == power.IDLE_SHARE
    assert power.board_shares(3.0, busy=0.0) == (power.IDLE_LOW, power.IDLE_SHARE, power.IDLE_HIGH)


def test_a_node_of_eight_h100_draws_what_was_measured() -> None:
    # arXiv:2506.14551: 76 % of 10.2 kW under the heaviest load, boards near their rated power.
    instance, part = CATALOG.instance("aws-p5-48xlarge"), CATALOG.accelerator("h100-sxm-80gb")
    assert part.tdp_w == 700
    idle, full = power.cpu_watts(instance)
    boards = 8 * 700 * (power.BUSY_SHARE_MOST + power.BOARD_EXTRA)
    host = (instance.vcpus or 0) * (idle + 0.2 * (full - idle)) + power.memory_watts(instance)
    assert boards + host == pytest.approx(0.76 * 10_200, rel=0.1)


def test_a_small_machine_by_hand() -> None:
    scenario = DeepLearningScenario(instances=("aws-g4dn-xlarge",), grid_g_co2_per_kwh=100.0, power_share_of_tdp=0.5)
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    assert (best.instances, best.accelerator, best.vcpus_per_instance) == (1, "t4", 4)
    found = energy(scenario, CATALOG, best)
    assert found is not None
    busy = float(best.extra["vcpus_needed"] or 0) / 4
    cpus = 4 * (0.69 + busy * (4.06 - 0.69))
    memory = 0.392 * (16 * 2**30 / 1e9 - 1.5 * 4)
    watts = (70 * 0.5 + 70 * 0.10 + cpus + memory) * DEFAULT_PUE
    assert found.watts.value == pytest.approx(watts)
    assert found.kwh_per_month.value == pytest.approx(watts * 0.73)
    assert found.wh_per_request.value == pytest.approx(watts / (500 * 3600))
    assert found.g_co2_per_request.value == pytest.approx(watts / (500 * 3600) / 10)
    assert found.kg_co2_per_month.value == pytest.approx(watts * 0.073)
    assert found.wh_per_1k_output_tokens is None


def test_the_buildings_share_is_the_users_where_they_changed_it_and_exact_then() -> None:
    usual, own = StatisticalScenario(), StatisticalScenario(pue=1.5)
    best = plan(usual, CATALOG).recommended
    assert best is not None
    cloud, changed = energy(usual, CATALOG, best), energy(own, CATALOG, best)
    assert cloud is not None
    assert changed is not None
    assert (cloud.pue, changed.pue) == (DEFAULT_PUE, 1.5)
    assert changed.watts.value == pytest.approx(cloud.watts.value / DEFAULT_PUE * 1.5)
    assert changed.watts.high / changed.watts.value < cloud.watts.high / cloud.watts.value


def test_boards_that_serve_and_wait_by_hand() -> None:
    scenario = parse_scenario(
        {"kind": "llm", "model": "llama-3.3-70b-instruct", "instances": ["aws-p5-48xlarge"], "requests_per_s": 20.0}
    )
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    found = energy(scenario, CATALOG, best)
    assert found is not None
    serving, held = best.replicas * (best.accelerators_per_replica or 0), best.accelerators or 0
    assert serving < held
    n = float(best.extra["batch_in_flight"] or 0)
    share = (1 - exp(-n)) * (0.465 + 0.044 * log2(n)) + exp(-n) * 0.20
    parts = {part.name: part.watts for part in found.parts}
    assert parts["Accelerators that serve"] == pytest.approx(serving * 700 * share)
    assert parts["Accelerators that wait"] == pytest.approx((held - serving) * 700 * 0.20)
    assert sum(parts.values()) * DEFAULT_PUE == pytest.approx(found.watts.value)
    tokens = found.wh_per_1k_output_tokens
    assert tokens is not None
    assert tokens.value * scenario.output_tokens / 1000 == pytest.approx(found.wh_per_request.value)  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["llm", "deep_learning", "statistical"])
def test_the_interval_holds_the_figure(kind: str) -> None:
    scenario = parse_scenario({"kind": kind})
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    found = energy(scenario, CATALOG, best)
    assert found is not None
    for part in (*found.parts, found.watts, found.kwh_per_month, found.wh_per_request, found.kg_co2_per_month):
        assert part.low < (part.watts if hasattr(part, "watts") else part.value) < part.high


def test_the_grid_is_that_of_the_place_or_the_users_own() -> None:
    assert (
        grid_of("eu-north1", "eu").g_per_kwh
        < grid_of("eu-west-1", "eu").g_per_kwh
        < grid_of("us-east-1", "us").g_per_kwh
    )
    scenario = StatisticalScenario(region="eu", grid_g_co2_per_kwh=0.0)
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    clean = energy(scenario, CATALOG, best)
    assert clean is not None
    assert clean.kg_co2_per_month.high == 0.0
    assert "as you entered it" in clean.grid.source
    usual = grid_of(best.region, "eu")
    assert (usual.low, usual.high) == (usual.g_per_kwh * SPREAD[0], usual.g_per_kwh * SPREAD[1])


def test_every_region_of_the_price_list_has_a_country() -> None:
    groups = {"us": {"United States"}, "eu": set(), "apac": set()}  # type: dict[str, set[str]]
    for instance in CATALOG.instances.values():
        for price in instance.prices:
            groups[price.region_group].add(grid_of(price.region.split(", ")[0], price.region_group).place)
    assert groups["us"] == {"United States"}
    assert {"Ireland", "Netherlands"} <= groups["eu"]
    assert {"Japan", "Singapore"} <= groups["apac"]
    assert not groups["eu"] & groups["apac"]


def test_an_accelerator_without_rated_power_gives_none_and_never_zero() -> None:
    unrated = [a.id for a in CATALOG.accelerators.values() if a.tdp_w is None]
    assert unrated
    scenario = LlmScenario()
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    assert energy(scenario, CATALOG, replace(best, accelerator=unrated[0])) is None
