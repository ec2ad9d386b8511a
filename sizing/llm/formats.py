"""Weight formats: which storage each tensor of a model has, what stays in 16 bit, and the units that compute with it."""

from __future__ import annotations

import json
from functools import lru_cache

from sizing.catalog_rows import Accelerator, LlmModel
from sizing.errors import InputError
from sizing.llm.quantization import scheme_of_config
from sizing.llm.scheme import Scheme
from sizing.llm.storage import (
    BF16,
    FP8_BLOCK,
    FP8_CHANNEL,
    FP16,
    FP32,
    GGUF_TYPES,
    INT4_AWQ,
    INT8_CHANNEL,
    MXFP4,
    NVFP4,
    Storage,
    grouped_int,
    mixed,
)
from sizing.scenario_llm import WeightFormat

BYTES_16_BIT = 2.0

FP8_MIN_CAPABILITY = 8.0
"""Least NVIDIA compute capability on which engines run fp8 and mxfp4 weights, by unpacking to 16 bit. Source: vLLM
docs (2025)."""
INT4_MIN_CAPABILITY = 7.5
"""Least NVIDIA compute capability on which engines run int4 weights. Source: vLLM supported-hardware table (2025)."""
ENGINE_MIN_CAPABILITY = 7.0
"""Least NVIDIA compute capability that vLLM serves on. Source: vLLM installation notes (2025); others need as much or
more."""
AMD_FP8_ARCHITECTURES = ("CDNA3", "CDNA4")


def _plain(storage: Storage) -> Scheme:
    return Scheme(storage.words, storage, rest=storage)


def _experts_only(words: str, storage: Storage, linear: Storage = BF16) -> Scheme:
    return Scheme(words, linear, groups=(("experts", storage),))


_INT4_EXPERTS = grouped_int(4, 32, zero_point=False)
NATIVE: dict[str, Scheme] = {
    "bf16": _plain(BF16),
    "fp16": _plain(FP16),
    "fp32": _plain(FP32),
    "fp32/bf16": _plain(FP32),
    "bf16 (fp8 trained)": _plain(BF16),
    "fp8": Scheme("fp8", FP8_CHANNEL),
    "fp8 block 128x128": Scheme(FP8_BLOCK.words, FP8_BLOCK),
    "fp8 + fp4 experts": _experts_only("fp8, experts in 4-bit floats", MXFP4, FP8_BLOCK),
    "mxfp4 experts + bf16": _experts_only("bf16, experts in mxfp4 (4.25 bit)", MXFP4),
    "int4 experts (compressed-tensors) + bf16": _experts_only("bf16, experts in int4 (4.5 bit)", _INT4_EXPERTS),
}
"""Schemes of the catalog's `native_dtype`. Source: the published checkpoints' quantization_config."""


def _gguf(
    words: str, base: str, *, half: str = "", down: str = "", value: str = "", out: str = "", head: str = "Q6_K"
) -> Scheme:
    """A GGUF mix: `base` for most matrices and the embedding, other types for the tensors named.

    `half`: type of half of the value and down projections (llama.cpp raises the first and last eighth of the layers and
    every third between).
    """
    types = GGUF_TYPES
    special: list[tuple[str, Storage]] = [("lm_head", types[head]), ("embed_tokens", types[base])]
    if half:
        both = mixed(f"{base} and {half}", ((0.5, types[base]), (0.5, types[half])))
        special += [("down_proj", both), ("v_proj", both)]
    special += [(name, types[kind]) for name, kind in (("down_proj", down), ("v_proj", value), ("o_proj", out)) if kind]
    return Scheme(words, types[base], rest=FP32, names=tuple(special), gguf=True)


GGUF: dict[str, Scheme] = {
    "gguf_q8_0": _gguf("GGUF Q8_0", "Q8_0", head="Q8_0"),
    "gguf_q6_k": _gguf("GGUF Q6_K", "Q6_K"),
    "gguf_q5_k_m": _gguf("GGUF Q5_K_M", "Q5_K", half="Q6_K"),
    "gguf_q4_k_m": _gguf("GGUF Q4_K_M", "Q4_K", half="Q6_K"),
    "gguf_q4_0": _gguf("GGUF Q4_0", "Q4_0"),
    "gguf_iq4_xs": _gguf("GGUF IQ4_XS", "IQ4_XS", value="Q5_K"),
    "gguf_q3_k_m": _gguf("GGUF Q3_K_M", "Q3_K", down="Q4_K", value="Q4_K", out="Q4_K"),
    "gguf_q2_k": _gguf("GGUF Q2_K", "Q2_K", down="Q3_K", value="Q4_K", out="Q3_K"),
}
"""Mixes of llama.cpp, dense models. Source: its quantisation rules by tensor (2025); real files differ by 1 to 3 %."""

NAMED: dict[str, Scheme] = {
    "fp32": _plain(FP32),
    "bf16": _plain(BF16),
    "fp16": _plain(FP16),
    "fp8": Scheme("fp8", FP8_CHANNEL),
    "fp8_block": Scheme(FP8_BLOCK.words, FP8_BLOCK),
    "int8": Scheme("int8", INT8_CHANNEL),
    "int4": Scheme(INT4_AWQ.words, INT4_AWQ),
    "nvfp4": Scheme("nvfp4", NVFP4),
    "mxfp4": Scheme("mxfp4", MXFP4),
    **GGUF,
}
QUANTISED_16_BIT_REST = "embedding, head, norms, routers and biases stay in 16 bit"


@lru_cache(maxsize=256)
def scheme_of(model: LlmModel, weight_format: WeightFormat) -> Scheme:
    """How the model's weights are stored in this format.

    Raises InputError when the published format of a model is not known.

    >>> from sizing.catalog import load
    >>> scheme_of(load().llm_model("gpt-oss-120b"), "native").words
    'bf16, experts in mxfp4 (4.25 bit)'
    """
    if weight_format != "native":
        return NAMED[weight_format]
    if model.config_json is not None and (stated := json.loads(model.config_json).get("quantization_config")):
        return scheme_of_config(stated, dtype=model.native_dtype)
    if model.native_dtype not in NATIVE:
        raise InputError("weight_format", "native", f"a named format: the published one of {model.id} is not known")
    return NATIVE[model.native_dtype]


def capability(accelerator: Accelerator) -> float | None:
    """NVIDIA compute capability as a number, or None for other vendors or if it is not known."""
    if accelerator.vendor != "NVIDIA" or accelerator.compute_capability is None:
        return None
    return float(accelerator.compute_capability)


def cannot_run(accelerator: Accelerator, weights: Scheme) -> str | None:
    """Why engines do not run weights of this format on a part, or None if they do."""
    has = capability(accelerator)
    needs_fp8 = "fp8" in weights.words or "fp4" in weights.words
    if needs_fp8 and accelerator.vendor == "AMD" and accelerator.architecture not in AMD_FP8_ARCHITECTURES:
        return f"{weights.words} weights need CDNA3 or newer"
    if has is None:
        return None
    if needs_fp8 and has < FP8_MIN_CAPABILITY:
        return f"{weights.words} weights need compute capability {FP8_MIN_CAPABILITY:g}; this part has {has:g}"
    if "int" in weights.words and has < INT4_MIN_CAPABILITY:
        return f"{weights.words} weights need compute capability {INT4_MIN_CAPABILITY:g}; this part has {has:g}"
    return None


def compute_peak(accelerator: Accelerator, weights: Scheme) -> tuple[float, str] | None:
    """Dense peak [operations/s] of the units that multiply these weights, and their format; None if no peak is known.

    fp8, int8 and nvfp4 layers run on units of their own where the part has them; other 4-bit weights, and these elsewhere,
    are unpacked and run at 16 bit. bf16 runs as fp16 where the part has no bf16 unit, and so do 4-byte weights at tf32.

    >>> from sizing.catalog import load
    >>> compute_peak(load().accelerator("t4"), NATIVE["bf16"])
    (65000000000000.0, 'fp16')
    """
    order = ["bf16", "fp16"]
    if weights.words.startswith("fp8"):
        order = ["fp8", *order]
    elif weights.words == "nvfp4":
        order = ["fp4", *order]
    elif weights.words == "int8":
        order = ["int8", *order]
    elif weights.linear is FP32:
        order = ["tf32", "fp32"]
    for unit in order:
        peak = accelerator.peak_flops_per_s(unit)
        if peak is not None:
            return peak, unit
    return None
