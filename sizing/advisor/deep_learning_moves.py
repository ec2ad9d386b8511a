"""Candidate moves of a deep learning scenario."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sizing.advisor import quality, siblings
from sizing.advisor.moves import Move, Note, place_moves, purchase_moves, relaxing_moves
from sizing.catalog import Catalog
from sizing.deep_learning.pipeline import facts_of
from sizing.deep_learning.runtime_memory import memory_rule
from sizing.plan import Deployment
from sizing.scenario import DeepLearningScenario
from sizing.scenario_deep_learning import DeepLearningPrecision, DeepLearningRuntime, GpuShare

GPU_RUNTIMES: tuple[DeepLearningRuntime, ...] = (
    "pytorch_eager", "torch_compile", "onnxruntime", "onnxruntime_tensorrt", "tensorrt"
)  # fmt: skip
LOWER: dict[DeepLearningPrecision, tuple[DeepLearningPrecision, ...]] = {
    "fp32": ("tf32", "fp16", "int8"),
    "tf32": ("fp16", "int8"),
    "fp16": ("int8", "fp8"),
    "bf16": ("fp16", "int8", "fp8"),
    "fp8": ("int8",),
    "int8": (),
}
SHARES: dict[GpuShare, str] = {
    "whole": "Give each model instance a whole GPU",
    "mig_1g": "Serve from the smallest MIG slices of a GPU",
    "mig_2g": "Serve from MIG slices of two sevenths of a GPU",
    "time_slice_2": "Share each GPU between two instances by time",
    "time_slice_4": "Share each GPU between four instances by time",
}
DELAYS_MS = (0.0, 2.0, 5.0)
STEP_SHARE, SIDE_SHARE, LENGTH_SHARE = 0.5, 0.75, 0.5
"""Denoising steps, side of an image and length of a text tried against the present ones [1]."""
SIDE_UNIT = 32
LIMITS = {"latency_target_ms": "a reply"}


def moves(scenario: DeepLearningScenario, catalog: Catalog, best: Deployment) -> Iterator[Move]:
    """Every move worth a plan for this scenario, under 45 of them."""
    yield from _precisions(scenario)
    yield from _runtimes(scenario)
    yield from _compute(scenario, best)
    yield from _batching(scenario)
    yield from _input(scenario, catalog)
    for id_ in siblings.smaller_networks(scenario.model, catalog):
        changes: dict[str, Any] = {"model": id_, "input_size": None}
        title = f"Use the smaller {catalog.deep_learning_models[id_].name}"
        yield Move(f"model:{id_}", "model", title, changes, siblings.step_down(scenario.model, id_))
    yield from purchase_moves(scenario)
    yield from place_moves(scenario)
    yield from relaxing_moves(scenario, LIMITS)


def notes(scenario: DeepLearningScenario, catalog: Catalog, best: Deployment) -> tuple[Note, ...]:
    """Ways beyond the fields: pruning, which needs the pruned network itself."""
    words = (
        "cut channels or heads, train again, and upload the ONNX file as your own network: its figures are then those of the "
        "file; what it costs in accuracy you have to measure"
    )
    return (Note("Structured pruning", words),)


def _precisions(scenario: DeepLearningScenario) -> Iterator[Move]:
    for name in LOWER[scenario.precision]:
        yield Move(f"precision:{name}", "precision", f"Compute in {name}", {"precision": name}, quality.PRECISION[name])
    if scenario.precision != "int8" and scenario.runtime != "tensorrt":
        changes = {"precision": "int8", "runtime": "tensorrt"}
        yield Move(
            "precision:int8-tensorrt", "precision", "Compute in int8 with TensorRT", changes, quality.INT8_NETWORK
        )
    if scenario.precision in ("fp32", "tf32") and scenario.runtime != "tensorrt":
        changes = {"precision": "fp16", "runtime": "tensorrt"}
        yield Move(
            "precision:fp16-tensorrt", "precision", "Compute in fp16 with TensorRT", changes, quality.PRECISION["fp16"]
        )


def _runtimes(scenario: DeepLearningScenario) -> Iterator[Move]:
    if scenario.compute == "cpu":
        return
    for name in GPU_RUNTIMES:
        if name != scenario.runtime:
            yield Move(
                f"runtime:{name}", "runtime", f"Run in {memory_rule(name).name}", {"runtime": name}, quality.ENGINE
            )
    if scenario.attention == "math":
        yield Move("runtime:fused", "runtime", "Use a fused attention kernel", {"attention": "fused"}, quality.SPLIT)


def _compute(scenario: DeepLearningScenario, best: Deployment) -> Iterator[Move]:
    """The other kind of machine, and other shares of a GPU."""
    on_gpu = best.accelerator is not None
    other, words = ("cpu", "machines without a GPU") if on_gpu else ("gpu", "machines with a GPU")
    changes: dict[str, Any] = {"compute": other}
    if scenario.accelerators:
        changes["accelerators"] = ()
    if not on_gpu and scenario.runtime == "onnxruntime_cpu":
        changes["runtime"] = "onnxruntime"
    yield Move(f"compute:{other}", "compute", f"Serve from {words}", changes, quality.ENGINE)
    if on_gpu:
        for share, title in SHARES.items():
            if share != scenario.gpu_share:
                yield Move(f"sharing:{share}", "sharing", title, {"gpu_share": share}, quality.FILLS)
        if scenario.model_instances_per_gpu == 1:
            title = "Run two instances of the model on each GPU"
            yield Move("sharing:two", "sharing", title, {"model_instances_per_gpu": 2}, quality.FILLS)


def _batching(scenario: DeepLearningScenario) -> Iterator[Move]:
    for delay in DELAYS_MS:
        if delay != scenario.queue_delay_ms:
            title = (
                f"Let a request wait up to {delay:g} ms for its batch" if delay else "Never wait for a batch to fill"
            )
            yield Move(f"batching:delay{delay:g}", "batching", title, {"queue_delay_ms": delay}, quality.BATCHING)
    if scenario.batch is not None:
        yield Move("batching:open", "batching", "Let the search choose the batch", {"batch": None}, quality.BATCHING)
    if scenario.runtime.startswith("onnxruntime") and scenario.ort_arena == "power_of_two":
        title = "Let ONNX Runtime take only the memory it asks for (kSameAsRequested)"
        yield Move("batching:arena", "batching", title, {"ort_arena": "same_as_requested"}, quality.BATCHING)


def _input(scenario: DeepLearningScenario, catalog: Catalog) -> Iterator[Move]:
    row = catalog.deep_learning_models.get(scenario.model)
    if row is None:
        return
    size, size_now = None, facts_of(scenario, catalog).size
    if row.input_kind == "image" and not row.stages:
        size = int(size_now * SIDE_SHARE) // SIDE_UNIT * SIDE_UNIT
    elif row.input_kind == "tokens":
        size = int(size_now * LENGTH_SHARE)
    if size:
        title = f"Give it {size:,} instead of {size_now:,} {row.input_unit}"
        yield Move("input:size", "input", title, {"input_size": size}, quality.SMALLER_INPUT)
    steps = scenario.steps or row.usual_steps
    if steps is not None and steps > 1:
        fewer = max(1, int(steps * STEP_SHARE))
        title = f"Take {fewer} denoising steps instead of {steps}"
        yield Move("input:steps", "input", title, {"steps": fewer}, quality.FEWER_STEPS)
