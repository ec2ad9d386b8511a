"""ONNX files that a stranger might upload to do harm, and small good ones, made with onnx's helper for the tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from sizing.onnx.wire import encoded
from tests.deep_learning.onnx_graphs import FLOAT, INT64, floats, model, node, raw

STRING, BOOL = TensorProto.STRING, TensorProto.BOOL
GRAPH_TYPE = b"\xa0\x01\x05"
"""Field 20 of an AttributeProto: its type, a graph."""


def matrix(rows: Any = "n") -> bytes:
    """A product with a matrix: good."""
    return raw(model([node("MatMul", "x w", "y")], {"x": (FLOAT, [rows, 4])}, ["y"], {"w": floats(4, 3)}))


def texts() -> bytes:
    """Text and numbers in, a text out: good."""
    nodes = [node("Identity", "s", "t"), node("Identity", "x", "y")]
    return raw(model(nodes, {"s": (STRING, ["n", 1]), "x": (INT64, [None, 2])}, ["t", "y"]))


def sequence_length() -> bytes:
    """A second open dimension."""
    return raw(model([node("Relu", "x", "y")], {"x": (FLOAT, ["n", "length", "n"])}, ["y"]))


def endless_loop() -> bytes:
    """A loop of 2^62 rounds, each with some work."""
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["v", "v"], ["w"]),
            helper.make_node("Identity", ["c"], ["d"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", INT64, []),
            helper.make_tensor_value_info("c", BOOL, []),
            helper.make_tensor_value_info("v", FLOAT, [32, 32]),
        ],
        [helper.make_tensor_value_info("d", BOOL, []), helper.make_tensor_value_info("w", FLOAT, [32, 32])],
    )
    nodes = [helper.make_node("Loop", ["rounds", "yes", "start"], ["end"], body=body), node("Relu", "x", "y")]
    weights = {"rounds": np.array(2**62), "yes": np.array(True), "start": np.zeros((32, 32), np.float32)}
    return raw(model(nodes, {"x": (FLOAT, ["n", 2])}, ["end", "y"], weights))


def long_scan() -> bytes:
    """A scan over 10^9 steps of an input that is made on the way."""
    body = helper.make_graph(
        [helper.make_node("Add", ["s", "e"], ["t"]), helper.make_node("Identity", ["t"], ["o"])],
        "body",
        [helper.make_tensor_value_info("s", FLOAT, [1]), helper.make_tensor_value_info("e", FLOAT, [1])],
        [helper.make_tensor_value_info("t", FLOAT, [1]), helper.make_tensor_value_info("o", FLOAT, [1])],
    )
    nodes = [
        node("Expand", "x shape", "wide"),
        helper.make_node("Scan", ["zero", "wide"], ["last", "every"], body=body, num_scan_inputs=1),
    ]
    weights = {"shape": np.array([10**9, 1]), "zero": np.zeros(1, np.float32)}
    return raw(model(nodes, {"x": (FLOAT, ["n", 1])}, ["last", "every"], weights))


def wide_expand() -> bytes:
    """An array of 10^12 elements from one number."""
    nodes = [node("Expand", "x shape", "y")]
    return raw(model(nodes, {"x": (FLOAT, ["n", 1])}, ["y"], {"shape": np.array([1, 10**12])}))


def slow_bomb(step_mib: int = 16, steps: int = 400) -> bytes:
    """A loop that gathers `step_mib` MiB each round, so that resident memory grows step by step."""
    elements = step_mib * 2**18
    body = helper.make_graph(
        [
            helper.make_node("Expand", ["one", "wide"], ["o"]),
            helper.make_node("Identity", ["c"], ["d"]),
        ],
        "body",
        [helper.make_tensor_value_info("i", INT64, []), helper.make_tensor_value_info("c", BOOL, [])],
        [helper.make_tensor_value_info("d", BOOL, []), helper.make_tensor_value_info("o", FLOAT, [elements])],
    )
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "flat"], ["one"]),
        helper.make_node("Loop", ["rounds", "yes"], ["all"], body=body),
    ]
    weights = {"rounds": np.array(steps), "yes": np.array(True), "wide": np.array([elements]), "flat": np.array([1])}
    return raw(model(nodes, {"x": (FLOAT, ["n", 2])}, ["all"], weights))


def large_constant(mib: int) -> bytes:
    """A stored array of so many MiB."""
    return raw(
        model([node("Add", "x w", "y")], {"x": (FLOAT, ["n", 1])}, ["y"], {"w": np.zeros(mib * 2**18, np.float32)})
    )


def deep_graphs(levels: int) -> bytes:
    """Branches inside branches, written by hand: onnx's own helper cannot make them as deep as it has to read them."""
    made = [helper.make_empty_tensor_value_info("y")]
    leaf = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "leaf", [], made).SerializeToString()
    branch = leaf
    for _ in range(levels):
        node_bytes = encoded(1, b"yes") + encoded(2, b"y") + encoded(4, b"If")
        for name, graph in ((b"then_branch", branch), (b"else_branch", leaf)):
            node_bytes += encoded(5, encoded(1, name) + encoded(6, graph) + GRAPH_TYPE)
        branch = encoded(1, node_bytes) + encoded(2, b"level") + encoded(12, made[0].SerializeToString())
    shell = model([node("Relu", "x", "y")], {"x": (FLOAT, ["n", 1])}, ["y"], {"yes": np.array(True)})
    graph = shell.graph
    extras = b"".join(
        (encoded(5, graph.initializer[0].SerializeToString()), encoded(11, graph.input[0].SerializeToString()))
    )
    shell.ClearField("graph")
    return raw(shell) + encoded(7, branch + extras)


def external(location: str, *, inside: bool = False) -> bytes:
    """Weights that are to be read from another file; `inside` puts them into a node."""
    tensor = numpy_helper.from_array(floats(4, 3), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    if inside:
        constant = helper.make_node("Constant", [], ["w"], value=tensor)
        return raw(model([constant, node("MatMul", "x w", "y")], {"x": (FLOAT, ["n", 4])}, ["y"]))
    proto = model([node("MatMul", "x w", "y")], {"x": (FLOAT, ["n", 4])}, ["y"])
    proto.graph.initializer.append(tensor)
    return raw(proto)


def custom_operator(domain: str = "evil.corp", op: str = "Run") -> bytes:
    """An operator that no runtime has."""
    return raw(model([helper.make_node(op, ["x"], ["y"], domain=domain)], {"x": (FLOAT, ["n", 2])}, ["y"]))


def unknown_operator() -> bytes:
    """An operator of ONNX's own domain that does not exist."""
    return raw(model([node("NoSuchThing", "x", "y")], {"x": (FLOAT, ["n", 2])}, ["y"]))
