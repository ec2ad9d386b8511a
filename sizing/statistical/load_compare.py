"""A load test beside the prediction: what each load was predicted to give, what differs and why, and the measurement it makes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from sizing import cpu
from sizing.catalog import Catalog
from sizing.catalog_rows import Instance
from sizing.cpu import CpuSpeed
from sizing.errors import InputError
from sizing.fleet import Offer, price_of
from sizing.plan import Rejection
from sizing.queueing import mgc
from sizing.scenario import StatisticalScenario
from sizing.statistical import queues
from sizing.statistical.candidate import candidate_on, model_of
from sizing.statistical.invert import GRID, Inverted, RanOn, inverted, open_service_ms, waits
from sizing.statistical.load_records import LoadRecord
from sizing.statistical.load_test_length import precision_of
from sizing.statistical.measured import HOST, MeasuredService, fingerprint
from sizing.statistical.own import resolved
from sizing.statistical.payload import payload_of
from sizing.statistical.service_time import ServiceTime, service_cv, service_time
from sizing.statistical.workers import layout
from sizing.units import format_ms

MOST_UTILIZATION = 0.995
"""Utilization [1] above which no prediction is made: the load is more than the workers can do for long."""

CLEAR = 1.15
"""Ratio of measured to predicted [1] from which a difference is put into words, beyond what chance explains."""


@dataclass(frozen=True)
class Setup:
    """What was tested, as the file or the user says: machine, how many, workers on each, rows, and how requests were sent."""

    machine: str
    instances: int
    workers: int
    rows: int
    loop: Literal["open", "even", "closed"]
    users: int | None = None

    @property
    def tested(self) -> RanOn:
        """What the inverted queue needs of it."""
        return RanOn(
            self.instances, self.workers, self.users if self.loop == "closed" else None, even=self.loop == "even"
        )


@dataclass(frozen=True)
class Times:
    """Mean and percentiles of the time in system [ms], infinite where it cannot keep up; utilization [1], and the rate at which all
    workers are busy [1/s]."""

    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    utilization: float
    most_per_s: float


@dataclass(frozen=True)
class Row:
    """One load: what was measured, what was predicted, and sentences on what differs."""

    record: LoadRecord
    setup: Setup
    predicted: Times
    usd_per_hour: float | None
    usd_per_inference: float | None
    causes: tuple[str, ...]


def machine_of(record: LoadRecord, catalog: Catalog) -> str | None:
    """Id of the catalog's CPU instance that a record names, as an id or a type; ml.c5.xlarge is c5.xlarge
    where the catalog has no such SageMaker instance. None if unknown."""
    if record.instance is None:
        return None
    known = catalog.instances.get(record.instance)
    if known is not None and known.category == "cpu":
        return known.id
    name = record.instance.removeprefix("ml.")
    by_type = {i.instance_type: i.id for i in reversed(list(catalog.instances.values())) if i.category == "cpu"}
    return by_type.get(record.instance, by_type.get(name))


def workers_on(scenario: StatisticalScenario, catalog: Catalog, machine: str) -> int:
    """Workers that the scenario would run on a machine (count): as given, else one a physical core, one where it is not known."""
    instance = catalog.instances.get(machine)
    cores = None if instance is None else cpu.physical_cores(instance)
    return scenario.workers_per_instance or cores or 1


def service_on(scenario: StatisticalScenario, catalog: Catalog, setup: Setup) -> ServiceTime:
    """Service time [ms] predicted for a machine, catalog instance or host-<time factor>, with the scenario's measurements.

    Raises InputError where the model does not fit into the instance or the machine is not known.
    """
    asked = resolved(scenario).model_copy(
        update={"rows_per_request": setup.rows, "workers_per_instance": setup.workers}
    )
    model = model_of(asked, catalog)
    instance = catalog.instances.get(setup.machine)
    if instance is not None:
        made = candidate_on(asked, model, Offer(instance, instance.prices[0], None))
        if isinstance(made, Rejection):
            raise InputError("instance", instance.instance_type, f"an instance that runs the model; {made.because}")
        return made.service
    factor = _factor(setup.machine)
    speed = CpuSpeed(factor, factor, factor, "")
    found = service_time(
        scenario=asked, cost=model.cost, size=model.size, speed=speed, sharing=1.0, before=model.before
    )
    if model.calibration is not None:
        found = model.calibration.applied(found, machine=setup.machine, speed=speed)
    mean, low, high = payload_of(asked).times_ms(speed, 1.0)
    return replace(found, payload_ms=mean, low_ms=found.low_ms + low, high_ms=found.high_ms + high)


def predicted(scenario: StatisticalScenario, catalog: Catalog, record: LoadRecord, setup: Setup) -> Times:
    """Times in system [ms] predicted for a load on what was tested: each queue of each instance has its share of it."""
    service = service_on(scenario, catalog, setup).mean_ms
    cv = service_cv(scenario)
    way = layout(scenario, setup.workers)
    count, servers = setup.instances * way.queues, way.servers
    # Served by turns, the mean time in system is that of exponential service first come, first served, whatever the law.
    law_cv = 1.0 if way.shared else cv
    most = setup.instances * setup.workers / service * 1000.0
    if setup.loop == "closed" and setup.users is not None:
        users = max(1, round(setup.users / count))
        pause = record.think_ms / service
        rate, load = queues.closed_load(users=users, pause=pause, workers=servers, cv=law_cv)
        mean, used = (users / rate - pause) * service, rate / servers
    else:
        used = load = (record.requests_per_s or 0.0) / count * service / 1000.0 / servers
        if load >= MOST_UTILIZATION:
            return Times(math.inf, math.inf, math.inf, math.inf, load, most)
        if setup.loop == "even":
            some = waits(servers, law_cv)
            wait = float(np.interp(load, GRID, waits(servers, law_cv, even=True)))
            # Percentiles as at the random load that makes a request wait as long.
            load = float(np.interp(wait, some, GRID))
        mean = (
            mgc(
                arrival_per_s=load * servers, service_mean_ms=1000.0, service_cv=law_cv, servers=servers
            ).time_in_system_mean_ms
            * service
            / 1000.0
        )
    p50, p95, p99 = (
        queues.unit_times(utilizations=[min(load, MOST_UTILIZATION)], workers=servers, cv=cv, shared=way.shared)[0]
        * service
    )
    return Times(mean, float(p50), float(p95), float(p99), used, most)


def compared(
    scenario: StatisticalScenario, catalog: Catalog, records: Sequence[LoadRecord], setups: Sequence[Setup]
) -> tuple[Row, ...]:
    """Each load beside the prediction of the scenario without its measurements, with the likely causes of what differs."""
    plain = scenario.model_copy(update={"measured_service": None})
    rows = []
    for record, setup in zip(records, setups, strict=True):
        times = predicted(plain, catalog, record, setup)
        instance = catalog.instances.get(setup.machine)
        price = None if instance is None else price_of(scenario, instance)
        hourly = None if price is None else price.usd_per_hour * setup.instances
        per_s = record.requests_per_s
        each = hourly / 3600.0 / per_s if hourly is not None and per_s else None
        rows.append(Row(record, setup, times, hourly, each, causes(record, setup, times, service_cv(scenario))))
    return tuple(rows)


def causes(record: LoadRecord, setup: Setup, times: Times, cv: float) -> tuple[str, ...]:
    """Sentences on what differs between measured and predicted and its likely cause, the most likely first."""
    found = []
    u = min(times.utilization, 0.98)
    if record.failures and record.failures > 0.01 * max(record.requests or 1, 1):
        found.append(
            f"{record.failures:,} requests failed: failures are often faster or slower than replies, so mend them first."
        )
    if record.dropped:
        found.append(
            f"{record.dropped:,} requests were dropped or never answered: the load asked for was not the load sent or served."
        )
    if record.late_p99_ms and record.p50_ms and record.late_p99_ms > 0.1 * record.p50_ms:
        found.append(
            f"The load generator itself was up to {format_ms(record.late_p99_ms)} late (p99), which is in the times: give it a "
            "machine or a core of its own."
        )
    if not math.isfinite(times.p99_ms):
        found.append(
            f"Predicted utilization is {times.utilization:.0%}: the prediction says that this load cannot be kept up with. It was, "
            "so service is faster than predicted."
        )
        return tuple(found)
    found += _length(record, setup, times, cv, u)
    found += _speed(record, setup, times, cv, u)
    if setup.loop == "closed":
        found.append(
            "The test's users wait for replies, so a slow moment sends fewer requests and p99 comes out too low."
        )
    if setup.loop == "even":
        found.append(
            "The requests were evenly spaced, which queues less than real traffic: p99 comes out at 0.15 to 0.7 of what it is at random."
        )
    if record.rounded and (record.p50_ms or math.inf) < 10.0:
        found.append("Locust rounds its percentiles to whole milliseconds; its mean is exact.")
    return tuple(found)


def _length(record: LoadRecord, setup: Setup, times: Times, cv: float, u: float) -> list[str]:
    if not record.p99_ms or not record.requests:
        return []
    known = precision_of("p99", record.requests, workers=setup.workers, cv=cv, utilization=u)
    if known.sd < 0.12 and known.bias > -0.02:
        return []
    ratio = record.p99_ms / times.p99_ms
    by_chance = abs(math.log(ratio / (1.0 + known.bias))) < 2.0 * known.sd
    low = f", and {-known.bias:.0%} too low in the mean" if known.bias < -0.02 else ""
    end = "; what differs is within that" if by_chance else ""
    return [
        f"The test was short: {record.requests:,} requests at {u:.0%} utilization give p99 to ±{known.sd:.0%} only{low}{end}."
    ]


def _speed(record: LoadRecord, setup: Setup, times: Times, cv: float, u: float) -> list[str]:
    """Slower or faster in the middle: another service time. Right in the middle and slow at the end: queues, spread or workers."""
    found: list[str] = []
    middle = record.p50_ms or record.mean_ms
    if not middle:
        return found
    ratio = middle / (times.p50_ms if record.p50_ms else times.mean_ms)
    if ratio > CLEAR or ratio < 1.0 / CLEAR:
        word = "slower" if ratio > 1.0 else "faster"
        found.append(
            f"The {'median' if record.p50_ms else 'mean'} is {ratio:.2g} times the prediction: service itself is {word} here (library "
            "version, CPU, payload, network, web server). Recalibrating takes this in."
        )
    fewer = _fewer_workers(record, setup, times, cv)
    if fewer is not None:
        found.append(
            f"The mean fits {fewer} worker{'' if fewer == 1 else 's'} better than {setup.workers}: do all of them run, and does "
            "each use one thread only?"
        )
    if record.p99_ms and record.p50_ms and abs(math.log(ratio)) < math.log(CLEAR) * 2:
        tail = (record.p99_ms / record.p50_ms) / (times.p99_ms / times.p50_ms)
        if tail > 1.4:
            found.append(
                f"p99 over p50 is {tail:.2g} times that predicted: service varies more than a CV of {cv:g} (mixed requests, garbage "
                "collection, neighbours on the host), or requests come in bursts."
            )
    return found


def _fewer_workers(record: LoadRecord, setup: Setup, times: Times, cv: float) -> int | None:
    """Number of workers below that stated which explains a slow mean at the predicted service time; None if none does."""
    if setup.loop != "open" or not record.mean_ms or not record.requests_per_s or setup.workers == 1:
        return None
    if record.mean_ms < 1.3 * times.mean_ms or (record.p50_ms and record.p50_ms > 2.5 * times.p50_ms):
        return None
    rate = record.requests_per_s / setup.instances
    service = times.utilization * setup.workers / rate * 1000.0
    for workers in range(1, setup.workers):
        if rate * service / 1000.0 / workers >= MOST_UTILIZATION:
            continue
        need = float(open_service_ms(mean_ms=record.mean_ms, rate_per_s=rate, workers=workers, cv=cv))
        if abs(math.log(need / service)) < 0.1:
            return workers
    return None


def measurement(
    scenario: StatisticalScenario,
    records: Sequence[LoadRecord],
    setups: Sequence[Setup],
    *,
    outside_ms: float | None = None,
) -> tuple[MeasuredService, Inverted]:
    """The scenario's measurement [ms] that a test makes, and how it was found. Loads with other rows each make a point.

    `outside_ms` is the time of a reply outside the workers where it is known (network round trip).

    Raises InputError when no load says how long service takes, or when they were run on different machines.
    """
    machines = sorted({setup.machine for setup in setups})
    if len(machines) != 1:
        raise InputError("instance", ", ".join(machines), "loads of one machine: choose those of one instance type")
    cv = service_cv(scenario)
    by_rows: dict[int, Inverted] = {}
    for rows in sorted({setup.rows for setup in setups}):
        some = [(r, _queues_of(scenario, s)) for r, s in zip(records, setups, strict=True) if s.rows == rows]
        by_rows[rows] = inverted([r for r, _ in some], [on for _, on in some], cv=cv, outside_ms=outside_ms)
    best = min(by_rows.values(), key=lambda found: (not found.cv_fitted, found.sd))
    return (
        MeasuredService(
            where=machines[0],
            fingerprint=fingerprint(scenario),
            timed="request",
            rows=tuple(by_rows),
            times_ms=tuple(found.service_ms for found in by_rows.values()),
            errors=tuple(min(found.sd, 0.999) for found in by_rows.values()),
        ),
        best,
    )


def _queues_of(scenario: StatisticalScenario, setup: Setup) -> RanOn:
    """What was tested as its queues see it: event loops and thread pools are each a queue of its own."""
    way, on = layout(scenario, setup.workers), setup.tested
    return replace(on, instances=on.instances * way.queues, workers=way.servers)


def _factor(machine: str) -> float:
    try:
        factor = float(machine.removeprefix(HOST)) if machine.startswith(HOST) else 0.0
    except ValueError:
        factor = 0.0
    if not factor > 0.0:
        raise InputError("instance", machine, "a CPU instance of the catalog, or host-<time factor above 0>")
    return factor


def catalog_machines(catalog: Catalog) -> dict[str, Instance]:
    """CPU instances of the catalog by id, as a test may have been run on."""
    return {i.id: i for i in catalog.instances.values() if i.category == "cpu" and cpu.physical_cores(i) is not None}
