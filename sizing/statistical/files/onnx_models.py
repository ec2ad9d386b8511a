"""Statistical models in ONNX files: operators of ONNX-ML, and what skl2onnx writes as small graphs of plain operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, BinaryIO

from sizing.errors import InputError
from sizing.onnx.reader import read_network
from sizing.onnx.records import ML, Network, Node
from sizing.statistical.files.facts import MOST_FEATURES, MOST_OUTPUTS, ModelFile, count_of, printable
from sizing.statistical.files.onnx_graphs import graph_facts
from sizing.statistical.files.onnx_steps import steps_before
from sizing.statistical.files.onnx_trees import TREE_OPS, attribute, ints, length, trees_of
from sizing.statistical.files.trees import joined

CONVERTERS = ("skl2onnx", "onnxmltools", "catboost")
"""Producers whose files are statistical models, in small letters."""
MODEL_OPS = (*TREE_OPS, "LinearClassifier", "LinearRegressor", "SVMClassifier", "SVMRegressor")
_KNOWN_DOMAINS = ("", ML, "com.microsoft", "ai.onnx.preview.training", "ai.onnx.training")


def read_onnx(stream: BinaryIO, size: int, name: str) -> ModelFile:
    """Facts of the statistical model in an ONNX file [count, bytes]. Raises InputError for a file that holds none."""
    found = onnx_model(read_network(stream, size, name), size)
    if found is None:
        raise InputError(
            "file",
            f"an ONNX file without a statistical model that is known here ({name})",
            "trees, linear models, SVM, k-means, naive Bayes, nearest neighbours or a small perceptron; a deep network belongs on "
            "the deep learning page",
        )
    return found


def is_statistical(network: Network) -> bool:
    """Whether a file is that of a statistical model: one with operators of ONNX-ML, or of a converter of such models."""
    return any(node.domain == ML for node in network.nodes) or network.producer.lower().startswith(CONVERTERS)


def onnx_model(network: Network, size: int) -> ModelFile | None:
    """Facts of the statistical model in a network that was read [count, bytes]; None where it holds none that is known.

    Raises InputError for a model whose lists make none.
    """
    models = [(at, node) for at, node in enumerate(network.nodes) if _is_model(node)]
    if models:
        features = _features(network)
        first = models[0][0]
        # A classifier after trees (stacking, calibration) is left to a note: the kind that comes first is the model.
        kinds = _group(models[0][1])
        same = [node for _, node in models if _group(node) == kinds]
        found = _of_operators(network, same, features, size)
        if len(same) < len(models):
            others = Counter(node.op for _, node in models if _group(node) != kinds)
            said = ", ".join(f"{op} x {count}" for op, count in others.items())
            found = replace(found, notes=(*found.notes, f"Further models in the file are not counted: {said}"))
    else:
        graph = graph_facts(network)
        if graph is None:
            return None
        features = _features(network)
        first, parts = graph
        columns = parts.pop("columns")
        found = ModelFile(
            format="onnx",
            library=_producer(network),
            features=features,
            model_features=None if columns == features else columns,
            file_bytes=size,
            **parts,
        )
    before = network.nodes[:first]
    steps, columns = steps_before(network, before, features)
    foreign = Counter((n.domain, n.op) for n in network.nodes if n.domain not in _KNOWN_DOMAINS)
    notes = list(found.notes)
    if foreign:
        said = ", ".join(
            f"{printable(d)[:40]}.{printable(op)[:40]} x {count}" for (d, op), count in foreign.most_common(3)
        )
        notes.append(f"Operators that are not of ONNX, whose work is not known and not counted: {said}")
    taken = found.model_features
    if taken is not None and taken != columns and not any(step.kind == "other" for step in steps):
        notes.append(f"The model was learned on {taken:,} columns, but by its inputs and steps {columns:,} reach it")
    if found.model_features is None and columns != features and columns > 0:
        found = replace(found, model_features=columns)
    return replace(found, steps=steps, notes=tuple(notes))


def _is_model(node: Node) -> bool:
    """Whether a node is a model of ONNX-ML with something learned in it."""
    learned = ("nodes_nodeids", "nodes_truenodeids", "coefficients", "support_vectors")
    return node.domain == ML and node.op in MODEL_OPS and any(attribute(node, name) is not None for name in learned)


def _group(node: Node) -> str:
    return "trees" if node.op in TREE_OPS else node.op


def _producer(network: Network) -> str:
    return printable(network.producer)[:60] or "ONNX"


def _features(network: Network) -> int:
    """Columns of a row [count]: the last dimension of each input, added up."""
    total = 0
    for one in network.inputs:
        last = one.dims[-1] if len(one.dims) > 1 else 1
        total += last if isinstance(last, int) else 0
    if total == 0:
        # An open number of columns: the first step or the model states how many it takes.
        total = max((_stated_columns(node) for node in network.nodes if node.domain == ML), default=0)
    return count_of(total, "features", least=1, most=MOST_FEATURES)


def _stated_columns(node: Node) -> int:
    if node.op in ("Scaler", "Imputer"):
        return length(node, "offset", "imputed_value_floats", "imputed_value_int64s")
    if node.op in TREE_OPS:
        used = ints(node, "nodes_featureids")
        return int(used.max()) + 1 if len(used) else 0
    if node.op in ("LinearClassifier", "LinearRegressor"):
        return length(node, "coefficients") // max(1, length(node, "intercepts"))
    return 0


def _of_operators(network: Network, nodes: Sequence[Node], features: int, size: int) -> ModelFile:
    node = nodes[0]
    common: dict[str, Any] = {
        "format": "onnx",
        "library": _producer(network),
        "model": " + ".join(dict.fromkeys(n.op for n in nodes)),
        "features": features,
        "file_bytes": size,
        "outputs": count_of(max(_outputs(n) for n in nodes), "outputs", least=1, most=MOST_OUTPUTS),
        "objective": _text(node, "post_transform"),
    }
    if node.op in TREE_OPS:
        return _trees(network, nodes, common)
    if node.op.startswith("SVM"):
        return _vectors(node, common)
    return _linear(node, common)


def _outputs(node: Node) -> int:
    """Classes or targets that a model gives [count]."""
    named = length(node, "classlabels_int64s", "classlabels_ints", "classlabels_strings")
    if named:
        return named
    stated = attribute(node, "n_targets") or attribute(node, "targets")
    return int(stated.i) if stated is not None and stated.i > 0 else 1


def _text(node: Node, name: str) -> str | None:
    found = attribute(node, name)
    return None if found is None else printable(found.s.decode("utf-8", "replace"))[:40] or None


def _trees(network: Network, nodes: Sequence[Node], common: dict[str, Any]) -> ModelFile:
    read = [trees_of(node) for node in nodes]
    size = joined([one for one, _ in read])
    kinds = sum((kinds for _, kinds in read), Counter[str]())
    base = attribute(nodes[0], "base_values")
    family, said = _family(network, kinds, trees=size.trees, summed=base is not None or common["objective"] in _LINKS)
    return ModelFile(
        **common,
        family=family,
        forest=size,
        base_score=() if base is None else tuple(float(v) for v in base.floats[:100]),
        details={"splits": {printable(kind)[:20]: count for kind, count in kinds.most_common(8)}},
        notes=(said,),
    )


_LINKS = ("LOGISTIC", "SOFTMAX")


def _family(network: Network, kinds: Counter[str], *, trees: int, summed: bool) -> tuple[str, str]:
    """Family in the catalog of trees in ONNX, and how it was told."""
    producer = network.producer.lower()
    most = kinds.most_common(1)[0][0] if kinds else ""
    if producer.startswith("catboost"):
        return "gradient-boosting-catboost", "Taken for CatBoost by the name of its producer"
    if most == "BRANCH_LT":
        return "gradient-boosting-xgboost", "Taken for XGBoost by its splits (less than)"
    if producer.startswith("onnxmltools"):
        return "gradient-boosting-lightgbm", "Taken for LightGBM by its producer and its splits (less or equal)"
    if summed:
        return (
            "gradient-boosting-hist",
            "Taken for gradient boosting of scikit-learn, as its trees are summed; timed as the histogram kind",
        )
    if trees == 1:
        return "decision-tree", "Taken for a decision tree, as it has one tree"
    return "random-forest", "Taken for a random forest, as its trees are averaged"


def _linear(node: Node, common: dict[str, Any]) -> ModelFile:
    coefficients = length(node, "coefficients")
    classifier = node.op == "LinearClassifier"
    rows = max(1, length(node, "intercepts"), 1 if classifier else common["outputs"])
    if coefficients == 0 or coefficients % rows:
        raise InputError(
            "file", f"{coefficients:,} coefficients in {rows:,} rows", "a coefficient for each feature and row"
        )
    columns = coefficients // rows
    stored = coefficients + length(node, "intercepts")
    values = attribute(node, "coefficients").floats
    mirrored = (
        classifier and rows == 2 and all(a == -b for a, b in zip(values[:columns], values[columns:], strict=True))
    )
    free = 1 if mirrored else rows
    return ModelFile(
        **common,
        family="logistic-regression" if classifier else "linear-regression",
        model_features=columns if columns != common["features"] else None,
        parameters=(columns + 1) * free,
        details={"stored_parameters": stored},
        notes=("Of two classes the second row of coefficients is the first with the other sign; one is counted",)
        if mirrored
        else (),
    )


def _vectors(node: Node, common: dict[str, Any]) -> ModelFile:
    numbers = length(node, "support_vectors")
    by_class = ints(node, "vectors_per_class")
    stated = attribute(node, "n_supports")
    vectors = int(by_class.sum()) if len(by_class) else int(stated.i) if stated is not None else 0
    if numbers == 0:
        return _linear(node, common)
    if vectors <= 0 or numbers % vectors or vectors > numbers:
        raise InputError("file", f"{numbers:,} values in {vectors:,} support vectors", "vectors of one length")
    columns = numbers // vectors
    kernel = _text(node, "kernel_type") or "LINEAR"
    notes = (
        ()
        if kernel == "RBF"
        else (f"The kernel ({kernel.lower()}) was not timed: it is taken to cost that of an RBF kernel",)
    )
    return ModelFile(
        **common,
        family="svm-rbf",
        model_features=columns if columns != common["features"] else None,
        vectors=vectors,
        parameters=vectors * (columns + 1),
        details={"kernel": kernel, "stored_parameters": numbers + length(node, "coefficients") + length(node, "rho")},
        notes=notes,
    )
