"""An ONNX file read into plain records: its nodes, its initializers, its inputs with their open dimensions.

Reading is the onnx library's; it is imported here only, when a file is read. Data outside the file are never opened: a graph
without its weights is enough. Nothing is run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Any, BinaryIO

from sizing.errors import InputError, shown
from sizing.onnx.records import (
    BITS,
    DTYPES,
    ML,
    MOST_ELEMENTS,
    STANDARD,
    Branch,
    Input,
    Network,
    Node,
    Tensor,
)
from sizing.onnx.values import Value, small
from sizing.onnx.wire import without_weights

MOST_NODES = 50_000
MOST_INITIALIZERS = 200_000
MOST_RANK = 64
MOST_LISTED = 4_096
"""Longest list of an ONNX-ML operator that is kept as an attribute [count]: each element is an object of Python."""


def read_network(stream: BinaryIO, size: int, name: str) -> Network:
    """The network of an ONNX file. `size` is the length of the stream [bytes]; `name` is only shown.

    Raises InputError for a file that breaks its format or passes the limits, in one sentence.
    """
    content, lengths = without_weights(stream, size)
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    model = ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, RecursionError, MemoryError):
        raise InputError(
            "file", f"a graph that does not parse ({name})", "a whole ONNX file with graphs nested at most 30 deep"
        ) from None
    del content
    model = _inlined(model)
    return _Read(model, lengths, name).network()


def _inlined(model: Any) -> Any:
    """The model with its own functions written out; they are counted first, as a few can stand for millions of nodes."""
    if not model.functions:
        return model
    bodies = {(f.domain, f.name): f.node for f in model.functions}
    cost: dict[tuple[str, str], int] = {}
    broken = InputError("file", "functions that call themselves or stand for too many nodes", f"{MOST_NODES:,} nodes")

    def nodes_of(nodes: Any, depth: int) -> int:
        if depth > 40:
            raise broken
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            if key in bodies:
                if key not in cost:
                    cost[key] = nodes_of(bodies[key], depth + 1)
                total += cost[key]
            total += 1 + sum(nodes_of(g.node, depth + 1) for a in node.attribute for g in (a.g, *a.graphs))
            if total > MOST_NODES:
                raise broken
        return total

    nodes_of(model.graph.node, 0)
    from onnx.inliner import inline_local_functions

    try:
        return inline_local_functions(model)
    except Exception:
        raise InputError(
            "file", "functions that cannot be written out", "functions as the ONNX standard has them"
        ) from None


class _Read:
    """Turns onnx's records into ours, checking on the way what a hostile file may have wrong."""

    def __init__(self, model: Any, lengths: Mapping[int, int], name: str) -> None:
        self.model, self.lengths, self.file_name = model, lengths, name
        self.opsets = _opsets(model)
        self.notes: list[str] = []
        self.nodes_left = MOST_NODES
        self.unnamed = 0

    def network(self) -> Network:
        graph = self.model.graph
        if not graph.node:
            raise InputError(
                "file", f"an ONNX model without nodes ({self.file_name})", "a graph with at least one node"
            )
        if len(graph.initializer) > MOST_INITIALIZERS:
            raise InputError("file", f"{len(graph.initializer):,} initializers", f"at most {MOST_INITIALIZERS:,}")
        initializers = self._initializers(graph, self.lengths)
        inside = {tensor.name for tensor in initializers}
        inputs = tuple(
            self._input(position, value)
            for position, value in enumerate(v for v in graph.input if v.name not in inside)
            if value.type.HasField("tensor_type")
        )
        nodes = self._nodes(graph)
        self._check_order(nodes, {i.name for i in graph.input} | inside)
        return Network(
            name=_text(graph.name) or self.file_name,
            producer=" ".join((_text(self.model.producer_name), _text(self.model.producer_version))).strip(),
            opsets=self.opsets,
            nodes=nodes,
            initializers=initializers,
            inputs=inputs,
            outputs=tuple(_text(value.name) for value in graph.output),
            stated_shapes=_stated(graph),
            notes=tuple(self.notes),
            proto_opsets=list(self.model.opset_import),
            ir_version=self.model.ir_version,
        )

    def _initializers(self, graph: Any, lengths: Mapping[int, int]) -> tuple[Tensor, ...]:
        found: dict[str, Tensor] = {}
        outside: Counter[str] = Counter()
        for position, proto in enumerate(graph.initializer):
            tensor = _tensor(proto, lengths.get(position))
            if tensor.name in found:
                raise InputError("file", f"two initializers named {shown(tensor.name)}", "names that are used once")
            found[tensor.name] = tensor
            if proto.data_location == 1:
                outside.update(_text(e.value) for e in proto.external_data if e.key == "location")
        for proto in graph.sparse_initializer:
            tensor = _tensor(proto.values, None)
            found[tensor.name] = Tensor(tensor.name, tensor.dtype, _shape(proto.dims, tensor.name))
        if outside:
            self.notes.append(
                f"The weights are in another file ({len(outside)} named), which is not needed and not read"
            )
            away = [path for path in outside if path.startswith(("/", "\\")) or ":" in path or ".." in path]
            if away:
                self.notes.append(
                    f"External data at {shown(away[0])} are outside the model's folder: engines refuse that"
                )
        return tuple(found.values())

    def _input(self, position: int, value: Any) -> Input:
        tensor_type = value.type.tensor_type
        if not tensor_type.HasField("shape"):
            raise InputError("file", f"input {shown(value.name)} without a shape", "inputs with a shape, open or not")
        dtype, _ = DTYPES.get(tensor_type.elem_type, ("unknown", 0))
        dims = tuple(
            _dim(dim, f"input_{position}_dim_{axis}", value.name) for axis, dim in enumerate(tensor_type.shape.dim)
        )
        return Input(_text(value.name), dtype, dims)

    def _nodes(self, graph: Any) -> tuple[Node, ...]:
        self.nodes_left -= len(graph.node)
        if self.nodes_left < 0:
            raise InputError("file", f"a graph of more than {MOST_NODES:,} nodes", f"at most {MOST_NODES:,} nodes")
        return tuple(self._node(proto) for proto in graph.node)

    def _node(self, proto: Any) -> Node:
        domain = "" if proto.domain in STANDARD else _text(proto.domain)
        op = _text(proto.op_type)
        self.unnamed += 1
        return Node(
            name=_text(proto.name) or f"node_{self.unnamed}",
            op=op,
            domain=domain,
            inputs=tuple(map(_text, proto.input)),
            outputs=tuple(map(_text, proto.output)),
            attributes={_text(a.name): self._attribute(a) for a in proto.attribute if domain != ML or not _is_long(a)},
            proto=proto,
            schema=_schema(op, domain, self.opsets.get(domain, 1)),
        )

    def _attribute(self, proto: Any) -> Any:
        kind = proto.type
        if kind == 5:
            names = tuple(_text(value.name) for value in proto.g.input)
            inside = self._initializers(proto.g, {})
            return Branch(self._nodes(proto.g), inside, names, tuple(_text(value.name) for value in proto.g.output))
        if kind == 4:
            tensor = _tensor(proto.t, None)
            return tensor
        simple = {1: "f", 2: "i", 6: "floats", 7: "ints"}.get(kind)
        if simple is not None:
            value = getattr(proto, simple)
            return list(value) if kind in (6, 7) else value
        return proto.s.decode("utf-8", "replace") if kind == 3 else None

    def _check_order(self, nodes: Sequence[Node], given: set[str]) -> None:
        """Each name made once and before it is read; anything else is a cycle or a graph out of order."""
        made = set(given)
        for node in nodes:
            for name in node.inputs:
                if name and name not in made:
                    later = any(name in other.outputs for other in nodes)
                    what = "only made later: a cycle, or nodes out of order" if later else "made by nothing"
                    raise InputError(
                        "file",
                        f"{node.op[:20]} reading {shown(name[:24])}",
                        f"a graph whose nodes stand in the order in which they run; this tensor is {what}",
                    )
            for name in node.outputs:
                if name and name in made:
                    raise InputError("file", f"{shown(name)} is made twice", "names that are used once")
                made.add(name)
        for output in self.model.graph.output:
            if output.name not in made:
                raise InputError(
                    "file", f"the output {shown(output.name)} is made by nothing", "outputs that nodes make"
                )


def _is_long(attribute: Any) -> bool:
    """Whether an attribute is a list of thousands, as trees of ONNX-ML have: it is read from onnx's own record, if at all."""
    return max(len(attribute.ints), len(attribute.floats), len(attribute.strings)) > MOST_LISTED


def _text(value: Any) -> str:
    """A text of the file; protobuf hands over bytes where it is no UTF-8."""
    if isinstance(value, bytes):
        raise InputError("file", "a name that is not UTF-8", "names and types in UTF-8, as ONNX has them")
    return str(value)


def _opsets(model: Any) -> dict[str, int]:
    from onnx import defs

    found = {"" if o.domain in STANDARD else _text(o.domain): o.version for o in model.opset_import}
    newest = defs.onnx_opset_version()
    stated = found.get("", None if model.opset_import else 1)
    if stated is not None and not 1 <= stated <= newest:
        raise InputError(
            "opset", stated, f"a version of the ONNX operators from 1 to {newest}, which the onnx library here knows"
        )
    return found if "" in found else {**found, "": newest if stated is None else stated}


@lru_cache(maxsize=4096)
def _schema(op: str, domain: str, version: int) -> Any:
    """The definition of an operator, or None for one that onnx does not have."""
    from onnx import defs

    try:
        return defs.get_schema(op, version, domain)
    except Exception:
        return None


def _shape(dims: Sequence[int], name: str) -> tuple[int, ...]:
    shape = tuple(int(d) for d in dims)
    if any(d < 0 for d in shape) or len(shape) > MOST_RANK or prod(shape) > MOST_ELEMENTS:
        raise InputError(
            "file", f"{shown(name)} of shape {shape[:6]}", f"dimensions from 0, {MOST_ELEMENTS:,} elements at most"
        )
    return shape


def _tensor(proto: Any, raw_bytes: int | None) -> Tensor:
    """A stored tensor; its data have to be as long as its shape says, and are kept where they are few."""
    dtype, bits = DTYPES.get(proto.data_type, ("string" if proto.data_type == 8 else "unknown", 0))
    shape = _shape(proto.dims, proto.name)
    count = prod(shape)
    have = len(proto.raw_data) if raw_bytes is None else raw_bytes
    expected = -(-count * bits // 8)
    if have and bits and proto.data_location != 1 and have != expected:
        raise InputError(
            "file",
            f"{have:,} bytes of data for initializer {shown(proto.name[:24])}",
            f"data as long as its shape says, {expected:,} bytes",
        )
    return Tensor(_text(proto.name), dtype, shape, _value(proto, dtype, count))


def _value(proto: Any, dtype: str, count: int) -> Value | None:
    if proto.data_location == 1 or dtype not in BITS or count > 4096 or proto.HasField("segment"):
        return None
    if dtype not in ("int64", "int32", "bool", "float32", "float64", "uint8", "int8") or (
        dtype[0] == "f" and count > 16
    ):
        return None
    from onnx import numpy_helper

    try:
        value = numpy_helper.to_array(proto)
    except (ValueError, TypeError, OverflowError):
        return None
    return value if value.size == count and small(value) else None


def _dim(dim: Any, unnamed: str, owner: str) -> int | str:
    """A dimension: its number, its name, or one made from its place; 0 and -1 are what some exporters write for open."""
    if dim.HasField("dim_param") and dim.dim_param:
        return _text(dim.dim_param)
    if not dim.HasField("dim_value") or dim.dim_value in (0, -1):
        return unnamed
    if not 1 <= dim.dim_value <= MOST_ELEMENTS:
        raise InputError(
            "file", f"a dimension {dim.dim_value} of {shown(owner)}", f"a whole number from 1 to {MOST_ELEMENTS:,}"
        )
    return int(dim.dim_value)


def _stated(graph: Any) -> dict[str, tuple[str, tuple[int | str, ...]]]:
    """Shapes that the file itself states for its tensors, for those that cannot be inferred."""
    found = {}
    for value in (*graph.value_info, *graph.output):
        kind = value.type.tensor_type
        if value.type.HasField("tensor_type") and kind.HasField("shape") and kind.elem_type in DTYPES:
            dims = tuple(
                d.dim_param if d.HasField("dim_param") else (d.dim_value if d.HasField("dim_value") else "")
                for d in kind.shape.dim
            )
            found[value.name] = (DTYPES[kind.elem_type][0], dims)
    return found
