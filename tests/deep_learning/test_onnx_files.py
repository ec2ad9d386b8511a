"""ONNX files as people and attackers send them: told by content, read without weights, refused in one sentence."""

from __future__ import annotations

import builtins
import io
import json
import subprocess
import sys
import time
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from sizing.__main__ import main
from sizing.errors import InputError
from sizing.inspect import Inspection, inspect_file, inspection_text
from sizing.onnx import wire
from sizing.onnx.reader import read_network
from tests.deep_learning.onnx_graphs import FLOAT, floats, model, node, raw, small_network
from tests.llm.checkpoint_headers import is_sentence, outcome

SMALL = raw(small_network())


def inspected(proto: onnx.ModelProto | bytes, **dims: int) -> Inspection:
    return inspect_file(proto if isinstance(proto, bytes) else raw(proto), name="m.onnx", dims=dims)


def refusal(proto: onnx.ModelProto | bytes, **dims: int) -> str:
    with pytest.raises(InputError) as refused:
        inspected(proto, **dims)
    assert is_sentence(str(refused.value))
    return str(refused.value)


def changed(**fields: Any) -> onnx.ModelProto:
    proto = small_network()
    for name, value in fields.items():
        setattr(proto, name, value)
    return proto


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "weights.bin"  # the name does not matter
    path.write_bytes(SMALL)
    assert main(["inspect", str(path), "--dim", "batch=2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["format"] == "onnx"
    assert (found["parameters"], found["weights_bytes"], found["macs"]) == (170, 680, 2 * 6952)
    assert (found["input_bytes"], found["sum_activation_bytes"], found["peak_live_bytes"]) == (1536, 2 * 4152, 2 * 3072)
    assert (found["peak_at"], found["unknown_shapes"]) == ("at_r (Relu)", 0)
    assert found["flops"] == 2 * found["macs"]
    assert found["dims"] == {"batch": 2}
    assert found["file_bytes"] == len(SMALL)
    assert found["layers"][0] == {
        "name": "at_c", "op": "Conv", "macs": 2 * 6912, "output_bytes": 2048, "output_shape": [2, 4, 8, 8],
    }  # fmt: skip
    assert [t["bytes"] for t in found["tensors"]] == [2048, 2048, 2048, 2048, 32, 32, 80]
    assert found["live_bytes_profile"] == [2048, 4096, 6144, 6144, 2080, 32, 112]


def test_the_text_says_the_same_and_a_wrong_dimension_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(SMALL)
    assert main(["inspect", str(path), "--dim", "sequence=2"]) == 0
    out = capsys.readouterr().out
    for line in (
        "format: onnx", "parameters: 170", "macs: 6,952", "peak at: at_r (Relu)", "  x: 1x3x8x8 float32", "  Conv: 6,912",
        "Note: The batch (batch) was taken as 1.",
        "Note: sequence=2 has no effect: the open dimensions of the file are: batch.",
    ):  # fmt: skip
        assert line in out.splitlines()


def test_open_dimensions_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(raw(small_network(side="side")))
    assert main(["inspect", str(path)]) == 2
    assert "side" in capsys.readouterr().err
    assert main(["inspect", str(path), "--dim", "side=16", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["peak_live_bytes"] == 4 * 3072


def test_weights_left_behind_change_nothing() -> None:
    """As an exporter writes external data, and nothing outside is opened."""
    proto = small_network()
    for tensor in proto.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../etc/passwd")
    opened: list[Any] = []
    whole, before = inspected(SMALL).as_json(), builtins.open
    try:
        builtins.open = lambda *a, **k: opened.append(a) or before(*a, **k)  # type: ignore[assignment]
        found = inspected(proto)
    finally:
        builtins.open = before
    assert not opened
    for key in ("parameters", "weights_bytes", "macs", "sum_activation_bytes", "peak_live_bytes"):
        assert found.as_json()[key] == whole[key]
    assert "outside the model's folder" in " ".join(found.notes)


def test_weights_are_stepped_over_not_held() -> None:
    """A file of 64 MB needs a small part of that in memory, and the same figures come out."""
    proto = model([node("MatMul", "x w", "y")], {"x": (FLOAT, ["n", 4096])}, ["y"], {"w": floats(4096, 4096)})
    stream = io.BytesIO(raw(proto))
    size = stream.seek(0, io.SEEK_END)
    tracemalloc.start()
    network = read_network(stream, size, "m")
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()
    assert network.initializers[0].elements == 4096 * 4096


@settings(max_examples=60, deadline=None)
@given(st.integers(1, len(SMALL) - 1))
def test_a_file_cut_anywhere_is_refused_in_a_sentence(length: int) -> None:
    """Cut between two fields of the model, what is left can be whole: then it has the same figures."""
    found, said = outcome(inspected, SMALL[:length])
    assert is_sentence(said) if found is None else found.parameters == 170


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_give_facts_or_a_sentence(changes: list[tuple[int, int]]) -> None:
    spoiled = bytearray(SMALL)
    for at, value in changes:
        spoiled[at] = value
    start = time.process_time()
    found, said = outcome(inspected, bytes(spoiled))
    if found is None:
        assert is_sentence(said)
    else:
        json.dumps(found.as_json())
        assert all(line.isprintable() for line in inspection_text(found).splitlines())
    assert time.process_time() - start < 2.0


@given(st.binary(max_size=200))
def test_noise_is_refused_in_a_sentence(noise: bytes) -> None:
    found, said = outcome(inspected, b"\x08\x08\x12" + noise)
    assert found is None
    assert is_sentence(said)


def test_a_zip_is_no_onnx() -> None:
    room = io.BytesIO()
    with zipfile.ZipFile(room, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.onnx", b"\0" * 10_000_000)
    assert "a zip archive" in refusal(room.getvalue())


def test_cycles_and_doubled_names() -> None:
    x = {"x": (FLOAT, [2, 2])}
    assert "a cycle" in refusal(model([node("Add", "x b", "a"), node("Relu", "a", "b")], x, ["b"]))
    assert "a cycle" in refusal(model([node("Add", "x a", "a")], x, ["a"]))
    assert "made by nothing" in refusal(model([node("Relu", "z", "a")], x, ["a"]))
    assert "made twice" in refusal(model([node("Relu", "x", "a"), node("Neg", "x", "a")], x, ["a"]))
    assert "made by nothing" in refusal(model([node("Relu", "x", "a")], x, ["b"]))
    proto = small_network()
    proto.graph.initializer.append(proto.graph.initializer[0])
    assert "used once" in refusal(proto)
    assert "without nodes" in refusal(model([], x, ["x"]))


def test_sizes_that_lie_or_overflow() -> None:
    proto = small_network()
    proto.graph.initializer[0].dims[0] = 40_000
    assert "as long as its shape says" in refusal(proto)
    proto.graph.initializer[0].dims[0] = -4
    assert "dimensions from 0" in refusal(proto)
    relu = [node("Relu", "x", "y")]
    assert "a whole number" in refusal(model(relu, {"x": (FLOAT, [-5, 3])}, ["y"]))
    assert "1,000,000,000,000,000" in refusal(model(relu, {"x": (FLOAT, [2**40, 2**40])}, ["y"]))
    assert "1,000,000,000,000,000" in refusal(small_network(side="side"), side=10**9)
    outer = [node("Unsqueeze", "x one", "a"), node("Add", "a x", "b"), node("MatMul", "b x", "y")]
    huge = model(outer, {"x": (FLOAT, [10**7, 10**7])}, ["y"], {"one": np.array([1], dtype=np.int64)})
    assert "elements in a tensor" in refusal(huge)
    assert inspected(model(relu, {"x": (FLOAT, [-1, 3])}, ["y"], {"w": floats(2)})).input_bytes == 12  # -1 means open


def test_large_figures_are_exact() -> None:
    """10^7 x 10^7 floats: beyond 32 bits, and 10^21 multiply-adds are beyond 64."""
    proto = model([node("MatMul", "x w", "y")], {"x": (FLOAT, [10**7, 10**7])}, ["y"], {"w": floats(2)})
    proto.graph.initializer[0].dims[:] = [10**7, 10**7]
    proto.graph.initializer[0].data_location = TensorProto.EXTERNAL
    proto.graph.initializer[0].ClearField("raw_data")
    found = inspected(proto)
    assert (found.macs, found.peak_live_bytes, found.parameters) == (10**21, 4 * 10**14, 10**14)


@pytest.mark.parametrize("opset", [0, 9_999])
def test_an_opset_that_is_not_known(opset: int) -> None:
    assert "opset" in refusal(model([node("Relu", "x", "y")], {"x": (FLOAT, [1])}, ["y"], opset=opset))


def test_graphs_in_graphs_in_graphs() -> None:
    """Written byte by byte, as protobuf itself does not write what it would not read."""
    graph = b""
    for _ in range(5_000):
        branch = wire.encoded(1, b"then_branch") + wire.encoded(6, graph)
        graph = wire.encoded(1, wire.encoded(4, b"If") + wire.encoded(5, branch))
    assert "nested" in refusal(b"\x08\x08" + wire.encoded(7, graph))


def test_functions_that_call_themselves_or_stand_for_millions_of_nodes() -> None:
    def function(name: str, calls: list[str]) -> onnx.FunctionProto:
        steps = ["x", *(f"t{i}" for i in range(len(calls) - 1)), "y"]
        body = [
            helper.make_node(call, [a], [b], domain="own" if call != "Relu" else "")
            for call, a, b in zip(calls, steps, steps[1:], strict=False)
        ]
        return helper.make_function(
            "own", name, ["x"], ["y"], body, [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
        )

    def calling(functions: list[onnx.FunctionProto]) -> onnx.ModelProto:
        start = helper.make_node("f0", ["x"], ["y"], domain="own")
        proto = model([start], {"x": (FLOAT, [2, 2])}, ["y"], {"w": floats(2)}, functions=functions)
        proto.opset_import.append(helper.make_opsetid("own", 1))
        return proto

    bomb = [function(f"f{i}", [f"f{i + 1}"] * 10) for i in range(12)] + [function("f12", ["Relu"])]
    assert "call themselves or stand for too many nodes" in refusal(calling(bomb))
    assert "call themselves" in refusal(calling([function("f0", ["f0"])]))
    fine = calling([function("f0", ["f1", "f1"]), function("f1", ["Relu", "Relu"])])
    assert inspected(fine).as_json()["nodes_by_operator"] == {"Relu": 4}


def test_other_domains_and_onnx_ml_are_named() -> None:
    nodes = [
        helper.make_node("TreeEnsembleRegressor", ["x"], ["t"], domain="ai.onnx.ml"),
        helper.make_node("Magic", ["x"], ["m"], domain="com.acme"),
        node("MatMul", "x w", "y"),
    ]
    proto = model(nodes, {"x": (FLOAT, [2, 4])}, ["t", "m", "y"], {"w": floats(4, 4)})
    proto.opset_import.extend([helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("com.acme", 1)])
    found = inspected(proto)
    said = " ".join(found.notes)
    assert "TreeEnsembleRegressor x 1" in said
    assert "com.acme.Magic x 1" in said
    assert (found.macs, found.unknown_shapes) == (32, 2)


def test_limits_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_FILE_BYTES", 100)
    assert "protobuf ends" in refusal(SMALL)
    monkeypatch.undo()
    monkeypatch.setattr(wire, "MOST_GRAPH_BYTES", 100)
    assert "without the weights" in refusal(SMALL)
    monkeypatch.undo()
    monkeypatch.setattr("sizing.onnx.reader.MOST_NODES", 3)
    assert "3 nodes" in refusal(SMALL)


def test_a_whole_inspection_grows_with_the_nodes_and_not_with_their_square() -> None:
    def seconds(count: int) -> float:
        nodes = [node("Add", f"t{i} w", f"t{i + 1}") for i in range(count)]
        content = raw(model(nodes, {"t0": (FLOAT, ["n", 64])}, [f"t{count}"], {"w": floats(64)}))
        start = time.process_time()
        assert inspected(content).peak_live_bytes == 512
        return time.process_time() - start

    assert seconds(10_000) < 25.0 * min(seconds(1_000) for _ in range(3))  # a square law would give 100


def test_onnx_is_imported_when_a_file_is_read_and_not_before() -> None:
    code = (
        "import sys, sizing.inspect, sizing.deep_learning, sizing.deep_learning.own; assert 'onnx' not in sys.modules; "
        f"sizing.inspect.inspect_file({SMALL!r}, name='m'); assert 'onnx' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
