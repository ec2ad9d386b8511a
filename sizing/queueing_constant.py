"""Constant service times at several servers (M/D/c), exactly: the mean wait and the chance of waiting, over those of M/M/c.

With service time 1 the number in the system at two moments one service apart obeys L' = max(L - c, 0) + Poisson(a), a = c u. Its
generating function has c - 1 zeros z_k inside the unit circle, z = w_k exp(u (z - 1)) with w_k the c-th roots of 1, and

    E[L] = a / (2 (c - a)) + (a - c + 1) / 2 + sum 1 / (1 - z_k),    P(no wait) = (c - a) / product (1 - z_k)

Source: Crommelin (1932); Tijms, A First Course in Stochastic Models (2003), section 9.6.2. Where nobody waits to speak of, the sum
cancels to nothing: there the light-load limits stand, c / (c + 1) for the wait and 1 for the chance.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EXACT_SERVERS = 256
"""Most servers that are solved exactly [1]; with more, the ratios of this many are taken, where hardly anyone waits below
a load of 0.9."""

TABLE_LOADS = np.concatenate([np.linspace(0.0, 0.9, 91), 1.0 - np.geomspace(0.095, 1e-4, 40), [1.0]])
"""Utilizations at which the ratios are kept [1]; straight lines between them are within 0.1 %."""

LEAST_WAITING = 1e-9
"""Mean number waiting below which rounding spoils the exact sum [1]."""

NEWTON_STEPS = 12
"""Steps to the zeros [1]: rounding is reached after 8 at a load of 0.9999."""


def constant_service(*, loads: Floats, servers: int) -> tuple[Floats, Floats]:
    """Chance of waiting [1] and mean wait [service times] of M/D/c at utilizations above 0 and below 1. Equations and source:
    the module.

    >>> delay, wait = constant_service(loads=np.array([0.8]), servers=1)  # u and u / (2 (1 - u))
    >>> delay.round(6), wait.round(6)
    (array([0.8]), array([2.]))
    """
    load = loads[:, None]
    unit = np.exp(2j * np.pi * np.arange(1, servers) / servers)
    zero = unit * np.exp(-load)
    for _ in range(NEWTON_STEPS):
        image = unit * np.exp(load * (zero - 1.0))
        zero = zero - (zero - image) / (1.0 - load * image)
    offered = servers * loads
    left = servers - offered
    present = offered / (2.0 * left) + (offered - servers + 1.0) / 2.0 + (1.0 / (1.0 - zero)).sum(axis=1).real
    idle = left * np.exp(-np.log(1.0 - zero).sum(axis=1).real)
    return 1.0 - idle, (present - offered) / offered


@lru_cache(maxsize=64)
def _ratios(servers: int) -> tuple[Floats, Floats]:
    """M/D/c over M/M/c at TABLE_LOADS: chance of waiting and mean wait [1]."""
    inner = TABLE_LOADS[1:-1]
    blocked = np.ones_like(inner)
    for count in range(1, servers + 1):
        blocked = servers * inner * blocked / (count + servers * inner * blocked)
    exponential = blocked / (1.0 - inner * (1.0 - blocked))
    waiting = exponential * inner / (1.0 - inner)
    solved = waiting > LEAST_WAITING
    delay, wait = constant_service(loads=inner[solved], servers=servers)
    at = np.concatenate([[0.0], inner[solved], [1.0]])
    of_delay = np.concatenate([[1.0], delay / exponential[solved], [1.0]])
    of_wait = np.concatenate(
        [[servers / (servers + 1.0)], wait * servers * (1.0 - inner[solved]) / exponential[solved], [0.5]]
    )
    return np.interp(TABLE_LOADS, at, of_delay), np.interp(TABLE_LOADS, at, of_wait)


def constant_over_exponential(loads: Floats, servers: int) -> tuple[Floats, Floats]:
    """Chance of waiting and mean wait at constant service over those at exponential service [1], at each utilization.

    >>> delay, wait = constant_over_exponential(np.array([0.5]), 1)
    >>> delay.round(4), wait.round(4)
    (array([1.]), array([0.5]))
    """
    delay, wait = _ratios(min(servers, EXACT_SERVERS))
    return np.interp(loads, TABLE_LOADS, delay), np.interp(loads, TABLE_LOADS, wait)
