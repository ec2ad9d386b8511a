"""Dynamic batching on one GPU with a fixed number of clients, each of which asks again some time after its answer.

A batch of b takes s(b) = t0 + k b, and pauses are exponential with mean Z. With n waiting when a batch ends, b = min(n, B) go, N - n
are away, and each of those is back by the end of the next batch with chance 1 - exp(-s/Z): the number waiting is a Markov
chain, next = n - b + Binomial(N - n, 1 - exp(-s(b)/Z)), solved exactly for few clients and on a coarser grid for many.

Source: the chain of the module `batching` with a finite source (machine repair model, e.g. Kleinrock, Queueing Systems I, 1975,
3.8) in place of Poisson arrivals. DYNAMIC_BATCHING.md compares it with the event simulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sizing.batch_queue import (
    LATTICE_STRIDE,
    NEVER_MS,
    PERCENTILES,
    POINTS,
    RARE,
    Floats,
    lattice,
    log_factorial,
    weighted_percentiles,
)

STATES = 40
"""Grid steps of the number waiting [1]; exact up to this many."""

TOGETHER = 12
"""Queues solved at once [count], so that the arrays stay in the cache."""

LEAST_AWAY_SHARE = 0.15
"""Least pause, as a share of t0 + k [1]: with none, clients keep for ever the groups they started in."""

TABLE_CLIENTS = 40
"""Clients away up to which the number that return is taken from a table [count]."""

TABLE_CHANCES = 200
"""Chances to return in the table, evenly spaced [count]."""


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
    """Latency [ms] and throughput [1/ms] with `clients` at each GPU that return after `away_ms` on average. X = E[b] / E[cycle].

    A request returns while a batch runs, waits for its rest and for the full batches before its own, and runs with those that came
    meanwhile; or it finds the GPU idle and takes t0 + k. `clients` need not be whole.

    Source: see the module.

    >>> loop = closed_batch_loop(t0_ms=1.0, k_ms=0.1, max_batch=32, clients=1, away_ms=0.0)
    >>> float(loop.p99_ms[0]), round(float(loop.throughput_per_ms[0]), 4)
    (1.1, 0.9091)
    """
    arrays = np.broadcast_arrays(*map(np.atleast_1d, (t0_ms, k_ms, max_batch, clients, away_ms)))
    t0, k, limit, count, away = (np.array(a, dtype=np.float64) for a in arrays)
    means = closed_means(t0_ms=t0, k_ms=k, max_batch=limit, clients=count, away_ms=away)
    met = means.throughput_per_ms * np.maximum(count / np.maximum(means.throughput_per_ms, 1e-300) - away, t0 + k)
    reach = np.ceil(np.minimum(count, 1.3 * met + 6.0 * np.sqrt(met + 1.0) + 4.0))
    answer = np.empty((5, len(t0)))
    for first in range(0, len(t0), TOGETHER):
        part = slice(first, first + TOGETHER)
        answer[:, part] = _solve(t0[part], k[part], limit[part], count[part], away[part], reach[part])
    p50, p95, p99, own, throughput = answer
    throughput = np.minimum(throughput, np.minimum(count / (away + t0 + k), limit / (t0 + k * limit)))
    return ClosedBatchLoop(p50_ms=p50, p95_ms=p95, p99_ms=p99, batch=own, throughput_per_ms=throughput)


def _solve(t0: Floats, k: Floats, limit: Floats, count: Floats, away: Floats, reach: Floats) -> Floats:
    """Rows p50, p95, p99 [ms], mean batch of a request and throughput [1/ms]; columns as the inputs."""
    states = int(min(reach.max(), STATES)) + 1
    step = np.maximum(reach / (states - 1), 1.0)[:, None]
    waiting = np.arange(states) * step
    batch: Floats = np.clip(waiting, 1.0, limit[:, None])
    service = t0[:, None] + k[:, None] * batch
    source = np.maximum(count[:, None] - np.maximum(waiting, 1.0), 0.0)
    pause = np.maximum(away, LEAST_AWAY_SHARE * (t0 + k))
    returned = -np.expm1(-service / pause[:, None])
    backlog = np.maximum(waiting - batch, 0.0)
    chance = _stationary(source, returned, backlog, step)
    mean_batch = (chance * batch).sum(axis=1)
    cycle = (chance * service).sum(axis=1) + chance[:, 0] * away / np.maximum(count, 1.0)
    values, weights, own = _latencies(chance, source, backlog, batch, t0, k, limit, pause)
    mean_own = (weights * own).sum(axis=1)
    return np.stack([*weighted_percentiles(values, weights), np.clip(mean_own, 1.0, limit), mean_batch / cycle])


def _stationary(source: Floats, returned: Floats, backlog: Floats, step: Floats) -> Floats:
    """Chance of each number waiting at the end of a batch (queue, grid steps), from the chain of the module."""
    queues, states = source.shape
    grid = np.arange(states) * step
    back = grid[:, None, :]
    away, chance = source[:, :, None], np.clip(returned, 1e-12, 1.0 - 1e-12)[:, :, None]
    possible = back <= away + 1e-9
    stay = np.maximum(away - back, 0.0)
    log_mass = back * np.log(chance) + stay * np.log1p(-chance) - log_factorial(grid)[:, None, :] - log_factorial(stay)
    log_mass = np.where(possible, log_mass, -np.inf)
    mass = np.exp(log_mass - log_mass.max(axis=2, keepdims=True))
    mass /= mass.sum(axis=2, keepdims=True)
    # On a coarse grid the mean is kept, as is the number of clients: what is above a grid point is shared with the next.
    moved = (away * chance)[:, :, 0] - (mass * back).sum(axis=2) + backlog
    whole = np.floor(moved / step + 1e-9)
    share = (moved / step - whole)[:, :, None]
    target = np.arange(states)[None, None, :] - whole[:, :, None].astype(np.int64)
    shifted = _shifted(mass, target) * (1.0 - share) + _shifted(mass, target - 1) * share
    shifted[:, :, -1] += np.maximum(1.0 - shifted.sum(axis=2), 0.0)
    shifted /= shifted.sum(axis=2, keepdims=True)
    balance = np.eye(states) - shifted.transpose(0, 2, 1)
    balance[:, -1, :] = 1.0
    right = np.zeros((queues, states, 1))
    right[:, -1] = 1.0
    found = np.maximum(np.linalg.solve(balance, right)[:, :, 0], 0.0)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def _shifted(mass: Floats, index: NDArray[np.int64]) -> Floats:
    """Mass at an index of the last axis, 0 outside."""
    last = mass.shape[2] - 1
    return np.where((index >= 0) & (index <= last), np.take_along_axis(mass, np.clip(index, 0, last), axis=2), 0.0)


def _latencies(
    chance: Floats,
    source: Floats,
    backlog: Floats,
    batch: Floats,
    t0: Floats,
    k: Floats,
    limit: Floats,
    away: Floats,
) -> tuple[Floats, Floats, Floats]:
    """Latencies [ms], their weights [1] and the batch each runs in, (queue, point); the first finds the GPU idle."""
    queues = len(t0)
    points = np.arange(POINTS)
    t0, k, limit, away = (a[:, None, None] for a in (t0, k, limit, away))
    service = t0 + k * batch[:, :, None]
    gone = -np.expm1(-service / away)
    # Those who return within the batch do so early rather than late: shares of the exponential law cut off at the batch's end.
    came = gone * (points + 0.5) / POINTS
    rest = service + away * np.log1p(-np.minimum(came, 1.0 - 1e-12))
    others = np.maximum(source[:, :, None] - 1.0, 0.0)
    before_me = _returned(others, came, points)
    ahead = backlog[:, :, None] + before_me
    before = np.floor(ahead / limit)
    until_start = np.maximum(rest, 0.0) + before * (t0 + k * limit)
    # Those that the running batch lets go are away too once it has ended.
    free = before * batch[:, :, None] * -np.expm1(-before * (t0 + k * limit) / away)
    joining = _returned(others - before_me, -np.expm1(-until_start / away), (points * LATTICE_STRIDE + 3) % POINTS)
    own = np.minimum(limit, ahead - before * limit + 1.0 + joining + np.where(before > 0, free, 0.0))
    values = until_start + t0 + k * own
    weight = chance * source * gone[:, :, 0]
    weight = np.where(chance > RARE, weight, 0.0)[:, :, None] * np.full(POINTS, 1.0 / POINTS)
    values = np.where(weight > 0.0, values, NEVER_MS)
    alone = (t0 + k)[:, :, 0]
    all_weights = np.concatenate([chance[:, :1], weight.reshape(queues, -1)], axis=1)
    all_weights /= np.maximum(all_weights.sum(axis=1, keepdims=True), 1e-300)
    all_values = np.concatenate([alone, values.reshape(queues, -1)], axis=1)
    return all_values, all_weights, np.concatenate([np.ones((queues, 1)), own.reshape(queues, -1)], axis=1)


@lru_cache(maxsize=1)
def _table() -> NDArray[np.int8]:
    """Binomial quantiles (clients away, chance to return, lattice point), exact."""
    shares = np.array([NormalDist().cdf(float(z)) for z in lattice()])
    chances = np.linspace(0.0, 1.0, TABLE_CHANCES + 1)[:, None]
    mass = np.zeros((TABLE_CHANCES + 1, TABLE_CLIENTS + 1))
    mass[:, 0] = 1.0
    found = []
    for _ in range(TABLE_CLIENTS + 1):
        found.append([np.searchsorted(row, shares) for row in np.cumsum(mass, axis=1) * (1.0 + 1e-12)])
        up = np.concatenate([np.zeros((TABLE_CHANCES + 1, 1)), mass[:, :-1]], axis=1)
        mass = mass * (1.0 - chances) + up * chances
    return np.array(found, dtype=np.int8)


def _returned(away: Floats, chance: Floats, points: NDArray[np.int64]) -> Floats:
    """Quantile at each lattice point of how many of those away are back: from the table, beyond it by Cornish and Fisher."""
    away, chance = np.broadcast_arrays(np.maximum(away, 0.0), chance)
    normal = lattice()[points]
    few = np.minimum(np.rint(away), TABLE_CLIENTS).astype(np.intp)
    index = np.rint(chance * TABLE_CHANCES).astype(np.intp)
    small = _table().reshape(-1).take((few * (TABLE_CHANCES + 1) + index) * POINTS + points).astype(np.float64)
    mean = away * chance
    large = mean + normal * np.sqrt(mean * (1.0 - chance)) + (normal**2 - 1.0) * (1.0 - 2.0 * chance) / 6.0
    return np.where(away <= TABLE_CLIENTS, np.minimum(small, away), np.clip(np.rint(large), 0.0, away))


def closed_means(
    *, t0_ms: ArrayLike, k_ms: ArrayLike, max_batch: ArrayLike, clients: ArrayLike, away_ms: ArrayLike
) -> ClosedBatchLoop:
    """Latency [ms] and throughput [1/ms] as `closed_batch_loop`, by mean values: fast, and p99 up to 40 % off; to start a search.

    A request meets what the other N - 1 clients keep running (their batch, busy share u), waits for its rest, then runs with those
    that came meanwhile. Clients that return at once all wait a whole batch, so 2 batches alternate.

    Source: mean value analysis (Reiser and Lavenberg 1980) applied to a batch server.

    >>> loop = closed_means(t0_ms=1.0, k_ms=0.1, max_batch=32, clients=1, away_ms=0.0)
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
