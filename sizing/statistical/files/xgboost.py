"""XGBoost models, in JSON and in UBJ: trees (gbtree, dart), linear (gblinear), many classes, many targets, vector leaves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from sizing.errors import InputError
from sizing.statistical.files.facts import MOST_FEATURES, MOST_OUTPUTS, ModelFile, count_of, text_of
from sizing.statistical.files.tokens import parse_json
from sizing.statistical.files.trees import Forest, broken, check_size, forest, whole_numbers
from sizing.statistical.files.ubj import parse_ubj

_WANTED = frozenset(
    {"left_children", "right_children", "sum_hessian", "weights", "weight_drop", "iteration_indptr", "version"}
)
_CLASSES = ("binary:", "multi:")


def read_xgboost(data: bytes, *, binary: bool) -> ModelFile:
    """Facts of an XGBoost model [count, bytes] from the bytes of its file. Raises InputError for what is none.

    Source: xgboost 3.2.0, files of its save_model; dmlc/xgboost doc/model.schema (recalled).
    """
    document = parse_ubj(data, _WANTED) if binary else parse_json(data, _WANTED)
    learner = _part(document, "learner")
    sizes = _part(learner, "learner_model_param")
    features = count_of(sizes.get("num_feature"), "features", least=1, most=MOST_FEATURES)
    classes = count_of(sizes.get("num_class", 0), "classes", least=0, most=MOST_OUTPUTS)
    targets = count_of(sizes.get("num_target", 1), "targets", least=0, most=MOST_OUTPUTS)
    outputs = max(classes, targets, 1)
    objective = text_of(_part(learner, "objective").get("name"))
    booster = _part(learner, "gradient_booster")
    name = text_of(booster.get("name"))
    version = document.get("version")
    numbers = [int(v) for v in version[:3]] if isinstance(version, list | np.ndarray) and _whole(version) else []
    common: dict[str, Any] = {
        "format": "xgboost-ubj" if binary else "xgboost-json",
        "library": " ".join(["xgboost", ".".join(map(str, numbers))]).strip(),
        "features": features,
        "outputs": outputs,
        "file_bytes": len(data),
        "objective": objective,
        "base_score": _scores(sizes.get("base_score")),
    }
    if name == "gblinear":
        return _linear(booster, common)
    if name not in ("gbtree", "dart"):
        raise InputError("file", f"an XGBoost booster named {name}", "gbtree, dart or gblinear")
    return _trees(booster, learner, common)


def _linear(booster: Mapping[str, Any], common: dict[str, Any]) -> ModelFile:
    weights = _part(booster, "model").get("weights")
    have = len(weights) if isinstance(weights, np.ndarray) else 0
    expected = (common["features"] + 1) * common["outputs"]
    if have != expected:
        raise InputError("file", f"{have:,} weights of a linear booster", f"(features + 1) x outputs, {expected:,}")
    classes = str(common["objective"]).startswith(_CLASSES)
    return ModelFile(
        **common,
        model="gblinear",
        family="logistic-regression" if classes else "linear-regression",
        parameters=have,
        details={"booster": "gblinear"},
        notes=(
            "A linear booster of XGBoost was not timed: its call is taken to cost that of scikit-learn's linear model",
        ),
    )


def _trees(booster: Mapping[str, Any], learner: Mapping[str, Any], common: dict[str, Any]) -> ModelFile:
    dart = booster.get("name") == "dart"
    model = _part(_part(booster, "gbtree") if dart else booster, "model")
    trees = model.get("trees")
    if not isinstance(trees, list) or not trees:
        raise broken("an XGBoost model without trees")
    stated = count_of(_part(model, "gbtree_model_param").get("num_trees"), "trees", least=0, most=10**9)
    if stated != len(trees):
        raise broken(f"{len(trees):,} trees where {stated:,} are stated")
    found, vector = _forest(trees)
    notes = []
    rounds = model.get("iteration_indptr")
    details: dict[str, Any] = {"booster": "dart" if dart else "gbtree"}
    if isinstance(rounds, np.ndarray) and len(rounds) > 1:
        details["boosting_rounds"] = len(rounds) - 1
    parallel = _part(model, "gbtree_model_param").get("num_parallel_tree", 1)
    if str(parallel) not in ("0", "1"):
        details["parallel_trees"] = str(parallel)[:20]
    if vector > 1:
        details["outputs_per_leaf"] = vector
    attributes = learner.get("attributes")
    best = attributes.get("best_iteration") if isinstance(attributes, dict) else None
    if isinstance(best, str) and best.isascii() and best.isdecimal() and len(best) < 10:
        details["best_iteration"] = int(best)
        notes.append(
            f"Training stopped early at its best round, {int(best) + 1:,}: scikit-learn's interface predicts with the trees up to "
            "there, a booster with all; the figures are of all"
        )
    if str(common["objective"]).startswith("multi:"):
        notes.append(
            "Branches are weighted by sums of hessians, not by rows: with many classes visited nodes were up to 18 % off in our own "
            "check"
        )
    if dart:
        notes.append("Dart trees have a weight each; a call is taken to cost as much as without")
    return ModelFile(
        **common,
        model="dart" if dart else "gbtree",
        family="gradient-boosting-xgboost",
        forest=found,
        details=details,
        notes=tuple(notes),
    )


def _forest(trees: list[Any]) -> tuple[Forest, int]:
    check_size(len(trees), 0)
    left, right, cover, roots = [], [], [], []
    at = vector = 0
    for tree in trees:
        if not isinstance(tree, dict):
            raise broken("a tree that is no object")
        a = whole_numbers(tree.get("left_children"), "children")
        b = whole_numbers(tree.get("right_children"), "children")
        size = count_of(
            _part(tree, "tree_param").get("size_leaf_vector", 1), "outputs of a leaf", least=0, most=MOST_OUTPUTS
        )
        vector = max(vector, size)
        # A leaf of many outputs keeps the place of its values where its right child would stand.
        b = np.where(a < 0, -1, b) if size > 1 and len(a) == len(b) else b
        if len(a) != len(b) or not len(a) or np.any((a < 0) != (b < 0)) or np.any(a >= len(a)) or np.any(b >= len(a)):
            raise broken("a tree with a child that is none of its nodes")
        weight = tree.get("sum_hessian")
        fits = isinstance(weight, np.ndarray) and len(weight) == len(a)
        cover.append(np.asarray(weight, dtype=np.float64) if fits else np.full(len(a), np.nan))
        left.append(np.where(a < 0, -1, a + at))
        right.append(np.where(b < 0, -1, b + at))
        roots.append(at)
        at += len(a)
        check_size(len(trees), at)
    covers = np.concatenate(cover)
    # Pruned nodes stay in the lists of a file, with no way to them.
    found = forest(
        np.concatenate(left),
        np.concatenate(right),
        np.asarray(roots, dtype=np.int64),
        cover=None if np.isnan(covers).any() else covers,
        whole=False,
    )
    return found, vector


def _part(parent: Any, name: str) -> dict[str, Any]:
    found = parent.get(name) if isinstance(parent, dict) else None
    if not isinstance(found, dict):
        raise InputError("file", f"a model without {name}", "a whole model as XGBoost's save_model writes it")
    return found


def _scores(value: Any) -> tuple[float, ...]:
    """Scores that the sum over trees begins with, as older files (one number) and newer ones (a list) have them."""
    try:
        read = json.loads(value) if isinstance(value, str) and len(value) < 10_000 else value
        numbers = read if isinstance(read, list) else [read]
        return tuple(float(v) for v in numbers[:100])
    except (ValueError, TypeError, RecursionError):
        return ()


def _whole(values: Any) -> bool:
    return all(isinstance(v, int | np.integer) for v in values)
