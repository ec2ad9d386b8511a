"""The fit behind catalogs/deep_learning_speed.yaml: measured runs as columns, the constants as one vector, robust least squares.

The predictions are those of the product (`sizing.deep_learning.speed`), with the constants of `sizing.deep_learning.rates` as
columns.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sizing import catalog as catalogs
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
from sizing.deep_learning.rates import Term, launched, prior, terms
from sizing.deep_learning.speed import CLASSES, Rates, batch_times
from sizing.score_table import Case, read_cases

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
THROUGHPUT, CURVES = "deep_learning_throughput.csv", "deep_learning_batch_curves.csv"
ENCODERS, ENCODER_GPU = "deep_learning_encoder_batches.csv", "A100-SXM4-80GB"
SPREAD_THROUGHPUT, SPREAD_CURVE = 0.08, 0.10
"""Error that the fit takes as ordinary [log]."""
ALIKE = 8
"""Runs of one network, GPU and server after which more count with the root of their number."""
DERIVATIVE_STEP, LONGEST_STEP = 1e-4, 1.0
RATE_NAMES = ("efficiency", "share", "width", "depth")
ONE_NAMES = ("kernel_us", "tile", "power", "host_us", "base_ms", "work")


def load_runs(folder: Path) -> tuple[list[Run], Counter[str]]:
    """Measured runs of a folder, and how many were left out for which reason."""
    catalog, runs, skipped = catalogs.load(), list[Run](), Counter[str]()
    for name, columns, read in ((THROUGHPUT, THROUGHPUT_COLUMNS, throughput_run), (CURVES, CURVE_COLUMNS, curve_run)):
        for case in read_cases((folder / name).read_text(encoding="utf-8"), columns):
            try:
                run = read(case, catalog)
            except SkipError as reason:
                skipped[str(reason)] += 1
                continue
            if run.measured_ms:
                runs.append(run)
            else:
                skipped["no figure"] += 1
    if (folder / ENCODERS).exists():
        runs += [curve_run(case, catalog) for case in encoder_cases(folder / ENCODERS)]
    return runs, skipped


def encoder_cases(file: Path) -> list[Case]:
    """bge-base by batch and length in ONNX Runtime on an A100, as rows of batch curves; the other runs name no GPU."""
    rows = []
    with file.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=2):
            if row["gpu_or_device"] == ENCODER_GPU and row["backend"].startswith("onnxruntime"):
                cells = {"id": f"encoder-{number}", "accelerator": "a100-sxm-80gb", "runtime": row["backend"]}
                rows.append(Case(number, {**row, **cells}))
    return rows


class Model:
    """Predictions of all runs for a vector of constants."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = list(runs)
        self.columns = stacked(self.runs)
        self.measured = np.log([run.measured_ms or np.nan for run in self.runs])
        self.is_curve = np.array([bool(run.network) for run in self.runs])
        self.sigma = np.where(self.is_curve, SPREAD_CURVE, SPREAD_THROUGHPUT)
        alike = [
            (r.model, r.part.id, r.runtime, r.clients > 1) if r.network else (str(i), "", "", False)
            for i, r in enumerate(self.runs)
        ]
        count = Counter(alike)
        self.weight = np.array([1.0 / np.sqrt(max(1.0, count[key] / ALIKE)) for key in alike])
        self.launched = np.stack([launched(run.runtime) for run in self.runs])
        self.places: dict[Term, int] = {}
        found = {
            key: terms(*key[0:1], *key[1:])
            for key in {(run.part, run.runtime, run.precision, run.network) for run in self.runs}
        }
        many = [found[run.part, run.runtime, run.precision, run.network] for run in self.runs]
        quantities = list(many[0])
        self.slots: dict[tuple[str, str], NDArray[np.intp]] = {}
        for quantity in quantities:
            longest = max(len(one[quantity]) for one in many)
            places = np.full((len(many), longest), -1, dtype=np.intp)
            for row, one in enumerate(many):
                for column, term in enumerate(one[quantity]):
                    places[row, column] = self.places.setdefault(term, len(self.places))
            self.slots[quantity] = places
        priors = [prior(term) for term in self.places]
        self.centre, self.spread = (np.array(column) for column in zip(*priors, strict=True))

    def quantities(self, x: Floats) -> dict[tuple[str, str], Floats]:
        """Logs of the quantities of each run."""
        padded = np.append(x, 0.0)
        return {key: padded[places].sum(axis=1) for key, places in self.slots.items()}

    def logs(self, found: dict[tuple[str, str], Floats]) -> Floats:
        """Log of the predicted time of each run."""
        none = np.zeros(len(self.runs))
        table = {
            name: np.exp(np.stack([found.get((name, one), none) for one in CLASSES], axis=1)) for name in RATE_NAMES
        }
        one = {name: np.exp(found[name, ""]) for name in ONE_NAMES}
        rates = Rates(**table, **one, launched=self.launched, kernel_area=found["kernel_area", ""])
        total = batch_times(self.columns, rates).total
        server = [np.exp(found[name, ""]) for name in ("transfer_gb_per_s", "client_ms", "client_power")]
        return np.log(served_ms(self.runs, total, server[0], server[1], server[2]))

    def errors(self, x: Floats) -> Floats:
        """Log of predicted over measured time of each run."""
        return self.logs(self.quantities(x)) - self.measured

    def jacobian(self, found: dict[tuple[str, str], Floats]) -> Floats:
        """Derivatives of the errors over their ordinary size by each constant: a quantity is moved for all runs at once, and
        each run's change is that of all the constants it is made of."""
        base, rows = self.logs(found), np.arange(len(self.runs))
        out = np.zeros((len(self.runs), len(self.places) + 1))
        for key, places in self.slots.items():
            moved = {**found, key: found[key] + DERIVATIVE_STEP}
            change = (self.logs(moved) - base) / self.sigma / DERIVATIVE_STEP
            for column in places.T:
                out[rows, column] += change
        return out[:, :-1]  # the last column takes those that a run does not have

    def fit(
        self, keep: Bools | None = None, start: Floats | None = None, *, steps: int = 24, tolerance: float = 5e-5
    ) -> tuple[Floats, Floats]:
        """The constants that fit the kept runs best and their standard errors, both as logs.

        Minimises sum of prior residuals squared + sum of 2 w (sqrt(1 + r^2) - 1) over runs, by Levenberg-Marquardt steps on
        reweighted least squares. Source: Huber 1981, chapter 7 (reweighting); More 1978 (damping).
        """
        use = np.ones(len(self.runs), dtype=bool) if keep is None else keep
        x = self.centre.copy() if start is None else start.copy()
        damping = 1e-2

        def cost(x: Floats, residual: Floats) -> float:
            robust = self.weight * 2.0 * (np.sqrt(1.0 + residual**2) - 1.0)
            return float((((x - self.centre) / self.spread) ** 2).sum() + robust[use].sum())

        found = self.quantities(x)
        residual = (self.logs(found) - self.measured) / self.sigma
        least = cost(x, residual)
        for _ in range(steps):
            jac = self.jacobian(found)
            weight = self.weight / np.sqrt(1.0 + residual**2) * use
            normal = (jac.T * weight) @ jac + np.diag(1.0 / self.spread**2)
            slope = (jac.T * weight) @ residual + (x - self.centre) / self.spread**2
            gained = 0.0
            while damping < 1e6:
                step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), slope)
                trial = x - np.clip(step, -LONGEST_STEP, LONGEST_STEP)
                there = self.quantities(trial)
                off = (self.logs(there) - self.measured) / self.sigma
                gained = least - cost(trial, off)
                if gained > 0:
                    x, found, residual, least, damping = trial, there, off, least - gained, damping / 5.0
                    break
                damping *= 4.0
            if gained < tolerance * least:
                break
        return x, np.sqrt(np.diag(np.linalg.inv(normal)))

    def held_out(self, group: Callable[[Run], int], start: Floats, *, steps: int = 4) -> Floats:
        """Log errors of runs predicted by constants fitted without their group; nan for a group below 0."""
        groups, out = np.array([group(run) for run in self.runs]), np.full(len(self.runs), np.nan)
        for one in sorted(set(groups.tolist()) - {-1}):
            x, _ = self.fit(groups != one, start, steps=steps)
            out[groups == one] = self.errors(x)[groups == one]
        return out
