"""How many requests a load test needs, and how far off a shorter one is.

The relative variance of a percentile taken from n requests is V / n. V is that of an M/G/c queue and grows as
(1 + cv^2) / (1 - u)^2, since what one request finds depends on those before it. A test too short for its load reports p99 too low.

Source: own simulation, benchmarks/LOAD_TEST_LENGTH.md (V to about 15 %).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sizing.statistical.load_test_table import CVS, LOADS, SHORT_TESTS, VARIANCES, WORKERS

Quantity = Literal["p50", "p95", "p99", "mean"]

PRECISION = 0.10
"""Relative standard deviation [1] of the percentile that a test is made long enough for, unless asked otherwise."""

MOST_BIAS = 0.03
"""Most that the percentile may come out low in the mean [1]."""

BEYOND = 10
"""Requests beyond the percentile [1] that a test has at least; no percentile is to be read off fewer."""

RELAXATIONS = 5.0
"""Relaxation times of the queue [1] discarded at the start, as in the simulation: e^-5 of an empty queue is left."""

LEAST_VARIANCE = 0.1
"""Least V taken [1]: a constant service without waiting has none."""

_SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "mean": 0.0}


@dataclass(frozen=True)
class Precision:
    """Bias and standard deviation of a quantity from a test of some length, relative to the truth [1]."""

    bias: float
    sd: float


def variance(quantity: Quantity, *, workers: int, cv: float, utilization: float) -> float:
    """n x (relative standard deviation)^2 [1] of a quantity from n requests, read from the table.

    Straight in the logarithm of V against ln(1 - utilization), ln(workers) and ln(1 + cv^2); beyond the last load as
    (1 - u)^-2, beyond 16 workers and CV 2 as at the last of the table.

    >>> 300 < variance("p99", workers=1, cv=1.0, utilization=0.8) < 500
    True
    """
    of = VARIANCES[quantity]
    first, second, weight = _between([math.log(c) for c in WORKERS], math.log(max(workers, 1)))
    low_cv, high_cv, cv_weight = _between([math.log1p(c**2) for c in CVS], math.log1p(cv**2))
    load = min(max(utilization, LOADS[0]), LOADS[-1])
    heights = -np.log1p(-np.array(LOADS))

    def at(c: int, v: int) -> float:
        return float(np.interp(-math.log1p(-load), heights, np.log(np.maximum(of[WORKERS[c]][CVS[v]], LEAST_VARIANCE))))

    value = sum(
        w_c * w_v * at(c, v)
        for c, w_c in ((first, 1.0 - weight), (second, weight))
        for v, w_v in ((low_cv, 1.0 - cv_weight), (high_cv, cv_weight))
    )
    beyond = ((1.0 - LOADS[-1]) / (1.0 - min(utilization, 0.999))) ** 2 if utilization > LOADS[-1] else 1.0
    return math.exp(value) * beyond


def requests_needed(
    quantity: Quantity, *, workers: int, cv: float, utilization: float, precision: float = PRECISION
) -> int:
    """Requests [1] after the warm-up that give a quantity to a relative standard deviation: max(V / sd^2, V / x^2, 10 / (1 - q)).

    x is the nominal standard deviation at which the bias of p99 is MOST_BIAS. Two significant digits, upwards.

    >>> requests_needed("p99", workers=1, cv=0.3, utilization=0.3)
    1000
    """
    known = variance(quantity, workers=workers, cv=cv, utilization=utilization)
    at_bias = float(np.interp(MOST_BIAS, [-bias for _, bias, _ in SHORT_TESTS], [x for x, _, _ in SHORT_TESTS]))
    least = BEYOND / (1.0 - _SHARES[quantity])
    count = max(known / min(precision, at_bias) ** 2, least)
    step = 10 ** max(0, math.floor(math.log10(count)) - 1)
    return int(math.ceil(count / step - 1e-9) * step)


def precision_of(quantity: Quantity, requests: int, *, workers: int, cv: float, utilization: float) -> Precision:
    """Bias and standard deviation [1] of a quantity that a test of so many requests reports."""
    nominal = math.sqrt(variance(quantity, workers=workers, cv=cv, utilization=utilization) / max(requests, 1))
    at = [0.0, *(x for x, _, _ in SHORT_TESTS)]
    bias = float(np.interp(nominal, at, [0.0, *(min(b, 0.0) for _, b, _ in SHORT_TESTS)]))
    return Precision(bias, float(np.interp(nominal, at, [0.0, *(sd for _, _, sd in SHORT_TESTS)])))


def warm_up_requests(*, cv: float, utilization: float) -> int:
    """Requests [1] until a queue that starts empty has forgotten it: 5 (1 + cv^2) u^2 / (1 - u)^2.

    >>> warm_up_requests(cv=1.0, utilization=0.5)
    10
    """
    u = min(utilization, 0.99)
    return math.ceil(RELAXATIONS * (1.0 + cv**2) * u**2 / (1.0 - u) ** 2 - 1e-9)


def _between(points: list[float], value: float) -> tuple[int, int, float]:
    """Neighbours of a value in rising points, and the weight of the second."""
    value = min(max(value, points[0]), points[-1])
    second = max(1, next(i for i, point in enumerate(points) if point >= value))
    return second - 1, second, (value - points[second - 1]) / (points[second] - points[second - 1])
