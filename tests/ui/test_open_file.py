"""The way back in: a saved scenario opens its page, a snapshot shows its frozen figures, anything else gets one sentence."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from test_pages_fuzz import ROOT
from test_summary_page import said

from sizing import catalog as catalogs
from sizing import link as links
from sizing import snapshot
from sizing.plan import Plan
from sizing.planner import plan, plan_with_remedies
from sizing.scenario import (
    SCENARIO_TYPES,
    AnyScenario,
    DeepLearningScenario,
    LlmScenario,
    StatisticalScenario,
    scenario_to_yaml,
)
from ui import plain_words
from ui.open_file import FILE, TITLE

VERSION = catalogs.load().version


def upload(name: str, content: str | bytes) -> AppTest:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.session_state["open"] = True
    at.run()
    at.file_uploader(key=FILE).set_value(
        (name, content.encode() if isinstance(content, str) else content, "text/plain")
    )
    at.run()
    assert not at.exception
    return at


def opened_link(at: AppTest) -> Any:
    [link] = [e.proto for e in at.get("page_link") if e.proto.label.startswith("Open ")]
    return link


def problem(at: AppTest) -> str:
    [text] = [m.value for m in at.markdown if m.value.startswith(":red[")]
    return text.replace("\\", "")


def test_the_section_is_closed_until_it_is_wanted() -> None:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    assert TITLE in [section.label for section in at.expander]
    assert not at.get("file_uploader")


@pytest.mark.parametrize(
    "scenario",
    [LlmScenario(prompt_tokens=77, name="Mine: *all*"), DeepLearningScenario(), StatisticalScenario(trees=11)],
    ids=lambda s: s.kind,
)
def test_a_saved_scenario_leads_to_its_page(scenario: AnyScenario) -> None:
    found = plan(scenario, catalogs.load())
    texts = (
        f"# catalog: {VERSION}\n{scenario_to_yaml(scenario)}",
        scenario.model_dump_json(),
        json.dumps(found.as_json()),
    )
    for text in texts:
        link = opened_link(upload("scenario.yaml", text))
        assert link.page == scenario.kind
        decoded = links.from_query(link.query_string, kind=scenario.kind)
        assert decoded.scenario == scenario
        assert decoded.messages == ()


def test_a_scenario_too_long_for_a_link_opens_from_the_session() -> None:
    machines = tuple(catalogs.load().instances)
    scenario = LlmScenario(instances=machines, notes="x" * 600, prompt_tokens=88)
    assert len("".join(machines)) > 4000
    long = scenario.model_copy(update={"instances": machines * 3})
    at = upload("long.yaml", scenario_to_yaml(long))
    link = opened_link(at)
    assert link.query_string == ""
    at.switch_page("pages/llm.py").run()
    assert not at.exception
    assert at.number_input(key="llm:prompt_tokens").value == 88
    assert "do not travel in a link" in at.warning[0].value


@pytest.mark.parametrize(
    "scenario",
    [
        LlmScenario(),
        DeepLearningScenario(),
        StatisticalScenario(),
        LlmScenario(model="llama-2-70b-hf", max_usd_per_month=50.0),
    ],
    ids=["llm", "deep learning", "statistical", "none meets"],
)
def test_a_snapshot_shows_its_figures_without_computing_them(scenario: AnyScenario) -> None:
    found = plan_with_remedies(scenario, catalogs.load())
    # A headline that no computation gives: what is shown comes from the file.
    frozen = found.model_copy(update={"headline": found.headline.replace("needs", "took").replace("has no", "had no")})
    at = upload("snapshot.json", snapshot.to_json(frozen, created=date(2026, 1, 2)))
    text = said(at)
    assert frozen.headline in text
    assert plain_words.answer(frozen) in text
    assert "Frozen on 2026-01-02" in text
    assert "not recomputed" in text
    assert snapshot.from_json(snapshot.to_json(frozen, created=date(2026, 1, 2))).checksum in text
    charts = [chart.proto.alt for chart in at.get("plotly_chart")]
    assert len(charts) == (0 if found.recommended is None else 2)
    assert links.from_query(opened_link(at).query_string, kind=scenario.kind).scenario == scenario
    assert not at.title[1:]  # one title a page


def test_a_snapshot_of_a_forgotten_catalog_still_shows_and_leads_to_the_present_one() -> None:
    old = plan(LlmScenario(), catalogs.load()).model_copy(update={"catalog": "2001-01-01.deadbeef"})
    at = upload("snapshot.json", snapshot.to_json(old, created=date(2001, 1, 1)))
    assert "2001-01-01.deadbeef" in said(at)
    assert links.from_query(opened_link(at).query_string, kind="llm").catalog == VERSION


def _tampered(found: Plan) -> str:
    return snapshot.to_json(found, created=date(2026, 1, 2)).replace("$", "€", 1)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (_tampered(plan(LlmScenario(), catalogs.load())), "was changed after it was saved"),
        ('{"format": "another", "checksum": "1"}', "not a file that was saved"),
        (b"\xff\xfe\x00\x01", "not a text file"),
        ("kind: horoscope", "kind"),
        ("kind: llm\nprompt_tokens: -4", "prompt_tokens"),
        ("kind: llm\nmodel: nonsense", "model"),
        ("a: [", "YAML or JSON that parses"),
        ("", "mapping of fields"),
        ('{"recommended": null}', "mapping of fields"),
    ],
    ids=range(9),
)
def test_any_other_file_gets_one_sentence(content: str | bytes, says: str) -> None:
    at = upload("file.json", content)
    if "nonsense" in str(content):  # a model that this catalog lacks: named, the usual one stands in
        assert says in at.warning[0].value
        return
    assert says in problem(at)
    assert "\n" not in problem(at)
    assert not [e for e in at.get("page_link") if e.proto.label.startswith("Open ")]
    assert not at.get("plotly_chart")


def test_every_kind_of_scenario_has_a_page_to_open() -> None:
    for kind in SCENARIO_TYPES:
        assert (ROOT / "pages" / f"{kind}.py").is_file()
