"""Service time of one request: the model's call on one core, and the web server's share."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, log1p, sqrt

from sizing.cpu import CpuSpeed
from sizing.plan import Basis
from sizing.scenario import StatisticalScenario
from sizing.statistical.structure import Structure
from sizing.statistical_rows import RuntimeCost

CACHE_BYTES = 2**19
"""Second-level cache of a core of the measured host [bytes]; models beyond it pay `cache_exponent`."""

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
    """Mean service time of one request [ms]: model + web server + payload + what threads lose, and its 80 % interval."""

    host_model_ms: float
    model_ms: float
    http_ms: float
    low_ms: float
    high_ms: float
    basis: Basis = "estimated"
    payload_ms: float = 0.0
    threads_ms: float = 0.0

    @property
    def mean_ms(self) -> float:
        """All parts together [ms]."""
        return self.model_ms + self.http_ms + self.payload_ms + self.threads_ms


def model_time_us(*, cost: RuntimeCost, size: Structure, rows: int) -> float:
    """Time of one model call on the measured host [us]: call + tree x T + call work + rows x row work x cache.

    Source: least-deviation fits of own timings, errors in the catalog row (`RuntimeCost`).
    """
    cache = max(1.0, size.file_bytes / CACHE_BYTES) ** cost.cache_exponent
    per_call_ns = cost.call_vector_ns * size.vectors + cost.call_unit_ns * size.work_units
    per_row_ns = cost.row_ns + cost.vector_ns * size.vectors + cost.unit_ns * size.work_units * cache
    return cost.call_us + cost.tree_us * size.trees + (per_call_ns + rows * per_row_ns) / 1000.0


def service_time(
    *, scenario: StatisticalScenario, cost: RuntimeCost, size: Structure, speed: CpuSpeed, sharing: float
) -> ServiceTime:
    """Mean service time [ms] on one core: host time x CPU factor x sharing factor + web server.

    The interval joins the error of the constants and that of the CPU factor as independent errors of the logarithm.
    """
    host_ms = model_time_us(cost=cost, size=size, rows=scenario.rows_per_request) / 1000.0
    model_ms = host_ms * speed.factor * sharing
    error = cost.error_p90_share if cost.held_out else max(cost.error_p90_share, FEW_MODELS_ERROR)
    constants = log1p(error * P90_TO_P80)
    low = exp(-sqrt(constants**2 + log(speed.factor / speed.low) ** 2))
    high = exp(sqrt(constants**2 + log(speed.high / speed.factor) ** 2))
    return ServiceTime(
        host_model_ms=host_ms,
        model_ms=model_ms,
        http_ms=scenario.http_overhead_ms,
        low_ms=model_ms * low + scenario.http_overhead_ms,
        high_ms=model_ms * high + scenario.http_overhead_ms,
    )


def service_cv(scenario: StatisticalScenario) -> float:
    """Standard deviation of service time over its mean [1]: as given, else the measured default."""
    return DEFAULT_SERVICE_CV if scenario.service_cv is None else scenario.service_cv
