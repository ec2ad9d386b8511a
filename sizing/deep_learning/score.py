"""Predictions beside measured speed of networks: throughput of one batch, and latency and throughput by batch."""

from __future__ import annotations

import numpy as np

from sizing.catalog import Catalog
from sizing.deep_learning.cases import (
    CURVE_COLUMNS,
    THROUGHPUT_COLUMNS,
    Run,
    SkipError,
    curve_run,
    served_ms,
    stacked,
    throughput_run,
)
from sizing.deep_learning.rates import interval, use_of
from sizing.deep_learning.speed import batch_times
from sizing.score_table import Case, Scored

__all__ = ["CURVE_COLUMNS", "THROUGHPUT_COLUMNS", "predicted_ms", "score_curve", "score_throughput"]


def predicted_ms(run: Run) -> tuple[float, float, float]:
    """Time that a request of one batch takes [ms], with its 80 % interval: the batch, and the server where there is one."""
    use = use_of(run.part, run.runtime, run.precision, run.network)
    total = batch_times(stacked([run]), use.rates).total
    one = [np.array([value]) for value in (use.transfer_gb_per_s, use.client_ms, use.client_power)]
    centre = float(served_ms([run], total, one[0], one[1], one[2])[0])
    fast, slow = interval(run.part, run.runtime, further=run.further, network=run.network)
    return centre, centre * fast, centre * slow


def _rate(run: Run, quantity: str, measured: float | None, centre: float, fast: float, slow: float) -> Scored:
    """Samples in flight over the time they take [samples/s], as Little's law has it."""
    done = 1e3 * run.samples
    return Scored(run.id, quantity, measured, done / centre, done / slow, done / fast)


def score_throughput(case: Case, catalog: Catalog) -> list[Scored]:
    """Throughput [samples/s] of one batch beside what was measured.

    A case that cannot be predicted becomes one row with the reason. Raises InputError for cells that are not numbers.
    """
    try:
        run = throughput_run(case, catalog)
    except SkipError as reason:
        return [Scored(case.text("id"), "", skipped_because=str(reason))]
    centre, fast, slow = predicted_ms(run)
    return [_rate(run, "samples_per_sec", case.number("samples_per_sec"), centre, fast, slow)]


def score_curve(case: Case, catalog: Catalog) -> list[Scored]:
    """Latency [ms] and throughput [samples/s] of a batch beside what was measured; throughput by Little's law.

    A case that cannot be predicted becomes one row with the reason. Raises InputError for cells that are not numbers.
    """
    try:
        run = curve_run(case, catalog)
    except SkipError as reason:
        return [Scored(case.text("id"), "", skipped_because=str(reason))]
    centre, fast, slow = predicted_ms(run)
    rows = [Scored(run.id, "latency_ms", case.number("latency_ms"), centre, fast, slow)]
    if case.text("samples_per_s"):
        rows.append(_rate(run, "samples_per_s", case.number("samples_per_s"), centre, fast, slow))
    return rows
