"""Small values of ONNX graphs, shapes above all, worked out as the reference evaluator does, or left unknown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from sizing.onnx.values import evaluate
from tests.deep_learning.onnx_graphs import BOOL, INT64, model, node

VALUE_CASES: list[tuple[str, dict[str, Any], list[Any]]] = [
    ("Gather", {"axis": 0}, [[5, 6, 7], 2]),
    ("Concat", {"axis": 0}, [[1], [2, 3]]),
    ("Unsqueeze", {}, [[1, 2], [1]]),
    ("Squeeze", {}, [[[4, 5]], [0]]),
    ("Slice", {}, [[1, 2, 3, 4], [1], [2**63 - 1], [0], [2]]),
    ("Slice", {}, [[1, 2, 3, 4], [-1], [-(2**63)], [0], [-1]]),
    ("Div", {}, [[-7, 7], [2]]),
    ("Mod", {}, [[-7, 7], [3]]),
    ("Mul", {}, [[2, 3], [4]]),
    ("Range", {}, [2, 11, 3]),
    ("ConstantOfShape", {}, [[2, 2]]),
    ("Where", {}, [[True, False], [1, 2], [3, 4]]),
    ("Expand", {}, [[[1], [2]], [2, 3]]),
    ("Tile", {}, [[1, 2], [2]]),
    ("ReduceProd", {"keepdims": 0}, [[2, 3, 4]]),
    ("Reshape", {}, [[1, 2, 3, 4], [2, -1]]),
    ("Equal", {}, [[1, 2], [1, 3]]),
    ("Max", {}, [[1, 5], [3, 2]]),
    ("Split", {"axis": 0}, [[1, 2, 3], [1, 2]]),
    ("CumSum", {}, [[1, 2, 3], 0]),
    ("Cast", {"to": 7}, [[True, False]]),
]


@pytest.mark.parametrize(("op", "attributes", "inputs"), VALUE_CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_small_values_are_those_of_the_reference(op: str, attributes: dict[str, Any], inputs: list[Any]) -> None:
    arrays = [np.array(v, dtype=np.bool_ if isinstance(np.ravel(v)[0], np.bool_) else np.int64) for v in inputs]
    names = [f"i{k}" for k in range(len(arrays))]
    outputs = ["y", "z"] if op == "Split" else ["y"]
    kinds = {n: (BOOL if a.dtype == np.bool_ else INT64, a.shape) for n, a in zip(names, arrays, strict=True)}
    proto = model([node(op, " ".join(names), " ".join(outputs), **attributes)], kinds, outputs)
    expected = ReferenceEvaluator(proto).run(None, dict(zip(names, arrays, strict=True)))
    found = evaluate(op, attributes, arrays, [a.shape for a in arrays], len(outputs))
    assert found is not None
    for mine, theirs in zip(found, expected, strict=True):
        assert np.array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("op", "attributes", "inputs"),
    [
        ("Mul", {}, [[2**40], [2**40]]),
        ("ReduceProd", {}, [[2**40, 2**40]]),
        ("Range", {}, [0, 10**9, 1]),
        ("ConstantOfShape", {}, [[10**9, 10**9]]),
        ("Expand", {}, [[1], [10**12]]),
        ("Tile", {}, [[1], [10**12]]),
        ("Div", {}, [[1], [0]]),
        ("Gather", {"axis": 0}, [[1], 5]),
        ("NoSuchOperator", {}, [[1]]),
    ],
)
def test_values_that_wrap_around_or_are_large_stay_unknown(
    op: str, attributes: dict[str, Any], inputs: list[Any]
) -> None:
    arrays = [np.array(value, dtype=np.int64) for value in inputs]
    assert evaluate(op, attributes, arrays, [a.shape for a in arrays], 1) is None
