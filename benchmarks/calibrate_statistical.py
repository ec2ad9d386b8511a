"""Fits the constants of statistical models: python -m benchmarks.calibrate_statistical [FOLDER]

Reads the measured files of FOLDER (`../shared/measured` by default), fits catalogs/statistical_families.yaml and writes it, and
benchmarks/STATISTICAL_SPEED.md with the errors of models held back whole. About a minute.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import statistical_yaml
from benchmarks.statistical_bytes import Fitted, counts_ids, fit_bytes, fit_load, load_group
from benchmarks.statistical_fit import (
    BUSY,
    EXPONENTS,
    QUIET,
    TIME_PRIORS,
    Floats,
    Problem,
    Scalings,
    fit_scalings,
    key_of,
    load_runs,
    shared,
    time_problem,
    time_rows,
    time_terms,
)
from benchmarks.statistical_yaml import short
from sizing.cpu_names import speed_of
from sizing.statistical.cases import Run
from sizing.statistical.law import CALL_CONSTANTS, TIME_CONSTANTS

MEASURED = Path("../shared/measured")
OTHER_CPU = Path("benchmarks/statistical_other_cpu.csv")
CATALOG = Path("catalogs/statistical_families.yaml")
REPORT = Path("benchmarks/STATISTICAL_SPEED.md")
LEAST_MODELS = 3
USUAL_WEIGHT = 3.0
"""As how many models the errors of all families count in the error stated for one."""
BUSY_STEPS = np.arange(1.0, 1.805, 0.05)
PYTHON = ("native", "booster")


@dataclass(frozen=True)
class Times:
    """The fit of the times of calls, and each row by a fit that has not seen its model; quiet medians come first."""

    rows: list[tuple[Run, float, float]]
    quiet: int
    problem: Problem
    x: Floats
    held: Floats

    @property
    def errors(self) -> Floats:
        """Relative error of each row held back [1]."""
        return np.asarray(np.exp(self.held) / self.problem.measured - 1.0)

    @property
    def runs(self) -> list[Run]:
        """The run of each row."""
        return [run for run, *_ in self.rows]


def fit_times(busy: Sequence[Run], quiet: Sequence[Run]) -> Times:
    """The fit of the times of calls, and the models held back."""
    rows = time_rows(busy, quiet)
    problem = time_problem(rows)
    x = problem.solve()
    held = problem.held_out([run.model for run, *_ in rows], x)
    return Times(rows, len(quiet), problem, x, held)


def held_parts(times: Times, runs: Sequence[Run]) -> tuple[Floats, Floats]:
    """Time of each run's call by a fit that has not seen its model [us]: what a call costs by itself, and the rest."""
    models, all_names = np.array([run.model for run in times.runs]), np.array([run.model for run in runs])
    call, rest = np.zeros(len(runs)), np.zeros(len(runs))
    for name in dict.fromkeys(all_names):
        x = times.problem.of(models != name).solve(times.x, 15)
        for i in np.flatnonzero(all_names == name):
            for place, by, _ in time_terms(runs[i]):
                part = by * float(np.exp(x[times.problem.places[place]])) if by else 0.0
                if place[-1] in CALL_CONSTANTS:
                    call[i] += part
                else:
                    rest[i] += part
    return call, rest


def fit_busy(call: Floats, rest: Floats, runs: Sequence[Run]) -> dict[str, float]:
    """By what calls of Python libraries and all else take longer on a busy host: least absolute log errors on a grid."""
    python = np.array([run.cost.id in PYTHON for run in runs])
    measured = np.log([run.median_us or 1.0 for run in runs])

    def off(library: float, other: float) -> Floats:
        return np.asarray(np.log(np.where(python, library, other) * call + other * rest) - measured)

    library, other = min(((a, b) for a in BUSY_STEPS for b in BUSY_STEPS), key=lambda pair: abs(off(*pair)).sum())
    error = float(np.quantile(abs(off(library, other)), 0.8))
    return {"library_call": short(library), "rest": short(other), "error": error}


def stated(errors: Floats, models: int, usual: float) -> float:
    """P90 error to state [1]: that of the models, joined with the usual one of all families counted as three models."""
    own = float(np.quantile(abs(errors), 0.9))
    return float(np.sqrt((models * own**2 + USUAL_WEIGHT * usual**2) / (models + USUAL_WEIGHT)))


def host_times(times: Times, runs: Sequence[Run]) -> tuple[Floats, Floats]:
    """Time of each run's call on the measured host by the whole fit [us]: what a call costs by itself, and the rest."""
    call, rest = np.zeros(len(runs)), np.zeros(len(runs))
    for i, run in enumerate(runs):
        for place, by, _ in time_terms(run):
            part = (
                by * float(np.exp(times.x[times.problem.places[place]]))
                if by and place in times.problem.places
                else 0.0
            )
            (call if place[-1] in CALL_CONSTANTS else rest)[i] += part
    return call, rest


def scalings_of(times: Times, runs: Sequence[Run]) -> Scalings:
    """Powers of the CPU's factor, from timings on another CPU."""
    call, rest = host_times(times, runs)
    measured = np.array([run.median_us or 1.0 for run in runs])
    return fit_scalings([key_of(run) for run in runs], call, rest, measured, speed_of(runs[0].cpu).factor)


def fill_times(runtime: dict[str, Any], key: tuple[str, str], times: Times, scalings: Scalings) -> None:
    """Put the constants of time and their errors into a runtime of the catalog."""
    mine = np.array([(run.family.id, run.cost.id) == key for run in times.runs])
    models = len({run.model for run, yes in zip(times.runs, mine, strict=True) if yes})
    found = {}
    for name in TIME_CONSTANTS:
        if name in TIME_PRIORS[key] and shared(key, name) in times.problem.places:
            found[name] = short(float(np.exp(times.x[times.problem.places[shared(key, name)]])))
    usual = float(np.quantile(abs(times.errors), 0.9))
    found |= EXPONENTS.get(key, {})
    found |= dict(zip(("call_scaling", "loop_scaling"), (short(power, 3) for power in scalings.of(key)), strict=True))
    found |= {"models_measured": models, "held_out": models >= LEAST_MODELS}
    found["error_median_share"] = short(float(np.median(abs(times.errors[mine]))), 2)
    found["error_p90_share"] = short(stated(times.errors[mine], models, usual), 2)
    kept = {name: value for name, value in runtime.items() if name not in {*TIME_CONSTANTS, *found, *EXPONENT_NAMES}}
    runtime.clear()
    runtime |= {"id": kept.pop("id"), "name": kept.pop("name"), **found, **kept}
    word = "model" if models == 1 else "models"
    runtime["source"] = f"own timing of {models} {word}; base process: one sample"
    runtime["as_of"] = date.today().isoformat()


EXPONENT_NAMES = ("first_rows_exponent", "work_exponent", "cache_exponent")


def byte_rule(fit: Fitted, key: tuple[str, str], usual: float, *, ids: bool) -> dict[str, Any]:
    """A rule of bytes for the catalog."""
    mine = np.array([(run.family.id, run.cost.id) == key for run in fit.rows])
    rule: dict[str, Any] = {name: short(value) for name, value in fit.constants(key).items()}
    if ids:
        rule["counts_ids"] = True
    rule["error_p90_share"] = max(0.005, short(stated(fit.errors[mine], int(mine.sum()), usual), 2))
    return rule


def fill_bytes(runtime: dict[str, Any], key: tuple[str, str], files: Fitted, resident: Fitted, load: Fitted) -> None:
    """Put the rules of bytes and of load time into a runtime of the catalog."""
    usual_file = float(np.quantile(abs(files.errors), 0.9))
    usual_resident = float(np.quantile(abs(resident.errors), 0.9))
    ids = counts_ids(key)
    runtime["file"] = byte_rule(files, key, usual_file, ids=ids)
    runtime["resident"] = byte_rule(resident, key, usual_resident, ids=False)
    group = load_group(next(run for run in files.rows if (run.family.id, run.cost.id) == key))
    mine = np.array([load_group(run) == group for run in load.rows])
    fixed, each = (short(load.constants((group, ""))[name], 3) for name in ("fixed_ms", "ms_per_mb"))
    error = short(stated(load.errors[mine], int(mine.sum()), float(np.quantile(abs(load.errors), 0.9))), 2)
    rule = {"fixed_ms": fixed, "ms_per_mb": each, "models_measured": int(mine.sum()), "error_p90_share": error}
    placed = {}
    for name, value in runtime.items():
        if name != "load":
            placed[name] = value
        if name == "resident":
            placed["load"] = rule
    runtime.clear()
    runtime |= placed


def fill_stretch(row: dict[str, Any], runs: Sequence[Run]) -> None:
    """Put how much longer paths are than in balanced trees into a family of trees."""
    if row.get("path_stretch") is None:
        return
    sizes = {run.model: run.size for run in runs if run.family.id == row["id"]}.values()
    found = [(s.work_units / s.trees - 1) / np.log2((s.nodes + s.trees) / 2 / s.trees) for s in sizes]
    row["path_stretch"] = short(float(np.median(found)), 3)


def write_catalog(
    times: Times,
    scalings: Scalings,
    files: Fitted,
    resident: Fitted,
    load: Fitted,
    busy: dict[str, float],
    runs: Sequence[Run],
    path: Path,
) -> None:
    """Write the fitted constants into the catalog file."""
    document = statistical_yaml.read(path)
    document["as_of"] = date.today().isoformat()
    document["busy_host"] = {name: short(value, 2 if name == "error" else 4) for name, value in busy.items()}
    for row in document["rows"]:
        for runtime in row["runtimes"]:
            key = (row["id"], runtime["id"])
            fill_times(runtime, key, times, scalings)
            fill_bytes(runtime, key, files, resident, load)
        fill_stretch(row, runs)
        row["as_of"] = date.today().isoformat()
    statistical_yaml.write(document, path)


def main(folder: Path = MEASURED) -> None:
    """Fit, hold back, write the catalog and the report."""
    from benchmarks import statistical_report

    began = time.perf_counter()
    busy, quiet = load_runs(folder / BUSY), load_runs(folder / QUIET)
    times = fit_times(busy, quiet)
    other = load_runs(OTHER_CPU)
    files = fit_bytes([*busy, *filter(_file_is_comparable, other)], lambda run: run.file_bytes, file=True)
    resident = fit_bytes(busy, lambda run: run.resident_bytes, file=False)
    load = fit_load(quiet)
    call, rest = held_parts(times, busy)
    law = fit_busy(call, rest, busy)
    scalings = scalings_of(times, other)
    write_catalog(times, scalings, files, resident, load, law, busy, CATALOG)
    said = statistical_report.Everything(busy, quiet, times, files, resident, load, call, rest, law, other, scalings)
    REPORT.write_text(statistical_report.report(said), encoding="utf-8")
    print(
        f"{len(times.rows)} times, {len(times.x)} constants, {time.perf_counter() - began:.0f} s; {REPORT.name} written"
    )


def _file_is_comparable(run: Run) -> bool:
    """Files are the same on any CPU; those of k-means keep a label for each training row, which were others there."""
    return key_of(run) != ("k-means", "native")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:2]))
