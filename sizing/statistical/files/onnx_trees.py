"""Trees of ONNX-ML: the lists of TreeEnsembleClassifier and TreeEnsembleRegressor, and those of TreeEnsemble (version 5)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from sizing.onnx.records import Node
from sizing.statistical.files.trees import Forest, Ints, broken, check_size, forest

LISTED = ("TreeEnsembleClassifier", "TreeEnsembleRegressor")
TREE_OPS = (*LISTED, "TreeEnsemble")
_LEAF = b"LEAF"
_MODES_V5 = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
MOST_NODE_ID = 2**40


def attribute(node: Node, name: str) -> Any:
    """onnx's own record of an attribute, or None where the node lacks it: its lists are read in place, as they can be long."""
    return next((a for a in node.proto.attribute if a.name == name), None)


def ints(node: Node, name: str) -> Ints:
    """Whole numbers of an attribute [1]; empty where the node lacks it."""
    found = attribute(node, name)
    return (
        np.zeros(0, dtype=np.int64) if found is None else np.fromiter(found.ints, dtype=np.int64, count=len(found.ints))
    )


def length(node: Node, *names: str) -> int:
    """Elements of the first of some attributes that the node has, as floats, whole numbers, texts or a tensor [count]."""
    for name in names:
        found = attribute(node, name)
        if found is not None:
            tensor = int(np.prod(found.t.dims, dtype=np.float64)) if found.type == 4 else 0
            return max(len(found.floats), len(found.ints), len(found.strings), tensor)
    return 0


def trees_of(node: Node) -> tuple[Forest, Counter[str]]:
    """Size of the trees of a node, and its kinds of splits [count]. Raises InputError for lists that make no trees."""
    return _listed(node) if node.op in LISTED else _version_5(node)


def _listed(node: Node) -> tuple[Forest, Counter[str]]:
    trees, ids = ints(node, "nodes_treeids"), ints(node, "nodes_nodeids")
    true, false = ints(node, "nodes_truenodeids"), ints(node, "nodes_falsenodeids")
    modes = getattr(attribute(node, "nodes_modes"), "strings", [])
    if not len(ids) or len({len(trees), len(ids), len(true), len(false), len(modes)}) != 1:
        raise broken("trees whose lists of nodes differ in length")
    check_size(0, len(ids))
    kinds = Counter(modes)
    leaf = np.fromiter((mode == _LEAF for mode in modes), dtype=np.bool_, count=len(modes))
    numbers, tree = np.unique(trees, return_inverse=True)
    check_size(len(numbers), len(ids))
    if any(np.any((part < 0) | (part > MOST_NODE_ID)) for part in (ids, true[~leaf], false[~leaf])):
        raise broken("a tree with a child that is none of its nodes")
    # A node is known by its tree and its number in it; ranks of the numbers keep the pairs within 64 bits.
    known, rank = np.unique(ids, return_inverse=True)
    pairs = tree * len(known) + rank
    order = np.argsort(pairs, kind="stable")
    ordered = pairs[order]
    if np.any(ordered[1:] == ordered[:-1]):
        raise broken("a tree with two nodes of one number")
    sides = []
    for side in (true, false):
        child = np.full(len(ids), -1, dtype=np.int64)
        wanted = side[~leaf]
        place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        pair = tree[~leaf] * len(known) + place
        at = np.minimum(np.searchsorted(ordered, pair), len(ordered) - 1)
        if np.any(known[place] != wanted) or np.any(ordered[at] != pair):
            raise broken("a tree with a child that is none of its nodes")
        child[~leaf] = order[at]
        sides.append(child)
    below = np.zeros(len(ids), dtype=np.bool_)
    for side in sides:
        below[side[side >= 0]] = True
    roots = np.flatnonzero(~below)
    if len(roots) != len(numbers) or len(np.unique(tree[roots])) != len(numbers):
        raise broken("a tree with no root or with several")
    named = Counter({kind.decode("latin-1"): count for kind, count in kinds.items() if kind != _LEAF})
    return forest(sides[0], sides[1], roots), named


def _version_5(node: Node) -> tuple[Forest, Counter[str]]:
    true, false = ints(node, "nodes_truenodeids"), ints(node, "nodes_falsenodeids")
    true_leaf, false_leaf = ints(node, "nodes_trueleafs"), ints(node, "nodes_falseleafs")
    roots = ints(node, "tree_roots")
    inner, leaves = len(true), len(ints(node, "leaf_targetids"))
    if not inner or not leaves or len({inner, len(false), len(true_leaf), len(false_leaf)}) != 1 or not len(roots):
        raise broken("trees whose lists of nodes differ in length")
    check_size(len(roots), inner + leaves)
    sides = []
    for child, is_leaf in ((true, true_leaf != 0), (false, false_leaf != 0)):
        if np.any(child < 0) or np.any(child >= np.where(is_leaf, leaves, inner)):
            raise broken("a tree with a child that is none of its nodes")
        sides.append(np.where(is_leaf, child + inner, child))
    # A tree of a single leaf is written as a node whose two children are that leaf.
    alone = sides[0] == sides[1]
    left, right = (np.concatenate((np.where(alone, -1, s), np.full(leaves, -1, dtype=np.int64))) for s in sides)
    found = forest(left, right, roots, whole=False)
    modes = attribute(node, "nodes_modes")
    kinds: Counter[str] = Counter()
    if modes is not None and len(modes.t.raw_data) == inner:
        counted = np.bincount(np.frombuffer(modes.t.raw_data, dtype=np.uint8), minlength=256)
        kinds.update({name: int(counted[i]) for i, name in enumerate(_MODES_V5) if counted[i]})
    return found, kinds
