"""Work of a network by kind of operator: what an ONNX file, a trace and the speed model have in common.

An `Operator` is one node at one input size and one sample; `totals` adds them up by kind. Elements, not bytes, are counted, so
that a precision can be chosen later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

OperatorKind = Literal[
    "convolution",
    "pointwise",
    "grouped",
    "depthwise",
    "matmul",
    "attention",
    "normalisation",
    "elementwise",
    "pooling",
    "movement",
    "other",
]
"""convolution: groups 1, kernel above 1; pointwise: groups 1, kernel 1; grouped: groups above 1 with several channels each;
depthwise: one input channel a group; matmul: products with weights (linear, Gemm); attention: products of two activations and
fused attention; normalisation: batch, layer and group norm, softmax; elementwise: activations, additions, scales, casts;
pooling: pools and reductions; movement: copies that change the layout (transpose, concat, slice, gather, pad, resize);
other: what is none of these. Operators that only share storage (reshape-like) are left out."""

KINDS: tuple[OperatorKind, ...] = get_args(OperatorKind)


@dataclass(frozen=True)
class Operator:
    """One node: multiply-adds, and elements read, written and of weights, all of one sample [count]."""

    name: str
    kind: OperatorKind
    macs: float
    read_elements: float
    written_elements: float
    weight_elements: float = 0.0
    launches: float = 1.0


@dataclass(frozen=True)
class Totals:
    """Sum over the operators of one kind, of one sample [count]; weights are read once a batch, the rest grows with it."""

    launches: float = 0.0
    macs: float = 0.0
    read_elements: float = 0.0
    written_elements: float = 0.0
    weight_elements: float = 0.0


def totals(operators: Iterable[Operator]) -> dict[OperatorKind, Totals]:
    """Work of a network by kind of operator [count]: plain sums; kinds that do not occur are left out.

    >>> totals([Operator("a", "matmul", 6.0, 2, 3, 6), Operator("b", "matmul", 4.0, 3, 1, 3)])["matmul"].macs
    10.0
    """
    sums: dict[OperatorKind, list[float]] = {}
    for one in operators:
        at = sums.setdefault(one.kind, [0.0] * 5)
        for index, value in enumerate(
            (one.launches, one.macs, one.read_elements, one.written_elements, one.weight_elements)
        ):
            at[index] += value
    return {kind: Totals(*sums[kind]) for kind in KINDS if kind in sums}
