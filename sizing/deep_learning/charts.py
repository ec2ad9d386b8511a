"""Chart data of a deep learning deployment: memory by batch, latency and throughput by batch, percentiles by load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sizing.batch_gather import batcher, capacity_per_ms
from sizing.catalog import Catalog
from sizing.deep_learning.host import host_work
from sizing.deep_learning.law import Law
from sizing.deep_learning.measured import Compared, compared, measured_law, model_key, parse_curve, recalibrated
from sizing.deep_learning.memory import gpu_memory, largest_batch, sample_bytes, weights_bytes
from sizing.deep_learning.pipeline import facts_of, law_of
from sizing.deep_learning.processor import processor_law, session_on
from sizing.deep_learning.sharing import given
from sizing.errors import InputError
from sizing.plan import Deployment
from sizing.scenario import DeepLearningScenario
from sizing.units import MS_PER_S

Floats = NDArray[np.float64]

LOADS = (0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9)
"""Loads of the load curve, as shares of what full batches could serve [1]."""


@dataclass(frozen=True)
class MemoryByBatch:
    """Parts [bytes] of one GPU by batch, with the 80 % interval of their sum; `sum_bytes` is weights, input and the sum of activations, for comparison only."""

    batches: tuple[int, ...]
    parts: dict[str, tuple[int, ...]]
    used_bytes: tuple[int, ...]
    used_low_bytes: tuple[int, ...]
    used_high_bytes: tuple[int, ...]
    sum_bytes: tuple[int, ...]
    capacity_bytes: int
    largest_batch: int


@dataclass(frozen=True)
class BatchCurve:
    """Time of a batch [ms] with its 80 % interval and physical bound, and throughput of one GPU [1/s], by batch.

    `knee_batch` is the batch of most throughput per latency.
    """

    batch: NDArray[np.int64]
    latency_ms: Floats
    latency_low_ms: Floats
    latency_high_ms: Floats
    bound_ms: Floats
    requests_per_s: Floats
    chosen_batch: int
    largest_batch: int
    knee_batch: int


@dataclass(frozen=True)
class MeasuredChart:
    """Law of the time of a batch [ms] as predicted, with its 80 % interval, and as recalibrated, by batch."""

    batch: NDArray[np.int64]
    before_ms: Floats
    before_low_ms: Floats
    before_high_ms: Floats
    after_ms: Floats
    after_low_ms: Floats
    after_high_ms: Floats
    rows: tuple[Compared, ...]


@dataclass(frozen=True)
class LoadCurve:
    """Latency percentiles [ms], CPU part included, by the rate the deployment is asked for [1/s], arriving at random."""

    requests_per_s: Floats
    p50_ms: Floats
    p95_ms: Floats
    p99_ms: Floats


def memory_by_batch(
    scenario: DeepLearningScenario, catalog: Catalog, batches: Sequence[int], accelerator: str
) -> MemoryByBatch:
    """Memory of one GPU by batch [bytes], by parts, with the sum of activations as a line of its own.

    >>> from sizing.catalog import load
    >>> m = memory_by_batch(DeepLearningScenario(precision="fp32"), load(), (1, 116, 963), "t4")
    >>> [round(b / 2**30, 2) for b in m.sum_bytes[1:2]]
    [10.03]
    """
    facts = facts_of(scenario, catalog)
    capacity = given(catalog.accelerator(accelerator), scenario).capacity_bytes
    runtime, precision = scenario.runtime, scenario.precision
    arena = scenario.ort_arena
    rows = [
        gpu_memory(facts, runtime=runtime, precision=precision, batch=b, capacity_bytes=capacity, ort_arena=arena)
        for b in batches
    ]
    per_sample = sum(sample_bytes(facts, runtime=runtime, precision=precision, activations="sum"))
    weights = weights_bytes(facts, runtime=runtime, precision=precision)
    names = rows[0].parts if rows else {}
    return MemoryByBatch(
        batches=tuple(batches),
        parts={name: tuple(row.parts[name] for row in rows) for name in names},
        used_bytes=tuple(row.used_bytes for row in rows),
        used_low_bytes=tuple(row.used_low_bytes or row.used_bytes for row in rows),
        used_high_bytes=tuple(row.used_high_bytes or row.used_bytes for row in rows),
        sum_bytes=tuple(weights + per_sample * b for b in batches),
        capacity_bytes=capacity,
        largest_batch=largest_batch(
            facts, runtime=runtime, precision=precision, capacity_bytes=capacity, ort_arena=arena
        ),
    )


def _law(scenario: DeepLearningScenario, catalog: Catalog, deployment: Deployment) -> tuple[Law, int]:
    facts = facts_of(scenario, catalog)
    session = session_on(catalog.instance(deployment.instance)) if deployment.accelerator is None else None
    if session is not None:
        on_cpu = processor_law(facts, session, cpu_ms=host_work(scenario, facts).cpu_ms, precision=scenario.precision)
        held = largest_batch(facts, runtime="onnxruntime_cpu", precision="fp32", capacity_bytes=session.capacity_bytes)
        return on_cpu, held
    part = given(catalog.accelerator(deployment.accelerator or ""), scenario)
    law = law_of(facts, part, runtime=scenario.runtime, precision=scenario.precision)
    held = largest_batch(
        facts,
        runtime=scenario.runtime,
        precision=scenario.precision,
        capacity_bytes=part.capacity_bytes,
        ort_arena=scenario.ort_arena,
    )
    return measured_law(law, scenario, facts, part), held


def batch_curve(scenario: DeepLearningScenario, catalog: Catalog, deployment: Deployment) -> BatchCurve:
    """Time of a batch [ms] and throughput [1/s] of one GPU of the deployment, by batch up to what memory holds.

    Powers of two up to four times the chosen batch (256 at least), with the chosen one and the knee among them.
    """
    law, held = _law(scenario, catalog, deployment)
    chosen = deployment.batch or 1
    most = max(min(held, max(256, 4 * chosen)), chosen)
    bend = knee(law, most)
    batch = np.union1d(2 ** np.arange(int(np.log2(most)) + 1), [chosen, bend]).astype(np.int64)
    middle = np.array([law.latency_ms(float(b)) for b in batch])
    return BatchCurve(
        batch=batch,
        latency_ms=middle,
        latency_low_ms=np.array([law.low_ms(float(b)) for b in batch]),
        latency_high_ms=np.array([law.high_ms(float(b)) for b in batch]),
        bound_ms=np.array([law.bound_ms(float(b)) for b in batch]),
        requests_per_s=batch / middle * MS_PER_S,
        chosen_batch=chosen,
        largest_batch=held,
        knee_batch=bend,
    )


def knee(law: Law, most: int) -> int:
    """Batch at the knee of latency against throughput [samples], `most` at most: the greatest throughput / latency.

    b / (t0 + k b)^2 is greatest at b = t0 / k, where a batch takes 2 t0 and half of the saturated throughput 1/k is reached.

    Source: Kleinrock, "Power and deterministic rules of thumb for probabilistic problems", ICC 1979: the knee is where
    power, throughput over delay, is greatest.
    """
    below = int(min(max(law.t0_ms / law.k_ms, 1.0), most))
    return max(range(below, min(below + 1, most) + 1), key=lambda b: b / law.latency_ms(b) ** 2)


def measured_chart(scenario: DeepLearningScenario, catalog: Catalog) -> MeasuredChart:
    """What the scenario's measurements change [ms], by batch from 1 to twice the largest measured.

    It is drawn for what was measured, also where the scenario has moved on. Raises InputError where there is none.
    """
    if scenario.measured_curve is None:
        raise InputError("measured_curve", None, "measured times of batches")
    curve = parse_curve(scenario.measured_curve)
    own = curve.model == model_key(scenario)
    then = scenario.model_copy(
        update={
            "model": scenario.model if own else curve.model,
            "custom_network": scenario.custom_network if own else None,
            "input_size": curve.input_size,
            "runtime": curve.runtime,
            "precision": curve.precision,
            "attention": curve.attention,
        }
    )
    facts = facts_of(then, catalog)
    part = catalog.accelerator(curve.accelerator)
    before = law_of(facts, part, runtime=then.runtime, precision=then.precision)
    after = recalibrated(before, curve.batches, curve.times_ms)
    most = int(np.ceil(np.log2(2 * max(curve.batches))))
    batch = (2 ** np.arange(most + 1)).astype(np.int64)

    def of(read: Callable[[float], float]) -> Floats:
        return np.array([read(float(b)) for b in batch])

    return MeasuredChart(
        batch=batch,
        before_ms=of(before.latency_ms),
        before_low_ms=of(before.low_ms),
        before_high_ms=of(before.high_ms),
        after_ms=of(after.latency_ms),
        after_low_ms=of(after.low_ms),
        after_high_ms=of(after.high_ms),
        rows=compared(before, curve),
    )


def load_curve(scenario: DeepLearningScenario, catalog: Catalog, deployment: Deployment) -> LoadCurve:
    """Latency percentiles [ms] of the deployment, without its spares, by the rate it is asked for [1/s]."""
    law, _ = _law(scenario, catalog, deployment)
    batch = deployment.batch or 1
    gpus = max(1, deployment.replicas - scenario.spare_replicas)
    instances = scenario.model_instances_per_gpu if deployment.accelerator is not None else 1
    full = capacity_per_ms(t0_ms=law.t0_ms, k_ms=law.k_ms, max_batch=batch, instances=instances)
    rate_per_ms = np.array(LOADS) * float(full)
    queue = batcher(
        t0_ms=law.t0_ms,
        k_ms=law.k_ms,
        max_batch=batch,
        rate_per_ms=rate_per_ms,
        delay_ms=scenario.queue_delay_ms,
        instances=instances,
    )
    cpu = float(deployment.extra["cpu_ms_per_request"] or 0.0)
    return LoadCurve(
        requests_per_s=rate_per_ms * gpus * MS_PER_S,
        p50_ms=queue.p50_ms + cpu,
        p95_ms=queue.p95_ms + cpu,
        p99_ms=queue.p99_ms + cpu,
    )
