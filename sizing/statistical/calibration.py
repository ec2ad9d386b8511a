"""From one timed call to how fast a CPU is: the factor that its name says, moved to where the call is predicted right."""

from __future__ import annotations

from math import exp, log, sqrt

from sizing.cpu import UNKNOWN_CPU, CpuSpeed
from sizing.statistical.law import on_cpu
from sizing.statistical_rows import RuntimeCost

POINT_ERROR = 0.10
"""Half-width of the 80 % interval of one timing beyond what the constants leave [log]: own repeats, 2026-11."""
UNKNOWN_ERROR = 1.0
"""The same for the factor of a CPU that nobody named [log]: a timing says nearly all of it."""
FACTORS = (1e-4, 1e4)
HALVINGS, STEP = 60, 1.01


def factor_said(cost: RuntimeCost, parts_us: tuple[float, float], measured_us: float) -> float:
    """The CPU's factor at which a call is predicted to take what was measured [1].

    `parts_us` are what the call costs by itself and for its rows on the measured host.
    """
    low, high = FACTORS
    for _ in range(HALVINGS):  # the time grows with the factor
        middle = sqrt(low * high)
        low, high = (middle, high) if _there_us(cost, parts_us, middle) < measured_us else (low, middle)
    return sqrt(low * high)


def _there_us(cost: RuntimeCost, parts_us: tuple[float, float], factor: float) -> float:
    speed = CpuSpeed(factor, factor, factor, "")
    return on_cpu(cost=cost, call_us=parts_us[0], loop_us=parts_us[1], speed=speed).us


def factor_after(
    speed: CpuSpeed, cost: RuntimeCost, parts_us: tuple[float, float], measured_us: float, error: float
) -> CpuSpeed:
    """The CPU's factor after one timing: name and timing weighted by their squared errors of the log.

    `parts_us` are what the timed call costs by itself and for its rows on the measured host, `error` the half-width of the 80 %
    interval of the prediction there [log]. The timing alone would say the factor at which it is predicted right.
    """

    named = UNKNOWN_ERROR if speed == UNKNOWN_CPU else (log(speed.high) - log(speed.low)) / 2
    said = factor_said(cost, parts_us, measured_us)
    # Error of the factor that the timing says: that of the time, over the power with which the time grows with the factor.
    power = log(_there_us(cost, parts_us, said * STEP) / _there_us(cost, parts_us, said)) / log(STEP)
    timed = sqrt(error**2 + POINT_ERROR**2) / power
    share = named**2 / (named**2 + timed**2)
    factor = exp(share * log(said) + (1 - share) * log(speed.factor))
    left = exp(sqrt(share) * timed)
    return CpuSpeed(factor, factor / left, factor * left, f"{speed.core}, one timing")
