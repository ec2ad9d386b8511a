"""Time in system at one core that serves all its requests by turns (M/G/1 processor sharing), as threads under Python's lock do.

A request of size x takes x / (1 - u) on average, whatever the law of the sizes (exact). Around that mean its delay is taken as 0 with
the chance (1 - u) e^(-u x) that nobody is there and nobody comes, and exponential otherwise.

Source: the mean is Kleinrock (1976), Queueing Systems II, section 4.4; the exponential delay is this project's. Against an event
simulation (CV 0 to 1, loads 0.2 to 0.9, benchmarks/QUEUES.md) the errors are stated there.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sizing.queueing_law import service_law

Floats = NDArray[np.float64]

SIZES = 48
"""Sizes that stand for the law of the service time, each as likely [1]."""

HALVINGS = 40
"""Halvings of the interval that holds a quantile [1]: rounding is reached."""


@lru_cache(maxsize=32)
def _sizes(cv: float) -> Floats:
    law = service_law("gamma" if cv <= 1.0 else "lognormal", cv)
    found = law.quantile((np.arange(SIZES) + 0.5) / SIZES)
    return found / found.mean()


def quantiles(*, loads: Floats, cv: float, shares: Floats) -> Floats:
    """Quantiles of the time in system [mean service times]; rows as `loads`, infinite from 1 on, columns as `shares`.

    Equation and source: the module.

    >>> quantiles(loads=np.array([0.0, 0.5]), cv=0.0, shares=np.array([0.5])).round(2)
    array([[1.  ],
           [1.48]])
    """
    law = service_law("gamma" if cv <= 1.0 else "lognormal", cv)
    times = np.full((len(loads), len(shares)), np.inf)
    stable = loads < 1.0
    size, load = _sizes(cv)[None, None, :], loads[stable][:, None, None]
    delayed = 1.0 - (1.0 - load) * np.exp(-load * size)
    mean = size * load / (1.0 - load) / np.maximum(delayed, 1e-12)
    beyond = (1.0 - shares)[None, :]
    alone = np.broadcast_to(law.quantile(shares), (len(load), len(shares)))
    low, high = np.zeros_like(alone), alone + mean.max(axis=2) * (1.0 - np.log(beyond))
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        left = middle[:, :, None] - size
        past = np.where(left < 0.0, 1.0, delayed * np.exp(-np.maximum(left, 0.0) / np.maximum(mean, 1e-12)))
        longer = past.mean(axis=2) > beyond
        low, high = np.where(longer, middle, low), np.where(longer, high, middle)
    # The sizes stop short of the law's far tail, which alone sets the quantiles where nobody waits.
    times[stable] = np.maximum(high, alone)
    return times
