"""Steps before the model in an ONNX file: operators of ONNX-ML by name, plain operators by what converters write with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import prod

from sizing.onnx.records import ML, Network, Node
from sizing.statistical.files.facts import printable
from sizing.statistical.files.onnx_trees import length
from sizing.statistical.own import MOST_STEPS, Step, StepKind

_ONLY_MOVE = frozenset(
    {"Cast", "Concat", "Reshape", "Gather", "Identity", "Flatten", "Shape", "Slice", "Squeeze", "Unsqueeze", "Transpose",
     "Constant", "FeatureVectorizer", "ZipMap", "ConstantOfShape", "Expand", "Split", "StringNormalizer"}
)  # fmt: skip
_ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div"})


def steps_before(network: Network, nodes: Sequence[Node], features: int) -> tuple[tuple[Step, ...], int]:
    """Steps that a row of so many features goes through before the model, and the columns that come out of them [count].

    Steps of one kind that stand together, as encoders of several columns do, are one.
    """
    stored = {t.name: t for t in network.initializers}
    products = sum(node.op == "ReduceProd" and not node.domain for node in nodes)
    polynomial = products > 2
    width, encoded = features, 0
    found: list[Step] = []
    others: Counter[str] = Counter()
    for node in nodes:
        step = _ml_step(node, width) if node.domain == ML else None
        if node.domain == ML and node.op == "ArrayFeatureExtractor":
            columns = (
                prod(stored[node.inputs[1]].shape or ()) if len(node.inputs) > 1 and node.inputs[1] in stored else 0
            )
            step = None if polynomial or columns < 1 else Step("select", width, columns, node.op)
        elif node.domain or node.op in _ONLY_MOVE:
            pass
        elif polynomial and node.op == "ReduceProd":
            # Powers are written as one extractor and one product for each column that comes out, the ones apart.
            ones = any(n.op == "ConstantOfShape" or n.op == "Expand" for n in nodes)
            step = Step("polynomial", width + encoded, products + ones, node.op) if products else None
            products, encoded = 0, 0 if step else encoded
        elif node.op in _ARITHMETIC and any(
            prod(stored[n].shape or ()) == width > 1 for n in node.inputs if n in stored
        ):
            step = Step("scale", width, width, node.op)
        else:
            others[node.op] += 1
        if step is None:
            continue
        if step.kind == "one_hot":
            # An encoder takes one column; what it adds counts once all encoders of the row are known.
            encoded += step.features_out - step.features_in
        elif step.kind in ("select", "polynomial"):
            width = step.features_out
        _add(found, step)
    width += encoded
    if sum(others.values()) > 3:
        named = ", ".join(f"{op} x {count}" for op, count in others.most_common(3))
        found.append(Step("other", width, width, printable(f"{sum(others.values())} operators: {named}")[:80]))
    return tuple(found[:MOST_STEPS]), width


def _ml_step(node: Node, width: int) -> Step | None:
    kinds: dict[str, tuple[StepKind, tuple[str, ...]]] = {
        "Scaler": ("scale", ("offset", "scale")),
        "Imputer": ("impute", ("imputed_value_floats", "imputed_value_int64s")),
        "LabelEncoder": ("ordinal", ()),
        "CategoryMapper": ("ordinal", ()),
        "Binarizer": ("other", ()),
        "DictVectorizer": ("other", ()),
    }
    if node.op == "OneHotEncoder":
        return Step("one_hot", 1, max(1, length(node, "cats_strings", "cats_int64s")), node.op)
    if node.op == "Normalizer":
        return Step("normalize", width, width, node.op)
    if node.op not in kinds:
        return None
    kind, lists = kinds[node.op]
    columns = max([length(node, name) for name in lists], default=0) or 1
    return Step(kind, columns, columns, node.op)


def _add(steps: list[Step], step: Step) -> None:
    """Join a step with one of its kind and name just before it: encoders of several columns are one step."""
    last = steps[-1] if steps else None
    if last is not None and (last.kind, last.name) == (step.kind, step.name) and step.kind in ("one_hot", "ordinal"):
        steps[-1] = Step(
            step.kind, last.features_in + step.features_in, last.features_out + step.features_out, step.name
        )
    elif last is not None and last.kind == step.kind == "scale" and last.name in _ARITHMETIC:
        return
    else:
        steps.append(step)
