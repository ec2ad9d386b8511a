"""Memory of one GPU that serves a deep learning model, by named parts, and the batches and GPUs that fit.

used = weights + buffers + input x batch + peak live activations x batch + workspace + arena + runtime floor. The sum of
activations is shown beside it and never sizes the GPU: inference frees a tensor after its last reader. A pipeline holds the
weights of all its stages and the activations of the one that needs most; several instances of a model on one GPU hold all of
it each, but for the floor and, in TensorRT, the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from sizing.catalog_rows import Accelerator
from sizing.deep_learning.graph import Graph, Stage
from sizing.deep_learning.runtime_memory import Figure, MemoryRule, doubled_extents_bytes, memory_rule
from sizing.deep_learning.runtimes import element_bytes
from sizing.plan import Memory
from sizing.scenario_deep_learning import DeepLearningPrecision, DeepLearningRuntime, OrtArena

MAX_BATCH = 65_536
"""Largest batch searched [samples]: the most that a scenario accepts."""

Activations = Literal["peak", "sum"]
End = Literal["low", "value", "high"]


@dataclass(frozen=True)
class StageBytes:
    """What one network needs [bytes]: weights whatever the batch; input, activations and kept state of one sample."""

    name: str
    weights: int
    buffers: int
    input: int
    activations: int
    state: int

    @property
    def sample(self) -> int:
        """All that one sample needs while this network runs [bytes]."""
        return self.input + self.activations + self.state


def stage_bytes(
    graph: Graph, *, runtime: DeepLearningRuntime, precision: DeepLearningPrecision, activations: Activations = "peak"
) -> tuple[StageBytes, ...]:
    """Bytes of each stage in a precision, per sample of the request: fp32 bytes x element size / 4; token ids keep 8 bytes.

    A model that is no pipeline is its own only stage. The sum of activations counts every run of a stage.
    """
    stages = graph.stages or (Stage(graph.model.name, graph, 1, 1, None, 0),)
    found = []
    for stage in stages:
        facts, used = stage.graph, stage.precision or precision
        weight, element = element_bytes(runtime, used)
        live = facts.peak_live_bytes_fp32 if activations == "peak" else facts.sum_activation_bytes_fp32 * stage.repeats
        held = facts.input_bytes_fp32 * element // 4 if facts.input_is_float else facts.input_bytes_fp32
        found.append(
            StageBytes(
                name=stage.name,
                weights=facts.parameters * weight,
                buffers=facts.buffers_bytes,
                input=held * stage.batch_factor,
                activations=live * element // 4 * stage.batch_factor,
                state=stage.state_bytes_fp32 * element // 4,
            )
        )
    return tuple(found)


def weights_bytes(graph: Graph, *, runtime: DeepLearningRuntime, precision: DeepLearningPrecision) -> int:
    """Size of the weights of a model or of all stages of a pipeline [bytes]: parameters x bytes each; a network used by two
    stages is held once."""
    stages = stage_bytes(graph, runtime=runtime, precision=precision)
    ids = [stage.graph.model.id for stage in graph.stages] or [graph.model.id]
    return sum(dict(zip(ids, (stage.weights for stage in stages), strict=True)).values())


def sample_bytes(
    graph: Graph, *, runtime: DeepLearningRuntime, precision: DeepLearningPrecision, activations: Activations
) -> tuple[int, int]:
    """Input and activations of one sample in a precision [bytes]; of a pipeline, those of the stage that needs most (peak)
    or of all of them (sum)."""
    stages = stage_bytes(graph, runtime=runtime, precision=precision, activations=activations)
    if activations == "sum":
        return max(stage.input for stage in stages), sum(stage.activations for stage in stages)
    top = max(stages, key=lambda stage: stage.sample)
    return top.input, top.activations + top.state


def gpu_memory(
    graph: Graph,
    *,
    runtime: DeepLearningRuntime,
    precision: DeepLearningPrecision,
    batch: int,
    capacity_bytes: int,
    instances: int = 1,
    ort_arena: OrtArena = "power_of_two",
) -> Memory:
    """Memory of one GPU at a batch [bytes], by parts, with the 80 % interval of the sum. Peak live x batch counts, never the
    sum of activations.

    ONNX Runtime's arena holds weights and 2.2 times the live activations in extents of 1, 2, 4, ... MiB, or just as much as is
    asked for; TensorRT plans the same buffers for the largest batch whatever batch arrives. `instances` [1] are copies of the
    model on one GPU, each running its own batch.

    Source: traces of the catalog; catalogs/deep_learning_runtimes.yaml.

    >>> from sizing.catalog import load
    >>> from sizing.deep_learning.graph import graph
    >>> m = gpu_memory(graph(load(), "torchvision-resnet50"), runtime="pytorch_eager", precision="fp32", batch=32,
    ...                capacity_bytes=16 * 2**30)
    >>> m.parts["weights"], m.parts["activations_peak"] == 32 * 10_436_608
    (102228128, True)
    """
    rule = memory_rule(runtime)
    stages = stage_bytes(graph, runtime=runtime, precision=precision)
    weights = weights_bytes(graph, runtime=runtime, precision=precision)
    buffers = graph.buffers_bytes
    top = max(stages, key=lambda stage: stage.sample)

    def parts(end: End) -> dict[str, int]:
        beyond = (
            1.0 if end == "value" else 1.0 + graph.error_share if end == "high" else 1.0 / (1.0 + graph.error_share)
        )
        live = round(top.activations * batch * beyond)
        copies = 1 if rule.instances_share_weights else instances
        found = {
            "weights": weights * copies,
            "buffers": buffers * copies,
            "input": top.input * batch * instances,
            "activations_peak": live * instances,
        }
        if top.state:
            found["kv_cache"] = top.state * batch * instances
        found["workspace"] = round(live * _end(rule.workspace, end)) * instances
        if rule.arena is not None:
            found["arena"] = _arena_slack_bytes(rule, weights, live, ort_arena, end) * instances
        found["runtime_floor"] = round(_end(rule.floor, end))
        return found

    low, middle, high = (sum(parts(end).values()) for end in ("low", "value", "high"))
    return Memory(
        parts=parts("value"),
        used_bytes=middle,
        capacity_bytes=capacity_bytes,
        used_low_bytes=min(low, middle),
        used_high_bytes=max(high, middle),
    )


def _end(figure: Figure, end: End) -> float:
    value: float = getattr(figure, end)
    return value


def _arena_slack_bytes(rule: MemoryRule, weights: int, live: int, growth: OrtArena, end: End) -> int:
    """What an arena holds beyond weights and live activations [bytes]."""
    share = _end(rule.arena, end) if rule.arena is not None else 1.0
    needed = weights + round(live * share)
    held = doubled_extents_bytes(needed) if growth == "power_of_two" else needed
    return held - weights - live


def largest_batch(
    graph: Graph,
    *,
    runtime: DeepLearningRuntime,
    precision: DeepLearningPrecision,
    capacity_bytes: int,
    instances: int = 1,
    ort_arena: OrtArena = "power_of_two",
) -> int:
    """Largest batch that fits into a GPU [samples], 0 if not even one sample does. By halving: memory grows with the batch.

    >>> from sizing.catalog import load
    >>> from sizing.deep_learning.graph import graph
    >>> g = graph(load(), "torchvision-resnet50")
    >>> largest_batch(g, runtime="tensorrt", precision="fp16", capacity_bytes=2**20)
    0
    """

    used = used_by_batch(graph, runtime=runtime, precision=precision, instances=instances, ort_arena=ort_arena)

    def fits(batch: int) -> bool:
        return used(batch) <= capacity_bytes

    if not fits(1):
        return 0
    low, high = 1, MAX_BATCH + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def used_by_batch(
    graph: Graph,
    *,
    runtime: DeepLearningRuntime,
    precision: DeepLearningPrecision,
    instances: int = 1,
    ort_arena: OrtArena = "power_of_two",
) -> Callable[[int], int]:
    """The sum of `gpu_memory` as a function of the batch [bytes], for searches: what does not change is worked out once."""
    rule = memory_rule(runtime)
    top = max(stage_bytes(graph, runtime=runtime, precision=precision), key=lambda stage: stage.sample)
    weights = weights_bytes(graph, runtime=runtime, precision=precision)
    copies = 1 if rule.instances_share_weights else instances
    fixed = (weights + graph.buffers_bytes) * copies + round(rule.floor.value)

    def used(batch: int) -> int:
        live = top.activations * batch
        each = (top.input + top.state) * batch + live + round(live * rule.workspace.value)
        if rule.arena is not None:
            each += _arena_slack_bytes(rule, weights, live, ort_arena, "value")
        return fixed + each * instances

    return used


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
    per_sample = sum(sample_bytes(graph, runtime="pytorch_eager", precision=precision, activations=activations))
    weights = weights_bytes(graph, runtime="pytorch_eager", precision=precision)
    return max(0, round((bytes_ - weights) / per_sample))


def smallest_accelerator(
    accelerators: Iterable[Accelerator], *, runtime: DeepLearningRuntime, used_bytes: int
) -> Accelerator | None:
    """Accelerator of least capacity that holds so many bytes and that the runtime drives, or None."""
    fitting = [a for a in accelerators if a.capacity_bytes >= used_bytes and a.vendor in memory_rule(runtime).vendors]
    return min(fitting, key=lambda a: (a.capacity_bytes, a.id), default=None)
