"""Bytes that a parameter takes in each weight format, group scales included, and the units that compute with it."""

from __future__ import annotations

from dataclasses import dataclass

from sizing.catalog_rows import Accelerator, LlmModel
from sizing.errors import InputError
from sizing.scenario import WeightFormat

BYTES_16_BIT = 2.0
FP8_BLOCK_BYTES = 1.0 + 4.0 / (128 * 128)
"""Bytes a parameter in fp8 with one fp32 scale for each 128 x 128 block. Source: DeepSeek-V3 report, section 3.3
(2024-12)."""
INT4_GROUP = 128
INT4_GROUP_BYTES = 0.5 + (2.0 + 0.5) / INT4_GROUP
"""Bytes a parameter in int4 with a 16-bit scale and a 4-bit zero point for each 128. Source: AWQ and GPTQ layout
(2023)."""
INT4_GROUP_32_BYTES = 0.5 + 2.0 / 32
"""Bytes a parameter in int4 with a 16-bit scale for each 32, no zero point. Source: compressed-tensors layout
(2025)."""
MXFP4_BYTES = 4.25 / 8
"""Bytes a parameter in 4-bit floats with an 8-bit scale for each 32. Source: OCP Microscaling Formats v1.0
(2023-09)."""

FP8_MIN_CAPABILITY = 8.0
"""Least NVIDIA compute capability on which engines run fp8 and mxfp4 weights, by unpacking to 16 bit. Source: vLLM
docs (2025)."""
INT4_MIN_CAPABILITY = 7.5
"""Least NVIDIA compute capability on which engines run int4 weights. Source: vLLM supported-hardware table (2025)."""
ENGINE_MIN_CAPABILITY = 7.0
"""Least NVIDIA compute capability that vLLM serves on. Source: vLLM installation notes (2025); others need as much or
more."""
AMD_FP8_ARCHITECTURES = ("CDNA3", "CDNA4")


@dataclass(frozen=True)
class WeightBytes:
    """Bytes a parameter by kind of tensor: layer matrices, routed experts, and what stays in higher precision."""

    linear: float
    experts: float
    unquantised: float
    words: str


NATIVE: dict[str, WeightBytes] = {
    "bf16": WeightBytes(2.0, 2.0, 2.0, "bf16"),
    "fp16": WeightBytes(2.0, 2.0, 2.0, "fp16"),
    "fp32": WeightBytes(4.0, 4.0, 4.0, "fp32"),
    "fp32/bf16": WeightBytes(4.0, 4.0, 4.0, "fp32"),
    "bf16 (fp8 trained)": WeightBytes(2.0, 2.0, 2.0, "bf16"),
    "fp8": WeightBytes(1.0, 1.0, BYTES_16_BIT, "fp8"),
    "fp8 block 128x128": WeightBytes(FP8_BLOCK_BYTES, FP8_BLOCK_BYTES, BYTES_16_BIT, "fp8 in blocks of 128 x 128"),
    "fp8 + fp4 experts": WeightBytes(FP8_BLOCK_BYTES, MXFP4_BYTES, BYTES_16_BIT, "fp8, experts in 4-bit floats"),
    "mxfp4 experts + bf16": WeightBytes(2.0, MXFP4_BYTES, BYTES_16_BIT, "bf16, experts in mxfp4 (4.25 bit)"),
    "int4 experts (compressed-tensors) + bf16": WeightBytes(
        2.0, INT4_GROUP_32_BYTES, 2.0, "bf16, experts in int4 (4.5 bit)"
    ),
}


def weight_bytes(model: LlmModel, weight_format: WeightFormat) -> WeightBytes:
    """Bytes a parameter by kind of tensor [bytes]; embedding, head, norms and routers stay at 16 bit in 8- and 4-bit
    formats.

    fp8 and int8 carry one fp32 scale for each output channel: 4 / hidden bytes a parameter.

    Source: the constants of this module; native formats: `native_dtype` of the catalog row.

    >>> from sizing.catalog import load
    >>> weight_bytes(load().llm_model("llama-2-7b-hf"), "fp16").linear
    2.0
    """
    if weight_format == "native":
        if model.native_dtype not in NATIVE:
            raise InputError("weight_format", "native", f"a named format: the published one of {model.id} is not known")
        return NATIVE[model.native_dtype]
    if weight_format in ("bf16", "fp16", "fp32"):
        return NATIVE[weight_format]
    if weight_format == "int4":
        return WeightBytes(INT4_GROUP_BYTES, INT4_GROUP_BYTES, BYTES_16_BIT, f"int4 in groups of {INT4_GROUP}")
    each = 1.0 + 4.0 / model.hidden
    return WeightBytes(each, each, BYTES_16_BIT, weight_format)


def capability(accelerator: Accelerator) -> float | None:
    """NVIDIA compute capability as a number, or None for other vendors or if it is not known."""
    if accelerator.vendor != "NVIDIA" or accelerator.compute_capability is None:
        return None
    return float(accelerator.compute_capability)


def cannot_run(accelerator: Accelerator, weights: WeightBytes) -> str | None:
    """Why engines do not run weights of this format on a part, or None if they do."""
    has = capability(accelerator)
    needs_fp8 = min(weights.linear, weights.experts) < BYTES_16_BIT and (
        "fp8" in weights.words or "fp4" in weights.words
    )
    if needs_fp8 and accelerator.vendor == "AMD" and accelerator.architecture not in AMD_FP8_ARCHITECTURES:
        return f"{weights.words} weights need CDNA3 or newer"
    if has is None:
        return None
    if needs_fp8 and has < FP8_MIN_CAPABILITY:
        return f"{weights.words} weights need compute capability {FP8_MIN_CAPABILITY:g}; this part has {has:g}"
    if "int" in weights.words and has < INT4_MIN_CAPABILITY:
        return f"{weights.words} weights need compute capability {INT4_MIN_CAPABILITY:g}; this part has {has:g}"
    return None


def compute_peak(accelerator: Accelerator, weights: WeightBytes) -> tuple[float, str] | None:
    """Dense peak [operations/s] of the units that multiply these weights, and their format; None if no peak is known.

    fp8 and int8 layers run on 8-bit units where the part has them; 4-bit weights, and 8-bit ones elsewhere, are
    unpacked
    and run at 16 bit. bf16 runs as fp16 where the part has no bf16 unit, and so do 4-byte weights at tf32.

    >>> from sizing.catalog import load
    >>> compute_peak(load().accelerator("t4"), NATIVE["bf16"])
    (65000000000000.0, 'fp16')
    """
    order = ["bf16", "fp16"]
    if weights.words.startswith("fp8"):
        order = ["fp8", *order]
    elif weights.words == "int8":
        order = ["int8", *order]
    elif weights.linear == 4.0:
        order = ["tf32", "fp32"]
    for unit in order:
        peak = accelerator.peak_flops_per_s(unit)
        if peak is not None:
            return peak, unit
    return None
