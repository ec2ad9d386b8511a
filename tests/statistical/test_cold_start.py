"""Starts of environments: shares by hand, against a simulation, and percentiles of the mixture."""

from __future__ import annotations

import random
from math import exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing import catalog
from sizing.scenario import StatisticalScenario
from sizing.statistical.candidate import model_of
from sizing.statistical.cold_start import (
    billed_environments,
    cold_share,
    environments_at_peak,
    import_ms,
    overflow,
    own_start_ms,
    percentile_ms,
)

CATALOG = catalog.load()


def simulated(rate: float, busy_s: float, timeout_s: float, billed_s: float) -> tuple[float, float]:
    """Share of requests that met a start and environments billed, followed one request after the other."""
    chance = random.Random(7)
    now, cold, paid, requests = 0.0, 0, 0.0, 60_000
    free: list[float] = []
    paid_to: list[float] = []
    for _ in range(requests):
        now += chance.expovariate(rate)
        k = next((i for i, at in enumerate(free) if at <= now), len(free))
        if k == len(free):
            free.append(-1e9)
            paid_to.append(-1e9)
        cold += now - free[k] > timeout_s
        free[k] = now + busy_s
        paid += now + billed_s - max(now, min(paid_to[k], now + billed_s))
        paid_to[k] = max(paid_to[k], now + billed_s)
    return cold / requests, paid / now


def test_one_environment_by_hand() -> None:
    rate = np.array([1 / 600, 1 / 60, 1.0])
    share = cold_share(rate, busy_s=1e-9, idle_timeout_s=600.0)
    assert share == pytest.approx([exp(-1), exp(-10), exp(-600)], rel=1e-5, abs=1e-8)


def test_two_environments_by_hand() -> None:
    # a = 2 x 0.5 = 1: B(1) = 1/2, B(2) = 1/5. The first takes 1/2 of 2/s, the second sees 1/s and takes 3/5 of it.
    (first, second, *_rest) = list(overflow(np.array([2.0]), 0.5))
    assert [float(first[0][0]), float(first[1][0])] == pytest.approx([2.0, 1.0])
    assert [float(second[0][0]), float(second[1][0])] == pytest.approx([1.0, 0.6])


def test_all_requests_are_taken_by_some_environment() -> None:
    for rate in (0.01, 1.0, 40.0):
        taken = sum(float(take[0]) for _, take in overflow(np.array([rate]), 0.5))
        assert taken == pytest.approx(rate, rel=1e-6)


@pytest.mark.parametrize(
    ("rate", "busy_s", "timeout_s", "tolerance"), [(0.005, 1.0, 600.0, 0.06), (2.0, 0.05, 1.5, 0.06)]
)
def test_share_and_bill_agree_with_a_simulation(rate: float, busy_s: float, timeout_s: float, tolerance: float) -> None:
    cold, billed = simulated(rate, busy_s, timeout_s, 2 * busy_s)
    at = np.array([rate])
    assert float(cold_share(at, busy_s=busy_s, idle_timeout_s=timeout_s)[0]) == pytest.approx(cold, rel=tolerance)
    assert float(billed_environments(at, busy_s=busy_s, billed_s=2 * busy_s)[0]) == pytest.approx(billed, rel=0.02)


@given(
    rate=st.floats(1e-4, 1e3),
    busy_s=st.floats(1e-4, 1.0),
    timeout_s=st.floats(1.0, 1e4),
)
def test_a_longer_time_out_meets_fewer_starts(rate: float, busy_s: float, timeout_s: float) -> None:
    at = np.array([rate])
    short = float(cold_share(at, busy_s=busy_s, idle_timeout_s=timeout_s)[0])
    longer = float(cold_share(at, busy_s=busy_s, idle_timeout_s=2 * timeout_s)[0])
    assert 0.0 <= longer <= short <= 1.0 + 1e-9


@given(rate=st.floats(1e-4, 1e3), busy_s=st.floats(1e-3, 0.5), more=st.floats(1.0, 20.0))
def test_shared_billing_lies_between_busy_time_and_each_request_by_itself(
    rate: float, busy_s: float, more: float
) -> None:
    billed = float(billed_environments(np.array([rate]), busy_s=busy_s, billed_s=busy_s * more)[0])
    assert rate * busy_s * (1 - 1e-6) <= billed <= rate * busy_s * more * (1 + 1e-6)


def test_environments_at_peak_by_the_poisson_table() -> None:
    # Poisson(2): P(N <= 6) = 0.9955, P(N <= 7) = 0.9989, P(N <= 8) = 0.9998.
    assert environments_at_peak(2.0) == 8
    assert environments_at_peak(2.0, share=0.002) == 7
    assert 590 < environments_at_peak(520.0) < 595


def test_percentiles_of_warm_and_cold() -> None:
    rules = {"mean_ms": 10.0, "cv": 1.0, "cold_ms": 1000.0, "overhead_ms": 2.0}
    assert percentile_ms(0.99, cold=0.0, **rules) == pytest.approx(2 + 46.05, rel=1e-3)  # 10 ln 100
    # 0.5 % cold: the 0.99 / 0.995 quantile of the warm ones, 10 ln(0.995 / 0.005) = 52.93
    assert percentile_ms(0.99, cold=0.005, **rules) == pytest.approx(2 + 52.93, rel=1e-3)
    # 2 % cold: the middle of the cold ones, 1000 + 10 ln 2
    assert percentile_ms(0.99, cold=0.02, **rules) == pytest.approx(2 + 1000 + 6.93, rel=1e-3)


def test_heavier_libraries_and_larger_files_start_slower() -> None:
    light = model_of(StatisticalScenario(runtime="onnxruntime"), CATALOG)
    heavy = model_of(StatisticalScenario(), CATALOG)
    large = model_of(StatisticalScenario(trees=5000), CATALOG)
    assert import_ms(light) < import_ms(heavy) / 5
    assert (
        own_start_ms(light, cpu_factor=1.0) < own_start_ms(heavy, cpu_factor=1.0) < own_start_ms(large, cpu_factor=1.0)
    )
    assert own_start_ms(heavy, cpu_factor=2.0) == pytest.approx(2 * own_start_ms(heavy, cpu_factor=1.0))
