"""Rules of bytes and of load time of statistical models: which constants each family has in each runtime, and their fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.statistical_fit import Builder, Floats, Prior, Problem, byte_terms, key_of, one_a_model
from sizing.statistical.cases import Run

LARGE_BYTES = 20e6
SKLEARN_TREES: dict[str, Prior] = {"fixed_bytes": (700, 1), "node_bytes": (64, 0.01), "node_output_bytes": (8, 0.01)}
ONNX_TREES: dict[str, Prior] = {"fixed_bytes": (500, 0.5), "node_bytes": (36, 0.2)}
ONNX_FORESTS: dict[str, Prior] = {**ONNX_TREES, "node_class_bytes": (6, 0.2)}
"""From three classes on a leaf has an entry a class, of 12 bytes: half the nodes are leaves."""
ONNX_NEIGHBOURS: dict[str, Prior] = {"fixed_bytes": (2400, 0.5), "parameter_bytes": (4, 0.01), "vector_bytes": (1, 0.1)}
COMPILED: dict[str, Prior] = {"fixed_bytes": (16_000, 0.5), "node_bytes": (30, 0.5)}
XGBOOST: dict[str, Prior] = {"fixed_bytes": (1500, 1), "tree_bytes": (600, 0.5), "node_bytes": (34, 0.1)}
LIGHTGBM: dict[str, Prior] = {"fixed_bytes": (1500, 1), "tree_bytes": (200, 0.7), "node_bytes": (54, 0.1)}
BOOSTER = "gradient-boosting-"
FILE_PRIORS: dict[tuple[str, str], dict[str, Prior]] = {
    ("linear-regression", "native"): {"fixed_bytes": (500, 1), "parameter_bytes": (8, 0.02)},
    ("linear-regression", "onnxruntime"): {"fixed_bytes": (250, 1), "parameter_bytes": (5, 0.02)},
    ("logistic-regression", "native"): {"fixed_bytes": (600, 1), "parameter_bytes": (4, 0.02), "output_bytes": (8, 0.5)},
    ("logistic-regression", "onnxruntime"): {
        "fixed_bytes": (300, 1), "output_bytes": (18, 0.5), "feature_output_bytes": (5, 0.02),
    },
    # A scaler pickles three float64 a feature, of which 4 bytes each are in the parameters; ONNX has two floats of 5 bytes.
    ("scaler-logistic-pipeline", "native"): {
        "fixed_bytes": (1000, 1), "parameter_bytes": (4, 0.005), "feature_bytes": (12, 0.005),
    },
    ("scaler-logistic-pipeline", "onnxruntime"): {
        "fixed_bytes": (400, 1), "output_bytes": (18, 0.05), "feature_bytes": (10, 0.005), "feature_output_bytes": (5, 0.005),
    },
    ("gaussian-naive-bayes", "native"): {"fixed_bytes": (500, 1), "parameter_bytes": (4, 0.1)},
    ("gaussian-naive-bayes", "onnxruntime"): {"fixed_bytes": (1500, 1), "parameter_bytes": (4, 0.1)},
    ("k-means", "native"): {"fixed_bytes": (40_000, 1), "parameter_bytes": (4, 0.1)},
    ("k-means", "onnxruntime"): {"fixed_bytes": (600, 1), "parameter_bytes": (4.2, 0.1)},
    ("mlp", "native"): {"fixed_bytes": (7000, 1), "parameter_bytes": (16, 0.02)},
    ("mlp", "onnxruntime"): {"fixed_bytes": (1200, 1), "parameter_bytes": (4, 0.02)},
    ("svm-rbf", "native"): {"fixed_bytes": (1200, 1), "parameter_bytes": (8, 0.01), "vector_bytes": (12, 0.2)},
    ("svm-rbf", "onnxruntime"): {"fixed_bytes": (400, 1), "parameter_bytes": (5, 0.01)},
    ("k-nearest-neighbours-brute", "native"): {
        "fixed_bytes": (600, 1), "parameter_bytes": (4, 0.01), "vector_bytes": (8, 0.1),
    },
    ("k-nearest-neighbours-brute", "onnxruntime"): ONNX_NEIGHBOURS,
    # float32 rows, their float64 copy in the tree, bounds of its boxes; indices and answers.
    ("k-nearest-neighbours-kdtree", "native"): {
        "fixed_bytes": (5000, 1), "parameter_bytes": (12.8, 0.03), "vector_bytes": (16, 0.1),
    },
    ("k-nearest-neighbours-kdtree", "onnxruntime"): ONNX_NEIGHBOURS,
    ("decision-tree", "native"): SKLEARN_TREES,
    ("random-forest", "native"): {**SKLEARN_TREES, "tree_bytes": (300, 0.5)},
    (f"{BOOSTER}sklearn", "native"): {"fixed_bytes": (1500, 0.5), "tree_bytes": (300, 0.5), "node_bytes": (72, 0.01)},
    (f"{BOOSTER}hist", "native"): {"fixed_bytes": (40_000, 0.5), "tree_bytes": (200, 0.7), "node_bytes": (56, 0.02)},
    (f"{BOOSTER}xgboost", "native"): XGBOOST,
    (f"{BOOSTER}xgboost", "booster"): XGBOOST,
    (f"{BOOSTER}xgboost", "compiled"): COMPILED,
    (f"{BOOSTER}lightgbm", "native"): LIGHTGBM,
    (f"{BOOSTER}lightgbm", "booster"): LIGHTGBM,
    (f"{BOOSTER}lightgbm", "compiled"): COMPILED,
    (f"{BOOSTER}catboost", "native"): {"fixed_bytes": (8000, 0.7), "tree_bytes": (9, 0.3), "node_bytes": (8.7, 0.1)},
    **{
        (family, "onnxruntime"): ONNX_TREES
        for family in (BOOSTER + f for f in ("sklearn", "hist", "xgboost", "lightgbm", "catboost"))
    },
    ("decision-tree", "onnxruntime"): ONNX_FORESTS,
    ("random-forest", "onnxruntime"): ONNX_FORESTS,
}  # fmt: skip

ORT_FIXED: Prior = (17e6, 0.05)
SMALL_FIXED: Prior = (1.5e6, 0.7)
RESIDENT_PRIORS: dict[tuple[str, str], dict[str, Prior]] = {}
for _key, _prior in FILE_PRIORS.items():
    _family, _runtime = _key
    if _runtime == "onnxruntime":
        _own: dict[str, Prior] = {"fixed_bytes": ORT_FIXED}
        if _prior in (ONNX_TREES, ONNX_FORESTS):
            _own["node_bytes"] = (450, 0.1)
        elif _prior is ONNX_NEIGHBOURS:
            _own |= {"parameter_bytes": (4.5, 0.2), "vector_bytes": (15, 1)}
        else:
            _own["parameter_bytes"] = (8, 0.7)
    elif _runtime == "compiled":
        _own = {"fixed_bytes": (0.8e6, 0.5), "node_bytes": (33, 0.3)}
    elif _prior is SKLEARN_TREES or _family in ("random-forest", f"{BOOSTER}sklearn"):
        _own = {"fixed_bytes": SMALL_FIXED, "node_bytes": (128, 0.05), "node_output_bytes": (15, 0.2)}
        if _family != "decision-tree":
            _own["tree_bytes"] = (3000, 1)
    elif _family.startswith(BOOSTER):
        _own = {"fixed_bytes": (5e6, 0.7), "node_bytes": (50, 0.8)}
        if not _family.endswith("hist"):
            _own["tree_bytes"] = (1000, 1.5)
    elif _family.startswith("k-nearest"):
        # What is resident is what the pickle holds.
        _own = {
            "fixed_bytes": SMALL_FIXED,
            "parameter_bytes": (_prior["parameter_bytes"][0], 0.1),
            "vector_bytes": (12, 0.3),
        }
    else:
        _own = {"fixed_bytes": SMALL_FIXED, "parameter_bytes": (8, 0.8)}
    RESIDENT_PRIORS[_key] = _own

LOAD_GROUPS = {"xgboost 3.2.0": "xgboost", "lightgbm 4.7.0": "lightgbm", "catboost 1.2.10": "catboost"}
LOAD_PRIORS: dict[str, tuple[Prior, Prior]] = {
    "onnxruntime": ((10, 0.5), (35, 0.5)), "compiled": ((0.8, 0.5), (0.3, 1)), "xgboost": ((5, 0.7), (12, 0.7)),
    "lightgbm": ((10, 1), (15, 0.7)), "catboost": ((1, 1), (20, 0.7)), "scikit-learn": ((0.4, 0.5), (8, 0.7)),
}  # fmt: skip
"""Fixed time [ms] and time a MB of file [ms] of loading, by what reads the file."""


def counts_ids(key: tuple[str, str]) -> bool:
    """Whether the file of a family in a runtime spends more on numbers of nodes and trees above 127."""
    return FILE_PRIORS[key] in (ONNX_TREES, ONNX_FORESTS)


@dataclass(frozen=True)
class Fitted:
    """A fit of one quantity: constants by (family, runtime, name), and the errors of its rows held back by model."""

    rows: list[Run]
    problem: Problem
    x: Floats
    logs: Floats
    held: Floats

    @property
    def errors(self) -> Floats:
        """Relative error of each row held back [1]."""
        return np.asarray(np.exp(self.held) / self.problem.measured - 1.0)

    def constants(self, key: tuple[str, str]) -> dict[str, float]:
        """Constants of one family and runtime by name."""
        found = ((place[-1], float(np.exp(self.x[i]))) for place, i in self.problem.places.items() if place[:-1] == key)
        return dict(found)


def fitted(builder: Builder, rows: list[Run]) -> Fitted:
    """The fit of a builder's rows, and each row by a fit without its model."""
    problem = builder.problem()
    x = problem.solve()
    return Fitted(rows, problem, x, problem.logs(x), problem.held_out([run.model for run in rows], x))


def fit_bytes(runs: Sequence[Run], of: Callable[[Run], float | None], *, file: bool) -> Fitted:
    """Rules of file or resident bytes; what is large counts more, as that is what has to fit."""
    builder, rows = Builder(), one_a_model(runs, of)
    priors = FILE_PRIORS if file else RESIDENT_PRIORS
    for run in rows:
        measured = of(run) or 0.0
        ids = file and counts_ids(key_of(run))
        builder.add(
            byte_terms(run, priors[key_of(run)], ids),
            measured,
            0.01 if file else 0.04 if measured > LARGE_BYTES else 0.12,
        )
    return fitted(builder, rows)


def load_group(run: Run) -> str:
    """What reads the file of a run."""
    return (
        run.cost.id
        if run.cost.id in ("onnxruntime", "compiled")
        else LOAD_GROUPS.get(run.family.library, "scikit-learn")
    )


def fit_load(runs: Sequence[Run]) -> Fitted:
    """Rules of load time from quiet runs, one a reader of files."""
    builder, rows = Builder(), one_a_model(runs, lambda run: run.load_ms)
    for run in rows:
        group = load_group(run)
        fixed, each = LOAD_PRIORS[group]
        terms = [((group, "", "fixed_ms"), 1.0, fixed), ((group, "", "ms_per_mb"), (run.file_bytes or 0) / 1e6, each)]
        builder.add(terms, run.load_ms or 0.0, 0.3)
    return fitted(builder, rows)
