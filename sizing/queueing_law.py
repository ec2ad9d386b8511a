"""Laws of the service time, and quantiles of "wait + service" on a lattice. Shared by the open and the closed
queue.

Every law here has mean 1; callers scale by their mean service time. A law is a table over log-spaced times,
so that one integration serves all laws and no special functions are needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sizing.errors import InputError

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
ServiceLaw = Literal["gamma", "lognormal", "hyperexponential"]

DETERMINISTIC_BELOW_CV = 1e-3
"""Service CV under which the service time is taken as constant [1]. At this CV the 99th percentile is 0.23 %
above the mean."""

MAX_SERVICE_CV = 10.0
"""Largest service CV accepted [1]. The tables were checked to reproduce mean and CV up to here
(tests/test_queueing_law.py)."""

MAX_GAMMA_CV = 3.0
"""Largest CV of a gamma law [1]; above it most services are so short that the table becomes too coarse."""

TABLE_POINTS = 4001
"""Points in a table [1]. The mean residual time is then right to 2e-4 at CV 10 and 1e-5 up to CV 5."""

LATTICE_CELLS = 1024
"""Cells from 0 to beyond the largest quantile asked [1]. 8,192 cells move no p99 of the 182 measured settings
by more than 0.2 %."""

ALIAS_SHARE = 1e-9
"""Weight left on what wraps round in the Fourier transform [1]; rounding then stays near 1e-16 /
sqrt(ALIAS_SHARE) = 3e-12."""


@dataclass(frozen=True)
class Law:
    """Distribution of a service time with mean 1, as a table.

    `residual_cdf` is the distribution of the time left of a service seen at a random moment while it runs,
    Fe(t) = integral of (1 - F) from 0 to t. `residual_mean_to` is the mean of that time cut off at t,
    integral of (1 - Fe).
    """

    name: ServiceLaw
    cv: float
    time: Floats
    cdf: Floats
    residual_cdf: Floats
    residual_mean_to: Floats

    def quantile(self, share: Floats | float) -> Floats:
        """Service time below which `share` of the services end, in mean service times.

        >>> round(float(service_law("gamma", 1.0).quantile(0.99)), 2)
        4.61
        """
        return np.asarray(np.interp(share, self.cdf, self.time), dtype=np.float64)

    def mean_first_residual(self, servers: int) -> float:
        """Mean time until the first of `servers` running services ends, in mean service times: integral of (1
        - Fe)^c.

        >>> round(service_law("gamma", 1.0).mean_first_residual(4), 3)
        0.25
        """
        # A nearly constant service has no table points well below its mean, where Fe is straight but its
        # power is not.
        time = np.union1d(self.time, np.linspace(0.0, 1.0, TABLE_POINTS))
        left = 1.0 - np.interp(time, self.time, self.residual_cdf)
        return float(np.trapezoid(left**servers, time))


def service_law(name: ServiceLaw, cv: float) -> Law:
    """Law with mean 1 and standard deviation `cv`, in mean service times.

    Gamma has shape 1/cv^2 (constant at cv 0, exponential at cv 1). Lognormal has sigma^2 = ln(1 + cv^2).
    Hyperexponential is two exponentials with balanced means and needs cv >= 1.

    Source: Tijms, A First Course in Stochastic Models (2003), appendix B (gamma, lognormal, H2 with balanced
    means).

    >>> round(float(service_law("lognormal", 2.0).quantile(0.5)), 3)
    0.447
    """
    if not 0.0 <= cv <= MAX_SERVICE_CV:
        raise InputError("service_cv", cv, f"a number from 0 to {MAX_SERVICE_CV:g}")
    if name == "hyperexponential" and cv < 1.0:
        raise InputError("service_cv", cv, f"a number from 1 to {MAX_SERVICE_CV:g} for a hyperexponential law")
    if name == "gamma" and cv > MAX_GAMMA_CV:
        raise InputError("service_cv", cv, f"a number from 0 to {MAX_GAMMA_CV:g} for a gamma law")
    return _table(name, round(cv, 6))


@lru_cache(maxsize=128)
def _table(name: ServiceLaw, cv: float) -> Law:
    if cv < DETERMINISTIC_BELOW_CV:
        time = np.append(np.linspace(0.0, 1.0 - 1e-9, TABLE_POINTS), 1.0)
        return _law_from(name, 0.0, time, np.where(time < 1.0, 0.0, 1.0), time)
    log_density, low, high = _log_time_density(name, cv)
    log_time = np.linspace(low, high, TABLE_POINTS)
    time = np.exp(log_time)
    density = np.exp(log_density(log_time, time))
    cdf, mean_below = _cumulative(density, log_time), _cumulative(density * time, log_time)
    cdf, mean_below = cdf / cdf[-1], mean_below / mean_below[-1]
    residual_cdf = np.minimum(np.maximum.accumulate(time * (1.0 - cdf) + mean_below), 1.0)
    return _law_from(name, cv, np.append(0.0, time), np.append(0.0, cdf), np.append(0.0, residual_cdf))


def _law_from(name: ServiceLaw, cv: float, time: Floats, cdf: Floats, residual_cdf: Floats) -> Law:
    return Law(name, cv, time, cdf, residual_cdf, _cumulative(1.0 - residual_cdf, time))


def _log_time_density(name: ServiceLaw, cv: float) -> tuple[Callable[[Floats, Floats], Floats], float, float]:
    """Log of the density of ln(time) up to a constant, and the range of ln(time) that holds all but about
    1e-12 of it."""
    if name == "gamma":
        shape = cv**-2
        # t^k exp(-k t), centred so that it neither over- nor underflows for a large shape.
        return (
            (lambda log_time, time: shape * (log_time + 1.0 - time)),
            -(9.0 * cv + 30.0 * cv**2),
            math.log(1.0 + 10.0 * cv + 25.0 * cv**2),
        )
    if name == "lognormal":
        variance = math.log1p(cv**2)
        reach = 8.0 * math.sqrt(variance)
        # The upper end also holds the size-biased law (shifted by the variance) that the residual time needs.
        return (
            (lambda log_time, time: -((log_time + variance / 2.0) ** 2) / (2.0 * variance)),
            -variance / 2.0 - reach,
            variance / 2.0 + reach,
        )
    first_share = (1.0 + math.sqrt((cv**2 - 1.0) / (cv**2 + 1.0))) / 2.0
    fast, slow = 2.0 * first_share, 2.0 * (1.0 - first_share)
    return (
        (
            lambda log_time, time: (
                np.log((fast**2 * np.exp(-fast * time) + slow**2 * np.exp(-slow * time)) / 2.0 + 1e-300) + log_time
            )
        ),
        -30.0,
        math.log(35.0 / slow),
    )


def _cumulative(values: Floats, at: Floats) -> Floats:
    steps = (values[1:] + values[:-1]) / 2.0 * np.diff(at)
    return np.append(0.0, np.cumsum(steps))


@dataclass(frozen=True)
class Lattice:
    """Equally spaced times from 0 to beyond `span` (one row a queue) on which distributions are added by
    Fourier transform.

    Masses are damped by a power of the cell number before the transform and restored after it, which leaves
    only `ALIAS_SHARE` of what lies beyond the end to wrap round.
    """

    cells: int
    step: Floats
    edges: Floats
    points: Floats
    damping: Floats

    @classmethod
    def over(cls, span: Floats, cells: int = LATTICE_CELLS) -> Lattice:
        """Lattice that covers 0 to `span` (in mean service times), one row a value."""
        cells_per_mean = cells / span
        # A whole number of cells in a mean service time puts a constant service exactly on a lattice point.
        step = 1.0 / np.where(cells_per_mean > 1.0, np.floor(cells_per_mean), cells_per_mean)
        edges = np.maximum((np.arange(cells + 1) - 0.5) * step[:, None], 0.0)
        points = np.arange(cells + 1) * step[:, None]
        return cls(cells, step, edges, points, ALIAS_SHARE ** (np.arange(cells) / (2.0 * cells)))

    def transform(self, cdf: Floats) -> Complexes:
        """Fourier transform of a distribution given by its values at `edges`."""
        return np.fft.rfft(np.diff(cdf, axis=1) * self.damping, 2 * self.cells, axis=1)

    def transform_keeping_mean(self, mean_to: Floats) -> Complexes:
        """Fourier transform of a distribution given by E[min(X, t)] at `points`; the mean is kept however
        coarse the lattice.

        For times of which many are added: rounding each to the nearest cell would shift the sum.
        """
        slope = np.diff(mean_to, axis=1) / self.step[:, None]
        masses = np.concatenate([1.0 - slope[:, :1], -np.diff(slope, axis=1)], axis=1)
        return np.fft.rfft(masses * self.damping, 2 * self.cells, axis=1)

    def cumulative(self, transform: Complexes) -> Floats:
        """Distribution function at the upper edge of each cell, from a transform."""
        masses = np.fft.irfft(transform, 2 * self.cells, axis=1)[:, : self.cells] / self.damping
        return np.cumsum(np.maximum(masses, 0.0), axis=1)


def quantiles_by_lattice(
    transform_on: Callable[[Lattice, NDArray[np.intp]], Complexes],
    span: Floats,
    shares: Floats,
    cells: int = LATTICE_CELLS,
) -> Floats:
    """Quantiles (rows as in `span`, columns as in `shares`) of the sum of times whose transform is given.

    `span` is a first guess at where the largest quantile lies; rows where it was too short are done again
    with twice as much.
    """
    found = np.empty((len(span), len(shares)))
    todo = np.arange(len(span))
    while len(todo):
        lattice = Lattice.over(span[todo], cells)
        cdf = lattice.cumulative(transform_on(lattice, todo))
        for row, values, edges in zip(todo, cdf, lattice.edges[:, 1:], strict=True):
            found[row] = np.interp(shares, values, edges)
        todo = todo[cdf[:, -1] <= shares.max()]
        span = span * 2.0
    return found
