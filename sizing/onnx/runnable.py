"""Whether an ONNX file may be run here: all of it in the one file, operators of ONNX only, inputs that can be made up.

For the process that measures it (sizing.measure), which is to hand nothing else to a runtime. Nothing is run here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, BinaryIO

from sizing.errors import InputError, shown
from sizing.onnx.records import DTYPES, ML, MOST_ELEMENTS, STANDARD, Input
from sizing.onnx.wire import is_onnx, without_weights

MICROSOFT = "com.microsoft"
"""Operators that ONNX Runtime itself brings along; models optimised for it use them."""
REFUSED_OPERATORS = frozenset({"EPContext"})
"""Operators of that domain that read another file."""
MOST_NODES = 200_000
MOST_INPUTS = 4_096
MADE_UP = frozenset(
    {"float32", "float64", "float16", "bool", "string", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
     "uint64"}
)  # fmt: skip
"""Element types of inputs that are made up at random."""
EXTERNAL = 1
"""TensorProto.DataLocation: the data are in another file."""
STRING = 8
"""TensorProto.DataType: text."""


def runnable_inputs(stream: BinaryIO, size: int, name: str) -> tuple[tuple[Input, ...], tuple[str, ...]]:
    """Inputs of a model that may be run, and notes on it. `size` is the length of the stream [bytes].

    Raises InputError for what is no ONNX file, has its data elsewhere, an operator of somebody's own, or inputs that are no
    tensors of numbers, truth values or text.
    """
    if not is_onnx(stream, size):
        raise InputError("file", f"a file that is no ONNX ({name})", "an ONNX file")
    content, _ = without_weights(stream, size)
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    model = ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, RecursionError):
        raise InputError(
            "file", f"a graph that does not parse ({name})", "a whole ONNX file with graphs nested at most 30 deep"
        ) from None
    del content
    walk = _Walk(model)
    return walk.inputs(), walk.notes()


class _Walk:
    """Every node and stored tensor of a model, those inside nodes and functions too."""

    def __init__(self, model: Any) -> None:
        self.graph = model.graph
        self.functions = {(f.domain, f.name) for f in model.functions}
        self.left = MOST_NODES
        self.operators: set[str] = set()
        if not model.graph.node:
            raise InputError("file", "an ONNX model without nodes", "a graph with at least one node")
        self._visit(model.graph)
        for function in model.functions:
            self._nodes(function.node)

    def notes(self) -> tuple[str, ...]:
        """What is to be known of the model's speed."""
        if "ZipMap" in self.operators:
            return (
                "The model ends in ZipMap, which makes a dictionary a row and can cost more than the model: export it "
                "without (zipmap=False)",
            )
        return ()

    def inputs(self) -> tuple[Input, ...]:
        """Inputs that a call has to give."""
        inside = {t.name for t in self.graph.initializer}
        given = [value for value in self.graph.input if value.name not in inside]
        if len(given) > MOST_INPUTS:
            raise InputError("file", f"{len(given):,} inputs", f"at most {MOST_INPUTS:,} inputs")
        return tuple(self._input(position, value) for position, value in enumerate(given))

    def _input(self, position: int, value: Any) -> Input:
        if not value.type.HasField("tensor_type"):
            raise InputError("file", f"input {shown(value.name)} that is no tensor", "tensors as inputs")
        kind = value.type.tensor_type
        dtype = "string" if kind.elem_type == STRING else DTYPES.get(kind.elem_type, ("unknown", 0))[0]
        if dtype not in MADE_UP:
            raise InputError(
                "file", f"input {shown(value.name)} of type {dtype}", f"inputs of {', '.join(sorted(MADE_UP))}"
            )
        if not kind.HasField("shape"):
            raise InputError("file", f"input {shown(value.name)} without a shape", "inputs with a shape, open or not")
        dims = tuple(self._dim(d, f"input_{position}_dim_{axis}", value.name) for axis, d in enumerate(kind.shape.dim))
        return Input(str(value.name), dtype, dims)

    def _dim(self, dim: Any, unnamed: str, owner: str) -> int | str:
        """A dimension: its number, its name, or one made from its place, as the reader of networks names it."""
        if dim.HasField("dim_param") and dim.dim_param:
            return str(dim.dim_param)
        if not dim.HasField("dim_value") or dim.dim_value in (0, -1):
            return unnamed
        if not 1 <= dim.dim_value <= MOST_ELEMENTS:
            raise InputError("file", f"a dimension {dim.dim_value} of {shown(owner)}", "a whole number from 1 up")
        return int(dim.dim_value)

    def _visit(self, graph: Any) -> None:
        for tensor in graph.initializer:
            self._tensor(tensor)
        for sparse in graph.sparse_initializer:
            self._sparse(sparse)
        self._nodes(graph.node)

    def _nodes(self, nodes: Iterable[Any]) -> None:
        for node in nodes:
            self.left -= 1
            if self.left < 0:
                raise InputError("file", f"a model of more than {MOST_NODES:,} nodes", f"at most {MOST_NODES:,} nodes")
            self._operator(str(node.domain), str(node.op_type))
            for attribute in node.attribute:
                for tensor in (attribute.t, *attribute.tensors):
                    self._tensor(tensor)
                for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                    self._sparse(sparse)
                for graph in (attribute.g, *attribute.graphs):
                    self._visit(graph)

    def _operator(self, domain: str, op: str) -> None:
        self.operators.add(op)
        if domain in (*STANDARD, ML) or (domain, op) in self.functions:
            return
        if domain != MICROSOFT or op in REFUSED_OPERATORS:
            raise InputError(
                "file",
                f"an operator of its own, {shown(op[:24])} of {shown(domain[:24])}",
                "operators of ONNX, ONNX-ML and ONNX Runtime; others are not run here",
            )

    def _sparse(self, sparse: Any) -> None:
        self._tensor(sparse.values)
        self._tensor(sparse.indices)

    def _tensor(self, tensor: Any) -> None:
        if tensor.data_location == EXTERNAL or tensor.external_data:
            raise InputError(
                "file",
                f"data in another file, for {shown(tensor.name[:24])}",
                "a model with all its data inside; no other file is opened",
            )
