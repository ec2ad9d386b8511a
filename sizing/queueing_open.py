"""Arithmetic of the open queue M/G/c in units of the mean service time, vectorised over utilizations.

The model and its source stand in sizing/queueing.py.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sizing.queueing_constant import constant_over_exponential
from sizing.queueing_law import (
    Complexes,
    Floats,
    Lattice,
    Law,
    ServiceLaw,
    quantiles_by_lattice,
    service_law,
)

POWER_SHARE = 0.4
"""Share of the power form in the wait at hyperexponential service [1]. Own, exact M/H2/c at CV 1.2 to 3, 2 to 24 servers and loads
0.3 to 0.93, 2026-11-25: P90 error 4.4 % of the mean wait, worst 14 %; Kimura's weights alone 16 % and 29 %."""


def is_exponential(service: Law) -> bool:
    """Whether the service time is exponential, for which M/M/c is exact."""
    return service.cv == 1.0 and service.name != "lognormal"


def blocked_share(servers: int, offered_load: Floats) -> Floats:
    """Erlang B [1] by its recurrence, B(c) = a B(c-1) / (c + a B(c-1))."""
    blocked = np.ones_like(offered_load)
    for count in range(1, servers + 1):
        blocked = offered_load * blocked / (count + offered_load * blocked)
    return blocked


@lru_cache(maxsize=512)
def _mean_first_residual(name: ServiceLaw, cv: float, servers: int) -> float:
    return service_law(name, cv).mean_first_residual(servers)


def delay_and_mean_wait(loads: Floats, servers: int, service: Law) -> tuple[Floats, Floats]:
    """Chance of waiting [1] and mean wait [mean service times] at each utilization.

    Both lie between those of exponential service (Erlang) and constant service (exact, sizing/queueing_constant.py): linear in
    cv^2 up to CV 1; above it the wait by Kimura's weights and the chance beyond Erlang's by ln(cv) times the distance. Two moments
    say too little there: at hyperexponential service part of the wait is the power form, ratio^-log2((1 + cv^2) / 2).

    Source: the linear weights as in Tijms (2003), section 9.6; Kimura (1986). ln(cv) and the power form are this project's, read off
    exact M/H2/c. Errors against exact M/E_k/c and M/H2/c (CV 0.33 to 3, 2 to 64 servers, loads 0.35 to 0.93): benchmarks/QUEUES.md.
    """
    blocked = blocked_share(servers, loads * servers)
    delay = blocked / (1.0 - loads * (1.0 - blocked))
    wait = delay / (servers * (1.0 - loads))
    if is_exponential(service):
        return delay, wait
    of_delay, of_wait = constant_over_exponential(loads, servers)
    square = service.cv**2
    if square <= 1.0:
        return delay * (square + (1.0 - square) * of_delay), wait * (square + (1.0 - square) * of_wait)
    more = delay * (1.0 - of_delay) * math.log(service.cv)
    over = (1.0 + square) / (2.0 * square + (1.0 - square) / of_wait)
    if service.name == "hyperexponential":
        over += POWER_SHARE * (of_wait ** -math.log2((1.0 + square) / 2.0) - over)
    return np.minimum(delay + more, 1.0), wait * over


def _waiting(loads: Floats, servers: int, service: Law) -> tuple[Floats, Floats, Floats]:
    """Weight [1] of the waits that are a first residual and a geometric number of more, their pace [1], and the mean wait.

    Up to CV 1 the weight is what gives the mean wait, at pace 1, which keeps the exact decay rate of the tail. Above it the weight is
    the chance of waiting and the pace (times are divided by it) gives the mean wait: there the weight alone would miss p50 by
    twice as much, and waits near it by far more (benchmarks/QUEUES.md).
    """
    delay, wait = delay_and_mean_wait(loads, servers, service)
    later = loads / (1.0 - loads) / servers * (1.0 + service.cv**2) / 2.0
    first = _mean_first_residual(service.name, service.cv, servers)
    weight = np.minimum(wait / (first + later), 1.0)
    if service.cv <= 1.0:
        return weight, np.ones_like(weight), wait
    return delay, delay / np.maximum(weight, 1e-300), wait


def open_quantiles(loads: Floats, servers: int, service: Law, shares: Floats) -> Floats:
    """Quantiles of the time in system [mean service times]; rows as `loads` (all below 1), columns as
    `shares`."""
    if is_exponential(service):
        return _exponential_quantiles(loads, servers, shares)
    alone = service.quantile(shares)
    times = np.tile(alone, (len(loads), 1))
    _fill_busy(times, loads, servers, service, shares, served=True)
    # The lattice may be half a cell low; a request is never faster than its own service.
    return np.maximum(times, alone)


def wait_quantiles(loads: Floats, servers: int, service: Law, shares: Floats) -> Floats:
    """Quantiles of the wait alone [mean service times], 0 for those who do not wait; rows and columns as `open_quantiles`."""
    delay, _ = delay_and_mean_wait(loads, servers, service)
    beyond = (1.0 - shares)[None, :]
    if is_exponential(service):
        rate = servers * (1.0 - loads)[:, None]
        return np.maximum(np.log(np.maximum(delay[:, None], 1e-300) / beyond), 0.0) / rate
    times = np.zeros((len(loads), len(shares)))
    _fill_busy(times, loads, servers, service, shares, served=False)
    return np.where(beyond >= delay[:, None], 0.0, times)


def _fill_busy(times: Floats, loads: Floats, servers: int, service: Law, shares: Floats, *, served: bool) -> None:
    """Write the quantiles of wait (+ service where `served`) into the rows of `times` where anyone waits."""
    start, pace, wait = _waiting(loads, servers, service)
    busy = start > 1e-12
    if not busy.any():
        return
    start, pace, loads, wait = start[busy, None], pace[busy, None], loads[busy, None], wait[busy]

    def transform(lattice: Lattice, rows: NDArray[np.intp]) -> Complexes:
        still_running = 1.0 - np.interp(lattice.edges * pace[rows], service.time, service.residual_cdf)
        first = lattice.transform(1.0 - still_running**servers)
        speed = servers * pace[rows]
        at_full_speed = np.interp(lattice.points * speed, service.time, service.residual_mean_to)
        later = lattice.transform_keeping_mean(at_full_speed / speed)
        waiting = start[rows] * first * (1.0 - loads[rows]) / (1.0 - loads[rows] * later)
        if not served:
            return 1.0 - start[rows] + waiting
        return (1.0 - start[rows] + waiting) * lattice.transform(np.interp(lattice.edges, service.time, service.cdf))

    tail = -math.log(1.0 - shares.max())
    span = 1.2 * wait / start[:, 0] * max(tail, 1.0)
    if served:
        span = span + 1.1 * service.quantile(shares).max()
    times[busy] = quantiles_by_lattice(transform, span, shares)


def _exponential_quantiles(loads: Floats, servers: int, shares: Floats) -> Floats:
    """Exact quantiles for M/M/c: P(T > t) = (1 - D) e^-t + D P(wait + service > t), solved by halving."""
    delay, _ = delay_and_mean_wait(loads, servers, service_law("gamma", 1.0))
    delay = delay[:, None]
    rate = servers * (1.0 - loads)[:, None]
    # At rate 1 the two exponentials coincide and the formula is 0 / 0; moving the rate by 1e-7 moves a
    # quantile by less.
    rate = np.where(np.abs(rate - 1.0) < 1e-7, 1.0 + 1e-7, rate)
    low = np.tile(-np.log1p(-shares), (len(loads), 1))
    high = low + low / rate + 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        both = (np.exp(-rate * middle) - rate * np.exp(-middle)) / (1.0 - rate)
        beyond = (1.0 - delay) * np.exp(-middle) + delay * both
        low, high = (
            np.where(beyond > 1.0 - shares, middle, low),
            np.where(beyond > 1.0 - shares, high, middle),
        )
    return high
