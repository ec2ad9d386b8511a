"""Number formats of each runtime, and the GPUs it runs on; runtime_memory.py has its memory rule, latency.py its speed."""

from __future__ import annotations

from dataclasses import dataclass

from sizing.catalog_rows import Accelerator
from sizing.deep_learning.runtime_memory import memory_rule
from sizing.scenario_deep_learning import DeepLearningPrecision, DeepLearningRuntime


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


TENSORRT = ("tensorrt", "onnxruntime_tensorrt")
"""Runtimes whose engine is TensorRT: int8 and fp8 multiply as such."""


def element_bytes(runtime: DeepLearningRuntime, precision: DeepLearningPrecision) -> tuple[int, int]:
    """Size of a weight and of an activation element [bytes].

    int8 keeps activations in fp16 except in TensorRT: faster-whisper in int8 uses as much memory per sample as in fp16. fp8
    keeps them in fp16 everywhere: only the operands of products are cast.

    >>> element_bytes("tensorrt", "int8"), element_bytes("onnxruntime", "int8"), element_bytes("tensorrt", "tf32")
    ((1, 1), (1, 2), (4, 4))
    """
    if precision == "int8":
        return (1, 1) if runtime in TENSORRT else (1, 2)
    if precision == "fp8":
        return 1, 2
    return (2, 2) if precision in ("fp16", "bf16") else (4, 4)


def format_on(accelerator: Accelerator, *, runtime: DeepLearningRuntime, precision: DeepLearningPrecision) -> Format:
    """How a precision runs on an accelerator, with its dense peak [operations/s].

    tf32 falls back to fp32 where there is none; int8 multiplies in fp16 outside TensorRT; ONNX Runtime (CUDA) has no fp8; a
    missing bf16, fp16, fp8 or int8 unit raises `Unsupported`, as does an accelerator that the runtime cannot drive.

    >>> from sizing.catalog import load
    >>> format_on(load().accelerator("t4"), runtime="onnxruntime", precision="tf32").compute
    'fp32'
    """
    rule = memory_rule(runtime)
    name, vendors = rule.name, rule.vendors
    if accelerator.vendor not in vendors:
        other = "runtime pytorch_eager" if accelerator.vendor in memory_rule("pytorch_eager").vendors else None
        raise Unsupported(
            constraint="runtime",
            because=f"{name} is not modelled on {accelerator.vendor} {accelerator.architecture}",
            remedy=other,
        )
    if precision == "fp8" and runtime == "onnxruntime":
        raise Unsupported(
            constraint="precision", because=f"{name} multiplies nothing in fp8", remedy="runtime onnxruntime_tensorrt"
        )
    notes: list[str] = []
    compute: str = precision
    if precision == "tf32" and accelerator.tf32_tflops is None:
        compute = "fp32"
        notes.append(f"{accelerator.name} has no TF32: computed in fp32")
    if precision == "int8" and runtime not in TENSORRT:
        compute = "fp16"
        notes.append(f"int8 weights; {name} multiplies in fp16 and keeps activations in fp16")
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
