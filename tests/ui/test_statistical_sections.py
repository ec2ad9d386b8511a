"""Folded sections of the statistical page: runtimes, x86 against Arm, serverless, autoscaling; and its ranking table."""

from __future__ import annotations

import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from test_own_model import field, html
from test_pages_fuzz import headline, marks, open_scenario

from sizing import catalog as catalogs
from sizing.planner import plan
from sizing.scenario import StatisticalScenario
from sizing.statistical.architectures import compare, verdict_words
from sizing.statistical.autoscaling import sagemaker_policy, targets
from sizing.statistical.recommendations import DEFINITIONS, recommendation
from sizing.statistical.runtimes import outcomes, pick_words, row_times
from ui.autoscaling import figures
from ui.frame import plain
from ui.runtimes import time_chart
from ui.serverless import compared, cost_chart, words
from ui.statistical_table import KEY

CATALOG = catalogs.load()
SCENARIO = StatisticalScenario(requests_per_s=40.0, p99_target_ms=60.0)
KEYS = ("runtimes", "architectures", "serverless", "autoscaling")


def opened(scenario: StatisticalScenario, *keys: str) -> AppTest:
    at = open_scenario(scenario)
    for key in keys:
        at.session_state[key] = True
    at.run()
    assert not at.exception
    return at


def texts(at: AppTest) -> list[str]:
    return [m.value for m in at.markdown]


def test_closed_sections_compute_nothing_and_the_answer_stays_first() -> None:
    compared.cache_clear()
    at = open_scenario(SCENARIO)
    assert compared.cache_info().misses == 0
    assert "Best on x86" not in html(at)
    assert not at.code or all("TargetValue" not in code.value for code in at.code)
    assert len(at.get("plotly_chart")) == 3


def test_each_section_says_its_outcome() -> None:
    at = opened(SCENARIO, *KEYS)
    best = plan(SCENARIO, CATALOG).recommended
    assert best is not None
    assert plain(pick_words(outcomes(SCENARIO, CATALOG), SCENARIO)) in texts(at)
    assert plain(verdict_words(compare(SCENARIO, CATALOG, plan(SCENARIO, CATALOG).ranked))) in texts(at)
    found, _ = compared(SCENARIO, CATALOG)
    assert plain(words(SCENARIO, found, best.cost.usd_per_month, 40.0)) in texts(at)
    assert "AWS Lambda, Arm" in html(at)
    policy = next(code.value for code in at.code if "TargetValue" in code.value)
    assert json.loads(policy) == sagemaker_policy(targets(SCENARIO, CATALOG, best))
    assert any("kind: HorizontalPodAutoscaler" in code.value for code in at.code)
    assert len(at.get("plotly_chart")) == 5


def test_sections_of_a_scenario_that_nothing_serves_are_left_out() -> None:
    at = opened(StatisticalScenario(p99_target_ms=0.01), *KEYS)
    assert "Best on x86" not in html(at)
    assert not [code for code in at.code if "TargetValue" in code.value]


def test_a_link_of_an_older_catalog_says_that_it_has_no_services() -> None:
    old = catalogs.available_versions()[0]
    at = open_scenario(SCENARIO, catalog=old)
    at.session_state["serverless"] = True
    at.run()
    assert not at.exception
    assert any("has no serverless services" in text for text in texts(at))


def test_clouds_without_a_service_say_so() -> None:
    at = opened(SCENARIO.model_copy(update={"providers": ("oci",)}), "serverless", "autoscaling", "architectures")
    assert any("no serverless service in the catalog" in text for text in texts(at))
    assert not [code for code in at.code if "TargetValue" in code.value]


def test_autoscaling_inputs_travel_in_the_link_and_move_the_policy() -> None:
    at = opened(SCENARIO, "autoscaling")
    before, said = headline(at), next(code.value for code in at.code if "TargetValue" in code.value)
    at.number_input(key="statistical:safety_factor").set_value(0.25).run()
    assert not marks(at)
    assert field(at, "safety_factor") == "0.25"
    now = next(code.value for code in at.code if "TargetValue" in code.value)
    assert json.loads(now)["TargetValue"] == pytest.approx(json.loads(said)["TargetValue"] / 2, rel=1e-4)
    assert headline(at) == before
    at.number_input(key="statistical:peak_requests_per_s").set_value(5000.0).run()
    assert "5,000 requests/s (given)" in html(at)


def test_the_ranking_has_nine_columns_and_all_of_them_on_demand() -> None:
    at = open_scenario(SCENARIO)
    frame = at.dataframe[0].value
    assert list(frame.columns) == [
        *("Instances", "USD/month", "USD/hour", "USD/1M inferences", "Max invocations/min"),
        *("Model latency p99 (ms)", "In system p99 (ms)", "CPU (%)", "Memory (%)"),
    ]
    row = recommendation(plan(SCENARIO, CATALOG).ranked[0])
    assert frame.iloc[0]["Model latency p99 (ms)"] == row.model_latency_p99_ms
    assert frame.iloc[0]["CPU (%)"] == row.cpu_utilization_percent
    assert not any("**Model latency" in text for text in texts(at))
    at = opened(SCENARIO, KEY)
    defined = next(text for text in texts(at) if "**Model latency" in text)
    assert len(defined.splitlines()) == len(DEFINITIONS)
    wide = at.dataframe[0].value
    assert len(wide.columns) == 14
    assert {"Workers each", "Model latency p50 (ms)", "In system p95 (ms)"} <= set(wide.columns)


def test_the_cost_chart_marks_demand_and_break_even() -> None:
    found, kinds = compared(SCENARIO, CATALOG)
    first = found[0][1].first_per_s
    assert first is not None
    figure = cost_chart(found, kinds, 40.0)
    assert figure.layout.xaxis.title.text == "load (requests/s)"
    assert figure.layout.yaxis.title.text == "cost (USD per month)"
    assert {shape.x0 for shape in figure.layout.shapes} == {40.0, first}
    notes = {note.text.strip(): note.x for note in figure.layout.annotations}
    assert notes["demanded"] == pytest.approx(np.log10(40.0))
    (star,) = (trace for trace in figure.data if trace.marker.symbol == "star")
    steps = figure.data[0]
    assert star.y[0] == pytest.approx(float(np.interp(first, steps.x, steps.y)), rel=1e-6)
    assert len(figure.data) == len(found) + 2


def test_the_words_name_the_cheaper_side() -> None:
    found, _ = compared(SCENARIO, CATALOG)
    option, even = found[0]
    assert "serverless is cheaper" in words(SCENARIO, found, option.usd_per_month + 1, 40.0)
    assert "always-on is cheaper" in words(SCENARIO, found, option.usd_per_month - 0.01, 40.0)
    assert f"{even.first_per_s:,.4g} requests/s" in words(SCENARIO, found, 30.0, 40.0)
    tight = SCENARIO.model_copy(update={"p99_target_ms": 5.0})
    assert "No serverless service keeps the scenario" in words(tight, compared(tight, CATALOG)[0], 30.0, 40.0)


def test_the_runtime_chart_has_a_line_a_runtime_and_the_scenario_marked() -> None:
    best = plan(SCENARIO, CATALOG).recommended
    assert best is not None
    figure = time_chart(row_times(SCENARIO, CATALOG, best), 1)
    assert [trace.name for trace in figure.data] == ["Native", "Booster call", "ONNX Runtime", "Compiled"]
    assert figure.layout.xaxis.title.text == "rows in a request (count)"
    assert figure.layout.yaxis.title.text == "predict call (µs per row)"
    assert "this scenario" in [note.text.strip() for note in figure.layout.annotations]


def test_the_cpu_target_of_a_burstable_type_says_what_lies_above_its_baseline() -> None:

    catalog = catalogs.load()
    for instance, told in (("aws-t3-medium", True), ("aws-c7i-large", False)):
        scenario = StatisticalScenario(instances=(instance,), requests_per_s=100.0)
        best = plan(scenario, catalog).recommended
        assert best is not None
        said = dict(figures(targets(scenario, catalog, best), "kubernetes"))["CPU target, busy vCPUs of all vCPUs"]
        assert ("above the 20% that this burstable type" in said) is told
