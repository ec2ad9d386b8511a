"""A comparison survives its link exactly; what cannot be read keeps its place; the differences are those made by hand."""

from __future__ import annotations

import json
import random
import string
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_link import TEXT, _fields

from sizing import catalog as catalogs
from sizing import link as links
from sizing.__main__ import main
from sizing.comparison_answers import Answer, Cell, Compared, against, answer_rows, compared, input_differences
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
from sizing.comparison_text import comparison_json, headline
from sizing.comparison_view import MAX_LABEL_CHARACTERS, Comparison
from sizing.errors import InputError
from sizing.plan import Cost, Deployment, LatencyMs, Memory, Rate, Throughput, verdict
from sizing.planner import plan
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


def _deployment(usd_per_month: float, ttft: tuple[float, float, float], tpot: tuple[float, float, float]) -> Deployment:
    """A deployment with the figures that a comparison shows, each chosen by hand."""

    def latency(low: float, p95: float, high: float) -> LatencyMs:
        return LatencyMs(p50=p95 / 2, p95=p95, p99=p95 * 2, low=low, high=high, interval_of="p95")

    times = {"ttft": latency(*ttft), "tpot": latency(*tpot)}
    per_hour = usd_per_month / 730
    return Deployment(
        **{"instance": "x", "instance_type": "x.large", "provider": "aws", "service": "ec2", "region": "us-east-1"},
        **{"accelerator": "h100", "accelerator_name": "H100", "accelerators_per_instance": 8},
        **{"accelerators_per_replica": 4, "vcpus_per_instance": 96, "replicas": 2, "instances": 1, "parallelism": None},
        **{"runtime": "vllm", "weight_format": "bf16", "kv_format": "bf16", "batch": 8},
        memory_per_accelerator=Memory(parts={"weights": 50}, used_bytes=50, capacity_bytes=80),
        latency_ms=times,
        throughput=Throughput(requests_per_s=Rate(demanded=5.0, capacity=10.0)),
        utilization=0.5,
        cost=Cost(
            **{"usd_per_hour": per_hour, "usd_per_month": usd_per_month, "usd_per_1k_requests": usd_per_month / 1000},
            **{"usd_per_1k_requests_at_capacity": 0.1, "usd_per_million_output_tokens": usd_per_month / 500},
            **{"usd_per_million_output_tokens_at_capacity": 1.0, "usd_per_instance_hour": per_hour},
            **{"price_basis": "on_demand", "price_date": "2026-11-01", "price_region": "us", "price_source": "list"},
            price_marks=(),
        ),
        verdicts=(
            verdict(
                quantity="Time to first token (TTFT)",
                percentile=95,
                limit_ms=200.0,
                latency=times["ttft"],
                basis="estimated",
                source="s",
            ),
            verdict(
                quantity="Time per output token (TPOT)",
                percentile=95,
                limit_ms=None,
                latency=times["tpot"],
                basis="estimated",
                source="s",
            ),
        ),
        binding_constraint="memory",
    )


def _entry(letter: str, label: str, best: Deployment | None, scenario: LlmScenario | None = None) -> Compared:
    slot = slot_of(scenario or LlmScenario(), catalog_version=PRESENT, label=label)
    return Compared(letter, slot, Answer("A model needs a machine.", best, "memory"))


BASE = _entry("A", "base", _deployment(1000.0, (80.0, 100.0, 120.0), (8.0, 10.0, 12.0)))
CHEAP = _entry("B", "fp8", _deployment(770.0, (125.0, 130.0, 150.0), (9.0, 11.0, 13.0)))
NONE = _entry("C", "tight", None)


def test_differences_are_those_made_by_hand() -> None:
    rows = {row.quantity: row for row in answer_rows((BASE, CHEAP, NONE))}
    assert [row.cells[2].value for row in rows.values() if row.unit] == [None] * (len(rows) - 2)
    month = rows["Cost per month"].cells
    assert (month[0].value, month[1].value, month[0].change, month[1].change) == (1000.0, 770.0, None, -0.23)
    assert month[1].decided is None  # a price has no interval
    first = rows["Time to first token (TTFT) p95"].cells
    assert first[1] == Cell(130.0, 125.0, 150.0, 200.0, True, 0.3, decided=True)
    each = rows["Time per output token (TPOT) p95"].cells
    assert each[1] == Cell(11.0, 9.0, 13.0, None, True, 0.1, decided=False)
    assert rows["Cost per 1M requests"].cells[0].value == 1000.0
    assert rows["Cost per 1M output tokens"].cells[1].value == 1.54
    assert rows["Accelerators"].cells[0].value == 8
    assert rows["Memory used of an accelerator or instance"].cells[0] == Cell(50, None, None, 80)
    assert [cell.value for cell in rows["Binding constraint"].cells] == ["memory"] * 3


def test_the_headline_is_the_one_made_by_hand() -> None:
    assert headline((BASE, CHEAP)) == (
        "B (fp8) costs $230.00 less a month than A (base) (-23 %), and both meet their limits; B is slower at TTFT p95 by "
        "30 ms (+30 %); TPOT p95 not decided (the 80 % intervals overlap)."
    )
    assert headline((replace(CHEAP, letter="A"), replace(BASE, letter="B"))).startswith(
        "B (base) costs $230.00 more a month than A (fp8) (+30 %), and both meet their limits; B is faster at TTFT p95 by"
    )
    assert headline((BASE, CHEAP, replace(BASE, letter="C"), replace(NONE, letter="D"))) == (
        "B (fp8) is the cheapest at $770.00 a month, A costs $230.00 more (+30 %), C costs $230.00 more (+30 %), and all "
        "meet their limits; B is slower at TTFT p95 by 30 ms (+30 %); D has no deployment, memory binds."
    )
    same = headline((BASE, replace(BASE, letter="B")))
    assert same.startswith("B (base) costs the same as A (base), $1,000 a month, and both meet their limits.")
    assert headline((BASE, NONE)) == (
        "Only A (base) has a deployment: $1,000 a month. C has no deployment, memory binds."
    )
    assert headline((NONE, replace(NONE, letter="D"))).startswith("No scenario has a deployment under its rules")
    lost = Compared("B", Slot(text="?", unread="gone"), None)
    assert headline((BASE, lost)).endswith("Nothing to compare it with yet. B could not be read.")
    assert headline((lost,)) == "Nothing to compare yet. B could not be read."


def test_change_and_decision_do_not_apply_where_a_figure_is_missing_or_zero() -> None:
    assert against(Cell(5.0), Cell(None)).change is None
    assert against(Cell(5.0), Cell(0.0)).change is None
    assert against(Cell(None), Cell(5.0)) == Cell(None)
    assert against(Cell("m"), Cell("n")) == Cell("m")
    assert against(Cell(5.0, 4.0, 6.0), Cell(5.0)).decided is None
    assert against(Cell(8.0, 6.0, 9.0), Cell(5.0, 4.0, 6.0)).decided is False  # they touch


def test_inputs_that_differ_are_listed_once_and_only_those() -> None:
    llm = [slot_of(LlmScenario(prompt_tokens=n, name=f"{n}"), catalog_version=PRESENT) for n in (1000, 500)]
    rows = input_differences(compared(llm))
    assert [(row.field, row.values) for row in rows] == [("prompt_tokens", (1000, 500))]
    mixed = {row.field: row for row in input_differences(compared(THREE))}
    assert mixed["kind"].values == ("llm", "deep_learning", "statistical")
    assert mixed["requests_per_s"].values == (5.0, 500.0, 200.0)
    assert mixed["weight_format"].held == (True, False, False)
    assert mixed["trees"].values[2] == 300
    assert not {"utilization_cap", "depth", "queue_delay_ms", "lora_rank"} & set(mixed)
    versions = [slot_of(LlmScenario(), catalog_version=version) for version in (PRESENT, VERSIONS[0])]
    (row,) = input_differences((*compared(versions)[:1], Compared("B", versions[1], None)))
    assert row.field == "catalog"


def test_answers_are_those_of_each_plan_alone() -> None:
    entries = compared(THREE)
    rows = {row.quantity: row for row in answer_rows(entries)}
    for position, slot in enumerate(THREE):
        assert slot.scenario is not None
        best = plan(slot.scenario, catalogs.load()).recommended
        assert best is not None
        assert rows["Cost per month"].cells[position].value == best.cost.usd_per_month
        assert rows["Machines"].cells[position].value == best.instances
        for v in best.verdicts:
            cell = rows[f"{v.quantity} p{v.percentile}"].cells[position]
            assert (cell.value, cell.low, cell.high, cell.limit) == (v.predicted_ms, v.low_ms, v.high_ms, v.limit_ms)
    assert rows["Cost per 1M output tokens"].cells[1].value is None


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
