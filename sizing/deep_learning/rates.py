"""Fitted constants of the speed of networks: which of them a run uses, their values, and the interval they leave.

A constant is a product of factors: one for all, one of the family of runtimes, of the architecture, of the GPU, of the runtime,
of the precision. A GPU or runtime that was not measured has the factors it shares, and a wider interval.
`python -m benchmarks.calibrate_deep_learning` writes catalogs/deep_learning_speed.yaml; nothing there is set by hand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml

from sizing.catalog_rows import Accelerator
from sizing.deep_learning.speed import CLASSES, PRODUCTS, Floats, Rates

FILE = Path(__file__).resolve().parents[2] / "catalogs" / "deep_learning_speed.yaml"
LEFT = {
    "batch_norm": 0.05, "activation": 0.05, "elementwise": 0.1, "cast": 0.0, "movement": 0.3, "softmax": 0.5,
}  # fmt: skip
"""Share of launches that runtimes which fuse operators still make [1]; all of those that are not named. Set, not fitted."""
FUSED_SHARE = {"batch_norm": 20.0, "activation": 5.0, "elementwise": 5.0, "movement": 1.5}
"""Bandwidth of operators that are fused into others, before any run is seen, as multiples [1]."""
FIRST_EFFICIENCY = {"matmul": 0.7, "convolution": 0.6}
DUAL_RATE = ("Ada", "Blackwell")
"""Architectures whose workstation and inference boards list twice the tensor rate of the games boards, at the same power."""


@dataclass(frozen=True)
class Runtime:
    """How a runtime is modelled: its family, whether it is measured through a server, and what it is called."""

    family: str
    server: bool
    name: str


RUNTIMES: dict[str, Runtime] = {
    "eager": Runtime("eager", False, "PyTorch 2 eager"),
    "compile": Runtime("compile", False, "torch.compile"),
    "pytorch": Runtime("eager", False, "PyTorch of 2019 to 2022"),
    "tf1": Runtime("eager", False, "TensorFlow 1"),
    "tf2": Runtime("eager", False, "TensorFlow 2"),
    "tf1_xla": Runtime("xla", False, "TensorFlow 1 with XLA"),
    "tf2_xla": Runtime("xla", False, "TensorFlow 2 with XLA"),
    "mxnet": Runtime("xla", False, "MXNet"),
    "paddle": Runtime("eager", False, "PaddlePaddle"),
    "paddle_trt": Runtime("trt", False, "PaddlePaddle with TensorRT"),
    "ort": Runtime("trt", False, "ONNX Runtime on CUDA"),
    "ort_trt": Runtime("trt", False, "ONNX Runtime on TensorRT"),
    "triton_torch": Runtime("eager", True, "Triton with PyTorch"),
    "triton_trt": Runtime("trt", True, "Triton with TensorRT"),
    "triton_hps": Runtime("trt", True, "Triton with Merlin HPS and TensorRT"),
    "triton_tftrt": Runtime("trt", True, "Triton with TensorFlow and TensorRT"),
    "triton_tf": Runtime("eager", True, "Triton with TensorFlow"),
    "triton_ort": Runtime("trt", True, "Triton with ONNX Runtime"),
    "triton_orttrt": Runtime("trt", True, "Triton with ONNX Runtime and TensorRT"),
}
"""Runtimes that were measured."""

Term = tuple[
    str, str, str
]  # quantity, level ("" for all, family:, architecture:, gpu:, runtime:, precision:), class or ""


def architecture(part: Accelerator) -> str:
    """Architecture with its kind of memory: boards with HBM behave unlike those without."""
    return part.architecture + (" HBM" if "HBM" in (part.memory_type or "") else "")


def sustained_flops(part: Accelerator, precision: str) -> float | None:
    """Dense rate that can be held [operations/s], or None: of inference boards with the tensor rate doubled, that of the games
    boards, 2 x fp32, since both have the same power. Source: RTX PRO 6000 beside RTX 5090, timm tables (2026-08)."""
    if precision == "fp32":
        return part.peak_flops_per_s("fp32")
    if precision == "tf32":
        return part.peak_flops_per_s("tf32") or part.peak_flops_per_s("fp32")
    peak = part.peak_flops_per_s(precision if precision in ("int8", "bf16", "fp8") else "fp16")
    if peak and precision != "int8" and part.fp32_tflops and architecture(part) in DUAL_RATE:
        return min(peak, (4.0 if precision == "fp8" else 2.0) * part.fp32_tflops * 1e12)
    return peak


def terms(
    part: Accelerator, runtime: str, precision: str, network: str = ""
) -> dict[tuple[str, str], tuple[Term, ...]]:
    """The constants that a run uses: for each quantity and class (or "") the terms whose logs add up. `network` names one that
    batch curves were measured on, whose graph was written from a description."""
    family, of = RUNTIMES[runtime].family, architecture(part)
    # Nothing was measured in fp8: it loses what int8 loses against its own peak.
    rounded = {"amp": "fp16", "bf16": "fp16", "fp8": "int8"}.get(precision, precision)
    found: dict[tuple[str, str], tuple[Term, ...]] = {}
    wide = (("efficiency", f"architecture:{of}", ""), ("efficiency", f"gpu:{part.id}", ""),
            ("efficiency", f"runtime:{runtime}", ""), ("efficiency", f"precision:{rounded}", ""),
            ("efficiency", f"precision:{rounded} {of}", ""))  # fmt: skip
    read = (("share", f"architecture:{of}", ""), ("share", f"gpu:{part.id}", ""), ("share", f"runtime:{runtime}", ""))
    for name in CLASSES:
        if name in PRODUCTS:
            found["efficiency", name] = (
                ("efficiency", "", name), ("efficiency", f"family:{family}", name), ("efficiency", f"gpu:{part.id}", name), *wide,
            )  # fmt: skip
            found["width", name] = (("width", "", name),)
            found["depth", name] = (("depth", "", name),)
        found["share", name] = (
            ("share", "", name), ("share", f"family:{family}", name), ("share", f"gpu:{part.id}", name), *read,
        )  # fmt: skip
    found["kernel_us", ""] = (("kernel_us", f"family:{family}", ""), ("kernel_us", f"runtime:{runtime}", ""))
    for quantity in ("tile", "power", "kernel_area"):
        found[quantity, ""] = ((quantity, f"family:{family}", ""),)
    for quantity in ("host_us", "base_ms", "transfer_gb_per_s", "client_ms"):
        found[quantity, ""] = ((quantity, f"runtime:{runtime}", ""), (quantity, f"gpu:{part.id}", ""))
    if network:
        found["client_ms", ""] = (*found["client_ms", ""], ("client_ms", f"network:{network}", ""))
    found["work", ""] = (
        (
            ("work", f"network:{network}", ""),
            ("work", f"network:{network} {runtime}", ""),
            ("work", f"runtime:{runtime} {part.id}", ""),
        )
        if network
        else ()
    )
    found["client_power", ""] = (("client_power", f"runtime:{runtime}", ""),)
    return found


def prior(term: Term) -> tuple[float, float]:
    """Log of a constant before any run is seen and its spread [log]; kernel_area is not a log."""
    quantity, level, name = term
    of = level.split(":", 1)[0]
    if quantity == "efficiency":
        if name:
            first = math.log(FIRST_EFFICIENCY.get(name, 0.5))
            return {"": (first, 0.7), "family": (0.0, 0.4), "gpu": (0.0, 0.15)}[of]
        if of == "precision":
            return (0.4 if level.startswith("precision:fp32") and " " not in level else 0.0), (
                0.15 if " " in level else 0.3
            )
        return 0.0, {"gpu": 0.1, "runtime": 0.4}.get(of, 0.3)
    if quantity == "share":
        if name:
            fused = 0.0 if level == "family:eager" else math.log(FUSED_SHARE.get(name, 1.0))
            return {"": (0.0, 0.7), "family": (fused, 0.5), "gpu": (0.0, 0.15)}[of]
        return 0.0, {"architecture": 0.2, "gpu": 0.1, "runtime": 0.4}[of]
    if quantity in ("width", "depth"):
        return math.log(16.0), 0.7
    if quantity == "work":
        return 0.0, 0.2 if " " in level else 0.4
    if of in ("gpu", "network"):
        return 0.0, 0.4 if quantity == "client_ms" else 0.3
    eager = of == "runtime" and RUNTIMES[level.split(":", 1)[1]].family == "eager"
    return {
        "kernel_us": (math.log(2.5), 0.5) if of == "family" else (0.0, 0.3),
        "tile": (-1.0, 0.5),
        "power": (math.log(2.0), 0.3),
        "kernel_area": (0.2, 0.3),
        "host_us": (math.log(6.0 if eager else 3.0), 0.7),
        "base_ms": (math.log(0.2), 0.8),
        "transfer_gb_per_s": (math.log(2.0), 0.7),
        "client_ms": (math.log(2.0), 1.0),
        "client_power": (math.log(0.3), 0.5),
    }[quantity]


@dataclass(frozen=True)
class Constants:
    """The file of constants: logs by term, 80 % errors [log] by group, and what was measured."""

    logs: dict[Term, float]
    errors: dict[str, tuple[float, float]]
    gpus: dict[str, frozenset[str]]
    architectures: dict[str, frozenset[str]]
    networks: frozenset[str]
    checked: str

    def log(self, term: Term) -> float:
        """Log of a constant, that of its prior where it was not fitted."""
        return self.logs.get(term, prior(term)[0])


def _seen(rows: dict[str, list[str]]) -> dict[str, frozenset[str]]:
    return {runtime: frozenset(names) for runtime, names in rows.items()}


@lru_cache(maxsize=1)
def constants() -> Constants:
    """The fitted constants, read once."""
    with FILE.open(encoding="utf-8") as file:
        rows = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    logs = {
        (q, level, name): value if q == "kernel_area" else math.log(value)
        for q, level, name, value, _, _ in rows["constants"]
    }
    errors = {name: (float(low), float(high)) for name, (low, high) in rows["errors"].items()}
    return Constants(
        logs, errors, _seen(rows["measured"]["gpus"]), _seen(rows["measured"]["architectures"]),
        frozenset(rows["measured"]["networks"]),
        str(rows["checked"]),
    )  # fmt: skip


@dataclass(frozen=True)
class Use:
    """Constants of one kind of run: those of the law, and of the server around it."""

    rates: Rates
    transfer_gb_per_s: float
    client_ms: float
    client_power: float


@lru_cache(maxsize=2048)
def use_of(part: Accelerator, runtime: str, precision: str, network: str = "") -> Use:
    """Constants of a runtime on an accelerator at a precision."""
    return use_from(constants(), part, runtime, precision, network)


def use_from(known: Constants, part: Accelerator, runtime: str, precision: str, network: str = "") -> Use:
    """Constants of a runtime on an accelerator at a precision, from given values."""
    logs = {
        key: sum(known.log(term) for term in many) for key, many in terms(part, runtime, precision, network).items()
    }

    def row(quantity: str) -> Floats:
        return np.exp(np.array([[logs.get((quantity, name), 0.0) for name in CLASSES]]))

    def one(quantity: str) -> Floats:
        return np.exp(np.array([logs[quantity, ""]]))

    rates = Rates(
        efficiency=row("efficiency"), share=row("share"), width=row("width"), depth=row("depth"),
        launched=launched(runtime)[None, :], kernel_us=one("kernel_us"), tile=one("tile"), power=one("power"),
        kernel_area=np.array([logs["kernel_area", ""]]), host_us=one("host_us"), base_ms=one("base_ms"), work=one("work"),
    )  # fmt: skip
    return Use(
        rates, math.exp(logs["transfer_gb_per_s", ""]), math.exp(logs["client_ms", ""]), math.exp(logs["client_power", ""])
    )  # fmt: skip


def launched(runtime: str) -> Floats:
    """Share of launches that are left after fusion, by class of operators [1]."""
    if RUNTIMES[runtime].family == "eager":
        return np.ones(len(CLASSES))
    return np.array([LEFT.get(name, 1.0) for name in CLASSES])


def interval(part: Accelerator, runtime: str, *, further: float = 0.0, network: str = "") -> tuple[float, float]:
    """Factors on a time for its 80 % interval [1]: that of the runtime on held-out networks, wider on a GPU or an architecture
    that was not measured under it, for a network that no batch curve is of (`network`) and for one that is not exact (`further`, log)."""
    known = constants()
    low, high = known.errors.get(runtime, known.errors["any"])
    more = [further]
    if part.id not in known.gpus.get(runtime, ()):
        more.append(known.errors["new gpu"][1])
    if architecture(part) not in known.architectures.get(runtime, ()):
        more.append(known.errors["new architecture"][1])
    if network and network not in known.networks:
        more.append(known.errors["new network"][1])
    return math.exp(-math.hypot(low, *more)), math.exp(math.hypot(high, *more))
