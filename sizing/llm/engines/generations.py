"""What engines hold beside weights and KV cache, by engine and version: the constants with range, source and date.

The rule of vLLM: KV budget = utilization x total - weights - peak of a trial run - memory outside PyTorch. The trial run is
the larger of a forward pass over the token budget and of sampling for the most sequences; the constants say how many bytes
each needs. Error on what was left out of the calibration: benchmarks/LLM_MEMORY.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from sizing.errors import InputError

AS_OF = "2026-11"


@dataclass(frozen=True, slots=True)
class Measured:
    """A constant with its 80 % range, unit, source, date and what it was measured on."""

    value: float
    low: float
    high: float
    unit: str
    source: str
    measured_on: str
    as_of: str = AS_OF


Rule = Literal["trial", "reserve", "buffer"]
"""trial: what a trial run needs is taken from the KV budget; reserve: a share set aside by rule (SGLang); buffer: one
compute buffer sized by the micro-batch (llama.cpp)."""


@dataclass(frozen=True, slots=True)
class Generation:
    """Versions of one engine that share their constants, from `from_version` on.

    `flashinfer_builds`: only the project's own builds sample with FlashInfer here; builds of others (a version with a + in
    it) and AMD parts sample as the generation before. `graphs_gib` counts only where the engine subtracts its graphs before
    it sizes the KV cache; before, they came out of the share that utilization leaves free.
    """

    engine: str
    words: str
    from_version: tuple[int, ...]
    sampler_bytes: Measured  # for each request of the trial run x entry of the vocabulary
    hidden_copies: Measured  # copies of tokens x hidden that live at the peak of a layer
    expert_copies: Measured  # copies of tokens x experts a token x hidden, most parts
    expert_copies_fused: Measured  # the same on Blackwell, where one kernel does the experts
    expert_copies_amd: Measured
    context_gib: Measured  # outside PyTorch on one NVIDIA part: libraries, workspaces
    context_amd_gib: Measured
    collectives_gib: Measured  # buffers of tensor parallel over NVLink-like links
    collectives_pcie_gib: Measured
    collectives_amd_gib: Measured
    fusion_gib: Measured  # workspace of the fused all-reduce, Hopper and Blackwell with tensor parallel
    graphs_gib: Measured
    encoder_copies: Measured  # copies of what a vision encoder hands over in the trial run
    utilization: float  # default of the engine
    flashinfer_builds: bool = False
    rule: Rule = "trial"


_LOGS = "public start-up logs of vLLM"
_CALIBRATION = "79 public start-up figures of vLLM, benchmarks/LLM_MEMORY.md"


def _logits(value: float, low: float, high: float, source: str, on: str) -> Measured:
    return Measured(value, low, high, "bytes a request and vocabulary entry", source, on)


def _copies(value: float, low: float, high: float, source: str, on: str) -> Measured:
    return Measured(value, low, high, "copies", source, on)


def _gib(value: float, low: float, high: float, source: str, on: str) -> Measured:
    return Measured(value, low, high, "GiB", source, on)


SORT = _logits(
    38.2,
    37.0,
    40.0,
    "16-bit and fp32 logits (6), sorted values and indices (12), temporary of PyTorch's segmented sort (20); " + _LOGS,
    "Qwen3-8B 24 GB 0.10.2, Qwen3-Next H200 0.10.2, Qwen3-30B-A3B 0.12, gemma-3-4b B200 0.10",
)
PIVOT = _logits(
    15.0,
    13.5,
    16.5,
    "16-bit and fp32 logits (6), masked logits, probabilities (8) and a mask (1); vLLM PR 33538 (2026-02); " + _LOGS,
    "Llama-3.1-8B 0.19, Llama-3.3-70B and Qwen3-VL-30B-A3B 0.18, OPT-2.7B 0.11.0",
)
LEAN = _logits(11.0, 9.5, 15.5, "as before, one copy less; " + _LOGS, "Llama-3.1-8B A100 0.31")

HIDDEN = _copies(4.0, 3.0, 6.0, "residual, normed input, embedded input, output; " + _LOGS, "LLaVA-7B H100 0.10.2")
EXPERTS_OLD = _copies(
    5.0, 3.5, 7.0, "permuted input, products and sum of the experts; " + _CALIBRATION, "DeepSeek-R1 H200"
)
EXPERTS = _copies(3.5, 2.5, 5.5, "permuted input in fp8, two workspaces; " + _CALIBRATION, "DeepSeek-R1 H200 0.19")
EXPERTS_FUSED = _copies(1.5, 0.8, 3.5, "output and one workspace; " + _CALIBRATION, "DeepSeek-R1 B200 0.18")
EXPERTS_AMD = _copies(7.5, 6.0, 9.5, "as measured; " + _CALIBRATION, "DeepSeek-R1 MI300X 0.11 to 0.16")

CONTEXT_V0 = _gib(0.95, 0.5, 1.4, "context and libraries, counted from an empty device; " + _LOGS, "L40S 0.8, H100 0.9")
CONTEXT_EARLY = _gib(0.1, 0.05, 0.5, "libraries loaded by the trial run; " + _LOGS, "H100, B200, RTX 3090 0.10")
CONTEXT = _gib(0.25, 0.1, 0.5, "libraries and workspaces loaded by the trial run; " + _LOGS, "H100 0.19, A100 0.31")
CONTEXT_AMD = _gib(1.3, 1.0, 1.6, "as measured; " + _CALIBRATION, "MI300X 0.11 to 0.18")
COLLECTIVES = _gib(0.75, 0.45, 1.3, "NCCL channels and custom all-reduce; " + _CALIBRATION, "H200 tp 2, 4 and 8")
COLLECTIVES_PCIE = _gib(0.1, 0.05, 0.6, "NCCL channels through host memory; " + _LOGS, "OPT-2.7B tp 4, 24 GB, 0.11")
COLLECTIVES_AMD = _gib(0.3, 0.1, 0.8, "RCCL channels and custom all-reduce; " + _CALIBRATION, "MI300X tp 4, 0.13")
NO_FUSION = _gib(0.0, 0.0, 0.0, "off by default", "-")
FUSION = _gib(
    1.2, 0.7, 1.5, "FlashInfer workspace of all-reduce with norm; " + _CALIBRATION, "H200, B200 tp 4 and 8, 0.18"
)
NO_GRAPHS = _gib(0.0, 0.0, 0.0, "not subtracted from the KV budget", "-")
GRAPHS = _gib(0.3, 0.15, 1.0, "estimate on by default, vLLM PR 38284 (2026-04); " + _LOGS, "Qwen3-VL H200 0.20; logs")
ENCODER = _copies(4.0, 1.5, 5.0, "outputs of the most items, kept during the pass; " + _LOGS, "Qwen3-VL, gemma-3-4b")

_EARLY = Generation(
    engine="vllm",
    words="vLLM before 0.10",
    from_version=(0,),
    sampler_bytes=SORT,
    hidden_copies=HIDDEN,
    expert_copies=EXPERTS_OLD,
    expert_copies_fused=EXPERTS_OLD,
    expert_copies_amd=EXPERTS_AMD,
    context_gib=CONTEXT_V0,
    context_amd_gib=CONTEXT_AMD,
    collectives_gib=COLLECTIVES,
    collectives_pcie_gib=COLLECTIVES_PCIE,
    collectives_amd_gib=COLLECTIVES_AMD,
    fusion_gib=NO_FUSION,
    graphs_gib=NO_GRAPHS,
    encoder_copies=ENCODER,
    utilization=0.9,
)


_V010 = replace(_EARLY, words="vLLM 0.10", from_version=(0, 10), context_gib=CONTEXT_EARLY)
_V0111 = replace(_V010, words="vLLM 0.11.1 to 0.16", from_version=(0, 11, 1))
_V017 = replace(
    _V0111,
    words="vLLM 0.17 to 0.19",
    from_version=(0, 17),
    sampler_bytes=PIVOT,
    expert_copies=EXPERTS,
    expert_copies_fused=EXPERTS_FUSED,
    context_gib=CONTEXT,
    fusion_gib=FUSION,
)
_V020 = replace(_V017, words="vLLM 0.20 to 0.27", from_version=(0, 20), graphs_gib=GRAPHS, utilization=0.92)
_VLLM = (
    _EARLY,
    _V010,
    replace(
        _V010,
        words="vLLM 0.11.0, sampling with FlashInfer",
        from_version=(0, 11, 0),
        sampler_bytes=PIVOT,
        flashinfer_builds=True,
    ),
    _V0111,
    _V017,
    _V020,
    replace(_V020, words="vLLM 0.28 and later", from_version=(0, 28), sampler_bytes=LEAN, graphs_gib=NO_GRAPHS),
)

_NOT_MEASURED = "as vLLM 0.17 to 0.19 with a wider range; not measured here"
_SGLANG = replace(
    _V017,
    engine="sglang",
    words="SGLang: its rule for mem_fraction_static",
    from_version=(0,),
    context_gib=_gib(0.6, 0.3, 1.2, _NOT_MEASURED, "-"),
    collectives_gib=_gib(1.9, 0.9, 3.0, _NOT_MEASURED, "Qwen3-235B-A22B 4 x H100, one public log of 2025"),
    fusion_gib=NO_FUSION,
    utilization=0.9,
    rule="reserve",
)
_TENSORRT_LLM = replace(
    _V017,
    engine="tensorrt_llm",
    words="TensorRT-LLM: free_gpu_memory_fraction of what weights and a trial run leave free",
    from_version=(0,),
    sampler_bytes=_logits(15.0, 8.0, 24.0, _NOT_MEASURED, "-"),
    expert_copies=_copies(3.5, 1.5, 7.0, _NOT_MEASURED, "-"),
    context_gib=_gib(0.6, 0.3, 1.5, _NOT_MEASURED, "-"),
    collectives_gib=_gib(1.5, 0.6, 3.0, _NOT_MEASURED, "-"),
    fusion_gib=NO_FUSION,
    utilization=0.9,
)
_LLAMA_CPP = replace(
    _V017,
    engine="llama_cpp",
    words="llama.cpp: one compute buffer for a micro-batch of 512 tokens",
    from_version=(0,),
    context_gib=_gib(0.5, 0.25, 0.8, "CUDA context and cuBLAS workspace; llama.cpp memory breakdown", "-"),
    collectives_gib=NO_FUSION,
    collectives_pcie_gib=NO_FUSION,
    collectives_amd_gib=NO_FUSION,
    fusion_gib=NO_FUSION,
    rule="buffer",
)

ENGINE_GENERATIONS: dict[str, tuple[Generation, ...]] = {
    "vllm": _VLLM,
    "sglang": (_SGLANG,),
    "tensorrt_llm": (_TENSORRT_LLM,),
    "llama_cpp": (_LLAMA_CPP,),
}
"""Generations of each engine, oldest first."""

_VERSION = re.compile(r"v?(\d{1,4})(?:\.(\d{1,4}))?(?:\.(\d{1,4}))?")
NEWEST = (9999,)


def version_of(text: str | None) -> tuple[int, ...]:
    """Version as numbers from text as engines print it; the newest if there is none.

    Raises InputError for text that does not begin with a version.

    >>> version_of("v0.11.2rc1+vendor"), version_of("0.18")
    ((0, 11, 2), (0, 18, 0))
    """
    if text is None or not text.strip():
        return NEWEST
    match = _VERSION.match(text.strip())
    if match is None:
        raise InputError("engine_version", text, "a version such as 0.18 or v0.11.2")
    return tuple(int(part or 0) for part in match.groups())


@lru_cache(maxsize=256)
def generation_of(engine: str, version: str | None, *, own_build: bool = True) -> Generation:
    """The generation of an engine that a version belongs to; the newest without a version.

    `own_build` is False on parts for which the project's FlashInfer sampling is not built.

    Raises InputError for an unknown engine or a version that cannot be read.

    >>> generation_of("vllm", "v0.16.0").words, generation_of("vllm", None).words
    ('vLLM 0.11.1 to 0.16', 'vLLM 0.28 and later')
    """
    if engine not in ENGINE_GENERATIONS:
        raise InputError("runtime", engine, f"one of {', '.join(ENGINE_GENERATIONS)}")
    wanted = version_of(version)
    plain = own_build and "+" not in (version or "")
    found = ENGINE_GENERATIONS[engine][0]
    for generation in ENGINE_GENERATIONS[engine]:
        if generation.from_version <= wanted and (plain or not generation.flashinfer_builds):
            found = generation
    return found
