"""Shapes of every tensor of a network at given dimensions, node by node: onnx's inference, fed with the values that we evaluate.

Each node is asked for alone and in order, so that a shape computed by the graph itself (Shape, Gather, Concat, Reshape) is
known when it is needed, and the time grows with the number of nodes only. What cannot be inferred stays unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from sizing.deep_learning.onnx.contrib import contrib_outputs
from sizing.errors import InputError, shown
from sizing.onnx.records import DTYPES, MOST_ELEMENTS, STANDARD, Branch, Network, Node, Tensor
from sizing.onnx.values import Value, absent, evaluate

NUMBER = {name: number for number, (name, _) in DTYPES.items()}
CONTROL = ("If", "Loop", "Scan", "SequenceMap")
SHOWN_DIMS = 12


@dataclass(frozen=True)
class Shaped:
    """A network whose tensors have shapes: nodes as they run (known branches written out), tensors by name, and what is
    constant, unknown, or inside control flow."""

    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]
    constants: frozenset[str]
    unknown: tuple[str, ...]
    control: tuple[Node, ...]
    inputs: tuple[Tensor, ...]
    initializers: tuple[Tensor, ...]
    dims: Mapping[str, int]
    stated: int


@dataclass
class _Walk:
    network: Network
    dims: Mapping[str, int]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    types: dict[str, Any] = field(default_factory=dict)
    constants: set[str] = field(default_factory=set)
    nodes: list[Node] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    control: list[Node] = field(default_factory=list)
    initializers: list[Tensor] = field(default_factory=list)
    stated: int = 0


def dims_of(network: Network, given: Mapping[str, int]) -> dict[str, int]:
    """Values of the open dimensions [count]: those given; a batch takes 1; any other has to be given.

    Raises InputError that names all that are missing.
    """
    found, missing = {}, []
    for name in network.open_dims:
        if name in given:
            found[name] = given[name]
        elif name in network.batch_dims:
            found[name] = 1
        else:
            missing.append(name)
    if missing:
        listed = ", ".join(shown(name).strip("'") for name in missing[:SHOWN_DIMS])
        more = f" and {len(missing) - SHOWN_DIMS} more" if len(missing) > SHOWN_DIMS else ""
        example = " ".join(f"--dim '{shown(name).strip(chr(39))}=N'" for name in missing[:SHOWN_DIMS])
        raise InputError("dim", "nothing", f"a value for each open dimension: {listed}{more}; give {example}")
    return found


def shaped(network: Network, given: Mapping[str, int]) -> Shaped:
    """Shapes of all tensors at these values of the open dimensions.

    Raises InputError where a dimension is missing or a tensor passes 10^15 elements.
    """
    dims = dims_of(network, given)
    walk = _Walk(network, dims)
    inputs = []
    for one in network.inputs:
        shape = tuple(d if isinstance(d, int) else dims[d] for d in one.dims)
        tensor = Tensor(one.name, one.dtype, _bounded(one.name, shape))
        inputs.append(tensor)
        _put(walk, tensor)
    for tensor in network.initializers:
        _stored(walk, tensor)
    for node in network.nodes:
        _visit(walk, node)
    return Shaped(
        nodes=tuple(walk.nodes),
        tensors=walk.tensors,
        constants=frozenset(walk.constants),
        unknown=tuple(walk.unknown),
        control=tuple(walk.control),
        inputs=tuple(inputs),
        initializers=tuple(walk.initializers),
        dims=dims,
        stated=walk.stated,
    )


def _bounded(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if prod(shape) > MOST_ELEMENTS:
        raise InputError(
            "dim",
            f"{shown(name)} of {'x'.join(map(str, shape[:6]))}",
            f"at most {MOST_ELEMENTS:,} elements in a tensor",
        )
    return shape


def _put(walk: _Walk, tensor: Tensor) -> None:
    walk.tensors[tensor.name] = tensor
    number = NUMBER.get(tensor.dtype)
    if tensor.shape is not None and number is not None:
        from onnx import TypeProto

        proto = TypeProto()
        proto.tensor_type.elem_type = number
        proto.tensor_type.shape.SetInParent()
        for dim in tensor.shape:
            proto.tensor_type.shape.dim.add().dim_value = dim
        walk.types[tensor.name] = proto


def _stored(walk: _Walk, tensor: Tensor) -> None:
    walk.constants.add(tensor.name)
    walk.initializers.append(tensor)
    _put(walk, tensor)


def _visit(walk: _Walk, node: Node) -> None:
    branches = [value for value in node.attributes.values() if isinstance(value, Branch)]
    if node.op == "If" and not node.domain and _written_out(walk, node):
        return
    if branches or (node.op in CONTROL and not node.domain):
        walk.control.append(node)
        for branch in branches:
            _weights_inside(walk, branch)
    elif (node.inputs or node.op == "Constant") and all(not name or name in walk.constants for name in node.inputs):
        walk.constants.update(node.outputs)
    walk.nodes.append(node)
    values = _values(walk, node)
    found = _inferred(walk, node)
    for position, name in enumerate(node.outputs):
        if not name:
            continue
        tensor = found.get(name) or Tensor(name, "unknown", None)
        if tensor.shape is None:
            tensor = _as_stated(walk, tensor)
        if values is not None and position < len(values):
            value = values[position]
            dtype = tensor.dtype if tensor.dtype != "unknown" else str(value.dtype)
            tensor = Tensor(name, dtype, tuple(value.shape), value)
        if (tensor.bytes is None) and name not in walk.constants:
            walk.unknown.append(name)
        if tensor.shape is not None:
            _bounded(name, tensor.shape)
        _put(walk, tensor)


def _weights_inside(walk: _Walk, branch: Branch) -> None:
    """Weights inside a graph that is not run here count as parameters all the same."""
    for tensor in branch.initializers:
        walk.initializers.append(tensor)
    for node in branch.nodes:
        for value in node.attributes.values():
            if isinstance(value, Branch):
                _weights_inside(walk, value)


def _written_out(walk: _Walk, node: Node) -> bool:
    """Whether an If was replaced by the branch that its known condition takes."""
    condition = walk.tensors.get(node.inputs[0]) if node.inputs else None
    if condition is None or condition.value is None or condition.value.size != 1:
        return False
    branch = node.attributes.get("then_branch" if condition.value.reshape(-1)[0] else "else_branch")
    if not isinstance(branch, Branch) or len(branch.outputs) < len(node.outputs):
        return False
    inside = {name for inner in branch.nodes for name in inner.outputs} | {t.name for t in branch.initializers}
    if any(name and name in walk.tensors for name in inside):
        return False
    for tensor in branch.initializers:
        _stored(walk, tensor)
    for inner in branch.nodes:
        _visit(walk, inner)
    for outer, name in zip(node.outputs, branch.outputs, strict=False):
        if outer and name in walk.tensors:
            from onnx import NodeProto

            proto = NodeProto(op_type="Identity", input=[name], output=[outer])
            _visit(walk, Node(node.name, "Identity", "", (name,), (outer,), {}, proto, None))
    return True


def _values(walk: _Walk, node: Node) -> list[Value] | None:
    if node.domain:
        return None
    if node.op == "Constant":
        return _constant(node)
    inputs = [absent() if not name else _value_of(walk, name) for name in node.inputs]
    shapes = [walk.tensors[name].shape if name in walk.tensors else None for name in node.inputs]
    if node.op not in ("Shape", "Size") and any(value is None for value in inputs):
        return None
    attributes = {k: v.value if isinstance(v, Tensor) else v for k, v in node.attributes.items()}
    return evaluate(node.op, attributes, inputs, shapes, len(node.outputs))


def _value_of(walk: _Walk, name: str) -> Value | None:
    tensor = walk.tensors.get(name)
    return None if tensor is None else tensor.value


def _constant(node: Node) -> list[Value] | None:
    for key, value in node.attributes.items():
        if key == "value" and isinstance(value, Tensor):
            return None if value.value is None else [value.value]
        if key in ("value_int", "value_ints"):
            return [np.array(value, dtype=np.int64)]
        if key in ("value_float", "value_floats"):
            return [np.array(value, dtype=np.float32)]
    return None


def _inferred(walk: _Walk, node: Node) -> dict[str, Tensor]:
    """Tensors that a node makes, as far as their shape follows from its inputs."""
    if (node.domain not in STANDARD and node.schema is None) or (node.schema is None and node.op != "Identity"):
        return contrib_outputs(node, [walk.tensors.get(name) for name in node.inputs])
    if node.op == "Identity":
        source = walk.tensors.get(node.inputs[0]) if node.inputs else None
        return (
            {}
            if source is None
            else {node.outputs[0]: Tensor(node.outputs[0], source.dtype, source.shape, source.value)}
        )
    if node.op == "Constant" and isinstance(node.attributes.get("value"), Tensor):
        stored: Tensor = node.attributes["value"]
        return {node.outputs[0]: Tensor(node.outputs[0], stored.dtype, stored.shape, stored.value)}
    from onnx import numpy_helper, shape_inference

    data = {
        name: numpy_helper.from_array(value)
        for name in node.inputs
        if name and (value := _value_of(walk, name)) is not None
    }
    types = {name: walk.types[name] for name in node.inputs if name in walk.types}
    try:
        found = shape_inference.infer_node_outputs(
            node.schema, node.proto, types, data or None, None, list(walk.network.proto_opsets), walk.network.ir_version
        )
    except Exception:
        # onnx raises its own kinds for a node it cannot make sense of; the shape then stays unknown.
        return {}
    return {name: tensor for name, kind in found.items() if (tensor := _tensor_of(walk, name, kind)) is not None}


def _tensor_of(walk: _Walk, name: str, kind: Any) -> Tensor | None:
    if not kind.HasField("tensor_type"):
        walk.types[name] = kind
        return None
    dtype = DTYPES.get(kind.tensor_type.elem_type, ("unknown", 0))[0]
    if not kind.tensor_type.HasField("shape"):
        return Tensor(name, dtype, None)
    dims = kind.tensor_type.shape.dim
    if any(not d.HasField("dim_value") or d.dim_value < 0 for d in dims):
        # Rank and some dimensions: enough for what follows to go on, not for a size.
        walk.types[name] = kind
        return Tensor(name, dtype, None)
    return Tensor(name, dtype, tuple(int(d.dim_value) for d in dims))


def _as_stated(walk: _Walk, tensor: Tensor) -> Tensor:
    """The shape that the file states for a tensor, where each of its dimensions has a value."""
    stated = walk.network.stated_shapes.get(tensor.name)
    if stated is None:
        return tensor
    dtype, dims = stated
    numbers: Sequence[int | None] = [d if isinstance(d, int) else walk.dims.get(d) for d in dims]
    if any(d is None or d < 0 for d in numbers):
        return tensor
    walk.stated += 1
    return Tensor(tensor.name, dtype, tuple(d for d in numbers if d is not None))
