"""The charts of a deep learning model's answer: latency against throughput by batch size, and memory by batch."""

from __future__ import annotations

from sizing.catalog import Catalog
from sizing.deep_learning import batch_curve, memory_by_batch
from sizing.plan import Deployment, Memory
from sizing.scenario import DeepLearningScenario
from sizing.units import format_ms
from ui.answer_chart import AnswerChart
from ui.charts import MemoryBar, memory_chart, trade_off_chart
from ui.sketch import Curve

MEMORY_BATCHES = (1, 8, 32, 128, 256)
SMALL_BATCHES = (1, 2, 4, 8, 16)
"""Batches drawn where the GPU is full before 32: those of a large model beyond would squeeze the bars that fit."""


def chosen_batch_words(scenario: DeepLearningScenario) -> str:
    """What the batch of the answer is: what was typed, or the best that was found."""
    if scenario.batch is not None:
        return "Largest batch, as set"
    return "Best batch" if scenario.latency_target_ms is None else "Best batch under the limit"


def trade_off(scenario: DeepLearningScenario, catalog: Catalog, best: Deployment) -> AnswerChart:
    """Time of a batch against samples per second of one worker by batch size."""
    curve = batch_curve(scenario, catalog, best)
    at = list(curve.batch).index(curve.chosen_batch)
    bend = list(curve.batch).index(curve.knee_batch)
    limit = scenario.latency_target_ms
    worker = "one GPU" if best.accelerator is not None else "one session"
    line = Curve(
        f"{worker}, by batch size",
        curve.requests_per_s.tolist(),
        curve.latency_ms.tolist(),
        low=curve.latency_low_ms.tolist(),
        high=curve.latency_high_ms.tolist(),
        labels=[str(b) for b in curve.batch.tolist()],
    )
    chosen = (float(curve.requests_per_s[at]), float(curve.latency_ms[at]))
    figure = trade_off_chart(
        line,
        x_title=f"throughput of {worker} (samples/s)",
        y_title="time of a batch (ms)",
        limit=limit,
        limit_name=f"latency limit {format_ms(limit)}",
        chosen=chosen,
        chosen_name=f"{chosen_batch_words(scenario).lower()}: {curve.chosen_batch:,}",
        knee=(float(curve.requests_per_s[bend]), float(curve.latency_ms[bend])),
        knee_name=f"knee: {curve.knee_batch}",
    )
    # Power has its peak at t0 = k × batch; where that is under batch 1 or over the last batch drawn, the end is the knee.
    exact = float(best.extra["t0_ms"] or 0.0) / float(best.extra["k_ms"] or 1.0)
    where = (
        "its fixed time t0 is already shorter than the time k of one sample"
        if exact < 1.0
        else "t0 = k × batch lies beyond the batches shown"
        if exact > curve.knee_batch + 1
        else "t0 ≈ k × batch, about half of the most samples/s possible at twice the shortest time"
    )
    return AnswerChart(
        "trade-off",
        f"Latency against throughput by batch size on one {best.accelerator_name or best.instance_type} (numbers are batch sizes)",
        "Time of a batch against samples per second of one worker by batch size, with the limit, the chosen batch and the knee",
        figure,
        f"The knee, batch {curve.knee_batch:,}, has the most throughput for its latency: {where}. "
        "Beyond it latency grows faster than throughput.",
        overlay=line,
        chosen=chosen,
        limit=None if limit is None else (limit, f"latency limit {format_ms(limit)}"),
    )


def memory_by_parts(scenario: DeepLearningScenario, catalog: Catalog, best: Deployment) -> AnswerChart | None:
    """Memory of one GPU by batch, or of one session of a machine without one."""
    if best.accelerator is not None:
        return _on_gpu(scenario, catalog, best, best.accelerator)
    return None if best.memory_per_instance is None else _session(best, best.memory_per_instance)


def _on_gpu(scenario: DeepLearningScenario, catalog: Catalog, best: Deployment, accelerator: str) -> AnswerChart:
    chosen = best.batch or 1
    full = memory_by_batch(scenario, catalog, (), accelerator).largest_batch
    batches = tuple(sorted({*(MEMORY_BATCHES if full >= 32 else SMALL_BATCHES), chosen}))
    found = memory_by_batch(scenario, catalog, batches, accelerator)
    bars = [
        MemoryBar(
            f"batch {batch:,}",
            {name: sizes[i] for name, sizes in found.parts.items()},
            found.capacity_bytes,
            chosen=batch == chosen,
            low_bytes=found.used_low_bytes[i],
            high_bytes=found.used_high_bytes[i],
        )
        for i, batch in enumerate(batches)
    ]
    return AnswerChart(
        "memory",
        f"Memory of one {best.accelerator_name} by batch: full at {found.largest_batch:,}",
        "Memory parts of one GPU in GiB by batch size, against its capacity",
        memory_chart(bars, per="GPU"),
    )


def _session(best: Deployment, memory: Memory) -> AnswerChart:
    bar = MemoryBar(f"batch {best.batch:,}", dict(memory.parts), memory.capacity_bytes, chosen=True)
    return AnswerChart(
        "memory",
        f"Memory of one session on {best.instance_type}",
        "Memory parts of one session in GiB, against the memory the machine has for it",
        memory_chart([bar], per="session"),
    )
