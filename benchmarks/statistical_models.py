"""Statistical models trained for measurements of our own: their structure, and the files of each runtime.

Needs the test-only libraries of requirements-dev.txt. Data are random with a nonlinear answer under noise, so that trees fill up.
"""

from __future__ import annotations

import pickle
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TRAINING_ROWS = 20_000
SEED = 7


@dataclass(frozen=True)
class Trained:
    """A fitted model with what the columns of the measured file say of it; `runtimes` are native, booster, onnxruntime."""

    name: str
    family: str
    library: str
    model: Any
    facts: dict[str, float | int | str]
    method: str


def data(features: int, classes: int = 2, rows: int = TRAINING_ROWS) -> tuple[Any, Any]:
    """Rows and answers; classes 0 gives a number to predict."""
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(rows, features)).astype(np.float32)
    signal = x[:, 0] * x[:, 1 % features] + np.sin(2 * x[:, 2 % features]) + 0.5 * x[:, : features // 2 + 1].sum(axis=1)
    signal = signal + rng.normal(size=rows)
    if not classes:
        return x, signal
    return x, np.digitize(signal, np.quantile(signal, np.arange(1, classes) / classes))


def train(name: str) -> Trained:
    """The model of a name such as xgb_300_d8_f50, lgbm_300_l63_f40_k3 or mlp_200x100_f50.

    Parts are the kind, then letters with numbers: d depth, l leaves, f features, k classes, sv rows trained on, c centres.
    """
    kind, *rest = name.split("_")
    said = {
        part.rstrip("0123456789"): int(part.lstrip("abcdefghijklmnopqrstuvwxyz")) for part in rest if part[0].isalpha()
    }
    sizes = [int(part) for part in rest if part.isdigit()]
    widths = [int(w) for part in rest if "x" in part and part[0].isdigit() for w in part.split("x")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _KINDS[kind](name, said, sizes, widths)


def _booster_facts(model: Any, library: str, x: Any) -> dict[str, float | int | str]:
    if library == "xgboost":
        import json

        trees = json.loads(model.get_booster().save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
        depths = [_depths(tree["left_children"], tree["right_children"]) for tree in trees]
        nodes, leaves = sum(map(len, depths)), sum(tree["left_children"].count(-1) for tree in trees)
        reached = model.get_booster().predict(_dmatrix(x), pred_leaf=True).reshape(len(x), -1).astype(int)
        path = sum(float(np.mean([depth[i] + 1 for i in reached[:, t]])) for t, depth in enumerate(depths))
        return {"n_trees": len(trees), "n_nodes": nodes, "n_leaves": leaves, "path_nodes": path}
    dump = model.booster_.dump_model()["tree_info"]
    reached = model.booster_.predict(x, pred_leaf=True).reshape(len(x), -1).astype(int)
    leaves, path = 0, 0.0
    for t, tree in enumerate(dump):
        depth = dict(_leaf_depths(tree["tree_structure"], 1))
        leaves += len(depth)
        path += float(np.mean([depth[i] for i in reached[:, t]]))
    return {"n_trees": len(dump), "n_nodes": 2 * leaves - len(dump), "n_leaves": leaves, "path_nodes": path}


def _dmatrix(x: Any) -> Any:
    import xgboost

    return xgboost.DMatrix(x)


def _depths(left: list[int], right: list[int]) -> list[int]:
    depth = [0] * len(left)
    for node, (a, b) in enumerate(zip(left, right, strict=True)):  # children stand after their parent
        if a >= 0:
            depth[a] = depth[b] = depth[node] + 1
    return depth


def _leaf_depths(node: dict[str, Any], depth: int) -> list[tuple[int, int]]:
    if "left_child" not in node:
        return [(node.get("leaf_index", 0), depth)]
    return _leaf_depths(node["left_child"], depth + 1) + _leaf_depths(node["right_child"], depth + 1)


def _xgboost(name: str, said: dict[str, int], sizes: list[int], widths: list[int]) -> Trained:
    import xgboost

    x, y = data(said["f"], said.get("k", 2))
    model = xgboost.XGBClassifier(n_estimators=sizes[0], max_depth=said["d"], n_jobs=1, tree_method="hist")
    facts = _booster_facts(model.fit(x, y), "xgboost", x[:2000])
    return Trained(name, "xgboost", "xgboost", model, _said(said, facts, sizes[0], said["d"]), "predict_proba")


def _lightgbm(name: str, said: dict[str, int], sizes: list[int], widths: list[int]) -> Trained:
    import lightgbm

    x, y = data(said["f"], said.get("k", 2))
    model = lightgbm.LGBMClassifier(n_estimators=sizes[0], num_leaves=said["l"], n_jobs=1, verbose=-1)
    facts = _booster_facts(model.fit(x, y), "lightgbm", x[:2000])
    return Trained(name, "lightgbm", "lightgbm", model, _said(said, facts, sizes[0], None), "predict_proba")


def _said(said: dict[str, int], facts: dict[str, Any], estimators: int, depth: int | None) -> dict[str, Any]:
    outputs = said.get("k", 2)
    return {
        "n_features": said["f"],
        "n_outputs": outputs,
        "n_estimators": estimators,
        "max_depth": depth or "",
        **facts,
    }


def _forest(kind: str) -> Callable[..., Trained]:
    def of(name: str, said: dict[str, int], sizes: list[int], widths: list[int]) -> Trained:
        from sklearn import ensemble, tree

        x, y = data(said["f"], said.get("k", 2))
        depth = said.get("d")
        if kind == "decision_tree":
            model = tree.DecisionTreeClassifier(max_depth=depth, random_state=SEED).fit(x, y)
            trees = [model.tree_]
        elif kind == "sk_gradient_boosting":
            model = ensemble.GradientBoostingClassifier(n_estimators=sizes[0], max_depth=depth, random_state=SEED).fit(
                x, y
            )
            trees = [one.tree_ for one in model.estimators_.ravel()]
        else:
            cls = ensemble.RandomForestClassifier if kind == "random_forest" else ensemble.ExtraTreesClassifier
            model = cls(n_estimators=sizes[0], max_depth=depth, n_jobs=1, random_state=SEED).fit(x, y)
            trees = [one.tree_ for one in model.estimators_]
        facts = {
            "n_trees": len(trees),
            "n_nodes": sum(one.node_count for one in trees),
            "n_leaves": sum(one.n_leaves for one in trees),
            "path_nodes": sum(float(one.decision_path(x[:2000]).sum()) / 2000 for one in trees),
        }
        return Trained(name, kind, "scikit-learn", model, _said(said, facts, len(trees), depth), "predict_proba")

    return of


def _hist(name: str, said: dict[str, int], sizes: list[int], widths: list[int]) -> Trained:
    from sklearn.ensemble import HistGradientBoostingClassifier

    x, y = data(said["f"], said.get("k", 2))
    model = HistGradientBoostingClassifier(max_iter=sizes[0], max_leaf_nodes=said["l"], early_stopping=False).fit(x, y)
    trees = [one.nodes for group in model._predictors for one in group]
    leaves = [nodes[nodes["is_leaf"].astype(bool)] for nodes in trees]
    facts = {
        "n_trees": len(trees),
        "n_nodes": sum(map(len, trees)),
        "n_leaves": sum(map(len, leaves)),
        "path_nodes": sum(float(np.average(one["depth"] + 1.0, weights=one["count"])) for one in leaves),
    }
    return Trained(
        name, "hist_gradient_boosting", "scikit-learn", model, _said(said, facts, sizes[0], None), "predict_proba"
    )


def _plain(name: str, said: dict[str, int], sizes: list[int], widths: list[int]) -> Trained:
    from sklearn import cluster, linear_model, naive_bayes, neighbors, neural_network, pipeline, preprocessing, svm

    kind, features, classes = name.split("_")[0], said["f"], said.get("k", 2)
    outputs = 1 if kind == "linreg" else classes
    rows = said.get("sv", TRAINING_ROWS)
    x, y = data(features, 0 if kind == "linreg" else classes, rows)
    coefficients = (features + 1) * (1 if classes <= 2 else classes)
    facts: dict[str, Any] = {}
    method = "predict_proba"
    if kind == "linreg":
        family, model, method = "linear_regression", linear_model.LinearRegression(), "predict"
        facts["params"] = features + 1
    elif kind == "logreg":
        family, model = "logistic_regression", linear_model.LogisticRegression(max_iter=200)
        facts["params"] = coefficients
    elif kind == "pipe":
        family = "pipeline_scaler_logreg"
        model = pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression(max_iter=200))
        facts["params"] = coefficients + 3 * features
    elif kind == "gnb":
        family, model = "naive_bayes", naive_bayes.GaussianNB()
        facts["params"] = 2 * features * classes
    elif kind == "kmeans":
        family, model, method = "kmeans", cluster.KMeans(said["c"], n_init=1, random_state=SEED), "predict"
        facts["params"] = said["c"] * features
    elif kind == "mlp":
        family = "mlp"
        model = neural_network.MLPClassifier(tuple(widths or sizes), max_iter=3, random_state=SEED)
    elif kind == "svc":
        family, model, method = "svm_rbf", svm.SVC(), "predict"
    else:
        family = "knn_brute" if kind == "knnb" else "knn_kdtree"
        algorithm = "brute" if kind == "knnb" else "kd_tree"
        model = neighbors.KNeighborsClassifier(algorithm=algorithm, n_jobs=1)
        facts |= {"n_support": rows, "params": rows * features}
    model.fit(x, y)
    if kind == "mlp":
        facts |= {"params": sum(w.size for w in (*model.coefs_, *model.intercepts_)), "n_estimators": len(model.coefs_)}
    if kind == "svc":
        vectors = len(model.support_)
        facts |= {"n_support": vectors, "params": vectors * (features + 1)}
    if kind == "kmeans":
        model._n_threads = 1  # the training machine's count would be kept
    facts = {"n_features": features, "n_outputs": outputs, **facts}
    return Trained(name, family, "scikit-learn", model, facts, method)


_KINDS: dict[str, Callable[..., Trained]] = {
    "xgb": _xgboost, "lgbm": _lightgbm, "rf": _forest("random_forest"), "et": _forest("extra_trees"),
    "dt": _forest("decision_tree"), "gbc": _forest("sk_gradient_boosting"), "hgb": _hist,
    **dict.fromkeys(("linreg", "logreg", "pipe", "gnb", "kmeans", "mlp", "svc", "knnb", "knnt"), _plain),
}  # fmt: skip


def files(trained: Trained) -> dict[str, bytes]:
    """Bytes of the model's file by runtime: what the library itself writes, else a pickle; and ONNX where it converts."""
    found: dict[str, bytes] = {}
    if trained.library == "xgboost":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.ubj"
            trained.model.save_model(path)
            found["native"] = path.read_bytes()
        found["native_booster"] = bytes(trained.model.get_booster().save_raw("ubj"))
    else:
        found["native"] = pickle.dumps(trained.model)
        if trained.library == "lightgbm":
            found["native_booster"] = trained.model.booster_.model_to_string().encode()
    try:
        found["onnxruntime"] = to_onnx(trained)
    except ValueError as problem:  # skl2onnx 1.20.0 writes flags of HistGradientBoosting that onnx refuses
        print(f"{trained.name}: no ONNX, {str(problem)[:60]}")
    return found


def to_onnx(trained: Trained) -> bytes:
    """The model as ONNX, probabilities as a plain tensor."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if trained.library == "scikit-learn":
            return sklearn_onnx(trained.model, int(trained.facts["n_features"]))
        from onnxmltools.convert import convert_lightgbm, convert_xgboost
        from onnxmltools.convert.common.data_types import FloatTensorType

        convert = convert_xgboost if trained.library == "xgboost" else convert_lightgbm
        options = {"zipmap": False} if trained.library == "lightgbm" else {}
        inputs = [("x", FloatTensorType([None, int(trained.facts["n_features"])]))]
        return bytes(convert(trained.model, initial_types=inputs, target_opset=15, **options).SerializeToString())


def sklearn_onnx(model: Any, features: int) -> bytes:
    """A scikit-learn model as ONNX."""
    from skl2onnx import to_onnx as convert

    options = {id(model): {"zipmap": False}} if hasattr(model, "predict_proba") else None
    x = np.zeros((1, features), np.float32)
    return bytes(convert(model, x, options=options, target_opset={"": 18, "ai.onnx.ml": 3}).SerializeToString())
