"""A comparison survives its link exactly; what cannot be read keeps its place; the differences are those made by hand."""

from __future__ import annotations

import json
import random
import string
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_link import TEXT, _fields

from sizing import catalog as catalogs
from sizing import link as links
from sizing.__main__ import main
from sizing.comparison_answers import compared
from sizing.comparison_slots import (
    Slot,
    changed,
    comparison_of,
    read_comparison,
    read_slot,
    renamed,
    slot_of,
    slots_of_link,
)
from sizing.comparison_text import comparison_json
from sizing.comparison_view import MAX_LABEL_CHARACTERS, Comparison
from sizing.errors import InputError
from sizing.scenario import SCENARIO_TYPES, DeepLearningScenario, LlmScenario, StatisticalScenario

ROOT = Path(__file__).resolve().parent.parent
PRESENT = catalogs.load().version
VERSIONS = catalogs.available_versions()
LABELS = TEXT.map(lambda text: text[:MAX_LABEL_CHARACTERS])
NOISE = st.text("abcdefXYZ0123456789-_!%&=<>?/. é", max_size=60)


def _link(comparison: Comparison) -> str:
    return links.to_link(comparison, catalog_version="")


def _read(link: str) -> tuple[Slot, ...]:
    decoded = links.from_link(link)
    assert isinstance(decoded.scenario, Comparison)
    return read_comparison(decoded.scenario)


THREE = (
    slot_of(LlmScenario(weight_format="fp8"), catalog_version=PRESENT, label="chat"),
    slot_of(DeepLearningScenario(), catalog_version=PRESENT),
    slot_of(StatisticalScenario(trees=300), catalog_version=PRESENT, label="risk & fraud = 100 %"),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_field_of_every_scenario_survives_the_link(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(list(SCENARIO_TYPES.values())), min_size=2, max_size=4))
    slots = [
        slot_of(
            kind.model_validate(data.draw(_fields(kind))),
            catalog_version=data.draw(st.sampled_from(VERSIONS)),
            label=data.draw(LABELS),
        )
        for kind in kinds
    ]
    comparison = comparison_of(slots)
    link = _link(comparison)
    decoded = links.from_link(link)
    assert decoded.scenario == comparison
    assert decoded.messages == ()
    assert read_comparison(comparison) == tuple(slots)
    assert _link(comparison_of(_read(link))) == link


def test_own_models_travel_in_the_link_and_four_usual_scenarios_stay_short() -> None:
    config = (
        '{"model_type": "llama", "hidden_size": 5120, "num_hidden_layers": 40, "vocab_size": 32000, "rope_theta": 1e6}'
    )
    slots = (
        slot_of(LlmScenario(model="custom", custom_config=config), catalog_version=PRESENT),
        slot_of(DeepLearningScenario(model="custom", custom_network="n" * 900), catalog_version=PRESENT),
        slot_of(StatisticalScenario(custom_model="trees of mine"), catalog_version=PRESENT),
    )
    read = _read(_link(comparison_of(slots)))
    assert read[0].scenario == slots[0].scenario
    assert read[1].scenario == slots[1].scenario
    assert read[2].scenario == slots[2].scenario
    usual = [slot_of(LlmScenario(prompt_tokens=100 * i), catalog_version=PRESENT) for i in range(1, 5)]
    assert len(_link(comparison_of(usual))) < 500


def test_each_letter_of_a_link_is_a_query_string_with_all_fields_defaults_included() -> None:
    params = dict(parse_qsl(links.to_query(comparison_of(THREE), catalog_version="")))
    assert list(params) == ["v", "kind", "a", "b", "c"]
    for text, slot in zip((params["a"], params["b"], params["c"]), THREE, strict=True):
        fields = dict(parse_qsl(links.unpacked(text), keep_blank_values=True))
        assert set(fields) - {"label"} == {"v", "catalog", *type(slot.scenario).model_fields}


@pytest.mark.parametrize("kind", list(SCENARIO_TYPES))
def test_an_existing_link_can_stand_at_a_letter_as_it_is(kind: str) -> None:
    scenario = SCENARIO_TYPES[kind]()
    whole = links.to_link(scenario, catalog_version=PRESENT)
    query = links.to_query(scenario, catalog_version=PRESENT)
    for text in (whole, query, "?" + query, links.packed(query), f"/{kind}?requests_per_s={scenario.requests_per_s}"):
        (slot,) = _read("http://localhost:8501/compare?" + urlencode({"v": 1, "a": text}))
        assert slot.scenario == scenario
        assert slot.catalog == PRESENT
        assert slot.unread is None


def test_the_text_of_a_link_made_now_is_read_for_ever() -> None:
    """The dictionary is part of the schema: links that are out in the world were made with it."""
    made = "ePl-SAByw1HimxqnpFoamZqOlvyjJf9oyT9a8o-W_MOu5FeDjP4mFmsXlCblZBYDwxMAXuJD5w"
    fields = dict(parse_qsl(links.unpacked(made), keep_blank_values=True))
    assert fields["label"] == "as published"
    assert (fields["kind"], fields["model"], fields["prompt_tokens"]) == ("llm", "llama-3.1-8b", "1000")
    assert fields["catalog"] == "2026-11-25.53de9255"


def test_a_cut_link_loses_only_what_was_cut() -> None:
    link = _link(comparison_of(THREE))
    start = link.index("&c=") + 3
    for end in range(start + 1, len(link), 7):
        read = _read(link[:end])
        assert read[:2] == THREE[:2]
        assert read[2].scenario is None
        assert read[2].unread == "Its text in the link is cut off or was changed on the way."
        assert _read(_link(comparison_of(read))) == read  # the place of what is lost survives too


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from("ABCxyz019-_"))
def test_a_changed_character_is_noticed_never_misread(at: int, new: str) -> None:
    text = links.packed(THREE[2].text)
    spoiled = text[: at % len(text)] + new + text[at % len(text) + 1 :]
    (slot,) = _read("/compare?" + urlencode({"v": 1, "a": spoiled}))
    assert slot.scenario in (None, THREE[2].scenario)
    assert (slot.scenario is None) == (slot.unread is not None)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([*"abcdef", "v", "kind", "catalog"]), NOISE), max_size=6))
def test_noise_never_crashes_the_reader(pairs: list[tuple[str, str]]) -> None:
    link = "http://localhost:8501/compare?" + urlencode(pairs)
    try:
        slots = _read(link)
    except InputError:
        with pytest.raises(InputError, match=r"^[^\n]+$"):
            links.from_link(link)
    else:
        assert len(slots) <= 4
        assert all((slot.scenario is None) == (slot.unread is not None) for slot in slots)


def test_five_scenarios_doubled_letters_and_unknown_fields_are_named() -> None:
    text = links.packed(THREE[0].text)
    query = urlencode([("v", "1"), *((name, text) for name in "abcde"), ("a", "other"), ("catalog", PRESENT)])
    decoded = links.from_query(query, kind="compare")
    assert isinstance(decoded.scenario, Comparison)
    assert [problem.field for problem in decoded.ignored] == ["a", "e"]
    assert "a to d" in decoded.messages[1]
    assert read_comparison(decoded.scenario) == (THREE[0],) * 4
    with pytest.raises(InputError, match="at most 4"):
        comparison_of((THREE[0],) * 5)
    with pytest.raises(InputError, match="schema version 1"):
        links.from_query("v=2&a=x", kind="compare")


def test_what_is_wrong_inside_one_scenario_is_said_of_that_one() -> None:
    other_schema = "v=3&kind=llm"
    view = "v=1&kind=catalogs&table=instances"
    old = f"v=1&catalog=2001-01-01.deadbeef&kind=llm&prompt_tokens=-5&colour=red&output_tokens=77&label={'x' * 61}"
    read = read_comparison(Comparison(a=other_schema, b=view, c=old, d=THREE[1].text))
    assert "schema version 1" in str(read[0].unread)
    assert "one of statistical, deep_learning, llm" in str(read[1].unread)
    assert read[2].scenario is not None
    assert read[2].scenario.output_tokens == 77  # type: ignore[union-attr]
    assert read[2].catalog == PRESENT
    said = " ".join(read[2].said)
    for word in ("prompt_tokens", "colour", "label", "2001-01-01.deadbeef", PRESENT):
        assert word in said
    assert read[3] == THREE[1]


def test_too_much_for_a_link_is_one_sentence() -> None:
    noise = ("".join(random.Random(seed).choices(string.ascii_letters + string.digits, k=4500)) for seed in (1, 2))
    slots = [slot_of(LlmScenario(model="custom", custom_config=text), catalog_version=PRESENT) for text in noise]
    assert all(len(_link(comparison_of([slot]))) < 7000 for slot in slots)
    with pytest.raises(InputError, match="at most 7,000 characters for all scenarios together") as error:
        comparison_of(slots)
    assert "\n" not in str(error.value)
    packed = links.packed("kind=llm&notes=" + "x" * 30_000)
    (slot,) = _read("/compare?" + urlencode({"v": 1, "a": packed}))  # no link unpacks to more than a link holds
    assert slot.scenario is None
    with pytest.raises(InputError, match="link"):
        links.from_link("/compare?v=1&a=" + "x" * 8000)


def test_pasted_links_are_added_and_other_texts_refused() -> None:
    single = links.to_link(StatisticalScenario(), catalog_version=PRESENT, base="https://sizing.example.org")
    assert [slot.scenario for slot in slots_of_link(f"  {single}\n")] == [StatisticalScenario()]
    assert slots_of_link(_link(comparison_of(THREE))) == THREE
    for text in (
        "hello",
        "http://localhost:8501/catalogs?v=1",
        "http://localhost:8501/compare",
        "https://x.example/?q=1",
    ):
        with pytest.raises(InputError) as error:
            slots_of_link(text)
        assert "\n" not in str(error.value)


def test_one_thing_is_changed_with_what_goes_with_it() -> None:
    base = LlmScenario(model="custom", custom_config="{}", checkpoint_bytes=5)
    other = changed(base, "model", "gpt2")
    assert (other.model, other.custom_config, other.checkpoint_bytes) == ("gpt2", None, None)  # type: ignore[union-attr]
    users = changed(LlmScenario(), "concurrency", 9)
    assert (users.requests_per_s, users.concurrency) == (None, 9)
    assert changed(users, "requests_per_s", 2.5).concurrency is None
    for field, value in (("prompt_tokens", -1), ("prompt_tokens", 1000), ("colour", "red"), ("kind", "statistical")):
        with pytest.raises(InputError):
            changed(LlmScenario(), field, value)
    assert renamed(THREE[0], " new ").label == "new"
    with pytest.raises(InputError, match="60 characters"):
        renamed(THREE[0], "x" * 61)


def test_the_command_line_prints_and_counts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    small, large = (str(ROOT / "examples" / f"llama-2-{size}.yaml") for size in ("7b", "13b"))
    assert main(["compare", small, large, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [entry["letter"] for entry in printed["scenarios"]] == ["A", "B"]
    assert printed["inputs"] == [
        {"field": "model", "values": ["llama-2-7b-hf", "llama-2-13b-hf"], "applies": [True, True]}
    ]
    month = next(row for row in printed["answers"] if row["quantity"] == "Cost per month")["values"]
    assert month[1]["change_percent"] == pytest.approx(100 * (month[1]["value"] / month[0]["value"] - 1))
    link = "http://localhost:8501/compare?" + printed["query"]
    assert main(["compare", link, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == printed
    assert printed == json.loads(json.dumps(comparison_json(compared(_read(link)))))
    assert main(["compare", small, large]) == 0
    said = capsys.readouterr().out
    for words in (printed["headline"], "Inputs that differ", "llama-2-13b-hf", "Cost per month", "not decided"):
        assert words in said
    tight = tmp_path / "tight.yaml"
    tight.write_text("kind: llm\nmodel: llama-2-70b-hf\nmax_usd_per_month: 50\n", encoding="utf-8")
    assert main(["compare", small, str(tight)]) == 1
    assert "no deployment" in capsys.readouterr().out


@pytest.mark.parametrize(
    "sources",
    [
        ["examples/llama-2-7b.yaml"],
        ["examples/llama-2-7b.yaml"] * 5,
        ["examples/llama-2-7b.yaml", "no-such-file.yaml"],
        ["examples/llama-2-7b.yaml", "kind=llm&prompt_tokens=-4"],
        ["http://localhost:8501/compare?v=1&a=zzz&b=kind%3Dllm"],
        ["http://localhost:8501/compare?v=1&colour=red"],
        ["kind=llm", "kind=llm&model=no-such-model"],
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    sources: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["compare", *sources]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["plan", "http://localhost:8501/compare?v=1&a=kind%3Dllm"]) == 2


def test_a_slot_reads_what_it_wrote() -> None:
    for slot in THREE:
        assert read_slot(slot.text) == slot
