"""Small ONNX graphs made with onnx's helper, for the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
Dims = Sequence[int | str | None]


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:
    """A node; names are given with spaces between them, `-` for one left out, its own name is that of its output."""
    names = ["" if n == "-" else n for n in inputs.split()]
    return helper.make_node(op, names, outputs.split(), name=f"at_{outputs.split()[0]}", **attributes)


def model(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, tuple[int, Dims]],
    outputs: Sequence[str],
    weights: Mapping[str, np.ndarray] | None = None,
    *,
    opset: int = 17,
    **more: Any,
) -> ModelProto:
    """A model of a graph; `inputs` maps names to element type and dimensions."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, kind, list(dims)) for name, (kind, dims) in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, **more)


def floats(*shape: int) -> np.ndarray:
    """Weights of a shape."""
    return np.full(shape, 0.5, dtype=np.float32)


def small_network(batch: int | str | None = "batch", side: int | str = 8) -> ModelProto:
    """Convolution, batch norm, relu, a skip, a pool and a linear layer; its figures are derived in the tests."""
    nodes = [
        node("Conv", "x w b", "c", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c scale bias mean var", "n"),
        node("Relu", "n", "r"),
        node("Add", "c r", "s"),
        node("GlobalAveragePool", "s", "p"),
        node("Flatten", "p", "f"),
        node("Gemm", "f g h", "y", transB=1),
    ]
    weights = {"w": floats(4, 3, 3, 3), "b": floats(4), "g": floats(10, 4), "h": floats(10)}
    weights |= {name: floats(4) for name in ("scale", "bias", "mean", "var")}
    return model(nodes, {"x": (FLOAT, [batch, 3, side, side])}, ["y"], weights)


def raw(proto: ModelProto) -> bytes:
    """The file of a model."""
    return proto.SerializeToString()
