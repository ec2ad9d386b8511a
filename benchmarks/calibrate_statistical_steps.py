"""Fits the costs of preprocessing steps: python -m benchmarks.calibrate_statistical_steps

Reads benchmarks/statistical_steps_other_cpu.csv (timings on another CPU) and brings them to the catalog's host by the one pipeline
that was timed on both: what its scaler adds to a call, and to the rows. Writes catalogs/statistical_steps.yaml.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import date
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.statistical_fit import Builder
from benchmarks.statistical_yaml import short, write
from sizing.cpu_names import speed_of

TIMES, MODELS = Path("benchmarks/statistical_steps_other_cpu.csv"), Path("benchmarks/statistical_other_cpu.csv")
CATALOG = Path("catalogs/statistical_steps.yaml")
HOST_US = {
    ("native", 1): 861.0 - 379.0, ("native", 512): 1034.0 - 439.0, ("onnxruntime", 1): 32.3 - 28.9, ("onnxruntime", 512): 458.0 - 76.0,
}  # fmt: skip
"""What a scaler of 100 features adds to a logistic regression on the catalog's host [us], by runtime and rows a call.
Source: own quiet medians, pipe_scaler_logreg_f100 less logreg_f100, 2026-11-22."""

NAMES = {
    "scale": ("Scaling", "StandardScaler"), "impute": ("Filling gaps", "SimpleImputer, 5 % of the values missing"),
    "one_hot": ("One-hot encoding", "OneHotEncoder, dense, 8 words a feature; numbers for classes cost less"), "ordinal": ("Ordinal encoding", "OrdinalEncoder, 8 words a feature; numbers for classes cost less"),
    "select": ("Choosing features", "SelectKBest of half the features"), "normalize": ("Normalising rows", "Normalizer, L2"),
    "polynomial": ("Polynomial features", "PolynomialFeatures of degree 2"),
}  # fmt: skip
ENCODERS = ("one_hot", "ordinal")
COSTS = ("call_us", "feature_us", "column_us", "row_ns", "value_ns", "output_ns")
LEAST_STEP_US = 0.3
"""Differences of two medians are no surer than this [us]: what repeats of a model alone differ by, in ONNX Runtime."""


def ratios() -> dict[str, tuple[float, float]]:
    """Time on the other CPU over that on the host, of the scaler's call and of its rows, by runtime."""
    with MODELS.open(encoding="utf-8", newline="") as file:
        us = {
            (row["model_id"], row["runtime"], int(row["batch"])): float(row["median_us"])
            for row in csv.DictReader(file)
        }
    found = {}
    for runtime in ("native", "onnxruntime"):
        one, many = (us["pipe_f100", runtime, rows] - us["logreg_f100", runtime, rows] for rows in (1, 512))
        found[runtime] = (one / HOST_US[runtime, 1], (many - one) / (HOST_US[runtime, 512] - HOST_US[runtime, 1]))
    return found


def fitted(rows: Sequence[dict[str, str]], at_call: float, at_rows: float) -> dict[str, Any]:
    """Constants of one kind in one runtime on the host, with the errors of widths held back."""
    builder = Builder()
    for row in rows:
        batch, given, wide = int(row["batch"]), int(row["features_in"]), int(row["features_out"])
        python = row["runtime"] == "native"
        terms = [
            (("call_us",), at_call, (50.0 if python else 3.0, 2.0)),
            (("row_ns",), at_rows * batch / 1e3, (20.0, 1.5)),
        ]
        if row["kind"] in ENCODERS:
            terms.append((("feature_us",), at_call * given, (300.0 if python else 3.0, 2.0)))
        if row["kind"] == "polynomial":
            terms.append((("column_us",), at_call * wide, (3.0, 2.0)))
            terms.append((("output_ns",), at_rows * batch * wide / 1e3, (5.0, 2.0)))
        else:
            terms.append((("value_ns",), at_rows * batch * given / 1e3, (5.0, 2.0)))
        builder.add(terms, max(LEAST_STEP_US, float(row["step_us"])), 0.1)
    problem = builder.problem()
    x = problem.solve()
    held = problem.held_out([row["features_in"] for row in rows], x)
    errors = abs(np.expm1(held - np.log(problem.measured)))
    constants = {name[0]: short(exp(x[place]), 3) for name, place in problem.places.items()}
    return {
        **constants,
        "widths_measured": len({row["features_in"] for row in rows}),
        "error_median_share": short(float(np.median(errors)), 2),
        "error_p90_share": min(4.9, short(float(np.quantile(errors, 0.9)), 2)),
    }


def main() -> None:
    """Fit and write the table."""
    with TIMES.open(encoding="utf-8", newline="") as file:
        times = list(csv.DictReader(file))
    factor, brought = speed_of(times[0]["cpu_model"]).factor, ratios()
    today, table = date.today().isoformat(), []
    for kind, (name, with_what) in NAMES.items():
        runtimes = []
        for runtime, (at_call, at_rows) in brought.items():
            mine = [row for row in times if row["kind"] == kind and row["runtime"] == runtime]
            if mine:
                found = fitted(mine, at_call, at_rows)
                scalings = {
                    "call_scaling": short(log(at_call) / log(factor), 3),
                    "loop_scaling": short(log(at_rows) / log(factor), 3),
                }
                costs = {key: found.pop(key) for key in COSTS if key in found}
                runtimes.append({"id": runtime, **costs, **scalings, **found})
        table.append(_row(kind, name, with_what, runtimes, today))
    table.append(_row("other", "Another step", "the middle of the kinds above; not measured", _middle(table), today))
    document = {
        "catalog": "statistical_steps",
        "as_of": today,
        "about": "What a preprocessing step adds to a model call, by kind and runtime. The equation is in sizing/statistical_rows.py (StepCost). "
        "Written by python -m benchmarks.calibrate_statistical_steps.",
        "units": ["*_us are microseconds a call (feature_us for each feature in, column_us for each out), *_ns nanoseconds a row (value_ns for each feature in, output_ns for each out)"],
        "trust_rule": [
            "single_source: own timings of a pipeline with the step less the model alone, on one CPU, brought to the catalog's host by the "
            "one pipeline timed on both (scaler and logistic regression of 100 features)",
            "errors are of widths left out of the fit one at a time; the way to the host may add 30 %, as one model stands for all steps",
        ],
        "rows": table,
    }  # fmt: skip
    write(document, CATALOG)
    print(f"{len(table)} kinds written to {CATALOG.name}; other CPU over host, call and rows: {brought}")


def _row(kind: str, name: str, with_what: str, runtimes: list[dict[str, Any]], today: str) -> dict[str, Any]:
    return {
        "id": kind, "name": name, "library": "scikit-learn 1.9.1, skl2onnx 1.20.0, onnxruntime 1.32.0", "measured_with": with_what,
        "trust": "derived" if kind == "other" else "single_source", "source": "own timings on another CPU, benchmarks/statistical_steps_other_cpu.csv",
        "as_of": today, "runtimes": runtimes,
    }  # fmt: skip


def _middle(table: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """For a step of no known kind: the geometric mean of the kinds, with how far they lie from it as the error."""
    found = []
    for runtime in ("native", "onnxruntime"):
        costs = [cost for row in table for cost in row["runtimes"] if cost["id"] == runtime]
        names = ("call_us", "row_ns", "value_ns", "call_scaling", "loop_scaling")
        costs = [cost for cost in costs if "value_ns" in cost]
        middle = {name: short(exp(float(np.mean([log(cost[name]) for cost in costs]))), 3) for name in names}
        spread = float(np.quantile([abs(cost["call_us"] / middle["call_us"] - 1) for cost in costs], 0.9))
        found.append(
            {
                "id": runtime,
                **middle,
                "widths_measured": 1,
                "error_median_share": short(spread / 2, 2),
                "error_p90_share": short(spread, 2),
            }
        )
    return found


if __name__ == "__main__":
    main()
