"""The load test that a plan calls for: which load, how many requests and how long, what to discard, from how many machines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sizing.plan import Deployment
from sizing.scenario import StatisticalScenario
from sizing.statistical import sizes
from sizing.statistical.candidate import limits_ms
from sizing.statistical.deployment import interval_percentile
from sizing.statistical.load_test_length import (
    PRECISION,
    Precision,
    precision_of,
    requests_needed,
    warm_up_requests,
)
from sizing.statistical.own import resolved
from sizing.statistical.payload import payload_of, payload_words
from sizing.statistical.service_time import service_cv
from sizing.statistical.serving import group_of
from sizing.units import format_bytes, format_ms

KNEE_UTILIZATIONS = (0.3, 0.5, 0.7, 0.8, 0.9)
"""Steps of a staged test [1]: shares of what the workers can do, as predicted."""

LONGEST_S = 3600.0
"""Longest test of one load [s]; where the percentile needs more, what an hour gives is said."""

LONGEST_STEP_S = 600.0
"""Longest step of a staged test [s]."""

SHORTEST_S = 30.0
"""Shortest test of one load [s]: below it, starting and stopping count."""

LEAST_WARM_UP_S = 10.0
"""Least time discarded at the start [s]: connections, lazy loading, caches and clocks. A stated choice."""

LOCUST_PER_PROCESS_PER_S = 500.0
"""Requests that one Locust process of the generated file sends in time [1/s]. Locust's documentation names 16,000 in the best case
(2021 M1, tiny requests, waiting for replies); this file also keeps to random times. A stated choice, with room."""

LOCUST_PROCESSES_PER_MACHINE = 8
"""Locust processes on one client machine [1]: one a core, on 8 vCPUs. A stated choice."""

K6_PER_MACHINE_PER_S = 5000.0
"""Requests that k6 sends in time from one machine of 8 vCPUs [1/s]. A stated choice, below the 20,000 and more of its documentation."""

CLIENT_BYTES_PER_S = 125e6
"""Bytes that one client machine sends [1/s]: 1 Gbit/s. A stated choice."""

VALUE_BYTES = 9.0
"""Bytes of one number in the JSON body [1]: as -0.12345, with its comma."""

Subject = Literal["deployment", "instance"]


@dataclass(frozen=True)
class Load:
    """One load of a test: rate [requests/s] for so many seconds, with what is predicted there [ms] and how precise it will be."""

    requests_per_s: float
    seconds: float
    utilization: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    precision: Precision

    @property
    def requests(self) -> int:
        """Requests expected [1]: rate x seconds."""
        return round(self.requests_per_s * self.seconds)


@dataclass(frozen=True)
class LoadTest:
    """A load test: what is sent to what, the loads after a warm-up [s], and from how many client machines."""

    instance: str
    instance_type: str
    instances: int
    workers: int
    rows: int
    features: int
    quantity: Literal["p50", "p95", "p99"]
    limits_ms: tuple[float | None, float | None, float | None]
    warm_up_s: float
    loads: tuple[Load, ...]
    needed: int
    service_ms: float
    service_cv: float

    @property
    def highest_per_s(self) -> float:
        """Highest rate sent [requests/s]."""
        return max(load.requests_per_s for load in self.loads)

    @property
    def seconds(self) -> float:
        """Length of the whole test [s]: warm-up and loads."""
        return self.warm_up_s + sum(load.seconds for load in self.loads)

    @property
    def body_bytes(self) -> float:
        """Bytes of one request's body, about: rows x features x 9."""
        return 20.0 + self.rows * self.features * VALUE_BYTES

    @property
    def locust_processes(self) -> int:
        """Locust processes in all [1]."""
        return max(math.ceil(self.highest_per_s / LOCUST_PER_PROCESS_PER_S - 1e-9), self._by_bytes)

    @property
    def locust_machines(self) -> int:
        """Client machines for Locust [1]."""
        return max(math.ceil(self.locust_processes / LOCUST_PROCESSES_PER_MACHINE), self._by_bytes)

    @property
    def k6_machines(self) -> int:
        """Client machines for k6 [1]."""
        return max(math.ceil(self.highest_per_s / K6_PER_MACHINE_PER_S - 1e-9), self._by_bytes)

    @property
    def _by_bytes(self) -> int:
        return max(1, math.ceil(self.highest_per_s * self.body_bytes / CLIENT_BYTES_PER_S))

    @property
    def relaxation_s(self) -> float:
        """Time over which the busiest queue forgets [s]: relaxation in requests over the rate of one instance, one gap at least."""
        top = max(self.loads, key=lambda load: load.utilization)
        one = top.requests_per_s / self.instances
        return max(1.0, warm_up_requests(cv=self.service_cv, utilization=top.utilization) / 5.0) / one


def load_test(
    scenario: StatisticalScenario,
    deployment: Deployment,
    *,
    subject: Subject = "deployment",
    staged: bool = False,
    precision: float = PRECISION,
) -> LoadTest:
    """The test of a deployment, or of one of its instances at its share of the load.

    One load: the demanded one, as long as the percentile with a limit needs for a relative standard deviation `precision` [1].
    Staged: steps up to 90 % of what the workers can do, to find the knee.
    """
    cv = service_cv(scenario)
    workers = deployment.replicas // deployment.instances
    demanded = deployment.throughput.requests_per_s.demanded
    service_ms = deployment.utilization * deployment.replicas / demanded * 1000.0
    count = deployment.instances if subject == "deployment" else 1
    quantity = interval_percentile(scenario)
    stable = count * workers / service_ms * 1000.0
    shares = KNEE_UTILIZATIONS if staged else (deployment.utilization,)
    times = sizes.times_ms(group_of(deployment), shares, cv)
    loads, needed = [], 0
    for share, (p50, p95, p99) in zip(shares, times.tolist(), strict=True):
        rate = share * stable
        needed = requests_needed(quantity, workers=workers, cv=cv, utilization=share, precision=precision)
        longest = LONGEST_STEP_S if staged else LONGEST_S
        seconds = math.ceil(min(max(needed / rate, SHORTEST_S), longest))
        kept = precision_of(quantity, round(rate * seconds), workers=workers, cv=cv, utilization=share)
        loads.append(Load(rate, float(seconds), share, p50, p95, p99, kept))
    first = loads[0]
    discarded = warm_up_requests(cv=cv, utilization=first.utilization) * count / first.requests_per_s
    return LoadTest(
        instance=deployment.instance,
        instance_type=deployment.instance_type,
        instances=count,
        workers=workers,
        rows=scenario.rows_per_request,
        features=resolved(scenario).features,
        quantity=quantity,
        limits_ms=limits_ms(scenario),
        warm_up_s=float(math.ceil(max(LEAST_WARM_UP_S, min(discarded, LONGEST_STEP_S)))),
        loads=tuple(loads),
        needed=needed,
        service_ms=service_ms,
        service_cv=cv,
    )


def reasons(scenario: StatisticalScenario, test: LoadTest, *, precision: float = PRECISION) -> tuple[str, ...]:
    """Sentences on why the test is as long as it is, and what it cannot tell."""
    load = test.loads[0]
    q = test.quantity
    found = []
    if len(test.loads) == 1:
        short = precision_of(
            q, max(1, load.requests // 20), workers=test.workers, cv=test.service_cv, utilization=load.utilization
        )
        found.append(
            f"{load.requests:,} requests at {load.requests_per_s:,.4g}/s take {_minutes(load.seconds)}: at {load.utilization:.0%} "
            f"utilization they give {q} to ±{load.precision.sd:.0%} (one standard deviation)."
        )
        if short.bias < -0.02:
            found.append(
                f"A test of a twentieth of that reports {q} {-short.bias:.0%} too low in the mean, ±{short.sd:.0%}: busy spells are "
                "rare, and a short test misses them."
            )
        found.append(
            "One load cannot tell time on the network from service, and counts both as service, which is on the safe side; steps of "
            "several loads can."
        )
        if load.precision.sd > precision * 1.05:
            found.append(
                f"±{precision:.0%} would need {test.needed:,} requests, {_minutes(test.needed / load.requests_per_s)}; "
                "the test is cut to an hour."
            )
    else:
        parts = ", ".join(f"{x.requests_per_s:,.4g}/s for {_minutes(x.seconds)}" for x in test.loads)
        found.append(
            f"Steps of 30 to 90 % of what the workers can do as predicted: {parts}. The knee is where the measured {q} leaves the "
            f"predicted line; at the last step it is known to ±{test.loads[-1].precision.sd:.0%} only."
        )
    found.append(
        f"The first {_minutes(test.warm_up_s)} are discarded: connections, caches, and the time the queue takes to settle."
    )
    if scenario.concurrency is not None:
        found.append(
            "Your users wait for their reply; the test sends as many requests a second at random instead, which queues a little "
            "longer, so it is on the safe side."
        )
    if test.locust_machines > 1 or test.k6_machines > 1:
        found.append(
            f"{test.highest_per_s:,.0f} requests/s of {test.body_bytes:,.0f} B are more than one client machine sends in time: "
            f"Locust needs {test.locust_processes} processes on {test.locust_machines} machines of 8 vCPUs, k6 {test.k6_machines}."
        )
    if scenario.payload_format != "json" or scenario.request_kib is not None:
        planned = payload_of(resolved(scenario))
        found.append(
            f"The files send JSON of about {format_bytes(test.body_bytes)} a request; the plan is for {payload_words(planned)}: change body() "
            "and its Content-Type to what your endpoint takes, or the test is of another load. Count client machines anew then."
        )
    found.append(
        f"Predicted at {load.requests_per_s:,.4g}/s: p50 {format_ms(load.p50_ms)}, p95 {format_ms(load.p95_ms)}, "
        f"p99 {format_ms(load.p99_ms)}."
    )
    return tuple(found)


def _minutes(seconds: float) -> str:
    """Duration in words: seconds below two minutes, minutes below two hours, else hours.

    >>> _minutes(45), _minutes(600), _minutes(9000)
    ('45 s', '10 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.2g} h"
