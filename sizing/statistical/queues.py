"""Least number of instances under random load, for many kinds of instance at once.

Time in system over service time depends on utilization, workers and service CV only. So one curve of it serves every kind of
instance with as many workers, whatever its speed, and the exact percentiles are computed for all of them together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import numpy as np

from sizing.queueing import mgc, percentile_curve
from sizing.queueing_law import Floats

PERCENTILES = (50, 95, 99)
MAX_INSTANCES = 10_000
"""Most instances of one kind considered [1]: far above what one load balancer serves."""

CURVE_UTILIZATIONS = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98])
"""Utilizations of a curve [1]. Straight lines between them lie above the true curve, so limits read from them are safe."""

ROUNDING = 1e-9


@dataclass(frozen=True)
class Group:
    """Kinds of instance that serve alike: mean service time [ms] on one worker, and workers."""

    service_ms: float
    workers: int


@dataclass(frozen=True)
class Traffic:
    """The demanded load: an open rate [1/s], or a number of users with a pause between reply and next request [ms]."""

    requests_per_s: float | None
    users: int | None
    think_time_ms: float


@dataclass(frozen=True)
class Sized:
    """Outcome for one group. `instances` is None when none suffice; `highest_utilization` is what the limits allow [1].

    `seen_utilization` is the load a request finds: in an open loop the utilization; with users, one of k is the one asking.
    """

    instances: int | None
    limited_by: str
    highest_utilization: float
    utilization: float
    seen_utilization: float
    requests_per_s: float
    evaluated: int


def unit_times(*, utilizations: Sequence[float] | Floats, workers: int, cv: float) -> Floats:
    """p50, p95 and p99 of time in system [mean service times], a row a utilization; infinite from 1 on. See `sizing.queueing`.

    >>> unit_times(utilizations=[0.8], workers=1, cv=1.0).round(1)  # ln(2), ln(20), ln(100) over 1 - 0.8
    array([[ 3.5, 15. , 23. ]])
    """
    arrivals = np.asarray(utilizations, dtype=np.float64) * workers
    times_ms = percentile_curve(arrivals_per_s=arrivals, service_mean_ms=1000.0, service_cv=cv, servers=workers)
    return times_ms / 1000.0


@lru_cache(maxsize=256)
def curve(workers: int, cv: float) -> Floats:
    """`unit_times` at CURVE_UTILIZATIONS [mean service times]."""
    return unit_times(utilizations=CURVE_UTILIZATIONS, workers=workers, cv=cv)


@lru_cache(maxsize=256)
def mean_curve(workers: int, cv: float) -> Floats:
    """Mean time in system at CURVE_UTILIZATIONS [mean service times]."""
    means = [
        mgc(arrival_per_s=u * workers, service_mean_ms=1000.0, service_cv=cv, servers=workers).time_in_system_mean_ms
        for u in CURVE_UTILIZATIONS
    ]
    return np.array(means) / 1000.0


def highest_utilization(*, limits: Floats, workers: int, cv: float) -> tuple[float, int | None]:
    """Highest utilization [1] at which p50, p95, p99 keep `limits` [mean service times], and the percentile that sets it.

    Read from the curve, up to its end; the percentile is None when the limits allow all of the curve, and the
    utilization is -1 when not even a request alone keeps them.
    """
    times = curve(workers, cv)
    allowed = [
        -1.0 if times[0, p] > limits[p] else float(np.interp(limits[p], times[:, p], CURVE_UTILIZATIONS)) for p in range(3)
    ]
    tightest = int(np.argmin(allowed))
    end = float(CURVE_UTILIZATIONS[-1])
    return (allowed[tightest], PERCENTILES[tightest]) if allowed[tightest] < end else (end, None)


def sized(
    *, groups: Sequence[Group], traffic: Traffic, cv: float, utilization_cap: float, limits_ms: Sequence[float | None], spare: int
) -> dict[Group, Sized]:
    """Least instances of each group that keep the utilization cap and the limits on p50, p95, p99 [ms], plus spares.

    Requests are split at random: each instance is an M/G/c queue of its own with its share of the load.
    """
    by_workers: defaultdict[int, list[Group]] = defaultdict(list)
    for group in dict.fromkeys(groups):
        by_workers[group.workers].append(group)
    limits = np.array([np.inf if limit is None else limit for limit in limits_ms])
    found: dict[Group, Sized] = {}
    for workers, members in by_workers.items():
        allowed = [highest_utilization(limits=limits / g.service_ms, workers=workers, cv=cv) for g in members]
        if traffic.users is None:
            counts, evaluated = _open_counts(members, traffic, limits, allowed, cv, utilization_cap)
        else:
            counts = [_closed_count(g, traffic, a[0], cv, utilization_cap) for g, a in zip(members, allowed, strict=True)]
            evaluated = [1] * len(members)
        for group, (reach, percentile), count, tried in zip(members, allowed, counts, evaluated, strict=True):
            total = None if count is None else count + spare
            rate, used, seen = _loads(group, traffic, total or MAX_INSTANCES, cv)
            found[group] = Sized(
                instances=total,
                limited_by=_limited_by(count, reach, percentile, group, traffic, utilization_cap, cv),
                highest_utilization=min(utilization_cap, max(reach, 0.0)),
                utilization=used,
                seen_utilization=seen,
                requests_per_s=rate,
                evaluated=tried,
            )
    return found


def _limited_by(
    count: int | None, reach: float, percentile: int | None, group: Group, traffic: Traffic, cap: float, cv: float
) -> str:
    if reach < 0:
        return f"p{percentile} latency"
    if count is None:
        return "throughput"
    if count == 1:
        return "one instance"
    by_cap = _loads(group, traffic, count - 1, cv)[1] > cap * (1 + ROUNDING)
    return "utilization cap" if by_cap or percentile is None else f"p{percentile} latency"


def _open_counts(
    groups: list[Group], traffic: Traffic, limits: Floats, allowed: list[tuple[float, int | None]], cv: float, cap: float
) -> tuple[list[int | None], list[int]]:
    """Least instances of groups with as many workers: bracketed by the curve, settled by exact percentiles."""
    assert traffic.requests_per_s is not None
    workers = groups[0].workers
    loads = [traffic.requests_per_s * g.service_ms / 1000.0 / workers for g in groups]
    least = [max(1, ceil(load / cap - ROUNDING)) for load in loads]
    # `enough` keeps the limits by the curve, which is on the safe side; `short` is known to break a limit or the cap.
    enough = [
        low if reach >= cap else max(low, ceil(load / reach)) if reach > 0 else low
        for low, load, (reach, _) in zip(least, loads, allowed, strict=True)
    ]
    short = [low - 1 for low in least]
    probes = [low if high > low else None for low, high in zip(least, enough, strict=True)]
    evaluated = [1] * len(groups)
    first = True
    while any(probe is not None for probe in probes):
        active = [i for i, probe in enumerate(probes) if probe is not None]
        times = unit_times(utilizations=[loads[i] / (probes[i] or 1) for i in active], workers=workers, cv=cv)
        for i, row in zip(active, times, strict=True):
            evaluated[i] += 1
            if np.all(row * groups[i].service_ms <= limits):
                enough[i] = probes[i] or 1
            else:
                short[i] = probes[i] or 1
            # The curve is nearly right: one below its count usually fails, which ends the search at once.
            probe = enough[i] - 1 if first else (short[i] + enough[i]) // 2
            probes[i] = probe if short[i] < probe < enough[i] else None
        first = False
    return [
        None if reach < 0 or (reach == 0 and load > 0) or count > MAX_INSTANCES else count
        for count, load, (reach, _) in zip(enough, loads, allowed, strict=True)
    ], evaluated


def _closed_count(group: Group, traffic: Traffic, reach: float, cv: float, cap: float) -> int | None:
    """Least instances for users: the mean utilization keeps the cap, and what a request finds keeps the limits."""
    if reach < 0:
        return None

    def meets(count: int) -> bool:
        _, used, seen = _loads(group, traffic, count, cv)
        return used <= cap * (1 + ROUNDING) and seen <= reach

    enough = 1
    while not meets(enough):
        if enough >= MAX_INSTANCES:
            return None
        enough = min(enough * 2, MAX_INSTANCES)
    short = enough // 2 if enough > 1 else 0
    while enough - short > 1:
        middle = (short + enough) // 2
        short, enough = (short, middle) if meets(middle) else (middle, enough)
    return enough


def _loads(group: Group, traffic: Traffic, count: int, cv: float) -> tuple[float, float, float]:
    """Rate of all requests [1/s], mean utilization [1] and the utilization a request finds [1] with `count` instances."""
    per_request_s = group.service_ms / 1000.0 / group.workers
    if traffic.users is None:
        assert traffic.requests_per_s is not None
        used = traffic.requests_per_s * per_request_s / count
        return traffic.requests_per_s, used, used
    most = ceil(traffic.users / count)
    full = traffic.users - count * (most - 1)
    rate = full * closed_rate_per_s(group=group, users=most, think_time_ms=traffic.think_time_ms, cv=cv)
    if most > 1:
        rate += (count - full) * closed_rate_per_s(group=group, users=most - 1, think_time_ms=traffic.think_time_ms, cv=cv)
    busiest = closed_rate_per_s(group=group, users=most, think_time_ms=traffic.think_time_ms, cv=cv) * per_request_s
    seen = 0.0 if most <= group.workers else busiest * (most - 1) / most
    return rate, rate * per_request_s / count, seen


def closed_rate_per_s(*, group: Group, users: int, think_time_ms: float, cv: float) -> float:
    """Rate [1/s] that users of one instance produce: X = k / (think + T(X (k - 1) / k)), at most workers / service.

    T is the mean time in system of the open queue at the load of the other k - 1 users; with no more users than workers nobody
    waits, which is exact. Source: the arrival theorem (Lavenberg and Reiser 1980) with the open queue in place of the closed one.

    >>> closed_rate_per_s(group=Group(service_ms=10.0, workers=2), users=2, think_time_ms=90.0, cv=0.3)
    20.0
    """
    service_s, think_s = group.service_ms / 1000.0, think_time_ms / 1000.0
    if users <= group.workers:
        return users / (think_s + service_s)
    rates = CURVE_UTILIZATIONS * group.workers / service_s * users / (users - 1)
    users_there = rates * (think_s + mean_curve(group.workers, cv) * service_s)
    rate = float(np.interp(users, users_there, rates))
    return min(rate, group.workers / service_s, users / (think_s + service_s))
