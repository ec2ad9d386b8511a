"""The stakeholder's view as a script: the plan's figures in words, the banners of a bad link, and not one control."""

from __future__ import annotations

from html import escape, unescape
from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import AppTest
from test_pages_fuzz import EXAMPLES, ROOT

from sizing import catalog as catalogs
from sizing import link as links
from sizing.planner import plan, plan_with_remedies
from sizing.scenario import SCENARIO_TYPES, AnyScenario, LlmScenario, parse_scenario, scenario_from_yaml
from sizing.units import format_ms, format_usd
from ui import plain_words
from ui.answer_charts import answer_charts

CONTROLS = (
    *("button", "download_button", "button_group", "checkbox", "toggle", "radio", "selectbox", "multiselect", "slider"),
    *(
        "select_slider",
        "number_input",
        "text_input",
        "text_area",
        "date_input",
        "time_input",
        "color_picker",
        "feedback",
    ),
    *("file_uploader", "chat_input", "data_editor", "segmented_control", "pills", "expander", "link_button", "tabs"),
)


def open_summary(kind: str, params: dict[str, str]) -> AppTest:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.switch_page(f"pages/{kind}.py")
    for name, value in {**params, "view": "summary"}.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    return at


def summary_of(scenario: AnyScenario) -> AppTest:
    return open_summary(scenario.kind, links.to_params(scenario, catalog_version=catalogs.load().version))


def said(at: AppTest) -> str:
    """All that it says, as a reader sees it."""
    texts = [element.proto.body for element in at.get("html")]
    marked = [e.value for e in (*at.title, *at.header, *at.markdown, *at.caption, *at.info, *at.warning)]
    return unescape(" ".join(texts)) + " ".join(text.replace("\\", "") for text in marked)


def address(at: AppTest) -> dict[str, str]:
    return {name: value if isinstance(value, str) else value[0] for name, value in at.query_params.items()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_has_a_summary_without_a_single_control(name: str) -> None:
    scenario = scenario_from_yaml(EXAMPLES[name].read_text(encoding="utf-8"))
    at = summary_of(scenario)
    found = plan(scenario, catalogs.load())
    assert [kind for kind in CONTROLS if at.get(kind)] == []
    assert not at.warning
    text, best = said(at), found.recommended
    assert best is not None
    assert plain_words.answer(found) in text
    assert found.headline in text
    assert format_usd(best.cost.usd_per_month) in text
    assert format_usd(best.cost.usd_per_month * 12) in text
    for verdict in best.verdicts:
        assert format_ms(verdict.low_ms) in text
        assert format_ms(verdict.high_ms) in text
        assert verdict.basis in text
    for label, words in plain_words.assumptions(found):
        assert label in text
        assert words in text
    for sentence in (*found.caveats, *best.warnings, *plain_words.NOT_CHECKED):
        assert sentence in text
    charts = [chart.proto for chart in at.get("plotly_chart")]
    assert [chart.alt for chart in charts] == [c.alt for c in answer_charts(scenario, catalogs.load(), found)]
    assert len(charts) == 3
    assert address(at) == links.to_params(scenario, catalog_version=catalogs.load().version, view="summary")


@pytest.mark.parametrize("kind", SCENARIO_TYPES)
def test_its_link_to_the_full_page_has_the_same_parameters_without_the_view(kind: str) -> None:
    scenario = parse_scenario({"kind": kind, "name": "A & B = 100 %"})
    at = summary_of(scenario)
    [link] = [e.proto.body for e in at.get("html") if 'class="go"' in e.proto.body]
    query = unescape(link.partition('href="?')[2].partition('"')[0])
    found = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
    assert found == links.to_params(scenario, catalog_version=catalogs.load().version)
    assert 'target="_self"' in link


def test_where_nothing_fits_it_says_so_and_what_would_lift_it() -> None:
    scenario = LlmScenario(model="llama-2-70b-hf", tpot_target_ms=2.0)
    at = summary_of(scenario)
    assert [kind for kind in CONTROLS if at.get(kind)] == []
    found = plan_with_remedies(scenario, catalogs.load())
    assert "Nothing in the catalog serves this" in said(at)
    assert found.remedies
    for remedy in found.remedies:
        assert remedy.sentence in said(at)


def test_a_bad_field_has_its_banner_here_too() -> None:
    at = open_summary("llm", {"v": "1", "prompt_tokens": "-4", "colour": "red"})
    assert len(at.warning) == 1
    assert "prompt_tokens" in said(at)
    assert "colour" in said(at)
    assert plain_words.answer(plan(LlmScenario(), catalogs.load())) in said(at)
    assert address(at)["view"] == "summary"


def test_a_link_of_an_older_catalog_says_what_changed_and_leads_to_the_present_one() -> None:
    old = catalogs.available_versions()[0]
    at = open_summary("statistical", links.to_params(SCENARIO_TYPES["statistical"](), catalog_version=old))
    assert [kind for kind in CONTROLS if at.get(kind)] == []
    assert len(at.info) == 1
    assert old in said(at)
    go = [e.proto.body for e in at.get("html") if 'class="go"' in e.proto.body]
    assert len(go) == 2
    assert f"catalog={catalogs.load().version}" in go[0]
    assert "view=summary" in go[0]
    assert f"catalog={old}" in go[1]
    assert "view" not in parse_qs(unescape(go[1]).partition("?")[2])


def test_another_view_opens_the_full_page_and_says_so() -> None:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.switch_page("pages/llm.py")
    at.query_params["view"] = "poster"
    at.run()
    assert not at.exception
    assert at.number_input
    assert "poster" in at.warning[0].value
    assert "view" not in address(at)


def test_text_of_a_link_is_never_markup_here() -> None:
    at = summary_of(LlmScenario(name="<b>bold</b> **loud**", notes="<script>alert(1)</script> [x](javascript:1)"))
    bodies = " ".join(element.proto.body for element in at.get("html"))
    assert "<b>bold" not in bodies
    assert "<script>alert" not in bodies
    assert at.title[0].value == r"\<b\>bold\</b\> \*\*loud\*\*"


def test_take_away_shows_both_links_and_the_snippet() -> None:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.switch_page("pages/llm.py")
    at.session_state["embed"] = True
    at.run()
    assert not at.exception
    scenario, version = LlmScenario(), catalogs.load().version
    shown = [code.value for code in at.code]
    whole = [text for text in shown if text.startswith("http") and "view=" not in text]
    summary = [text for text in shown if text.startswith("http") and text.endswith("&view=summary")]
    assert len(whole) == len(summary) == 1
    assert links.from_link(whole[0]).scenario == links.from_link(summary[0]).scenario == scenario
    [snippet] = [text for text in shown if text.startswith("<iframe")]
    assert f'src="{escape(summary[0])}&amp;embed=true"' in snippet
    assert version in snippet
