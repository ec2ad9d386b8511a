"""Models that converters write as small graphs of plain operators: k-means, naive Bayes, neighbours, networks, linear models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import Any

from sizing.onnx.records import ML, Branch, Network, Node, Tensor
from sizing.statistical.files.onnx_trees import length

MOST_LAYERS = 16
_CLASSICAL = frozenset(
    {"MatMul", "Gemm", "Add", "Sub", "Mul", "Div", "Relu", "Tanh", "Sigmoid", "Softmax", "LogSoftmax", "Identity", "Cast", "ArgMax",
     "Concat", "Reshape", "Flatten", "Exp", "Neg", "Abs", "Sum", "ReduceSum", "Shape", "Gather", "Squeeze", "Unsqueeze", "Constant",
     "Greater", "Less", "Where", "Clip", "Not", "IsNaN", "Dropout", "Transpose", "LessOrEqual", "GreaterOrEqual", "Max", "Min",
     "ReduceProd", "ReduceMax", "ReduceSumSquare", "ReduceL2", "Sqrt", "Pow", "Equal", "Sign", "ConstantOfShape", "Expand"}
)  # fmt: skip
"""Plain operators that a small classical graph is made of; anything else (a convolution, attention) makes it a deep network."""


def graph_facts(network: Network) -> tuple[int, dict[str, Any]] | None:
    """Place of the model's first node, and its facts as `ModelFile` has them and `columns` that reach it [count]; or None."""
    stored = {t.name: t for t in network.initializers}
    makers: tuple[Callable[[Network, dict[str, Tensor]], tuple[int, dict[str, Any]] | None], ...] = (
        _neighbours,
        _clusters,
        _naive_bayes,
        _layers,
    )
    return next((found for make in makers if (found := make(network, stored)) is not None), None)


def _ops(network: Network) -> set[str]:
    return {node.op for node in network.nodes if not node.domain}


def _classes(network: Network, usual: int) -> int:
    """Classes that a ZipMap or a table of labels names [count]."""
    named = [
        length(node, "classlabels_int64s", "classlabels_strings")
        for node in network.nodes
        if node.domain == ML and node.op == "ZipMap"
    ]
    return max(named, default=0) or usual


def _neighbours(network: Network, stored: dict[str, Tensor]) -> tuple[int, dict[str, Any]] | None:
    if "TopK" not in _ops(network):
        return None
    for at, node in enumerate(network.nodes):
        if node.op not in ("Scan", "CDist"):
            continue
        tables = [t for n in node.inputs if (t := stored.get(n)) is not None and len(t.shape or ()) == 2]
        if tables and tables[0].shape is not None:
            rows, columns = tables[0].shape
            if rows and columns:
                return at, {
                    "columns": columns,
                    "model": f"nearest neighbours ({node.op})",
                    "family": "k-nearest-neighbours-brute",
                    "outputs": _classes(network, 1),
                    "vectors": rows,
                    "parameters": rows * columns,
                }
    return None


def _clusters(network: Network, stored: dict[str, Tensor]) -> tuple[int, dict[str, Any]] | None:
    if not {"ArgMin", "ReduceSumSquare"} <= _ops(network):
        return None
    for at, node in enumerate(network.nodes):
        if node.op in ("Gemm", "MatMul") and not node.domain:
            shape = _weights(node, stored)
            if shape is not None:
                columns, centres = shape
                return at, {
                    "columns": columns,
                    "model": "k-means",
                    "family": "k-means",
                    "outputs": 1,
                    "vectors": centres,
                    "parameters": centres * columns,
                }
    return None


def _naive_bayes(network: Network, stored: dict[str, Tensor]) -> tuple[int, dict[str, Any]] | None:
    if not {"Pow", "ReduceSum", "ReduceLogSumExp", "ArgMax"} <= _ops(network):
        return None
    for at, node in enumerate(network.nodes):
        table = next((t for n in node.inputs if (t := stored.get(n)) is not None and len(t.shape or ()) == 3), None)
        if node.op != "Sub" or table is None or table.shape is None or table.shape[0] != 1:
            continue
        if all(table.shape):
            classes, columns = table.shape[1:]
            return at, {
                "columns": columns,
                "model": "Gaussian naive Bayes",
                "family": "gaussian-naive-bayes",
                "outputs": classes,
                "parameters": 2 * classes * columns,
            }
    return None


def _layers(network: Network, stored: dict[str, Tensor]) -> tuple[int, dict[str, Any]] | None:
    """A chain of products with stored matrices: no hidden layer is a linear model, some are a perceptron."""
    plain = all(
        node.domain == ML or (not node.domain and node.op in _CLASSICAL and not _branches(node))
        for node in network.nodes
    )
    flat = all(len(one.dims) <= 2 for one in network.inputs)
    products = [
        (at, node) for at, node in enumerate(network.nodes) if node.op in ("MatMul", "Gemm") and not node.domain
    ]
    shapes = [shape for _, node in products if (shape := _weights(node, stored)) is not None]
    if not plain or not flat or not shapes or len(shapes) != len(products) or len(shapes) > MOST_LAYERS + 1:
        return None
    if any(before[1] != after[0] for before, after in pairwise(shapes)):
        return None
    hidden = tuple(out for _, out in shapes[:-1])
    last = shapes[-1][1]
    classes = _classes(network, 2 if last == 1 and {"ArgMax", "Sigmoid"} & _ops(network) else last)
    parameters = sum(inputs * out for inputs, out in shapes) + _biases(network, products, stored, shapes)
    classifier = bool({"ArgMax", "Softmax", "Sigmoid"} & _ops(network)) or classes != last
    return products[0][0], {
        "columns": shapes[0][0],
        "model": "perceptron" if hidden else "linear model",
        "family": "mlp" if hidden else "logistic-regression" if classifier else "linear-regression",
        "outputs": classes,
        "parameters": parameters,
        "hidden_layers": hidden,
    }


def _branches(node: Node) -> bool:
    return any(isinstance(value, Branch) for value in node.attributes.values())


def _weights(node: Node, stored: dict[str, Tensor]) -> tuple[int, int] | None:
    """Columns in and out of a product with a stored matrix [count], or None where it multiplies with none."""
    table = stored.get(node.inputs[1]) if len(node.inputs) > 1 else None
    if table is None or table.shape is None or len(table.shape) != 2 or not all(table.shape):
        return None
    rows, columns = table.shape
    return (columns, rows) if node.op == "Gemm" and node.attributes.get("transB") else (rows, columns)


def _biases(
    network: Network, products: Sequence[tuple[int, Node]], stored: dict[str, Tensor], shapes: Sequence[tuple[int, int]]
) -> int:
    """Values that are added after each product [count]."""
    total = 0
    for (at, node), (_, out) in zip(products, shapes, strict=True):
        third = stored.get(node.inputs[2]) if node.op == "Gemm" and len(node.inputs) > 2 else None
        after = [n for n in network.nodes[at + 1 : at + 4] if n.op == "Add" and set(n.inputs) & set(node.outputs)]
        added = next((t for n in after for i in n.inputs if (t := stored.get(i)) is not None), third)
        total += out if added is not None and prod(added.shape or ()) == out else 0
    return total
