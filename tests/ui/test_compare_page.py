"""The compare page without a browser: opened empty, by a link, by a bad one; what its controls do; the way to it."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from streamlit.testing.v1 import AppTest
from test_pages_fuzz import ROOT, SECONDS, headline, marks, open_app, open_scenario, warnings

from sizing import catalog as catalogs
from sizing import link as links
from sizing.comparison_answers import answer_of, compared
from sizing.comparison_slots import Slot, comparison_of, read_comparison, slot_of
from sizing.comparison_text import headline as sentence
from sizing.scenario import DeepLearningScenario, LlmScenario, StatisticalScenario
from ui.compare_state import control_key

VERSION = catalogs.load().version
TWO = (
    slot_of(LlmScenario(), catalog_version=VERSION, label="base"),
    slot_of(LlmScenario(weight_format="fp8"), catalog_version=VERSION),
)
MIXED = (
    *TWO[:1],
    slot_of(DeepLearningScenario(), catalog_version=VERSION),
    slot_of(StatisticalScenario(), catalog_version=VERSION),
)


def _params(slots: tuple[Slot, ...]) -> dict[str, str]:
    return links.to_params(comparison_of(slots), catalog_version="")


def _open(slots: tuple[Slot, ...] = (), **changed: str) -> AppTest:
    at = open_app("compare", {**(_params(slots) if slots else {}), **changed})
    assert not at.exception
    return at


def _slots(at: AppTest) -> tuple[Slot, ...]:
    """The scenarios that the address bar holds."""
    pairs = [(n, v if isinstance(v, str) else v[0]) for n, v in at.query_params.items()]
    return read_comparison(links.from_params(pairs, kind="compare").scenario)  # type: ignore[arg-type]


def _said(at: AppTest) -> str:
    return headline(at).replace("&gt;", ">").replace("&amp;", "&")


def _menu(at: AppTest, name: str, index: int) -> AppTest:
    at.session_state[control_key(name, index)] = True
    return at.run()


def _press(at: AppTest, label: str) -> None:
    next(button for button in at.button if button.label == label).click().run()
    assert not at.exception


def _charts(at: AppTest) -> int:
    return len(at.get("plotly_chart"))


def test_opened_empty_it_explains_itself_and_compares_at_once() -> None:
    at = _open()
    slots = _slots(at)
    assert [slot.scenario.weight_format for slot in slots] == ["native", "fp8"]  # type: ignore[union-attr]
    assert sentence(compared(slots)) in _said(at)
    assert "Two to four scenarios" in at.caption[0].value
    assert not warnings(at)
    assert _charts(at) == 3


@pytest.mark.parametrize("slots", [TWO, MIXED, (*MIXED, TWO[1])], ids=["two", "three kinds", "four"])
def test_a_link_opens_its_comparison_and_stays_as_it_is(slots: tuple[Slot, ...]) -> None:
    at = _open(slots)
    assert sentence(compared(slots)) in _said(at)
    assert _slots(at) == slots
    assert not warnings(at)
    assert "Two to four scenarios" not in at.caption[0].value
    assert _charts(at) == 3
    text = " ".join(html.proto.body for html in at.get("html"))
    for entry in compared(slots):
        assert entry.best is not None
        assert entry.best.instance_type in text
    before = answer_of.cache_info().misses
    at.run()
    assert answer_of.cache_info().misses == before  # a redraw plans nothing anew


def test_each_thing_that_is_wrong_is_named_with_its_scenario_and_the_others_stay() -> None:
    at = _open(
        TWO,
        b="zzz",
        c="kind=llm&v=1&prompt_tokens=-5&tensor_parallel=7",
        d="kind=llm&model=nonsense",
        e="1",
        colour="red",
    )
    (said,) = (text.replace("\\", "") for text in warnings(at))
    for words in (
        *("B could not be read", "C: prompt_tokens", "C: tensor_parallel", "D: model: 'nonsense'"),
        *("e: '1'", "colour: 'red'"),
    ):
        assert words in said
    assert "B could not be read." in _said(at)
    slots = _slots(at)
    assert slots[0] == TWO[0]
    assert slots[1].text == "zzz"
    assert [slot.scenario for slot in slots[2:]] == [LlmScenario(), LlmScenario()]
    again = open_app("compare", {n: str(v) for n, v in _params(slots).items()})
    assert "B could not be read" in warnings(again)[0]


@pytest.mark.parametrize("params", [{"v": "7"}, {"kind": "llm"}, {"a": "x" * 8000}, {"v": "1", "kind": "compare"}])
def test_a_link_that_holds_no_comparison_shows_the_example(params: dict[str, str]) -> None:
    at = open_app("compare", params)
    assert not at.exception
    assert len(warnings(at)) == (params.get("kind") != "compare")
    assert "Two to four scenarios" in at.caption[0].value
    assert len(_slots(at)) == 2


def test_duplicate_and_change_one_thing_adds_it_with_its_label() -> None:
    at = _menu(_open(TWO), "copy", 1)
    assert at.selectbox(key=control_key("field", 1)).value == "weight_format"
    at.selectbox(key=control_key("field", 1)).set_value("output_tokens").run()
    box = at.number_input(key=f"{control_key('value', 1)}:output_tokens")
    assert box.value == 250
    box.set_value(-3).run()
    _press(at, "Add as C")
    assert marks(at) == [":red[Output tokens\\: a number from 1 up \\(not -3\\)]"]
    assert len(_slots(at)) == 2
    at.number_input(key=f"{control_key('value', 1)}:output_tokens").set_value(500).run()
    _press(at, "Add as C")
    assert not marks(at)
    slots = _slots(at)
    assert slots[:2] == TWO
    assert slots[2].scenario == LlmScenario(weight_format="fp8", output_tokens=500)
    assert slots[2].label == "Output tokens: 500"
    assert sentence(compared(slots)) in _said(at)


@pytest.mark.parametrize(
    ("slot", "field", "value", "expected"),
    [
        (MIXED[0], "concurrency", 64, LlmScenario(requests_per_s=None, concurrency=64)),
        (MIXED[0], "model", "llama-3.2-3b", LlmScenario(model="llama-3.2-3b")),
        (MIXED[0], "expert_parallel", True, None),
        (MIXED[0], "providers", ["aws"], LlmScenario(providers=("aws",))),
        (MIXED[0], "engine_version", "0.18", LlmScenario(engine_version="0.18")),
        (MIXED[0], "tensor_parallel", 7, None),
        (MIXED[1], "precision", "fp32", DeepLearningScenario(precision="fp32")),
        (MIXED[1], "latency_target_ms", None, DeepLearningScenario(latency_target_ms=None)),
        (MIXED[2], "family", "random-forest", StatisticalScenario(family="random-forest")),
        (MIXED[2], "hidden_layers", "32, 16", StatisticalScenario(hidden_layers=(32, 16))),
        (MIXED[2], "trees", 300, StatisticalScenario(trees=300)),
    ],
)
def test_any_kind_of_field_can_be_changed(slot: Slot, field: str, value: object, expected: object) -> None:
    at = _open((slot,))
    assert _charts(at) == 0
    assert not _menu(at, "copy", 0).exception  # its controls stand on the page, so there is no such menu
    at.selectbox(key=control_key("field")).set_value(field).run()
    key = f"{control_key('value')}:{field}"
    box = next(box for box in (*at.number_input, *at.selectbox, *at.multiselect, *at.text_input) if box.key == key)
    box.set_value(value).run()
    _press(at, "Add as B")
    if expected is None:
        assert len(marks(at)) == 1
        assert len(_slots(at)) == 1
    else:
        assert not marks(at)
        assert [s.scenario for s in _slots(at)] == [slot.scenario, expected]


def test_every_field_has_a_control_that_starts_from_its_value() -> None:
    for slot in MIXED:
        at = _open((slot,))
        for name in at.selectbox(key=control_key("field")).options:
            at.selectbox(key=control_key("field")).select(name).run()
            assert not at.exception, name
            _press(at, "Add as B")
            assert len(marks(at)) == 1, name  # the value that it has already
            assert "another value" in marks(at)[0]


def test_rename_swap_and_remove() -> None:
    at = _menu(_open(MIXED), "edit", 1)
    at.text_input(key=control_key("label", 1)).set_value("vision <b>").run()
    assert not at.exception
    assert _slots(at)[1].label == "vision <b>"
    assert "vision &lt;b&gt;" in " ".join(html.proto.body for html in at.get("html"))
    _press(_menu(at, "edit", 1), "Make it A")
    assert [slot.label for slot in _slots(at)] == ["vision <b>", "base", ""]
    _press(_menu(at, "edit", 2), "Remove")
    _press(_menu(at, "edit", 1), "Remove")
    assert [slot.label for slot in _slots(at)] == ["vision <b>"]
    assert "Nothing to compare it with yet" in _said(at)
    assert not [b for b in _menu(at, "edit", 0).button if b.label == "Remove"]


def test_a_pasted_link_is_added_and_a_bad_one_said_at_its_field() -> None:
    at = _open(TWO)
    box = at.text_input(key=control_key("link"))
    box.set_value("https://elsewhere.example/?q=1").run()
    (said,) = marks(at)
    assert "This link cannot be added" in said
    assert _slots(at) == TWO
    at.text_input(key=control_key("link")).set_value(
        links.to_link(StatisticalScenario(), catalog_version=VERSION)
    ).run()
    assert not at.exception
    assert not marks(at)
    assert _slots(at)[2].scenario == StatisticalScenario()
    at.text_input(key=control_key("link")).set_value(links.to_link(comparison_of(TWO), catalog_version="")).run()
    assert len(_slots(at)) == 3  # two more are too many
    assert "at most 4" in marks(at)[0]
    at.text_input(key=control_key("link")).set_value(
        "https://x.example/llm?v=1&prompt_tokens=-2&output_tokens=77"
    ).run()
    assert "D: prompt_tokens" in warnings(at)[0].replace("\\", "")
    assert _slots(at)[3].scenario == LlmScenario(output_tokens=77)


def test_too_much_for_a_link_is_said_where_it_was_asked_for() -> None:
    notes = "".join(chr(0x4E00 + (i * i * 31 + i * 7) % 20_000) for i in range(600))
    slots = [slot_of(LlmScenario(notes=notes[i:] + notes[:i]), catalog_version=VERSION) for i in (0, 200)]
    at = _open(tuple(slots[:1]))
    for text in [links.to_link(slots[1].scenario, catalog_version=VERSION)] * 3:  # type: ignore[arg-type]
        at.text_input(key=control_key("link")).set_value("").run()
        at.text_input(key=control_key("link")).set_value(text).run()
        assert not at.exception
    assert len(_slots(at)) < 4
    assert "7,000 characters for all scenarios together" in marks(at)[0]


def test_an_older_catalog_answers_its_own_scenario_and_says_what_changed() -> None:
    old = catalogs.available_versions()[0]
    slots = (slot_of(LlmScenario(), catalog_version=old), TWO[1])
    at = _open(slots)
    (info,) = (text.value.replace("\\", "") for text in at.info)
    assert info.startswith(f"The figures of A are those of catalog {old}; the present one is {VERSION}.")
    assert "- " in info
    assert sentence(compared(slots)) in _said(at)
    _press(at, "Answer A from the present catalog")
    assert not at.info
    assert [slot.catalog for slot in _slots(at)] == [VERSION, VERSION]


@pytest.mark.parametrize("kind", ["llm", "deep_learning", "statistical"])
def test_a_page_keeps_its_scenario_and_leads_to_the_comparison(kind: str) -> None:
    at = open_app(kind)
    assert not [button for button in at.button if "Keep this" in button.label]
    at.session_state["compare-menu"] = True
    at.run()
    (one,) = _links(at)
    assert len(one) == 1
    _press(at, "Keep this as A for comparison")
    (kept,) = (c.value for c in at.caption if c.value.startswith("Kept as A"))
    assert "a month" in kept
    at.number_input(key=f"{kind}:requests_per_s").set_value(7.0).run()
    for slots in _links(at)[:1]:
        assert [slot.scenario.requests_per_s for slot in slots] == [one[0].scenario.requests_per_s, 7.0]  # type: ignore[union-attr]
    _press(at, "Drop")
    assert not [c for c in at.caption if c.value.startswith("Kept as A")]


def _links(at: AppTest) -> list[tuple[Slot, ...]]:
    """Comparisons that the page links to."""
    found = [p.proto.query_string for p in at.get("page_link") if p.proto.query_string and "a=" in p.proto.query_string]
    decoded = [links.from_params(parse_qsl(query), kind="compare").scenario for query in found]
    return [read_comparison(comparison) for comparison in decoded]  # type: ignore[arg-type]


def test_what_does_not_fit_a_link_cannot_be_kept_and_says_so() -> None:
    at = open_scenario(LlmScenario(notes="é" * 600))
    catalog = catalogs.load()
    at.multiselect(key="llm:instances").set_value([i.id for i in catalog.instances.values() if i.category == "gpu"])
    at.multiselect(key="llm:accelerators").set_value(list(catalog.accelerators))
    at.text_input(key="llm:name").set_value("é" * 120)
    at.session_state["compare-menu"] = True
    at.run()
    assert not at.exception
    assert [c for c in at.caption if "cannot be compared" in c.value]
    assert not [b for b in at.button if "Keep this" in b.label]


def test_the_session_keeps_the_comparison_between_pages() -> None:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=SECONDS)
    at.switch_page("pages/compare.py")
    for name, value in _params(MIXED).items():
        at.query_params[name] = value
    at.run()
    at.switch_page("pages/catalogs.py").run()
    at.query_params.clear()
    at.switch_page("pages/compare.py").run()
    assert _slots(at) == MIXED


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ("http://localhost:8501/llm?v=1&kind=llm&model=nonsense", "Model 'nonsense': allowed is one of"),
        ("https://example.com/", "all that stands behind its question mark"),
    ],
)
def test_a_pasted_link_that_cannot_be_answered_adds_nothing_and_says_why(link: str, says: str) -> None:
    at = _open(TWO)
    at.text_input(key=control_key("link")).set_value(link).run()
    assert not at.exception
    assert _slots(at) == TWO
    marks = [text.value.replace("\\", "") for text in at.markdown if text.value.startswith(":red[")]
    assert len(marks) == 1
    assert says in marks[0]
