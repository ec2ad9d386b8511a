"""The sections of why and of the words: closed at first, their figures once opened; the count beside the answer."""

from __future__ import annotations

import json

import pytest
from test_own_model import html
from test_pages_fuzz import open_scenario

from sizing import catalog as catalogs
from sizing.planner import plan
from sizing.scenario import AnyScenario, DeepLearningScenario, LlmScenario, StatisticalScenario
from sizing.why import answer_interval
from sizing.why.interval import cheapest_at_ends
from sizing.why.steps import grouped
from sizing.why.tornado import tornado
from sizing.why.words import words
from ui import explain, why
from ui.frame import plain
from ui.tornado_chart import cost_figure, latency_figure

CATALOG = catalogs.load()
SCENARIOS = (
    StatisticalScenario(requests_per_s=50_000),
    DeepLearningScenario(requests_per_s=50_000),
    LlmScenario(model="llama-3.1-70b", requests_per_s=20),
)
each = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.kind)


@each
def test_why_is_closed_at_first_and_says_interval_tornado_and_binding_once_open(scenario: AnyScenario) -> None:
    found = plan(scenario, CATALOG)
    needed, best = answer_interval(scenario, CATALOG, found), found.recommended
    assert needed is not None
    assert best is not None
    at = open_scenario(scenario)
    assert why.TITLE in [section.label for section in at.expander]
    assert f"Needed: {needed.words}." in html(at)
    sure = plain(why.interval_words(scenario, needed, cheapest_at_ends(scenario, CATALOG), best))
    assert sure not in [text.value for text in at.markdown]
    charts = len(at.get("plotly_chart"))
    at.session_state["why"] = True
    at.run()
    assert not at.exception
    said = [text.value for text in at.markdown]
    moved = tornado(scenario, CATALOG)
    assert moved is not None
    assert sure in said
    assert plain(why.tornado_words(scenario, moved, why.moving(moved)[0])) in said
    assert len(at.get("plotly_chart")) == charts + 2
    for chart in at.get("plotly_chart")[-2:]:
        axis = json.loads(chart.proto.spec)["layout"]["xaxis"]["title"]["text"]
        assert axis in ("cost (USD per month)", "latency (ms)")
    assert any(text.startswith(plain(f"Binding: {best.binding_constraint}.")) for text in said)


@each
def test_the_words_are_made_once_open(scenario: AnyScenario) -> None:
    at = open_scenario(scenario)
    assert explain.TITLE in [section.label for section in at.expander]
    wanted = [f"**{plain(w.term)}.** {plain(w.text)}" for w in words(scenario, CATALOG, plan(scenario, CATALOG))]
    assert not set(wanted) & {text.value for text in at.markdown}
    at.session_state["explanations"] = True
    at.run()
    assert not at.exception
    shown = [text.value for text in at.markdown]
    assert [text for text in shown if text in wanted] == wanted


@each
def test_the_working_opens_by_group(scenario: AnyScenario) -> None:
    groups = grouped(plan(scenario, CATALOG).working)
    at = open_scenario(scenario)
    labels = [section.label for section in at.expander]
    assert [label for label in labels if label.split(":")[0] in dict(groups)] == [
        f"{name}: {len(steps)} step{'s' if len(steps) > 1 else ''}" for name, steps in groups
    ]
    name, steps = groups[-1]
    assert steps[0].formula not in html(at)
    at.session_state[f"working:{name}"] = True
    at.run()
    assert not at.exception
    assert all(step.quantity in html(at) for step in steps)


def test_without_an_answer_there_is_nothing_to_explain() -> None:
    at = open_scenario(LlmScenario(tpot_target_ms=0.01))
    assert not {why.TITLE, explain.TITLE} & {section.label for section in at.expander}
    assert "Needed:" not in html(at)


def test_where_nothing_moves_the_cost_only_the_latency_is_drawn() -> None:
    found = tornado(LlmScenario(), CATALOG)
    assert found is not None
    shown = tuple(bar for bar in why.moving(found)[0] if bar.name != "price of the machine")
    assert shown
    assert "none moves the cost" in why.tornado_words(LlmScenario(), found, shown)


def test_bars_reach_from_end_to_end_in_two_colours_and_the_largest_is_on_top() -> None:
    found = tornado(SCENARIOS[1], CATALOG)
    assert found is not None
    shown, still = why.moving(found)
    assert len(shown) <= 12
    assert {bar.name for bar in shown} | {bar.name for bar in still} == {bar.name for bar in found.bars}
    figure = cost_figure(found, shown)
    assert {trace.name for trace in figure.data} == {"your inputs", "our own constants"}
    assert len({trace.marker.color for trace in figure.data}) == 2
    assert figure.layout.yaxis.categoryarray[-1] == shown[0].name
    for trace in figure.data:
        for name, start, length in zip(trace.y, trace.base, trace.x, strict=True):
            bar = next(b for b in shown if b.name == name)
            costs = [s.outcome.usd_per_month for s in bar.sides if s.outcome is not None] + [found.now.usd_per_month]
            assert start == pytest.approx(min(costs))
            assert start + length == pytest.approx(max(costs))
    overloaded = [s for bar in shown for s in bar.sides if s.latency_ms == float("inf")]
    notes = [note.text for note in latency_figure(found, shown).layout.annotations]
    assert len(overloaded) == len(notes) > 0
    assert all(text.endswith(": overload") for text in notes)
