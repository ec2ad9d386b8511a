"""A network of one's own as a summary: from the file, through text, scenario and link, to a plan."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pytest

from sizing import catalog as catalogs
from sizing import link as links
from sizing.__main__ import main
from sizing.deep_learning import memory_by_batch
from sizing.deep_learning.operators import totals
from sizing.deep_learning.own import NetworkSummary, batch_law, own_graph, parse_summary
from sizing.deep_learning.pipeline import facts_of
from sizing.errors import InputError
from sizing.inspect import inspect_file, summary_text
from sizing.planner import plan
from sizing.scenario import DeepLearningScenario, scenario_from_yaml, scenario_to_yaml
from tests.deep_learning.onnx_graphs import FLOAT, INT64, floats, model, node, raw, small_network
from tests.llm.checkpoint_headers import is_sentence


def summary_of(content: bytes, **dims: int) -> NetworkSummary:
    return parse_summary(summary_text(inspect_file(content, name="small.onnx", dims=dims)))


SMALL = summary_of(raw(small_network()))


def own(text: str = SMALL.text(), **fields: object) -> DeepLearningScenario:
    return DeepLearningScenario(model="custom", custom_network=text, **fields)  # type: ignore[arg-type]


def test_the_summary_of_a_small_network() -> None:
    assert (SMALL.name, SMALL.parameters, SMALL.weights_bytes) == ("small", 170, {"float32": 680})
    assert (SMALL.peak_live.fixed, SMALL.peak_live.per_sample) == (0, 3072)
    assert (SMALL.sum_activations.per_sample, SMALL.input.per_sample, SMALL.macs) == (4152, 768, 6952)
    assert (SMALL.input_kind, SMALL.input_size, SMALL.input_shape) == ("image", 8, "3x8x8")
    assert SMALL.live_bytes == (1024, 2048, 3072, 3072, 1040, 16, 56)
    assert (SMALL.linear_error, SMALL.reshapes, SMALL.launches) == (0.0, 1, 6)
    assert SMALL.totals()["convolution"].macs == 6912


def test_text_and_back() -> None:
    assert parse_summary(SMALL.text()) == SMALL
    assert len(SMALL.text()) < 1_000


def test_what_inspect_prints_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "small.onnx"
    path.write_bytes(raw(small_network()))
    for flag in ("--summary", "--json"):
        assert main(["inspect", str(path), flag]) == 0
        assert parse_summary(capsys.readouterr().out) == SMALL


def test_a_batch_given_for_inspect_leaves_the_summary_open() -> None:
    assert summary_of(raw(small_network()), batch=16) == SMALL


def test_a_fixed_batch_is_taken_in_proportion() -> None:
    found = summary_of(raw(small_network(batch=4)))
    assert found.batch_fixed == 4
    assert (found.peak_live, found.macs, found.work) == (SMALL.peak_live, SMALL.macs, SMALL.work)
    assert "fixes the batch at 4" in str(own_graph(found.text()).model.input_note)


def test_half_precision_is_told_in_fp32() -> None:
    from onnx import TensorProto

    proto = model([node("MatMul", "x w", "y")], {"x": (TensorProto.FLOAT16, ["n", 8])}, ["y"],
                  {"w": floats(8, 4).astype(np.float16)})  # fmt: skip
    found = summary_of(raw(proto))
    assert (found.peak_live.per_sample, found.input.per_sample) == (16, 32)
    assert found.weights_bytes == {"float16": 64}


def test_what_does_not_grow_with_the_batch_is_counted_once() -> None:
    """A table made from the second input alone, 40 bytes, beside 40 bytes a sample."""
    nodes = [node("Exp", "p", "e"), node("Mul", "x w", "m"), node("Add", "m e", "y")]
    proto = model(nodes, {"x": (FLOAT, ["n", 10]), "p": (FLOAT, [1, 10])}, ["y"], {"w": floats(10)})
    found = summary_of(raw(proto))
    assert (found.peak_live.fixed, found.peak_live.per_sample) == (40, 80)
    assert (found.input.fixed, found.input.per_sample) == (40, 40)
    assert own_graph(found.text()).buffers_bytes == 80


def test_a_law_that_is_not_a_line_says_so() -> None:
    law, error = batch_law({1: 10, 2: 40, 8: 640})
    assert law.at(8) == 640
    assert error > 0.5
    nodes = [node("MatMul", "x x", "a"), node("MatMul", "a w", "y")]  # n x n: grows with the square
    proto = model(nodes, {"x": (FLOAT, ["n", "n"])}, ["y"], {"w": floats(1, 4)})
    proto.graph.initializer[0].dims[:] = [1, 4]
    assert "straight line" in " ".join(inspect_file(raw(proto), name="m").notes)


def test_tokens_are_integers_whatever_the_precision() -> None:
    proto = model([node("Gather", "table ids", "y")], {"ids": (INT64, ["n", "seq"])}, ["y"], {"table": floats(50, 8)})
    found = summary_of(raw(proto), seq=12)
    assert (found.input_kind, found.input_size, found.input.per_sample, found.dims) == ("tokens", 12, 96, {"seq": 12})
    assert not own_graph(found.text()).input_is_float


def test_the_graph_of_a_summary_and_its_plan() -> None:
    scenario, catalog = own(precision="fp32"), catalogs.load()
    facts = facts_of(scenario, catalog)
    assert (facts.parameters, facts.weights_bytes_fp32, facts.buffers_bytes) == (170, 680, 32)
    assert (facts.peak_live_bytes_fp32, facts.sum_activation_bytes_fp32) == (3072, 4152)
    assert (facts.macs, facts.operators, facts.peak_at) == (6952, 6, "at_r (Relu)")
    found = plan(scenario, catalog)
    assert found.recommended is not None
    assert found.headline.startswith("small in fp32")
    assert any("attention is as its file has it" in said for said in found.caveats)
    parts = memory_by_batch(scenario, catalog, (1, 1001), "t4").parts
    assert any(sizes[1] - sizes[0] == 1000 * 768 for sizes in parts.values())


def test_it_travels_in_yaml_and_in_the_link() -> None:
    scenario = own()
    assert scenario_from_yaml(scenario_to_yaml(scenario)) == scenario
    query = links.to_query(scenario, catalog_version="2026-11-22.00000000")
    assert links.from_query(query).scenario == scenario
    assert len(query) < 2_000
    packed = dict(parse_qsl(query, keep_blank_values=True))["custom_network"]
    assert len(packed) < len(SMALL.text())
    spoiled = links.from_query(query.replace(packed, "no~such"))
    assert isinstance(spoiled.scenario, DeepLearningScenario)
    assert spoiled.scenario.custom_network is None
    assert "custom_network" in " ".join(spoiled.messages)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"model": "custom"}, "custom_network"),
        ({"custom_network": SMALL.text()}, "model"),
        ({"model": "custom", "custom_network": SMALL.text(), "input_size": 9}, "input_size"),
        ({"model": "custom", "custom_network": "{}"}, "custom_network"),
    ],
)
def test_what_does_not_go_together(fields: dict[str, object], field: str) -> None:
    with pytest.raises(InputError) as refused:
        plan(DeepLearningScenario(**fields), catalogs.load())  # type: ignore[arg-type]
    assert refused.value.field == field
    assert is_sentence(str(refused.value))


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": 0}, {"parameters": 1.5}, {"parameters": -1}, {"parameters": 10**30}, {"macs": float("nan")},
        {"macs": -1.0}, {"work": {"magic": [1, 1, 1, 1, 1]}}, {"work": {"matmul": [1]}}, {"summary": 2}, {"more": 1},
        {"peak_live": {"per_sample": 10**9}}, {"live_bytes": [1] * 49}, {"name": "a\nb"}, {"input_size": 0},
        {"weights_bytes": {str(i): 1 for i in range(13)}}, {"dims": "many"},
    ],
    ids=str,
)  # fmt: skip
def test_a_summary_that_cannot_be_is_refused_in_a_sentence(change: dict[str, object]) -> None:
    with pytest.raises(InputError) as refused:
        parse_summary(json.dumps({**json.loads(SMALL.text()), **change}))
    assert refused.value.field == "custom_network"
    assert is_sentence(str(refused.value))


@pytest.mark.parametrize(
    "text", ["", "no", "[]", "1", '{"summary": {}}', "[" * 100_000, "null", '{"model_type": "llama"}']
)
def test_other_texts_are_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_summary(text)
    assert is_sentence(str(refused.value))


def test_operators_add_up_to_the_summary() -> None:
    """The speed model may take either: totals of the operators, or those of the summary."""
    import io

    from sizing.deep_learning.onnx.analysis import analyse
    from sizing.onnx.reader import read_network

    content = raw(small_network())
    found = analyse(read_network(io.BytesIO(content), len(content), "m"), {})
    assert totals(found.operators()) == SMALL.totals()
    elementwise = SMALL.totals()["elementwise"]  # relu and the addition
    assert (elementwise.launches, elementwise.read_elements, elementwise.written_elements) == (2, 3 * 256, 2 * 256)
