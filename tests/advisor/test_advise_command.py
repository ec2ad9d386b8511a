"""The command line: `advise` prints the moves, as text and as JSON, and ends as `plan` does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sizing.__main__ import main
from sizing.advisor import advise
from sizing.catalog import load
from sizing.scenario import parse_scenario, scenario_from_yaml

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "resnet-50.yaml"


def test_json_holds_every_move_and_the_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["advise", str(EXAMPLE), "--json", "--path"]) == 0
    found = json.loads(capsys.readouterr().out)
    advice = advise(scenario_from_yaml(EXAMPLE.read_text(encoding="utf-8")), load())
    assert advice is not None
    assert [m["id"] for m in found["moves"]] == [o.move.id for o in advice.outcomes]
    assert found["present"]["usd_per_month"] == advice.present.usd_per_month
    first = found["moves"][0]
    assert first["saves_usd_per_month"] == advice.outcomes[0].saves_usd_per_month
    moved = parse_scenario({**found["scenario"], **first["changes"]})
    assert advise(moved, load()).present.usd_per_month == first["figures"]["usd_per_month"]  # type: ignore[union-attr]
    assert found["path"][-1]["saved_usd_per_month"] > 0
    assert all(m["quality"]["source"] and m["quality"]["as_of"] for m in found["moves"])


def test_text_says_what_was_tried(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["advise", str(EXAMPLE)]) == 0
    out = capsys.readouterr().out
    assert "Compute in fp16" in out
    assert "Tried too:" in out
    assert "One after the other" not in out
    assert "Structured pruning" in out


def test_without_a_deployment_it_says_what_would_lift_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tight.yaml"
    file.write_text("kind: llm\nmodel: llama-2-70b-hf\ntpot_target_ms: 2\n", encoding="utf-8")
    assert main(["advise", str(file)]) == 1
    assert "What would lift it" in capsys.readouterr().out
    file.write_text("kind: llm\nmodel: nothing\n", encoding="utf-8")
    assert main(["advise", str(file)]) == 2
