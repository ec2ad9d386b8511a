"""LightGBM models in text: a header, then trees as lists of internal nodes and of leaves, then parameters that are not needed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sizing.errors import InputError
from sizing.statistical.files.facts import MOST_FEATURES, MOST_OUTPUTS, ModelFile, count_of, printable
from sizing.statistical.files.tokens import numbers
from sizing.statistical.files.trees import Floats, Forest, Ints, broken, check_size, forest

_KEPT = frozenset({"num_leaves", "left_child", "right_child", "leaf_count", "internal_count", "is_linear", "num_cat"})
_ALLOWED = "a whole model as LightGBM's save_model writes it"


def read_lightgbm(data: bytes) -> ModelFile:
    """Facts of a LightGBM model [count, bytes] from the bytes of its text. Raises InputError for what is none.

    Internal nodes are numbered from 0, a leaf is ~its number among the children. Source: lightgbm 4.7.0, files of save_model.
    """
    head: dict[str, str] = {}
    trees: list[dict[str, bytes]] = []
    ended = False
    for line in _lines(data):
        if line.startswith(b"Tree="):
            trees.append({})
            check_size(len(trees), 0)
        elif line.strip() == b"end of trees":
            ended = True
            break
        elif trees:
            name, _, value = line.partition(b"=")
            if (key := name.decode("latin-1")) in _KEPT:
                trees[-1][key] = value
        else:
            name, _, value = line.partition(b"=")
            if len(name) < 40:
                head[name.decode("latin-1").strip()] = value[:400].decode("utf-8", "replace").strip()
    if not ended:
        raise InputError("file", "a LightGBM model that ends early", _ALLOWED)
    if not trees:
        raise broken("a LightGBM model without trees")
    features = count_of(head.get("max_feature_idx"), "the last feature", least=0, most=MOST_FEATURES - 1) + 1
    classes = count_of(head.get("num_class"), "classes", least=1, most=MOST_OUTPUTS)
    each = count_of(head.get("num_tree_per_iteration", "1"), "trees of a round", least=1, most=MOST_OUTPUTS)
    found, categorical, linear = _forest(trees)
    objective = printable(head.get("objective", ""))[:80] or None
    notes = []
    if linear:
        notes.append(f"{linear:,} trees have linear models in their leaves, whose work is not counted")
    return ModelFile(
        format="lightgbm-text",
        library=f"lightgbm (text {printable(head.get('version', ''))[:10]})",
        model="average of trees" if "average_output" in head else "gbdt",
        family="gradient-boosting-lightgbm",
        features=features,
        outputs=classes,
        file_bytes=len(data),
        forest=found,
        objective=objective,
        details={"boosting_rounds": -(-len(trees) // each), "categorical_splits": categorical},
        notes=tuple(notes),
    )


def _lines(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        yield data[at:end].rstrip(b"\r")
        at = end + 1


def _forest(trees: list[dict[str, bytes]]) -> tuple[Forest, int, int]:
    left: list[Ints] = []
    right: list[Ints] = []
    cover: list[Floats] = []
    roots: list[int] = []
    at = categorical = linear = 0
    for tree in trees:
        leaves = count_of(_word(tree, "num_leaves"), "leaves of a tree", least=1, most=10**8)
        inner = leaves - 1
        categorical += count_of(_word(tree, "num_cat", "0"), "categorical splits", least=0, most=10**8)
        linear += _word(tree, "is_linear", "0") == "1"
        total = inner + leaves
        # The text of a number and its blank take 2 bytes: a tree cannot have more nodes than that.
        if 2 * inner > 1 + len(tree.get("left_child", b"")):
            raise broken("a tree of fewer children than nodes")
        check_size(len(trees), at + total)
        for name, sides in (("left_child", left), ("right_child", right)):
            child = _list(tree, name, inner)
            if np.any(child >= inner) or np.any(child < -leaves):
                raise broken("a tree with a child that is none of its nodes")
            ends = np.full(leaves, -1, dtype=np.int64)
            sides.append(np.concatenate((np.where(child < 0, inner - 1 - child, child) + at, ends)))
        cover.append(_cover(tree, inner, leaves))
        roots.append(at)
        at += total
    covers = np.concatenate(cover)
    found = forest(
        np.concatenate(left),
        np.concatenate(right),
        np.asarray(roots, dtype=np.int64),
        cover=None if np.isnan(covers).any() else covers,
    )
    return found, categorical, linear


def _cover(tree: dict[str, bytes], inner: int, leaves: int) -> Floats:
    """Training rows that reached each node of a tree [count], internal nodes first; not numbers where the file is silent."""
    if leaves > 1 and not (tree.get("leaf_count", b"").strip() and tree.get("internal_count", b"").strip()):
        return np.full(inner + leaves, np.nan)
    counts = _list(tree, "leaf_count", leaves) if leaves > 1 else np.ones(1, dtype=np.int64)
    return np.concatenate((_list(tree, "internal_count", inner), counts)).astype(np.float64)


def _word(tree: dict[str, bytes], name: str, usual: str = "") -> str:
    return tree.get(name, usual.encode())[:40].decode("latin-1").strip()


def _list(tree: dict[str, bytes], name: str, count: int) -> Ints:
    text = tree.get(name, b"")
    parts = text.split() if count else []
    if len(parts) != count:
        raise broken(f"{len(parts):,} values of {name} where {count:,} belong")
    found = numbers(b",".join(parts)) if count else np.zeros(0, dtype=np.int64)
    if found.dtype.kind != "i":
        raise broken(f"{name} that are no whole numbers")
    return np.asarray(found, dtype=np.int64)
