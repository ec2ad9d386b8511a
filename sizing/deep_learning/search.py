"""The search: for each kind of GPU the largest useful batch and the fewest GPUs that meet load, limit and utilization cap.

All kinds of GPU are solved side by side, and so are the CPU instances, whose worker is one session on its cores. A *choice* is one
kind of worker with its batch and count; instances follow from it, from the CPU time of the requests and from the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sizing.batch_gather import OVERLAP_SHARE, batcher, capacity_per_ms
from sizing.batch_queue import BatchQueue
from sizing.catalog_rows import Accelerator
from sizing.deep_learning.closed import ClosedBatchLoop, closed_batch_loop, closed_means
from sizing.deep_learning.graph import Graph
from sizing.deep_learning.host import host_work
from sizing.deep_learning.law import Law
from sizing.deep_learning.processor import Session
from sizing.deep_learning.workers import Miss, Ready, Retime, Worker, as_predicted, ready_cpu, ready_gpu
from sizing.plan import Memory
from sizing.scenario import DeepLearningScenario
from sizing.units import MS_PER_S, format_ms

Floats = NDArray[np.float64]

LIGHT_LOAD = 0.02
"""Load of a GPU [1] at which a limit that still fails is called out of reach."""

LOADS_BELOW_CAP = (0.2, 0.4, 0.6, 0.8)
"""Loads tried where the limit does not hold at the utilization cap, as shares of the cap [1]."""

COUNT_STEPS = 24
"""Counts of GPUs tried side by side in a closed loop, spaced geometrically, in each of two rounds [1]."""

COUNT_SHARE = 0.01
"""Counts of GPUs closer than this are not told apart in a closed loop [1]."""

GUESS_FACTOR = 1.25
"""Step from the count that mean values say to one on the other side of the limit [1]."""

MAX_CORRECTIONS = 4
"""Times the count is raised by 3 % when interpolation between loads was too hopeful [1]."""


@dataclass(frozen=True)
class Choice:
    """One kind of worker with its batch, count and what the workers then do; latencies include the CPU part [ms]."""

    worker: Worker
    law: Law
    memory: Memory
    batch: int
    best_batch: int
    batch_in_flight: float
    gpus: int
    percentiles_ms: tuple[float, float, float]
    utilization: float
    demanded_per_s: float
    capacity_per_s: float  # of one worker, within cap and limit
    binding: str
    cpu_ms: float


@dataclass(frozen=True)
class Found:
    """Choices and misses by id of accelerator or CPU instance, and how many configurations were evaluated."""

    choices: dict[str, Choice]
    misses: dict[str, Miss]
    evaluated: int


def search(
    scenario: DeepLearningScenario,
    graph: Graph,
    accelerators: Sequence[Accelerator],
    sessions: Sequence[Session] = (),
    retime: Retime = as_predicted,
) -> Found:
    """The choice or the miss of each accelerator and of each CPU instance, by id; `retime` changes the law of each."""
    choices: dict[str, Choice] = {}
    misses: dict[str, Miss] = {}
    evaluated = len(accelerators) + len(sessions)
    # On cores a batch gains little, so nobody waits for it to fill.
    alone = scenario.model_copy(update={"model_instances_per_gpu": 1, "queue_delay_ms": 0.0})
    alike: dict[tuple[object, ...], list[str]] = {}
    for session in sessions:
        alike.setdefault(session.figures, []).append(session.instance.id)
    sessions = [next(s for s in sessions if s.instance.id == ids[0]) for ids in alike.values()]
    on_gpu = [ready_gpu(scenario, graph, accelerator, retime) for accelerator in accelerators]
    on_cpu = [ready_cpu(alone, graph, session, retime) for session in sessions]
    named = [*((a.id, r) for a, r in zip(accelerators, on_gpu, strict=True))]
    named += [(s.instance.id, r) for s, r in zip(sessions, on_cpu, strict=True)]
    misses.update({id_: found for id_, found in named if isinstance(found, Miss)})
    solve = _open_loop if scenario.requests_per_s is not None else _closed_loop
    cpu_ms = host_work(scenario, graph).cpu_ms
    for asked, group in ((scenario, on_gpu), (alone, on_cpu)):
        ready = [found for found in group if isinstance(found, Ready)]
        if ready:
            fitting, late, tried = solve(asked, ready, cpu_ms)
            choices.update(fitting)
            misses.update(late)
            evaluated += tried
    for first, *others in alike.values():
        for other in others:
            if first in choices:
                choices[other] = choices[first]
            else:
                misses[other] = misses[first]
    return Found(choices, misses, evaluated)


def _columns(ready: list[Ready]) -> tuple[Floats, Floats, Floats]:
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


def _plural(worker: Worker) -> str:
    return "sessions" if worker.session is not None else "GPUs"


def _least(worker: Worker) -> str:
    return "one machine is the least" if worker.session is not None else "one GPU is the least"


Solved = tuple[dict[str, Choice], dict[str, Miss], int]


def _open_loop(scenario: DeepLearningScenario, ready: list[Ready], cpu: float) -> Solved:
    """Fewest GPUs for a Poisson rate: the rate over the largest load of one GPU that keeps cap and limit."""
    rate = scenario.requests_per_s or 0.0
    t0, k, batch = _columns(ready)
    delay, instances = scenario.queue_delay_ms, scenario.model_instances_per_gpu
    full_per_ms = capacity_per_ms(t0_ms=t0, k_ms=k, max_batch=batch, instances=instances)
    cap = scenario.utilization_cap
    limit = np.inf if scenario.latency_target_ms is None else scenario.latency_target_ms
    evaluated = 0

    def queue_at(rows: NDArray[np.intp], rate_per_ms: Floats) -> BatchQueue:
        nonlocal evaluated
        evaluated += len(rows)
        return batcher(
            t0_ms=t0[rows],
            k_ms=k[rows],
            max_batch=batch[rows],
            rate_per_ms=rate_per_ms,
            delay_ms=delay,
            instances=instances,
        )

    def reached(rows: NDArray[np.intp], load: Floats) -> Floats:
        return queue_at(rows, load * full_per_ms[rows]).percentile_ms(scenario.slo_percentile) + cpu

    everyone = np.arange(len(ready))
    allowed = np.full(len(ready), cap)
    at_cap = reached(everyone, allowed) if np.isfinite(limit) else np.zeros(len(ready))
    over = np.flatnonzero(at_cap > limit)
    lightest = np.zeros(len(ready))
    if len(over):
        tried = np.array([min(LIGHT_LOAD, cap / 10.0), *(share * cap for share in LOADS_BELOW_CAP), cap])
        allowed[over], lightest[over] = _loads_within(over, tried, at_cap[over], float(limit), reached)
    misses = {
        ready[row].worker.id: _too_slow(scenario, float(lightest[row]), f"even at {LIGHT_LOAD:.0%} load")
        for row in over
        if allowed[row] <= 0.0
    }
    rows = np.flatnonzero(allowed > 0.0)
    if not len(rows):
        return {}, misses, evaluated
    rate_per_ms = rate / MS_PER_S
    count = np.maximum(1.0, np.ceil(rate_per_ms / (allowed * full_per_ms)[rows] - 1e-9))
    percentiles_ms = np.empty((3, len(rows)))
    mean_batch, short, asked = np.empty(len(rows)), np.zeros(len(rows), dtype=bool), np.arange(len(rows))
    wanted = {50: 0, 95: 1, 99: 2}[scenario.slo_percentile]
    for _ in range(MAX_CORRECTIONS + 1):
        queue = queue_at(rows[asked], rate_per_ms / count[asked])
        percentiles_ms[:, asked] = np.stack([queue.p50_ms, queue.p95_ms, queue.p99_ms]) + cpu
        mean_batch[asked] = queue.mean_batch
        answered, short[asked] = count.copy(), percentiles_ms[wanted, asked] > limit
        asked = np.flatnonzero(short)
        if not len(asked):
            break
        count[asked] = np.maximum(count[asked] + 1.0, np.ceil(count[asked] * 1.03))
    choices: dict[str, Choice] = {}
    for column, row in enumerate(rows):
        item = ready[row]
        if short[column]:
            worst = float(percentiles_ms[wanted, column])
            misses[item.worker.id] = _too_slow(scenario, worst, f"on {answered[column]:,.0f} {_plural(item.worker)}")
            continue
        gpus = int(count[column])
        p50, p95, p99 = percentiles_ms[:, column].tolist()
        used = float(rate_per_ms / count[column] / full_per_ms[row])
        choices[item.worker.id] = Choice(
            worker=item.worker,
            law=item.law,
            memory=item.memory,
            batch=item.batch,
            best_batch=item.best_batch,
            batch_in_flight=float(mean_batch[column]),
            gpus=gpus,
            percentiles_ms=(p50, p95, p99),
            utilization=used,
            demanded_per_s=rate,
            capacity_per_s=max(float(allowed[row] * full_per_ms[row]) * MS_PER_S, rate / gpus),
            binding=_least(item.worker) if gpus == 1 else "utilization cap" if allowed[row] >= cap else "latency",
            cpu_ms=cpu,
        )
    return choices, misses, evaluated


def _loads_within(
    rows: NDArray[np.intp],
    loads: Floats,
    at_last_ms: Floats,
    limit_ms: float,
    reached: Callable[[NDArray[np.intp], Floats], Floats],
) -> tuple[Floats, Floats]:
    """Largest load within a limit [1] of each row, and its latency at the lightest load [ms] where even that fails; 0 then.

    `loads` rise, and the latency at the last is over the limit. They are halved until neighbours are within it and over it, with
    a straight line between.
    """
    within, over = np.full(len(rows), -1), np.full(len(rows), len(loads) - 1)
    times = np.full((len(rows), len(loads)), np.inf)
    times[:, -1] = at_last_ms
    while len(open_ := np.flatnonzero(over - within > 1)):
        at = (within[open_] + over[open_]) // 2
        times[open_, at] = reached(rows[open_], loads[at])
        fits = times[open_, at] <= limit_ms
        within[open_] = np.where(fits, at, within[open_])
        over[open_] = np.where(fits, over[open_], at)
    every = np.arange(len(rows))
    low, high = times[every, np.maximum(within, 0)], times[every, over]
    fails = within < 0
    part = (limit_ms - low) / np.where(fails, 1.0, high - low)
    found = np.where(fails, 0.0, loads[within] + part * (loads[over] - loads[within]))
    return found, np.where(fails, low, 0.0)


def _fewest(guess: Floats, most: int, enough: Callable[[NDArray[np.intp], Floats], NDArray[np.bool_]]) -> Floats:
    """Fewest workers that are enough, within COUNT_SHARE, for each row near its guess; `most` where nothing less is."""
    low, high, probe = np.zeros(len(guess)), np.full(len(guess), float(most)), guess.copy()
    while len(rows := np.flatnonzero(high - low > np.maximum(1.0, COUNT_SHARE * high))):
        probe[rows] = np.clip(probe[rows], low[rows] + 1.0, high[rows] - 1.0)
        fits = enough(rows, probe[rows])
        low[rows] = np.where(fits, low[rows], probe[rows])
        high[rows] = np.where(fits, probe[rows], high[rows])
        known = (low > 0.0) & (high < most)
        near = np.where(low > 0.0, np.ceil(low * GUESS_FACTOR), np.floor(high / GUESS_FACTOR))
        probe = np.where(known, np.floor((low + high) / 2.0), near)
    return high


def _closed_loop(scenario: DeepLearningScenario, ready: list[Ready], cpu: float) -> Solved:
    """Fewest GPUs for a fixed number of clients, by counts tried side by side. The utilization cap does not apply: clients wait.

    The whole delay is added where clients are too few to fill a batch; instances are taken as one server of their joint capacity.
    """
    clients = scenario.concurrency or 1
    t0, k, batch = _columns(ready)
    away = cpu + scenario.think_time_s * MS_PER_S
    instances, delay = scenario.model_instances_per_gpu, scenario.queue_delay_ms
    full_per_ms = capacity_per_ms(t0_ms=t0, k_ms=k, max_batch=batch, instances=instances)
    # With several instances a batch takes as long as before, and the GPU is free for the next one sooner.
    behind = np.where(instances > 1, OVERLAP_SHARE * t0, 0.0)
    t0 = np.maximum(batch / full_per_ms - k * batch, 1e-9)

    def filling(each: Floats, rows: NDArray[np.intp]) -> Floats:
        return np.where(each < batch[rows], delay, 0.0)

    limit = np.inf if scenario.latency_target_ms is None else scenario.latency_target_ms
    evaluated = 0

    def reached(rows: NDArray[np.intp], counts: Floats, law: Callable[..., ClosedBatchLoop]) -> Floats:
        nonlocal evaluated
        evaluated += len(rows)
        wait = filling(clients / counts, rows) + behind[rows]
        loop = law(t0_ms=t0[rows], k_ms=k[rows], max_batch=batch[rows], clients=clients / counts, away_ms=away + wait)
        return loop.percentile_ms(scenario.slo_percentile) + wait + cpu

    everyone = np.arange(len(ready))
    count = np.ones(len(ready))
    if np.isfinite(limit):
        # Mean values say where to look, in two rounds of counts side by side; the queue itself says which count is enough.
        low, guess = np.zeros(len(ready)), np.full(len(ready), float(clients))
        for _ in range(2):
            tried = np.ceil(np.geomspace(np.maximum(low, 1.0), guess, COUNT_STEPS, axis=1))
            rows = np.repeat(everyone, COUNT_STEPS)
            enough = reached(rows, tried.reshape(-1), closed_means).reshape(tried.shape) <= limit
            first = np.where(enough.any(axis=1), enough.argmax(axis=1), COUNT_STEPS - 1)
            low = np.where(first > 0, tried[everyone, np.maximum(first - 1, 0)], low)
            guess = tried[everyone, first]
        count = _fewest(guess, clients, lambda rows, counts: reached(rows, counts, closed_batch_loop) <= limit)
    wait = filling(clients / count, everyone) + behind
    loop = closed_batch_loop(t0_ms=t0, k_ms=k, max_batch=batch, clients=clients / count, away_ms=away + wait)
    evaluated += len(ready)
    choices: dict[str, Choice] = {}
    misses: dict[str, Miss] = {}
    for row, item in enumerate(ready):
        worst = float(loop.percentile_ms(scenario.slo_percentile)[row] + wait[row]) + cpu
        if worst > limit:
            misses[item.worker.id] = _too_slow(
                scenario, worst, f"even with {count[row]:,.0f} {_plural(item.worker)}, one for each client"
            )
            continue
        gpus = int(count[row])
        served = float(loop.throughput_per_ms[row]) * MS_PER_S
        busy = served / MS_PER_S * (float(t0[row]) + item.law.k_ms * float(loop.batch[row])) / float(loop.batch[row])
        full = float(full_per_ms[row]) * MS_PER_S
        choices[item.worker.id] = Choice(
            worker=item.worker,
            law=item.law,
            memory=item.memory,
            batch=item.batch,
            best_batch=item.best_batch,
            batch_in_flight=float(loop.batch[row]),
            gpus=gpus,
            percentiles_ms=(
                float(loop.p50_ms[row] + wait[row]) + cpu,
                float(loop.p95_ms[row] + wait[row]) + cpu,
                float(loop.p99_ms[row] + wait[row]) + cpu,
            ),
            utilization=min(1.0, busy),
            demanded_per_s=served * gpus,
            capacity_per_s=max(full * scenario.utilization_cap, served),
            binding=_least(item.worker) if gpus == 1 else "latency",
            cpu_ms=cpu,
        )
    return choices, misses, evaluated
