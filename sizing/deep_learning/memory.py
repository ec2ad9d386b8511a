"""Memory of one GPU that serves a deep learning model, by named parts, and the batches and GPUs that fit.

used = weights + buffers + input x batch + peak live activations x batch + workspace + arena + runtime floor. The sum of
activations is shown beside it and never sizes the GPU: inference frees a tensor after its last reader.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from sizing.catalog_rows import Accelerator
from sizing.deep_learning.graph import Graph
from sizing.deep_learning.runtimes import PROFILES, element_bytes
from sizing.plan import Memory
from sizing.scenario import DeepLearningPrecision, DeepLearningRuntime
from sizing.units import MIB

MAX_BATCH = 65_536
"""Largest batch searched [samples]: the most that a scenario accepts."""

MIN_ARENA_BYTES = MIB
"""First extent of ONNX Runtime's arena [bytes]. Source: its allocator starts at 1 MiB and doubles, 2026-11-22."""


def sample_bytes(
    graph: Graph, *, runtime: DeepLearningRuntime, precision: DeepLearningPrecision, activations: Literal["peak", "sum"]
) -> tuple[int, int]:
    """Input and activations of one sample in a precision [bytes]: fp32 bytes x element size / 4; token ids keep 8 bytes."""
    _, element = element_bytes(runtime, precision)
    fp32 = graph.peak_live_bytes_fp32 if activations == "peak" else graph.sum_activation_bytes_fp32
    held = graph.input_bytes_fp32 * element // 4 if graph.input_is_float else graph.input_bytes_fp32
    return held, fp32 * element // 4


def gpu_memory(
    graph: Graph,
    *,
    runtime: DeepLearningRuntime,
    precision: DeepLearningPrecision,
    batch: int,
    capacity_bytes: int,
) -> Memory:
    """Memory of one GPU at a batch [bytes], by parts. Peak live x batch counts, never the sum of activations.

    ONNX Runtime's arena keeps extents of 1, 2, 4, ... up to the power of two that holds the activations, together just under
    twice that power; TensorRT plans the same buffers for the largest batch whatever batch arrives.

    Source: traces of the catalog; constants of `runtimes.PROFILES`.

    >>> from sizing.catalog import load
    >>> from sizing.deep_learning.graph import graph
    >>> m = gpu_memory(graph(load(), "torchvision-resnet50"), runtime="pytorch_eager", precision="fp32", batch=32,
    ...                capacity_bytes=16 * 2**30)
    >>> m.parts["weights"], m.parts["activations_peak"] == 32 * 10_436_608
    (102228128, True)
    """
    profile = PROFILES[runtime]
    weight_size, _ = element_bytes(runtime, precision)
    held, live = sample_bytes(graph, runtime=runtime, precision=precision, activations="peak")
    parts = {
        "weights": graph.parameters * weight_size,
        "buffers": graph.buffers_bytes,
        "input": held * batch,
        "activations_peak": live * batch,
        "workspace": round(live * batch * profile.workspace_share.value),
    }
    if profile.arena:
        parts["arena"] = _arena_slack_bytes(parts["activations_peak"] + parts["workspace"])
    parts["runtime_floor"] = round(profile.floor_bytes.value)
    return Memory(parts=parts, used_bytes=sum(parts.values()), capacity_bytes=capacity_bytes)


def _arena_slack_bytes(live_bytes: int) -> int:
    """What an arena of doubling extents holds beyond the live bytes: 2 P - 1 MiB - live, P the power of two >= live."""
    extent = MIN_ARENA_BYTES
    while extent < live_bytes:
        extent *= 2
    return 2 * extent - MIN_ARENA_BYTES - live_bytes


def largest_batch(
    graph: Graph, *, runtime: DeepLearningRuntime, precision: DeepLearningPrecision, capacity_bytes: int
) -> int:
    """Largest batch that fits into a GPU [samples], 0 if not even one sample does. By halving: memory grows with the batch.

    >>> from sizing.catalog import load
    >>> from sizing.deep_learning.graph import graph
    >>> g = graph(load(), "torchvision-resnet50")
    >>> largest_batch(g, runtime="tensorrt", precision="fp16", capacity_bytes=2**20)
    0
    """

    def fits(batch: int) -> bool:
        used = gpu_memory(graph, runtime=runtime, precision=precision, batch=batch, capacity_bytes=capacity_bytes)
        return used.used_bytes <= capacity_bytes

    if not fits(1):
        return 0
    low, high = 1, MAX_BATCH + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def batch_at_bytes(
    graph: Graph,
    *,
    bytes_: int,
    precision: DeepLearningPrecision = "fp32",
    activations: Literal["peak", "sum"] = "peak",
) -> int:
    """Batch at which weights, input and activations come nearest to a size [samples]: (size - weights) / bytes a sample.

    No runtime floor and no workspace: the figure to compare with claims such as "ResNet-50 needs about 10 GiB".

    >>> from sizing.catalog import load
    >>> from sizing.deep_learning.graph import graph
    >>> g = graph(load(), "torchvision-resnet50")
    >>> [batch_at_bytes(g, bytes_=10 * 2**30, activations=a) for a in ("sum", "peak")]
    [116, 963]
    """
    weight_size, _ = element_bytes("pytorch_eager", precision)
    per_sample = sum(sample_bytes(graph, runtime="pytorch_eager", precision=precision, activations=activations))
    return max(0, round((bytes_ - graph.parameters * weight_size) / per_sample))


def smallest_accelerator(
    accelerators: Iterable[Accelerator], *, runtime: DeepLearningRuntime, used_bytes: int
) -> Accelerator | None:
    """Accelerator of least capacity that holds so many bytes and that the runtime drives, or None."""
    fitting = [a for a in accelerators if a.capacity_bytes >= used_bytes and a.vendor in PROFILES[runtime].vendors]
    return min(fitting, key=lambda a: (a.capacity_bytes, a.id), default=None)
