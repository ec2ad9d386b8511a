"""The fit behind catalogs/statistical_families.yaml: robust least squares of logs, with priors shared across families and runtimes.

Times, bytes and load times are all sums of positive constants x multipliers. Every constant has a prior (centre, spread of its log)
that a few models can move and one model can hardly break; constants that are one thing in two runtimes (the tree loop of XGBoost
under either call, the cost of entering ONNX Runtime) are one number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sizing import catalog as catalogs
from sizing.score_table import read_cases
from sizing.statistical.cases import COLUMNS, Run, SkipError, run_of
from sizing.statistical.law import TIME_CONSTANTS, multipliers
from sizing.statistical.structure import byte_counts, id_bytes_per_node

Floats = NDArray[np.float64]
Prior = tuple[float, float]
BUSY, QUIET = "statistical_service_time.csv", "statistical_service_time_quiet.csv"
SPREAD_QUIET, SPREAD_BUSY = 0.03, 0.12
"""Error that the fit takes as ordinary [log]: of a quiet median, and of a least time on a busy host."""
HUBER = 1.0
LARGE_BYTES = 20e6

ORT_TREES: dict[str, Prior] = {
    "call_us": (27, 0.25), "tree_us": (0.1, 0.5), "first_rows_ns": (5, 0.6), "row_ns": (15, 1.0), "value_ns": (0.3, 0.8),
    "unit_ns": (7.5, 0.15), "level_ns": (60, 0.3),
}  # fmt: skip
PYTHON_TREES: dict[str, Prior] = {
    "call_us": (400, 0.6), "tree_us": (1, 1.5), "first_rows_ns": (5, 1), "row_ns": (20, 1.2), "value_ns": (0.7, 0.5),
    "unit_ns": (10, 0.3), "level_ns": (20, 0.6),
}  # fmt: skip
LINEAR: dict[str, Prior] = {"row_ns": (20, 1.2), "value_ns": (0.65, 0.5), "output_ns": (12, 1), "unit_ns": (0.07, 0.5)}
COMPILED: dict[str, Prior] = {
    "call_us": (90, 0.3), "first_rows_ns": (1, 1), "row_ns": (20, 1), "value_ns": (0.5, 1), "unit_ns": (5.5, 0.3),
}  # fmt: skip
LIGHTGBM: dict[str, Prior] = {
    "call_us": (400, 1.5), "tree_us": (0.3, 1.5), "first_rows_ns": (3, 1), "row_ns": (20, 1.2), "value_ns": (0.7, 0.5),
    "unit_ns": (13, 0.5),
}  # fmt: skip
XGBOOST: dict[str, Prior] = {**PYTHON_TREES, "unit_ns": (3.3, 0.5), "first_rows_ns": (2, 1), "level_ns": (8, 0.7)}
NEIGHBOURS_ORT: dict[str, Prior] = {
    "call_us": (900, 1), "call_vector_ns": (3500, 1), "row_ns": (10, 1.2), "vector_ns": (20, 1.5), "unit_ns": (1.1, 0.3),
}  # fmt: skip


def _without(prior: Mapping[str, Prior], *names: str, **more: Prior) -> dict[str, Prior]:
    return {name: value for name, value in prior.items() if name not in names} | more


SMALL_ORT: dict[str, Prior] = {"call_us": (45, 0.3), "row_ns": (100, 0.7), "value_ns": (0.5, 0.8), "unit_ns": (0.5, 1)}
TIME_PRIORS: dict[tuple[str, str], dict[str, Prior]] = {
    ("linear-regression", "native"): _without(LINEAR, "output_ns", call_us=(400, 0.6)),
    ("linear-regression", "onnxruntime"): _without(LINEAR, "output_ns", call_us=(27, 0.25), row_ns=(10, 1.2)),
    ("logistic-regression", "native"): {"call_us": (400, 0.6), **LINEAR},
    ("logistic-regression", "onnxruntime"): {"call_us": (27, 0.25), **LINEAR, "row_ns": (10, 1.2)},
    # A scaler costs in proportion to features: its share of the one pipeline measured is the difference to the same model alone.
    ("scaler-logistic-pipeline", "native"): {**LINEAR, "call_us": (800, 0.3), "value_ns": (3.5, 0.4), "output_ns": (10, 0.3)},
    ("scaler-logistic-pipeline", "onnxruntime"): {**LINEAR, "call_us": (27, 0.25), "value_ns": (8, 0.4), "output_ns": (10, 0.3)},
    ("gaussian-naive-bayes", "native"): {"call_us": (400, 0.6), "row_ns": (20, 1.2), "value_ns": (0.7, 0.5), "unit_ns": (1, 1.5)},
    ("gaussian-naive-bayes", "onnxruntime"): SMALL_ORT,
    ("k-means", "native"): {"call_us": (400, 0.6), "row_ns": (20, 1.2), "value_ns": (0.7, 0.5), "unit_ns": (0.3, 1.5)},
    ("k-means", "onnxruntime"): SMALL_ORT,
    ("mlp", "native"): {
        "call_us": (400, 0.6), "call_unit_ns": (0.2, 1), "row_ns": (20, 1.2), "value_ns": (0.7, 0.5), "hidden_ns": (0.5, 1),
        "unit_ns": (0.08, 0.5),
    },
    ("mlp", "onnxruntime"): {
        "call_us": (45, 0.3), "call_unit_ns": (0.1, 1), "row_ns": (10, 1.2), "value_ns": (0.5, 0.8), "hidden_ns": (0.2, 0.8),
        "unit_ns": (0.07, 0.5),
    },
    ("svm-rbf", "native"): {"call_us": (400, 0.6), "row_ns": (20, 1.2), "vector_ns": (40, 1), "unit_ns": (0.8, 0.5)},
    ("svm-rbf", "onnxruntime"): {"call_us": (27, 0.25), "row_ns": (10, 1.2), "vector_ns": (5, 1.5), "unit_ns": (1.1, 0.3)},
    ("k-nearest-neighbours-brute", "native"): {
        "call_us": (1000, 0.6), "call_unit_ns": (1.8, 1), "row_ns": (20, 1.2), "vector_ns": (5, 1), "unit_ns": (0.3, 0.7),
    },
    ("k-nearest-neighbours-brute", "onnxruntime"): NEIGHBOURS_ORT,
    ("k-nearest-neighbours-kdtree", "native"): {"call_us": (1000, 0.6), "row_ns": (30_000, 1), "vector_ns": (5, 1)},
    ("k-nearest-neighbours-kdtree", "onnxruntime"): NEIGHBOURS_ORT,
    ("decision-tree", "native"): _without(PYTHON_TREES, "tree_us"),
    ("decision-tree", "onnxruntime"): _without(ORT_TREES, "tree_us"),
    ("random-forest", "native"): PYTHON_TREES,
    ("random-forest", "onnxruntime"): ORT_TREES,
    ("gradient-boosting-hist", "native"): PYTHON_TREES,
    ("gradient-boosting-hist", "onnxruntime"): ORT_TREES,
    ("gradient-boosting-sklearn", "native"): PYTHON_TREES,
    ("gradient-boosting-sklearn", "onnxruntime"): ORT_TREES,
    ("gradient-boosting-xgboost", "native"): XGBOOST,
    ("gradient-boosting-xgboost", "booster"): XGBOOST,
    ("gradient-boosting-xgboost", "onnxruntime"): ORT_TREES,
    ("gradient-boosting-xgboost", "compiled"): COMPILED,
    ("gradient-boosting-lightgbm", "native"): LIGHTGBM,
    ("gradient-boosting-lightgbm", "booster"): LIGHTGBM,
    ("gradient-boosting-lightgbm", "onnxruntime"): ORT_TREES,
    ("gradient-boosting-lightgbm", "compiled"): COMPILED,
    ("gradient-boosting-catboost", "native"): {
        "call_us": (400, 0.6), "tree_us": (0.02, 1), "row_ns": (100, 1), "value_ns": (0.7, 0.5), "unit_ns": (0.25, 0.7),
    },
    ("gradient-boosting-catboost", "onnxruntime"): ORT_TREES,
}  # fmt: skip
"""Which constants a family has in a runtime, with centre [us or ns] and spread [log] of what is expected before measuring."""

ORT_CALL = ("linear-regression", "logistic-regression", "scaler-logistic-pipeline", "svm-rbf")
EXPONENTS: dict[tuple[str, str], dict[str, float]] = {
    ("random-forest", "native"): {"first_rows_exponent": 0.3},
    **{
        key: {"first_rows_exponent": 0.3}
        for key in TIME_PRIORS
        if key[1] == "onnxruntime" and TIME_PRIORS[key] is ORT_TREES
    },
    ("gradient-boosting-lightgbm", "native"): {"work_exponent": 0.3},
    ("gradient-boosting-lightgbm", "booster"): {"work_exponent": 0.3},
}
"""Exponents of the laws of caches, one value for all: of first rows chosen among 0, 0.15, 0.3, 0.45, 0.6; of work 0.2 to 0.4."""


def shared(key: tuple[str, str], name: str) -> tuple[str, ...]:
    """Under which name the fit knows a constant: runtimes that share it have one name for it."""
    family, runtime = key
    prior = TIME_PRIORS[key]
    if runtime == "onnxruntime":
        trees = prior is ORT_TREES or family == "decision-tree"
        if trees and name in ("level_ns", "first_rows_ns"):
            return ("trees", "onnxruntime", name)
        if name == "call_us" and (trees or family in ORT_CALL):
            return ("any", "onnxruntime", name)
        if prior is NEIGHBOURS_ORT:
            return ("neighbours", "onnxruntime", name)
    elif runtime in ("native", "booster") and family.endswith(("xgboost", "lightgbm")):
        own = ("call_us", "tree_us") if family.endswith("lightgbm") else ("call_us",)
        if name not in own:
            return (family, "engine", name)
    return (*key, name)


@dataclass(frozen=True)
class Problem:
    """Rows of positive terms: `terms` (row x place) times the constants exp(x)[`slots`] add up to what was measured."""

    terms: Floats
    slots: NDArray[np.intp]
    measured: Floats
    weights: Floats
    places: dict[tuple[str, ...], int]
    centre: Floats
    spread: Floats

    def split(self, x: Floats) -> Floats:
        """Each term's part of each row."""
        return np.where(self.slots >= 0, np.exp(x[self.slots]), 0.0) * self.terms

    def logs(self, x: Floats) -> Floats:
        """Log of each row's prediction."""
        return np.log(self.split(x).sum(axis=1))

    def of(self, rows: NDArray[np.bool_]) -> Problem:
        """The same with some rows only."""
        return replace(
            self,
            terms=self.terms[rows],
            slots=self.slots[rows],
            measured=self.measured[rows],
            weights=self.weights[rows],
        )

    def solve(self, start: Floats | None = None, steps: int = 40) -> Floats:
        """Constants [log] of least Huber loss, by reweighted Gauss-Newton steps of bounded length."""
        x = (self.centre if start is None else start).copy()
        rows = np.arange(len(self.measured))
        for _ in range(steps):
            parts = self.split(x)
            total = parts.sum(axis=1)
            off = (np.log(total) - np.log(self.measured)) * self.weights
            kept = np.sqrt(np.minimum(1.0, HUBER / np.maximum(1e-9, abs(off))))
            slope = np.zeros((len(rows), len(x)))
            for place in range(parts.shape[1]):
                there = self.slots[:, place] >= 0
                np.add.at(slope, (rows[there], self.slots[there, place]), (parts[there, place] / total[there]))
            slope *= (self.weights * kept)[:, None]
            bend = slope.T @ slope + np.diag(self.spread**-2)
            step = np.linalg.solve(bend, slope.T @ (off * kept) + (x - self.centre) / self.spread**2)
            x -= np.clip(step, -1.0, 1.0)
            if abs(step).max() < 1e-4:
                break
        return x

    def held_out(self, models: Sequence[str], start: Floats) -> Floats:
        """Log of each row's prediction by a fit that has not seen its model."""
        names, found = np.array(models), np.zeros(len(models))
        for name in dict.fromkeys(models):
            out = names == name
            found[out] = self.of(out).logs(self.of(~out).solve(start, 15))
        return found


@dataclass
class Builder:
    """Collects rows of a problem; each term names its constant."""

    rows: list[list[tuple[tuple[str, ...], float]]] = field(default_factory=list)
    measured: list[float] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    priors: dict[tuple[str, ...], Prior] = field(default_factory=dict)

    def add(self, terms: Sequence[tuple[tuple[str, ...], float, Prior]], measured: float, spread: float) -> None:
        """One row: its terms as (constant, multiplier, prior), what was measured, and its ordinary error [log]."""
        self.rows.append([(name, by) for name, by, _ in terms if by > 0])
        for name, _, prior in terms:
            self.priors.setdefault(name, prior)
        self.measured.append(measured)
        self.weights.append(1.0 / spread)

    def problem(self) -> Problem:
        """The problem of the rows so far."""
        places = {name: i for i, name in enumerate(self.priors)}
        width = max(map(len, self.rows))
        terms, slots = np.zeros((len(self.rows), width)), np.full((len(self.rows), width), -1, dtype=np.intp)
        for row, found in enumerate(self.rows):
            for place, (name, by) in enumerate(found):
                terms[row, place], slots[row, place] = by, places[name]
        centre = np.log([prior[0] for prior in self.priors.values()])
        spread = np.array([prior[1] for prior in self.priors.values()])
        return Problem(terms, slots, np.array(self.measured), np.array(self.weights), places, centre, spread)


def load_runs(file: Path) -> list[Run]:
    """Runs of a file of measurements that the catalog has a family and runtime for."""
    catalog, runs = catalogs.load(), list[Run]()
    for case in read_cases(file.read_text(encoding="utf-8"), COLUMNS):
        try:
            runs.append(run_of(case, catalog))
        except SkipError:
            continue
    return runs


def key_of(run: Run) -> tuple[str, str]:
    """Family and runtime of a run."""
    return run.family.id, run.cost.id


def time_terms(run: Run) -> list[tuple[tuple[str, ...], float, Prior]]:
    """Terms of the time of a run's call, by the law of the product."""
    key = key_of(run)
    by = multipliers(run.size, run.rows, **EXPONENTS.get(key, {}))
    return [
        (shared(key, name), by[name], TIME_PRIORS[key][name]) for name in TIME_CONSTANTS if name in TIME_PRIORS[key]
    ]


def time_rows(busy: Sequence[Run], quiet: Sequence[Run]) -> list[tuple[Run, float, float]]:
    """What times are fitted on, as (run, us, ordinary error): quiet medians, and least times of cells timed on the busy host only."""
    cells = {run.id for run in quiet}
    rows = [(run, run.median_us or 0.0, SPREAD_QUIET) for run in quiet]
    return rows + [(run, run.min_us or 0.0, SPREAD_BUSY) for run in busy if run.id not in cells]


def time_problem(rows: Sequence[tuple[Run, float, float]]) -> Problem:
    """The problem of the times of calls."""
    builder = Builder()
    for run, measured, spread in rows:
        builder.add(time_terms(run), measured, spread)
    return builder.problem()


def byte_terms(run: Run, priors: Mapping[str, Prior], ids: bool) -> list[tuple[tuple[str, ...], float, Prior]]:
    """Terms of a byte rule; numbers above 127 have a known cost, which is a term of its own with a fixed constant of 1."""
    size = run.size
    by: dict[str, float] = dict(
        byte_counts(
            trees=size.trees, nodes=size.nodes, parameters=size.parameters, outputs=size.outputs, features=size.features,
            vectors=size.vectors,
        )
    )  # fmt: skip
    terms = [((*key_of(run), name), by[name], prior) for name, prior in priors.items()]
    if ids:
        terms.append((("ids",), size.nodes * id_bytes_per_node(trees=size.trees, nodes=size.nodes), (1.0, 1e-6)))
    return terms


def one_a_model(runs: Sequence[Run], of: Callable[[Run], float | None]) -> list[Run]:
    """One run of each model and runtime that has the figure."""
    return list({(run.model, run.cost.id): run for run in reversed(runs) if (of(run) or 0) > 0}.values())[::-1]


CALL_SCALING, LOOP_SCALING = (2.0, 0.15), (1.4, 0.4)
"""Powers of a CPU's factor by which calls and loops shrink: the mean starts here and is fitted, one runtime's may differ so much."""
SPREAD_SCALING = 0.10


@dataclass(frozen=True)
class Scalings:
    """Powers of the CPU's factor by family and runtime, fitted on timings of another CPU; `usual` where none were taken."""

    by_key: dict[tuple[str, str], tuple[float, float]]
    usual: tuple[float, float]

    def of(self, key: tuple[str, str]) -> tuple[float, float]:
        """Powers of calls and of loops of one family and runtime."""
        return self.by_key.get(key, self.usual)


def fit_scalings(
    keys: Sequence[tuple[str, str]], call: Floats, loop: Floats, measured: Floats, factor: float
) -> Scalings:
    """Powers such that call x factor^p + loop x factor^q is what was measured; shrunk towards their means over families."""
    names, log_factor = list(dict.fromkeys(keys)), float(np.log(factor))
    which = np.array([names.index(key) for key in keys])
    powers = np.tile([CALL_SCALING[0], LOOP_SCALING[0]], (len(names), 1))
    for _ in range(60):
        usual = powers.mean(axis=0)
        calls = call * np.exp(log_factor * powers[which, 0])
        loops = loop * np.exp(log_factor * powers[which, 1])
        off = np.log(calls + loops) - np.log(measured)
        weight = np.minimum(1.0, SPREAD_SCALING / np.maximum(1e-9, abs(off))) / SPREAD_SCALING**2
        slope = np.stack([calls, loops], axis=1) / (calls + loops)[:, None] * log_factor
        for i in range(len(names)):
            mine = which == i
            bend = (slope[mine] * weight[mine, None]).T @ slope[mine] + np.diag(
                [CALL_SCALING[1] ** -2, LOOP_SCALING[1] ** -2]
            )
            pull = (powers[i] - usual) / np.array([CALL_SCALING[1], LOOP_SCALING[1]]) ** 2
            step = np.linalg.solve(bend, slope[mine].T @ (weight[mine] * off[mine]) + pull)
            powers[i] -= np.clip(step, -0.5, 0.5)
    found = {name: (float(powers[i, 0]), float(powers[i, 1])) for i, name in enumerate(names)}
    return Scalings(found, (float(powers[:, 0].mean()), float(powers[:, 1].mean())))
