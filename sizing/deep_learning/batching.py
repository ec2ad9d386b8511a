"""Dynamic batching on one GPU: when the GPU becomes free it takes all that wait, at most the largest batch, at once.

A batch of b takes s(b) = t0 + k b. Open loop: requests arrive at random, and the number waiting when a batch ends is a Markov
chain, next = max(n - B, 0) + Poisson(rate x s(batch)), solved exactly for small batches and on a coarser grid for large ones;
what a request then meets (rest of the running batch, full batches before it, its own batch) gives the percentiles. Closed
loop: N clients, mean values with what the other N - 1 leave behind.

Source: the batch-service queue of Inoue, arXiv:1912.06322 (take all that wait, time linear in the batch), here with a largest
batch and percentiles, solved numerically. Tests compare it with an event simulation and, at batch 1, with Pollaczek-Khinchine.
"""

from __future__ import annotations

import math
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
    for rows, states in (
        (np.flatnonzero(load <= HIGH_LOAD), GRID_STATES),
        (np.flatnonzero((load > HIGH_LOAD) & (load < 1.0)), GRID_STATES_HIGH_LOAD),
    ):
        if len(rows):
            answer[:, rows] = _solve(t0[rows], k[rows], limit[rows], rate[rows], states)
    p50, p95, p99, mean, batch = answer
    return BatchQueue(p50_ms=p50, p95_ms=p95, p99_ms=p99, mean_ms=mean, mean_batch=batch, load=load)


def _solve(t0: Floats, k: Floats, limit: Floats, rate: Floats, states: int) -> Floats:
    """Rows p50, p95, p99, mean latency [ms] and mean batch; columns as the inputs, all of them stable."""
    state = np.arange(states)
    stationary, step, levels = _chain(t0, k, limit, rate, states)
    served = np.minimum(state, levels[:, None])
    batch = np.where(state == 0, 1.0, served * step[:, None])
    service = t0[:, None] + k[:, None] * batch
    # A request meets a running batch in proportion to the batch's length; one in each idle spell starts a batch of its own.
    weight = stationary * rate[:, None] * service
    alone = stationary[:, 0]
    backlog = np.maximum(state - levels[:, None], 0) * step[:, None]
    elapsed, points = (np.arange(POINTS) + 0.5) / POINTS, np.arange(POINTS)
    rest = service[:, :, None] * (1.0 - elapsed)
    expected = rate[:, None, None] * service[:, :, None] * elapsed
    counted = _poisson_quantile(expected, points)
    ahead = backlog[:, :, None] + counted
    full_ms = (t0 + k * limit)[:, None, None]
    before = np.floor(ahead / limit[:, None, None])
    until_start = rest + before * full_ms
    after_me = rate[:, None, None] * (rest + before * full_ms)
    joining = _poisson_quantile(after_me, (points * LATTICE_STRIDE + 3) % POINTS)
    own = np.minimum(limit[:, None, None], ahead - before * limit[:, None, None] + 1.0 + joining)
    latency = until_start + t0[:, None, None] + k[:, None, None] * own
    rows = len(t0)
    values = np.concatenate([(t0 + k)[:, None], latency.reshape(rows, -1)], axis=1)
    weights = np.concatenate([alone[:, None], np.repeat(weight / POINTS, POINTS, axis=1)], axis=1)
    weights /= weights.sum(axis=1, keepdims=True)
    order = np.argsort(values, axis=1, kind="stable")
    sorted_values = np.take_along_axis(values, order, axis=1)
    sorted_weights = np.take_along_axis(weights, order, axis=1)
    # A point stands for its neighbourhood: its value is met in the middle of its weight, straight lines between.
    middle = np.cumsum(sorted_weights, axis=1) - sorted_weights / 2.0
    middle[:, 0] = sorted_weights[:, 0]  # those who wait for nothing are no neighbourhood: all have the least value
    percentiles = []
    for share in PERCENTILES:
        after = np.clip((middle < share).sum(axis=1), 1, values.shape[1] - 1)
        at = np.arange(rows)
        low, high = middle[at, after - 1], middle[at, after]
        part = np.clip((share - low) / np.maximum(high - low, 1e-15), 0.0, 1.0)
        percentiles.append(sorted_values[at, after - 1] * (1.0 - part) + sorted_values[at, after] * part)
    return np.stack([*percentiles, (values * weights).sum(axis=1), (stationary * batch).sum(axis=1)])


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
    found, step, _ = _chain(t0_ms, k_ms, max_batch, rate_per_ms, GRID_STATES_HIGH_LOAD)
    state = (np.cumsum(found, axis=1)[:, None, :] < shares[None, :, None]).sum(axis=2)
    return np.asarray(np.rint(state * step[:, None]))


@lru_cache(maxsize=1)
def _lattice() -> Floats:
    """Normal quantiles that stand for the number of arrivals, in an order unrelated to the moments of arrival."""
    shares = np.mod((np.arange(POINTS) + 0.5) * (math.sqrt(5.0) - 1.0) / 2.0, 1.0)
    return np.array([NormalDist().inv_cdf(float(share)) for share in shares])


@lru_cache(maxsize=1)
def _poisson_table() -> Floats:
    """Poisson quantiles (expected arrivals in steps of TABLE_STEP, lattice point), exact."""
    expected = np.arange(0.0, TABLE_TO, TABLE_STEP)[:, None]
    count = np.arange(4 * int(TABLE_TO))
    log_factorial = np.array([math.lgamma(c + 1.0) for c in count])
    mass = np.exp(count * np.log(np.maximum(expected, 1e-300)) - expected - log_factorial)
    shares = np.array([NormalDist().cdf(float(z)) for z in _lattice()])
    cumulative = np.cumsum(mass, axis=1)
    return np.stack([(cumulative < share).sum(axis=1) for share in shares], axis=1).astype(np.float64)


def _poisson_quantile(expected: Floats, points: NDArray[np.int64]) -> Floats:
    """Quantile of a Poisson count at each lattice point: from the table, beyond it by Cornish and Fisher's expansion."""
    index = np.minimum(np.rint(expected / TABLE_STEP), TABLE_TO / TABLE_STEP - 1).astype(np.int64)
    small, normal = _poisson_table()[index, points], _lattice()[points]
    large = np.rint(np.maximum(expected + normal * np.sqrt(expected) + (normal**2 - 1.0) / 6.0, 0.0))
    return np.where(expected < TABLE_TO - 1.0, small, large)


def _arrivals(expected: Floats, step: Floats, states: int) -> Floats:
    """Distribution of arrivals during a batch on the grid: (queue, batch level, grid steps)."""
    grid = np.arange(states) * step[:, None]
    log_factorial = np.array([[math.lgamma(v + 1.0) for v in row] for row in grid.tolist()])
    log_mean = np.log(np.maximum(expected, 1e-300))
    log_mass = grid[:, None, :] * log_mean[:, :, None] - log_factorial[:, None, :]
    mass = np.exp(log_mass - log_mass.max(axis=2, keepdims=True))
    mass /= mass.sum(axis=2, keepdims=True)
    # A grid coarser than the law would round its mean, and with it the load: neighbours share so that the mean stays.
    missing = (expected - (mass * grid[:, None, :]).sum(axis=2)) / step[:, None]
    share = np.clip(np.abs(missing), 0.0, 1.0)[:, :, None]
    up, down = np.roll(mass, 1, axis=2), np.roll(mass, -1, axis=2)
    up[:, :, 0] = down[:, :, -1] = 0.0
    moved = (1.0 - share) * mass + share * np.where(missing[:, :, None] > 0.0, up, down)
    return moved / moved.sum(axis=2, keepdims=True)


def _stationary(arrivals: Floats, levels: NDArray[np.int64], states: int) -> Floats:
    """Chance of each number waiting at the end of a batch (queue, grid steps), from the chain of the module."""
    state = np.arange(states)
    backlog = np.maximum(state - levels[:, None], 0)
    level = np.minimum(state, levels[:, None])
    moved = state[None, None, :] - backlog[:, :, None]
    rows = np.arange(len(levels))[:, None, None]
    chain = np.where(moved >= 0, arrivals[rows, level[:, :, None], np.maximum(moved, 0)], 0.0)
    chain[:, :, -1] += 1.0 - chain.sum(axis=2)
    balance = np.eye(states) - chain.transpose(0, 2, 1)
    balance[:, -1, :] = 1.0
    right = np.zeros((len(levels), states, 1))
    right[:, -1] = 1.0
    solved = np.maximum(np.linalg.solve(balance, right)[:, :, 0], 0.0)
    return solved / solved.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class ClosedBatchLoop:
    """Latency [ms] and throughput of GPUs that a fixed number of clients keep asking; arrays over GPUs."""

    p50_ms: Floats
    p95_ms: Floats
    p99_ms: Floats
    batch: Floats
    throughput_per_ms: Floats

    def percentile_ms(self, percentile: int) -> Floats:
        """Latency not exceeded by so many per cent of requests [ms]; 50, 95 or 99."""
        return {50: self.p50_ms, 95: self.p95_ms, 99: self.p99_ms}[percentile]


CLOSED_LOOP_STEPS = 40
"""Steps of the damped iteration [1]; it then moves less than 0.1 % a step."""


def closed_batch_loop(
    *, t0_ms: ArrayLike, k_ms: ArrayLike, max_batch: ArrayLike, clients: ArrayLike, away_ms: ArrayLike
) -> ClosedBatchLoop:
    """Latency [ms] and throughput [1/ms] with `clients` at each GPU that return after `away_ms`. X = N / (away + wait + s(own)).

    Mean values: a request meets what the other N - 1 clients keep running (their batch, busy share u), waits for its rest, then
    runs with those that came meanwhile. Clients that return at once all wait a whole batch, so 2 batches alternate.
    Against 216 event simulations (1 to 200 clients): throughput within 5 % in nine of ten, at worst 20 % too high; p95 from 19 %
    too low to 117 % too high, median error 2 %.

    Source: mean value analysis (Reiser and Lavenberg 1980) applied to a batch server.

    >>> loop = closed_batch_loop(t0_ms=1.0, k_ms=0.1, max_batch=32, clients=1, away_ms=0.0)
    >>> float(loop.p99_ms[0]), round(float(loop.throughput_per_ms[0]), 4)
    (1.1, 0.9091)
    """
    arrays = np.broadcast_arrays(*map(np.atleast_1d, (t0_ms, k_ms, max_batch, clients, away_ms)))
    t0, k, limit, count, away = (np.array(a, dtype=np.float64) for a in arrays)
    latency = t0 + k
    others = np.maximum(count - 1.0, 0.0)
    for _ in range(CLOSED_LOOP_STEPS):
        rate = np.minimum(others / (away + latency), limit / (t0 + k * limit))
        batch = np.minimum(np.maximum(rate * t0 / np.maximum(1.0 - rate * k, 1e-3), 1.0), np.clip(others, 1.0, limit))
        service = t0 + k * batch
        busy = np.minimum(rate * service / batch, 1.0)
        mean_rest = np.maximum(service / 2.0, service - away)
        own = np.minimum(np.maximum(batch, 1.0), limit)
        full = count * (t0 / limit + k) - away
        latency = 0.5 * latency + 0.5 * np.maximum(busy * mean_rest + t0 + k * own, full)
    base, spread = t0 + k * own, 2.0 * (service - mean_rest)
    queued = np.maximum(full - (busy * mean_rest + base), 0.0)
    # Clients away in thought return at random, so batches vary like Poisson counts; a long batch is met and then followed by one.
    deviation = 1.5 * k * np.sqrt(batch * away / (away + latency) / np.maximum(1.0 - (rate * k) ** 2, 0.05)) * busy
    quantiles = []
    for share in PERCENTILES:
        inside = np.clip((share - (1.0 - busy)) / np.maximum(busy, 1e-12), 0.0, 1.0)
        rest = np.where(inside > 0.0, service - spread * (1.0 - inside), 0.0)
        quantiles.append(base + rest + queued + NormalDist().inv_cdf(share) * deviation * inside)
    throughput = np.minimum(count / (away + latency), limit / (t0 + k * limit))
    p50, p95, p99 = quantiles
    return ClosedBatchLoop(p50_ms=p50, p95_ms=p95, p99_ms=p99, batch=own, throughput_per_ms=throughput)
