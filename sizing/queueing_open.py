"""Arithmetic of the open queue M/G/c in units of the mean service time, vectorised over utilizations.

The model and its source stand in sizing/queueing.py.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sizing.queueing_law import (
    Complexes,
    Floats,
    Lattice,
    Law,
    ServiceLaw,
    quantiles_by_lattice,
    service_law,
)

COSMETATOS_LIMIT = 0.24
"""Limit on Cosmetatos' light-load correction of the mean wait at constant service [1]. Source: Whitt (1993),
section 2."""


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
    """Chance of waiting [1] and mean wait [mean service times] at each utilization."""
    blocked = blocked_share(servers, loads * servers)
    delay = blocked / (1.0 - loads * (1.0 - blocked))
    mean_residual = (1.0 + service.cv**2) / 2.0
    later = loads / (1.0 - loads) / servers
    if service.cv < 1.0:
        # Erlang C is a little high for regular service. The correction is that which gives gamma service
        # Kimura's mean wait.
        first = _mean_first_residual("gamma", service.cv, servers)
        kimura = _kimura_over_exponential(loads, servers, service.cv) / (servers * (1.0 - loads))
        delay = np.minimum(delay * kimura / (first + later * mean_residual), 1.0)
    first = _mean_first_residual(service.name, service.cv, servers)
    return delay, delay * (first + later * mean_residual)


def _kimura_over_exponential(loads: Floats, servers: int, cv: float) -> Floats:
    """Mean wait over that of M/M/c [1]: (1 + cv^2) / (2 cv^2 + (1 - cv^2) / ratio at constant service).

    Source: Kimura (1986) for the weighting, Cosmetatos (1975) for constant service, both as in Whitt (1993),
    section 2.
    """
    # The limit binds long before the load is 0, so the floor only keeps the division defined.
    room = (1.0 - loads) / np.maximum(loads, 1e-9)
    light = room * (servers - 1) * (math.sqrt(4.0 + 5.0 * servers) - 2.0) / (16.0 * servers)
    constant = (1.0 + np.minimum(light, COSMETATOS_LIMIT)) / 2.0
    return (1.0 + cv**2) / (2.0 * cv**2 + (1.0 - cv**2) / constant)


def open_quantiles(loads: Floats, servers: int, service: Law, shares: Floats) -> Floats:
    """Quantiles of the time in system [mean service times]; rows as `loads` (all below 1), columns as
    `shares`."""
    if is_exponential(service):
        return _exponential_quantiles(loads, servers, shares)
    delay, wait = delay_and_mean_wait(loads, servers, service)
    alone = service.quantile(shares)
    times = np.tile(alone, (len(loads), 1))
    busy = delay > 1e-12
    if busy.any():
        delay, loads, wait = delay[busy, None], loads[busy, None], wait[busy]

        def transform(lattice: Lattice, rows: NDArray[np.intp]) -> Complexes:
            still_running = 1.0 - np.interp(lattice.edges, service.time, service.residual_cdf)
            first = lattice.transform(1.0 - still_running**servers)
            at_full_speed = np.interp(lattice.points * servers, service.time, service.residual_mean_to)
            later = lattice.transform_keeping_mean(at_full_speed / servers)
            waiting = delay[rows] * first * (1.0 - loads[rows]) / (1.0 - loads[rows] * later)
            return (1.0 - delay[rows] + waiting) * lattice.transform(
                np.interp(lattice.edges, service.time, service.cdf)
            )

        tail = -math.log(1.0 - shares.max())
        span = 1.1 * alone.max() + 1.2 * wait / delay[:, 0] * max(tail, 1.0)
        times[busy] = quantiles_by_lattice(transform, span, shares)
    # The lattice may be half a cell low; a request is never faster than its own service.
    return np.maximum(times, alone)


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
