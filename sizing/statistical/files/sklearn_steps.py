"""Steps of a scikit-learn pipeline in a skops file, columns in and out of each."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from sizing.errors import InputError
from sizing.statistical.files import sklearn_types as types
from sizing.statistical.files.facts import count_of, printable
from sizing.statistical.files.skops_file import SkopsFile
from sizing.statistical.own import MOST_STEPS, Step

MOST_NESTED = 6
MOST_COLUMNS = 10**7


def pipeline(file: SkopsFile, root: Any) -> tuple[tuple[Step, ...], Any]:
    """Steps before the model, in order, and the model's own part. Raises InputError for steps that are not known here."""
    if file.type_of(root) != types.PIPELINE:
        return (), root
    members = [_named(file, one)[1] for one in file.items(file.attributes(root).get("steps"))]
    members = [one for one in members if not _skipped(file, one)]
    if not members:
        raise InputError("file", "a pipeline without steps", "a pipeline that ends in a model")
    steps: list[Step] = []
    for one in members[:-1]:
        steps += _steps(file, one, 0)
    if len(steps) > MOST_STEPS:
        raise InputError("file", f"a pipeline of {len(steps):,} steps", f"at most {MOST_STEPS} steps before the model")
    return tuple(steps), members[-1]


def _named(file: SkopsFile, part: Any) -> list[Any]:
    """Name, object (and more) of a step."""
    found = file.items(part)
    if len(found) < 2:
        raise InputError("file", "a step without a name", "steps as scikit-learn has them")
    return found


def _skipped(file: SkopsFile, part: Any) -> bool:
    """Whether a step stands for nothing: "passthrough", "drop" or None."""
    return file.node(part).get("__loader__") == "JsonNode"


def _steps(file: SkopsFile, part: Any, level: int) -> list[Step]:
    if level > MOST_NESTED:
        raise InputError("file", "pipelines nested too deep", f"at most {MOST_NESTED} levels")
    kind = file.type_of(part)
    parts = file.attributes(part)
    if kind in (types.PIPELINE, types.UNION, types.COLUMNS):
        name = {types.PIPELINE: "steps", types.UNION: "transformer_list", types.COLUMNS: "transformers_"}[kind]
        members = [_named(file, one)[1] for one in file.items(parts.get(name))]
        return [step for one in members if not _skipped(file, one) for step in _steps(file, one, level + 1)]
    if kind not in types.STEPS:
        raise InputError(
            "file", f"a step of type {printable(kind)[:80]}", "the steps of scikit-learn that are read here"
        )
    columns = count_of(file.plain(parts.get("n_features_in_")), "features", least=1, most=MOST_COLUMNS)
    return [Step(types.STEPS[kind], columns, _columns_out(file, kind, parts, columns), kind.rpartition(".")[2])]


def _columns_out(file: SkopsFile, kind: str, parts: dict[str, Any], columns: int) -> int:
    """Columns that come out of a step [count]."""
    name = kind.rpartition(".")[2]
    if name == "OneHotEncoder":
        categories = sum(prod(file.header(one).shape) for one in file.items(parts.get("categories_")))
        # With `drop`, a column of each feature is left out; of features of one or many categories with "if_binary" it may not be.
        dropped = 0 if "drop" not in parts or _skipped_value(file, parts["drop"]) else columns
        return count_of(max(1, categories - dropped), "columns", least=1, most=MOST_COLUMNS)
    if name == "PolynomialFeatures":
        return count_of(file.plain(parts.get("n_output_features_")), "columns", least=1, most=MOST_COLUMNS)
    if name in ("PCA", "TruncatedSVD"):
        return count_of(file.header(parts.get("components_")).shape[0], "columns", least=1, most=MOST_COLUMNS)
    if name == "VarianceThreshold":
        kept = np.count_nonzero(file.array(parts.get("variances_")) > _threshold(file, parts))
        return count_of(int(kept), "columns", least=0, most=MOST_COLUMNS)
    return columns


def _skipped_value(file: SkopsFile, part: Any) -> bool:
    return file.node(part).get("content") == "null"


def _threshold(file: SkopsFile, parts: dict[str, Any]) -> float:
    found = file.plain(parts.get("threshold"))
    return float(found) if isinstance(found, int | float) else 0.0
