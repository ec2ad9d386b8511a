"""What a move may cost in the quality of the answers: published figures with their source and date, or "measure it".

Nothing here is measured by this project, and no figure is made up: where none was found, the note says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Effect = Literal["same", "rounding", "slight", "may_change", "unknown"]
"""From nothing to unknown: of two moves that save the same, the one that is better known to be harmless stands first."""
EFFECTS: tuple[Effect, ...] = get_args(Effect)
LOOKED = "2026-11-25"
"""Day on which the sources below were looked up."""
BY_CONSTRUCTION = "by construction: the same model computes the same function"


@dataclass(frozen=True, slots=True)
class Quality:
    """Effect on the answers: none, rounding, slight, may change, or unknown; what is known, by whom, of when."""

    effect: Effect
    words: str
    source: str
    as_of: str

    @property
    def lossless(self) -> bool:
        """Whether the answers stay those of the model as it is now."""
        return self.effect == "same"


def _same(words: str, source: str = BY_CONSTRUCTION) -> Quality:
    return Quality("same", words, source, LOOKED)


def measure(words: str = "no published comparison was found for this") -> Quality:
    """The note of a move that nobody is known to have measured."""
    return Quality("unknown", f"Measure it on your own task: {words}.", "searched public pages, found none", LOOKED)


SAME = _same("Same answers.")
SPOT = _same("Same answers; a machine can be taken back at short notice, so keep one more.", "terms of spot instances")
REGION = _same("Same answers; users far away wait longer for the network, and data may have to stay where it is.")
COMMITTED = {
    "committed_1y": _same("Same answers; you pay for a year whether you use it or not.", "terms of the commitment"),
    "committed_3y": _same(
        "Same answers; you pay for three years whether you use it or not.", "terms of the commitment"
    ),
}
LESS_HEADROOM = _same("Same answers; less is left for bursts and for the error of this prediction.")
NO_SPARE = _same("Same answers; when a machine fails, the rest are overloaded.")
SLOWER = _same("Same answers, later.")


def spot_interrupted(instance_type: str, interruption: str) -> Quality:
    """Spot terms of a machine whose rate of interruption the catalog knows, such as "<5% per month (2025-07)"."""
    return Quality(
        "same",
        f"Same answers; {interruption.split(' (')[0]} of {instance_type} are taken back, so keep one more.",
        "AWS Spot Advisor (spotinfo)",
        interruption.partition("(")[2].rstrip(")") or LOOKED,
    )


_RED_HAT = "Kurtic et al., Give Me BF16 or Give Me Death (arXiv 2411.02355 v4, ACL 2025)"
_LONG = "Mekala et al. (arXiv 2505.20276)"
WEIGHTS: dict[str, Quality] = {
    "fp8": Quality(
        "slight", "Effectively lossless at every size of Llama 3.1, over 500,000 evaluations.", _RED_HAT, "2025-07"
    ),
    "fp8_block": Quality("may_change", "fp8 by channel is effectively lossless on Llama 3.1; in blocks: measure it.", _RED_HAT, "2025-07"),
    "int8": Quality("may_change", "Well tuned, 1 to 3 % of the score is lost on Llama 3.1.", _RED_HAT, "2025-07"),
    "int4": Quality(
        "may_change",
        "Weights alone in int4 rival 8 bit on Llama 3.1's short tasks; with inputs of 64 thousand tokens some 4-bit methods lose up to "
        "59 %: measure it.",
        f"{_RED_HAT}; {_LONG}",
        "2025-07",
    ),
    "nvfp4": Quality(
        "may_change",
        "By its maker, 1 % or less is lost on key language tasks for some models.",
        "NVIDIA, Introducing NVFP4 (technical blog)",
        "2025-06-24",
    ),
    "mxfp4": measure("where a model was not trained in mxfp4, no published comparison was found"),
}  # fmt: skip
"""Weight formats of servers against the 16-bit weights. Looked up on LOOKED."""

_LLAMA_CPP = "llama.cpp, examples/perplexity, Llama 2 70B scorechart"
SLIGHT_PERCENT = 0.5
"""Rise of perplexity below which a format counts as slight [%]: a rule of this table."""
_GGUF_PERCENT = {
    "gguf_q6_k": 0.16, "gguf_q5_k_m": 0.40, "gguf_q4_k_m": 1.20, "gguf_q4_0": 3.61, "gguf_q3_k_m": 4.72, "gguf_q2_k": 8.82,
}  # fmt: skip
"""Rise of perplexity over fp16 [%] on Llama 2 70B; smaller models lose more. Source: _LLAMA_CPP, read in a mirror."""


def weights(weight_format: str) -> Quality:
    """What is known of a weight format against 16 bit.

    >>> weights("gguf_q4_k_m").words
    'Perplexity of Llama 2 70B rises by 1.2 % over fp16; smaller models lose more.'
    """
    if weight_format in WEIGHTS:
        return WEIGHTS[weight_format]
    if (percent := _GGUF_PERCENT.get(weight_format)) is not None:
        words = f"Perplexity of Llama 2 70B rises by {percent:g} % over fp16; smaller models lose more."
        return Quality("slight" if percent < SLIGHT_PERCENT else "may_change", words, _LLAMA_CPP, "2023-09")
    return measure()


KV: dict[str, Quality] = {
    "fp8": Quality(
        "slight",
        "Studies have shown that fp8 (E4M3) typically only minimally degrades accuracy; calibrate the scales.",
        "vLLM documentation 0.6.6, FP8 E4M3 KV cache",
        "2024-12",
    ),
    "int8": Quality(
        "slight",
        "MMLU of three 7B chat models moved by -0.06 to +0.09 points.",
        "LMDeploy documentation, KV cache quantization (its own int8)",
        LOOKED,
    ),
    "fp4": measure("SGLang says that a 4-bit cache may cost accuracy, without a figure that was found"),
}
SPECULATION = _same(
    "Same distribution of answers: each drafted token is checked by the model (rejection sampling).",
    "vLLM documentation 0.17, lossless guarantees of speculative decoding; Leviathan et al. 2023",
)
PREFIX = _same(
    "Same answers: keys and values of shared tokens are computed once.",
    "vLLM documentation, Automatic Prefix Caching (will not change model outputs)",
)
SPLIT = Quality(
    "rounding", "Same model; sums are made in another order, so single tokens can differ.", BY_CONSTRUCTION, LOOKED
)
ENGINE = Quality(
    "rounding", "Same weights in another engine; kernels round differently, so compare a sample of answers.", BY_CONSTRUCTION, LOOKED
)  # fmt: skip
BATCHING = _same("Same answers, in other batches.")
FILLS = _same("Same answers from the same model; what changes is how much of a machine it gets.")

INT8_NETWORK = Quality(
    "may_change",
    "With calibration (and fine-tuning for the hardest) within 1 % of the floating-point accuracy on every network studied, "
    "MobileNets and BERT-large among them.",
    "Wu et al., Integer Quantization for Deep Learning Inference (arXiv 2004.09602)",
    "2020-04-20",
)
PRECISION: dict[str, Quality] = {
    "int8": INT8_NETWORK,
    "fp16": measure("rounding to 16 bit is rarely visible, and no table for this network was found"),
    "bf16": measure("rounding to 16 bit is rarely visible, and no table for this network was found"),
    "tf32": measure("products are rounded to 10 bits of mantissa, and no table for this network was found"),
    "fp8": measure(),
}
FEWER_STEPS = measure("fewer denoising steps change the image, and how much depends on the sampler")
SMALLER_INPUT = measure("details below the new resolution or beyond the new length are lost")
FEWER_TREES = measure("train or cut the model to that size and compare its score on your held-out rows")
FLOAT32_TREES = Quality(
    "rounding",
    "Converted to float32: a tree can take another branch where a value lies on a threshold; compare the predictions.",
    "sklearn-onnx documentation, Issues when switching to float",
    LOOKED,
)
FLOAT32 = Quality(
    "rounding", "Computed in float32 instead of float64: compare the predictions.", FLOAT32_TREES.source, LOOKED
)
BOOSTER = _same("Same answers: the same library is called without its scikit-learn wrapper.")
COMPILED = Quality(
    "rounding", "The same trees compiled to code; compare the predictions once.", BY_CONSTRUCTION, LOOKED
)
ARM = Quality("rounding", "Same model on packages built for Arm; the last digits can differ.", BY_CONSTRUCTION, LOOKED)
BINARY = Quality(
    "rounding", "Numbers travel as float32: more than seven digits are rounded.", "IEEE 754 single precision", LOOKED
)
