"""Counts and times of any kind of instance: those that serve requests one by one, and those that serve them in batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from sizing.queueing_law import Floats
from sizing.statistical import micro_batching, queues
from sizing.statistical.queues import BatchLaw, Group, Sized, Traffic
from sizing.statistical.service_time import ServiceTime

INTERVAL_UTILIZATION = 0.98
"""Utilization at which the slow end of an interval is read when it would leave no stable queue [1]."""

Key = tuple[ServiceTime, Group]


def sized(
    *,
    groups: Sequence[Group],
    traffic: Traffic,
    cv: float,
    utilization_cap: float,
    limits_ms: Sequence[float | None],
    spare: int,
) -> dict[Group, Sized]:
    """Least instances of each group that keep the cap and the limits on p50, p95, p99 [ms], plus spares."""
    batching = [group for group in groups if group.batch is not None]
    plain = [group for group in groups if group.batch is None]
    found = queues.sized(
        groups=plain,
        traffic=traffic,
        cv=cv,
        utilization_cap=utilization_cap,
        limits_ms=limits_ms,
        spare=spare,
    )
    if batching:
        found |= micro_batching.sized(
            groups=batching, traffic=traffic, utilization_cap=utilization_cap, limits_ms=limits_ms, spare=spare
        )
    return found


def times_ms(group: Group, utilizations: Sequence[float] | Floats, cv: float) -> Floats:
    """p50, p95, p99 of the time in system [ms], a row a utilization of the group's workers."""
    if group.batch is not None:
        return micro_batching.times_ms([group.batch] * len(utilizations), utilizations)
    unit = queues.unit_times(utilizations=utilizations, workers=group.workers, cv=cv, shared=group.shared)
    return unit * group.service_ms


def highest_utilization(group: Group, limits_ms: Sequence[float | None], cv: float, cap: float) -> float:
    """Highest utilization [1] that the cap, the group's own cap and the limits [ms] allow; below 0 if none does."""
    cap = min(cap, group.cap)
    limits = np.array([np.inf if limit is None else limit for limit in limits_ms])
    if group.batch is not None:
        return min(micro_batching.reaches([group], limits, cap)[0][0], cap)
    ((reach, _),) = queues.highest_utilizations(
        limits=limits[None] / group.service_ms,
        workers=group.workers,
        cv=cv,
        cap=cap,
        shared=group.shared,
        settle=True,
    )
    return min(reach, cap)


def interval_times_ms(keys: Iterable[Key], sizes: dict[Group, Sized], cv: float) -> dict[Key, Floats]:
    """p50, p95, p99 [ms] at the counts found, rows: expected, fast end and slow end of the service time."""
    plain: defaultdict[tuple[int, bool], list[Key]] = defaultdict(list)
    batching: list[Key] = []
    for service, group in dict.fromkeys(keys):
        if group.batch is None:
            plain[group.workers, group.shared].append((service, group))
        else:
            batching.append((service, group))
    found: dict[Key, Floats] = {}
    for (workers, shared), members in plain.items():
        services = np.array([[s.mean_ms, s.low_ms, s.high_ms] for s, _ in members])
        loads = _loads(services, np.array([[sizes[group].seen_utilization] for _, group in members]))
        unit = queues.unit_times(utilizations=loads.ravel(), workers=workers, cv=cv, shared=shared)
        for key, rows in zip(members, unit.reshape(len(members), 3, 3) * services[:, :, None], strict=True):
            found[key] = rows
    if batching:
        found |= _batch_intervals(batching, sizes)
    return found


def _loads(services: Floats, seen: Floats) -> Floats:
    return np.minimum(seen * services / services[:, :1], np.maximum(INTERVAL_UTILIZATION, seen))


def _batch_intervals(members: list[Key], sizes: dict[Group, Sized]) -> dict[Key, Floats]:
    """The ends of an interval are those of the queue without delay over its middle: the delay is a setting, not an estimate."""
    laws: list[BatchLaw] = [group.batch for _, group in members if group.batch is not None]
    services = np.array([[s.mean_ms, s.low_ms, s.high_ms] for s, _ in members])
    loads = _loads(services, np.array([[sizes[group].seen_utilization] for _, group in members]))
    factors = services / services[:, :1]
    without = [
        micro_batching.times_ms(
            [micro_batching.scaled(law, factor) for law, factor in zip(laws, factors[:, end], strict=True)],
            loads[:, end],
            delay=False,
        )
        for end in range(3)
    ]
    middle = micro_batching.times_ms(laws, loads[:, 0])
    rows = np.stack([middle * without[end] / without[0] for end in range(3)], axis=1)
    # Percentiles that are one time stay in order whatever rounding does.
    return dict(zip(members, np.maximum.accumulate(rows, axis=2), strict=True))
