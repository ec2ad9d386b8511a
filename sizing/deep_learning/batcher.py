"""Dynamic batching as a server offers it: a wait to fill the batch, and several instances of the model on one GPU.

Without either, `batching.batch_queue` answers. With them the batches of a GPU are followed one after another in many copies side
by side: the number waiting and the age of the oldest go from batch to batch, arrivals between two of them are Poisson counts. The
seed is fixed, so that the same load has the same answer. Tests and DYNAMIC_BATCHING.md compare it with the event simulation.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from sizing.deep_learning.batching import PERCENTILES, BatchQueue, Floats, batch_queue, waiting_after_batch

OVERLAP_SHARE = 1 / 3
"""Share of t0 that overlaps with the batches of another instance [1]; the rest of a batch has the GPU to itself.
Source: Triton's optimization guide, Inception on one GPU, 73.2 requests/s with one instance and 110.2 with two; with t0 13.3 ms
from its batches of 4, that is a third (server repository docs/user_guide/optimization.md, 2025). One model: 80 % range 0.1 to 0.8."""

COPIES = 96
WARM_UP_BATCHES = 30
COUNTED_BATCHES = 110
"""Copies of each GPU followed side by side, and batches of a copy before and while latencies are counted [1]. Copies start with
what waits at a GPU of the same capacity that has one instance and no delay, so that a long queue need not build up first."""

HIGH_LOAD = 0.75
SMALL_BATCH = 4
HIGH_LOAD_SMALL_BATCH = 0.5
HIGH_LOAD_FACTOR = 4
"""Above these loads [1], the lower one for small batches [requests], so many times more copies are
followed: a queue forgets its start slowly, so copies count, not batches."""

POSITIONS = 3
"""Requests of a batch, beside its oldest, whose latency is counted [1]."""

BIN_SHARE = 0.005
"""Width of the bins of the latency histogram [1]."""
BINS = 3000


def capacity_per_ms(
    *, t0_ms: ArrayLike, k_ms: ArrayLike, max_batch: ArrayLike, instances: int = 1, overlap_share: float = OVERLAP_SHARE
) -> Floats:
    """Most requests one GPU can serve [1/ms]: B / max(own, (overlap + own) / instances), own = t0 - overlap + k B.

    >>> float(capacity_per_ms(t0_ms=3.0, k_ms=1.0, max_batch=3)), float(capacity_per_ms(t0_ms=3.0, k_ms=1.0, max_batch=3, instances=2))
    (0.5, 0.6)
    """
    t0, k, limit = (np.asarray(a, dtype=np.float64) for a in (t0_ms, k_ms, max_batch))
    whole = t0 + k * limit
    overlap = overlap_share * t0 if instances > 1 else 0.0 * t0
    return np.asarray(limit / np.maximum(whole - overlap, whole / instances))


def batcher(
    *,
    t0_ms: ArrayLike,
    k_ms: ArrayLike,
    max_batch: ArrayLike,
    rate_per_ms: ArrayLike,
    delay_ms: float = 0.0,
    instances: int = 1,
    overlap_share: float = OVERLAP_SHARE,
) -> BatchQueue:
    """Latency percentiles [ms] of an open loop at one GPU, for many GPUs at once; a batch starts when an instance is free and
    the largest batch is full or the oldest has waited `delay_ms`. `rate_per_ms` requests arrive at each GPU [1/ms].

    Source: Triton's dynamic batcher (model_configuration.md, max_queue_delay_microseconds); see the module.

    >>> q = batcher(t0_ms=1.0, k_ms=0.1, max_batch=32, rate_per_ms=1e-6, delay_ms=2.0)
    >>> bool(abs(q.p99_ms[0] / 3.1 - 1) < 0.01)
    True
    """
    if delay_ms <= 0.0 and instances == 1:
        return batch_queue(t0_ms=t0_ms, k_ms=k_ms, max_batch=max_batch, rate_per_ms=rate_per_ms)
    arrays = np.broadcast_arrays(*map(np.atleast_1d, (t0_ms, k_ms, max_batch, rate_per_ms)))
    t0, k, limit, rate = (np.array(a, dtype=np.float64) for a in arrays)
    load = rate / capacity_per_ms(t0_ms=t0, k_ms=k, max_batch=limit, instances=instances, overlap_share=overlap_share)
    answer = np.full((5, len(load)), np.inf)
    single = limit == 1.0 if instances == 1 else np.zeros(len(load), dtype=bool)  # nothing to fill, so no delay
    if single.any():
        q = batch_queue(t0_ms=t0[single], k_ms=k[single], max_batch=1.0, rate_per_ms=rate[single])
        answer[:, single] = np.stack([q.p50_ms, q.p95_ms, q.p99_ms, q.mean_ms, q.mean_batch])
    follow = partial(_follow, delay=delay_ms, instances=instances, overlap_share=overlap_share)
    slow = (load > HIGH_LOAD) | ((load > HIGH_LOAD_SMALL_BATCH) & (limit <= SMALL_BATCH))
    for rows, factor in (
        (np.flatnonzero(~slow & ~single), 1),
        (np.flatnonzero(slow & (load < 1.0) & ~single), HIGH_LOAD_FACTOR),
    ):
        if len(rows):
            answer[:, rows] = follow(t0[rows], k[rows], limit[rows], rate[rows], factor=factor)
    p50, p95, p99, mean, batch = answer
    return BatchQueue(p50_ms=p50, p95_ms=p95, p99_ms=p99, mean_ms=mean, mean_batch=batch, load=load)


def _follow(
    t0: Floats,
    k: Floats,
    limit: Floats,
    rate: Floats,
    *,
    delay: float,
    instances: int,
    overlap_share: float,
    factor: int,
) -> Floats:
    """Rows p50, p95, p99, mean latency [ms] and mean batch; columns as the inputs. Times count from the last start."""
    random = np.random.default_rng(11)
    kinds, copies = len(t0), COPIES * factor
    shape = (kinds, copies)
    t0, k, limit, rate = (a[:, None] for a in (t0, k, limit, rate))
    overlap = overlap_share * t0 if instances > 1 else 0.0 * t0
    own = t0 - overlap
    full = limit / capacity_per_ms(t0_ms=t0, k_ms=k, max_batch=limit, instances=instances, overlap_share=overlap_share)
    shares = random.permutation((np.arange(copies) + 0.5) / copies)
    waiting = waiting_after_batch(
        t0_ms=np.maximum(full - k * limit, 1e-9)[:, 0],
        k_ms=k[:, 0],
        max_batch=limit[:, 0],
        rate_per_ms=rate[:, 0],
        shares=shares,
    )
    oldest = -waiting / rate
    ends = [np.zeros(shape) for _ in range(instances)]
    alone = (t0 + k)[:, 0]
    counted, batches, requests, total = np.zeros((kinds, BINS)), 0, np.zeros(kinds), np.zeros(kinds)
    offset = (np.arange(kinds) * BINS)[:, None]
    for step in range(WARM_UP_BATCHES + COUNTED_BATCHES):
        free = np.maximum(ends.pop(0), 0.0)
        came = random.poisson(rate * free)
        first = free * (1.0 - random.random(shape) ** (1.0 / np.maximum(came, 1)))
        idle_until = free + random.exponential(1.0, shape) / rate
        here = waiting + came
        alone_next = here == 0
        oldest = np.where(waiting > 0, oldest, np.where(alone_next, idle_until, first))
        ready = np.where(alone_next, idle_until, free)
        here = np.where(alone_next, 1.0, here)
        start, batch, closed = ready, np.minimum(here, limit), np.zeros(shape)
        if delay > 0.0:
            room = np.where(here < limit, np.maximum(oldest + delay - ready, 0.0), 0.0)
            more = random.poisson(rate * room)
            fills = (here + more >= limit) & (here < limit)
            missing = np.maximum(limit - here, 1.0)
            before, after = random.standard_gamma(missing), random.standard_gamma(np.maximum(more - missing, 0.0) + 1.0)
            start = ready + np.where(fills, room * before / (before + after), room)
            batch = np.minimum(here + more, limit)
            closed = np.where(fills, 1.0, 0.0)  # the one that fills the batch comes as it starts
        left = np.maximum(here - limit, 0.0)
        newest = np.where(left > 0, oldest + (ready - oldest) * limit / here, start)
        end = np.maximum(start + overlap, ends[-1] if ends else 0.0) + own + k * batch
        if step >= WARM_UP_BATCHES:
            batches += copies
            requests += batch.sum(axis=1)
            span = newest - oldest
            samples = [(end - oldest, np.ones(shape)), (end - start, closed)]
            for position in range(POSITIONS):
                at = (position + random.random(shape)) / POSITIONS
                samples.append((end - oldest - span * at, (batch - 1.0 - closed) / POSITIONS))
            for latency, weight in samples:
                total += (latency * weight).sum(axis=1)
                bins = np.clip(np.log(latency / alone[:, None]) / BIN_SHARE + 0.5, 0, BINS - 1).astype(np.int64)
                flat = np.bincount((bins + offset).ravel(), weight.ravel(), minlength=kinds * BINS)
                counted += flat.reshape(kinds, BINS)
        waiting, oldest = left, newest - start
        ends = [e - start for e in (*ends, end)]
    below = np.cumsum(counted, axis=1)
    below /= below[:, -1:]
    percentiles = [alone * np.exp((below < share).sum(axis=1) * BIN_SHARE) for share in PERCENTILES]
    return np.stack([*percentiles, total / requests, requests / batches])


def fill_ms(*, rate_per_ms: float, max_batch: int, delay_ms: float) -> float:
    """Mean wait of the oldest request until its batch starts at an idle GPU [ms]: min(delay, time until B - 1 more arrive).

    >>> fill_ms(rate_per_ms=1.0, max_batch=5, delay_ms=10.0), fill_ms(rate_per_ms=0.1, max_batch=5, delay_ms=10.0)
    (4.0, 10.0)
    """
    return min(delay_ms, (max_batch - 1) / rate_per_ms)
