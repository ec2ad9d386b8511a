"""Event simulation of the dynamic batcher: every arrival, every batch, no formula of a queue.

The rule is Triton's: a batch starts once an instance is free and either the largest batch is full or the oldest waiting request
has waited the queue delay; with no delay a free instance takes all that wait. Instances of one GPU share it: `overlap_ms` of a
batch (launches, host work) overlaps with other batches, the rest follows one batch after another.

    taken(i)    = max(end(i - instances), min(arrival of the one that fills it, oldest arrival + delay))
    end(i)      = max(taken(i) + overlap, end(i - 1)) + t0 - overlap + k x batch(i)
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Balancer = Literal["random", "round_robin"]

WARM_UP_SHARE = 0.1
"""Share of the requests at the start that is not counted [1]."""


@dataclass(frozen=True)
class BatcherRun:
    """Latencies [ms] of the requests counted, mean batch [requests], share of time with a batch running, requests served a ms."""

    latency_ms: Floats
    mean_batch: float
    busy_share: float
    throughput_per_ms: float

    def percentile_ms(self, percentile: float) -> float:
        """Latency not exceeded by so many per cent of requests [ms]."""
        return float(np.percentile(self.latency_ms, percentile))


def simulate_batcher(
    *,
    t0_ms: float,
    k_ms: float,
    max_batch: int,
    rate_per_ms: float,
    delay_ms: float = 0.0,
    instances: int = 1,
    overlap_ms: float = 0.0,
    gpus: int = 1,
    balancer: Balancer = "random",
    requests: int = 60_000,
    seed: int = 7,
) -> BatcherRun:
    """Latencies [ms] of `requests` that arrive at random at `gpus` GPUs together [1/ms], dealt out by a balancer.

    >>> run = simulate_batcher(t0_ms=1.0, k_ms=0.1, max_batch=8, rate_per_ms=1e-6, requests=100)
    >>> round(run.percentile_ms(99), 6)
    1.1
    """
    random = np.random.default_rng(seed)
    arrivals = np.cumsum(random.exponential(1.0 / rate_per_ms, requests))
    dealt = random.integers(0, gpus, requests) if balancer == "random" else np.arange(requests) % gpus
    parts = [
        _one_gpu(arrivals[dealt == gpu], t0_ms, k_ms, max_batch, delay_ms, instances, overlap_ms) for gpu in range(gpus)
    ]
    parts = [part for part in parts if len(part[0])]
    latency = np.concatenate([part[0][int(len(part[0]) * WARM_UP_SHARE) :] for part in parts])
    batches = sum(part[1] for part in parts)
    span = max(float(arrivals[-1]), max(part[2] for part in parts))
    work = batches * t0_ms + k_ms * requests
    return BatcherRun(latency, requests / batches, min(1.0, work / (span * gpus)), requests / span)


def _one_gpu(
    arrivals: Floats, t0: float, k: float, limit: int, delay: float, instances: int, overlap: float
) -> tuple[Floats, int, float]:
    """Latencies [ms] in order of arrival, batches, and the end of the last [ms]."""
    at = arrivals.tolist()
    count, first, batches, taken = len(at), 0, 0, 0.0
    ends = [0.0] * instances  # of the last batches, the oldest at `batches % instances`
    previous = 0.0
    finished, sizes = [], []
    own = t0 - overlap
    while first < count:
        free = ends[batches % instances]
        trigger = at[first] + delay
        if first + limit <= count:
            trigger = min(trigger, at[first + limit - 1])
        taken = max(free, trigger, taken)
        last = min(bisect_right(at, taken, first, min(count, first + limit)), first + limit)
        last = max(last, first + 1)
        previous = max(taken + overlap, previous) + own + k * (last - first)
        ends[batches % instances] = previous
        finished.append(previous)
        sizes.append(last - first)
        batches += 1
        first = last
    return np.repeat(finished, sizes) - arrivals, batches, previous


def simulate_closed_batcher(
    *,
    t0_ms: float,
    k_ms: float,
    max_batch: int,
    clients: int,
    think_ms: float,
    delay_ms: float = 0.0,
    requests: int = 60_000,
    seed: int = 7,
) -> BatcherRun:
    """Latencies [ms] at one GPU with `clients` that each ask again an exponential pause of mean `think_ms` after a reply.

    >>> run = simulate_closed_batcher(t0_ms=2.0, k_ms=0.5, max_batch=8, clients=1, think_ms=5.0, requests=50)
    >>> round(run.percentile_ms(99), 6)
    2.5
    """
    random = np.random.default_rng(seed)
    pauses = iter(random.exponential(1.0, requests + clients + max_batch).tolist())
    waiting = [think_ms * next(pauses) for _ in range(clients)]
    heapq.heapify(waiting)
    latency: list[float] = []
    free, batches, busy = 0.0, 0, 0.0
    while len(latency) < requests:
        filling = [heapq.heappop(waiting)]
        closes = max(free, filling[0] + delay_ms)
        while waiting and len(filling) < max_batch and waiting[0] <= closes:
            filling.append(heapq.heappop(waiting))
        # With all clients here and the batch not full the delay still runs: the batcher cannot know that nobody else comes.
        start = max(free, filling[-1]) if len(filling) == max_batch else closes
        took = t0_ms + k_ms * len(filling)
        free = start + took
        batches += 1
        busy += took
        for arrival in filling:
            latency.append(free - arrival)
            heapq.heappush(waiting, free + think_ms * next(pauses, 1.0))
    counted = np.array(latency[int(len(latency) * WARM_UP_SHARE) :])
    return BatcherRun(counted, len(latency) / batches, busy / free, len(latency) / free)
