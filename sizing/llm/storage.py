"""How a weight matrix is stored in each format: bits of an element, and the scales and zero points beside them, in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True)
class Storage:
    """Storage of one matrix of rows (outputs) x columns (inputs).

    Bytes = rows x columns x bits / 8 + rows x `row_bytes` + rows x ceil(columns / group) x `group_bytes`
    + ceil(rows / block) x ceil(columns / block) x `block_bytes` + `tensor_bytes`.
    """

    words: str
    bits: float
    row_bytes: float = 0.0
    group: int = 0
    group_bytes: float = 0.0
    block: int = 0
    block_bytes: float = 0.0
    tensor_bytes: float = 0.0

    def matrix_bytes(self, rows: float, columns: float) -> float:
        """Bytes of a matrix, scales included.

        >>> BF16.matrix_bytes(10, 10), FP8_BLOCK.matrix_bytes(256, 256)
        (200.0, 65552.0)
        """
        total = rows * columns * self.bits / 8 + rows * self.row_bytes + self.tensor_bytes
        if self.group:
            total += rows * ceil(columns / self.group) * self.group_bytes
        if self.block:
            total += ceil(rows / self.block) * ceil(columns / self.block) * self.block_bytes
        return total

    def bytes_per_parameter(self, columns: float = 4096.0) -> float:
        """Bytes of an element of a large matrix, with its share of the scales."""
        return self.matrix_bytes(4096.0, columns) / (4096.0 * columns)


FP32 = Storage("fp32", 32)
BF16 = Storage("bf16", 16)
FP16 = Storage("fp16", 16)
FP8_CHANNEL = Storage("fp8", 8, row_bytes=4)
"""One fp32 scale for each output channel. Source: compressed-tensors FP8-dynamic checkpoints (2024)."""
FP8_TENSOR = Storage("fp8, one scale a tensor", 8, tensor_bytes=4)
FP8_BLOCK = Storage("fp8 in blocks of 128 x 128", 8, block=128, block_bytes=4)
"""One fp32 scale for each 128 x 128 block. Source: DeepSeek-V3 report, section 3.3 (2024-12)."""
INT8_CHANNEL = Storage("int8", 8, row_bytes=4)
"""One fp32 scale for each output channel. Source: compressed-tensors W8A8 checkpoints (2024)."""
INT4_AWQ = Storage("int4 in groups of 128", 4, group=128, group_bytes=2.0 + 0.5)
"""A 16-bit scale and a 4-bit zero point for each 128 inputs. Source: AWQ and GPTQ layouts (2023)."""
NVFP4 = Storage("nvfp4", 4, group=16, group_bytes=1.0, tensor_bytes=4)
"""An fp8 scale for each 16 inputs and one fp32 scale a tensor. Source: NVIDIA ModelOpt NVFP4 checkpoints (2025)."""
MXFP4 = Storage("mxfp4", 4, group=32, group_bytes=1.0)
"""An 8-bit scale for each 32 inputs. Source: OCP Microscaling Formats v1.0 (2023-09)."""
MXFP8 = Storage("mxfp8", 8, group=32, group_bytes=1.0)
"""An 8-bit scale for each 32 inputs. Source: OCP Microscaling Formats v1.0 (2023-09)."""
NF4 = Storage("nf4", 4, group=64, group_bytes=1.0 + 4.0 / 256)
"""An 8-bit scale for each 64 weights, themselves scaled in groups of 256. Source: Dettmers et al. 2023 (QLoRA), section 3."""


def grouped_int(bits: int, group: int | None, *, zero_point: bool, scale_bytes: float = 2.0) -> Storage:
    """Integers of so many bits with a scale (and a zero point of as many bits) for each group of inputs of a row; no
    group means one for each row.

    >>> grouped_int(4, 32, zero_point=False).bytes_per_parameter()
    0.5625
    """
    each = scale_bytes + (bits / 8 if zero_point else 0.0)
    name = f"int{bits}"
    if group is None or group <= 0:
        return Storage(f"{name}, a scale a row", bits, row_bytes=each)
    return Storage(f"{name} in groups of {group}", bits, group=group, group_bytes=each)


def _gguf(name: str, elements: int, size: int) -> Storage:
    """A GGUF block type: `size` bytes for `elements` weights, scales inside."""
    return Storage(name, 8.0 * size / elements)


GGUF_TYPES: dict[str, Storage] = {
    name: _gguf(name, elements, size)
    for name, elements, size in (
        ("Q8_0", 32, 34), ("Q6_K", 256, 210), ("Q5_K", 256, 176), ("Q5_0", 32, 22), ("Q4_K", 256, 144),
        ("Q4_0", 32, 18), ("Q3_K", 256, 110), ("Q2_K", 256, 84), ("IQ4_XS", 256, 136), ("IQ4_NL", 32, 18),
        ("IQ3_XXS", 256, 98), ("IQ2_XXS", 256, 66),
    )
}  # fmt: skip
"""Bytes of a block of each type. Source: ggml block structures (ggml-org, 2025)."""


def mixed(words: str, parts: tuple[tuple[float, Storage], ...]) -> Storage:
    """Storage of tensors of which each share is stored so: the mean of their bits.

    >>> mixed("half and half", ((0.5, GGUF_TYPES["Q4_K"]), (0.5, GGUF_TYPES["Q6_K"]))).bits
    5.53125
    """
    return Storage(words, sum(share * storage.bits for share, storage in parts))
