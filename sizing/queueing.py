"""Time in system of requests at one instance with several workers (open loop, Poisson arrivals), and how many
instances.

The model is M/G/c, first come first served. A request that must wait waits for the first of c running
services to end and then for a geometric number of residual services at c-fold speed:

    wait = 0 with probability 1 - D, else A + R_1/c + ... + R_N/c,   P(N = n) = (1 - u) u^n

with A the least of c residual service times, R_i residual service times, u the utilization and D a weight
near the chance of waiting. This is exact for one server (Pollaczek-Khinchine) and for exponential service
(M/M/c). Elsewhere D, or above CV 1 the pace of the waits, is set so that the mean wait is that of
`queueing_open.delay_and_mean_wait`. Up to CV 1 the tail then keeps its exact decay rate r,
E[exp(r S / c)] = 1 + r / arrival rate; laws that have none (lognormal) need none. It therefore also replaces
a simulation at service CV above 1, where 200,000 simulated customers miss p99 by 24 % (P90; this form: 7 %,
see P99_ERROR_SHARE).

Source: Tijms, A First Course in Stochastic Models (2003), section 9.6 (M/G/c queue-length generating
function; the wait follows by the distributional form of Little's law). Mean wait and chance of waiting:
between Erlang's and the exact ones at constant service, see sizing/queueing_open.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sizing.errors import InputError
from sizing.queueing_closed import ClosedLoopResult, closed_loop
from sizing.queueing_law import Floats, Law, ServiceLaw, service_law
from sizing.queueing_open import blocked_share, delay_and_mean_wait, is_exponential, open_quantiles
from sizing.units import MS_PER_S

__all__ = [
    "ClosedLoopResult",
    "QueueResult",
    "ServiceLaw",
    "Unstable",
    "closed_loop",
    "erlang_b",
    "erlang_c",
    "mgc",
    "minimum_instances",
    "percentile_curve",
    "time_in_system_quantile",
]

Method = Literal["exact", "geometric-sum"]

MAX_SERVERS = 4096
"""Most workers of one instance accepted [1]; far above any machine in the catalogs."""

P99_ERROR_SHARE = {(True, True): 0.02, (True, False): 0.06, (False, True): 0.08, (False, False): 0.20}
"""P90 of the absolute relative error of p99 [1] by (service CV up to 1, law given).

Source: 182 settings simulated for this project (1 to 16 servers, utilization 0.3 to 0.95, CV 0 to 2, 2 to 9
million customers each), compared 2026-11-25. Law given: CV 0 to 1 median 0.4 %, P90 1.8 %, worst 4.9 % (148
settings); CV 2 median 1.3 %, P90 7.1 %, worst 8.8 % (34 settings). Law left to the
default while the truth was another: P90 5.8 % and 20 %, worst 11 % and 27 % (2026-11-22). The simulations' own
95 % half-widths have a P90 of 4.3 % and 12 %, so that the first two are upper bounds, also for the exact cases.
Mean wait: median 0.6 %, P90 2.2 % up to CV 1 and 7 % at CV 2 where it is known within 5 %; against exact
solutions 0.6 % and 5 % (benchmarks/QUEUES.md)."""


class Unstable(ValueError):
    """More work arrives than the workers can do: the queue grows without end and no percentile exists.

    >>> str(Unstable(utilization=1.25, stable_below_per_s=80.0))
    'utilization: 1.25 is not stable; allowed is less than 1, which is fewer than 80 requests/s here.'
    """

    def __init__(self, *, utilization: float, stable_below_per_s: float) -> None:
        self.utilization = utilization
        self.stable_below_per_s = stable_below_per_s
        super().__init__(
            f"utilization: {utilization:.4g} is not stable; allowed is less than 1, "
            f"which is fewer than {stable_below_per_s:.4g} requests/s here."
        )


@dataclass(frozen=True)
class QueueResult:
    """Utilization [1], waits and times in system [ms] of one instance, the method, and its P90 relative error
    on p99 [1]."""

    utilization: float
    wait_probability: float
    wait_mean_ms: float
    time_in_system_mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    method: Method
    error_share: float


def erlang_b(*, servers: int, offered_load: float) -> float:
    """Chance [1] that all servers are busy when nothing may wait. B(c) = a B(c-1) / (c + a B(c-1)), B(0) = 1,
    a offered load.

    Source: Erlang (1917); the recurrence stays between 0 and 1, so nothing overflows at any size.

    >>> round(erlang_b(servers=2, offered_load=1.0), 4)
    0.2
    """
    if not 1 <= servers <= MAX_SERVERS:
        raise InputError("servers", servers, f"a whole number from 1 to {MAX_SERVERS}")
    if not 0.0 <= offered_load < math.inf:
        raise InputError("offered_load", offered_load, "a finite number of 0 or more")
    return float(blocked_share(servers, np.array([offered_load]))[0])


def erlang_c(*, servers: int, offered_load: float) -> float:
    """Chance [1] that a request must wait in M/M/c. C = B / (1 - u (1 - B)), u = a / c, B from `erlang_b`.

    Source: Erlang (1917).

    >>> round(erlang_c(servers=2, offered_load=1.0), 4)
    0.3333
    """
    blocked = erlang_b(servers=servers, offered_load=offered_load)
    if offered_load >= servers:
        raise InputError("offered_load", offered_load, f"less than the number of servers ({servers})")
    return blocked / (1.0 - offered_load / servers * (1.0 - blocked))


def mgc(
    *,
    arrival_per_s: float,
    service_mean_ms: float,
    service_cv: float,
    servers: int,
    law: ServiceLaw | None = None,
) -> QueueResult:
    """Waits and times in system [ms] of one instance. At one server the mean wait is u / (1 - u) S (1 + cv^2) / 2.

    `servers` workers share one first-come-first-served queue. `service_cv` is standard deviation / mean of
    the service time. `law` is that of the service time: gamma up to CV 1 and lognormal above, unless given.
    Raises `Unstable` at u >= 1.

    Source: Tijms (2003), section 9.6; see the module.

    >>> answer = mgc(arrival_per_s=80, service_mean_ms=10, service_cv=1, servers=1)
    >>> round(answer.p99_ms, 1), round(answer.wait_mean_ms, 1)  # ln(100) / (100 - 80) s; 0.8 / (100 - 80) s
    (230.3, 40.0)
    """
    _check(arrival_per_s, service_mean_ms, servers)
    service = _law(law, service_cv)
    utilization = _utilization(arrival_per_s, service_mean_ms, servers)
    if utilization >= 1.0:
        raise Unstable(utilization=utilization, stable_below_per_s=servers * MS_PER_S / service_mean_ms)
    loads = np.array([utilization])
    delay, wait = delay_and_mean_wait(loads, servers, service)
    p50, p95, p99 = open_quantiles(loads, servers, service, np.array([0.50, 0.95, 0.99]))[0] * service_mean_ms
    exact = utilization == 0.0 or servers == 1 or is_exponential(service)
    return QueueResult(
        utilization=utilization,
        wait_probability=float(delay[0]),
        wait_mean_ms=float(wait[0]) * service_mean_ms,
        time_in_system_mean_ms=(1.0 + float(wait[0])) * service_mean_ms,
        p50_ms=float(p50),
        p95_ms=float(p95),
        p99_ms=float(p99),
        method="exact" if exact else "geometric-sum",
        error_share=P99_ERROR_SHARE[service_cv <= 1.0, law is not None],
    )


def time_in_system_quantile(
    *,
    percentile: float,
    arrival_per_s: float,
    service_mean_ms: float,
    service_cv: float,
    servers: int,
    law: ServiceLaw | None = None,
) -> float:
    """Time in system [ms] that `percentile` per cent of the requests do not exceed: the t with P(wait +
    service <= t) = percentile / 100.

    Raises `Unstable` at a utilization of 1 or more. Source: Tijms (2003), section 9.6; see the module.

    >>> round(time_in_system_quantile(
    ...     percentile=90, arrival_per_s=80, service_mean_ms=10, service_cv=1, servers=1), 2)  # ln(10) / 20 s
    115.13
    """
    quantile_ms = percentile_curve(
        arrivals_per_s=[arrival_per_s],
        service_mean_ms=service_mean_ms,
        service_cv=service_cv,
        servers=servers,
        percentiles=(percentile,),
        law=law,
    )[0, 0]
    if math.isinf(quantile_ms):
        raise Unstable(
            utilization=_utilization(arrival_per_s, service_mean_ms, servers),
            stable_below_per_s=servers * MS_PER_S / service_mean_ms,
        )
    return float(quantile_ms)


def percentile_curve(
    *,
    arrivals_per_s: Sequence[float] | Floats,
    service_mean_ms: float,
    service_cv: float,
    servers: int,
    percentiles: Sequence[float] = (50.0, 95.0, 99.0),
    law: ServiceLaw | None = None,
) -> Floats:
    """Times in system [ms], a row an arrival rate and a column a percentile; infinite where the load is not
    stable.

    Equation and source as `time_in_system_quantile`, for many loads at once.

    >>> percentile_curve(arrivals_per_s=[0, 80, 100], service_mean_ms=10, service_cv=1, servers=1).round(1)
    array([[  6.9,  30. ,  46.1],
           [ 34.7, 149.8, 230.3],
           [  inf,   inf,   inf]])
    """
    arrivals = np.asarray(arrivals_per_s, dtype=np.float64)
    shares = np.asarray(percentiles, dtype=np.float64) / 100.0
    for arrival_per_s in arrivals:
        _check(float(arrival_per_s), service_mean_ms, servers)
    for share in shares:
        if not 0.0 < share <= 0.9999:
            raise InputError("percentile", float(share) * 100.0, "a number above 0 and up to 99.99")
    loads = arrivals * service_mean_ms / (MS_PER_S * servers)
    times = np.full((len(arrivals), len(shares)), np.inf)
    stable = loads < 1.0
    if stable.any():
        service = _law(law, service_cv)
        times[stable] = open_quantiles(loads[stable], servers, service, shares) * service_mean_ms
    return times


def minimum_instances(
    *,
    arrival_per_s: float,
    service_mean_ms: float,
    service_cv: float,
    servers_per_instance: int,
    utilization_cap: float,
    percentile_targets_ms: Mapping[float, float | None],
    max_instances: int,
    law: ServiceLaw | None = None,
) -> int | None:
    """Least number of instances [1] that keeps the utilization cap and every percentile target, or None.

    A load balancer that splits at random leaves each instance its own M/G/c queue with arrival rate / n;
    times fall as n grows, so n is found by doubling and halving. `percentile_targets_ms` maps a percentile to
    its limit [ms] or None. None is returned when a target lies under the time of service itself or
    `max_instances` do not suffice.

    Source: Poisson splitting; Tijms (2003), section 9.6.

    >>> minimum_instances(arrival_per_s=100, service_mean_ms=10, service_cv=1, servers_per_instance=1,
    ...     utilization_cap=0.9, percentile_targets_ms={99: 100.0}, max_instances=64)  # ln(100) / 50 s
    2
    """
    _check(arrival_per_s, service_mean_ms, servers_per_instance)
    if not 0.0 < utilization_cap < 1.0:
        raise InputError("utilization_cap", utilization_cap, "a number above 0 and below 1")
    if max_instances < 1:
        raise InputError("max_instances", max_instances, "a whole number of 1 or more")
    limits = {share: limit for share, limit in percentile_targets_ms.items() if limit is not None}
    percentiles, limits_ms = list(limits), np.array(list(limits.values()))

    def meets(arrivals_at_one_per_s: float) -> bool:
        times_ms = percentile_curve(
            arrivals_per_s=[arrivals_at_one_per_s],
            service_mean_ms=service_mean_ms,
            service_cv=service_cv,
            servers=servers_per_instance,
            percentiles=percentiles,
            law=law,
        )[0]
        return bool(np.all(times_ms <= limits_ms))

    if limits and not meets(0.0):
        return None
    load = _utilization(arrival_per_s, service_mean_ms, servers_per_instance)
    # The slack keeps a load that fills the cap exactly from needing one more instance through rounding.
    too_few = max(1, math.ceil(load / utilization_cap - 1e-9)) - 1
    enough = too_few + 1
    while enough <= max_instances and limits and not meets(arrival_per_s / enough):
        too_few, enough = enough, enough * 2
    if enough > max_instances:
        if too_few >= max_instances or not limits or not meets(arrival_per_s / max_instances):
            return None
        enough = max_instances
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if meets(arrival_per_s / middle) else (middle, enough)
    return enough


def _check(arrival_per_s: float, service_mean_ms: float, servers: int) -> None:
    if not 0.0 <= arrival_per_s < math.inf:
        raise InputError("arrival_per_s", arrival_per_s, "a finite number of 0 or more")
    if not 0.0 < service_mean_ms < math.inf:
        raise InputError("service_mean_ms", service_mean_ms, "a finite number above 0")
    if not 1 <= servers <= MAX_SERVERS:
        raise InputError("servers", servers, f"a whole number from 1 to {MAX_SERVERS}")


def _utilization(arrival_per_s: float, service_mean_ms: float, servers: int) -> float:
    return arrival_per_s * service_mean_ms / (MS_PER_S * servers)


def _law(name: ServiceLaw | None, cv: float) -> Law:
    return service_law(name or ("gamma" if cv <= 1.0 else "lognormal"), cv)
