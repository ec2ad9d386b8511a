"""The service time recalibrated with the scenario's own measurements (`measured_service`).

Time of a request with B rows on a machine: F x (u a + v b) + h w, where a is what a call costs by itself there and b what its
rows cost, both as predicted for the machine's CPU, and w is the time of the web server. The fit moves u, v, h and F by factors that minimise

    sum of (ln(predicted / measured) / noise)^2 + prior of (ln u, ln v, ln h, ln F),

the prior being centred on the prediction and as wide as its interval. What was measured on a machine counts there as it is: its
F cancels. On a machine with another core u, v and h count, and the ratio of the two F with the uncertainty of both.

Source: linearised Gaussian posterior (Gauss-Newton), as in any text on Bayesian least squares.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sizing import cpu
from sizing.catalog import Catalog
from sizing.catalog_rows import Instance
from sizing.cpu import CpuSpeed
from sizing.errors import InputError
from sizing.plan import Basis
from sizing.queueing_law import Floats
from sizing.scenario import StatisticalScenario
from sizing.statistical import workers
from sizing.statistical.measured import FIELD, MeasuredService, Timed, fingerprint, parse_measured
from sizing.statistical.payload import payload_of
from sizing.statistical.service_time import FEW_MODELS_ERROR, P90_TO_P80, ServiceTime, service_time
from sizing.statistical.steps import NOTHING, Preparation
from sizing.statistical.structure import Structure
from sizing.statistical_rows import RuntimeCost

Z80 = 1.2816
"""Standard deviations from the middle to either end of an 80 % interval of a normal law [1]."""

NOISE = 0.05
"""Relative error of a mean time that was measured well, against the mean of the next run on such a machine [1].
A stated choice: two quiet runs of 19 models differed by less, two runs on a shared host by 12 % (median). Own, 2026-11."""

PRIOR_CORRELATION = 0.7
"""Correlation of the errors of the call and of a row under the prior [1]: a stated choice, as for the batches of deep learning."""

LEAST_PRIOR = 0.4
"""Least standard deviation of ln u and ln v [1] before anything is measured. The catalog's errors are those of our own library
versions; another version alone may cost a factor of 2 (ONNX Runtime pull request 17449). A stated choice."""

HTTP_PRIOR = 0.5
"""Standard deviation of ln h [1]: web servers take 0.4 to 2 times the default of 0.8 ms. Recalled, 2026-11."""

GIVEN = 1e-3
"""Standard deviation of the logarithm of what is taken as given [1]."""

HOST_ERROR = 0.10
"""Standard deviation of the time factor of a machine that was timed itself [1]: how far one factor describes several kinds of
work. A stated choice."""

SAME_CORE_ERROR = 0.05
"""Standard deviation of the ratio of two instance types with the same core [1]: clocks differ a little. A stated choice."""

STEPS = 25


@dataclass(frozen=True)
class Compared:
    """Mean time measured [ms] beside the prediction before and after the recalibration, where it was measured."""

    rows: int
    measured_ms: float
    before_ms: float
    after_ms: float


@dataclass(frozen=True)
class Calibration:
    """Factors of the time law [log] with their covariance, and the machine they were measured on."""

    where: str
    core: str | None
    factors: Floats
    covariance: Floats
    compared: tuple[Compared, ...]

    @property
    def web_factor(self) -> float:
        """Time of the web server over that of the scenario [1]."""
        return math.exp(float(self.factors[2]))

    def shares_core(self, machine: str, speed: CpuSpeed) -> bool:
        """Whether a machine (id of an instance, or host-factor) is the one measured or has its core."""
        return machine == self.where or (self.core == speed.core and _one_core(speed))

    def applied(self, service: ServiceTime, *, machine: str, speed: CpuSpeed) -> ServiceTime:
        """The service time [ms] of a request on a machine, moved by the factors, with the interval left."""
        there = self.shares_core(machine, speed)
        fixed_share = service.call_share
        call, row, web, core = np.exp(self.factors)
        factor = (fixed_share * call + (1.0 - fixed_share) * row) * (core if there else 1.0)
        model_ms, http_ms = service.model_ms * float(factor), service.http_ms * float(web)
        total = model_ms + http_ms
        call_part = model_ms * fixed_share * call / (fixed_share * call + (1.0 - fixed_share) * row)
        slope = np.array([call_part, model_ms - call_part, http_ms, model_ms if there else 0.0]) / total
        variance = float(slope @ self.covariance @ slope) + NOISE**2
        own = SAME_CORE_ERROR if there and machine != self.where else 0.0
        down, up = (
            (own, own)
            if there
            else (math.log(speed.factor / speed.low) / Z80, math.log(speed.high / speed.factor) / Z80)
        )
        share = model_ms / total
        low = max(math.exp(-Z80 * math.hypot(math.sqrt(variance), share * down)), service.low_ms / service.mean_ms)
        high = min(math.exp(Z80 * math.hypot(math.sqrt(variance), share * up)), service.high_ms / service.mean_ms)
        basis: Basis = "measured" if machine == self.where else "calibrated"
        return replace(
            service,
            model_ms=model_ms,
            http_ms=http_ms,
            low_ms=total * low,
            high_ms=total * high,
            basis=basis,
            call_share=float(call_part / model_ms),
        )


def calibration_of(
    scenario: StatisticalScenario, catalog: Catalog, cost: RuntimeCost, size: Structure, before: Preparation = NOTHING
) -> Calibration | None:
    """Factors from the scenario's measurements; None where it has none or they are of another model.

    Raises InputError for a text that does not parse, an instance the catalog does not have or a machine without a factor.
    """
    if scenario.measured_service is None:
        return None
    measured = parse_measured(scenario.measured_service)
    instance = _instance(measured, catalog)
    if measured.fingerprint != fingerprint(scenario):
        return None
    speed, sd = _machine(measured, instance)

    def on_machine(rows: int, factor: float) -> ServiceTime:
        asked = scenario.model_copy(update={"rows_per_request": rows})
        exact = CpuSpeed(factor, factor, factor, "")
        return service_time(scenario=asked, cost=cost, size=size, speed=exact, sharing=1.0, before=before)

    services = [on_machine(n, speed.factor) for n in measured.rows]
    fixed = np.array([one.model_ms * one.call_share for one in services])
    looped = np.array([one.model_ms for one in services]) - fixed
    rows = np.array(measured.rows, dtype=np.float64)
    web = np.array([one.http_ms for one in services])
    factor, stretched = _around(scenario, measured, instance)
    asked = [scenario.model_copy(update={"rows_per_request": n}) for n in measured.rows]
    parsing = factor * speed.factor * np.array([payload_of(each).host_ms for each in asked])
    if measured.timed == "model":
        web, parsing = np.zeros(len(rows)), np.zeros(len(rows))
    times = np.log(np.array(measured.times_ms))
    noise = np.hypot(NOISE, np.array(measured.errors or (0.0,) * len(rows)))

    def law(p: Floats) -> tuple[Floats, Floats]:
        """ln of the time of each measured call and its slopes in the four factors."""
        call, row, http, machine = np.exp(p)
        fixed_part = stretched * factor * machine * call * fixed
        row_part = stretched * factor * machine * row * looped
        web_part = stretched * http * web
        total = fixed_part + row_part + web_part + stretched * parsing
        slopes = np.stack([fixed_part, row_part, web_part, fixed_part + row_part], axis=1) / total[:, None]
        return np.log(total), slopes

    factors, covariance = _fit(law, times, noise, _prior(cost, sd, measured.timed))
    first, after = np.exp(law(np.zeros(4))[0]), np.exp(law(factors)[0])
    compared = tuple(
        Compared(n, ms, float(b), float(a))
        for n, ms, b, a in zip(measured.rows, measured.times_ms, first, after, strict=True)
    )
    core = None if instance is None else speed.core
    return Calibration(measured.where, core, factors, covariance, compared)


def _one_core(speed: CpuSpeed) -> bool:
    """Whether the name of a core says which it is; a pool, two generations or an unknown one do not."""
    return speed.core not in ("", "mixed pool", cpu.UNKNOWN_CPU.core) and " or " not in speed.core


def _prior(cost: RuntimeCost, machine_sd: float, timed: Timed) -> Floats:
    """Covariance of the four logarithms before anything is measured."""
    error = cost.error_p90_share if cost.held_out else max(cost.error_p90_share, FEW_MODELS_ERROR)
    sd = max(math.log1p(error * P90_TO_P80) / Z80, LEAST_PRIOR)
    # Calls of the model say nothing of the web server, whose time then stays what the scenario gives.
    http = HTTP_PRIOR if timed == "request" else GIVEN
    prior = np.diag([sd**2, sd**2, http**2, machine_sd**2])
    prior[0, 1] = prior[1, 0] = PRIOR_CORRELATION * sd**2
    return prior


def _fit(
    law: Callable[[Floats], tuple[Floats, Floats]], times: Floats, noise: Floats, prior: Floats
) -> tuple[Floats, Floats]:
    """Most likely factors [log] and their covariance; times that contradict each other count for less."""
    inverse = np.linalg.inv(prior)

    def posterior(weight: Floats) -> tuple[Floats, Floats]:
        p = np.zeros(4)
        for _ in range(STEPS):
            value, slope = law(p)
            normal = (slope.T * weight) @ slope + inverse
            pull = (slope.T * weight) @ (times - value) - inverse @ p
            p = p + np.clip(np.linalg.solve(normal, pull), -1.0, 1.0)
        slope = law(p)[1]
        return p, np.linalg.inv((slope.T * weight) @ slope + inverse)

    p, covariance = posterior(noise**-2)
    left = (times - law(p)[0]) / noise
    scatter = math.sqrt(float((left**2).sum()) / max(1, len(times) - 2))
    return posterior((noise * scatter) ** -2) if scatter > 1.0 else (p, covariance)


def _instance(measured: MeasuredService, catalog: Catalog) -> Instance | None:
    """The catalog's instance that was measured on; None for a machine that is known by its time factor alone."""
    if measured.cpu_factor is not None:
        if measured.cpu_factor <= 0.0:
            raise InputError(FIELD, measured.where, "a machine with a time factor above 0")
        return None
    found = catalog.instances.get(measured.where)
    if found is None or found.category != "cpu":
        raise InputError(
            FIELD, measured.where, "measurements on a CPU instance of the catalog, or on host-<time factor>"
        )
    return found


def _machine(measured: MeasuredService, instance: Instance | None) -> tuple[CpuSpeed, float]:
    """Time factor of the machine measured [1], and the standard deviation of its logarithm before the fit."""
    if instance is None:
        factor = measured.cpu_factor or 1.0
        return CpuSpeed(factor, factor, factor, ""), HOST_ERROR
    speed = cpu.cpu_speed(instance)
    return speed, math.log(speed.high / speed.low) / (2.0 * Z80)


def _around(scenario: StatisticalScenario, measured: MeasuredService, instance: Instance | None) -> tuple[float, float]:
    """Time factors [1] that a load test of the scenario's own way of serving had in its times, as the plan puts them on again:
    of workers that shared cores, and of a CPU limit and switching between threads. 1 for calls of the model and other machines."""
    cores = None if instance is None else cpu.physical_cores(instance)
    if cores is None or measured.timed == "model":
        return 1.0, 1.0
    usable = workers.usable_cores(scenario, cores)
    count = scenario.workers_per_instance or workers.default_workers(scenario, usable)
    switching = workers.SWITCHING_FACTOR if workers.layout(scenario, count).shared else 1.0
    return cpu.sharing_factor(workers=count, cores=usable), workers.quota_factor(scenario) * switching


def said_of(scenario: StatisticalScenario, catalog: Catalog, calibration: Calibration | None) -> str | None:
    """One sentence on where the scenario's measurements count; None where it has none."""
    if scenario.measured_service is None:
        return None
    measured = parse_measured(scenario.measured_service)
    if calibration is None:
        return "The measurements in this scenario are of another model or runtime, so they do not count for this one."
    known = catalog.instances.get(measured.where)
    name = known.instance_type if known else f"a machine of time factor {measured.cpu_factor:g}"
    what = "requests" if measured.timed == "request" else "calls of the model"
    there = f"{name} counts as measured; " if known else ""
    return (
        f"Service time is recalibrated with {what} measured on {name}: {there}other machines count through the ratio "
        "of their CPU factors, with its uncertainty."
    )
