"""Types of GGUF tensors: elements and bytes of a block, bits a weight; and the usual mixes of types for planning."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class GgmlType:
    """A way to store tensors: blocks of so many elements along the innermost dimension, each of so many bytes."""

    name: str
    block_elements: int
    block_bytes: int

    @property
    def bits_per_weight(self) -> float:
        """Bits of an element, its share of the block's scales included: 8 x block_bytes / block_elements."""
        return 8.0 * self.block_bytes / self.block_elements


GGML_TYPES: dict[int, GgmlType] = {
    number: GgmlType(name, elements, size)
    for number, name, elements, size in (
        (0, "F32", 1, 4), (1, "F16", 1, 2), (2, "Q4_0", 32, 18), (3, "Q4_1", 32, 20), (6, "Q5_0", 32, 22),
        (7, "Q5_1", 32, 24), (8, "Q8_0", 32, 34), (9, "Q8_1", 32, 40), (10, "Q2_K", 256, 84), (11, "Q3_K", 256, 110),
        (12, "Q4_K", 256, 144), (13, "Q5_K", 256, 176), (14, "Q6_K", 256, 210), (15, "Q8_K", 256, 292),
        (16, "IQ2_XXS", 256, 66), (17, "IQ2_XS", 256, 74), (18, "IQ3_XXS", 256, 98), (19, "IQ1_S", 256, 50),
        (20, "IQ4_NL", 32, 18), (21, "IQ3_S", 256, 110), (22, "IQ2_S", 256, 82), (23, "IQ4_XS", 256, 136),
        (24, "I8", 1, 1), (25, "I16", 1, 2), (26, "I32", 1, 4), (27, "I64", 1, 8), (28, "F64", 1, 8),
        (29, "IQ1_M", 256, 56), (30, "BF16", 1, 2), (34, "TQ1_0", 256, 54), (35, "TQ2_0", 256, 66),
        (39, "MXFP4", 32, 17), (40, "NVFP4", 64, 36), (41, "Q1_0", 128, 18),
    )
}  # fmt: skip
"""Types by their number in a file. Numbers that are missing were withdrawn. Source: table of block and type sizes of the
Python package gguf 0.19.0 (2026-05)."""

GGUF_BITS_PER_WEIGHT = MappingProxyType({kind.name: kind.bits_per_weight for kind in GGML_TYPES.values()})
"""Bits a weight of each tensor type, scales included. Exact."""

FILE_TYPES: dict[int, str] = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE", 39: "NVFP4",
    40: "Q1_0",
}  # fmt: skip
"""Names of `general.file_type`. Source: the Python package gguf 0.19.0 (2026-05)."""


@dataclass(frozen=True, slots=True)
class MixBits:
    """Bits a weight of a whole model in a mix of types, with a range over models."""

    value: float
    low: float
    high: float


MIX_LOW, MIX_HIGH = 0.98, 1.08
"""Range of a mix over models, as a factor of its value on Llama-3.1-8B. Q4_K_M is 4.82 on Llama-3.1-70B (42.52 GB), 5.0 on
Llama-3.2-3B (2.02 GB) and 5.2 on Llama-3.2-1B (0.81 GB), whose large vocabulary is stored in Q6_K. Models below a billion
parameters can need half as much again: rows that no block of 256 divides are stored in larger types."""

GGUF_MIX_BITS_PER_WEIGHT = MappingProxyType(
    {
        name: MixBits(bits, round(bits * MIX_LOW, 3), round(bits * MIX_HIGH, 3))
        for name, bits in (
            ("IQ1_S", 2.0042), ("IQ1_M", 2.1460), ("IQ2_XXS", 2.3824), ("IQ2_XS", 2.5882), ("IQ2_S", 2.7403),
            ("IQ2_M", 2.9294), ("IQ3_XXS", 3.2548), ("IQ3_XS", 3.4977), ("IQ3_S", 3.6606), ("IQ3_M", 3.7628),
            ("IQ4_XS", 4.4597), ("IQ4_NL", 4.6818), ("Q2_K_S", 2.9697), ("Q2_K", 3.1593), ("Q3_K_S", 3.6429),
            ("Q3_K_L", 4.2979), ("Q4_K_S", 4.6672), ("Q4_K_M", 4.8944), ("Q5_K_S", 5.5704), ("Q5_K_M", 5.7036),
            ("Q6_K", 6.5633), ("Q8_0", 8.5008), ("F16", 16.0005),
        )
    }
)  # fmt: skip
"""Bits a weight by file type, for planning without the file; with a file they follow from its tensors. Source: llama.cpp,
quantize tool, table of Llama-3.1-8B (2025)."""
