"""From what a load test measured back to the service time: the queue inverted.

Open loop: the mean time that a client sees is D + S (1 + w(u)) with u = rate x S / c in an M/G/c queue. It grows with S, so S follows
from mean and rate. D is what no worker is busy with (network, the client itself): loads of different rates tell it from S, one load
does not, and then it is 0 unless stated. Where percentiles are known too, the CV is the one that fits them best.
Closed loop: the same with N users and their pause.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sizing.errors import InputError
from sizing.queueing_law import Floats, service_law
from sizing.queueing_open import delay_and_mean_wait
from sizing.statistical import queues
from sizing.statistical.load_records import LoadRecord
from sizing.statistical.load_test_length import Quantity, precision_of, variance

CV_GRID = (*np.round(np.arange(0.0, 1.0, 0.05), 2).tolist(), 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0)
"""Service CVs tried [1]."""

ROUNDING_SD_MS = 0.29
"""Standard deviation of rounding to a whole millisecond [ms]: 1 / sqrt(12)."""

MODEL_SD = 0.05
"""Error of a percentile of the queue against a real server [1] in choosing the CV. A stated choice: the model alone is within
2 %, a server is not first come first served to the letter."""

LEAST_SD = 0.01
"""Least relative standard deviation stated of an inverted time [1]: clocks and networks."""

MOST_FAILED = 0.05
"""Share of failures [1] above which a load does not say how long a good reply takes."""

OUTSIDE_PRIOR = 0.3
"""Scale of D before the loads are compared, over the least mean time [1]: a weak pull towards 0, so that chance makes no network.
A stated choice."""

OUTSIDE_STEPS = np.linspace(0.0, 0.95, 96)
"""D tried, over the least mean time [1]."""

APART = 1.3
"""Ratio of the highest to the lowest rate [1] from which loads tell D from S."""

GRID = np.concatenate([[0.0], np.geomspace(1e-7, 3e-3, 500), 1.0 - np.geomspace(0.996, 1e-4, 3000)])
"""Utilizations at which the queue is tabulated for its inversion [1]; a straight line between them is right to 1e-5."""

MOST_TAILS = 8
"""Most loads whose percentiles choose the CV [1]: those with the most requests."""

HALVINGS = 60


@dataclass(frozen=True)
class Inverted:
    """Mean service time [ms] with its relative standard deviation [1], time outside the workers [ms] and the CV with whether
    loads told them, how many loads were used, and those left out."""

    service_ms: float
    sd: float
    outside_ms: float
    outside_fitted: bool
    cv: float
    cv_fitted: bool
    used: int
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class RanOn:
    """What a load ran on: instances that share it evenly, workers on each, and how requests came: at random, evenly spaced, or
    from users who wait."""

    instances: int
    workers: int
    users: int | None = None
    even: bool = False


@lru_cache(maxsize=256)
def waits(workers: int, cv: float, even: bool = False) -> Floats:
    """Mean wait [mean service times] at GRID. Evenly spaced arrivals wait cv^2 / (1 + cv^2) of what random ones do.

    Source: M/G/c of sizing/queueing.py; even arrivals by Allen and Cunneen, (ca^2 + cs^2) / 2 with ca = 0.
    """
    law = service_law("gamma" if cv <= 1.0 else "lognormal", cv)
    share = cv**2 / (1.0 + cv**2) if even else 1.0
    return delay_and_mean_wait(GRID, workers, law)[1] * share


def open_service_ms(
    *, mean_ms: float | Floats, rate_per_s: float, workers: int, cv: float, even: bool = False
) -> Floats:
    """Mean service time [ms] that makes an instance with `workers` answer in `mean_ms` at `rate_per_s`: S (1 + w(rate S / c)) = mean.

    Source: M/G/c of sizing/queueing.py; one worker with CV 1 gives S = mean / (1 + rate x mean).

    >>> round(float(open_service_ms(mean_ms=20.0, rate_per_s=50.0, workers=1, cv=1.0)), 3)  # 10 ms at 50 % of load
    10.0
    """
    per_ms = rate_per_s / 1000.0 / workers
    offered = GRID * (1.0 + waits(workers, cv, even))
    u = np.interp(np.asarray(mean_ms, dtype=np.float64) * per_ms, offered, GRID)
    # At next to no load time in system and service are one.
    return np.minimum(u / per_ms, mean_ms)


def open_service_from_p50_ms(*, p50_ms: float, rate_per_s: float, workers: int, cv: float) -> float:
    """Mean service time [ms] that makes the median time in system `p50_ms`; for files without a mean."""

    def time_ms(service_ms: float) -> float:
        u = rate_per_s * service_ms / 1000.0 / workers
        if u >= 1.0:
            return math.inf
        return float(queues.unit_times(utilizations=[u], workers=workers, cv=cv)[0, 0]) * service_ms

    # A median is at least a few hundredths of the mean service for every CV of the grid.
    return _halved(time_ms, p50_ms, most=50.0 * p50_ms)


def closed_service_ms(*, mean_ms: float, users: int, think_ms: float, workers: int, cv: float) -> float:
    """Mean service time [ms] at which `users` of an instance, pausing `think_ms`, wait `mean_ms` for a reply.

    Source: the closed loop of `queues.closed_load`; as many workers as users: S = mean.

    >>> round(closed_service_ms(mean_ms=30.0, users=3, think_ms=0.0, workers=1, cv=1.0), 2)  # three share one worker
    10.0
    """
    if users <= workers:
        return mean_ms

    def time_ms(service_ms: float) -> float:
        pause = think_ms / service_ms
        rate, _ = queues.closed_load(users=users, pause=pause, workers=workers, cv=cv)
        return (users / rate - pause) * service_ms

    return _halved(time_ms, mean_ms)


def inverted(
    records: Sequence[LoadRecord], tested: Sequence[RanOn], *, cv: float, outside_ms: float | None = None
) -> Inverted:
    """Service time [ms] from loads of one kind of request, weighted by how well each load knows it.

    `cv` counts where no load has percentiles, `outside_ms` is D where it is known. Raises InputError when no load can be used.
    """
    left_out: list[str] = []
    kept: list[tuple[LoadRecord, RanOn]] = []
    for record, on in zip(records, tested, strict=True):
        why = _unusable(record, on)
        if why is None:
            kept.append((record, on))
        else:
            left_out.append(f"{record.label}: {why}")
    if not kept:
        raise InputError(
            "file", left_out[0] if left_out else "no load", "a load that was kept up with and has its rate and time"
        )
    with_tail = [(r, on) for r, on in kept if on.users is None and not on.even and r.mean_ms and (r.p99_ms or r.p95_ms)]
    with_tail.sort(key=lambda pair: -(pair[0].requests or 0))
    if with_tail:
        cv = min(CV_GRID, key=lambda c: _misfit(with_tail[:MOST_TAILS], c, _fitted(kept, c, outside_ms)))
    found = _fitted(kept, cv, outside_ms)
    return Inverted(
        service_ms=found.service_ms,
        sd=max(LEAST_SD, found.sd),
        outside_ms=found.outside_ms,
        outside_fitted=found.told,
        cv=cv,
        cv_fitted=bool(with_tail),
        used=len(kept),
        left_out=tuple(left_out),
    )


@dataclass(frozen=True)
class _Fit:
    service_ms: float
    sd: float
    outside_ms: float
    told: bool


def _fitted(kept: Sequence[tuple[LoadRecord, RanOn]], cv: float, outside_ms: float | None) -> _Fit:
    """S and D [ms] at a CV: for each D the S of every load, and the D at which they agree best."""
    least = min(r.mean_ms or r.p50_ms or 0.0 for r, _ in kept)
    rates = [(r.requests_per_s or 0.0) / on.instances / on.workers for r, on in kept if on.users is None and r.mean_ms]
    told = outside_ms is None and len(rates) > 1 and max(rates) > APART * min(rates)
    given = min(outside_ms or 0.0, 0.95 * least)
    outside = OUTSIDE_STEPS * least if told else np.array([given])
    logs = np.stack([np.log(_services(r, on, cv, outside)) for r, on in kept])
    sds = np.array(
        [_sd(r, on, cv, math.exp(float(row[0])), float(outside[0])) for (r, on), row in zip(kept, logs, strict=True)]
    )
    weights = sds**-2
    middle = weights @ logs / weights.sum()
    apart = weights @ (logs - middle) ** 2
    # Loads that contradict each other at the best D know the time less well than each says.
    scatter = max(1.0, float(apart.min()) / max(1, len(kept) - 1 - told))
    chances = np.exp(
        -0.5 * (apart - apart.min()) / scatter - (0.5 * (outside / (OUTSIDE_PRIOR * least)) ** 2 if told else 0.0)
    )
    chances /= chances.sum()
    mean = float(chances @ middle)
    spread = float(chances @ (middle - mean) ** 2) + scatter / float(weights.sum())
    return _Fit(math.exp(mean), math.sqrt(spread), float(chances @ outside), told)


def _services(record: LoadRecord, on: RanOn, cv: float, outside: Floats) -> Floats:
    """Service time [ms] of one load at a CV, for each time outside the workers [ms]."""
    if on.users is not None:
        assert record.mean_ms is not None
        users, mean, think = max(1, round(on.users / on.instances)), record.mean_ms, record.think_ms
        return np.array(
            [
                closed_service_ms(
                    mean_ms=mean - float(d), users=users, think_ms=max(0.0, think + float(d)), workers=on.workers, cv=cv
                )
                for d in outside
            ]
        )
    rate = (record.requests_per_s or 0.0) / on.instances
    if record.mean_ms:
        return open_service_ms(
            mean_ms=record.mean_ms - outside, rate_per_s=rate, workers=on.workers, cv=cv, even=on.even
        )
    assert record.p50_ms is not None
    return np.array(
        [
            open_service_from_p50_ms(p50_ms=record.p50_ms - float(d), rate_per_s=rate, workers=on.workers, cv=cv)
            for d in outside
        ]
    )


def _sd(record: LoadRecord, on: RanOn, cv: float, service_ms: float, outside_ms: float) -> float:
    """Relative standard deviation of the service time of one load, from the number of requests and rounding [1]."""
    u = min(0.99, (record.requests_per_s or 0.0) / on.instances * service_ms / 1000.0 / on.workers)
    sd = math.sqrt(variance("mean", workers=on.workers, cv=cv, utilization=u) / (record.requests or 1000))
    if not record.mean_ms and record.rounded and record.p50_ms:
        sd = math.hypot(sd, ROUNDING_SD_MS / record.p50_ms)
    # Near saturation the time says little of the service, and the utilization much: the slope of the logarithms.
    measured = (record.mean_ms or record.p50_ms or 0.0) - outside_ms
    moved = float(_services(record, on, cv, np.array([outside_ms - 0.02 * measured]))[0])
    return max(LEAST_SD, sd * math.log(moved / service_ms) / math.log(1.02))


def _misfit(kept: Sequence[tuple[LoadRecord, RanOn]], cv: float, fit: _Fit) -> float:
    """Squares of what the percentiles at a CV are off by, in their own standard deviations [1]."""
    total = 0.0
    names: tuple[Quantity, ...] = ("p50", "p95", "p99")
    for record, on in kept:
        u = (record.requests_per_s or 0.0) / on.instances * fit.service_ms / 1000.0 / on.workers
        if u >= 0.999:
            return math.inf
        times = queues.unit_times(utilizations=[u], workers=on.workers, cv=cv)[0] * fit.service_ms + fit.outside_ms
        for name, expected in zip(names, times.tolist(), strict=True):
            measured = getattr(record, f"{name}_ms")
            if not measured:
                continue
            rounding = ROUNDING_SD_MS / measured if record.rounded else 0.0
            known = precision_of(name, record.requests or 1000, workers=on.workers, cv=0.3, utilization=u)
            variance_ = known.sd**2 + rounding**2 + MODEL_SD**2
            total += math.log(expected * (1.0 + known.bias) / measured) ** 2 / variance_
    return total


def _unusable(record: LoadRecord, on: RanOn) -> str | None:
    """Why a load says nothing of the service time; None if it does."""
    answered = record.requests
    if not record.has_times:
        return "no time"
    if answered is not None and record.failures > MOST_FAILED * max(answered, 1):
        return f"{record.failures:,} of {answered:,} requests failed"
    if on.users is None and not record.requests_per_s:
        return "no rate of requests, and without it waiting cannot be told from service"
    if on.users is not None and not record.mean_ms:
        return "no mean time"
    if record.offered_per_s and answered and record.dropped > MOST_FAILED * answered:
        return f"{record.dropped:,} requests were not answered: the load was more than it can do"
    return None


def _halved(time_ms: Callable[[float], float], target: float, *, most: float | None = None) -> float:
    """The service time [ms] at which a rising time in system reaches the target."""
    low, high = 0.0, target if most is None else most
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        low, high = (low, middle) if time_ms(middle) > target else (middle, high)
    return (low + high) / 2.0
