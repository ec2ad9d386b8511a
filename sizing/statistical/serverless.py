"""The model on services that bill by use: memory size, duration, cost, concurrency, starts, and what each refuses.

An environment serves one request at a time on at most one vCPU: below one vCPU a call takes 1 / share as long, above it
more vCPUs do not help one thread. Nobody waits for another request: what there is to wait for is a start.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from sizing.catalog import Catalog
from sizing.cpu import SMT_SLOWDOWN, CpuSpeed, speed_named
from sizing.queueing_law import Floats
from sizing.scenario import StatisticalScenario
from sizing.serverless_rows import ServerlessService, ServerlessSize
from sizing.statistical.candidate import Model, limits_ms, model_of
from sizing.statistical.cold_start import (
    COLD_FILES,
    billed_environments,
    cold_share,
    environments_at_peak,
    own_start_ms,
    percentile_ms,
)
from sizing.statistical.payload import payload_of
from sizing.statistical.service_time import service_cv, service_time
from sizing.units import GB, HOURS_PER_MONTH, MIB, SECONDS_PER_HOUR, format_bytes, format_ms

VCPU_SHARING: dict[str, tuple[float, float, float]] = {"x86_64": (1.0, 1.25, SMT_SLOWDOWN), "arm64": (1.0, 1.0, 1.0)}
"""Time factor [1] of a vCPU over a whole core, low, middle and high: on x86 a vCPU is one of two threads of a core, and a
neighbour may be on the other. Recalled, 2026-11-25."""

PAYLOAD_BYTES_PER_VALUE = 10
"""Bytes of one value in a request as JSON text [bytes]. Recalled, range 4 to 20, 2026-11-25."""

PERCENTILES = (50, 95, 99)
SECONDS_PER_MONTH = HOURS_PER_MONTH * SECONDS_PER_HOUR


@dataclass(frozen=True)
class Bill:
    """What one size of a service costs at any load [USD/s]; `start_s` is billed for each request that meets a start."""

    service: ServerlessService
    size: ServerlessSize
    busy_s: float
    start_s: float
    payload_bytes: int

    @property
    def usd_per_environment_s(self) -> float:
        """One environment at work for a second [USD]: GiB x price + vCPUs x price."""
        gib = self.size.memory_mib / 1024.0
        return gib * self.service.usd_per_gib_s + self.size.vcpus * (self.service.usd_per_vcpu_s or 0.0)

    @property
    def billed_s(self) -> float:
        """Billed time of a request by itself [s]: rounded up to the step, at least the minimum."""
        step = self.service.billed_step_ms / 1000.0
        return max(ceil(self.busy_s / step - 1e-9) * step, self.service.billed_minimum_ms / 1000.0)

    @property
    def usd_per_request_beside_time(self) -> float:
        """The request itself and its data [USD]."""
        data = self.payload_bytes / GB * (self.service.usd_per_gb_transferred or 0.0)
        return self.service.usd_per_million_requests / 1e6 + data

    def cold(self, requests_per_s: Floats) -> Floats:
        """Share of requests that meet a start [1]."""
        return cold_share(requests_per_s, busy_s=self.busy_s, idle_timeout_s=self.service.idle_timeout_s)

    def usd_per_month(self, requests_per_s: Floats) -> Floats:
        """Cost [USD per month of 730 h] at each rate [1/s], starts included.

        Month x (environment price x (billed environments + rate x cold share x start) + rate x price of a request).
        """
        if self.service.billing == "request":
            billed = requests_per_s * self.billed_s
        else:
            billed = billed_environments(requests_per_s, busy_s=self.busy_s, billed_s=self.billed_s)
        starts = requests_per_s * self.cold(requests_per_s) * self.start_s
        beside = requests_per_s * self.usd_per_request_beside_time
        total: Floats = SECONDS_PER_MONTH * (self.usd_per_environment_s * (billed + starts) + beside)
        return total

    @property
    def least_usd_per_request(self) -> float:
        """What a request costs at the highest loads, when what is paid is always used [USD]."""
        seconds = self.billed_s if self.service.billing == "request" else self.busy_s
        return seconds * self.usd_per_environment_s + self.usd_per_request_beside_time


@dataclass(frozen=True)
class ServerlessOption:
    """One service for the scenario: its chosen size, times [ms], cost and what stands against it (None: nothing)."""

    bill: Bill
    requests_per_s: float
    model_ms: float
    duration_ms: float
    duration_low_ms: float
    duration_high_ms: float
    needed_bytes: int
    start_ms: float
    cold_share: float
    concurrency: float
    concurrency_at_peak: int
    latency_ms: dict[int, float]
    warm_p99_ms: float
    usd_per_month: float
    usd_per_million: float
    because: str | None

    @property
    def service(self) -> ServerlessService:
        """The service of the catalog."""
        return self.bill.service

    @property
    def usd_per_month_interval(self) -> tuple[float, float]:
        """Cost [USD per month] at the ends of the 80 % interval of the duration, the lower first."""
        rate = np.array([self.requests_per_s])
        ends = [
            float(replace(self.bill, busy_s=ms / 1000.0).usd_per_month(rate)[0])
            for ms in (self.duration_low_ms, self.duration_high_ms)
        ]
        return min(self.usd_per_month, *ends), max(self.usd_per_month, *ends)


def options(scenario: StatisticalScenario, catalog: Catalog, *, requests_per_s: float) -> tuple[ServerlessOption, ...]:
    """Every service of the allowed clouds at a load [1/s], each at its best size: those without objection by cost, first.

    The best size is the cheapest one that keeps the limits, else the one with the lowest p99; of two at one cost the faster.
    Raises InputError for an unknown family or a runtime that it lacks.
    """
    model = model_of(scenario, catalog)
    found = []
    for service in catalog.serverless.values():
        if scenario.providers and service.provider not in scenario.providers:
            continue
        sizes = [option_at(scenario, model, service, size, requests_per_s) for size in service.sizes]
        open_ones = [o for o in sizes if o.because is None]
        if open_ones:
            found.append(min(open_ones, key=lambda o: (round(o.usd_per_month, 9), o.latency_ms[99])))
        else:
            found.append(min(sizes, key=lambda o: (_hardness(o), o.latency_ms[99])))
    return tuple(sorted(found, key=lambda o: (o.because is not None, o.usd_per_month, o.service.id)))


def option_at(
    scenario: StatisticalScenario, model: Model, service: ServerlessService, size: ServerlessSize, requests_per_s: float
) -> ServerlessOption:
    """One size of one service at a load [1/s]."""
    share = min(1.0, size.vcpus)
    low, middle, high = VCPU_SHARING[service.cpu_arch]
    core = speed_named(service.cpu_type)
    # A share of a core stretches all of a call alike, which a slower core does not; its range is joined to the core's.
    speed = CpuSpeed(core.factor, core.low * low / middle, core.high * high / middle, core.core)
    times = service_time(
        scenario=scenario, cost=model.cost, size=model.size, speed=speed, sharing=middle / share, before=model.before
    )
    if model.calibration is not None:
        # No service is the machine that was measured; its core may be the same.
        times = model.calibration.applied(times, machine=service.id, speed=speed)
    more_http_ms = times.http_ms * (1.0 / share - 1.0)
    parsing = payload_of(scenario).times_ms(speed, middle / share)
    duration_ms, low_ms, high_ms = (
        t + more_http_ms + more for t, more in zip((times.mean_ms, times.low_ms, times.high_ms), parsing, strict=True)
    )
    at_start = 1.0 if service.full_cpu_at_start else share
    own_ms = own_start_ms(model, cpu_factor=core.factor * middle / at_start)
    payload = scenario.rows_per_request * scenario.features * PAYLOAD_BYTES_PER_VALUE
    rate = np.array([requests_per_s])
    bill = Bill(service, size, busy_s=duration_ms / 1000.0, start_s=own_ms / 1000.0, payload_bytes=payload)
    cold = float(bill.cold(rate)[0])
    start_ms = service.platform_start_ms + own_ms
    cv = service_cv(scenario)

    def at(percentile: int, share_cold: float) -> float:
        return percentile_ms(
            percentile / 100.0,
            mean_ms=duration_ms,
            cv=cv,
            cold=share_cold,
            cold_ms=start_ms,
            overhead_ms=service.invoke_overhead_ms,
        )

    latency = {p: at(p, cold) for p in PERCENTILES}
    offered = requests_per_s * duration_ms / 1000.0
    peak = environments_at_peak(offered)
    needed = sum(model.per_worker_bytes.values())
    month = float(bill.usd_per_month(rate)[0])
    return ServerlessOption(
        bill=bill,
        requests_per_s=requests_per_s,
        model_ms=times.model_ms,
        duration_ms=duration_ms,
        duration_low_ms=low_ms,
        duration_high_ms=high_ms,
        needed_bytes=needed,
        start_ms=start_ms,
        cold_share=cold,
        concurrency=offered,
        concurrency_at_peak=peak,
        latency_ms=latency,
        warm_p99_ms=at(99, 0.0),
        usd_per_month=month,
        usd_per_million=month / (requests_per_s * SECONDS_PER_MONTH) * 1e6,
        because=_objection(scenario, bill, needed, duration_ms, latency, peak),
    )


_OBJECTIONS = ("a request of", "needs", "a call takes", "requests at once", "p")


def _objection(
    scenario: StatisticalScenario, bill: Bill, needed: int, duration_ms: float, latency: dict[int, float], peak: int
) -> str | None:
    """The first thing that stands in the way, in the order of _OBJECTIONS; None if nothing does."""
    service = bill.service
    if bill.payload_bytes > service.payload_limit_mib * MIB:
        return f"a request of {format_bytes(bill.payload_bytes)} is over the {service.payload_limit_mib:g} MiB allowed"
    if needed > bill.size.memory_mib * MIB:
        return f"needs {format_bytes(needed)} of the {format_bytes(bill.size.memory_mib * MIB)} there are"
    if duration_ms > service.timeout_s * 1000.0:
        return f"a call takes {format_ms(duration_ms)}, over the {service.timeout_s:g} s allowed"
    if peak > service.max_concurrency:
        return f"requests at once reach {peak:,}, over the {service.max_concurrency:,} allowed"
    for percentile, limit in zip(PERCENTILES, limits_ms(scenario), strict=True):
        if limit is not None and latency[percentile] > limit:
            return f"p{percentile} {format_ms(latency[percentile])} is over the limit of {format_ms(limit)}"
    return None


def _hardness(option: ServerlessOption) -> int:
    """How early in the order of objections its own stands, so that the size nearest to working is shown."""
    because = option.because or ""
    return -next((i for i, start in enumerate(_OBJECTIONS) if because.startswith(start)), len(_OBJECTIONS))


def assumptions(scenario: StatisticalScenario) -> tuple[str, ...]:
    """What the figures of this module take for granted, in sentences."""
    region = "" if scenario.region == "us" else " Prices are those of the United States, not of the region chosen."
    return (
        "One request at a time in each environment, on at most one vCPU. The size is the cheapest that keeps the limits."
        + region,
        "A start is the platform's own part, then imports and model load, taken as "
        f"{COLD_FILES:g} times as long as with files in memory (recalled, 1.2 to 4). Requests take the first free "
        "environment in a fixed order, and one idle for the time-out of the service is gone; a burst meets more starts than "
        "random arrivals do.",
        "Without free grants, data transfer out of the cloud, an API gateway or kept-warm capacity, which is billed all the "
        "time.",
    )
