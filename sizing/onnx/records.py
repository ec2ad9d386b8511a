"""What is kept of an ONNX file: tensors, nodes, graphs inside nodes, inputs with their open dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from sizing.onnx.values import Value

MOST_ELEMENTS = 10**15
"""Most elements of one tensor [count]; beyond it is a slip or an attack, and 64-bit shapes would wrap around."""
STANDARD = ("", "ai.onnx")
ML = "ai.onnx.ml"
DTYPES: dict[int, tuple[str, int]] = {
    1: ("float32", 32), 2: ("uint8", 8), 3: ("int8", 8), 4: ("uint16", 16), 5: ("int16", 16), 6: ("int32", 32),
    7: ("int64", 64), 9: ("bool", 8), 10: ("float16", 16), 11: ("float64", 64), 12: ("uint32", 32), 13: ("uint64", 64),
    14: ("complex64", 64), 15: ("complex128", 128), 16: ("bfloat16", 16), 17: ("float8e4m3fn", 8),
    18: ("float8e4m3fnuz", 8), 19: ("float8e5m2", 8), 20: ("float8e5m2fnuz", 8), 21: ("uint4", 4), 22: ("int4", 4),
    23: ("float4e2m1", 4), 24: ("float8e8m0", 8), 25: ("uint2", 2), 26: ("int2", 2),
}  # fmt: skip
"""Element types of ONNX by number: name and bits. Source: onnx.proto, TensorProto.DataType."""
BITS = dict(DTYPES.values())


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor: name, element type, shape (None where not known), and its value where it is small and known."""

    name: str
    dtype: str
    shape: tuple[int, ...] | None
    value: Value | None = None

    @property
    def elements(self) -> int | None:
        """Elements [count]: the product of the shape."""
        return None if self.shape is None else prod(self.shape)

    @property
    def bytes(self) -> int | None:
        """Size [bytes]: elements x bits / 8, rounded up."""
        bits = BITS.get(self.dtype)
        return None if self.shape is None or bits is None else -(-prod(self.shape) * bits // 8)


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its operator, what it reads and makes, its attributes (graphs among them), and onnx's own record of it."""

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    proto: Any
    schema: Any

    @property
    def label(self) -> str:
        """Name and operator, as they are shown."""
        return f"{self.name} ({self.op})"


@dataclass(frozen=True, slots=True)
class Branch:
    """A graph inside a node: the body of a loop, or a branch."""

    nodes: tuple[Node, ...]
    initializers: tuple[Tensor, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Input:
    """A graph input; a dimension is a number, or the name of one that is open."""

    name: str
    dtype: str
    dims: tuple[int | str, ...]


@dataclass(frozen=True)
class Network:
    """An ONNX file: what the analysis needs of it."""

    name: str
    producer: str
    opsets: Mapping[str, int]
    nodes: tuple[Node, ...]
    initializers: tuple[Tensor, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    stated_shapes: Mapping[str, tuple[str, tuple[int | str, ...]]]
    notes: tuple[str, ...]
    proto_opsets: Sequence[Any] = field(repr=False, compare=False)
    ir_version: int = 8

    @property
    def open_dims(self) -> tuple[str, ...]:
        """Names of the open dimensions of the inputs, in their order."""
        return tuple(dict.fromkeys(d for one in self.inputs for d in one.dims if isinstance(d, str)))

    @property
    def batch_dims(self) -> tuple[str, ...]:
        """Names of the open dimensions that stand first in an input: those of the batch."""
        return tuple(dict.fromkeys(one.dims[0] for one in self.inputs if one.dims and isinstance(one.dims[0], str)))
