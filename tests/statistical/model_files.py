"""Small models trained for the tests of the readers, and what their own libraries say of them."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from functools import cache
from typing import Any

import numpy as np

from sizing.statistical.files.facts import ModelFile
from sizing.statistical.files.read import read_model

ROWS, COLUMNS = 400, 6


@cache
def table() -> tuple[Any, Any, Any]:
    """Features, two classes and three classes."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    noise = rng.normal(scale=0.3, size=ROWS)
    return x, (x[:, 0] + x[:, 1] * x[:, 2] + noise > 0).astype(int), np.digitize(x[:, 0] + noise, [-0.5, 0.5])


@cache
def boosted(kind: str) -> Any:
    """A booster of XGBoost by what is special about it."""
    import pandas as pd
    import xgboost as xgb

    x, y, y3 = table()
    common = {"n_estimators": 6, "n_jobs": 1, "random_state": 0}
    if kind == "binary":
        return xgb.XGBClassifier(max_depth=4, **common).fit(x, y)
    if kind == "classes":
        return xgb.XGBClassifier(max_depth=3, **common).fit(x, y3)
    if kind == "pruned":
        return xgb.XGBRegressor(max_depth=5, gamma=2.0, tree_method="exact", **common).fit(x, x[:, 0] * x[:, 1])
    if kind == "dart":
        return xgb.XGBRegressor(max_depth=3, booster="dart", rate_drop=0.3, **common).fit(x, x[:, 0])
    if kind == "linear":
        return xgb.XGBRegressor(booster="gblinear", **common).fit(x, x[:, 0])
    if kind == "linear classes":
        return xgb.XGBClassifier(booster="gblinear", **common).fit(x, y3)
    if kind == "targets":
        return xgb.XGBRegressor(max_depth=3, **common).fit(x, x[:, :2])
    if kind == "vector leaves":
        return xgb.XGBRegressor(max_depth=3, multi_strategy="multi_output_tree", tree_method="hist", **common).fit(
            x, x[:, :2]
        )
    if kind == "stopped early":
        model = xgb.XGBRegressor(max_depth=2, early_stopping_rounds=1, **common)
        return model.fit(x, x[:, 0], eval_set=[(x[:50], -x[:50, 0])], verbose=False)
    frame = pd.DataFrame(x, columns=list("abcdef"))
    frame["c"] = pd.Categorical(np.arange(ROWS) % 6)
    return xgb.XGBRegressor(max_depth=3, enable_categorical=True, **common).fit(frame, x[:, 0] + np.arange(ROWS) % 6)


BOOSTED = ("binary", "classes", "pruned", "dart", "targets", "categories")


def xgboost_file(kind: str, ending: str) -> bytes:
    """The bytes of its file: json or ubj."""
    return bytes(boosted(kind).get_booster().save_raw(ending))


@cache
def light(kind: str) -> Any:
    """A booster of LightGBM by what is special about it."""
    import lightgbm as lgb
    import pandas as pd

    x, y, y3 = table()
    common = {"n_estimators": 6, "num_leaves": 9, "n_jobs": 1, "verbose": -1, "random_state": 0, "min_child_samples": 5}
    if kind == "binary":
        return lgb.LGBMClassifier(**common).fit(x, y).booster_
    if kind == "classes":
        return lgb.LGBMClassifier(**common).fit(x, y3).booster_
    if kind == "one leaf":
        return lgb.LGBMRegressor(**common).fit(x, np.zeros(ROWS)).booster_
    if kind == "linear leaves":
        return lgb.LGBMRegressor(linear_tree=True, **common).fit(x, x[:, 0]).booster_
    frame = pd.DataFrame(x, columns=list("abcdef"))
    frame["c"] = pd.Categorical(np.arange(ROWS) % 6)
    return lgb.LGBMRegressor(**common).fit(frame, x[:, 0] + 2 * (np.arange(ROWS) % 6)).booster_


LIGHT = ("binary", "classes", "categories", "linear leaves")


def light_file(kind: str) -> bytes:
    """The bytes of its text file."""
    return light(kind).model_to_string().encode()


@cache
def learned(kind: str) -> Any:
    """A model of scikit-learn by name."""
    from sklearn.cluster import KMeans
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        GradientBoostingClassifier,
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
        RandomForestClassifier,
        RandomForestRegressor,
    )
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import (
        MinMaxScaler,
        Normalizer,
        OneHotEncoder,
        OrdinalEncoder,
        PolynomialFeatures,
        StandardScaler,
    )
    from sklearn.svm import SVC, SVR
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    x, y, y3 = table()
    made: dict[str, tuple[Any, Any]] = {
        "tree": (DecisionTreeClassifier(random_state=0), y),
        "tree of targets": (DecisionTreeRegressor(max_depth=4, random_state=0), x[:, :2]),
        "forest": (RandomForestClassifier(6, random_state=0, n_jobs=1), y3),
        "forest of numbers": (RandomForestRegressor(6, max_depth=5, random_state=0), x[:, 0]),
        "extra trees": (ExtraTreesClassifier(6, random_state=0), y),
        "boosting": (GradientBoostingClassifier(n_estimators=5, max_depth=3, random_state=0), y3),
        "histogram": (HistGradientBoostingClassifier(max_iter=5, max_leaf_nodes=9, random_state=0), y3),
        "histogram of numbers": (HistGradientBoostingRegressor(max_iter=5, random_state=0), x[:, 0]),
        "linear": (LinearRegression(), x[:, :2]),
        "logistic": (LogisticRegression(), y),
        "logistic of classes": (LogisticRegression(), y3),
        "sgd": (SGDClassifier(random_state=0), y),
        "vectors": (SVC(), y3),
        "vectors of numbers": (SVR(kernel="poly"), x[:, 0]),
        "perceptron": (MLPClassifier((8, 4), max_iter=15, random_state=0), y),
        "perceptron of classes": (MLPClassifier((5,), max_iter=15, random_state=0), y3),
        "clusters": (KMeans(4, n_init=1, random_state=0), None),
        "bayes": (GaussianNB(), y3),
        "neighbours": (KNeighborsClassifier(3, algorithm="brute"), y),
        "neighbours tree": (KNeighborsClassifier(3, algorithm="kd_tree"), y),
        "scaled": (make_pipeline(StandardScaler(), LogisticRegression()), y),
        "polynomial": (
            make_pipeline(SimpleImputer(), MinMaxScaler(), PolynomialFeatures(2), Normalizer(), LogisticRegression()),
            y3,
        ),
        "columns": (
            make_pipeline(
                ColumnTransformer(
                    [
                        ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), [0, 1, 2]),
                        ("kinds", OneHotEncoder(), [3]),
                        ("ranks", OrdinalEncoder(), [4]),
                    ]
                ),
                RandomForestClassifier(4, max_depth=3, random_state=0),
            ),
            y,
        ),
    }
    model, target = made[kind]
    rows = np.column_stack((x[:, :3], np.arange(ROWS) % 5, np.arange(ROWS) % 3)) if kind == "columns" else x
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(rows) if target is None else model.fit(rows, target)


TREES = ("tree", "tree of targets", "forest", "forest of numbers", "extra trees", "boosting")


def members(model: Any) -> list[Any]:
    """The trees of a model of scikit-learn, as it keeps them."""
    return [one.tree_ for one in np.ravel(model.estimators_)] if hasattr(model, "estimators_") else [model.tree_]


def skops_file(kind: str) -> bytes:
    """The bytes of its skops file."""
    import skops.io

    return skops.io.dumps(learned(kind))


@cache
def onnx_file(kind: str) -> bytes:
    """The bytes of its ONNX file, as skl2onnx writes it."""
    from skl2onnx import to_onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        columns = 5 if kind == "columns" else COLUMNS
        return to_onnx(learned(kind), np.zeros((1, columns), dtype=np.float32)).SerializeToString()


@cache
def converted(library: str, kind: str) -> bytes:
    """The bytes of the ONNX file of a booster, as onnxmltools writes it."""
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    types = [("X", FloatTensorType([None, COLUMNS]))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = boosted(kind) if library == "xgboost" else light(kind)
        convert = convert_xgboost if library == "xgboost" else convert_lightgbm
        return convert(model, initial_types=types, target_opset=15).SerializeToString()


def changed(content: bytes, change: Any) -> bytes:
    """A skops file whose schema was put through a function."""
    read = zipfile.ZipFile(io.BytesIO(content))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in read.namelist():
            data = read.read(name)
            archive.writestr(name, json.dumps(change(json.loads(data))) if name == "schema.json" else data)
    return made.getvalue()


def tiny_xgboost(**tree: Any) -> dict[str, Any]:
    """A hand-written XGBoost model of one tree: root, a leaf of 30 rows, and a split of 70 rows into 60 and 10."""
    nodes = {
        "left_children": [1, -1, 3, -1, -1],
        "right_children": [2, -1, 4, -1, -1],
        "sum_hessian": [100.0, 30.0, 70.0, 60.0, 10.0],
        "split_conditions": [0.5, 1.0, 0.25, 2.0, 3.0],
        "tree_param": {"num_nodes": "5", "size_leaf_vector": "1"},
        **tree,
    }
    model = {"gbtree_model_param": {"num_trees": "1", "num_parallel_tree": "1"}, "tree_info": [0], "trees": [nodes]}
    return {
        "learner": {
            "attributes": {},
            "feature_names": [],
            "gradient_booster": {"model": model, "name": "gbtree"},
            "learner_model_param": {"base_score": "5E-1", "num_class": "0", "num_feature": "3", "num_target": "1"},
            "objective": {"name": "reg:squarederror"},
        },
        "version": [2, 1, 0],
    }


TINY_LIGHTGBM = b"""tree
version=v4
num_class=1
num_tree_per_iteration=1
max_feature_idx=2
objective=regression

Tree=0
num_leaves=3
num_cat=0
left_child=-1 -2
right_child=1 -3
leaf_value=1 2 3
leaf_count=30 60 10
internal_count=100 70

end of trees

parameters:
end of parameters

pandas_categorical:null
"""
"""The same tree in LightGBM's text."""


def read(content: bytes, name: str = "model") -> ModelFile:
    """Facts of a model file's bytes."""
    return read_model(io.BytesIO(content), len(content), name)
