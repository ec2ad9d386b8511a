"""Multiply-adds and kind of each node, from the shapes of what it reads and makes.

MACs: convolution = outputs x channels in / groups x kernel; transposed = inputs x channels out / groups x kernel; product of
matrices = outputs x inner length; attention = both products; recurrent layers = steps x gates x hidden x (inputs + hidden).
FLOPs are 2 x MACs. Nothing else counts as a multiply-add, as in torch's counter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from sizing.deep_learning.operators import OperatorKind
from sizing.onnx.records import Node, Tensor

Shape = tuple[int, ...]
SHARES_STORAGE = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"})

NORMALISATION = frozenset(
    [
        "BatchNormalization",
        "LayerNormalization",
        "InstanceNormalization",
        "GroupNormalization",
        "GroupNorm",
        "RMSNormalization",
        "LRN",
        "LpNormalization",
        "MeanVarianceNormalization",
        "Softmax",
        "LogSoftmax",
        "Hardmax",
        "SimplifiedLayerNormalization",
        "BiasSoftmax",
        "SkipLayerNormalization",
        "SkipSimplifiedLayerNormalization",
        "EmbedLayerNormalization",
        "SkipGroupNorm",
        "QLinearSoftmax",
    ]
)
POOLING = frozenset(
    [
        "MaxPool",
        "AveragePool",
        "LpPool",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "GlobalLpPool",
        "QLinearAveragePool",
        "QLinearGlobalAveragePool",
        "ReduceMean",
        "ReduceSum",
        "ReduceMax",
        "ReduceMin",
        "ReduceProd",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceSumSquare",
        "ArgMax",
        "ArgMin",
    ]
)
MOVEMENT = frozenset(
    [
        "Transpose",
        "Concat",
        "Slice",
        "Split",
        "Gather",
        "GatherElements",
        "GatherND",
        "ScatterND",
        "ScatterElements",
        "Scatter",
        "Pad",
        "Resize",
        "Upsample",
        "Expand",
        "Tile",
        "DepthToSpace",
        "SpaceToDepth",
        "ReverseSequence",
        "Compress",
        "CenterCropPad",
        "Col2Im",
        "Trilu",
        "QLinearConcat",
    ]
)
ELEMENTWISE = frozenset(
    [
        "Abs",
        "Acos",
        "Acosh",
        "Add",
        "And",
        "Asin",
        "Asinh",
        "Atan",
        "Atanh",
        "BiasAdd",
        "BiasGelu",
        "BitShift",
        "BitwiseAnd",
        "BitwiseNot",
        "BitwiseOr",
        "BitwiseXor",
        "Cast",
        "CastLike",
        "Ceil",
        "Celu",
        "Clip",
        "Cos",
        "Cosh",
        "DequantizeLinear",
        "Div",
        "DynamicQuantizeLinear",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "FastGelu",
        "Floor",
        "Gelu",
        "Greater",
        "GreaterOrEqual",
        "HardSigmoid",
        "HardSwish",
        "IsInf",
        "IsNaN",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "Max",
        "Mean",
        "Min",
        "Mish",
        "Mod",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "PRelu",
        "Pow",
        "QLinearAdd",
        "QLinearLeakyRelu",
        "QLinearMul",
        "QLinearSigmoid",
        "QuantizeLinear",
        "QuickGelu",
        "Reciprocal",
        "Relu",
        "RotaryEmbedding",
        "Round",
        "Selu",
        "Shrink",
        "Sigmoid",
        "Sign",
        "Sin",
        "Sinh",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Sub",
        "Sum",
        "Swish",
        "Tan",
        "Tanh",
        "ThresholdedRelu",
        "Where",
        "Xor",
    ]
)
CONVOLUTIONS = {"Conv": 1, "FusedConv": 1, "ConvInteger": 1, "QLinearConv": 3, "DeformConv": 1}
"""Convolutions, with the position of their weights among the inputs."""
PRODUCTS = {
    "MatMul": (0, 1), "Gemm": (0, 1), "MatMulInteger": (0, 1), "QLinearMatMul": (0, 3), "QGemm": (0, 3),
    "FusedMatMul": (0, 1), "TransposeMatMul": (0, 1), "DynamicQuantizeMatMul": (0, 1), "MatMulIntegerToFloat": (0, 1),
    "FusedGemm": (0, 1),
}  # fmt: skip
"""Products of two matrices, with the positions of both."""
RECURRENT = {"LSTM": 4, "GRU": 3, "RNN": 1}
ATTENTIONS = frozenset({"Attention", "QAttention", "MultiHeadAttention", "GroupQueryAttention"})
WEIGHT_AT: dict[str, tuple[int, ...]] = {
    **{op: (at,) for op, at in CONVOLUTIONS.items()}, **{op: (at[1],) for op, at in PRODUCTS.items()},
    **dict.fromkeys(RECURRENT, (1, 2)), "ConvTranspose": (1,), "MatMulNBits": (1,), "MatMulBnb4": (1,),
    "DequantizeLinear": (0,), "QAttention": (1,), "Attention": (1,),
}  # fmt: skip
"""Where an operator takes weights [position among the inputs]."""


def counted(op: str) -> bool:
    """Whether multiply-adds of an operator are known here.

    >>> counted("Conv"), counted("Relu")
    (True, False)
    """
    return op in _RULES


def macs(node: Node, inputs: Sequence[Tensor | None], outputs: Sequence[Tensor | None]) -> int | None:
    """Multiply-adds of a node [count]; 0 for one that has none, None where a shape it needs is unknown."""
    rule = _RULES.get(node.op)
    if rule is None:
        return 0
    given = [None if tensor is None else tensor.shape for tensor in inputs]
    made = [None if tensor is None else tensor.shape for tensor in outputs]
    try:
        return rule(node, given, made)
    except (IndexError, TypeError, ZeroDivisionError, ValueError):
        return None


def kind_of(node: Node, inputs: Sequence[Tensor | None], *, two_activations: bool) -> OperatorKind:
    """Kind of a node's work. `two_activations` says that a product has no weights among its factors."""
    op = node.op
    if op in CONVOLUTIONS or op == "ConvTranspose":
        at = CONVOLUTIONS.get(op, 1)
        tensor = inputs[at] if len(inputs) > at else None
        weights = tensor.shape if tensor is not None and tensor.shape else None
        groups = int(node.attributes.get("group", 1))
        if weights is None or groups == 1:
            return "pointwise" if weights is not None and prod(weights[2:]) == 1 else "convolution"
        each = weights[0] // groups if op == "ConvTranspose" else weights[1]
        return "depthwise" if each == 1 else "grouped"
    if op in ATTENTIONS:
        return "attention"
    if op in PRODUCTS or op == "Einsum":
        return "attention" if two_activations else "matmul"
    if op in RECURRENT or op in ("MatMulNBits", "MatMulBnb4"):
        return "matmul"
    if op in NORMALISATION:
        return "normalisation"
    if op in POOLING:
        return "pooling"
    if op in MOVEMENT:
        return "movement"
    return "elementwise" if op in ELEMENTWISE else "other"


def _conv(node: Node, given: list[Shape | None], made: list[Shape | None]) -> int | None:
    weights, out = given[CONVOLUTIONS[node.op]], made[0]
    return None if weights is None or out is None else prod(out) * prod(weights[1:])


def _transposed(node: Node, given: list[Shape | None], made: list[Shape | None]) -> int | None:
    x, weights = given[0], given[1]
    return None if weights is None or x is None else prod(x) * prod(weights[1:])


def _product(node: Node, given: list[Shape | None], made: list[Shape | None]) -> int | None:
    left, out = given[PRODUCTS[node.op][0]], made[0]
    if left is None or out is None:
        return None
    inner = left[-2] if node.attributes.get("transA") and len(left) > 1 else left[-1]
    return prod(out) * inner


def _packed(node: Node, given: list[Shape | None], made: list[Shape | None]) -> int | None:
    return None if made[0] is None else prod(made[0]) * int(node.attributes["K"])


def _einsum(node: Node, given: list[Shape | None], made: list[Shape | None]) -> int | None:
    """Product of the lengths of all letters, for two factors; more are contracted in an order that is not known."""
    if len(given) == 1:
        return 0
    if len(given) != 2 or given[0] is None or given[1] is None:
        return None
    terms = str(node.attributes["equation"]).replace(" ", "").split("->")[0].split(",")
    lengths: dict[str, int] = {}
    total = 1
    for term, shape in zip(terms, (given[0], given[1]), strict=True):
        if "..." in term:
            front, back = term.split("...")
            middle = shape[len(front) : len(shape) - len(back)]
            labels = [*front, *(f"...{i - len(middle)}" for i in range(len(middle))), *back]
        else:
            labels = list(term)
        for label, length in zip(labels, shape, strict=True):
            lengths[label] = max(lengths.get(label, 1), length)
    for length in lengths.values():
        total *= length
    return total


def _recurrent(node: Node, given: list[Shape | None], made: list[Shape | None]) -> int | None:
    x, w, r = given[0], given[1], given[2]
    if x is None or w is None or r is None:
        return None
    return x[0] * x[1] * (prod(w) + prod(r))


def _attention(node: Node, given: list[Shape | None], made: list[Shape | None]) -> int | None:
    """Scores and their product with the values, and for the kind with weights the projection before."""
    query = given[0]
    if query is None:
        return None
    if node.op == "QAttention" or (node.op == "Attention" and node.domain):
        weights = given[1]
        if weights is None:
            return None
        batch, length, width = query
        sizes = node.attributes.get("qkv_hidden_sizes") or [weights[1] // 3] * 3
        return batch * length * width * weights[1] + batch * length * length * (sizes[0] + sizes[2])
    key, value = given[1], given[2]
    if key is None or value is None:
        return None
    if node.op == "MultiHeadAttention" and len(key) != 3:
        return None
    if len(query) == 4:
        batch, heads, length, width = query
        return batch * heads * length * _past(given, key[2]) * (width + value[3])
    batch, length, width = query
    if node.op == "Attention" or node.op == "GroupQueryAttention":
        heads = int(node.attributes.get("q_num_heads") or node.attributes["num_heads"])
        kv_heads = int(node.attributes.get("kv_num_heads") or heads)
        return batch * length * _past(given, key[1]) * (width + heads * (value[2] // kv_heads))
    return batch * length * key[1] * (width + value[2])


def _past(given: list[Shape | None], length: int) -> int:
    """Keys that each query meets [count]: those given, and those of the cache (inputs 3 or 4)."""
    past = next((shape for shape in given[3:6] if shape is not None and len(shape) == 4), None)
    return length + past[2] if past is not None and len(given) > 4 and given[4] == past else length


_RULES: dict[str, Callable[[Node, list[Shape | None], list[Shape | None]], int | None]] = {
    **dict.fromkeys(CONVOLUTIONS, _conv),
    **dict.fromkeys(PRODUCTS, _product),
    **dict.fromkeys(RECURRENT, _recurrent),
    **dict.fromkeys(ATTENTIONS, _attention),
    "ConvTranspose": _transposed,
    "Einsum": _einsum,
    "MatMulNBits": _packed,
    "MatMulBnb4": _packed,
}
