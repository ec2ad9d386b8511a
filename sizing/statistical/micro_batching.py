"""Micro-batching: a worker gathers the requests that wait and passes them to the model in one call.

A batch of b requests takes s(b) = call + b x each: the call's fixed time once, and for each request its rows, its web server's time and
its payload. It pays where the fixed time dominates (scikit-learn: 300 to 900 us a call). Queue: sizing/batch_queue.py without a delay,
sizing/batch_gather.py with one. Service times of a batch are taken as constant; their spread (service CV) does not enter.

Source: as BentoML's and MLServer's adaptive batching (max_batch_size; max_latency_ms or max_batch_time), with both kept constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from sizing.batch_gather import batcher
from sizing.batch_queue import BatchQueue, batch_queue
from sizing.queueing_law import Floats
from sizing.statistical.queues import MAX_INSTANCES, PERCENTILES, ROUNDING, BatchLaw, Group, Sized, Traffic

GRID = np.array([0.0, 0.005, 0.02, 0.15, 0.3, 0.45, 0.6, 0.7, 0.8, 0.88, 0.94, 0.98])
"""Loads at which the highest is looked for that keeps the limits [1]; the count that follows is settled exactly."""

SETTLING_STEPS = 8
"""Most steps up from the count that the grid gives, each twice the last [1]."""

LEAST_LOAD = 1e-4
"""Load that stands for none [1]."""


def batch_law(*, call_ms: float, each_ms: float, rows: int, rows_per_request: int, delay_ms: float) -> BatchLaw:
    """Law of a batch of at most `rows` rows: whole requests of `rows_per_request` rows each.

    >>> batch_law(call_ms=0.6, each_ms=0.9, rows=17, rows_per_request=2, delay_ms=1.0).largest
    8
    """
    return BatchLaw(call_ms=call_ms, each_ms=each_ms, largest=max(1, rows // rows_per_request), delay_ms=delay_ms)


def service_ms(law: BatchLaw) -> float:
    """Time of a request in full batches [ms]: call / largest + each; a worker serves at most 1 / this.

    >>> round(service_ms(BatchLaw(call_ms=0.8, each_ms=0.9, largest=8, delay_ms=0.0)), 6)
    1.0
    """
    return law.call_ms / law.largest + law.each_ms


def scaled(law: BatchLaw, factor: float) -> BatchLaw:
    """The law of a core so many times slower [ms]; the delay is a setting and stays."""
    return BatchLaw(law.call_ms * factor, law.each_ms * factor, law.largest, law.delay_ms)


def times_ms(laws: Sequence[BatchLaw], utilizations: Sequence[float] | Floats, *, delay: bool = True) -> Floats:
    """p50, p95, p99 of the time in system [ms], a row a law and its load against full batches; infinite from a load of 1 on.

    Without `delay` a free worker takes what waits at once. Source: the module.

    >>> law = BatchLaw(call_ms=1.0, each_ms=0.1, largest=8, delay_ms=0.0)
    >>> times_ms([law], [0.0])[0].round(2)  # nobody else: call + each
    array([1.1, 1.1, 1.1])
    """
    found = _queue(laws, utilizations, delay=delay)
    times = np.stack([found.p50_ms, found.p95_ms, found.p99_ms], axis=1)
    # Where two of them are one time, rounding must not put them in the wrong order.
    return np.maximum.accumulate(times, axis=1)


def mean_batch(law: BatchLaw, utilization: float) -> float:
    """Mean requests in a batch [1] at a load against full batches."""
    return float(_queue([law], [utilization], delay=True).mean_batch[0])


def busy_factor(law: BatchLaw, utilization: float) -> float:
    """Time a worker is busy over that with full batches [1] at a load against full batches: (call / batch + each) / service.

    >>> law = BatchLaw(call_ms=1.0, each_ms=0.1, largest=10, delay_ms=0.0)
    >>> round(busy_factor(law, 0.0), 2)  # batches of one: 1.1 ms in place of 0.2 ms
    5.5
    """
    return (law.call_ms / mean_batch(law, utilization) + law.each_ms) / service_ms(law)


def _queue(laws: Sequence[BatchLaw], utilizations: Sequence[float] | Floats, *, delay: bool) -> BatchQueue:
    t0, k, largest, wait = np.array([(law.call_ms, law.each_ms, law.largest, law.delay_ms) for law in laws]).T
    loads = np.maximum(np.asarray(utilizations, dtype=np.float64), LEAST_LOAD)
    rate = loads / (t0 / largest + k)
    if delay and wait[0] > 0.0:
        return batcher(t0_ms=t0, k_ms=k, max_batch=largest, rate_per_ms=rate, delay_ms=float(wait[0]))
    return batch_queue(t0_ms=t0, k_ms=k, max_batch=largest, rate_per_ms=rate)


def _laws(groups: Sequence[Group]) -> list[BatchLaw]:
    return [group.batch for group in groups if group.batch is not None]


def reaches(groups: Sequence[Group], limits: Floats, cap: float) -> list[tuple[float, int | None]]:
    """Highest load [1] at which each group keeps the limits on p50, p95, p99 [ms], and the percentile that sets it.

    A guess where requests are gathered: the delay is taken as lost in full, or as the time to fill the largest batch if that is
    less. -1 where even a request alone breaks a limit; None where the limits allow the whole grid.
    """
    loads = np.append(GRID[cap > GRID], cap)
    laws = [law for law in _laws(groups) for _ in loads]
    times = times_ms(laws, np.tile(loads, len(groups)), delay=False).reshape(len(groups), len(loads), 3)
    found: list[tuple[float, int | None]] = []
    for law, rows in zip(_laws(groups), times, strict=True):
        fill = np.minimum(law.delay_ms, (law.largest - 1) * service_ms(law) / np.maximum(loads, LEAST_LOAD))
        rows = rows + fill[:, None]
        kept = np.all(rows <= limits, axis=1)
        if kept.all():
            found.append((float(loads[-1]), None))
        elif not kept.any():
            found.append((-1.0, PERCENTILES[int(np.argmax(rows[0] / limits))]))
        else:
            last = int(np.flatnonzero(kept)[-1])
            if last == len(loads) - 1:
                found.append((float(loads[-1]), None))
                continue
            guesses = [float(np.interp(limits[p], rows[last : last + 2, p], loads[last : last + 2])) for p in range(3)]
            found.append((min(guesses), PERCENTILES[int(np.argmin(guesses))]))
    return found


def sized(
    *, groups: Sequence[Group], traffic: Traffic, utilization_cap: float, limits_ms: Sequence[float | None], spare: int
) -> dict[Group, Sized]:
    """Least instances of each group of batching workers that keep the cap and the limits [ms], plus spares; an open load only.

    Requests are split at random over instances and workers; each worker is a queue of batches of its own.
    """
    assert traffic.requests_per_s is not None
    groups = list(dict.fromkeys(groups))
    limits = np.array([np.inf if limit is None else limit for limit in limits_ms])
    found = reaches(groups, limits, utilization_cap)
    loads = np.array([traffic.requests_per_s * g.service_ms / 1000.0 / g.queues for g in groups])
    caps = np.array([min(utilization_cap, g.cap) for g in groups])
    least = np.maximum(1, np.ceil(loads / caps - ROUNDING)).astype(int)
    counts = np.array(
        [
            max(low, ceil(load / reach)) if reach > 0 else 0
            for low, load, (reach, _) in zip(least, loads, found, strict=True)
        ]
    )
    counts = np.where(counts > MAX_INSTANCES, 0, counts)
    counts, tried = _settled(groups, loads, counts, least, limits)
    answer = {}
    for group, load, count, low, (reach, percentile), steps in zip(
        groups, loads, counts, least, found, tried, strict=True
    ):
        total = int(count) + spare if count else None
        used = float(load) / (total or MAX_INSTANCES)
        cap = min(utilization_cap, group.cap)
        if not count:
            why = f"p{percentile} latency" if reach < 0 else "throughput"
        elif count == 1:
            why = "one instance"
        elif count > low and percentile is not None:
            why = f"p{percentile} latency"
        else:
            why = "network" if group.cap < utilization_cap else "utilization cap"
        answer[group] = Sized(
            instances=total,
            limited_by=why,
            # What the count found allows is never less than the load it has.
            highest_utilization=min(cap, max(reach, used)) if total else 0.0,
            utilization=used,
            seen_utilization=used,
            requests_per_s=traffic.requests_per_s,
            evaluated=int(steps),
        )
    return answer


def _settled(
    groups: Sequence[Group], loads: Floats, counts: np.ndarray, least: np.ndarray, limits: Floats
) -> tuple[np.ndarray, np.ndarray]:
    """The least counts that keep the limits, near those guessed, and the queues solved for each; 0 stays 0."""
    laws = _laws(groups)
    tried = np.full(len(groups), len(GRID))

    def keeps(rows: np.ndarray, at: np.ndarray) -> np.ndarray:
        tried[rows] += 1
        times = times_ms([laws[row] for row in rows], loads[rows] / at)
        return np.asarray(np.all(times <= limits, axis=1))

    enough, short = counts.copy(), least - 1
    step = np.maximum(1, counts // 20)
    up = np.flatnonzero(counts > 0)
    for _ in range(SETTLING_STEPS):
        if not len(up):
            break
        up = up[~keeps(up, enough[up])]
        short[up] = enough[up]
        enough[up] += step[up]
        step[up] *= 2
    enough[up] = 0
    probe = enough - 1  # the guess is nearly right: one fewer usually fails, which ends the search at once
    while len(rows := np.flatnonzero((enough > 0) & (probe > short))):
        kept = keeps(rows, probe[rows])
        enough[rows[kept]] = probe[rows[kept]]
        short[rows[~kept]] = probe[rows[~kept]]
        probe = (short + enough) // 2
    return enough, tried
