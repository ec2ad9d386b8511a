"""Shapes of the operators that ONNX Runtime adds when it optimises or quantises a graph (domain com.microsoft).

onnx has no definition of them, so their few rules stand here. Source: ContribOperators.md of onnxruntime 1.22.
"""

from __future__ import annotations

from collections.abc import Sequence

from sizing.onnx.records import Node, Tensor

MICROSOFT = "com.microsoft"
LIKE_FIRST = frozenset(
    {
        "BiasDropout", "BiasGelu", "BiasSoftmax", "BiasSplitGelu", "FastGelu", "Gelu", "GroupNorm", "LayerNormalization",
        "NhwcMaxPool", "QuickGelu", "RotaryEmbedding", "SimplifiedLayerNormalization", "SkipGroupNorm",
        "SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "QLinearSigmoid", "QLinearLeakyRelu",
        "QLinearSoftmax", "QGelu", "MultiHeadAttention", "DecoderMaskedMultiHeadAttention", "BiasAdd",
    }
) - {"NhwcMaxPool"}  # fmt: skip
"""Operators whose first output has the shape and type of their first input."""
BROADCAST = frozenset({"QLinearAdd", "QLinearMul"})
PRODUCTS = frozenset(
    {"FusedMatMul", "TransposeMatMul", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "FusedMatMulActivation"}
)


def contrib_outputs(node: Node, inputs: Sequence[Tensor | None]) -> dict[str, Tensor]:
    """First output of an operator of ONNX Runtime; empty for one whose rule is not known here."""
    first = inputs[0] if inputs else None
    if node.domain != MICROSOFT and node.op not in ("LayerNormalization", "SimplifiedLayerNormalization"):
        return {}
    if first is None or first.shape is None or not node.outputs or not node.outputs[0]:
        return {}
    shape, dtype = _rule(node, list(inputs), first)
    return {} if shape is None else {node.outputs[0]: Tensor(node.outputs[0], dtype, shape)}


def _rule(node: Node, inputs: Sequence[Tensor | None], first: Tensor) -> tuple[tuple[int, ...] | None, str]:
    assert first.shape is not None
    second = inputs[1].shape if len(inputs) > 1 and inputs[1] is not None else None
    if node.op in LIKE_FIRST:
        return first.shape, first.dtype
    if node.op in BROADCAST:
        other = inputs[3] if len(inputs) > 3 else None
        return (_broadcast(first.shape, other.shape), first.dtype) if other and other.shape is not None else (None, "")
    if node.op in ("Attention", "QAttention") and second is not None and len(first.shape) == 3:
        sizes = node.attributes.get("qkv_hidden_sizes")
        value = sizes[2] if sizes else second[-1] // 3
        return (*first.shape[:2], value), "float32" if node.op == "QAttention" else first.dtype
    if node.op == "GroupQueryAttention" and len(first.shape) == 3:
        return (first.shape if second is not None else None), first.dtype
    if node.op in PRODUCTS and second is not None:
        floats = "float32" if first.dtype in ("int8", "uint8") else first.dtype
        left = _turned(first.shape, node.attributes.get("transA", 0))
        return _product(left, _turned(second, node.attributes.get("transB", 0))), floats
    if node.op in ("MatMulNBits", "MatMulBnb4") and "N" in node.attributes:
        return (*first.shape[:-1], int(node.attributes["N"])), first.dtype
    if node.op == "EmbedLayerNormalization" and len(inputs) > 2 and inputs[2] is not None and inputs[2].shape:
        return (*first.shape, inputs[2].shape[-1]), inputs[2].dtype
    if node.op == "QGemm" and len(inputs) > 3 and inputs[3] is not None and inputs[3].shape:
        right = _turned(inputs[3].shape, node.attributes.get("transB", 0))
        return _product(_turned(first.shape, node.attributes.get("transA", 0)), right), first.dtype
    if node.op == "FusedGemm" and second is not None:
        left = _turned(first.shape, node.attributes.get("transA", 0))
        return _product(left, _turned(second, node.attributes.get("transB", 0))), first.dtype
    if node.op == "FusedConv" and second is not None:
        return _convolved(node, first.shape, second), first.dtype
    if node.op == "QLinearGlobalAveragePool" and not node.attributes.get("channels_last"):
        return (*first.shape[:2], *(1 for _ in first.shape[2:])), first.dtype
    return None, ""


def _turned(shape: tuple[int, ...], turn: int) -> tuple[int, ...]:
    return (*shape[:-2], shape[-1], shape[-2]) if turn and len(shape) > 1 else shape


def _product(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...] | None:
    if len(left) < 2 or len(right) < 2 or left[-1] != right[-2]:
        return None
    front = _broadcast(left[:-2], right[:-2])
    return None if front is None else (*front, left[-2], right[-1])


def _broadcast(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...] | None:
    """Shape of two shapes broadcast, or None where they do not go together.

    >>> _broadcast((4, 1), (3,))
    (4, 3)
    """
    rank = max(len(left), len(right))
    one, other = (1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right
    if any(a != b and 1 not in (a, b) for a, b in zip(one, other, strict=True)):
        return None
    return tuple(b if a == 1 else a for a, b in zip(one, other, strict=True))


def _convolved(node: Node, x: tuple[int, ...], w: tuple[int, ...]) -> tuple[int, ...] | None:
    """Output of a convolution, explicit padding only: floor((x + pads - dilation (k - 1) - 1) / stride) + 1."""
    rank = len(x) - 2
    if rank < 1 or len(w) != len(x) or node.attributes.get("auto_pad", "NOTSET") != "NOTSET":
        return None
    strides = node.attributes.get("strides") or [1] * rank
    dilations = node.attributes.get("dilations") or [1] * rank
    pads = node.attributes.get("pads") or [0] * (2 * rank)
    if min(strides) < 1 or len(pads) != 2 * rank:
        return None
    spatial = [
        (x[2 + i] + pads[i] + pads[rank + i] - dilations[i] * (w[2 + i] - 1) - 1) // strides[i] + 1 for i in range(rank)
    ]
    return (x[0], w[0], *spatial) if min(spatial) > 0 else None
