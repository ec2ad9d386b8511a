"""The stated constants of speed: value, 80 % range, unit, source and date.

Starting values are engineering judgement of what such kernels and engines reach; values and ranges were then adjusted by
hand, in two rounds, on the public runs that `CHECKED` names. They are not a fit, and those errors are not held out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

CHECKED = (
    "adjusted by hand on 1,272 of 1,611 public server runs, without attention data parallel and nvfp4 (median error there: time per output token 14 %, time to "
    "first token 50 %; 87 % and 83 % inside the interval) and compared with 528 static-batch runs on A100 and H100 (9 %, "
    "91 % inside); 390 runs on MI300X with engines of 2024 took about three times as long"
)
"""How the constants compare with measurements; shown beside each of them."""


@dataclass(frozen=True)
class Constant:
    """One constant with its 80 % range: `slow` and `fast` are its values when everything goes badly or well."""

    name: str
    value: float
    slow: float
    fast: float
    unit: str
    source: str
    as_of: str = "2026-11"


CONSTANTS: tuple[Constant, ...] = (
    Constant(
        "memory",
        0.75,
        0.55,
        0.92,
        "share of peak bandwidth",
        "streaming kernels at decode sizes; STREAM-like copies reach 0.9",
    ),
    Constant(
        "matmul_prefill",
        0.50,
        0.33,
        0.75,
        "share of dense peak",
        "large matrix products of real servers, mixed with other work",
    ),
    Constant(
        "matmul_decode", 0.45, 0.25, 0.75, "share of dense peak", "tall matrix products at batch up to a few hundred"
    ),
    Constant("attention_prefill", 0.35, 0.22, 0.55, "share of 16-bit peak", "fused attention forward, causal"),
    Constant(
        "link", 0.60, 0.40, 0.85, "share of one-direction link bandwidth", "ring collectives at the sizes of one step"
    ),
    Constant(
        "collective_nvlink_us",
        12.0,
        18.0,
        7.0,
        "us for each all-reduce",
        "one-shot all-reduce with its launch on NVLink-like links",
    ),
    Constant(
        "collective_pcie_us", 30.0, 50.0, 20.0, "us for each all-reduce", "all-reduce through PCIe and host memory"
    ),
    Constant("hop_us", 40.0, 80.0, 20.0, "us for each pipeline hop", "point-to-point send with scheduling"),
    Constant(
        "network_gb_per_s",
        12.5,
        6.0,
        25.0,
        "GB/s between machines for each accelerator",
        "100 Gbit/s class network, assumed",
    ),
    Constant(
        "layer_us", 20.0, 38.0, 12.0, "us for each layer of a step", "kernel gaps and small kernels under CUDA graphs"
    ),
    Constant(
        "expert_layer_us",
        28.0,
        80.0,
        12.0,
        "us more for each layer with experts",
        "routing, permutation and grouped products",
    ),
    Constant(
        "prompts_before_first_token",
        0.22,
        0.6,
        0.06,
        "share of the others' prompts",
        "clients that start together stay bunched",
    ),
    Constant(
        "prefill_fixed_ms", 20.0, 45.0, 8.0, "ms for each request", "HTTP, tokenising, scheduling and the first reply"
    ),
    Constant("sequence_us", 8.0, 16.0, 3.0, "us for each sequence of a step", "sampling, detokenising and bookkeeping"),
)

STEP_US: dict[str, tuple[float, float, float]] = {
    "vllm": (2000.0, 3500.0, 1000.0),
    "sglang": (1500.0, 3000.0, 700.0),
    "tensorrt_llm": (1000.0, 2000.0, 500.0),
    "llama_cpp": (1500.0, 4000.0, 500.0),
}
"""Scheduling of one engine step [us]: value, slow, fast. Source: as `CONSTANTS`, engines of 2025 to 2026."""


@dataclass(frozen=True)
class Rates:
    """The constants of one case (centre, slow or fast), by name."""

    memory: float
    matmul_prefill: float
    matmul_decode: float
    attention_prefill: float
    link: float
    collective_nvlink_us: float
    collective_pcie_us: float
    hop_us: float
    network_gb_per_s: float
    layer_us: float
    expert_layer_us: float
    sequence_us: float
    prompts_before_first_token: float
    prefill_fixed_ms: float
    step_us: float


@lru_cache(maxsize=8)
def rates(runtime: str) -> tuple[Rates, Rates, Rates]:
    """Constants of an engine: centre, slow end and fast end of the 80 % interval, all taken together.

    >>> centre, slow, fast = rates("vllm")
    >>> slow.memory < centre.memory < fast.memory <= 1
    True
    """
    cases = []
    for index, end in enumerate(("value", "slow", "fast")):
        named = {c.name: float(getattr(c, end)) for c in CONSTANTS}
        cases.append(Rates(**named, step_us=STEP_US[runtime][index]))
    return cases[0], cases[1], cases[2]


AMD_CAVEAT = (
    "Public runs on MI300X with engines of 2024 took about three times this roofline's time; "
    "newer engines were not compared."
)
"""Source: 390 static-batch runs, vLLM of 2024, fp16 (2026-11)."""
