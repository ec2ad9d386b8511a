"""Dynamic batching at one server (a GPU, or a worker process): when it becomes free it takes all that wait, at most the largest
batch, at once.

A batch of b takes s(b) = t0 + k b. Open loop: requests arrive at random, and the number waiting when a batch ends is a Markov
chain, next = max(n - B, 0) + Poisson(rate x s(batch)), solved exactly for small batches and on a coarser grid for large ones;
what a request then meets (rest of the running batch, full batches before it, its own batch) gives the percentiles. A fixed
number of clients is in sizing.deep_learning.closed.

Source: the batch-service queue of Inoue, arXiv:1912.06322 (take all that wait, time linear in the batch), here with a largest
batch and percentiles, solved numerically. Tests compare it with an event simulation and, at batch 1, with Pollaczek-Khinchine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

GRID_LEVELS = 12
"""Grid steps to the largest batch met [1]: exact up to this batch, coarser beyond. Tests hold the error on percentiles."""

GRID_STATES = 42
"""Grid steps of the number waiting [1]: three and a half largest batches, enough up to a load of 0.9 of a full GPU."""

GRID_STATES_HIGH_LOAD = 144
"""Grid steps above that load, where the queue grows beyond a few batches [1]."""

HIGH_LOAD = 0.9

BATCH_REACH = 4.0
"""Standard deviations above the mean batch that the grid covers [1]; a larger limit on the batch is then never met."""

POINTS = 60
"""Arrival moments and arrival counts sampled for each state [1], on a golden-ratio lattice."""

LATTICE_STRIDE = 7
"""Step through the lattice that unties arrivals after a request from those before it [1]; prime to POINTS."""

TABLE_TO = 20.0
"""Expected arrivals up to which Poisson quantiles are taken from a table [1]."""

TABLE_STEP = 0.01

RARE = 1e-8
"""Chance [1] of all the states beyond which a queue is not followed; it moves a p99 by less than 0.001 %."""

VALUES_TOGETHER = 32_000
"""Latencies worked on at once [1]: queues with about as many states go together, and the arrays stay in the cache."""

CHANCES_TOGETHER = 120_000
"""Chances of going from one number waiting to another that are worked on at once [1], for the same reason."""

NEVER_MS = 1e300
"""Put in the place of a latency that nobody has, so that it sorts last and a queue's answer does not depend on its neighbours."""

PERCENTILES = (0.50, 0.95, 0.99)


@dataclass(frozen=True)
class BatchQueue:
    """Latency [ms] of requests at GPUs with dynamic batching; arrays over GPUs. Infinite where the load is not stable."""

    p50_ms: Floats
    p95_ms: Floats
    p99_ms: Floats
    mean_ms: Floats
    mean_batch: Floats
    load: Floats

    def percentile_ms(self, percentile: int) -> Floats:
        """Latency not exceeded by so many per cent of requests [ms]; 50, 95 or 99."""
        return {50: self.p50_ms, 95: self.p95_ms, 99: self.p99_ms}[percentile]


def batch_queue(*, t0_ms: ArrayLike, k_ms: ArrayLike, max_batch: ArrayLike, rate_per_ms: ArrayLike) -> BatchQueue:
    """Latency percentiles [ms] of an open loop at one GPU, for many GPUs at once: rest of running batch + batches before + own.

    `rate_per_ms` requests arrive at each GPU [1/ms], at random. With no load the latency is t0 + k.

    Source: see the module.

    >>> q = batch_queue(t0_ms=1.0, k_ms=0.1, max_batch=32, rate_per_ms=1e-6)
    >>> q.p99_ms.round(3)
    array([1.1])
    """
    t0, k, limit, rate = (
        np.array(a) for a in np.broadcast_arrays(*map(np.atleast_1d, (t0_ms, k_ms, max_batch, rate_per_ms)))
    )
    t0, k, limit, rate = (a.astype(np.float64) for a in (t0, k, limit, rate))
    load = rate * (t0 + k * limit) / limit
    count = len(load)
    answer = np.full((5, count), np.inf)
    for rows, states in _by_load(load):
        answer[:, rows] = _solve(t0[rows], k[rows], limit[rows], rate[rows], states)
    p50, p95, p99, mean, batch = answer
    return BatchQueue(p50_ms=p50, p95_ms=p95, p99_ms=p99, mean_ms=mean, mean_batch=batch, load=load)


def _solve(t0: Floats, k: Floats, limit: Floats, rate: Floats, states: int) -> Floats:
    """Rows p50, p95, p99, mean latency [ms] and mean batch; columns as the inputs, all of them stable."""
    stationary, step, levels = _chain(t0, k, limit, rate, states)
    # Requests meet the states by chance x arrivals; the rare states at the end of the grid, most of it at low load, are left out.
    tail = np.cumsum(stationary[:, ::-1], axis=1)[:, ::-1]
    needed = np.maximum((tail > RARE).sum(axis=1), 2)
    answer = np.empty((5, len(t0)))
    alike = np.argsort(needed, kind="stable")
    while len(alike):
        many = max(1, VALUES_TOGETHER // (int(needed[alike[0]]) * POINTS))
        rows, alike = alike[:many], alike[many:]
        common = np.where(np.arange(needed[rows[-1]]) < needed[rows, None], stationary[rows, : needed[rows[-1]]], 0.0)
        answer[:, rows] = _latencies(common, t0[rows], k[rows], limit[rows], rate[rows], step[rows], levels[rows])
    return answer


def _latencies(
    stationary: Floats,
    t0: Floats,
    k: Floats,
    limit: Floats,
    rate: Floats,
    step: Floats,
    levels: NDArray[np.int64],
) -> Floats:
    """As `_solve`, for the states of each queue that are common enough; the others have chance 0."""
    rows, states = stationary.shape
    state, points = np.arange(states), np.arange(POINTS)
    served = np.minimum(state, levels[:, None])
    batch = np.where(state == 0, 1.0, served * step[:, None])
    service = t0[:, None] + k[:, None] * batch
    # A request meets a running batch in proportion to the batch's length; one in each idle spell starts a batch of its own.
    met = rate[:, None] * service
    weight = stationary * met / POINTS
    alone = stationary[:, :1]
    backlog = np.maximum(state - levels[:, None], 0) * step[:, None]
    elapsed = (points + 0.5) / POINTS
    most = limit[:, None, None]
    ahead = _poisson_quantile(met[:, :, None] * elapsed, points)
    ahead += backlog[:, :, None]
    before = np.floor(ahead / most)
    until_start = service[:, :, None] * (1.0 - elapsed)
    until_start += before * (t0 + k * limit)[:, None, None]
    joining = _poisson_quantile(rate[:, None, None] * until_start, (points * LATTICE_STRIDE + 3) % POINTS)
    own = ahead
    own -= before * most
    own += 1.0
    own += joining
    np.minimum(own, most, out=own)
    own *= k[:, None, None]
    latency = until_start
    latency += t0[:, None, None]
    latency += own
    latency[stationary == 0.0] = NEVER_MS
    values = np.concatenate([(t0 + k)[:, None], latency.reshape(rows, -1)], axis=1)
    total = alone[:, 0] + weight.sum(axis=1) * POINTS
    weights = np.concatenate([alone, np.repeat(weight, POINTS, axis=1)], axis=1) / total[:, None]
    percentiles = weighted_percentiles(values, weights)
    return np.stack([*percentiles, (values * weights).sum(axis=1), (stationary * batch).sum(axis=1)])


def weighted_percentiles(values: Floats, weights: Floats) -> list[Floats]:
    """p50, p95, p99 of each row of values; the first column holds those that wait for nothing, the least of all."""
    order = np.argsort(values, axis=1, kind="stable")
    sorted_weights = np.take_along_axis(weights, order, axis=1)
    # A point stands for its neighbourhood: its value is met in the middle of its weight, straight lines between.
    middle = np.cumsum(sorted_weights, axis=1) - sorted_weights / 2.0
    middle[:, 0] = sorted_weights[:, 0]  # those who wait for nothing are no neighbourhood: all have the least value
    percentiles, at = [], np.arange(len(values))
    for share in PERCENTILES:
        after = np.clip((middle < share).sum(axis=1), 1, values.shape[1] - 1)
        low, high = middle[at, after - 1], middle[at, after]
        part = np.clip((share - low) / np.maximum(high - low, 1e-15), 0.0, 1.0)
        below, above = values[at, order[at, after - 1]], values[at, order[at, after]]
        percentiles.append(below * (1.0 - part) + above * part)
    return percentiles


def _chain(t0: Floats, k: Floats, limit: Floats, rate: Floats, states: int) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Chance of each number waiting at the end of a batch, the grid's step [requests], and its steps to the largest batch."""
    drift = np.minimum(rate * k, 0.999)
    mean = np.minimum(np.maximum(rate * t0 / (1.0 - drift), rate * (t0 + k)), limit)
    reach = np.minimum(limit, np.ceil(mean + BATCH_REACH * np.sqrt(mean / (1.0 - drift**2)) + 1.0))
    levels = np.minimum(reach, GRID_LEVELS).astype(np.int64)
    step = reach / levels
    state = np.arange(states)
    batch = np.where(state == 0, 1.0, np.minimum(state, levels[:, None]) * step[:, None])
    service = t0[:, None] + k[:, None] * batch
    arrivals = _arrivals((rate[:, None] * service)[:, : GRID_LEVELS + 1], step, states)
    return _stationary(arrivals, levels, states), step, levels


def waiting_after_batch(
    *, t0_ms: Floats, k_ms: Floats, max_batch: Floats, rate_per_ms: Floats, shares: Floats
) -> Floats:
    """Number waiting when a batch ends [requests], at each of the `shares` of its distribution: (GPU, share). Loads below 1."""
    answer = np.empty((len(t0_ms), len(shares)))
    for rows, states in _by_load(rate_per_ms * (t0_ms / max_batch + k_ms)):
        found, step, _ = _chain(t0_ms[rows], k_ms[rows], max_batch[rows], rate_per_ms[rows], states)
        state = (np.cumsum(found, axis=1)[:, None, :] < shares[None, :, None]).sum(axis=2)
        answer[rows] = np.rint(state * step[:, None])
    return answer


def _by_load(load: Floats) -> Iterator[tuple[NDArray[np.intp], int]]:
    """Rows of stable queues and the states they are followed for [count], those of a low and those of a high load."""
    for wanted, states in (
        (load <= HIGH_LOAD, GRID_STATES),
        ((load > HIGH_LOAD) & (load < 1.0), GRID_STATES_HIGH_LOAD),
    ):
        rows = np.flatnonzero(wanted)
        if len(rows):
            yield rows, states


@lru_cache(maxsize=1)
def lattice() -> Floats:
    """Normal quantiles that stand for the number of arrivals, in an order unrelated to the moments of arrival."""
    shares = np.mod((np.arange(POINTS) + 0.5) * (math.sqrt(5.0) - 1.0) / 2.0, 1.0)
    return np.array([NormalDist().inv_cdf(float(share)) for share in shares])


@lru_cache(maxsize=1)
def _poisson_table() -> NDArray[np.int8]:
    """Poisson quantiles (expected arrivals in steps of TABLE_STEP, lattice point), exact."""
    expected = np.arange(0.0, TABLE_TO, TABLE_STEP)[:, None]
    count = np.arange(4 * int(TABLE_TO))
    mass = np.exp(count * np.log(np.maximum(expected, 1e-300)) - expected - log_factorial(count.astype(np.float64)))
    shares = np.array([NormalDist().cdf(float(z)) for z in lattice()])
    cumulative = np.cumsum(mass, axis=1)
    return np.stack([(cumulative < share).sum(axis=1) for share in shares], axis=1).astype(np.int8)


def _poisson_quantile(expected: Floats, points: NDArray[np.int64]) -> Floats:
    """Quantile of a Poisson count at each lattice point: from the table, beyond it by Cornish and Fisher's expansion."""
    index = np.minimum(np.rint(expected / TABLE_STEP), TABLE_TO / TABLE_STEP - 1).astype(np.intp)
    index *= POINTS
    index += points
    found = np.asarray(_poisson_table().take(index), dtype=np.float64)
    if expected.max() >= TABLE_TO - 1.0:
        where = np.nonzero(expected >= TABLE_TO - 1.0)
        mean, normal = expected[where], lattice()[points][where[-1]]
        found[where] = np.rint(np.maximum(mean + normal * np.sqrt(mean) + (normal**2 - 1.0) / 6.0, 0.0))
    return found


def _arrivals(expected: Floats, step: Floats, states: int) -> Floats:
    """Distribution of arrivals during a batch on the grid: (queue, batch level, grid steps)."""
    grid = np.arange(states) * step[:, None]
    of_factorial = log_factorial(grid)
    log_mean = np.log(np.maximum(expected, 1e-300))
    log_mass = grid[:, None, :] * log_mean[:, :, None] - of_factorial[:, None, :]
    mass = np.exp(log_mass - log_mass.max(axis=2, keepdims=True))
    mass /= mass.sum(axis=2, keepdims=True)
    # A grid coarser than the law would round its mean, and with it the load: neighbours share so that the mean stays.
    missing = (expected - (mass * grid[:, None, :]).sum(axis=2)) / step[:, None]
    share = np.clip(np.abs(missing), 0.0, 1.0)[:, :, None]
    up, down = np.roll(mass, 1, axis=2), np.roll(mass, -1, axis=2)
    up[:, :, 0] = down[:, :, -1] = 0.0
    moved = (1.0 - share) * mass + share * np.where(missing[:, :, None] > 0.0, up, down)
    return moved / moved.sum(axis=2, keepdims=True)


def log_factorial(count: Floats) -> Floats:
    """ln(count!) of counts that need not be whole: Stirling's series at count + 8, and back. Its error is below 1e-10."""
    shifted, product = count + 8.0, count + 8.0
    for step in range(1, 8):
        product = product * (count + step)
    series = 1.0 / (12.0 * shifted) - 1.0 / (360.0 * shifted**3) + 1.0 / (1260.0 * shifted**5)
    stirling = (shifted + 0.5) * np.log(shifted) - shifted + 0.5 * math.log(2.0 * math.pi) + series
    return np.asarray(stirling - np.log(product))


def _stationary(arrivals: Floats, levels: NDArray[np.int64], states: int) -> Floats:
    """Chance of each number waiting at the end of a batch (queue, grid steps), from the chain of the module."""
    state = np.arange(states)
    together = max(1, CHANCES_TOGETHER // states**2)
    found = np.empty((len(levels), states))
    for first in range(0, len(levels), together):
        part, came = levels[first : first + together, None], arrivals[first : first + together]
        rows = np.arange(len(part))[:, None, None]
        backlog, level = np.maximum(state - part, 0), np.minimum(state, part)
        moved = state - backlog[:, :, None]
        chain = np.where(moved >= 0, came[rows, level[:, :, None], np.maximum(moved, 0)], 0.0)
        chain[:, :, -1] += 1.0 - chain.sum(axis=2)
        balance = np.eye(states) - chain.transpose(0, 2, 1)
        balance[:, -1, :] = 1.0
        right = np.zeros((len(part), states, 1))
        right[:, -1] = 1.0
        found[first : first + together] = np.maximum(np.linalg.solve(balance, right)[:, :, 0], 0.0)
    return found / found.sum(axis=1, keepdims=True)
