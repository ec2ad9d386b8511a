"""The advisor's section on every page: folded it costs nothing, Apply gives the promised figures, Undo gives them back."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from sizing import catalog as catalogs
from sizing import link as links
from sizing.advisor import advise, best_path
from sizing.advisor.evaluate import changed
from sizing.planner import plan
from sizing.scenario import AnyScenario, DeepLearningScenario, LlmScenario, StatisticalScenario, scenario_from_yaml
from sizing.units import format_usd
from tests.ui.test_pages_fuzz import EXAMPLES, headline, open_scenario
from ui import advisor

CATALOG = catalogs.load()
SCENARIOS: dict[str, AnyScenario] = {
    "llm": scenario_from_yaml(EXAMPLES["llama-2-70b"].read_text(encoding="utf-8")),
    "deep_learning": scenario_from_yaml(EXAMPLES["resnet-50"].read_text(encoding="utf-8")),
    "statistical": scenario_from_yaml(EXAMPLES["random-forest-onnx"].read_text(encoding="utf-8")),
}


def opened(scenario: AnyScenario) -> AppTest:
    at = open_scenario(scenario)
    at.session_state["advisor"] = True
    at.run()
    assert not at.exception
    return at


def texts(at: AppTest) -> str:
    return " ".join(m.value for m in at.markdown).replace("\\", "")


def headline_of(scenario: AnyScenario) -> str:
    return plan(scenario, CATALOG).headline.replace("&", "&amp;")


@pytest.mark.parametrize("kind", SCENARIOS)
def test_apply_changes_the_link_and_gives_the_promised_figures_and_undo_restores(kind: str) -> None:
    scenario = SCENARIOS[kind]
    advice = advise(scenario, CATALOG)
    assert advice is not None
    at = opened(scenario)
    for outcome in (advice.shown[0], advice.shown[-1]):
        before = dict(at.query_params)
        at.button(key=f"advisor:{outcome.move.id}").click().run()
        assert not at.exception
        moved = changed(scenario, outcome.move.changes)
        assert at.session_state[f"page:{kind}"].scenario == moved
        assert dict(at.query_params) == links.to_params(moved, catalog_version=CATALOG.version) != before
        assert headline_of(moved) in headline(at)
        assert outcome.figures is not None
        month = next(metric.value for metric in at.metric if metric.label == "Cost per month")
        assert month == format_usd(outcome.figures.usd_per_month)
        assert at.session_state[f"former:{kind}"] == scenario
        assert f"Applied: {outcome.move.title}." in texts(at)
        at.button(key="advisor:undo").click().run()
        assert not at.exception
        assert at.session_state[f"page:{kind}"].scenario == scenario
        assert headline_of(scenario) in headline(at)
        assert "Applied:" not in texts(at)
        assert at.session_state[f"former:{kind}"] is None


@pytest.mark.parametrize("kind", SCENARIOS)
def test_the_table_says_each_move_with_its_saving_and_source(kind: str) -> None:
    advice = advise(SCENARIOS[kind], CATALOG)
    assert advice is not None
    rows = [html.proto.body for html in opened(SCENARIOS[kind]).get("html") if 'class="move"' in html.proto.body]
    assert len(rows) == len(advice.shown)
    for row, outcome in zip(rows, advice.shown, strict=True):
        assert outcome.move.title in row
        assert outcome.move.quality.as_of in row
        assert format_usd(abs(outcome.saves_usd_per_month or 0.0)) in row or "no difference" in row
        assert ("Answers can change" in row) == (outcome.move.quality.effect in ("slight", "may_change", "unknown"))


@pytest.mark.parametrize(
    "scenario", [LlmScenario(), DeepLearningScenario(), StatisticalScenario()], ids=lambda s: s.kind
)
def test_closed_it_tries_nothing(scenario: AnyScenario, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    monkeypatch.setattr(advisor, "advise", lambda s, c: tried.append(s))
    at = open_scenario(scenario)
    assert not at.exception
    assert not tried
    assert any(box.label == advisor.TITLE for box in at.expander)


def test_undo_goes_back_step_by_step_and_what_others_changed_stays() -> None:
    scenario = SCENARIOS["llm"]
    at = opened(scenario)
    at.button(key="advisor:weights:fp8").click().run()
    first = at.session_state["page:llm"].scenario
    again = advise(first, CATALOG)
    assert again is not None
    second = next(o.move for o in again.shown if o.move.group == "batching")
    at.button(key=f"advisor:{second.id}").click().run()
    assert at.session_state["former:llm"] == first
    next(box for box in at.number_input if box.key == "llm:prompt_tokens").set_value(1200).run()
    assert f"Applied: {second.title}." in texts(at)
    at.button(key="advisor:undo").click().run()
    now = at.session_state["page:llm"].scenario
    assert all(getattr(now, name) == getattr(first, name) for name in second.changes)
    assert now.weight_format == "fp8"
    assert now.prompt_tokens == 1200
    at.button(key="advisor:undo").click().run()
    assert at.session_state["page:llm"].scenario == scenario.model_copy(update={"prompt_tokens": 1200})
    assert not at.exception


def test_what_was_applied_is_forgotten_once_its_field_is_changed_by_hand() -> None:
    at = opened(SCENARIOS["llm"])
    at.button(key="advisor:weights:fp8").click().run()
    next(box for box in at.selectbox if box.key == "llm:weight_format").set_value("int4").run()
    assert not at.exception
    assert "Applied:" not in texts(at)
    assert at.session_state["former:llm"] is None


def test_the_combination_is_worked_out_on_request_and_applied_at_once() -> None:
    scenario = SCENARIOS["deep_learning"]
    at = opened(scenario)
    assert "Step 1" not in texts(at)
    at.button(key="advisor:combine").click().run()
    steps = best_path(scenario, CATALOG, allowed="formats")
    assert len(steps) >= 2
    assert f"{format_usd(steps[-1].saved_usd_per_month)} (" in texts(at)
    at.button(key=f"advisor:step{len(steps)}").click().run()
    assert not at.exception
    assert at.session_state["page:deep_learning"].scenario == changed(scenario, steps[-1].changes)
    month = next(metric.value for metric in at.metric if metric.label == "Cost per month")
    assert month == format_usd(steps[-1].figures.usd_per_month)
    at.button(key="advisor:undo").click().run()
    assert at.session_state["page:deep_learning"].scenario == scenario


def test_everything_tried_can_be_seen() -> None:
    scenario = SCENARIOS["statistical"]
    advice = advise(scenario, CATALOG)
    assert advice is not None
    at = opened(scenario)
    next(toggle for toggle in at.toggle if toggle.key == "advisor:rest").set_value(True).run()
    assert not at.exception
    shown = " ".join(html.proto.body for html in at.get("html"))
    for outcome in advice.outcomes:
        assert outcome.move.title.replace("'", "&#x27;") in shown
    assert any("Serverless" in caption.value for caption in at.caption)


def test_nothing_is_drawn_where_nothing_serves() -> None:
    at = open_scenario(LlmScenario(model="llama-2-70b-hf", tpot_target_ms=2.0))
    assert not at.exception
    assert not any(box.label == advisor.TITLE for box in at.expander)
