"""A frozen answer comes back whole, shows every change of its file, and says what today's computation gives."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing import catalog as catalogs
from sizing import snapshot
from sizing.__main__ import main
from sizing.plan import Plan
from sizing.planner import plan, plan_with_remedies
from sizing.scenario import AnyScenario, DeepLearningScenario, LlmScenario, StatisticalScenario, scenario_to_yaml

DAY = date(2026, 11, 25)
SCENARIOS: tuple[AnyScenario, ...] = (
    LlmScenario(name="Café — 100 %"),
    LlmScenario(model="llama-2-70b-hf", max_usd_per_month=50.0),
    DeepLearningScenario(),
    StatisticalScenario(requests_per_s=None, concurrency=40),
)


def _frozen(scenario: AnyScenario | None = None) -> tuple[Plan, str]:
    found = plan_with_remedies(scenario or LlmScenario(), catalogs.load())
    return found, snapshot.to_json(found, created=DAY)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.kind)
def test_a_snapshot_brings_back_every_figure(scenario: AnyScenario) -> None:
    found, text = _frozen(scenario)
    opened = snapshot.from_json(text)
    assert opened.created == DAY
    assert opened.plan.as_json() == found.as_json()
    assert opened.plan.scenario == scenario
    assert snapshot.to_json(opened.plan, created=DAY) == text
    assert "NaN" not in text
    assert "Infinity" not in text
    assert text.count("\n") > 100  # a person can read it


def test_the_checksum_is_sha256_over_sorted_json_without_spaces() -> None:
    # By hand, with a JSON writer of its own: no figure of this plan is whole and a float, or it is written without fraction.
    document = json.loads(
        _frozen(StatisticalScenario())[1], parse_float=lambda t: int(float(t)) if float(t) % 1 == 0 else float(t)
    )
    stated = document.pop("checksum")
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert stated == "sha256:" + hashlib.sha256(text.encode("utf-8")).hexdigest()


def test_another_layout_of_the_same_content_is_the_same_file() -> None:
    found, text = _frozen()
    document = json.loads(text)
    moved = json.dumps(dict(reversed(document.items())), indent=7)
    # As a program in another language may write it: 5.0 as 5.
    whole = json.dumps(json.loads(text, parse_float=lambda t: int(float(t)) if float(t).is_integer() else float(t)))
    for other in (moved, whole):
        assert other != text
        assert snapshot.from_json(other).plan.headline == found.headline


def _edited(text: str, edit: Callable[[dict[str, Any]], object]) -> str:
    document = json.loads(text)
    edit(document)
    return json.dumps(document)


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "cost": lambda d: d["plan"]["recommended"]["cost"].update(usd_per_hour=1.0),
    "last digit": lambda d: d["plan"]["recommended"].update(
        utilization=d["plan"]["recommended"]["utilization"] + 1e-15
    ),
    "headline": lambda d: d["plan"].update(headline="free of charge"),
    "day": lambda d: d.update(created="2026-11-24"),
    "catalog": lambda d: d.update(catalog="2026-01-01.00000000"),
    "dropped row": lambda d: d["plan"]["rejected"].pop(),
    "more": lambda d: d.update(approved_by="nobody"),
    "less": lambda d: d.pop("scenario"),
    "no checksum": lambda d: d.pop("checksum"),
    "another": lambda d: d.update(checksum="sha256:" + "0" * 64),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_changed_file_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(snapshot.SnapshotError, match=r"^snapshot: the file was changed after it was saved[^\n]*$"):
        snapshot.from_json(_edited(_frozen()[1], EDITS[name]))


def _signed(document: dict[str, Any]) -> str:
    """A document with the right checksum, whatever is in it: that much anybody can make."""
    content = {name: value for name, value in document.items() if name != "checksum"}
    return json.dumps({**content, "checksum": f"sha256:{snapshot.digest(content)}"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a file that was saved"),
        ("kind: llm", "not a file that was saved"),
        ("[]", "not a file that was saved"),
        ("[" * 100_000, "not a file that was saved"),
        ('{"format": "inference-sizing snapshot", "format": "x"}', "not a file that was saved"),
        ('{"format": "inference-sizing snapshot", "schema": 2}', "schema 2"),
        ('{"format": "inference-sizing snapshot", "schema": 1, "x": NaN}', "not a file that was saved"),
        ('{"format": "inference-sizing snapshot", "schema": 1}', "was changed"),
        ("x" * (snapshot.MAX_CHARACTERS + 1), "more than any snapshot"),
    ],
    ids=range(9),
)
def test_a_foreign_file_is_refused_in_one_sentence(text: str, says: str) -> None:
    with pytest.raises(snapshot.SnapshotError, match=says) as error:
        snapshot.from_json(text)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_a_forged_checksum_does_not_open_what_is_no_plan() -> None:
    document = json.loads(_frozen()[1])
    other = {**document, "scenario": {**document["scenario"], "name": "another"}}
    with pytest.raises(snapshot.SnapshotError, match="not the one that its plan answers"):
        snapshot.from_json(_signed(other))
    with pytest.raises(snapshot.SnapshotError, match="its day"):
        snapshot.from_json(_signed({**document, "created": "yesterday"}))
    later = {**document, "plan": {**document["plan"], "colour": "red"}}
    with pytest.raises(snapshot.SnapshotError, match="another version of this dashboard"):
        snapshot.from_json(_signed(later))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text(max_size=6), parts, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_a_digest_survives_json(value: object) -> None:
    text = json.dumps(value)
    assert snapshot.digest(json.loads(text)) == snapshot.digest(value)


# Whole numbers so small that no two of them are the same to nine digits.
EXACT = st.recursive(
    st.none() | st.integers(-1000, 1000) | st.text(max_size=8),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text(max_size=6), parts, max_size=4),
    max_leaves=12,
)


@given(EXACT, EXACT)
def test_equal_data_differ_nowhere_and_other_data_somewhere(old: object, new: object) -> None:
    assert list(snapshot.differences(old, json.loads(json.dumps(old)))) == []
    assert bool(list(snapshot.differences(old, new))) == (old != new)


def test_last_digits_are_no_difference_and_a_missing_figure_is_one() -> None:
    assert list(snapshot.differences({"a": 0.1 + 0.2}, {"a": 0.3})) == []
    assert list(snapshot.differences({"a": 0.3}, {"a": 0.3001})) == ["a: was 0.3, is 0.3001"]
    assert list(snapshot.differences({"a": [{"b": None}]}, {"a": [{}]})) == ["a[1].b: only in the snapshot"]
    assert list(snapshot.differences({}, {"b": None})) == ["b: only in the new one"]


def test_the_plan_digest_leaves_out_the_time_of_the_search_only() -> None:
    found = plan(LlmScenario(), catalogs.load())
    slower = found.model_copy(update={"search": replace(found.search, seconds=99.0)})
    other = found.model_copy(update={"headline": "x"})
    assert snapshot.plan_digest(found) == snapshot.plan_digest(slower) != snapshot.plan_digest(other)


@pytest.fixture
def scenario_file(tmp_path: Path) -> Path:
    path = tmp_path / "scenario.yaml"
    path.write_text(scenario_to_yaml(LlmScenario(name="frozen")), encoding="utf-8")
    return path


def test_command_line_freezes_and_checks(
    scenario_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "frozen.json"
    assert main(["snapshot", str(scenario_file), "-o", str(out)]) == 0
    assert capsys.readouterr().out == ""
    assert main(["snapshot", str(scenario_file)]) == 0
    printed = snapshot.from_json(capsys.readouterr().out)
    assert printed.plan.scenario == snapshot.from_json(out.read_text(encoding="utf-8")).plan.scenario
    assert main(["snapshot", "--check", str(out)]) == 0
    said = capsys.readouterr().out
    assert "the same figures" in said
    assert printed.plan.headline in said
    assert snapshot.plan_digest(printed.plan) in said


def test_check_names_what_differs_today(
    scenario_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "frozen.json"
    assert main(["snapshot", str(scenario_file), "-o", str(out)]) == 0
    document = json.loads(out.read_text(encoding="utf-8"))
    document["plan"]["recommended"]["cost"]["usd_per_hour"] = 1.25
    out.write_text(_signed(document), encoding="utf-8")
    assert main(["snapshot", "--check", str(out)]) == 1
    said = capsys.readouterr().out
    assert "1 figures differ" in said
    assert "recommended.cost.usd_per_hour: was 1.25, is " in said

    gone = {
        **document,
        "catalog": "2001-01-01.deadbeef",
        "plan": {**document["plan"], "catalog": "2001-01-01.deadbeef"},
    }
    out.write_text(_signed(gone), encoding="utf-8")
    assert main(["snapshot", "--check", str(out)]) == 1
    said = capsys.readouterr().out
    assert "not kept here" in said
    assert "under the present catalog" in said


@pytest.mark.parametrize(
    "arguments",
    [["--check", "no-such-file.json"], [], ["examples/resnet-50.yaml", "--check", "x"], ["x.yaml", "-o", "/nowhere/y"]],
    ids=["missing", "nothing", "both", "no scenario"],
)
def test_bad_arguments_are_one_line_and_exit_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["snapshot", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_changed_file_is_exit_2(scenario_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "frozen.json"
    assert main(["snapshot", str(scenario_file), "-o", str(out)]) == 0
    out.write_text(out.read_text(encoding="utf-8").replace('"frozen"', '"forged"', 1), encoding="utf-8")
    assert main(["snapshot", "--check", str(out)]) == 2
    assert "was changed after it was saved" in capsys.readouterr().err
    out.write_bytes(b"\xff\xfe\x00")
    assert main(["snapshot", "--check", str(out)]) == 2
