"""Parameters behind the tensors of a quantised checkpoint: packed weights unpacked, scales and the like set apart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sizing.llm.headers.stored import StoredTensor

FLOATS = frozenset(
    {"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F6_E2M3", "F6_E3M2", "F4"}
)
WORD_BITS = {"I32": 32, "U32": 32, "U8": 8, "I8": 8}
PACKED_BITS = (2, 3, 4, 5, 6, 8)
LARGE_ELEMENTS = 100_000
"""Elements from which an integer matrix that no rule explains is taken for packed weights [count]; buffers such as position
numbers are smaller."""
MLX_GROUP = 64
"""Inputs that share a scale in MLX checkpoints [count], which is that converter's default (2025)."""

_ALWAYS = re.compile(
    r"\.(qzeros|g_idx|SCB|weight_format|absmax|quant_map|nested_absmax|nested_quant_map)$|bitsandbytes__\w+$"
    r"|weight_(scale|scale_inv|scale_2|zero_point|shape|g_idx|global_scale|offset)$|_scale_inv$"
    r"|\.(input|output|k|v|q|kv|act|activation)_(scale|zero_point|global_scale|scale_2)$"
)
"""Names of tensors that only describe others. Source: layouts of AutoAWQ, GPTQ, bitsandbytes, compressed-tensors, ModelOpt and
the fp8 layout of DeepSeek (2023-2026)."""
_BESIDE = (
    (".scales", (".qweight", ".weight", ".blocks", ".q_weight")),
    (".biases", (".weight",)),
    (".scale", (".weight",)),
    (".input_scale", (".weight",)),
    ("_scales", ("_blocks", "")),
    ("_scale", ("", "_packed")),
    ("_scale_2", ("", "_packed")),
    ("_bias_2", ("_blocks",)),
)
"""Endings that describe another tensor only where that one is stored beside them: ending, and the other's endings."""
_FROM_HIDDEN = re.compile(r"\.(q|k|v|qkv|gate|up|gate_up)_proj\.(weight|weight_packed)$")
_BUFFER = re.compile(
    r"rope_(freqs|factors_\w+)|inv_freq$|position_ids$|\.masked_bias$|(^|\.)h\.\d+\.attn\.bias$|num_batches_tracked$"
)


@dataclass(frozen=True)
class Unpacked:
    """Parameters behind each tensor (count), the tensors that only describe others, and what could not be told."""

    parameters: Mapping[str, int]
    """Of each tensor that holds weights; a tensor that is neither here nor in `scales` is a buffer."""
    scales: frozenset[str]
    unknown: tuple[str, ...]
    """Packed in a way that is not known here."""
    assumed: tuple[str, ...]
    """What was taken as given, in words."""


def unpack(tensors: Iterable[StoredTensor], *, block_types: bool = False) -> Unpacked:
    """Parameters of each tensor [count]: elements stored x word bits / bits of a weight.

    Bits follow from the shapes of the tensors beside a packed one (zero points, scales), or from the width of the norms; where
    neither says, four are assumed and named. `block_types` is for GGUF, whose shapes count weights already.

    Source: as `_ALWAYS`, and the mxfp4 layout of gpt-oss (2025).

    >>> blocks = StoredTensor("up_proj_blocks", "U8", (2, 3, 16), 96, 0)
    >>> unpack([blocks, StoredTensor("up_proj_scales", "U8", (2, 3), 6, 96)]).parameters
    {'up_proj_blocks': 192}
    """
    by_name = {tensor.name: tensor for tensor in tensors}
    common = _common_bits(by_name)
    parameters: dict[str, int] = {}
    scales: set[str] = set()
    unknown: list[str] = []
    assumed: dict[str, None] = {}
    for name, tensor in by_name.items():
        if _BUFFER.search(name) and (".attn.bias" not in name or len(tensor.shape) == 4):
            continue
        if _describes(name, by_name):
            scales.add(name)
        elif block_types or tensor.dtype in FLOATS:
            parameters[name] = tensor.elements
        elif _is_packed(tensor, by_name):
            bits, note = _bits(tensor, by_name, common)
            whole, rest = divmod(tensor.elements * WORD_BITS[tensor.dtype], bits) if bits else (0, 1)
            if rest:
                unknown.append(name)
                continue
            parameters[name] = whole
            if note:
                assumed[note] = None
        elif tensor.dtype == "I8":
            parameters[name] = tensor.elements
        elif tensor.dtype in ("U8", "U16", "I16", "U32", "I32") and tensor.elements >= LARGE_ELEMENTS:
            unknown.append(name)
    return Unpacked(parameters, frozenset(scales), tuple(unknown), tuple(assumed))


def _common_bits(by_name: Mapping[str, StoredTensor]) -> int | None:
    """Bits of a packed weight, if those of all matrices whose inputs are the hidden state agree: words / width of a norm."""
    widths = {
        t.shape for name, t in by_name.items() if name.endswith(("input_layernorm.weight", "attention_norm.weight"))
    }
    if len(widths) != 1 or len(hidden := next(iter(widths))) != 1:
        return None
    found = {
        _whole_bits(32 * tensor.shape[-1], hidden[0])
        for name, tensor in by_name.items()
        if tensor.dtype in ("I32", "U32") and tensor.shape and _FROM_HIDDEN.search(name)
    }
    return next(iter(found)) if len(found) == 1 else None


def _describes(name: str, by_name: Mapping[str, StoredTensor]) -> bool:
    if _ALWAYS.search(name):
        return True
    for ending, others in _BESIDE:
        if name.endswith(ending):
            stem = name[: -len(ending)]
            if any(stem + other in by_name and stem + other != name for other in others):
                return True
    return False


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _is_packed(tensor: StoredTensor, by_name: Mapping[str, StoredTensor]) -> bool:
    """Whether a tensor of integers holds several weights in each word, by its name and by what stands beside it."""
    name, stem = tensor.name, _stem(tensor.name)
    if tensor.dtype not in WORD_BITS:
        return False
    if name.endswith((".qweight", "weight_packed")):
        return True
    if name.endswith(("_blocks", ".blocks")):
        return f"{name[:-6]}scales" in by_name
    if not name.endswith(".weight"):
        return False
    if tensor.dtype == "U32":
        return f"{stem}.scales" in by_name
    if tensor.dtype in ("U8", "I8"):
        return f"{name}.absmax" in by_name or _four_bit_scale(tensor, by_name)
    return False


def _four_bit_scale(tensor: StoredTensor, by_name: Mapping[str, StoredTensor]) -> bool:
    """Whether the scale beside a byte matrix has one byte for each 16 or 32 weights of two to a byte."""
    for name in (f"{tensor.name}_scale", f"{_stem(tensor.name)}.scale"):
        scale = by_name.get(name)
        if scale is not None and scale.dtype in ("F8_E4M3", "F8_E8M0", "U8") and scale.elements:
            return tensor.elements // scale.elements in (8, 16)
    return False


def _bits(
    tensor: StoredTensor, by_name: Mapping[str, StoredTensor], common: int | None
) -> tuple[int | None, str | None]:
    """Bits of a weight in a packed tensor, and what was assumed to say so."""
    name, stem = tensor.name, _stem(tensor.name)
    if tensor.dtype in ("U8", "I8"):
        return 4, None
    scales, zeros = by_name.get(f"{stem}.scales"), by_name.get(f"{stem}.qzeros")
    if name.endswith(".qweight") and scales is not None and zeros is not None and scales.shape and zeros.shape:
        return _whole_bits(32 * zeros.shape[-1], scales.shape[-1]), None
    if common is not None:
        return common, None
    if tensor.dtype == "U32" and tensor.shape and scales is not None and scales.shape:
        bits = _whole_bits(32 * tensor.shape[-1], scales.shape[-1] * MLX_GROUP)
        return bits, f"a scale for each {MLX_GROUP} inputs, which the header does not say"
    return 4, "four bits for each packed weight, which the header does not say"


def _whole_bits(words: int, weights: int) -> int | None:
    if weights <= 0 or words % weights:
        return None
    return words // weights if words // weights in PACKED_BITS else None
