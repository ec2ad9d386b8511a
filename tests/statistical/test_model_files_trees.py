"""Trees read from files: counts as the libraries have them, and the nodes a row visits against rows sent through the model."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest

from sizing.errors import InputError
from sizing.statistical.files.facts import ModelFile
from sizing.statistical.files.read import read_model
from sizing.statistical.files.trees import Forest, forest
from tests.statistical import model_files as files

WITH_COVER, WITHOUT_COVER = 0.05, 0.12
"""Most that visited nodes may be off on the training rows [1]; see the module `trees` for the check on rows held out."""


def read(content: bytes, name: str = "model") -> ModelFile:
    """Facts of a file's bytes."""
    return read_model(io.BytesIO(content), len(content), name)


def trees(content: bytes) -> Forest:
    """Its trees, which it must have."""
    found = read(content).forest
    assert found is not None
    return found


def test_the_hand_written_tree_is_counted_by_hand() -> None:
    """All 100 rows see the root and one child, 70 see a third node: (100 + 100 + 70) / 100."""
    expected = Forest(trees=1, nodes=5, leaves=3, max_depth=2, visited_nodes_per_row=2.7, by_cover=True)
    assert trees(json.dumps(files.tiny_xgboost()).encode()) == expected
    assert trees(files.TINY_LIGHTGBM) == expected


def test_without_cover_each_leaf_counts_the_same() -> None:
    """Paths of 2, 3 and 3 nodes."""
    left, right = np.array([1, -1, 3, -1, -1]), np.array([2, -1, 4, -1, -1])
    found = forest(left, right, np.array([0]))
    assert found.visited_nodes_per_row == pytest.approx(8 / 3)
    assert not found.by_cover
    without = files.tiny_xgboost(sum_hessian=[])
    assert trees(json.dumps(without).encode()).visited_nodes_per_row == pytest.approx(8 / 3)


@pytest.mark.parametrize("ending", ["json", "ubj"])
@pytest.mark.parametrize("kind", files.BOOSTED)
def test_xgboost_trees_are_those_of_its_own_table(kind: str, ending: str) -> None:
    model = files.boosted(kind)
    found = read(files.xgboost_file(kind, ending))
    table = model.get_booster().trees_to_dataframe()
    assert found.forest is not None
    assert (
        found.forest.trees == table["Tree"].nunique() == (18 if kind == "classes" else 12 if kind == "targets" else 6)
    )
    assert found.forest.nodes == len(table)
    assert found.forest.leaves == int((table["Feature"] == "Leaf").sum())
    assert (found.features, found.outputs) == (6, {"classes": 3, "targets": 2}.get(kind, 1))
    assert found.family == "gradient-boosting-xgboost"
    assert found.library.startswith("xgboost 3.")
    if kind != "categories":
        assert found.forest.visited_nodes_per_row == pytest.approx(_xgboost_path(model), rel=WITH_COVER)


def _xgboost_path(model: Any) -> float:
    """Nodes that the training rows visit, by the leaves they fall into and each leaf's way to its root."""
    booster = model.get_booster()
    depths = []
    for tree in json.loads(booster.save_raw("json"))["learner"]["gradient_booster"].get(
        "model", json.loads(booster.save_raw("json"))["learner"]["gradient_booster"].get("gbtree", {}).get("model")
    )["trees"]:
        parents, depth = tree["parents"], {}
        for node in range(len(parents)):
            steps, at = 1, node
            while at != 0 and 0 <= parents[at] < len(parents):
                at, steps = parents[at], steps + 1
            depth[node] = steps
        depths.append(depth)
    leaves = np.asarray(model.apply(files.table()[0])).reshape(files.ROWS, -1).astype(int)
    return float(sum(np.mean([depth[leaf] for leaf in leaves[:, t]]) for t, depth in enumerate(depths)))


def test_vector_leaves_count_once() -> None:
    found = read(files.xgboost_file("vector leaves", "ubj"))
    table = json.loads(files.xgboost_file("vector leaves", "json"))["learner"]["gradient_booster"]["model"]["trees"]
    assert found.forest is not None
    assert found.forest.nodes == sum(len(tree["left_children"]) for tree in table)
    assert found.outputs == 2
    assert found.details["outputs_per_leaf"] == 2


def test_a_model_that_stopped_early_says_so() -> None:
    found = read(files.xgboost_file("stopped early", "json"))
    assert found.details["best_iteration"] == files.boosted("stopped early").best_iteration
    assert any("stopped early" in note for note in found.notes)


@pytest.mark.parametrize("ending", ["json", "ubj"])
@pytest.mark.parametrize(("kind", "outputs"), [("linear", 1), ("linear classes", 3)])
def test_a_linear_booster_has_a_weight_for_each_feature_and_one_more(kind: str, outputs: int, ending: str) -> None:
    found = read(files.xgboost_file(kind, ending))
    model = files.boosted(kind)
    assert found.parameters == np.size(model.coef_) + np.size(model.intercept_) == 7 * outputs
    assert found.forest is None
    assert found.outputs == outputs


@pytest.mark.parametrize("kind", files.LIGHT)
def test_lightgbm_trees_are_those_of_its_own_dump(kind: str) -> None:
    booster = files.light(kind)
    found = read(files.light_file(kind))
    table = booster.trees_to_dataframe()
    assert found.forest is not None
    assert found.forest.trees == booster.num_trees()
    assert found.forest.nodes == len(table)
    assert found.forest.leaves == int(table["left_child"].isna().sum())
    assert found.forest.max_depth == int(table["node_depth"].max()) - 1
    assert (found.features, found.outputs) == (booster.num_feature(), 3 if kind == "classes" else 1)
    # A table row's count is that of the training rows that reached the node: their sum is the nodes they visited.
    assert found.forest.visited_nodes_per_row == pytest.approx(table["count"].sum() / files.ROWS)
    assert (found.details["categorical_splits"] > 0) == (kind == "categories")


def test_a_lightgbm_path_is_that_of_rows_sent_through() -> None:
    booster = files.light("classes")
    table = booster.trees_to_dataframe()
    depth = dict(zip(table["node_index"], table["node_depth"], strict=True))
    leaves = booster.predict(files.table()[0], pred_leaf=True).astype(int)
    path = sum(np.mean([depth[f"{t}-L{leaf}"] for leaf in leaves[:, t]]) for t in range(leaves.shape[1]))
    assert trees(files.light_file("classes")).visited_nodes_per_row == pytest.approx(path, rel=1e-6)


def test_a_tree_of_one_leaf_is_visited_once() -> None:
    found = trees(files.light_file("one leaf"))
    assert (found.nodes, found.leaves, found.max_depth) == (found.trees, found.trees, 0)
    assert found.visited_nodes_per_row == found.trees


@pytest.mark.parametrize("ending", ["skops", "onnx"])
@pytest.mark.parametrize("kind", files.TREES)
def test_scikit_learn_trees_are_those_of_its_own_arrays(kind: str, ending: str) -> None:
    model = files.learned(kind)
    found = trees(files.skops_file(kind) if ending == "skops" else files.onnx_file(kind))
    own = files.members(model)
    assert found.trees == len(own)
    assert found.nodes == sum(tree.node_count for tree in own)
    assert found.leaves == sum(tree.n_leaves for tree in own)
    assert found.max_depth == max(tree.max_depth for tree in own)
    path = sum(float(np.asarray(tree.decision_path(files.table()[0]).sum(axis=1)).mean()) for tree in own)
    assert found.by_cover == (ending == "skops")
    assert found.visited_nodes_per_row == pytest.approx(path, rel=WITH_COVER if found.by_cover else WITHOUT_COVER)


@pytest.mark.parametrize("kind", ["histogram", "histogram of numbers"])
def test_histogram_trees_are_those_of_their_predictors(kind: str) -> None:
    predictors = [one for each in files.learned(kind)._predictors for one in each]
    found = trees(files.skops_file(kind))
    assert found.trees == len(predictors)
    assert found.nodes == sum(len(one.nodes) for one in predictors)
    assert found.leaves == sum(one.get_n_leaf_nodes() for one in predictors)
    assert found.max_depth == max(one.get_max_depth() for one in predictors)
    counts = sum(one.nodes["count"].sum() for one in predictors)
    assert found.visited_nodes_per_row == pytest.approx(counts / files.ROWS)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("kind", ["binary", "classes"])
def test_a_converted_booster_keeps_its_trees(library: str, kind: str) -> None:
    original = trees(files.xgboost_file(kind, "ubj") if library == "xgboost" else files.light_file(kind))
    found = read(files.converted(library, kind))
    assert found.forest is not None
    assert found.family == f"gradient-boosting-{library}"
    assert (found.forest.trees, found.forest.nodes, found.forest.leaves, found.forest.max_depth) == (
        original.trees, original.nodes, original.leaves, original.max_depth,
    )  # fmt: skip
    # Small leaf-wise trees are where even leaves are furthest off.
    most = WITHOUT_COVER if library == "xgboost" else 0.35
    assert found.forest.visited_nodes_per_row == pytest.approx(original.visited_nodes_per_row, rel=most)


NO_TREES: dict[str, dict[str, Any]] = {
    "a cycle": {"left_children": [1, 0, 3, -1, -1], "right_children": [2, 4, 4, -1, -1]},
    "its own child": {"left_children": [0, -1, 3, -1, -1]},
    "two parents": {"left_children": [1, -1, 1, -1, -1]},
    "a child beyond": {"right_children": [2, -1, 99, -1, -1]},
    "a child far beyond": {"right_children": [2, -1, 2**62, -1, -1]},
    "half a leaf": {"right_children": [2, 3, 4, -1, -1]},
    "lists of two lengths": {"right_children": [2, -1, 4]},
    "no lists": {"left_children": [], "right_children": []},
    "no numbers": {"left_children": ["a"], "right_children": ["b"]},
    "halves": {"left_children": [1.5, -1, 3, -1, -1]},
}


@pytest.mark.parametrize("tree", NO_TREES.values(), ids=NO_TREES)
def test_what_is_no_tree_is_refused(tree: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        read(json.dumps(files.tiny_xgboost(**tree)).encode())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"left_child=-1 -2", b"left_child=-1 0"),
        (b"left_child=-1 -2", b"left_child=1 -2"),
        (b"left_child=-1 -2", b"left_child=-1 -9"),
        (b"left_child=-1 -2", b"left_child=-1 7"),
        (b"left_child=-1 -2", b"left_child=-1"),
        (b"num_leaves=3", b"num_leaves=99999999"),
        (b"num_leaves=3", b"num_leaves=-3"),
        (b"end of trees", b""),
        (b"max_feature_idx=2", b"max_feature_idx=-2"),
    ],
)
def test_a_broken_lightgbm_text_is_refused(before: bytes, after: bytes) -> None:
    with pytest.raises(InputError):
        read(files.TINY_LIGHTGBM.replace(before, after))


def test_a_chain_of_nodes_ends_at_the_deepest_tree_allowed() -> None:
    length = 10_000
    left = np.arange(1, 2 * length, 2)
    chain = np.concatenate((np.stack((left, np.full(length, -1)), axis=1).ravel(), [-1]))
    other = np.where(chain < 0, -1, chain + 1)
    with pytest.raises(InputError, match="levels"):
        forest(_shifted(chain), _shifted(other), np.array([0]))


def _shifted(children: Any) -> Any:
    """A chain in which node 2k splits into the leaf 2k + 1 and the node 2k + 2."""
    found = np.full(len(children), -1)
    inner = np.arange(0, len(children) - 1, 2)
    found[inner] = inner + (1 if children[0] == 1 else 2)
    return found
