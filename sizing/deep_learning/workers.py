"""What runs batches, a GPU or part of one or a session on CPU cores, made ready for the search: its law, memory and batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from sizing.catalog_rows import Accelerator
from sizing.deep_learning.graph import Graph
from sizing.deep_learning.host import host_work
from sizing.deep_learning.law import Law
from sizing.deep_learning.measured import measured_law
from sizing.deep_learning.memory import gpu_memory, largest_batch
from sizing.deep_learning.pipeline import law_of
from sizing.deep_learning.processor import Session, processor_law
from sizing.deep_learning.runtimes import Unsupported
from sizing.deep_learning.sharing import WHOLE, Share, given, share_of
from sizing.plan import Memory
from sizing.scenario import DeepLearningScenario
from sizing.units import format_bytes, format_ms

KNEE_SHARE = 0.95
"""Share of the saturated throughput beyond which a larger batch is not worth its memory [1]; b = t0 / k x 0.95 / 0.05."""


@dataclass(frozen=True)
class Worker:
    """What runs batches: a GPU (or the part of one that the model gets), or a session on the cores of a CPU instance."""

    id: str
    name: str
    accelerator: Accelerator | None
    session: Session | None
    capacity_bytes: int
    share: Share

    @property
    def per_device(self) -> int:
        """Workers on one GPU, or on one CPU instance (count)."""
        return self.session.sessions if self.session is not None else self.share.per_gpu


Retime = Callable[[Law], Law]
"""A change of every law, to ask what if a batch took another time."""


def as_predicted(law: Law) -> Law:
    """The law as it is."""
    return law


@dataclass(frozen=True)
class Miss:
    """Why a kind of GPU does not serve the scenario; `excess_share` says by how much it misses, None where it is a rule."""

    constraint: str
    because: str
    remedy: str | None
    excess_share: float | None


@dataclass(frozen=True)
class Ready:
    """A worker that can run the model, with its law, the memory at its batch, and the largest useful batch."""

    worker: Worker
    law: Law
    memory: Memory
    batch: int
    best_batch: int


def useful_batch(scenario: DeepLearningScenario, law: Law, held: int, cpu_ms: float) -> int:
    """Largest useful batch [samples]: held by memory, up to the knee, and within the limit with the wait to start and to fill.

    A request that arrives at random waits up to the whole running batch before its own, (percentile + instances) x s(b) + CPU, or
    on an idle GPU for the delay that fills its batch, instances x s(b) + delay + CPU: both have to keep the limit.
    """
    knee = max(1, ceil(law.t0_ms / law.k_ms * KNEE_SHARE / (1.0 - KNEE_SHARE)))
    batch = min(held, knee)
    if scenario.latency_target_ms is not None:
        left, sharing = scenario.latency_target_ms - cpu_ms, scenario.model_instances_per_gpu
        met = law.largest_batch(left / (sharing + scenario.slo_percentile / 100.0))
        filled = law.largest_batch((left - scenario.queue_delay_ms) / sharing)
        batch = min(batch, met, filled)
    return max(1, batch)


def ready_gpu(
    scenario: DeepLearningScenario, graph: Graph, accelerator: Accelerator, retime: Retime = as_predicted
) -> Ready | Miss:
    """Law, batch and memory on one accelerator, or why it cannot run the model."""
    try:
        share = share_of(accelerator, scenario.gpu_share) if scenario.gpu_share != "whole" else WHOLE
        part = given(accelerator, scenario)
        law = law_of(graph, part, runtime=scenario.runtime, precision=scenario.precision)
    except Unsupported as error:
        return Miss(error.constraint, error.because, error.remedy, None)
    law = measured_law(law, scenario, graph, accelerator)
    worker = Worker(accelerator.id, part.name, part, None, part.capacity_bytes, share)
    return _fitted(scenario, graph, worker, retime(law))


def ready_cpu(
    scenario: DeepLearningScenario, graph: Graph, session: Session, retime: Retime = as_predicted
) -> Ready | Miss:
    """Law, batch and memory of a session on a CPU instance, or why it cannot run the model."""
    law = processor_law(graph, session, cpu_ms=host_work(scenario, graph).cpu_ms, precision=scenario.precision)
    name = f"{session.instance.instance_type} ({session.cores:.3g} cores)"
    worker = Worker(session.instance.id, name, None, session, session.capacity_bytes, WHOLE)
    on_cpu = scenario.model_copy(update={"runtime": "onnxruntime_cpu", "precision": "fp32"})
    return _fitted(on_cpu, graph, worker, retime(law))


_held = lru_cache(maxsize=512)(largest_batch)  # the same for every load and limit


def _fitted(scenario: DeepLearningScenario, graph: Graph, worker: Worker, law: Law) -> Ready | Miss:
    """Batch and memory of a worker whose law is known, or the miss of memory or latency."""
    runtime, precision, capacity = scenario.runtime, scenario.precision, worker.capacity_bytes

    def memory_at(batch: int) -> Memory:
        return gpu_memory(
            graph, runtime=runtime, precision=precision, batch=batch, capacity_bytes=capacity,
            instances=scenario.model_instances_per_gpu, ort_arena=scenario.ort_arena,
        )  # fmt: skip

    held = _held(
        graph, runtime=runtime, precision=precision, capacity_bytes=capacity,
        instances=scenario.model_instances_per_gpu, ort_arena=scenario.ort_arena,
    )  # fmt: skip
    wanted = scenario.batch or 1
    if held < wanted:
        need = memory_at(wanted).used_bytes
        kind = "a GPU" if worker.accelerator is not None else "memory"
        return Miss(
            "memory",
            f"batch {wanted} needs {format_bytes(need)} and {worker.name} has {format_bytes(capacity)}",
            f"batch of at most {held}" if held else f"{kind} of {format_bytes(need)} or more",
            need / capacity - 1.0,
        )
    cpu = host_work(scenario, graph).cpu_ms
    limit, least = scenario.latency_target_ms, law.latency_ms(1) + cpu
    if limit is not None and least > limit:
        return Miss(
            "latency",
            f"one sample alone takes {format_ms(least)} with its CPU part, over the limit of {format_ms(limit)}",
            f"raise the latency limit to {format_ms(least * 1.01)}",
            least / limit - 1.0,
        )
    best = useful_batch(scenario, law, held, cpu)
    batch = scenario.batch or best
    return Ready(worker, law, memory_at(batch), batch, best)
