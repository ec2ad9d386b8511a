"""Measured rows as the cost model sees them: a row of a file of service times becomes a `Run`, a model of known structure."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

from sizing.catalog import Catalog
from sizing.score_table import Case
from sizing.statistical.structure import Structure, model_bytes, parameter_count, visited_nodes_per_tree
from sizing.statistical_rows import RuntimeCost, StatisticalFamily

COLUMNS = ("model_family", "runtime", "n_features", "batch", "median_us")
"""Columns that a file has to have; the rest of the measured file's columns are read where they are there."""

FAMILIES = {
    "linear_regression": "linear-regression", "logistic_regression": "logistic-regression",
    "pipeline_scaler_logreg": "scaler-logistic-pipeline", "naive_bayes": "gaussian-naive-bayes", "kmeans": "k-means",
    "mlp": "mlp", "svm_rbf": "svm-rbf", "knn_brute": "k-nearest-neighbours-brute",
    "knn_kdtree": "k-nearest-neighbours-kdtree", "decision_tree": "decision-tree", "random_forest": "random-forest",
    "extra_trees": "random-forest", "hist_gradient_boosting": "gradient-boosting-hist",
    "sk_gradient_boosting": "gradient-boosting-sklearn", "xgboost": "gradient-boosting-xgboost",
    "lightgbm": "gradient-boosting-lightgbm", "catboost": "gradient-boosting-catboost",
}  # fmt: skip
"""Ids of the catalog by what files of measurements call a family; the catalog's own ids are taken as well."""

RUNTIMES = {
    "native_booster": "booster", "ort": "onnxruntime", "tl2cgen": "compiled", "treelite": "compiled",
    **{name: name for name in ("native", "booster", "onnxruntime", "compiled")},
}  # fmt: skip
"""Runtimes of the catalog by what files of measurements call them."""

MOST_ROWS = 10_000_000


class SkipError(Exception):
    """Why a row cannot be predicted, in a few words."""


@dataclass(frozen=True)
class Run:
    """One measured row: which model, of what structure, in which runtime, how many rows a call, on which CPU."""

    id: str
    model: str
    family: StatisticalFamily
    cost: RuntimeCost
    size: Structure
    rows: int
    cpu: str
    median_us: float | None
    min_us: float | None
    wall_us: float | None
    file_bytes: float | None
    resident_bytes: float | None
    load_ms: float | None


def run_of(case: Case, catalog: Catalog) -> Run:
    """The run of one row. Raises SkipError for what the catalog does not know or the row does not say."""
    family, cost = _found(case, catalog)
    rows = case.whole("batch", most=MOST_ROWS)
    if rows is None:
        raise SkipError("no number of rows a call in column batch")
    # What a model is called tells its rows apart from another's; without a name, its structure has to.
    names = ("model_family", "n_features", "n_trees", "n_nodes", "n_support", "params", "n_outputs")
    model = case.text("model_id") or "-".join(case.text(name) or "x" for name in names)
    return Run(
        id=f"{model}/{case.text('runtime')}/{rows}",
        model=model,
        family=family,
        cost=cost,
        size=_size(case, family, cost),
        rows=rows,
        cpu=case.text("cpu_model"),
        median_us=case.number("median_us"),
        min_us=case.number("min_us"),
        wall_us=case.number("wall_median_us"),
        file_bytes=case.number("size_bytes"),
        resident_bytes=case.number("rss_delta_bytes", least=-1e15),
        load_ms=case.number("load_ms"),
    )


def _found(case: Case, catalog: Catalog) -> tuple[StatisticalFamily, RuntimeCost]:
    said = case.text("model_family")
    family = catalog.statistical_families.get(FAMILIES.get(said, said))
    if family is None:
        raise SkipError(f"the catalog has no family for {said or 'a blank model_family'}")
    runtime = RUNTIMES.get(case.text("runtime"))
    cost = family.runtime(runtime) if runtime else None
    if cost is None:
        raise SkipError(f"the catalog has no {family.name} in {case.text('runtime') or 'a blank runtime'}")
    return family, cost


def _size(case: Case, family: StatisticalFamily, cost: RuntimeCost) -> Structure:
    features = case.whole("n_features", most=10**9)
    if features is None:
        raise SkipError("no number of features")
    outputs = case.whole("n_outputs", least=0) or 1
    trees = nodes = parameters = vectors = hidden = 0
    leaves = 0.0
    if family.shape in ("trees", "oblivious_trees"):
        trees, nodes, work = _trees(case, family)
        leaves, unit = (nodes + trees) / 2 / trees, "nodes visited"
    else:
        vectors, parameters = _stored(case, family, features, outputs)
        work, unit = float(parameters), "parameters"
        if family.shape == "support_vectors":
            work, unit = float(vectors * features), "kernel terms"
        if family.shape == "network":
            hidden = _hidden_units(case, parameters, features, outputs)
    counts = {
        "trees": trees, "nodes": nodes, "parameters": parameters, "outputs": outputs, "features": features, "vectors": vectors,
    }  # fmt: skip
    return Structure(
        trees=trees,
        leaves_per_tree=ceil(leaves),
        nodes=nodes,
        parameters=parameters,
        vectors=vectors,
        work_units=work,
        work_unit=unit,
        work_formula="as the row states it",
        file_bytes=model_bytes(cost.file, **counts),
        resident_bytes=model_bytes(cost.resident, **counts),
        features=features,
        outputs=outputs,
        hidden_units=hidden,
    )


def _trees(case: Case, family: StatisticalFamily) -> tuple[int, int, float]:
    """Trees, nodes, nodes visited a row: as stated, else from leaves or from full trees of the depth."""
    trees = (
        case.whole("n_trees") or case.whole("n_estimators", least=0) or (1 if "trees" not in family.size_fields else 0)
    )
    if not trees:
        raise SkipError("no number of trees")
    limited = case.text("max_depth").lower() != "none"  # what Python writes for no limit
    depth, leaves, nodes = (
        case.whole("max_depth", least=-1) if limited else None,
        case.whole("n_leaves"),
        case.whole("n_nodes"),
    )
    if depth is not None and depth <= 0:  # LightGBM and XGBoost write -1 or 0 for no limit
        depth = None
    if nodes is None:
        if leaves is None and not depth:
            raise SkipError("neither nodes nor leaves nor depth")
        nodes = 2 * (leaves if leaves is not None else trees * 2 ** min(depth or 0, 40)) - trees
    work = case.number("path_nodes")
    if not work:
        each = max(2, round((nodes + trees) / 2 / trees))
        work = trees * visited_nodes_per_tree(depth=depth or 64, leaves=each, stretch=family.path_stretch)
        if family.path_stretch is None and not depth:
            raise SkipError("neither path_nodes nor depth of oblivious trees")
    return trees, nodes, work


def _stored(case: Case, family: StatisticalFamily, features: int, outputs: int) -> tuple[int, int]:
    """Stored rows and parameters."""
    vectors, parameters = case.whole("n_support") or 0, case.whole("params", most=10**12) or 0
    if family.shape in ("support_vectors", "neighbours_brute", "neighbours_tree"):
        if not vectors:
            raise SkipError("no number of stored rows or support vectors in n_support")
        return vectors, parameters or vectors * (features + (family.shape == "support_vectors"))
    if not parameters:
        if family.shape in ("network", "clusters"):
            raise SkipError("no number of parameters in params")
        parameters = parameter_count(family.shape, features=features, outputs=outputs)
    return 0, parameters


def _hidden_units(case: Case, parameters: int, features: int, outputs: int) -> int:
    """Hidden units of a network [1]: of layers that each halve the one before, as many as the row counts in n_estimators, less one.

    With h units first, one layer has h (features + 1 + out) parameters and two have h (features + 1 + out / 2 + 1 / 2) + h^2 / 2.
    """
    out = 1 if outputs <= 2 else outputs
    if (case.whole("n_estimators", least=0) or 3) <= 2:
        return max(1, round(parameters / (features + 1 + out)))
    linear = features + 1.5 + out / 2
    first = sqrt(linear**2 + 2 * parameters) - linear
    return max(1, round(1.5 * first))
