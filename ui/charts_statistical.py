"""The charts of a statistical model's answer: percentiles, and instances and cost, against load; memory of an instance."""

from __future__ import annotations

import numpy as np

from sizing.catalog import Catalog
from sizing.plan import Deployment
from sizing.scenario import StatisticalScenario
from sizing.statistical import instances_curve, percentile_curve
from sizing.units import format_ms
from ui.answer_chart import AnswerChart
from ui.charts import MemoryBar, count_chart, memory_chart, percentile_chart
from ui.sketch import Curve

LOAD_POINTS = 60


def trade_off(scenario: StatisticalScenario, catalog: Catalog, best: Deployment) -> AnswerChart:
    """Percentiles of the time in system against the load on all instances."""
    curve = percentile_curve(scenario, catalog, best)
    limits = {
        f"p{p} limit {format_ms(v)}": v for p in (50, 95, 99) if (v := getattr(scenario, f"p{p}_target_ms")) is not None
    }
    lines = tuple(
        Curve(name, curve.loads_per_s.tolist(), getattr(curve, f"{name}_ms").tolist()) for name in ("p50", "p95", "p99")
    )
    verdict = best.verdicts[-1]
    binding = next(line for line in lines if line.name == f"p{verdict.percentile}")
    figure = percentile_chart(
        lines,
        limits=limits,
        load=curve.demanded_per_s,
        stable_to=curve.stable_below_per_s,
        holds_to=curve.capacity_per_s,
        holds_name=f"targets and {scenario.utilization_cap:.0%} cap kept ",
        chosen=(verdict.predicted_ms, f"this plan, p{verdict.percentile}"),
        x_title="load on all instances (requests/s)",
        y_title="time in system (ms)",
    )
    return AnswerChart(
        "percentiles",
        f"Latency against load on {best.instances} × {best.instance_type}",
        "Median, 95th and 99th percentile of the time in system against load, with the limits, the demanded load, where the "
        "limits hold and where the queue is not stable",
        figure,
        overlay=binding,
        chosen=(curve.demanded_per_s, verdict.predicted_ms),
        limit=None
        if verdict.limit_ms is None
        else (verdict.limit_ms, f"p{verdict.percentile} limit {format_ms(verdict.limit_ms)}"),
    )


def instances_and_cost(scenario: StatisticalScenario, catalog: Catalog, best: Deployment) -> AnswerChart:
    """Instances needed and their cost against load."""
    rate = best.throughput.requests_per_s
    loads = np.linspace(0.0, max(2.0 * rate.demanded, 4.0 * rate.capacity / best.instances), LOAD_POINTS)[1:].tolist()
    curve = instances_curve(scenario, catalog, loads, deployment=best)
    figure = count_chart(
        curve.loads_per_s.tolist(),
        curve.instances.tolist(),
        curve.usd_per_hour.tolist(),
        load=rate.demanded,
        count=best.instances,
        x_title="load (requests/s)",
    )
    return AnswerChart(
        "count",
        f"Instances and cost against load ({best.instance_type})",
        "Instances and USD per hour against load",
        figure,
    )


def memory_by_parts(best: Deployment) -> AnswerChart:
    """Memory of one instance by parts."""
    memory = best.memory_per_instance
    assert memory is not None
    bar = MemoryBar(best.instance_type, memory.parts, memory.capacity_bytes, chosen=True)
    return AnswerChart(
        "memory",
        "Memory of one instance by parts",
        "Memory parts in GiB against the instance's memory",
        memory_chart([bar], per="instance"),
    )
