"""What each runtime adds to a model: memory floor and workspace, speed constants, formats and the GPUs it runs on.

Every constant has a value, an 80 % range, a unit, a source and a date. The speed constants were set by hand near fits to public
runs of 2018 to 2026, so their error on those runs flatters them. The intervals are therefore wide enough for models that were
left out of the fit; `RuntimeProfile.checked` gives both errors. Few models were to be had: this is an estimate, not a calibration.
"""

from __future__ import annotations

from dataclasses import dataclass

from sizing.catalog_rows import Accelerator
from sizing.scenario import DeepLearningPrecision, DeepLearningRuntime
from sizing.units import MB

RUNS = "public batch curves (NVIDIA DeepLearningExamples), timm tables and optimum-benchmark"


@dataclass(frozen=True)
class Constant:
    """One constant: value, 80 % range, unit, source and date."""

    value: float
    low: float
    high: float
    unit: str
    source: str
    as_of: str = "2026-11-22"


@dataclass(frozen=True)
class RuntimeProfile:
    """Memory and speed of one runtime.

    `fast` and `slow` multiply a predicted latency into its 80 % interval; `checked` says on what the centre was compared.
    """

    name: str
    vendors: tuple[str, ...]
    floor_bytes: Constant
    workspace_share: Constant
    arena: bool
    launch_us: Constant
    base_ms: Constant
    compute_share: dict[str, Constant]
    traffic_passes: Constant
    fast: float
    slow: float
    checked: str


def _shares(fp32: float, tf32: float, half: float, source: str) -> dict[str, Constant]:
    values = {"fp32": fp32, "tf32": tf32, "fp16": half, "bf16": half, "int8": half}
    return {
        name: Constant(value, round(value * 0.6, 3), min(0.95, round(value * 1.5, 3)), "share of dense peak", source)
        for name, value in values.items()
    }


PROFILES: dict[DeepLearningRuntime, RuntimeProfile] = {
    "pytorch_eager": RuntimeProfile(
        name="PyTorch eager",
        vendors=("NVIDIA", "AMD"),
        floor_bytes=Constant(
            1100 * MB,
            700 * MB,
            1500 * MB,
            "bytes",
            "bge-base on A100 1,452 MB, ResNet-50 libtorch 986 MB, BERT on Titan RTX 790 MB",
        ),
        workspace_share=Constant(
            0.13,
            0.08,
            0.18,
            "share of live activations",
            "bge-base batch 1 to 2,048 on A100: 11 to 18 %; ResNet-50 8 to 13 %",
        ),
        arena=False,
        launch_us=Constant(8.0, 3.5, 25.0, "us per operator", f"{RUNS}: 3.5 (2023, A100) to 23 (2020, V100)"),
        base_ms=Constant(0.3, 0.1, 0.6, "ms per batch", RUNS),
        compute_share=_shares(0.90, 0.40, 0.85, RUNS),
        traffic_passes=Constant(1.55, 1.0, 2.0, "passes over written and read activations at peak bandwidth", RUNS),
        fast=0.4,
        slow=3.0,
        checked="82 public runs it was set on: median error 25 %; refitted without each of 14 models: 40 % on the one left out",
    ),
    "onnxruntime": RuntimeProfile(
        name="ONNX Runtime (CUDA)",
        vendors=("NVIDIA",),
        floor_bytes=Constant(
            1000 * MB,
            500 * MB,
            3300 * MB,
            "bytes",
            "YOLOX-m on three GPUs 0.5 to 1.7 GB; bge-base beside PyTorch on A100 3.3 GB",
        ),
        workspace_share=Constant(
            0.13, 0.05, 0.20, "share of live activations", "taken as PyTorch's; bge-base in fp16 on A100"
        ),
        arena=True,
        launch_us=Constant(0.6, 0.3, 2.0, "us per traced operator (fused into far fewer kernels)", RUNS),
        base_ms=Constant(0.1, 0.05, 0.5, "ms per batch", RUNS),
        compute_share=_shares(0.60, 0.45, 0.33, RUNS),
        traffic_passes=Constant(0.50, 0.3, 1.1, "passes over written and read activations at peak bandwidth", RUNS),
        fast=0.5,
        slow=2.0,
        checked="22 public runs it was set on, all BERT: median error 10 %; refitted without either model: 43 % on the one left out; "
        "convolutional networks not compared",
    ),
    "tensorrt": RuntimeProfile(
        name="TensorRT",
        vendors=("NVIDIA",),
        floor_bytes=Constant(
            900 * MB, 400 * MB, 1500 * MB, "bytes", "CUDA context 0.3 to 0.9 GB, idle Triton 277 MB, toy model 872 MB"
        ),
        workspace_share=Constant(
            0.15, 0.0, 0.30, "share of live activations", "bge-base in fp16 on A100: 4 to 24 % above the trace"
        ),
        arena=False,
        launch_us=Constant(1.0, 0.5, 2.0, "us per traced operator (fused into far fewer kernels)", RUNS),
        base_ms=Constant(0.3, 0.1, 0.6, "ms per batch", RUNS),
        compute_share=_shares(0.70, 0.40, 0.45, RUNS),
        traffic_passes=Constant(0.25, 0.1, 0.5, "passes over written and read activations at peak bandwidth", RUNS),
        fast=0.45,
        slow=1.9,
        checked="54 public runs it was set on (ResNet-50 and BERT-large): median error 4 %; refitted without either model: 71 % on "
        "the one left out; 13 runs of BERT-base not used: 21 %",
    ),
    "onnxruntime_cpu": RuntimeProfile(
        name="ONNX Runtime (CPU)",
        vendors=(),
        floor_bytes=Constant(300 * MB, 150 * MB, 600 * MB, "bytes", "process with ONNX Runtime and a server, recalled"),
        workspace_share=Constant(0.13, 0.05, 0.30, "share of live activations", "taken as PyTorch's"),
        arena=True,
        launch_us=Constant(3.0, 1.0, 9.0, "us per traced operator", "recalled"),
        base_ms=Constant(0.3, 0.1, 1.0, "ms per batch", "recalled"),
        compute_share=_shares(0.62, 0.62, 0.62, "timm's CPU table, see sizing/deep_learning/processor.py"),
        traffic_passes=Constant(4.5, 3.0, 7.0, "passes over activations at peak bandwidth", "timm's CPU table"),
        fast=0.6,
        slow=2.0,
        checked="timm's table of an i9-10940X: median error 16 %, P90 41 % on models left out",
    ),
}
"""Memory and speed of the runtimes. Ranges are wider than the fit where the runs covered few models."""

WEIGHT_READ_SHARE = Constant(0.8, 0.6, 0.92, "share of peak bandwidth", "streaming reads of large matrices")


@dataclass(frozen=True)
class Format:
    """How a precision is executed on one accelerator: element sizes [bytes], the peak used, and what differs from the request."""

    weight_bytes: int
    activation_bytes: int
    compute: str
    peak_flops_per_s: float
    notes: tuple[str, ...]


class Unsupported(Exception):
    """A runtime or number format that an accelerator does not have: constraint, reason and remedy."""

    def __init__(self, *, constraint: str, because: str, remedy: str | None) -> None:
        super().__init__(because)
        self.constraint, self.because, self.remedy = constraint, because, remedy


def element_bytes(runtime: DeepLearningRuntime, precision: DeepLearningPrecision) -> tuple[int, int]:
    """Size of a weight and of an activation element [bytes].

    int8 keeps activations in fp16 except in TensorRT: faster-whisper in int8 uses as much memory per sample as in fp16.

    >>> element_bytes("tensorrt", "int8"), element_bytes("onnxruntime", "int8"), element_bytes("tensorrt", "tf32")
    ((1, 1), (1, 2), (4, 4))
    """
    if precision == "int8":
        return (1, 1) if runtime == "tensorrt" else (1, 2)
    return (2, 2) if precision in ("fp16", "bf16") else (4, 4)


def format_on(accelerator: Accelerator, *, runtime: DeepLearningRuntime, precision: DeepLearningPrecision) -> Format:
    """How a precision runs on an accelerator, with its dense peak [operations/s].

    tf32 falls back to fp32 where there is none; int8 multiplies in fp16 outside TensorRT; a missing bf16, fp16 or int8 unit
    raises `Unsupported`, as does an accelerator that the runtime cannot drive.

    >>> from sizing.catalog import load
    >>> format_on(load().accelerator("t4"), runtime="onnxruntime", precision="tf32").compute
    'fp32'
    """
    profile = PROFILES[runtime]
    if accelerator.vendor not in profile.vendors:
        other = "runtime pytorch_eager" if accelerator.vendor in PROFILES["pytorch_eager"].vendors else None
        raise Unsupported(
            constraint="runtime",
            because=f"{profile.name} is not modelled on {accelerator.vendor} {accelerator.architecture}",
            remedy=other,
        )
    notes: list[str] = []
    compute: str = precision
    if precision == "tf32" and accelerator.tf32_tflops is None:
        compute = "fp32"
        notes.append(f"{accelerator.name} has no TF32: computed in fp32")
    if precision == "int8" and runtime != "tensorrt":
        compute = "fp16"
        notes.append(f"int8 weights; {profile.name} multiplies in fp16 and keeps activations in fp16")
    peak = accelerator.peak_flops_per_s(compute)
    if peak is None:
        instead = "fp16" if accelerator.fp16_tflops is not None else "fp32"
        raise Unsupported(
            constraint="precision",
            because=f"{accelerator.name} has no {compute} units in the catalog",
            remedy=f"precision {instead}",
        )
    weight, activation = element_bytes(runtime, precision)
    return Format(weight, activation, compute, peak, tuple(notes))
