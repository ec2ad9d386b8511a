"""The words of a statistical model's answer for a newcomer, with this scenario's own numbers put in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sizing.plan import Deployment, Step
from sizing.scenario import StatisticalScenario
from sizing.statistical.law import CACHE_BYTES, NODE_BYTES
from sizing.statistical.serving import group_of
from sizing.units import MS_PER_S, format_bytes, format_ms

NODES = "nodes visited"
"""Unit of a tree model's work of one row."""


def statistical_words(
    scenario: StatisticalScenario, best: Deployment, steps: Mapping[str, Step]
) -> Iterator[tuple[str, str]]:
    """Term and text, in the order in which they build on each other."""
    extra = best.extra
    service, model, http = (
        float(extra[name] or 0.0) for name in ("service_ms", "model_latency_ms", "http_overhead_ms")
    )
    per_worker = int(extra["workers_per_instance"] or 1)
    worker_bytes, resident = float(extra["worker_bytes"] or 0.0), float(extra["resident_bytes"] or 0.0)
    yield (
        "Service time",
        f"How long one worker is busy with one request: here {format_ms(service)}, of which the model itself takes "
        f"{format_ms(model)} and the web server {format_ms(http)}. So one worker serves at most {MS_PER_S / service:,.0f} requests "
        "a second, if it is never idle; waiting comes on top.",
    )
    cores = int(extra["physical_cores"] or 1)
    yield (
        "Worker",
        "A process that serves one request after the other, with its own copy of the model. Here an instance runs "
        f"{per_worker:,} on {cores:,} physical core{'s' if cores > 1 else ''}; each takes {format_bytes(worker_bytes)} of memory, "
        f"of it {format_bytes(resident)} for the model. More workers than cores only take turns.",
    )
    group = group_of(best)
    queues = best.instances * group.queues
    yield (
        "Queue and load balancer",
        f"A request that finds {'the worker' if group.workers == 1 else f'all {group.workers:,} workers'} busy waits in a queue. A load "
        "balancer sends requests to instances without knowing who is free, so each has a queue of its own: a request may wait at one "
        f"machine while another is idle. Here there {'is 1 queue' if queues == 1 else f'are {queues:,} queues'} on {best.instances:,} "
        f"instance{'s' if best.instances > 1 else ''}. Few large instances wait less than many small ones.",
    )
    work = steps["Work of one row"]
    if work.unit == NODES:
        yield _trees(scenario, work)
    factor = float(extra["cpu_factor"] or 1.0)
    low, high = float(extra["cpu_factor_low"] or 1.0), float(extra["cpu_factor_high"] or 1.0)
    yield (
        "CPU factor",
        "Times were measured on one CPU; others are faster or slower. The factor says how long plain arithmetic takes on this "
        f"machine against the measured one: here {factor:g}, somewhere in {low:g} to {high:g}. Most of the uncertainty of the answer "
        "is this: time one call on your machine.",
    )
    cv = float(extra["service_cv"] or 0.0)
    yield (
        "Spread of service time (CV)",
        f"Not every request takes equally long: the standard deviation here is {cv:g} of the mean, {format_ms(cv * service)}. The more "
        "they differ, the longer others wait behind a slow one.",
    )


def _trees(scenario: StatisticalScenario, work: Step) -> tuple[str, str]:
    """Why trees beyond the cache are slow, with the size of the nodes if they are known by the scenario's fields."""
    said = (
        "A tree ensemble follows one path through every tree, each step a jump to another place in memory: here "
        f"{work.value:,.0f} nodes a row. Jumps are fast while the nodes stay in the CPU's cache and several times slower when they "
        "come from main memory. "
    )
    if scenario.custom_model is not None:
        return "Trees and the cache", said.strip()
    leaves = scenario.leaves if scenario.leaves is not None else 2 ** min(scenario.depth, 40)
    size = scenario.trees * (2 * leaves - 1) * NODE_BYTES
    fits = "so they fit" if size <= CACHE_BYTES else "so they do not fit"
    return (
        "Trees and the cache",
        f"{said}Full trees of these sizes take about {format_bytes(size)} at {NODE_BYTES} bytes a node, against "
        f"{format_bytes(CACHE_BYTES)} of second-level cache, {fits}.",
    )
