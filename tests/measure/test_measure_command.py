"""`python -m sizing measure`: the table on standard output, one sentence and an exit code for what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnxruntime.datasets import get_example

from sizing.__main__ import main
from sizing.measure import command, process
from sizing.measure.queue import MeasureQueue
from sizing.scenario import LlmScenario, StatisticalScenario, scenario_to_yaml
from sizing.statistical.measured import fingerprint, parse_measured
from tests.measure import hostile

IRIS = StatisticalScenario(family="logistic-regression", runtime="onnxruntime", features=2, outputs=3)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command's queue in a folder of the test's."""
    models = tmp_path / "models"
    models.mkdir()
    monkeypatch.setattr(command, "MeasureQueue", lambda: MeasureQueue(parent=models))
    return models


def test_table_and_text_for_the_scenario(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = tmp_path / "iris.yaml"
    scenario.write_text(scenario_to_yaml(IRIS))
    assert main(["measure", get_example("logreg_iris.onnx"), "--scenario", str(scenario)]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].strip().startswith("Rows a call")
    assert lines[1].split()[0] == "3"
    assert "CPU time factor of this machine" in out
    read = parse_measured(lines[-1].removeprefix("measured_service: "))
    assert read.fingerprint == fingerprint(IRIS)
    assert read.rows == (3,)
    assert "checking the model ..." in err
    assert list(folder.iterdir()) == []


def test_without_a_scenario_the_model_stands_for_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(hostile.sequence_length())
    assert main(["measure", str(model), "--batches", "2", "--dim", "length=3"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1].split()[0] == "2"
    assert "measured_service" not in out


def test_what_cannot_be_measured_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(hostile.sequence_length())
    assert main(["measure", str(model)]) == 1
    assert "open: give each a whole number" in (said := capsys.readouterr().err)
    assert said.strip().endswith("Here: --dim length=N")
    model.write_bytes(b"no model")
    assert main(["measure", str(model)]) == 1
    assert "no ONNX" in capsys.readouterr().err
    other = scenario_to_yaml(LlmScenario())
    (tmp_path / "llm.yaml").write_text(other)
    for arguments, said in (
        (["measure", str(tmp_path / "none.onnx")], "file"),
        (["measure", str(model), "--batches", "1,one"], "batches"),
        (["measure", str(model), "--batches", "1,1"], "batches"),
        (["measure", str(model), "--dim", "length"], "dim"),
        (["measure", str(model), "--scenario", str(tmp_path / "llm.yaml")], "kind"),
    ):
        assert main(arguments) == 2
        assert capsys.readouterr().err.startswith(f"{said}: ")
    monkeypatch.setenv(process.SWITCH, "off")
    assert main(["measure", str(model)]) == 1
    assert "switched off" in capsys.readouterr().err
