"""The section of load on the deep learning page: folded at first, charts with units, the simulation only when asked for."""

from __future__ import annotations

import pytest

from sizing.catalog import load
from sizing.deep_learning import plan
from sizing.deep_learning.load import loads_around, simulated, steps_by_load
from sizing.scenario import DeepLearningScenario
from tests.ui.test_pages_fuzz import open_app
from ui.load import TITLE, host_facts, step_chart

CATALOG = load()


def test_steps_pass_through_the_answer_and_never_fall() -> None:
    scenario = DeepLearningScenario(requests_per_s=3000.0)
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    rate = best.throughput.requests_per_s.demanded
    steps = steps_by_load(scenario, best, loads_around(rate))
    at = steps.requests_per_s.index(rate)
    assert (steps.workers[at], steps.machines[at]) == (best.replicas, best.instances)
    assert steps.usd_per_hour[at] == pytest.approx(best.cost.usd_per_hour)
    assert list(steps.workers) == sorted(steps.workers)
    assert list(steps.machines) == sorted(steps.machines)
    figure = step_chart(["one"], [steps], rate, dollars=True)
    assert "(requests/s)" in figure.layout.xaxis.title.text
    assert "(USD/hour)" in figure.layout.yaxis.title.text


def test_simulation_is_near_the_formula() -> None:
    scenario = DeepLearningScenario(queue_delay_ms=3.0)
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    said = best.latency_ms["latency"].p95
    assert said is not None
    cpu = float(best.extra["cpu_ms_per_request"] or 0.0)
    assert said == pytest.approx(simulated(scenario, best).percentile_ms(95) + cpu, rel=0.1)


def test_facts_name_what_is_nearest_to_its_limit() -> None:
    best = plan(DeepLearningScenario(cpu_ms_per_request=20.0, instances=("aws-g4dn-xlarge",)), CATALOG).recommended
    assert best is not None
    assert dict(host_facts(best))["Nearest to its limit"] == "CPU"


def test_the_section_is_closed_at_first_and_simulates_when_asked() -> None:
    at = open_app("deep_learning")
    assert not at.exception
    assert not [toggle for toggle in at.toggle if toggle.key == "load:simulate"]
    at.session_state["load"] = True
    at.run()
    assert not at.exception
    assert TITLE in [section.label for section in at.expander]
    at.toggle(key="load:simulate").set_value(True).run()
    assert not at.exception
    assert any("Formula against simulation" in html.proto.body for html in at.get("html"))
