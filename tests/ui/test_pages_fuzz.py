"""Pages without a browser, broadly: every control of every example, bad values of every number, links of noise, the catalogs."""

from __future__ import annotations

import random
from datetime import date
from html import escape
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from sizing import catalog as catalogs
from sizing import link as links
from sizing.catalog_view import CatalogView, rows
from sizing.planner import plan
from sizing.scenario import SCENARIO_TYPES, AnyScenario, StatisticalScenario, scenario_from_yaml

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = {path.stem: path for path in sorted((ROOT / "examples").glob("*.yaml"))}
SECONDS = 60
KEPT = "The marked input cannot be used"


SECTIONS = (
    "Your own model", "Your own model (ONNX)", "Your model file", "Engine and limits", "Parallelism and what is served beside it",
    "Workload: shared prompts, turns, spread", "Hardware and price", "Batching and sharing of a GPU",
    "Title and notes", "From request to reply", "Load over time and terms", "Prices and energy of your own",
)  # fmt: skip
"""Titles of the sections whose controls are drawn once they are open."""


def open_app(kind: str, params: dict[str, str] | None = None) -> AppTest:
    """A page as it is after its first run, opened with link parameters, its sections open."""
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=SECONDS)
    at.switch_page(f"pages/{kind}.py")
    for title in SECTIONS:
        at.session_state[f"{kind}:{title}"] = True
    for name, value in (params or {}).items():
        at.query_params[name] = value
    return at.run()


def open_scenario(scenario: AnyScenario | CatalogView, **changed: str) -> AppTest:
    """The page of a scenario, opened by its link with some parameters changed."""
    params = links.to_params(scenario, catalog_version=catalogs.load().version)
    return open_app(scenario.kind, {**params, **changed})


def headline(at: AppTest) -> str:
    """The answer's sentence, as HTML."""
    return next(html.proto.body for html in at.get("html") if 'class="answer"' in html.proto.body)


def warnings(at: AppTest) -> list[str]:
    return [warning.value for warning in at.warning]


def marks(at: AppTest) -> list[str]:
    """Errors said beside the controls."""
    return [text.value for text in at.markdown if text.value.startswith(":red[")]


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_opens_with_every_control_set(name: str) -> None:
    scenario = scenario_from_yaml(EXAMPLES[name].read_text(encoding="utf-8"))
    at = open_scenario(scenario)
    assert not at.exception
    assert not at.warning
    assert plan(scenario, catalogs.load()).headline.replace("&", "&amp;") in headline(at)
    boxes = {box.key: box.value for box in (*at.number_input, *at.selectbox, *at.multiselect)}
    seen = 0
    for field, value in scenario.model_dump().items():
        if (key := f"{scenario.kind}:{field}") in boxes:
            assert boxes[key] == (list(value) if isinstance(value, tuple) else value), field
            seen += 1
    assert seen >= 18


NUMBERS = [
    (kind, name)
    for kind, scenario_type in SCENARIO_TYPES.items()
    for name, info in scenario_type.model_fields.items()
    if any(number in str(info.annotation) for number in ("int", "float")) and "tuple" not in str(info.annotation)
    and "Literal" not in str(info.annotation)
]  # fmt: skip


CLOSED = ("concurrency", "think_time_s")
OTHER_FAMILIES = {
    "support_vectors": "svm-rbf",
    "training_rows": "k-nearest-neighbours-kdtree",
    "clusters": "k-means",
    "trees": "gradient-boosting-xgboost",
    "depth": "gradient-boosting-xgboost",
    "leaves": "gradient-boosting-xgboost",
    "outputs": "gradient-boosting-xgboost",
}


PIPELINES = {"steps": "stable-diffusion-v1-5", "output_tokens": "whisper-small-speech-to-text"}
"""Deep learning models whose page has a control that others lack."""


@pytest.fixture(scope="module")
def apps() -> dict[str, AppTest]:
    """One app for each kind, brought back to a good state by each test that uses it."""
    return {kind: open_app(kind) for kind in SCENARIO_TYPES}


@pytest.mark.parametrize(("kind", "name"), NUMBERS)
def test_bad_number_is_said_beside_its_box_and_keeps_the_answer(apps: dict[str, AppTest], kind: str, name: str) -> None:
    at, key = apps[kind], f"{kind}:{name}"
    if (family := OTHER_FAMILIES.get(name)) is not None:
        at.selectbox(key="statistical:family").set_value(family).run()
    model = {"model": PIPELINES.get(name, "torchvision-resnet50")} if kind == "deep_learning" else {}
    for field, chosen in model.items():
        if at.selectbox(key=f"{kind}:{field}").value != chosen:
            at.selectbox(key=f"{kind}:{field}").set_value(chosen).run()
    traffic = at.segmented_control(key=f"{kind}:traffic")
    if traffic.value != (mode := "concurrency" if name in CLOSED else "requests_per_s"):
        traffic.set_value(mode).run()
    good, value = headline(at), at.number_input(key=key).value
    others = {"family": at.selectbox(key="statistical:family").value} if kind == "statistical" else {}
    others |= model | ({"requests_per_s": None, "concurrency": 32} if name in CLOSED else {})
    for bad in (-1, 0, 10**15, None):
        at.number_input(key=key).set_value(bad).run()
        assert not at.exception
        try:
            plan(SCENARIO_TYPES[kind].model_validate({**others, name: bad}), catalogs.load())
            refused = False
        except ValueError:
            refused = True
        if refused:
            assert headline(at) == good
            assert len(marks(at)) == 1
            assert [text for text in warnings(at) if KEPT in text]
        else:  # a value that counts: another answer, or what would lift it
            assert not marks(at)
        at.number_input(key=key).set_value(value).run()
        assert headline(at) == good
        assert not marks(at)


@pytest.mark.parametrize("kind", links.LINK_TYPES)
def test_any_link_gives_a_page_and_one_warning_at_most(kind: str) -> None:
    chance = random.Random(f"links of {kind}")
    fields = list(links.LINK_TYPES[kind].model_fields)
    for _ in range(8):
        params = {
            chance.choice([*fields, "v", "catalog", "x\u0000y"]): "".join(
                chance.choice(["-1", "0", "1e999", "nan", "llm", ",", "é", "\u202e", "<b>", "'", " ", "9" * 30])
                for _ in range(chance.randrange(4))
            )
            for _ in range(chance.randrange(1, 6))
        }
        at = open_app(kind, params)
        assert not at.exception, params
        assert len(at.warning) <= 1, params
        if kind in SCENARIO_TYPES:
            title = escape(params.get("name", "")).lower()  # a title of noise is shown as it stands
            assert "nan" not in headline(at).lower().replace(title, "").replace("finance", ""), params
        assert not marks(at), params


def test_size_of_another_family_is_kept_for_the_way_back() -> None:
    at = open_scenario(StatisticalScenario(family="k-means", clusters=8))
    at.number_input(key="statistical:clusters").set_value(21).run()
    at.selectbox(key="statistical:family").set_value("svm-rbf").run()
    assert "statistical:clusters" not in {box.key for box in at.number_input}
    at.selectbox(key="statistical:family").set_value("k-means").run()
    assert at.number_input(key="statistical:clusters").value == 21
    assert not at.exception


@pytest.mark.parametrize("view", [
    CatalogView(),
    CatalogView(table="instances", providers=("aws", "oci"), search="h100"),
    CatalogView(table="instances", marked_only=True),
    CatalogView(table="llm_models", trust=("cross_checked",), search="llama"),
    CatalogView(table="deep_learning_models"),
    CatalogView(table="statistical_families", search="forest"),
])  # fmt: skip
def test_catalogs_page_shows_the_rows_of_its_link(view: CatalogView) -> None:
    at = open_scenario(view)
    assert not at.exception
    expected = rows(catalogs.load(), view, on=date.today())
    assert expected
    assert len(at.dataframe[0].value) == len(expected)
    assert at.text_input(key="catalogs:search").value == view.search
    assert at.multiselect(key="catalogs:providers").value == list(view.providers)
    assert at.checkbox(key="catalogs:marked_only").value is view.marked_only
