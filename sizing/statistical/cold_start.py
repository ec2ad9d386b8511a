"""Starts of environments that serve one request at a time: how long one takes, and which share of requests meets one.

Environments are taken in a fixed order: a request goes to the first that is free, and one idle for longer than the service
keeps it is gone. With random (Poisson) requests at rate L, mean time D each and a = L D, environment k sees what the k - 1
before it turn away, L B(k - 1, a) with B of Erlang (1917), as if that were random too.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, sqrt

import numpy as np

from sizing.cpu import CPU_SPEEDS
from sizing.queueing_law import Floats, service_law
from sizing.statistical.candidate import Model
from sizing.statistical.warm_up import model_load_ms

MEASURED_ON_FACTOR = next(speed.factor for _, speed in CPU_SPEEDS if speed.core == "Zen 5")
"""CPU time factor [1] of the machine on which the table below was measured (Zen 5)."""

IMPORT_MS: dict[str, float] = {"scikit-learn": 800.0, "xgboost": 820.0, "lightgbm": 850.0, "catboost": 850.0}
"""CPU time to import the library with what it pulls in [ms], files in memory. Own, best of 5, Python 3.11, 2026-11-25;
catboost is recalled to be about as large."""

LIGHT_IMPORT_MS: dict[str, float] = {"onnxruntime": 65.0, "compiled": 50.0}
"""The same for runtimes that do not import the library [ms]: ONNX Runtime with NumPy; NumPy alone for compiled trees."""

COLD_FILES = 2.0
"""Time of a first import over one with files in memory [1]: an environment reads 60 to 300 MB of packages from remote
storage. Recalled, range 1.2 to 4, 2026-11-25."""

ENVIRONMENTS_COUNTED = 256
"""Most environments followed one by one [1]; what goes beyond them is taken as always at work, without starts."""

NEGLIGIBLE = 1e-12
"""Share of requests [1] below which the environments that take it are no longer followed."""


def import_ms(model: Model) -> float:
    """CPU time of the imports on the catalog's host [ms], files in memory."""
    library = model.family.library.split()[0].lower()
    known = LIGHT_IMPORT_MS.get(model.cost.id, IMPORT_MS.get(library, max(IMPORT_MS.values())))
    return known / MEASURED_ON_FACTOR


def own_start_ms(model: Model, *, cpu_factor: float) -> float:
    """From an empty environment to one that serves [ms], the platform's own part left out.

    (imports + model load) x cold files x CPU factor.
    """
    return (import_ms(model) + model_load_ms(model.cost, model.size)) * COLD_FILES * cpu_factor


def overflow(requests_per_s: Floats, busy_s: float) -> Iterator[tuple[Floats, Floats]]:
    """For each environment in order: rate of the requests that reach it, and of those it takes [1/s].

    Reach L B(k - 1, a), take L (B(k - 1, a) - B(k, a)); B(k) = a B(k - 1) / (k + a B(k - 1)), a = L x busy time.

    >>> reach, take = next(overflow(np.array([2.0]), 0.5))  # a = 1: the first takes half
    >>> float(reach[0]), float(take[0])
    (2.0, 1.0)
    """
    offered = requests_per_s * busy_s
    most = float(offered.max(initial=0.0))
    blocked = np.ones(len(offered))
    for k in range(1, min(ENVIRONMENTS_COUNTED, int(most + 10.0 * sqrt(most)) + 12) + 1):
        reach = requests_per_s * blocked
        following = offered * blocked / (k + offered * blocked)
        yield reach, requests_per_s * (blocked - following)
        blocked = following
        if float(blocked.max()) < NEGLIGIBLE:
            return


def cold_share(requests_per_s: Floats, *, busy_s: float, idle_timeout_s: float) -> Floats:
    """Share of requests that meet a start [1], for each rate [1/s]: sum over k of take share x exp(-reach x timeout).

    Validity: 9 settings simulated, 400,000 requests each, constant and exponential times, 2026-11-25. Within 2 % with fewer
    than 0.1 requests at once; with one at once 20 % low, with 5 and more half of the truth, as what is turned away comes in
    bursts. There it is below 3 % in any case, below 0.1 % with time-outs of minutes.

    >>> cold_share(np.array([1 / 600]), busy_s=1e-6, idle_timeout_s=600.0).round(4)  # exp(-1)
    array([0.3679])
    """
    share = np.zeros(len(requests_per_s))
    for reach, take in overflow(requests_per_s, busy_s):
        share += take / requests_per_s * np.exp(-np.minimum(reach * idle_timeout_s, 700.0))
    return share


def billed_environments(requests_per_s: Floats, *, busy_s: float, billed_s: float) -> Floats:
    """Environments billed on average (count) where what is paid already is shared by requests that follow closely.

    Validity: within 1 % of the same simulations up to one request at once, 5 % low with five.

    Sum over k of take x (busy + (1 - exp(-reach x rest)) / reach), rest = billed - busy: a request pays until its billed
    time is over or the next one comes.

    >>> billed_environments(np.array([1e-3, 1e3]), busy_s=0.02, billed_s=0.1).round(5)[0]  # apart: 0.1 s each
    np.float64(0.0001)
    """
    rest = max(billed_s - busy_s, 0.0)
    billed = np.zeros(len(requests_per_s))
    left = np.array(requests_per_s, dtype=np.float64)
    for reach, take in overflow(requests_per_s, busy_s):
        left -= take
        until_next = np.where(reach * rest < 1e-9, rest, -np.expm1(-reach * rest) / np.maximum(reach, 1e-300))
        billed += take * (busy_s + until_next)
    return billed + np.maximum(left, 0.0) * busy_s


def environments_at_peak(offered: float, share: float = 0.001) -> int:
    """Environments (count) of which more are at work only for `share` of the time: quantile of Poisson(offered).

    Source: M/G/infinity, whose number at work is Poisson with the mean of Little's law.

    >>> environments_at_peak(0.001), environments_at_peak(1.0)
    (1, 5)
    """
    if offered > 500.0:
        return int(offered + 3.0902 * sqrt(offered)) + 1
    chance = exp(-offered)
    total, count = chance, 0
    while 1.0 - total > share:
        count += 1
        chance *= offered / count
        total += chance
    return max(count, 1)


def percentile_ms(share: float, *, mean_ms: float, cv: float, cold: float, cold_ms: float, overhead_ms: float) -> float:
    """Time [ms] that `share` of the requests do not exceed, when a share `cold` of them waits for a start first.

    Nobody queues, so a warm request takes overhead + service. The start is taken as longer than any warm request.

    >>> args = dict(mean_ms=10.0, cv=0.0, cold_ms=2000.0, overhead_ms=5.0)
    >>> round(percentile_ms(0.99, cold=0.001, **args)), round(percentile_ms(0.99, cold=0.02, **args))
    (15, 2015)
    """
    law = service_law("gamma" if cv <= 1.0 else "lognormal", cv)
    warm = 1.0 - cold
    if share <= warm:
        return overhead_ms + mean_ms * float(law.quantile(min(share / warm, 1.0 - 1e-9)))
    return overhead_ms + cold_ms + mean_ms * float(law.quantile((share - warm) / cold))
