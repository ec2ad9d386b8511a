"""The fitted constants of speed: value, 80 % range, unit, source and date, read from catalogs/llm_speed.yaml.

`python -m benchmarks.calibrate` writes that file from measured runs; nothing here is set by hand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

Quantity = float | NDArray[np.float64]
FILE = Path(__file__).resolve().parents[2] / "catalogs" / "llm_speed.yaml"
UNITS = {
    "memory": ("share of peak bandwidth", "weights streamed by one pass"),
    "kv": ("share of peak bandwidth", "KV cache read by attention at decode"),
    "products": ("share of dense peak", "matrix products on whole tiles"),
    "half_tokens": ("tokens", "tile of a matrix product: a pass of so many tokens takes twice the time of one of none"),
    "expert_products": ("share of what other products reach", "grouped products of experts"),
    "not_hidden": ("share of the shorter", "of reading weights and computing, what does not overlap"),
    "attention": ("share of 16-bit peak", "attention products"),
    "link": ("share of one-direction link bandwidth", "collectives"),
    "collective_nvlink_us": ("us for each all-reduce", "latency with its launch on NVLink-like links"),
    "collective_pcie_us": ("us for each all-reduce", "latency through PCIe and host memory"),
    "hop_us": ("us for each pipeline hop", "point-to-point send with scheduling"),
    "network_gb_per_s": ("GB/s between machines for each accelerator", "100 Gbit/s class network, assumed"),
    "layer_us": ("us for each layer of a step", "kernel gaps and small kernels"),
    "expert_layer_us": ("us more for each layer with experts", "routing, permutation, grouped products"),
    "mixer_layer_us": (
        "us more for each layer of latent or linear attention",
        "its projections, convolution and state",
    ),
    "index_layer_us": (
        "us more for each layer with sparse attention",
        "indexer, its rotation and quantisation, choice of keys",
    ),
    "expert_parallel_us": ("us more for each layer with experts", "sending tokens to experts on other ranks"),
    "traffic": ("copies of a token's hidden vector in each layer", "activations moved between products"),
    "expert_traffic": ("copies for each expert chosen", "activations sent to experts and brought back"),
    "sequence_us": ("us for each sequence of a step", "sampling, detokenising, bookkeeping"),
    "step_us": ("us for each step", "scheduling of one engine step"),
    "prefill_layer_us": ("us for each layer of a prompt's pass", "kernels launched one by one, without CUDA graphs"),
    "poll_steps": ("decode steps", "that a request waits before its prompt is begun, when others are decoding"),
    "prefill_fixed_ms": ("ms for each request", "HTTP, tokenising, scheduling and the first reply"),
    "bunch": (
        "log odds",
        "share of the others' prompts before one's own first token, at equal time in prompts and steps",
    ),
    "bunch_by_load": ("log odds for each e-fold", "the same, by time spent in prompts over time spent in steps"),
    "bunch_by_clients": ("log odds for each e-fold", "the same, by requests in flight"),
}
"""Unit of each constant of an engine, and what it stands for."""


@dataclass(frozen=True)
class Rates:
    """The constants of one case (centre, slow or fast), by name; `scale` and `first_scale` multiply the time of a pass
    and of a first token, and are what an interval moves."""

    memory: Quantity
    kv: Quantity
    products: Quantity
    half_tokens: Quantity
    expert_products: Quantity
    not_hidden: Quantity
    attention: Quantity
    link: Quantity
    collective_nvlink_us: Quantity
    collective_pcie_us: Quantity
    hop_us: Quantity
    network_gb_per_s: Quantity
    layer_us: Quantity
    expert_layer_us: Quantity
    mixer_layer_us: Quantity
    index_layer_us: Quantity
    expert_parallel_us: Quantity
    traffic: Quantity
    expert_traffic: Quantity
    sequence_us: Quantity
    step_us: Quantity
    prefill_layer_us: Quantity
    poll_steps: Quantity
    prefill_fixed_ms: Quantity
    bunch: Quantity
    bunch_by_load: Quantity
    bunch_by_clients: Quantity
    scale: Quantity = 1.0
    first_scale: Quantity = 1.0

    def some(self, rows: NDArray[np.intp]) -> Rates:
        """The constants for some of the candidates, where `first_scale` is a column over them."""
        return replace(self, first_scale=self.first_scale[rows]) if isinstance(self.first_scale, np.ndarray) else self


@dataclass(frozen=True, slots=True)
class Factors:
    """How a family of parts and a format differ from what an engine reaches on Hopper in 16 bit."""

    memory: float
    products: float
    gap: float
    step: float  # what a measured model takes longer than the constants say, on this family and in this format
    width: float  # exponent of the interval: below 1 for what was measured, above for what nobody measured
    inherited_from: str | None  # the family whose factors these are, for one that nobody measured


@lru_cache(maxsize=1)
def stated() -> dict[str, Any]:
    """The file of constants as it stands."""
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


NEAREST = {"Blackwell Ultra": "Blackwell", "CDNA2": "CDNA3", "CDNA4": "CDNA3"}
"""Architecture whose constants one takes over that nobody measured; any other takes those of Ampere. A rule of this
product."""
OTHERWISE = "Ampere"
UNMEASURED_WIDTH = 1.5
NO_FACTORS = {"memory": 1.0, "products": 1.0}


def family_of(architecture: str, memory_type: str) -> str:
    """Family of parts that share factors: architecture and kind of memory.

    >>> family_of("Ampere", "HBM2e"), family_of("Ampere", "GDDR6X"), family_of("Apple M2", "LPDDR5")
    ('Ampere HBM', 'Ampere GDDR', 'Apple LPDDR')
    """
    kind = re.match("[A-Z]+", memory_type)
    return f"{architecture.split(' M')[0]} {kind[0] if kind else memory_type}"


def factors_of(generation: str, family: str, unit: str, format_words: str, model: str = "") -> Factors:
    """Factors of a family and a format under an engine: those fitted for the pair, else for the family under any engine,
    else those of the nearest family. A model that was measured has a factor of its own, `step`.

    The interval is that of models and parts never seen; narrower, as measured, for a model and a family that the engine was
    measured with, and 1.5 times as wide on a log scale for a family that nobody measured.

    >>> factors_of("vllm", "Hopper HBM", "bf16", "bf16").inherited_from is None
    True
    >>> factors_of("vllm", "Turing GDDR", "fp16", "fp16").inherited_from
    'Ampere GDDR'
    """
    everywhere, here = stated(), stated()["engines"][generation]
    name = family if family in everywhere["families"] else _nearest(family, everywhere["families"])
    kind = format_kind(unit, format_words)
    row = here["families"].get(name) or everywhere["families"][name]
    form = here["formats"].get(kind) or everywhere["formats"].get(kind) or NO_FACTORS
    is_known = model in here["measured"]["models"] and family in here["measured"]["families"]
    return Factors(
        memory=row["memory"] * form["memory"],
        products=row["products"] * form["products"],
        gap=row["gap"],
        step=here["measured"]["step_factors"].get(model, {}).get(family, {}).get(kind, 1.0),
        width=UNMEASURED_WIDTH if name != family else here["interval"]["known_width"] if is_known else 1.0,
        inherited_from=None if name == family else name,
    )


def _nearest(family: str, families: dict[str, Any]) -> str:
    architecture, memory = family.rsplit(" ", 1)
    likely = (f"{NEAREST.get(architecture, OTHERWISE)} {memory}", f"Apple {memory}", f"{OTHERWISE} {memory}")
    return next((name for name in likely if name in families), f"{OTHERWISE} HBM")


def format_kind(unit: str, format_words: str) -> str:
    """Kind of product: the unit that multiplies, or `unpacked` where weights are widened before.

    >>> format_kind("bf16", "int4 (AWQ, groups of 128)"), format_kind("fp8", "fp8")
    ('unpacked', 'fp8')
    """
    if "mxfp4" in format_words:
        return "mxfp4"
    if unit in ("fp8", "fp4", "int8"):
        return unit
    return "16 bit" if format_words in ("bf16", "fp16", "fp32", "bf16 (fp8 trained)") else "unpacked"


GENERATIONS: dict[str, tuple[tuple[tuple[int, int], str], ...]] = {
    "vllm": (((0, 7), "vllm_2024"),),
    "tensorrt_llm": (((0, 10), "tensorrt_llm_2024"), ((1, 1), "tensorrt_llm_1_0")),
}
"""First version that no longer belongs to a generation with constants of its own; what is newer, or of no stated version,
is the engine of today. Source: new schedulers of vLLM 0.7 to 0.8 and TensorRT-LLM 0.10, its PyTorch runtime since 1.1; the
boundaries are a choice."""
_VERSION = re.compile(r"\D{0,2}(\d+)\.(\d+)")


def generation_of(runtime: str, version: str | None) -> str:
    """Key of the constants of an engine at a version.

    >>> generation_of("vllm", "0.18.0"), generation_of("vllm", "v0.6.3"), generation_of("sglang", None)
    ('vllm', 'vllm_2024', 'sglang')
    """
    found = _VERSION.match(version or "")
    if version == "2024":
        return next((name for _, name in GENERATIONS.get(runtime, ())), runtime)
    if not found:
        return runtime
    at = int(found[1]), int(found[2])
    return next((name for first, name in GENERATIONS.get(runtime, ()) if at < first), runtime)


@lru_cache(maxsize=8)
def rates(generation: str) -> tuple[Rates, Rates, Rates]:
    """Constants of an engine's generation: centre, slow end and fast end of the 80 % interval.

    >>> centre, slow, fast = rates("vllm")
    >>> fast.scale < centre.scale < slow.scale
    True
    """
    engine = stated()["engines"][generation]
    named = {f.name: float(engine["constants"][f.name]["value"]) for f in fields(Rates) if f.name in UNITS}
    ends = engine["interval"]
    centre = Rates(**named)
    slow = Rates(**named, scale=ends["step"][1], first_scale=ends["first_token"][1] / ends["step"][1])
    fast = Rates(**named, scale=ends["step"][0], first_scale=ends["first_token"][0] / ends["step"][0])
    return centre, slow, fast


def engine_rates(runtime: str, version: str | None) -> tuple[Rates, Rates, Rates]:
    """Constants of an engine at a version: centre, slow end and fast end of the 80 % interval."""
    return rates(generation_of(runtime, version))


def checked() -> str:
    """How the constants compare with measurements held back, in words; shown beside each figure that rests on them."""
    return str(stated()["checked"])
