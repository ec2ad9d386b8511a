"""Closed loop: a fixed number of clients, each of whom waits for the reply, thinks, and asks again.

This is how load-test tools send requests ("users"), and how callers with a limited number of connections
behave. It never overloads: beyond saturation the throughput stays and the time in system grows with the
number of clients.

Exponential service has an exact answer (machine repair). Other laws do not for several servers, and mean
value analysis with residual services was tried for them: its median time in system was up to 39 % off at
constant service and one server, since arrivals then keep step with departures. They are simulated instead,
many short independent runs side by side, with a fixed seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sizing.errors import InputError
from sizing.queueing_law import (
    LATTICE_CELLS,
    Complexes,
    Floats,
    Lattice,
    Law,
    quantiles_by_lattice,
    service_law,
)
from sizing.units import MS_PER_S

MAX_CLIENTS = 2000
"""Most clients accepted [1]; the work grows with their number."""

SIMULATED_REQUESTS = 100_000
"""Requests measured in a simulation [1], at least, after three rounds of all clients to forget the start.

Against an independent event simulation of 60,000 requests (120 settings, 1 to 16 servers, CV 0 to 2,
2026-11-22; the noise of both is in it) throughput is within 0.8 %, p99 within 2.1 % up to CV 1 and 4.9 % at
CV 2 (P90 1.6 % and 2.1 %)."""

SIMULATED_CELLS = 20_000
"""Clients times runs side by side [1]: enough that a step is bound by arithmetic, small enough to stay in the
cache."""

MAX_RUNS = 1000
"""Most runs side by side [1]."""

SEED = 20_261_122
"""Seed of every simulation [1]: the same inputs give the same figures, and near inputs share their random
numbers."""

SHARES = np.array([0.50, 0.95, 0.99])


@dataclass(frozen=True)
class ClosedLoopResult:
    """Throughput [1/s], utilization [1] and times in system [ms] of one instance under a closed loop, and the
    method."""

    throughput_per_s: float
    utilization: float
    time_in_system_mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    method: Literal["exact", "simulation"]


def closed_loop(
    *, clients: int, think_time_ms: float, service_mean_ms: float, service_cv: float, servers: int
) -> ClosedLoopResult:
    """Throughput [1/s] and times in system [ms] of a closed loop: X = N / (Z + T), never above min(N / (Z +
    S), c / S).

    N clients think for Z on average (exponential), T is the mean time in system, S the mean service time and
    c the number of servers. Exact for exponential service and where no one can wait (N <= c); simulated
    otherwise. The service law is gamma up to CV 1 and lognormal above.

    Source: machine repair, M/M/c//N, with the arrival theorem (an arrival sees the state of N - 1 clients):
    Lavenberg and Reiser (1980); Little's law for X.

    >>> answer = closed_loop(clients=2, think_time_ms=10, service_mean_ms=10, service_cv=1, servers=1)
    >>> round(answer.throughput_per_s, 6), round(answer.time_in_system_mean_ms, 6)  # utilization 4/5
    (80.0, 15.0)
    """
    _check(clients, think_time_ms, service_mean_ms, servers)
    think = think_time_ms / service_mean_ms
    law = service_law("gamma" if service_cv <= 1.0 else "lognormal", service_cv)
    method: Literal["exact", "simulation"] = "exact"
    if clients <= servers:
        mean, quantiles = 1.0, law.quantile(SHARES)
    elif law.cv == 1.0:
        present = _seen_by_arrival(clients - 1, think, servers)
        waiting_for = np.maximum(np.arange(clients) - servers + 1, 0)
        mean, quantiles = 1.0 + float(present @ waiting_for) / servers, _quantiles(present, servers, law)
    else:
        mean, quantiles = _simulated(clients, round(think, 6), law.cv, servers)
        method = "simulation"
    throughput = min(clients / (think + mean), float(servers), clients / (think + 1.0))
    p50, p95, p99 = quantiles * service_mean_ms
    return ClosedLoopResult(
        throughput_per_s=throughput * MS_PER_S / service_mean_ms,
        utilization=throughput / servers,
        time_in_system_mean_ms=(clients / throughput - think) * service_mean_ms,
        p50_ms=float(p50),
        p95_ms=float(p95),
        p99_ms=float(p99),
        method=method,
    )


def _check(clients: int, think_time_ms: float, service_mean_ms: float, servers: int) -> None:
    if not 1 <= clients <= MAX_CLIENTS:
        raise InputError("clients", clients, f"a whole number from 1 to {MAX_CLIENTS}")
    if not 0.0 <= think_time_ms < math.inf:
        raise InputError("think_time_ms", think_time_ms, "a finite number of 0 or more")
    if not 0.0 < service_mean_ms < math.inf:
        raise InputError("service_mean_ms", service_mean_ms, "a finite number above 0")
    if servers < 1:
        raise InputError("servers", servers, "a whole number of 1 or more")


def _seen_by_arrival(others: int, think: float, servers: int) -> Floats:
    """Chances of finding 0 .. `others` requests there, exponential service: N!/(N-k)! (S/Z)^k / (product of
    min(i, c))."""
    if think == 0.0:
        return np.append(np.zeros(others), 1.0)
    number = np.arange(1, others + 1)
    logs = np.append(0.0, np.cumsum(np.log((others - number + 1) / (think * np.minimum(number, servers)))))
    weights = np.exp(logs - logs.max())
    return weights / weights.sum()


def _quantiles(present: Floats, servers: int, law: Law) -> Floats:
    """Quantiles of the time in system [mean service times] at exponential service, for a request that finds
    `present`."""
    waits = present[servers:]

    def transform(lattice: Lattice, _: NDArray[np.intp]) -> Complexes:
        one_leaves = lattice.transform_keeping_mean(-np.expm1(-lattice.points * servers) / servers)
        wait = np.zeros_like(one_leaves)
        for chance in waits[::-1]:
            wait = (wait + chance) * one_leaves
        return (present[:servers].sum() + wait) * lattice.transform(np.interp(lattice.edges, law.time, law.cdf))

    alone = law.quantile(SHARES)
    mean_wait = float(waits @ np.arange(1, len(waits) + 1)) / servers
    span = np.array([alone.max() + 2.0 * mean_wait])
    # At least four cells to the mean time between departures: coarser ones would widen the sum of many.
    cells = max(LATTICE_CELLS, 2 ** math.ceil(math.log2(8 * len(waits))))
    return np.maximum(quantiles_by_lattice(transform, span, SHARES, cells)[0], alone)


@lru_cache(maxsize=1024)
def _simulated(clients: int, think: float, cv: float, servers: int) -> tuple[float, Floats]:
    """Mean and quantiles of the time in system [mean service times], by simulation of one request a step in
    every run."""
    random = np.random.default_rng(SEED)
    law = service_law("gamma" if cv <= 1.0 else "lognormal", cv)
    runs = min(max(SIMULATED_CELLS // clients, 1), MAX_RUNS)
    warm_up = 3 * clients + 20
    measured = max(3 * clients, -(-SIMULATED_REQUESTS // runs))
    arrival = think * random.standard_exponential((runs, clients))
    free = np.zeros((runs, servers))
    in_system = np.empty((measured, runs))
    run = np.arange(runs)
    for step in range(-warm_up, measured):
        client, server = arrival.argmin(axis=1), free.argmin(axis=1)
        asked = arrival[run, client]
        done = np.maximum(asked, free[run, server]) + law.quantile(random.random(runs))
        free[run, server] = done
        arrival[run, client] = done + think * random.standard_exponential(runs)
        if step >= 0:
            in_system[step] = done - asked
    return float(in_system.mean()), np.quantile(in_system, SHARES)
