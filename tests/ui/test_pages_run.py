"""The pages as scripts, without a browser: every example and default runs, links seed the controls, errors stay beside."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from test_pages_fuzz import SECTIONS

from sizing import catalog as catalogs
from sizing import link as links
from sizing.planner import plan
from sizing.scenario import SCENARIO_TYPES, AnyScenario, LlmScenario, scenario_from_yaml

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
VERSION = catalogs.load().version
MORE_MODELS = ("deepseek-v3", "gpt-oss-120b", "gemma-3-27b-it", "qwen3-next-80b-a3b-instruct", "mamba2-2.7b")


def _page(kind: str, params: dict[str, str] | None = None) -> AppTest:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.switch_page(f"pages/{kind}.py")
    for title in SECTIONS:
        at.session_state[f"{kind}:{title}"] = True
    for name, value in (params or {}).items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    return at


def _html(at: AppTest) -> str:
    return " ".join(element.proto.body for element in at.get("html"))


def _address(at: AppTest) -> dict[str, str]:
    """Query parameters after a run; seeded ones are lists, written ones texts."""
    return {name: value if isinstance(value, str) else value[0] for name, value in at.query_params.items()}


def _open(scenario: AnyScenario) -> AppTest:
    return _page(scenario.kind, links.to_params(scenario, catalog_version=VERSION))


def _number(at: AppTest, label: str):  # type: ignore[no-untyped-def]
    return next(box for box in at.number_input if box.label == label)


def test_the_landing_page_has_three_doors_and_all_examples() -> None:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    assert not at.exception
    said = " ".join(element.value for element in at.markdown)
    for path in EXAMPLES:
        headline = plan(scenario_from_yaml(path.read_text(encoding="utf-8")), catalogs.load()).headline
        assert headline.split(" at ")[0][:12].strip("-") in said.replace("\\", "")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_shows_its_plan(path: Path) -> None:
    scenario = scenario_from_yaml(path.read_text(encoding="utf-8"))
    at = _open(scenario)
    found = plan(scenario, catalogs.load())
    assert found.headline.replace("'", "&#x27;") in _html(at)
    assert not at.warning
    assert _address(at) == links.to_params(scenario, catalog_version=VERSION)


@pytest.mark.parametrize("kind", list(SCENARIO_TYPES))
def test_a_page_without_a_link_writes_its_whole_scenario(kind: str) -> None:
    at = _page(kind)
    assert _address(at) == links.to_params(SCENARIO_TYPES[kind](), catalog_version=VERSION)


@pytest.mark.parametrize("model", MORE_MODELS)
def test_other_architectures_are_shown_too(model: str) -> None:
    at = _open(LlmScenario(model=model))
    assert "needs" in _html(at)


def test_a_bad_link_is_one_banner_that_names_each_field() -> None:
    at = _page("llm", {"v": "1", "model": "nonsense", "prompt_tokens": "-4", "colour": "red"})
    assert len(at.warning) == 1
    said = at.warning[0].value.replace("\\", "")
    for name in ("model", "prompt_tokens", "colour"):
        assert name in said
    assert "needs" in _html(at)


@pytest.mark.parametrize("params", [{"v": "7"}, {"kind": "statistical"}, {"notes": "x" * 8000}])
def test_a_link_that_cannot_be_read_opens_the_usual_scenario_and_says_so(params: dict[str, str]) -> None:
    at = _page("llm", params)
    assert len(at.warning) == 1
    assert plan(LlmScenario(), catalogs.load()).headline in _html(at)


def test_a_bad_value_is_said_beside_and_the_last_good_answer_stays() -> None:
    at = _page("llm")
    before = _html(at)
    _number(at, "Prompt tokens").set_value(-5).run()
    assert not at.exception
    assert plan(LlmScenario(), catalogs.load()).headline in before
    assert plan(LlmScenario(), catalogs.load()).headline in _html(at)
    assert any("Prompt tokens" in m.value and ":red[" in m.value for m in at.markdown)
    assert len(at.warning) == 1
    _number(at, "Prompt tokens").set_value(800).run()
    assert not at.warning
    assert plan(LlmScenario(prompt_tokens=800), catalogs.load()).headline in _html(at)


def test_a_degree_that_does_not_divide_is_said_beside_its_control() -> None:
    at = _open(LlmScenario(model="llama-2-70b-hf"))
    _number(at, "Tensor parallel").set_value(7).run()
    assert any("Tensor parallel" in m.value and ":red[" in m.value for m in at.markdown)


def test_a_remedy_is_applied_with_one_click() -> None:
    at = _open(LlmScenario(model="llama-2-70b-hf", tpot_target_ms=2.0))
    assert "no deployment" in _html(at)
    next(button for button in at.button if button.label == "Apply").click().run()
    assert not at.exception
    assert "needs" in _html(at)
    assert float(_address(at)["tpot_target_ms"]) > 2.0


def test_text_of_a_link_is_never_markup() -> None:
    at = _open(LlmScenario(name="<b>bold</b>", notes="**loud** <script>alert(1)</script>"))
    assert "&lt;b&gt;bold" in _html(at)
    assert "<script>alert" not in _html(at)


def test_the_catalogs_filter_and_say_how_many_are_old() -> None:
    at = _page("catalogs", {"table": "instances", "search": "h100 spot"})
    assert not at.exception
    assert len(at.dataframe) == 1
    frame = at.dataframe[0].value
    assert 0 < len(frame) < 60
    assert any("older than 90 days" in mark for mark in frame["marks"])
    assert "rows of catalog" in at.caption[0].value
    assert _page("catalogs", {"search": "no such thing"}).info[0].value.startswith("No row matches")
