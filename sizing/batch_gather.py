"""Dynamic batching as a server offers it: a wait to fill the batch, and several instances of the model on one GPU.

Without either, `batch_queue` answers. With them the batches of a GPU are followed one after another in many copies side
by side: the number waiting and the age of the oldest go from batch to batch, arrivals between two of them are Poisson counts. The
seed is fixed, so that the same load has the same answer. Tests and DYNAMIC_BATCHING.md compare it with the event simulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sizing.batch_queue import (
    PERCENTILES,
    TABLE_STEP,
    TABLE_TO,
    BatchQueue,
    Floats,
    batch_queue,
    log_factorial,
    waiting_after_batch,
)

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
STEPS_TOGETHER = 10
"""Batches whose latencies are put into bins at once [1]; divides COUNTED_BATCHES."""

LEVELS = 512
"""Shares of a Poisson distribution in the table of counts [1]."""

CALLS_KEPT = 64
"""Answers kept [1]."""


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
    arrays = np.broadcast_arrays(*map(np.atleast_1d, (t0_ms, k_ms, max_batch, rate_per_ms)))
    columns = np.array(arrays, dtype=np.float64)
    answer = _answers(columns.tobytes(), columns.shape, delay_ms, instances, overlap_share)
    p50, p95, p99, mean, batch, load = answer.copy()
    return BatchQueue(p50_ms=p50, p95_ms=p95, p99_ms=p99, mean_ms=mean, mean_batch=batch, load=load)


@lru_cache(maxsize=CALLS_KEPT)
def _answers(columns: bytes, shape: tuple[int, int], delay: float, instances: int, overlap_share: float) -> Floats:
    """Rows p50, p95, p99, mean [ms], mean batch and load; kept, as the loads tried stay the same when the rate moves."""
    t0, k, limit, rate = np.frombuffer(columns).reshape(shape)
    load = rate / capacity_per_ms(t0_ms=t0, k_ms=k, max_batch=limit, instances=instances, overlap_share=overlap_share)
    answer = np.full((6, len(load)), np.inf)
    answer[5] = load
    single = (
        (limit == 1.0) | (delay <= 0.0) if instances == 1 else np.zeros(len(load), dtype=bool)
    )  # nothing waits to fill
    if single.any():
        q = batch_queue(t0_ms=t0[single], k_ms=k[single], max_batch=limit[single], rate_per_ms=rate[single])
        answer[:5, single] = np.stack([q.p50_ms, q.p95_ms, q.p99_ms, q.mean_ms, q.mean_batch])
    slow = (load > HIGH_LOAD) | ((load > HIGH_LOAD_SMALL_BATCH) & (limit <= SMALL_BATCH))
    for rows, factor in (
        (np.flatnonzero(~slow & ~single), 1),
        (np.flatnonzero(slow & (load < 1.0) & ~single), HIGH_LOAD_FACTOR),
    ):
        if len(rows):
            answer[:5, rows] = _follow(
                t0[rows],
                k[rows],
                limit[rows],
                rate[rows],
                delay=delay,
                instances=instances,
                overlap_share=overlap_share,
                copies=COPIES * factor,
            )
    return answer


def forget() -> None:
    """Drop the answers that are kept, for benchmarks."""
    _answers.cache_clear()


DRAWS = ("came", "more", "before", "after", "first", "idle", *(f"position {n}" for n in range(POSITIONS)))
AS_NORMALS = 4
"""So many of DRAWS, the first, are also wanted as quantiles of a normal distribution [count]."""


@dataclass(frozen=True)
class Draws:
    """Random shares in (0, 1) of each name of DRAWS and as normal quantiles, (step, copy); `start` are those of the first state."""

    share: dict[str, Floats]
    normal: dict[str, Floats]
    start: Floats


@lru_cache(maxsize=2)
def _draws(copies: int) -> Draws:
    """The draws of so many copies. At each step the copies have one share in each of as many equal parts, in random order, which is
    less noise than free draws. All GPUs meet the same shares, so that neither order nor company changes an answer.
    """
    random = np.random.default_rng(11)
    shape = (len(DRAWS), WARM_UP_BATCHES + COUNTED_BATCHES, copies)
    part = random.permuted(np.broadcast_to(np.arange(copies), shape), axis=2)
    shares = (part + random.random(shape)) / copies
    at = (np.arange(8 * LEVELS) + 0.5) / (8 * LEVELS)
    normals = np.interp(shares[:AS_NORMALS], at, [NormalDist().inv_cdf(share) for share in at.tolist()])
    start = random.permutation((np.arange(copies) + 0.5) / copies)
    return Draws(dict(zip(DRAWS, shares, strict=True)), dict(zip(DRAWS, normals, strict=False)), start)


@lru_cache(maxsize=1)
def _counts() -> NDArray[np.int8]:
    """Poisson quantiles, (expected arrivals in steps of TABLE_STEP, share in LEVELS parts), one row after another."""
    expected = np.arange(0.0, TABLE_TO, TABLE_STEP)[:, None]
    count = np.arange(4 * int(TABLE_TO))
    mass = np.exp(count * np.log(np.maximum(expected, 1e-300)) - expected - log_factorial(count.astype(np.float64)))
    shares = (np.arange(LEVELS) + 0.5) / LEVELS
    return np.concatenate([np.searchsorted(row, shares) for row in np.cumsum(mass, axis=1)]).astype(np.int8)


def _arrived(expected: Floats, share: Floats, normal: Floats) -> Floats:
    """Poisson counts [1] at shares of their distribution: from the table, beyond it by Cornish and Fisher's expansion."""
    index = np.minimum(np.rint(expected / TABLE_STEP), TABLE_TO / TABLE_STEP - 1).astype(np.intp)
    index *= LEVELS
    index += (share * LEVELS).astype(np.intp)
    found = np.asarray(_counts().take(index), dtype=np.float64)
    if expected.max() >= TABLE_TO - 1.0:
        where = np.nonzero(expected >= TABLE_TO - 1.0)
        mean, z = expected[where], normal[where[1]]
        found[where] = np.rint(np.maximum(mean + z * np.sqrt(mean) + (z**2 - 1.0) / 6.0, 0.0))
    return found


def _gamma(shape: Floats, normal: Floats) -> Floats:
    """Gamma variates [1] from normal ones, by Wilson and Hilferty's cube."""
    cube = np.maximum(1.0 - 1.0 / (9.0 * shape) + normal / (3.0 * np.sqrt(shape)), 0.05)
    return np.asarray(shape * cube * cube * cube)


def _follow(
    t0: Floats,
    k: Floats,
    limit: Floats,
    rate: Floats,
    *,
    delay: float,
    instances: int,
    overlap_share: float,
    copies: int,
) -> Floats:
    """Rows p50, p95, p99, mean latency [ms] and mean batch; columns as the inputs. Times count from the last start."""
    draws = _draws(copies)
    share, normal = draws.share, draws.normal
    kinds = len(t0)
    shape = (kinds, copies)
    t0, k, limit, rate = (a[:, None] for a in (t0, k, limit, rate))
    overlap = overlap_share * t0 if instances > 1 else 0.0 * t0
    own = t0 - overlap
    full = limit / capacity_per_ms(t0_ms=t0, k_ms=k, max_batch=limit, instances=instances, overlap_share=overlap_share)
    waiting = waiting_after_batch(
        t0_ms=np.maximum(full - k * limit, 1e-9)[:, 0],
        k_ms=k[:, 0],
        max_batch=limit[:, 0],
        rate_per_ms=rate[:, 0],
        shares=draws.start,
    )
    oldest = -waiting / rate
    ends = [np.zeros(shape) for _ in range(instances)]
    alone = (t0 + k)[:, 0]
    latencies = np.empty((kinds, STEPS_TOGETHER, POSITIONS + 2, copies), dtype=np.float32)
    weights = np.ones_like(latencies)
    counted, batches, requests, total = np.zeros((kinds, BINS)), 0, np.zeros(kinds), np.zeros(kinds)
    log_first = np.log(share["first"])
    idle = -np.log(share["idle"])
    for step in range(WARM_UP_BATCHES + COUNTED_BATCHES):
        free = np.maximum(ends.pop(0), 0.0)
        came = _arrived(rate * free, share["came"][step], normal["came"][step])
        first = free * (1.0 - np.exp(log_first[step] / np.maximum(came, 1.0)))
        idle_until = free + idle[step] / rate
        here = waiting + came
        alone_next = here == 0
        oldest = np.where(waiting > 0, oldest, np.where(alone_next, idle_until, first))
        ready = np.where(alone_next, idle_until, free)
        here = np.maximum(here, 1.0)
        start, batch, closed = ready, np.minimum(here, limit), np.zeros(shape)
        if delay > 0.0:
            room = np.where(here < limit, np.maximum(oldest + delay - ready, 0.0), 0.0)
            more = _arrived(rate * room, share["more"][step], normal["more"][step])
            fills = (here + more >= limit) & (here < limit)
            batch = np.minimum(here + more, limit)
            start = ready + room
            at = np.nonzero(fills)
            missing = (limit - here)[at]
            before = _gamma(missing, normal["before"][step][at[1]])
            after = _gamma(more[at] - missing + 1.0, normal["after"][step][at[1]])
            start[at] = ready[at] + room[at] * before / (before + after)
            closed = fills.astype(np.float64)  # the one that fills the batch comes as it starts
        left = np.maximum(here - limit, 0.0)
        newest = np.where(left > 0, oldest + (ready - oldest) * limit / here, start)
        end = np.maximum(start + overlap, ends[-1] if ends else 0.0) + own + k * batch
        if step >= WARM_UP_BATCHES:
            batches += copies
            requests += batch.sum(axis=1)
            span = newest - oldest
            at_step = (step - WARM_UP_BATCHES) % STEPS_TOGETHER
            into, weight = latencies[:, at_step], weights[:, at_step]
            into[:, 0], into[:, 1] = end - oldest, end - start
            weight[:, 1] = closed
            each = (batch - 1.0 - closed) / POSITIONS
            for position in range(POSITIONS):
                part = (position + share[f"position {position}"][step]) / POSITIONS
                into[:, position + 2] = into[:, 0] - span * part
                weight[:, position + 2] = each
            if at_step == STEPS_TOGETHER - 1:
                more_total, more_counted = _binned(latencies, weights, alone)
                total += more_total
                counted += more_counted
        waiting, oldest = left, newest - start
        ends = [e - start for e in (*ends, end)]
    below = np.cumsum(counted, axis=1)
    below /= below[:, -1:]
    percentiles = [alone * np.exp((below < level).sum(axis=1) * BIN_SHARE) for level in PERCENTILES]
    return np.stack([*percentiles, total / requests, requests / batches])


def _binned(latencies: NDArray[np.float32], weights: NDArray[np.float32], alone: Floats) -> tuple[Floats, Floats]:
    """Sum of latency x weight of each GPU [ms], and the weight in each bin of ln(latency / alone), (GPU, bin)."""
    kinds = len(alone)
    flat, weight = latencies.reshape(kinds, -1), weights.reshape(kinds, -1)
    bins = np.log(flat / alone[:, None].astype(np.float32))
    bins *= np.float32(1.0 / BIN_SHARE)
    bins += np.float32(0.5)
    index = np.clip(bins, 0, BINS - 1).astype(np.intp)
    counts = [np.bincount(i, w, minlength=BINS) for i, w in zip(index, weight, strict=True)]
    return np.einsum("ij,ij->i", flat, weight, dtype=np.float64), np.stack(counts)


def fill_ms(*, rate_per_ms: float, max_batch: int, delay_ms: float) -> float:
    """Mean wait of the oldest request until its batch starts at an idle GPU [ms]: min(delay, time until B - 1 more arrive).

    >>> fill_ms(rate_per_ms=1.0, max_batch=5, delay_ms=10.0), fill_ms(rate_per_ms=0.1, max_batch=5, delay_ms=10.0)
    (4.0, 10.0)
    """
    return min(delay_ms, (max_batch - 1) / rate_per_ms)
