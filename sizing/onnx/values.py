"""Small values that a graph computes its shapes with, evaluated: what onnx's own data propagation does not reach.

Whole numbers and truth values of at most 4,096 elements, floats of at most 16 (the scales of a Resize). Anything larger, not
listed or out of range stays unknown; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Value = NDArray[Any]
MOST_ELEMENTS = 4096
MOST_FLOATS = 16
LARGEST = 2.0**62
"""Sums and products beyond this are left unknown [1]: arithmetic of 64-bit integers would wrap around."""

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Min": np.minimum, "Max": np.maximum, "Equal": np.equal,
    "Less": np.less, "Greater": np.greater, "LessOrEqual": np.less_equal, "GreaterOrEqual": np.greater_equal,
    "And": np.logical_and, "Or": np.logical_or, "Pow": np.power,
}  # fmt: skip
_WRAPS = frozenset({"Add", "Sub", "Mul", "Pow"})
_UNARY: dict[str, Callable[[Any], Any]] = {
    "Floor": np.floor, "Ceil": np.ceil, "Round": np.rint, "Neg": np.negative, "Abs": np.abs, "Not": np.logical_not,
    "Sqrt": np.sqrt, "Identity": np.array,
}  # fmt: skip
_REDUCE: dict[str, Callable[..., Any]] = {
    "ReduceProd": np.prod, "ReduceSum": np.sum, "ReduceMin": np.min, "ReduceMax": np.max,
}  # fmt: skip


def small(value: Value) -> bool:
    """Whether a value is kept: a kind of number, and few elements.

    >>> small(np.array([2, 3])), small(np.zeros(100))
    (True, False)
    """
    floats = value.dtype.kind == "f"
    return value.dtype.kind in "iubf" and value.size <= (MOST_FLOATS if floats else MOST_ELEMENTS)


def evaluate(
    op: str,
    attributes: Mapping[str, Any],
    inputs: Sequence[Value | None],
    shapes: Sequence[tuple[int, ...] | None],
    outputs: int,
) -> list[Value] | None:
    """Values of a node's outputs from those of its inputs, or None where they are not known.

    `shapes` are those of the inputs, which is all that Shape and Size need.

    >>> evaluate("Shape", {}, [None], [(2, 3)], 1)
    [array([2, 3])]
    """
    try:
        with np.errstate(all="ignore"):
            found = _shape_of(op, attributes, shapes)
            if found is None:
                if any(value is None for value in inputs if value is not _ABSENT) or not inputs:
                    return None
                found = _evaluate(op, attributes, [_none(value) for value in inputs], outputs)
    except (ValueError, IndexError, TypeError, OverflowError, ZeroDivisionError, KeyError, AttributeError):
        return None
    return found if found is not None and all(small(value) for value in found) else None


_ABSENT: Value = np.array([], dtype=np.uint8)
"""Stands for an optional input that is not given."""


def absent() -> Value:
    """What stands in `inputs` for an optional input that is not given."""
    return _ABSENT


def _none(value: Value | None) -> Any:
    return None if value is _ABSENT else value


def _shape_of(op: str, attributes: Mapping[str, Any], shapes: Sequence[tuple[int, ...] | None]) -> list[Value] | None:
    if op not in ("Shape", "Size") or not shapes or shapes[0] is None:
        return None
    if op == "Size":
        return [np.array(prod(shapes[0]), dtype=np.int64)]
    return [np.array(shapes[0][attributes.get("start", 0) : attributes.get("end")], dtype=np.int64)]


def _evaluate(op: str, attributes: Mapping[str, Any], values: list[Any], outputs: int) -> list[Value] | None:
    first = values[0]
    if op in _BINARY:
        found = first
        for other in values[1:]:
            _check(np.broadcast_shapes(found.shape, other.shape))
            exact = _BINARY[op](found.astype(np.float64), other.astype(np.float64))
            if op in _WRAPS and not np.all(np.abs(exact) <= LARGEST):
                return None
            found = _BINARY[op](found, other)
        return [np.asarray(found)]
    if op == "Div":
        whole = first.dtype.kind in "iu"
        if whole and not np.all(values[1]):
            return None
        # ONNX cuts towards zero where NumPy rounds down.
        return [np.trunc(first / values[1]).astype(first.dtype) if whole else np.asarray(first / values[1])]
    if op == "Mod":
        return [np.asarray(np.fmod(first, values[1]) if attributes.get("fmod") else np.mod(first, values[1]))]
    if op in _UNARY:
        return [np.asarray(_UNARY[op](first))]
    if op in _REDUCE:
        axes = values[1].tolist() if len(values) > 1 and values[1] is not None else attributes.get("axes")
        if not axes and attributes.get("noop_with_empty_axes"):
            return [first]
        keep = bool(attributes.get("keepdims", 1))
        if not _fits(op, first):
            return None
        return [np.asarray(_REDUCE[op](first, axis=tuple(axes) if axes else None, keepdims=keep)).astype(first.dtype)]
    return _layout(op, attributes, values, outputs)


def _fits(op: str, value: Value) -> bool:
    """Whether a sum or product over all elements stays far from the end of 64 bits; a part of it does then, too."""
    sizes = [max(abs(float(n)), 1.0) for n in value.reshape(-1)]
    return op in ("ReduceMin", "ReduceMax") or (prod(sizes) if op == "ReduceProd" else sum(sizes)) <= LARGEST


def _layout(op: str, attributes: Mapping[str, Any], values: list[Any], outputs: int) -> list[Value] | None:
    """Values of nodes that move, cut, join or fill."""
    first = values[0]
    if op == "Gather":
        indices = values[1]
        _check((*first.shape[1:], indices.size))
        return [np.take(first, indices, axis=attributes.get("axis", 0))]
    if op == "Concat":
        return [np.concatenate(values, axis=attributes["axis"])]
    if op == "Cast":
        kinds = {1: np.float32, 6: np.int32, 7: np.int64, 9: np.bool_, 11: np.float64}
        kind = kinds.get(attributes["to"])
        return None if kind is None else [first.astype(kind)]
    if op in ("Unsqueeze", "Squeeze"):
        axes = values[1].tolist() if len(values) > 1 and values[1] is not None else attributes.get("axes")
        if op == "Unsqueeze":
            return [np.expand_dims(first, tuple(axes or ()))]
        return [np.squeeze(first, tuple(axes) if axes is not None else None)]
    if op == "Reshape":
        shape = [first.shape[i] if n == 0 else n for i, n in enumerate(values[1].tolist())]
        return [first.reshape(shape)]
    if op == "Flatten":
        axis = attributes.get("axis", 1)
        return [first.reshape(prod(first.shape[:axis]), -1)]
    if op == "Transpose":
        return [np.transpose(first, attributes.get("perm"))]
    if op == "Slice":
        return [_slice(first, attributes, values)]
    if op == "Split":
        sizes = values[1].tolist() if len(values) > 1 and values[1] is not None else attributes.get("split")
        axis = attributes.get("axis", 0)
        if sizes is None:
            return list(np.array_split(first, outputs, axis=axis)) if first.shape[axis] % outputs == 0 else None
        return list(np.split(first, np.cumsum(sizes)[:-1].tolist(), axis=axis))
    if op == "Where":
        _check(np.broadcast_shapes(*(value.shape for value in values)))
        return [np.where(first, values[1], values[2])]
    if op == "Expand":
        wide = np.broadcast_shapes(first.shape, _check(tuple(values[1].tolist())))
        return [np.array(np.broadcast_to(first, _check(wide)))]
    if op == "Tile":
        _check((first.size, *values[1].tolist()))
        return [np.tile(first, values[1].tolist())]
    if op == "ConstantOfShape":
        fill = attributes.get("value", np.zeros(1, dtype=np.float32))
        return [np.full(_check(tuple(first.tolist())), fill.reshape(-1)[0], dtype=fill.dtype)]
    if op == "Range":
        start, stop, step = (value.item() for value in values)
        if step == 0 or (stop - start) / step > MOST_ELEMENTS:
            return None
        return [np.arange(start, stop, step, dtype=first.dtype)]
    if op == "CumSum":
        if attributes.get("reverse") or attributes.get("exclusive") or not _fits(op, first):
            return None
        return [np.cumsum(first, axis=int(values[1].item()))]
    return None


def _check(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape, if its elements are few; arrays are never made before."""
    if prod(shape) > MOST_ELEMENTS or min(shape, default=0) < 0:
        raise ValueError(shape)
    return tuple(shape)


def _slice(value: Value, attributes: Mapping[str, Any], inputs: list[Any]) -> Value:
    def given(position: int, name: str) -> list[int] | None:
        if len(inputs) > position and inputs[position] is not None:
            return [int(n) for n in inputs[position].tolist()]
        return attributes.get(name)

    starts, ends = given(1, "starts") or [], given(2, "ends") or []
    axes = given(3, "axes") or list(range(len(starts)))
    steps = given(4, "steps") or [1] * len(starts)
    cuts = [slice(None)] * value.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        length = value.shape[axis]
        # An end before the first element of a slice that runs backwards is "down to and with the first".
        backwards = step < 0 and end < -length
        cuts[axis] = slice(start, None if backwards else end, step)
    return np.asarray(value[tuple(cuts)])
