"""What is a parameter among the constants of an ONNX file, and what is not: running statistics, scales, tables.

Parameters are the float initializers, and the whole numbers that a quantised operator takes as weights. Not parameters: the
running mean and variance of batch norm, scales and zero points, single numbers that the exporter made from constants of the
program, and whole numbers such as indices. Each stored tensor counts once, however many nodes read it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from sizing.deep_learning.onnx.work import WEIGHT_AT
from sizing.onnx.records import Branch, Node, Tensor

QUANTISED = frozenset({"int8", "uint8", "int4", "uint4", "int2", "uint2", "float4e2m1"})
STATISTICS = {"BatchNormalization": (3, 4), "Dropout": (1, 2)}
SCALES: dict[str, tuple[int, ...]] = {
    "QuantizeLinear": (1, 2), "DequantizeLinear": (1, 2), "QLinearConv": (1, 2, 4, 5, 6, 7),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7), "ConvInteger": (2, 3), "MatMulInteger": (2, 3), "QGemm": (1, 2, 4, 5, 7, 8),
    "MatMulIntegerToFloat": (2, 3, 4, 5), "DynamicQuantizeMatMul": (2, 3), "MatMulNBits": (2, 3, 4),
    "QLinearAdd": (1, 2, 4, 5, 6, 7), "QLinearMul": (1, 2, 4, 5, 6, 7), "QAttention": (3, 4, 6, 7),
    "QLinearSigmoid": (1, 2, 3, 4), "QLinearLeakyRelu": (1, 2, 3, 4), "QLinearGlobalAveragePool": (1, 2, 3, 4),
    "QLinearAveragePool": (1, 2, 3, 4), "QLinearSoftmax": (1, 2, 3, 4), "Resize": (1, 2, 3), "Upsample": (1,),
    "Clip": (1, 2), "Pad": (2,), "Range": (0, 1, 2),
}  # fmt: skip
"""Inputs that are scales, zero points or settings, not parameters [positions]. Source: Operators.md and ContribOperators.md."""
BIAS = {"QLinearConv": 8, "QGemm": 6}
QUANTISED_NAME, SCALE_NAMES = "_quantized", ("_scale", "_zero_point")
"""Endings that ONNX Runtime's quantiser gives to a weight, its scale and its zero point. Source: its files, 1.32."""
MADE = re.compile(
    r"^(?:val_\d+|scalar_tensor_default.*|onnx::\w+|.*/Constant\w*|/.*_output_\d+|const\w*|_val_\d+|\d+)$"
)
"""Names that exporters give to constants of the program, not to parameters. Source: files of torch 2.14."""


@dataclass(frozen=True)
class Weights:
    """Parameters [count], their bytes by type, the bytes of all other constants, and what is worth saying of them."""

    parameters: int
    bytes_by_dtype: Mapping[str, int]
    buffers_bytes: int
    batch_norm_nodes: int
    scales_and_tables: int = 0
    names: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def weights_bytes(self) -> int:
        """Size of the parameters as stored [bytes]."""
        return sum(self.bytes_by_dtype.values())


def weights_of(nodes: Iterable[Node], initializers: Sequence[Tensor]) -> Weights:
    """Parameters and other constants of a network (count, bytes)."""
    roles: dict[str, set[str]] = defaultdict(set)
    packed: dict[str, int] = {}
    constants: dict[str, Tensor] = {}
    norms = 0
    for node in _all(nodes):
        norms += node.op == "BatchNormalization"
        for position, name in enumerate(node.inputs):
            roles[name].add(_role(node, position))
        stored = node.attributes.get("value")
        if node.op == "Constant" and isinstance(stored, Tensor) and node.outputs:
            constants[node.outputs[0]] = stored
        if node.op in ("MatMulNBits", "MatMulBnb4") and len(node.inputs) > 1:
            packed[node.inputs[1]] = int(node.attributes.get("N", 0)) * int(node.attributes.get("K", 0))
    total, others, tables = 0, 0, 0
    by_dtype: dict[str, int] = defaultdict(int)
    names = set()
    # The same tensor in two places of the file (a branch and the graph) is two tensors; one read twice is one.
    scales = {tensor.name.removesuffix(QUANTISED_NAME) + end for tensor in initializers for end in SCALE_NAMES
              if tensor.name.endswith(QUANTISED_NAME)}  # fmt: skip
    for name, tensor, initializer in (
        *((t.name, t, True) for t in initializers),
        *((n, t, False) for n, t in constants.items()),
    ):
        count = packed.get(name, prod(tensor.shape or ()))
        if name not in scales and _is_parameter(name, tensor, roles.get(name, set()), initializer):
            total += count
            by_dtype[tensor.dtype] += tensor.bytes or 0
            names.add(name)
        else:
            others += tensor.bytes or 0
            tables += 1
    return Weights(total, dict(by_dtype), others, norms, tables, frozenset(names))


def _all(nodes: Iterable[Node]) -> Iterable[Node]:
    for node in nodes:
        yield node
        for value in node.attributes.values():
            if isinstance(value, Branch):
                yield from _all(value.nodes)


def _role(node: Node, position: int) -> str:
    if position in STATISTICS.get(node.op, ()):
        return "statistic"
    if position in SCALES.get(node.op, ()):
        return "scale"
    if position == BIAS.get(node.op) or (node.op == "DequantizeLinear" and position == 0):
        return "quantised"
    if node.op == "Gather" and position == 0:
        return "table"
    return "weight" if position in WEIGHT_AT.get(node.op, ()) else "data"


def _is_parameter(name: str, tensor: Tensor, roles: set[str], initializer: bool) -> bool:
    if roles and roles <= {"statistic", "scale"}:
        return False
    if tensor.dtype in QUANTISED:
        return bool(roles & {"weight", "quantised", "table"})
    if tensor.dtype == "int32":
        return "quantised" in roles
    if not tensor.dtype.startswith(("float", "bfloat")):
        return False
    if not initializer:
        # Some exporters write weights as constants: those that a product takes are weights all the same.
        return "weight" in roles and prod(tensor.shape or ()) > 1
    return prod(tensor.shape or ()) > 1 or not MADE.match(name)
