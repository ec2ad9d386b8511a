"""Models of scikit-learn in a skops file: their attributes and arrays read as plain numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from math import prod
from typing import Any, BinaryIO

import numpy as np

from sizing.errors import InputError, shown
from sizing.statistical.files import sklearn_types as types
from sizing.statistical.files.facts import MOST_FEATURES, MOST_OUTPUTS, ModelFile, count_of, printable
from sizing.statistical.files.sklearn_steps import pipeline
from sizing.statistical.files.skops_file import SkopsFile
from sizing.statistical.files.trees import Floats, Forest, Ints, broken, check_size, forest

_Parts = dict[str, Any]


def read_skops(stream: BinaryIO, size: int) -> ModelFile:
    """Facts of a model of scikit-learn [count, bytes]. Raises InputError for a type that is not allowed, or no model."""
    file = SkopsFile(stream, size)
    steps, model = pipeline(file, file.root)
    kind = file.type_of(model)
    if kind not in types.MODELS:
        raise InputError(
            "file", f"a {printable(kind)[:80]}", "a model of scikit-learn, alone or at the end of a pipeline"
        )
    parts = file.attributes(model)
    columns = _whole(file, parts, "n_features_in_", "features", MOST_FEATURES)
    version = file.plain(parts.get("_sklearn_version")) if "_sklearn_version" in parts else None
    common: dict[str, Any] = {
        "format": "skops",
        "library": f"scikit-learn {printable(version)[:20]}".strip() if isinstance(version, str) else "scikit-learn",
        "model": kind.rpartition(".")[2],
        "features": steps[0].features_in if steps else columns,
        "model_features": columns if steps and steps[0].features_in != columns else None,
        "file_bytes": size,
        "details": {"types": sorted(file.types)},
    }
    root = file.attributes(file.root)
    if file.type_of(file.root) == types.PIPELINE:
        first = _first_columns(file, root)
        common["features"] = first or common["features"]
        common["model_features"] = columns if columns != common["features"] else None
    found = _reader(kind)(file, kind, parts, common, columns)
    return replace(found, steps=steps)


def _first_columns(file: SkopsFile, root: _Parts) -> int | None:
    """Columns that the first step of a pipeline takes [count], where it says so."""
    listed = file.items(root.get("steps"))
    if not listed:
        return None
    first = file.items(listed[0])
    part = file.node(first[1]) if len(first) > 1 else {}
    if part.get("__loader__") != "ObjectNode":
        return None
    attributes = file.attributes(part)
    if "n_features_in_" not in attributes:
        return None
    return _whole(file, attributes, "n_features_in_", "features", MOST_FEATURES)


def _reader(kind: str) -> Callable[[SkopsFile, str, _Parts, dict[str, Any], int], ModelFile]:
    for group, read in (
        (types.LINEAR, _linear),
        (types.SINGLE_TREES | types.FORESTS | types.BOOSTED, _trees),
        (types.HISTOGRAM, _histogram),
        (types.VECTORS, _vectors),
        (types.NETWORKS, _network),
        (types.NEIGHBOURS, _neighbours),
        (types.CLUSTERS, _clusters),
    ):
        if kind in group:
            return read
    return _bayes


def _whole(file: SkopsFile, parts: _Parts, name: str, what: str, most: int) -> int:
    return count_of(file.plain(parts.get(name)), what, least=1, most=most)


def _shape(file: SkopsFile, parts: _Parts, name: str) -> tuple[int, ...]:
    if name not in parts:
        raise InputError("file", f"a model without {name}", "a model that was fitted before it was saved")
    return file.header(parts[name]).shape


def _classes(file: SkopsFile, parts: _Parts) -> int:
    """Classes of a classifier [count], else the targets that it states, else one."""
    if "classes_" in parts and file.node(parts["classes_"]).get("__loader__") == "NdArrayNode":
        return count_of(prod(_shape(file, parts, "classes_")), "classes", least=1, most=MOST_OUTPUTS)
    if "n_outputs_" in parts:
        return _whole(file, parts, "n_outputs_", "targets", MOST_OUTPUTS)
    return 1


def _linear(file: SkopsFile, kind: str, parts: _Parts, common: dict[str, Any], columns: int) -> ModelFile:
    shape = _shape(file, parts, "coef_")
    rows = shape[0] if len(shape) == 2 else 1
    if prod(shape) != rows * columns:
        raise InputError("file", f"coefficients of shape {shown(shape)}", f"{columns:,} for each class or target")
    classes = _classes(file, parts)
    family = types.LINEAR[kind]
    return ModelFile(
        **common,
        family=family,
        outputs=classes if family == "logistic-regression" else count_of(rows, "targets", least=1, most=MOST_OUTPUTS),
        parameters=rows * (columns + 1),
    )


def _trees(file: SkopsFile, kind: str, parts: _Parts, common: dict[str, Any], columns: int) -> ModelFile:
    alone = kind in types.SINGLE_TREES
    members = [parts] if alone else [file.attributes(one) for one in file.items(parts.get("estimators_"))]
    if not members:
        raise InputError("file", f"a {common['model']} without trees", "a model that was fitted before it was saved")
    check_size(len(members), 0)
    found = _arrays([file.attributes(_tree(file, one)).get("nodes") for one in members], file, ("left_child", "right_child"),
                    "weighted_n_node_samples")  # fmt: skip
    notes = []
    family = "decision-tree" if alone else "random-forest"
    if kind in types.BOOSTED:
        family = "gradient-boosting-hist"
        notes.append(
            "Gradient boosting without histograms was not timed: its call is taken to cost that of the histogram kind"
        )
    elif kind.endswith("IsolationForest"):
        notes.append("An isolation forest was not timed: its call is taken to cost that of a random forest")
    return ModelFile(**common, family=family, outputs=_classes(file, parts), forest=found, notes=tuple(notes))


def _tree(file: SkopsFile, parts: _Parts) -> Any:
    tree = parts.get("tree_")
    if not isinstance(tree, dict) or file.type_of(tree) != "sklearn.tree._tree.Tree":
        raise InputError("file", "a tree that was not fitted", "a model that was fitted before it was saved")
    return tree


def _arrays(nodes: list[Any], file: SkopsFile, sides: tuple[str, str], cover: str) -> Forest:
    """Size of trees whose nodes are arrays of named fields; children of a leaf are -1 or, where 0 stands, told by `is_leaf`."""
    left: list[Ints] = []
    right: list[Ints] = []
    covers: list[Floats] = []
    roots: list[int] = []
    at = 0
    for stored in nodes:
        array = file.array(stored)
        names = array.dtype.names or ()
        if not {*sides, cover} <= set(names) or not len(array):
            raise broken("a tree without its children or its counts of rows")
        check_size(len(nodes), at + len(array))
        a, b = (_field(array, side) for side in sides)
        leaf = array["is_leaf"] != 0 if "is_leaf" in names else a < 0
        if np.any(a[~leaf] >= len(a)) or np.any(b[~leaf] >= len(a)) or np.any(b[~leaf] < 0) or np.any(a[~leaf] < 0):
            raise broken("a tree with a child that is none of its nodes")
        left.append(np.where(leaf, -1, a + at))
        right.append(np.where(leaf, -1, b + at))
        covers.append(_field(array, cover).astype(np.float64))
        roots.append(at)
        at += len(array)
    return forest(
        np.concatenate(left), np.concatenate(right), np.asarray(roots, dtype=np.int64), cover=np.concatenate(covers)
    )


def _field(array: Any, name: str) -> Any:
    found = array[name]
    if found.ndim != 1 or found.dtype.kind not in "iuf":
        raise broken(f"a tree whose {name} are no numbers")
    return found if found.dtype.kind == "f" else found.astype(np.int64)


def _histogram(file: SkopsFile, kind: str, parts: _Parts, common: dict[str, Any], columns: int) -> ModelFile:
    rounds = file.items(parts.get("_predictors"))
    nodes = [file.attributes(one).get("nodes") for each in rounds for one in file.items(each)]
    if not nodes:
        raise InputError("file", f"a {common['model']} without trees", "a model that was fitted before it was saved")
    check_size(len(nodes), 0)
    found = _arrays(nodes, file, ("left", "right"), "count")
    return ModelFile(**common, family="gradient-boosting-hist", outputs=_classes(file, parts), forest=found)


def _vectors(file: SkopsFile, kind: str, parts: _Parts, common: dict[str, Any], columns: int) -> ModelFile:
    shape = _shape(file, parts, "support_vectors_")
    kernel = file.plain(parts.get("kernel")) if "kernel" in parts else None
    if len(shape) != 2 or shape[1] != columns or not shape[0]:
        raise InputError("file", f"support vectors of shape {shown(shape)}", f"rows of {columns:,} features")
    said = f"The kernel ({printable(str(kernel))[:20]}) was not timed: it is taken to cost that of an RBF kernel"
    return ModelFile(
        **common,
        family="svm-rbf",
        outputs=_classes(file, parts),
        vectors=shape[0],
        parameters=shape[0] * (columns + 1),
        notes=() if kernel == "rbf" else (said,),
    )


def _network(file: SkopsFile, kind: str, parts: _Parts, common: dict[str, Any], columns: int) -> ModelFile:
    shapes = [file.header(one).shape for one in file.items(parts.get("coefs_"))]
    biases = [prod(file.header(one).shape) for one in file.items(parts.get("intercepts_"))]
    chained = all(before[-1:] == after[:1] for before, after in pairwise(shapes))
    if not shapes or any(len(s) != 2 or not all(s) for s in shapes) or not chained or len(shapes) > 17:
        raise InputError(
            "file", "layers that do not follow each other", "at most 16 hidden layers, as the library writes them"
        )
    classes = _classes(file, parts)
    return ModelFile(
        **common,
        family="mlp",
        outputs=classes,
        parameters=sum(map(prod, shapes)) + sum(biases),
        hidden_layers=tuple(shape[1] for shape in shapes[:-1]),
    )


def _neighbours(file: SkopsFile, kind: str, parts: _Parts, common: dict[str, Any], columns: int) -> ModelFile:
    shape = _shape(file, parts, "_fit_X")
    method = file.plain(parts.get("_fit_method")) if "_fit_method" in parts else None
    if len(shape) != 2 or shape[1] != columns or not shape[0]:
        raise InputError("file", f"stored rows of shape {shown(shape)}", f"rows of {columns:,} features")
    notes = ("A ball tree was not timed: it is taken to cost that of a k-d tree",) if method == "ball_tree" else ()
    return ModelFile(
        **common,
        family="k-nearest-neighbours-brute" if method == "brute" else "k-nearest-neighbours-kdtree",
        outputs=_classes(file, parts),
        vectors=shape[0],
        parameters=shape[0] * columns,
        notes=notes,
    )


def _clusters(file: SkopsFile, kind: str, parts: _Parts, common: dict[str, Any], columns: int) -> ModelFile:
    shape = _shape(file, parts, "cluster_centers_")
    if len(shape) != 2 or shape[1] != columns or not shape[0]:
        raise InputError("file", f"centres of shape {shown(shape)}", f"rows of {columns:,} features")
    return ModelFile(**common, family="k-means", outputs=1, vectors=shape[0], parameters=prod(shape))


def _bayes(file: SkopsFile, kind: str, parts: _Parts, common: dict[str, Any], columns: int) -> ModelFile:
    shape = _shape(file, parts, "theta_")
    if len(shape) != 2 or shape[1] != columns or not shape[0]:
        raise InputError("file", f"means of shape {shown(shape)}", f"rows of {columns:,} features")
    return ModelFile(**common, family="gaussian-naive-bayes", outputs=shape[0], parameters=2 * prod(shape))
