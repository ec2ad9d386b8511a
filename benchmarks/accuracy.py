"""The points of the accuracy page: every measured run beside what constants say that never saw it.

`python -m benchmarks.accuracy [FOLDER]` writes catalogs/accuracy.csv.gz. Language models: a fold of models held back;
deep learning: networks, and for batch curves network, GPU, runtime and precision together; statistical: the model. Memory of
language models and queues are scored as they ship. It takes about five minutes.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from math import exp, isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import calibrate, calibrate_deep_learning, calibrate_statistical, deep_learning_fit, statistical_fit
from benchmarks.speed_fit import Model as SpeedModel
from benchmarks.speed_fit import held_out, keep_where, load_measured
from benchmarks.statistical_report import stated
from sizing import catalog as catalogs
from sizing.accuracy import FILE, Point, write_points
from sizing.llm.nearest import QUANTITIES
from sizing.score import KINDS
from sizing.score_table import read_cases

MEASURED = Path("../shared/measured")
QUEUE_MODELS = "M/G/c"


def llm_speed(folder: Path) -> Iterator[Point]:
    """Times and rates of language models by constants fitted without the model's fold."""
    data = load_measured(folder)
    model = SpeedModel(data)
    everything: dict[str, NDArray[np.bool_]] = keep_where(data, lambda i, run: True)
    x, _ = model.fit(everything)
    held = {by: held_out(model, by) for by in calibrate.HELD_BACK}
    figures = calibrate.figures_of(data, model.predict(x), held)
    intervals = calibrate.intervals_of(data, figures)
    for f in figures:
        run = data.runs[f.run]
        predicted = f.held["model"]
        interval = intervals[run.generation]
        low, high = interval.first_token if f.quantity in calibrate.FIRST_TOKEN else interval.step
        ends = (
            (predicted / high, predicted / low)
            if f.quantity in calibrate.RATES
            else (predicted * low, predicted * high)
        )
        name, unit = QUANTITIES[f.quantity]
        yield Point(
            "llm", f"{name} ({unit})", run.model, run.accelerator, run.generation, f"{run.kind}, batch {run.batch:g}, {run.accelerators} accelerators",
            f.measured, predicted, *ends, True, "public runs",
        )  # fmt: skip


def deep_learning(folder: Path) -> Iterator[Point]:
    """Times of a batch by constants fitted without the network, or without network, GPU, runtime and precision together."""
    runs, _ = deep_learning_fit.load_runs(folder)
    model = calibrate_deep_learning.Model(runs)
    x, _ = model.fit()
    held = calibrate_deep_learning.held_back(model, x)
    intervals = calibrate_deep_learning.intervals(model, held)
    for i, run in enumerate(runs):
        error = float(held[calibrate_deep_learning.TOGETHER if run.network else 0].errors[i])
        if not isfinite(error) or not run.measured_ms:
            continue
        predicted = run.measured_ms * exp(error)
        below, above = intervals.get(run.runtime, intervals["any"])
        yield Point(
            "deep_learning", "time of a batch (ms)" if run.network else "time of a full batch (ms)", run.model, run.part.id,
            run.runtime, f"{run.precision}, batch {run.batch:g}, {run.clients:g} clients", run.measured_ms, predicted,
            predicted * exp(-below), predicted * exp(above), True, "public runs",
        )  # fmt: skip


def statistical(folder: Path) -> Iterator[Point]:
    """Times of a call by constants fitted without the model."""
    busy = statistical_fit.load_runs(folder / calibrate_statistical.BUSY)
    quiet = statistical_fit.load_runs(folder / calibrate_statistical.QUIET)
    times = calibrate_statistical.fit_times(busy, quiet)
    for run, measured, held in zip(times.runs, times.problem.measured, times.held, strict=True):
        predicted, width = exp(float(held)), stated(run)
        yield Point(
            "statistical", "time of a call (us)", run.model, run.cpu or "catalog's host", run.cost.id, f"{run.family.id}, {run.rows:,} rows",
            float(measured), predicted, predicted * exp(-width), predicted * exp(width), True, "own timings on a quiet host",
        )  # fmt: skip


def as_shipped(folder: Path, kind: str, file: str) -> Iterator[Point]:
    """Points of a kind of cases as the product scores them."""
    cases = read_cases((folder / file).read_text(encoding="utf-8"), KINDS[kind].columns)
    catalog = catalogs.load()
    for case in cases:
        for row in KINDS[kind].scored([case], catalog):
            if not row.quantity or not row.measured or not row.predicted:
                continue
            if kind == "queues":
                model, part, engine = QUEUE_MODELS, f"{case.text('c')} servers", case.text("service_law") or "general"
                what = f"load {case.text('rho')}, CV {case.text('service_cv')}"
            else:
                model, part, engine = case.text("model"), case.text("accelerator"), case.text("engine")
                what = f"{case.text('weight_format')}, tp {case.text('tp')}, {case.text('engine_version')}"
            yield Point(
                "queues" if kind == "queues" else "llm_memory", row.quantity.replace("_", " "), model, part, engine, what,
                row.measured, row.predicted, row.low, row.high, False, "simulations" if kind == "queues" else "start-up logs",
            )  # fmt: skip


def main(folder: Path = MEASURED) -> None:
    """Collect all points and write them."""
    points = [
        *llm_speed(folder),
        *as_shipped(folder, "llm-memory", "llm_memory.csv"),
        *deep_learning(folder),
        *statistical(folder),
        *as_shipped(folder, "queues", "queues.csv"),
    ]
    write_points(points, FILE)
    print(f"{len(points):,} points written to {FILE.name}: {dict(Counter(p.kind for p in points))}")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:2]))
