"""The comparison page: opened by its link, empty or with a bad one; scenarios added, changed, moved and taken out."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from sizing import catalog as catalogs
from sizing import link as links
from sizing.comparison import headline, slots
from sizing.comparison_view import Comparison, comparison_of
from sizing.scenario import AnyScenario, DeepLearningScenario, LlmScenario, StatisticalScenario
from ui.keep import KEPT

ROOT = Path(__file__).resolve().parents[2]
VERSION = catalogs.load().version


def query(scenario: AnyScenario) -> str:
    return links.to_query(scenario, catalog_version=VERSION)


def opened(view: Comparison | None = None, **changed: str) -> AppTest:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.switch_page("pages/compare.py")
    params = {} if view is None else links.to_params(view, catalog_version=VERSION)
    for name, value in {**params, **changed}.items():
        at.query_params[name] = value
    return at.run()


def address(at: AppTest) -> Comparison:
    found = links.from_params(
        {name: v if isinstance(v, str) else v[0] if v else "" for name, v in at.query_params.items()}
    ).scenario
    assert isinstance(found, Comparison)
    return found


def shown(at: AppTest) -> str:
    return "\n".join(html.proto.body for html in at.get("html"))


def test_an_empty_page_shows_an_example_and_links_to_it() -> None:
    at = opened()
    assert not at.exception
    assert len(address(at).queries) == 2
    assert headline(slots(address(at))).replace("'", "&#x27;") in shown(at)
    assert len(at.get("plotly_chart")) == 3


def test_scenarios_of_all_kinds_stand_side_by_side() -> None:
    view = comparison_of(tuple(map(query, (LlmScenario(), DeepLearningScenario(), StatisticalScenario()))))
    at = opened(view)
    assert not at.exception
    assert address(at) == view
    for slot in slots(view):
        assert any(slot.label in text.value.replace("\\", "") for text in at.markdown)
    assert len(at.get("plotly_chart")) == 3


def test_a_copy_with_one_thing_changed_is_added_and_answered() -> None:
    at = opened(comparison_of((query(LlmScenario()),)))
    at.selectbox(key="compare:field").set_value("requests_per_s").run()
    at.text_input(key="compare:value").set_value("40")
    at.button[-1].click()
    next(b for b in at.button if b.label == "Add the copy").click().run()
    assert not at.exception
    added = links.from_query(address(at).queries[1]).scenario
    assert added == LlmScenario(requests_per_s=40.0)
    assert "Requests per second" in shown(at)


def test_a_twin_is_changed_in_place_and_a_choice_is_offered_as_one() -> None:
    same = query(LlmScenario())
    at = opened(comparison_of((same, same)))
    at.selectbox(key="compare:field").set_value("weight_format").run()
    at.selectbox(key="compare:choice").set_value("fp8")
    next(b for b in at.button if b.label == "Add the copy").click().run()
    assert [links.from_query(q).scenario for q in address(at).queries] == [
        LlmScenario(),
        LlmScenario(weight_format="fp8"),
    ]


def test_a_value_that_a_field_refuses_is_said_and_nothing_is_lost() -> None:
    view = comparison_of((query(LlmScenario()), query(LlmScenario(batch=8))))
    at = opened(view)
    at.selectbox(key="compare:field").set_value("prompt_tokens").run()
    at.text_input(key="compare:value").set_value("-5")
    next(b for b in at.button if b.label == "Add the copy").click().run()
    assert address(at) == view
    assert any(
        "Prompt tokens: a number from 1 up (not -5)" in warning.value.replace("\\", "") for warning in at.warning
    )


def test_a_pasted_link_is_added_and_a_bad_one_is_said() -> None:
    at = opened(comparison_of((query(LlmScenario()),)))
    link = links.to_link(StatisticalScenario(trees=50), catalog_version=VERSION)
    at.text_input(key="compare:pasted").set_value(link).run()
    assert links.from_query(address(at).queries[1]).scenario == StatisticalScenario(trees=50)
    at.text_input(key="compare:pasted").set_value("http://localhost:8501/llm?v=9&kind=llm").run()
    assert len(address(at).queries) == 2
    assert any("schema version" in warning.value.replace("\\", "") for warning in at.warning)


def test_the_reference_is_moved_and_scenarios_are_taken_out() -> None:
    queries = tuple(query(LlmScenario(requests_per_s=rate)) for rate in (1.0, 2.0, 3.0))
    at = opened(comparison_of(queries))
    at.button(key="first-2").click().run()
    assert address(at).queries == (queries[2], queries[0], queries[1])
    at.button(key="remove-1").click().run()
    assert address(at).queries == (queries[2], queries[1])


def test_a_scenario_that_cannot_be_read_keeps_its_place_and_the_others_stay() -> None:
    view = comparison_of((query(LlmScenario()), "kind=mars&v=1", query(StatisticalScenario())))
    at = opened(view)
    assert not at.exception
    assert any("B: cannot be read" in text.value.replace("\\", "") for text in at.markdown)
    assert any("mars" in text.value for text in at.caption)
    assert "C: gradient-boosting-xgboost" in shown(at)


@pytest.mark.parametrize("bad", [{"a": "!!!"}, {"e": "x"}, {"v": "7"}, {"kind": "llm"}, {"b": "a" * 8000}])
def test_a_bad_link_is_a_banner_and_a_page(bad: dict[str, str]) -> None:
    at = opened(comparison_of((query(LlmScenario()), query(LlmScenario(batch=4)))), **bad)
    assert not at.exception
    assert len(at.warning) >= 1
    assert len(at.get("plotly_chart")) >= 2


def test_an_answer_is_kept_and_compared_with_the_next() -> None:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.switch_page("pages/llm.py").run()
    next(b for b in at.button if b.label == "Keep to compare").click().run()
    kept = at.session_state[KEPT]
    assert links.from_query(kept.query).scenario == LlmScenario()
    at.number_input(key="llm:requests_per_s").set_value(40.0).run()
    assert any(kept.words in caption.value.replace("\\", "") for caption in at.caption)
    to = next(way for way in at.get("page_link") if way.proto.label == "Compare with the kept one")
    found = links.from_query(to.proto.query_string).scenario
    assert isinstance(found, Comparison)
    assert [links.from_query(q).scenario for q in found.queries] == [LlmScenario(), LlmScenario(requests_per_s=40.0)]
    next(b for b in at.button if b.label == "Drop it").click().run()
    assert KEPT not in at.session_state
