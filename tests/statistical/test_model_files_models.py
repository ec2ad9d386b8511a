"""Models without trees, pipelines and summaries: what is read against the attributes that the library keeps."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sizing import catalog as catalogs
from sizing.__main__ import main
from sizing.errors import InputError
from sizing.inspect import Inspection, inspect_file, summary_text
from sizing.planner import plan
from sizing.scenario import StatisticalScenario
from sizing.statistical.candidate import model_of
from sizing.statistical.files.facts import ModelFile
from sizing.statistical.files.read import read_model
from sizing.statistical.measured import fingerprint
from sizing.statistical.own import ModelSummary, natural_runtime, parse_summary, size_fields
from sizing.statistical.service_time import model_time_us
from tests.deep_learning.onnx_graphs import FLOAT, floats, model, node, raw
from tests.statistical import model_files as files

BOTH = ("skops", "onnx")


def read(kind: str, ending: str) -> ModelFile:
    """Facts of one of the models of scikit-learn."""
    content = files.skops_file(kind) if ending == "skops" else files.onnx_file(kind)
    return read_model(io.BytesIO(content), len(content), f"{kind}.{ending}")


def inspected(content: bytes, name: str = "model") -> Inspection:
    """What `inspect` finds."""
    return inspect_file(content, name=name)


def steps(found: ModelFile) -> list[tuple[str, int, int]]:
    """Its steps, without their names."""
    return [(s.kind, s.features_in, s.features_out) for s in found.steps]


@pytest.mark.parametrize("ending", BOTH)
@pytest.mark.parametrize(
    ("kind", "family", "outputs"),
    [
        ("linear", "linear-regression", 2),
        ("logistic", "logistic-regression", 2),
        ("logistic of classes", "logistic-regression", 3),
        ("sgd", "logistic-regression", 2),
    ],
)
def test_linear_models_have_their_coefficients_and_intercepts(
    kind: str, family: str, outputs: int, ending: str
) -> None:
    found, own = read(kind, ending), files.learned(kind)
    assert found.family == family
    assert (found.features, found.outputs) == (6, outputs)
    assert found.parameters == np.size(own.coef_) + np.size(own.intercept_)
    assert found.forest is None


@pytest.mark.parametrize("ending", BOTH)
def test_other_models_have_what_they_learned(ending: str) -> None:
    found, own = read("vectors", ending), files.learned("vectors")
    assert (found.family, found.vectors, found.outputs) == ("svm-rbf", len(own.support_vectors_), 3)
    found, own = read("vectors of numbers", ending), files.learned("vectors of numbers")
    assert found.vectors == len(own.support_vectors_)
    assert any("poly" in note for note in found.notes)
    for kind, layers in (("perceptron", (8, 4)), ("perceptron of classes", (5,))):
        found, own = read(kind, ending), files.learned(kind)
        assert (found.family, found.hidden_layers) == ("mlp", layers)
        assert found.outputs == len(own.classes_)
        assert found.parameters == sum(w.size for w in (*own.coefs_, *own.intercepts_))
    found, own = read("clusters", ending), files.learned("clusters")
    assert (found.family, found.vectors, found.parameters) == ("k-means", 4, own.cluster_centers_.size)
    found, own = read("bayes", ending), files.learned("bayes")
    assert (found.family, found.outputs) == ("gaussian-naive-bayes", 3)
    assert found.parameters == own.theta_.size + own.var_.size
    found = read("neighbours", ending)
    assert (found.family, found.vectors, found.outputs) == ("k-nearest-neighbours-brute", files.ROWS, 2)


def test_a_search_tree_is_lost_in_the_conversion() -> None:
    assert read("neighbours tree", "skops").family == "k-nearest-neighbours-kdtree"
    assert read("neighbours tree", "onnx").family == "k-nearest-neighbours-brute"


@pytest.mark.parametrize("ending", BOTH)
def test_steps_of_pipelines_and_their_columns(ending: str) -> None:
    assert steps(read("scaled", ending)) == [("scale", 6, 6)]
    found = read("polynomial", ending)
    # 1 + 6 + 21 terms up to the second power.
    assert steps(found) == [("impute", 6, 6), ("scale", 6, 6), ("polynomial", 6, 28), ("normalize", 28, 28)]
    assert (found.features, found.model_features, found.parameters) == (6, 28, 3 * 29)


def test_columns_are_sent_to_steps_of_their_own() -> None:
    found = read("columns", "skops")
    assert steps(found) == [("impute", 3, 3), ("scale", 3, 3), ("one_hot", 1, 5), ("ordinal", 1, 1)]
    assert (found.features, found.model_features) == (5, 9)
    found = read("columns", "onnx")
    assert {"impute", "scale", "one_hot"} <= {kind for kind, _, _ in steps(found)}
    assert ("one_hot", 1, 5) in steps(found)
    assert found.features == 5


def test_the_example_of_onnxruntime() -> None:
    """logreg_iris.onnx: logistic regression of 3 classes with 4 coefficients each, whose input is declared with 2 columns."""
    onnx = pytest.importorskip("onnx")
    datasets = Path(pytest.importorskip("onnxruntime").__file__).parent / "datasets"
    path = datasets / "logreg_iris.onnx"
    proto = next(n for n in onnx.load(path).graph.node if n.op_type == "LinearClassifier")
    stored = {a.name: a for a in proto.attribute}
    classes = len(stored["classlabels_ints"].ints)
    coefficients, intercepts = len(stored["coefficients"].floats), len(stored["intercepts"].floats)
    found = inspect_file(path, name=path.name)
    assert (found.format, found.outputs, found.features) == ("onnx", classes, 2)
    assert (coefficients, intercepts) == (12, 3)
    assert any("learned on 4 columns" in note for note in found.notes)
    assert found.parameters == coefficients + intercepts
    assert found.file_bytes == path.stat().st_size
    assert found.macs is not None


def test_inspect_gives_the_keys_of_the_contract() -> None:
    found = inspected(files.xgboost_file("classes", "ubj"), "risk.ubj").as_json()
    assert found["format"] == "xgboost-ubj"
    assert (found["features"], found["outputs"], found["trees"], found["max_depth"]) == (6, 3, 18, 3)
    assert found["file_bytes"] == len(files.xgboost_file("classes", "ubj"))
    assert (found["parameters"], found["macs"]) == (None, None)
    assert found["objective"] == "multi:softprob"
    rule = catalogs.load().statistical_family("gradient-boosting-xgboost").runtime("booster")
    assert rule is not None
    by_hand = rule.resident.fixed_bytes + rule.resident.tree_bytes * 18 + rule.resident.node_bytes * found["nodes"]
    assert found["resident_bytes"] == pytest.approx(by_hand, rel=1e-6)
    assert json.dumps(found)


def test_an_onnx_of_scikit_learn_has_both_kinds_of_facts_and_a_network_only_its_own() -> None:
    found = inspected(files.onnx_file("perceptron"))
    assert found.macs == 6 * 8 + 8 * 4 + 4 * 1
    assert found.parameters == 97
    assert found.peak_live_bytes is not None
    assert found.features == 6
    layer = model([node("MatMul", "x w", "y")], {"x": (FLOAT, [1, 4])}, ["y"], {"w": floats(4, 3)})
    network = inspected(raw(layer))
    assert (network.parameters, network.features, network.outputs) == (12, None, None)
    assert "model_summary" not in network.details


def test_a_pure_network_can_still_be_read_as_a_perceptron() -> None:
    """The page takes what the command line leaves to the deep learning page."""
    layers = model(
        [node("Gemm", "x w b", "h"), node("Relu", "h", "r"), node("Gemm", "r v", "y")],
        {"x": (FLOAT, [1, 4])},
        ["y"],
        {"w": floats(4, 3), "b": floats(3), "v": floats(3, 2)},
    )
    content = raw(layers)
    found = read_model(io.BytesIO(content), len(content), "m.onnx")
    assert (found.family, found.hidden_layers, found.parameters) == ("mlp", (3,), 12 + 3 + 6)
    conv = raw(model([node("Conv", "x w", "y")], {"x": (FLOAT, [1, 3, 8, 8])}, ["y"], {"w": floats(4, 3, 3, 3)}))
    with pytest.raises(InputError, match="deep learning page"):
        read_model(io.BytesIO(conv), len(conv), "conv.onnx")


@pytest.mark.parametrize("name", ["xgboost", "lightgbm", "skops", "onnx"])
def test_the_command_line_reads_each_and_its_summary_plans(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {
        "xgboost": files.xgboost_file("binary", "json"),
        "lightgbm": files.light_file("classes"),
        "skops": files.skops_file("columns"),
        "onnx": files.onnx_file("polynomial"),
    }[name]
    path = tmp_path / f"my model.{name}"
    path.write_bytes(content)
    assert main(["inspect", str(path)]) == 0
    assert "features: " in capsys.readouterr().out
    assert main(["inspect", str(path), "--summary"]) == 0
    summary = parse_summary(capsys.readouterr().out)
    assert summary.name == "my model"
    family = catalogs.load().statistical_family(summary.family)
    scenario = StatisticalScenario(custom_model=summary.text(), runtime=natural_runtime(summary.format, family))
    assert plan(scenario, catalogs.load()).headline.startswith("my model: ")
    assert plan(scenario, catalogs.load()).scenario == scenario


def test_the_plan_is_of_the_nodes_of_the_file() -> None:
    content = files.xgboost_file("binary", "ubj")
    summary = parse_summary(summary_text(inspected(content)))
    scenario = StatisticalScenario(custom_model=summary.text(), runtime="booster", trees=999, depth=20)
    sized = model_of(scenario, catalogs.load())
    table = files.boosted("binary").get_booster().trees_to_dataframe()
    assert sized.size.trees == 6
    assert sized.size.nodes == len(table)
    assert sized.size.work_units == summary.visited_nodes_per_row < 6 * 5
    assert sized.size.file_bytes == len(content)  # UBJ is what the catalog counts for this runtime
    of_json = parse_summary(summary_text(inspected(files.xgboost_file("binary", "json"))))
    by_rule = model_of(scenario.model_copy(update={"custom_model": of_json.text()}), catalogs.load())
    rule = (
        by_rule.cost.file
    )  # JSON is not what the catalog counts, so the bytes are those of the rule for these very counts
    assert by_rule.size.file_bytes == math.ceil(rule.fixed_bytes + 6 * rule.tree_bytes + len(table) * rule.node_bytes)
    typed = model_of(StatisticalScenario(runtime="booster", trees=6, depth=4, features=6), catalogs.load())
    assert typed.size.nodes == 6 * 31 > sized.size.nodes
    faster, slower = (model_time_us(cost=m.cost, size=m.size, rows=100) for m in (sized, typed))
    assert faster < slower


def test_steps_travel_with_the_model() -> None:
    summary = parse_summary(summary_text(inspected(files.skops_file("columns"))))
    found = model_of(StatisticalScenario(custom_model=summary.text()), catalogs.load())
    assert [step.kind for step in found.steps] == ["impute", "scale", "one_hot", "ordinal"]
    assert model_of(StatisticalScenario(), catalogs.load()).steps == ()
    steps = {
        step.quantity: step for step in plan(StatisticalScenario(custom_model=summary.text()), catalogs.load()).working
    }
    parts = steps["Model time on the measured host"].value + steps["Steps before the model on the measured host"].value
    # Both together are what the service time begins with: "(call ms x factor^power + rows ms x factor^power) + ..."
    call, rows = (float(part.split(" ms")[0]) for part in steps["Service time"].with_numbers[1:].split(" + ")[:2])
    assert parts == pytest.approx(call + rows, rel=1e-3)


def test_a_measurement_is_of_the_model_that_was_read() -> None:
    summary = parse_summary(summary_text(inspected(files.xgboost_file("binary", "ubj"))))
    other = parse_summary(summary_text(inspected(files.xgboost_file("pruned", "ubj"))))
    prints = {fingerprint(StatisticalScenario(custom_model=text)) for text in (None, summary.text(), other.text())}
    assert len(prints) == 3
    beside = StatisticalScenario(custom_model=summary.text(), trees=7, family="mlp")
    assert fingerprint(beside) == fingerprint(StatisticalScenario(custom_model=summary.text()))


@pytest.mark.parametrize("kind", ["forest", "vectors", "clusters", "perceptron", "neighbours tree", "bayes"])
def test_fields_that_stand_for_a_summary_make_a_scenario(kind: str) -> None:
    fields = size_fields(read(kind, "skops").summary(kind))
    scenario = StatisticalScenario.model_validate(fields)
    own = files.learned(kind)
    assert scenario.features == 6
    if kind == "vectors":
        assert scenario.support_vectors == len(own.support_vectors_)
    if kind == "clusters":
        assert scenario.clusters == 4
    if kind == "perceptron":
        assert scenario.hidden_layers == (8, 4)
    if kind == "neighbours tree":
        assert scenario.training_rows == files.ROWS
    assert model_of(scenario, catalogs.load()).size.parameters == read(kind, "skops").parameters


GOOD: dict[str, Any] = {
    "summary": 1, "name": "m", "library": "xgboost 3.2.0", "format": "xgboost-ubj", "family": "gradient-boosting-xgboost",
    "features": 3, "outputs": 1, "trees": 2, "nodes": 6, "leaves": 4, "max_depth": 2, "visited_nodes_per_row": 4.5,
    "file_bytes": 900, "steps": [["scale", 3, 3, "StandardScaler"]],
}  # fmt: skip


def test_a_summary_is_its_own_text() -> None:
    summary = parse_summary(json.dumps(GOOD))
    assert parse_summary(summary.text()) == summary
    assert parse_summary(json.dumps({"format": "x", "model_summary": GOOD})) == summary
    assert isinstance(summary, ModelSummary)
    assert summary.steps[0].kind == "scale"


@pytest.mark.parametrize(
    "change",
    [
        {"trees": -1}, {"trees": 9}, {"leaves": 1}, {"nodes": 10**14}, {"visited_nodes_per_row": 1.0},
        {"visited_nodes_per_row": 7.0}, {"visited_nodes_per_row": float("nan")}, {"features": 0}, {"features": 2.5},
        {"family": "../x"}, {"format": "pickle"}, {"more": 1}, {"steps": [["explode", 1, 1]]}, {"steps": [["scale"]]},
        {"steps": [["scale", 1, 1]] * 30}, {"steps": 3}, {"trees": 0, "leaves": 0, "nodes": 0}, {"name": "a\nb"},
        {"hidden_layers": [0]}, {"summary": 2}, {"file_bytes": 0}, {"model_features": -1},
    ],
)  # fmt: skip
def test_a_summary_that_cannot_be_is_one_sentence(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^custom_model: [^\n]+$"):
        parse_summary(json.dumps({**GOOD, **change}))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"summary": {"name": "net"}}', "{}"])
def test_a_text_that_is_no_summary_is_one_sentence(text: str) -> None:
    with pytest.raises(InputError, match=r"^custom_model: [^\n]+$"):
        parse_summary(text)


@pytest.mark.parametrize(
    "change", [{"family": "horoscope"}, {"family": "k-means"}, {"trees": 0, "leaves": 0, "nodes": 0, "parameters": 9}]
)
def test_a_summary_that_fits_no_family_is_refused_by_the_plan(change: dict[str, Any]) -> None:
    text = json.dumps({**GOOD, **change})
    with pytest.raises(InputError) as caught:
        plan(StatisticalScenario(custom_model=text), catalogs.load())
    assert caught.value.field == "custom_model"
