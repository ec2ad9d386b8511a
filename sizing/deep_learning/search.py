"""The search: for each kind of GPU the largest useful batch and the fewest GPUs that meet load, limit and utilization cap.

All kinds of GPU are solved side by side. A *choice* is one kind of GPU with its batch and count; instances follow from it and
from the CPU time of the requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from sizing.catalog_rows import Accelerator
from sizing.deep_learning.batching import batch_queue, closed_batch_loop
from sizing.deep_learning.graph import Graph
from sizing.deep_learning.latency import BatchLaw, batch_law
from sizing.deep_learning.measured import measured_law
from sizing.deep_learning.memory import gpu_memory, largest_batch
from sizing.deep_learning.runtimes import Unsupported
from sizing.plan import Memory
from sizing.scenario import DeepLearningScenario
from sizing.units import MS_PER_S, format_bytes, format_ms

Floats = NDArray[np.float64]

KNEE_SHARE = 0.95
"""Share of the saturated throughput beyond which a larger batch is not worth its memory [1]; b = t0 / k x 0.95 / 0.05."""

LIGHT_LOAD = 0.02
"""Load of a GPU [1] at which a limit that still fails is called out of reach."""

LOADS_BELOW_CAP = (0.2, 0.4, 0.6, 0.8)
"""Loads tried where the limit does not hold at the utilization cap, as shares of the cap [1]."""

COUNT_STEPS = 24
"""Counts of GPUs tried side by side in a closed loop, spaced geometrically, in each of two rounds [1]."""

MAX_CORRECTIONS = 4
"""Times the count is raised by 3 % when interpolation between loads was too hopeful [1]."""


@dataclass(frozen=True)
class Miss:
    """Why a kind of GPU does not serve the scenario; `excess_share` says by how much it misses, None where it is a rule."""

    constraint: str
    because: str
    remedy: str | None
    excess_share: float | None


@dataclass(frozen=True)
class Choice:
    """One kind of GPU with its batch, count and what the GPUs then do; latencies include the CPU part [ms]."""

    accelerator: Accelerator
    law: BatchLaw
    memory: Memory
    batch: int
    best_batch: int
    batch_in_flight: float
    gpus: int
    percentiles_ms: tuple[float, float, float]
    utilization: float
    demanded_per_s: float
    capacity_per_s: float  # of one GPU, within cap and limit
    binding: str


@dataclass(frozen=True)
class _Ready:
    accelerator: Accelerator
    law: BatchLaw
    memory: Memory
    batch: int
    best_batch: int


@dataclass(frozen=True)
class Found:
    """Choices and misses by accelerator id, and how many configurations were evaluated."""

    choices: dict[str, Choice]
    misses: dict[str, Miss]
    evaluated: int


def search(scenario: DeepLearningScenario, graph: Graph, accelerators: list[Accelerator]) -> Found:
    """The choice or the miss of each accelerator, by id."""
    ready: list[_Ready] = []
    misses: dict[str, Miss] = {}
    for accelerator in accelerators:
        found = _prepare(scenario, graph, accelerator)
        if isinstance(found, Miss):
            misses[accelerator.id] = found
        else:
            ready.append(found)
    if not ready:
        return Found({}, misses, len(accelerators))
    solve = _open_loop if scenario.requests_per_s is not None else _closed_loop
    choices, late, evaluated = solve(scenario, ready)
    return Found(choices, {**misses, **late}, len(misses) + evaluated)


def useful_batch(scenario: DeepLearningScenario, law: BatchLaw, held: int) -> int:
    """Largest useful batch [samples]: held by memory, up to the knee, and (1 + percentile) s(b) + CPU within the limit.

    A request that arrives at random waits up to the whole running batch before its own, so the limit has to hold for both.
    """
    knee = max(1, ceil(law.t0_ms / law.k_ms * KNEE_SHARE / (1.0 - KNEE_SHARE)))
    batch = min(held, knee)
    if scenario.latency_target_ms is not None:
        left = (scenario.latency_target_ms - scenario.cpu_ms_per_request) / (1.0 + scenario.slo_percentile / 100.0)
        batch = min(batch, law.largest_batch(left))
    return max(1, batch)


def _prepare(scenario: DeepLearningScenario, graph: Graph, accelerator: Accelerator) -> _Ready | Miss:
    """Law, batch and memory on one accelerator, or why it cannot run the model."""
    runtime, precision, capacity = scenario.runtime, scenario.precision, accelerator.capacity_bytes
    try:
        law = batch_law(graph, accelerator, runtime=runtime, precision=precision)
    except Unsupported as error:
        return Miss(error.constraint, error.because, error.remedy, None)
    law = measured_law(law, scenario, graph, accelerator)
    held = largest_batch(graph, runtime=runtime, precision=precision, capacity_bytes=capacity)
    wanted = scenario.batch or 1
    if held < wanted:
        need = gpu_memory(graph, runtime=runtime, precision=precision, batch=wanted, capacity_bytes=capacity).used_bytes
        return Miss(
            "memory",
            f"batch {wanted} needs {format_bytes(need)} and {accelerator.name} has {format_bytes(capacity)}",
            f"batch of at most {held}" if held else f"a GPU of {format_bytes(need)} or more",
            need / capacity - 1.0,
        )
    limit, least = scenario.latency_target_ms, law.latency_ms(1) + scenario.cpu_ms_per_request
    if limit is not None and least > limit:
        return Miss(
            "latency",
            f"one sample alone takes {format_ms(least)} with its CPU part, over the limit of {format_ms(limit)}",
            f"raise the latency limit to {format_ms(least * 1.01)}",
            least / limit - 1.0,
        )
    best = useful_batch(scenario, law, held)
    batch = scenario.batch or best
    memory = gpu_memory(graph, runtime=runtime, precision=precision, batch=batch, capacity_bytes=capacity)
    return _Ready(accelerator, law, memory, batch, best)


def _columns(ready: list[_Ready]) -> tuple[Floats, Floats, Floats]:
    return (
        np.array([r.law.t0_ms for r in ready]),
        np.array([r.law.k_ms for r in ready]),
        np.array([float(r.batch) for r in ready]),
    )


def _too_slow(scenario: DeepLearningScenario, reached_ms: float, words: str) -> Miss:
    limit = scenario.latency_target_ms or 0.0
    return Miss(
        "latency",
        f"p{scenario.slo_percentile} is {format_ms(reached_ms)} {words}, over the limit of {format_ms(limit)}",
        f"raise the latency limit to {format_ms(reached_ms * 1.01)}",
        reached_ms / limit - 1.0,
    )


Solved = tuple[dict[str, Choice], dict[str, Miss], int]


def _open_loop(scenario: DeepLearningScenario, ready: list[_Ready]) -> Solved:
    """Fewest GPUs for a Poisson rate: the rate over the largest load of one GPU that keeps cap and limit."""
    rate = scenario.requests_per_s or 0.0
    t0, k, batch = _columns(ready)
    full_per_ms = batch / (t0 + k * batch)
    cap, cpu = scenario.utilization_cap, scenario.cpu_ms_per_request
    limit = np.inf if scenario.latency_target_ms is None else scenario.latency_target_ms
    evaluated = 0

    def reached(rows: NDArray[np.intp], load: Floats) -> Floats:
        nonlocal evaluated
        evaluated += len(rows)
        queue = batch_queue(t0_ms=t0[rows], k_ms=k[rows], max_batch=batch[rows], rate_per_ms=load * full_per_ms[rows])
        return queue.percentile_ms(scenario.slo_percentile) + cpu

    everyone = np.arange(len(ready))
    allowed = np.full(len(ready), cap)
    at_cap = reached(everyone, allowed) if np.isfinite(limit) else np.zeros(len(ready))
    over = np.flatnonzero(at_cap > limit)
    lightest = np.zeros(len(ready))
    if len(over):
        tried = np.array([min(LIGHT_LOAD, cap / 10.0), *(share * cap for share in LOADS_BELOW_CAP)])
        rows = np.repeat(over, len(tried))
        times = reached(rows, np.tile(tried, len(over))).reshape(len(over), -1)
        lightest[over] = times[:, 0]
        for row, measured in zip(over, times, strict=True):
            allowed[row] = _load_within(np.append(tried, cap), np.append(measured, at_cap[row]), float(limit))
    misses = {
        ready[row].accelerator.id: _too_slow(scenario, float(lightest[row]), f"even at {LIGHT_LOAD:.0%} load")
        for row in over
        if allowed[row] <= 0.0
    }
    rows = np.flatnonzero(allowed > 0.0)
    if not len(rows):
        return {}, misses, evaluated
    rate_per_ms = rate / MS_PER_S
    count = np.maximum(1.0, np.ceil(rate_per_ms / (allowed * full_per_ms)[rows] - 1e-9))
    for _ in range(MAX_CORRECTIONS + 1):
        each_per_ms = rate_per_ms / count
        queue = batch_queue(t0_ms=t0[rows], k_ms=k[rows], max_batch=batch[rows], rate_per_ms=each_per_ms)
        evaluated += len(rows)
        short = queue.percentile_ms(scenario.slo_percentile) + cpu > limit
        if not short.any():
            break
        count = np.where(short, np.maximum(count + 1.0, np.ceil(count * 1.03)), count)
    choices: dict[str, Choice] = {}
    for column, row in enumerate(rows):
        item = ready[row]
        if short[column]:
            worst = float(queue.percentile_ms(scenario.slo_percentile)[column]) + cpu
            misses[item.accelerator.id] = _too_slow(scenario, worst, f"on {count[column]:,.0f} GPUs")
            continue
        gpus = int(count[column])
        used = float(each_per_ms[column] / full_per_ms[row])
        choices[item.accelerator.id] = Choice(
            accelerator=item.accelerator,
            law=item.law,
            memory=item.memory,
            batch=item.batch,
            best_batch=item.best_batch,
            batch_in_flight=float(queue.mean_batch[column]),
            gpus=gpus,
            percentiles_ms=(
                float(queue.p50_ms[column]) + cpu,
                float(queue.p95_ms[column]) + cpu,
                float(queue.p99_ms[column]) + cpu,
            ),
            utilization=used,
            demanded_per_s=rate,
            capacity_per_s=max(float(allowed[row] * full_per_ms[row]) * MS_PER_S, rate / gpus),
            binding="one GPU is the least" if gpus == 1 else "utilization cap" if allowed[row] >= cap else "latency",
        )
    return choices, misses, evaluated


def _load_within(loads: Floats, times_ms: Floats, limit_ms: float) -> float:
    """Largest load [1] within a limit, between tried loads by straight line; 0 if even the lightest fails."""
    within = np.flatnonzero(times_ms <= limit_ms)
    if not len(within):
        return 0.0
    last = int(within[-1])
    if last == len(loads) - 1:
        return float(loads[last])
    part = (limit_ms - times_ms[last]) / (times_ms[last + 1] - times_ms[last])
    return float(loads[last] + part * (loads[last + 1] - loads[last]))


def _closed_loop(scenario: DeepLearningScenario, ready: list[_Ready]) -> Solved:
    """Fewest GPUs for a fixed number of clients, by counts tried side by side. The utilization cap does not apply: clients wait."""
    clients = scenario.concurrency or 1
    t0, k, batch = _columns(ready)
    cpu, away = scenario.cpu_ms_per_request, scenario.cpu_ms_per_request + scenario.think_time_s * MS_PER_S
    limit = np.inf if scenario.latency_target_ms is None else scenario.latency_target_ms
    evaluated = 0

    def reached(counts: Floats) -> Floats:
        nonlocal evaluated
        evaluated += counts.size
        loop = closed_batch_loop(
            t0_ms=np.repeat(t0, counts.shape[1]),
            k_ms=np.repeat(k, counts.shape[1]),
            max_batch=np.repeat(batch, counts.shape[1]),
            clients=clients / counts.reshape(-1),
            away_ms=away,
        )
        return loop.percentile_ms(scenario.slo_percentile).reshape(counts.shape) + cpu

    low, high = np.zeros(len(ready)), np.full(len(ready), float(clients))
    for _ in range(2 if np.isfinite(limit) else 0):
        tried = np.ceil(np.geomspace(np.maximum(low, 1.0), high, COUNT_STEPS, axis=1))
        enough = reached(tried) <= limit
        first = np.where(enough.any(axis=1), enough.argmax(axis=1), COUNT_STEPS - 1)
        rows = np.arange(len(ready))
        low = np.where(first > 0, tried[rows, np.maximum(first - 1, 0)], low)
        high = tried[rows, first]
    count = high if np.isfinite(limit) else np.ones(len(ready))
    loop = closed_batch_loop(t0_ms=t0, k_ms=k, max_batch=batch, clients=clients / count, away_ms=away)
    evaluated += len(ready)
    choices: dict[str, Choice] = {}
    misses: dict[str, Miss] = {}
    for row, item in enumerate(ready):
        worst = float(loop.percentile_ms(scenario.slo_percentile)[row]) + cpu
        if worst > limit:
            misses[item.accelerator.id] = _too_slow(
                scenario, worst, f"even with {count[row]:,.0f} GPUs, one for each client"
            )
            continue
        gpus = int(count[row])
        served = float(loop.throughput_per_ms[row]) * MS_PER_S
        busy = served / MS_PER_S * item.law.latency_ms(float(loop.batch[row])) / float(loop.batch[row])
        full = item.batch / item.law.latency_ms(item.batch) * MS_PER_S
        choices[item.accelerator.id] = Choice(
            accelerator=item.accelerator,
            law=item.law,
            memory=item.memory,
            batch=item.batch,
            best_batch=item.best_batch,
            batch_in_flight=float(loop.batch[row]),
            gpus=gpus,
            percentiles_ms=(
                float(loop.p50_ms[row]) + cpu,
                float(loop.p95_ms[row]) + cpu,
                float(loop.p99_ms[row]) + cpu,
            ),
            utilization=min(1.0, busy),
            demanded_per_s=served * gpus,
            capacity_per_s=max(full * scenario.utilization_cap, served),
            binding="one GPU is the least" if gpus == 1 else "latency",
        )
    return choices, misses, evaluated
