"""Which runtime to pick: times a row that agree with the plan, and a pick that no other runtime beats."""

from __future__ import annotations

import numpy as np
import pytest

from sizing import catalog
from sizing.scenario import StatisticalScenario
from sizing.statistical import plan
from sizing.statistical.measured import fingerprint
from sizing.statistical.runtimes import outcomes, pick, pick_words, row_times

CATALOG = catalog.load()
SCENARIO = StatisticalScenario(requests_per_s=3000.0, p99_target_ms=8.0)


def test_the_time_of_a_row_at_the_scenario_is_the_plans() -> None:
    for rows in (1, 50, 10_000):
        scenario = SCENARIO.model_copy(update={"rows_per_request": rows, "p99_target_ms": None, "requests_per_s": 5.0})
        best = plan(scenario, CATALOG).recommended
        found = {each.runtime: each for each in row_times(scenario, CATALOG, best)}
        assert set(found) == {r.id for r in CATALOG.statistical_family(scenario.family).runtimes}
        own = found[scenario.runtime]
        assert own.at_scenario_us == pytest.approx(float(best.extra["model_latency_ms"]) * 1000.0 / rows)
        assert rows in own.rows
        for each in found.values():
            assert np.all(each.low_us < each.us_per_row)
            assert np.all(each.us_per_row < each.high_us)
            assert np.all(np.diff(each.us_per_row) < 0), "a call shared by more rows costs each of them less"


def test_outcomes_are_the_plans_of_the_other_runtimes() -> None:
    for each in outcomes(SCENARIO, CATALOG):
        best = plan(SCENARIO.model_copy(update={"runtime": each.runtime}), CATALOG).recommended
        assert (each.usd_per_month, each.instances) == (best.cost.usd_per_month, best.instances)


def test_the_pick_costs_least_and_says_what_it_saves() -> None:
    found = outcomes(SCENARIO, CATALOG)
    best = pick(found)
    assert best.usd_per_month == min(o.usd_per_month for o in found)
    now = next(o for o in found if o.runtime == "native")
    said = pick_words(found, SCENARIO)
    assert best.name in said
    assert f"${now.usd_per_month - best.usd_per_month:,.2f}" in said
    assert f"{now.host_ms / best.host_ms:.2g} times as fast" in said
    chosen = SCENARIO.model_copy(update={"runtime": best.runtime})
    assert "the chosen one" in pick_words(outcomes(chosen, CATALOG), chosen)


def test_large_batches_turn_the_choice_round() -> None:
    # Own measurement: ONNX Runtime is far ahead at one row and behind the library at thousands.
    one = {o.runtime: o.host_ms for o in outcomes(SCENARIO, CATALOG)}
    many_rows = SCENARIO.model_copy(update={"rows_per_request": 4096, "requests_per_s": 20.0, "p99_target_ms": None})
    many = {o.runtime: o.host_ms for o in outcomes(many_rows, CATALOG)}
    assert one["onnxruntime"] < one["native"] / 5
    assert many["onnxruntime"] > many["native"]


def test_a_scenario_that_nothing_serves_says_so() -> None:
    impossible = SCENARIO.model_copy(update={"p99_target_ms": 0.01})
    found = outcomes(impossible, CATALOG)
    assert pick(found) is None
    assert all(o.because is not None for o in found)
    assert "No runtime" in pick_words(found, impossible)
    # A limit that only the faster runtimes keep.
    tight = SCENARIO.model_copy(update={"p99_target_ms": 1.75})
    served = {o.runtime for o in outcomes(tight, CATALOG) if o.usd_per_month is not None}
    assert "onnxruntime" in served


def test_measured_times_are_the_charts_and_the_web_server_found_stands_before_every_runtime() -> None:
    took = 3.0 * float(plan(SCENARIO, CATALOG).recommended.extra["service_ms"])
    where = plan(SCENARIO, CATALOG).recommended.instance
    text = f"{where}~{fingerprint(SCENARIO)}~request~1={took:.6f}"
    slow = SCENARIO.model_copy(update={"measured_service": text, "p99_target_ms": None})
    best = plan(slow, CATALOG).recommended
    own = next(each for each in row_times(slow, CATALOG, best) if each.runtime == slow.runtime)
    assert own.at_scenario_us == pytest.approx(float(best.extra["model_latency_ms"]) * 1000.0)
    assert np.all(own.low_us < own.us_per_row)
    assert np.all(own.us_per_row < own.high_us)
    web_ms = float(best.extra["http_overhead_ms"])
    assert web_ms > 1.5 * slow.http_overhead_ms
    other = slow.model_copy(update={"runtime": "onnxruntime", "http_overhead_ms": web_ms, "measured_service": None})
    found = next(o for o in outcomes(slow, CATALOG) if o.runtime == "onnxruntime")
    assert found.usd_per_month == pytest.approx(plan(other, CATALOG).recommended.cost.usd_per_month)
