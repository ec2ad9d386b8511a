"""Service laws: moments and quantiles against closed forms; the lattice against sums that are known."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from sizing.errors import InputError
from sizing.queueing_law import Lattice, ServiceLaw, quantiles_by_lattice, service_law


@pytest.mark.parametrize(
    ("name", "cv"),
    [("gamma", cv) for cv in (0.01, 0.3, 1.0, 2.0, 3.0)]
    + [("lognormal", cv) for cv in (0.01, 0.5, 1.0, 2.0, 5.0, 10.0)]
    + [("hyperexponential", cv) for cv in (1.0, 2.0, 5.0, 10.0)],
)
def test_mean_and_cv(name: ServiceLaw, cv: float) -> None:
    law = service_law(name, cv)
    mean = np.trapezoid(1.0 - law.cdf, law.time)
    residual_mean = np.trapezoid(1.0 - law.residual_cdf, law.time)
    assert mean == pytest.approx(1.0, rel=2e-3)
    # E[R] = E[S^2] / (2 E[S]) = (1 + cv^2) / 2.
    assert residual_mean == pytest.approx((1 + cv**2) / 2, rel=5e-4)
    assert (np.diff(law.cdf) >= 0).all()
    assert (np.diff(law.residual_cdf) >= -1e-12).all()


def test_quantiles_against_closed_forms() -> None:
    for share in (0.05, 0.5, 0.95, 0.999):
        assert service_law("gamma", 1.0).quantile(share) == pytest.approx(-math.log(1 - share), rel=2e-3)
        sigma = math.sqrt(math.log(5))
        lognormal = math.exp(-(sigma**2) / 2 + sigma * NormalDist().inv_cdf(share))
        assert service_law("lognormal", 2.0).quantile(share) == pytest.approx(lognormal, rel=2e-3)
    # Gamma of shape 4 (CV 1/2) is Erlang: 8 t is chi-squared with 8 degrees, 99th percentile 20.0902.
    assert service_law("gamma", 0.5).quantile(0.99) == pytest.approx(20.0902 / 8, rel=1e-3)


def test_hyperexponential_at_cv_2() -> None:
    law, t = service_law("hyperexponential", 2.0), 10.0
    share = (1 + math.sqrt(3 / 5)) / 2
    tail = share * math.exp(-2 * share * t) + (1 - share) * math.exp(-2 * (1 - share) * t)
    assert law.quantile(1 - tail) == pytest.approx(t, rel=2e-3)


def test_constant_service() -> None:
    law = service_law("gamma", 0.0)
    assert law.quantile(np.array([0.01, 0.5, 0.99])) == pytest.approx([1.0, 1.0, 1.0], rel=1e-3)
    # The least of c uniform times on (0, 1) has mean 1 / (c + 1).
    for servers in (1, 3, 64):
        assert law.mean_first_residual(servers) == pytest.approx(1 / (servers + 1), rel=1e-3)
        assert service_law("gamma", 0.005).mean_first_residual(servers) == pytest.approx(1 / (servers + 1), rel=1e-3)


def test_sum_of_many_short_times_keeps_its_mean_on_a_coarse_lattice() -> None:
    # 10,000 exponential times of mean 1/100, shorter than a cell: mean 100. Rounded, they would vanish.
    count, rate = 10_000, 100.0

    def transform(lattice: Lattice, _: object) -> np.ndarray:
        return lattice.transform_keeping_mean(-np.expm1(-rate * lattice.points) / rate) ** count

    span = np.array([200.0])
    assert 1 / rate < Lattice.over(span).step[0]
    assert quantiles_by_lattice(transform, span, np.array([0.5]))[0, 0] == pytest.approx(100.0, abs=0.3)


def test_span_that_is_too_short_is_extended() -> None:
    def transform(lattice: Lattice, _: object) -> np.ndarray:
        return lattice.transform(-np.expm1(-lattice.edges))

    found = quantiles_by_lattice(transform, np.array([0.3, 40.0]), np.array([0.5, 0.99]))
    assert found == pytest.approx(np.tile([math.log(2), math.log(100)], (2, 1)), rel=0.01)


@pytest.mark.parametrize(
    ("name", "cv"),
    [("gamma", -0.1), ("gamma", math.nan), ("lognormal", 11.0), ("gamma", 3.5), ("hyperexponential", 0.5)],
)
def test_cv_out_of_range(name: ServiceLaw, cv: float) -> None:
    with pytest.raises(InputError, match=r"^service_cv: "):
        service_law(name, cv)
