"""Service time of one request: the model's call on one core, and the web server's share."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log1p

from sizing.cpu import CpuSpeed
from sizing.plan import Basis
from sizing.scenario import StatisticalScenario
from sizing.statistical.law import call_and_loop_us, on_cpu
from sizing.statistical.law import model_time_us as model_time_us
from sizing.statistical.steps import NOTHING, Preparation
from sizing.statistical.structure import Structure
from sizing.statistical_rows import RuntimeCost

DEFAULT_SERVICE_CV = 0.3
"""Spread of service time where none is given [1]: p99 / median was 1.2 to 1.7 in most runtimes, 2.6 compiled.
Own, 2026-11."""

P90_TO_P80 = 1.282 / 1.645
"""From the P90 of an absolute error to the half-width of an 80 % interval [1], for a normal error."""

FEW_MODELS_ERROR = 0.30
"""Least P90 error [1] taken where fewer than 3 models were measured: typical of models held out
in the other families."""


@dataclass(frozen=True)
class ServiceTime:
    """Mean service time of one request [ms]: model + web server + payload + what threads lose, and its 80 % interval.

    `host_call_ms` is the part of `host_model_ms` that a call pays whatever its rows, `call_share` that part's share of `model_ms`
    on the CPU at hand [1].
    """

    host_model_ms: float
    model_ms: float
    http_ms: float
    low_ms: float
    high_ms: float
    basis: Basis = "estimated"
    payload_ms: float = 0.0
    threads_ms: float = 0.0
    host_call_ms: float = 0.0
    call_share: float = 0.0

    @property
    def mean_ms(self) -> float:
        """All parts together [ms]."""
        return self.model_ms + self.http_ms + self.payload_ms + self.threads_ms


def constants_error(cost: RuntimeCost) -> float:
    """Half-width of the 80 % interval that the constants alone leave [log]: from the P90 error of models held back."""
    error = cost.error_p90_share if cost.held_out else max(cost.error_p90_share, FEW_MODELS_ERROR)
    return log1p(error * P90_TO_P80)


def service_time(
    *,
    scenario: StatisticalScenario,
    cost: RuntimeCost,
    size: Structure,
    speed: CpuSpeed,
    sharing: float,
    before: Preparation = NOTHING,
) -> ServiceTime:
    """Mean service time [ms] on one core: host time of the model and of the steps before it, brought to the CPU (`law.on_cpu`),
    x sharing factor + web server."""
    rows = scenario.rows_per_request
    call_us, loop_us = call_and_loop_us(cost=cost, size=size, rows=rows)
    call_us, loop_us = call_us + before.call_us, loop_us + rows * before.row_us
    there = on_cpu(cost=cost, call_us=call_us, loop_us=loop_us, speed=speed, constants_error=constants_error(cost))
    model_ms = there.us / 1000.0 * sharing
    return ServiceTime(
        host_model_ms=(call_us + loop_us) / 1000.0,
        model_ms=model_ms,
        http_ms=scenario.http_overhead_ms,
        low_ms=model_ms * exp(-there.below) + scenario.http_overhead_ms,
        high_ms=model_ms * exp(there.above) + scenario.http_overhead_ms,
        host_call_ms=call_us / 1000.0,
        call_share=there.call_share,
    )


def service_cv(scenario: StatisticalScenario) -> float:
    """Standard deviation of service time over its mean [1]: as given, else the measured default."""
    return DEFAULT_SERVICE_CV if scenario.service_cv is None else scenario.service_cv
