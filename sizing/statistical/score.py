"""Predictions beside measured statistical models: time of a call as the catalog has it and after one point, file and memory.

Service time is predicted twice. `service_time_us` takes the CPU's factor from its name. `service_time_us_calibrated` takes one
row of each CPU as the user would take one timing: the row of a tree ensemble at 64 to 4,096 rows a call whose repeats scatter
least (median over minimum), whatever the prediction says of it. The CPU's factor moves to where that row would be
predicted right, as far as the row is surer than the name, and the row is left out of the errors.

The truth is `median_us`, the CPU time of the thread. Where calls of 10 ms and more took 1.3 times as long by the clock as on the
CPU, other work had the CPU in between and the caches with it: then predictions for the measured host are for it when busy, see
`BusyHost`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, sqrt
from statistics import median

from sizing.catalog import Catalog
from sizing.cpu import CpuSpeed
from sizing.cpu_names import HOST_SPEED, speed_of
from sizing.score_table import Case, Scored, percentile
from sizing.statistical.calibration import factor_after
from sizing.statistical.cases import COLUMNS, Run, SkipError, run_of
from sizing.statistical.law import CallTime, call_and_loop_us, on_cpu
from sizing.statistical.service_time import P90_TO_P80, constants_error

__all__ = ["COLUMNS", "BusyHost", "is_busy", "predict", "score_cases", "summary_by_family"]

LONG_CALL_US, BUSY_RATIO = 10_000.0, 1.3
"""Calls long enough to be interrupted [us], and how much longer by the clock than on the CPU they take on a busy host [1]:
in quiet runs 1.00, in busy ones 1.5 to 15 (P10 to P90). Own, 2026-11."""

RESIDENT_LIMIT_BYTES = 20_000_000
"""Measured resident bytes above which the model itself, not the library's first pages and arenas, decides them."""

CALIBRATION_ROWS = (64, 4096)


@dataclass(frozen=True)
class BusyHost:
    """By what the time of a call grows on a host with other work: the call itself in a Python library, and all else [1].

    Fitted on our own timings of the same calls on a quiet and a busy host; `error` is what remains [log, 80 %].
    """

    library_call: float
    rest: float
    error: float


QUIET = BusyHost(1.0, 1.0, 0.0)


def busy_host(catalog: Catalog) -> BusyHost:
    """What the catalog says of busy hosts; nothing in catalogs before 2026-11-25."""
    said = catalog.headers["statistical_families"].get("busy_host")
    return BusyHost(**{name: float(said[name]) for name in ("library_call", "rest", "error")}) if said else QUIET


def is_busy(runs: Sequence[Run]) -> bool:
    """Whether other work had the CPU during these timings, by the clock against the CPU time of long calls."""
    ratios = [r.wall_us / r.median_us for r in runs if r.wall_us and r.median_us and r.median_us >= LONG_CALL_US]
    return bool(ratios) and median(ratios) > BUSY_RATIO


def parts_of(run: Run, host: BusyHost) -> tuple[float, float]:
    """What the run's call costs by itself and for its rows [us] on the measured host, a quiet or a busy one."""
    call, loop = call_and_loop_us(cost=run.cost, size=run.size, rows=run.rows)
    return call * (host.library_call if run.cost.id in ("native", "booster") else host.rest), loop * host.rest


def predict(run: Run, host: BusyHost, speed: CpuSpeed) -> CallTime:
    """Time of the run's call on a CPU, with its interval."""
    call, loop = parts_of(run, host)
    error = sqrt(constants_error(run.cost) ** 2 + host.error**2)
    return on_cpu(cost=run.cost, call_us=call, loop_us=loop, speed=speed, constants_error=error)


def calibration_point(runs: Sequence[Run]) -> Run | None:
    """The row of one CPU that stands for a user's one timing: by the scatter of its repeats, never by its error.

    A tree ensemble at 64 to 4,096 rows a call before any other row; among these the least median over minimum, then by id.
    """
    usable = [run for run in runs if run.median_us]
    if not usable:
        return None
    least, most = CALIBRATION_ROWS

    def order(run: Run) -> tuple[bool, float, str]:
        wanted = run.size.trees > 1 and least <= run.rows <= most
        return (not wanted, (run.median_us or 0.0) / run.min_us if run.min_us else 9.0, run.id)

    return min(usable, key=order)


def score_cases(cases: Sequence[Case], catalog: Catalog) -> list[Scored]:
    """Service time [us] as predicted and after one point, and file and resident bytes, beside what was measured.

    Bytes come once for each model and runtime, under the first of its rows. A row that cannot be predicted becomes one row with the reason.
    Raises InputError for cells that are not numbers.
    """
    scored, runs = list[Scored](), list[Run]()
    for case in cases:
        try:
            runs.append(run_of(case, catalog))
        except SkipError as reason:
            scored.append(Scored(case.text("model_id") or f"line {case.line}", "", skipped_because=str(reason)))
    for cpu in dict.fromkeys(run.cpu for run in runs):
        scored += _of_cpu([run for run in runs if run.cpu == cpu], catalog)
    seen: set[tuple[str, str]] = set()
    for run in runs:
        if (run.model, run.cost.id) not in seen:
            seen.add((run.model, run.cost.id))
            scored += _bytes(run)
    return scored


def _of_cpu(runs: Sequence[Run], catalog: Catalog) -> list[Scored]:
    speed, point = speed_of(runs[0].cpu), calibration_point(runs)
    # What other work does to calls was measured on the host; on Zen 5 as much of it moved calls by less than a tenth.
    host = busy_host(catalog) if speed is HOST_SPEED and is_busy(runs) else QUIET
    after = None
    if point is not None:
        error = sqrt(constants_error(point.cost) ** 2 + host.error**2)
        after = factor_after(speed, point.cost, parts_of(point, host), point.median_us or 0.0, error)
    rows = []
    for run in runs:
        rows.append(_time(run, "service_time_us", predict(run, host, speed)))
        if after is not None and run is not point:
            rows.append(_time(run, "service_time_us_calibrated", predict(run, host, after)))
    if point is not None and after is not None:
        on = f"{runs[0].cpu or 'an unnamed CPU'}{', a busy host' if host is not QUIET else ''}"
        said = f"calibration point of {on}: its factor goes from {speed.factor:.2f} to {after.factor:.2f}"
        rows.append(Scored(point.id, "service_time_us_calibrated", point.median_us, skipped_because=said))
    return rows


def _time(run: Run, quantity: str, there: CallTime) -> Scored:
    return Scored(run.id, quantity, run.median_us, there.us, there.us * exp(-there.below), there.us * exp(there.above))


def _bytes(run: Run) -> list[Scored]:
    rows = []
    file, resident = run.size.file_bytes, run.size.resident_bytes
    if run.file_bytes:
        rows.append(_spread(run, "file_bytes", run.file_bytes, file, run.cost.file.error_p90_share))
    if run.resident_bytes is not None and run.resident_bytes > 0:
        large = run.resident_bytes >= RESIDENT_LIMIT_BYTES
        name = "resident_bytes_above_20mb" if large else "resident_bytes_small"
        rows.append(_spread(run, name, run.resident_bytes, resident, run.cost.resident.error_p90_share))
    return rows


def _spread(run: Run, quantity: str, measured: float, predicted: int, error_p90_share: float) -> Scored:
    by = 1.0 + error_p90_share * P90_TO_P80
    return Scored(run.id, quantity, measured, predicted, predicted / by, predicted * by)


def summary_by_family(cases: Sequence[Case], scored: Sequence[Scored], catalog: Catalog) -> str:
    """Text: which row calibrated which CPU, and the errors of the calibrated service time by family [%]."""
    family = {}
    for case in cases:
        try:
            run = run_of(case, catalog)
        except SkipError:
            continue
        family[run.id] = run.family.name
    lines = [f"{row.id} is left out: {row.skipped_because}" for row in scored if row.quantity and row.skipped_because]
    name = "service_time_us_calibrated"
    for title in dict.fromkeys(family.values()):
        rows = [row for row in scored if row.quantity == name and family.get(row.id) == title]
        errors = [row.error_percent for row in rows if row.error_percent is not None]
        inside = [row.is_inside for row in rows if row.is_inside is not None]
        if errors:
            figures = f"{len(errors):>6}{median(errors):>13.2f} %{percentile(errors, 0.9):>10.2f} %"
            lines.append(f"{'  ' + title:<46}{figures}{sum(inside) / len(inside):>14.0%}")
    return "\n".join([*lines, ""]) if lines else ""
