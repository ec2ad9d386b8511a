"""Scenario of a deep learning model: the network, its input, its runtime, batches and queue."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sizing.scenario_base import CatalogId, Percentile, ScenarioBase
from sizing.scenario_words import MEASURED_CURVE

DeepLearningPrecision = Literal["fp32", "tf32", "fp16", "bf16", "fp8", "int8"]
DeepLearningRuntime = Literal[
    "pytorch_eager", "torch_compile", "onnxruntime", "onnxruntime_tensorrt", "tensorrt", "onnxruntime_cpu"
]
Compute = Literal["gpu", "cpu", "either"]
GpuShare = Literal["whole", "mig_1g", "mig_2g", "mig_3g", "time_slice_2", "time_slice_4"]
Attention = Literal["fused", "math"]
OrtArena = Literal["power_of_two", "same_as_requested"]


class DeepLearningScenario(ScenarioBase):
    """A deep learning model (vision, speech, text encoder, diffusion step) under load."""

    kind: Literal["deep_learning"] = "deep_learning"
    model: CatalogId = Field(
        "torchvision-resnet50", description="Catalog id of the model; custom with a network of your own."
    )
    custom_network: str | None = Field(
        None, max_length=6_000, description="Summary of a network of your own, as inspect --summary prints it."
    )
    input_size: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="Side in pixels, tokens, frames or samples, as the model counts; empty means its usual size.",
    )
    batch: int | None = Field(
        None, ge=1, le=65_536, description="Samples run together; empty means the best under the target."
    )
    precision: DeepLearningPrecision = Field("fp16", description="Number format of weights and activations.")
    runtime: DeepLearningRuntime = Field("onnxruntime", description="Runtime that executes the model.")
    attention: Attention = Field(
        "fused", description="Attention as one fused kernel, or with its score matrix written out."
    )
    ort_arena: OrtArena = Field(
        "power_of_two",
        description="How ONNX Runtime's arena grows: by powers of two (its default), or as requested (kSameAsRequested).",
    )
    steps: int | None = Field(
        None, ge=1, le=1000, description="Denoising steps of an image; empty means the pipeline's usual number."
    )
    output_tokens: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Tokens a decoder writes for one sample; empty means the pipeline's usual number.",
    )
    requests_per_s: float | None = Field(
        500.0, gt=0, le=1e7, description="Mean rate of requests [1/s], one sample each, arriving at random (Poisson)."
    )
    latency_target_ms: float | None = Field(
        100.0, gt=0, le=1e7, description="Limit for the time from request to reply [ms]; empty means none."
    )
    slo_percentile: Percentile = Field(95, description="Percentile at which the limit must hold.")
    queue_delay_ms: float = Field(
        0.0,
        ge=0,
        le=10_000,
        description="Longest wait of a request for others to fill its batch [ms]; 0 takes what is there.",
    )
    model_instances_per_gpu: int = Field(
        1, ge=1, le=4, description="Instances of the model on one GPU (or share of one), each with its own batch."
    )
    gpu_share: GpuShare = Field(
        "whole", description="What the model gets of a GPU: all of it, a MIG slice, or an equal time slice."
    )
    reserved_gib: float = Field(0.0, ge=0, le=1000, description="Memory of each GPU that other models hold [GiB].")
    reserved_share: float = Field(
        0.0, ge=0, le=0.95, description="Share of the time of each GPU that other models take."
    )
    compute: Compute = Field("either", description="Machines to choose from: with GPUs, without, or either.")
    cpu_ms_per_request: float | None = Field(
        None,
        ge=0,
        le=60_000,
        description="CPU time of one request outside the model [ms]: decode, resize or tokenise, and post-process; "
        "empty means by the kind of input.",
    )
    request_kib: float | None = Field(
        None, gt=0, le=1e6, description="Size of one request on the network [KiB]; empty means by the kind of input."
    )
    measured_curve: str | None = Field(
        None,
        pattern=MEASURED_CURVE,
        max_length=800,
        description="Times of batches measured on one accelerator [ms], with what they were measured on; they recalibrate it.",
    )
