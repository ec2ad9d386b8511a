"""The reference that a machine's speed is measured by: boosted trees of a fixed size, made from a seed.

Its cost on the catalog's host is known: it is a model of the catalog's family `gradient-boosting-xgboost` at full trees, as
the XGBoost converter writes it (one regressor, branches on "less than", 32-bit numbers).
"""

from __future__ import annotations

import random

FAMILY = "gradient-boosting-xgboost"
TREES, DEPTH, FEATURES = 100, 6, 20
OPSET, ML_OPSET, IR_VERSION = 18, 3, 8


def reference_model(*, trees: int = TREES, depth: int = DEPTH, features: int = FEATURES, seed: int = 0) -> bytes:
    """An ONNX file of `trees` full trees of `depth` levels of splits over `features` inputs.

    Every row visits depth + 1 nodes of each tree whatever its values. Thresholds are standard normal, as the inputs of a
    measurement are, so that branches go both ways.
    """
    from onnx import TensorProto, helper

    draw = random.Random(seed)
    inner, nodes = 2**depth - 1, 2 ** (depth + 1) - 1
    every = range(trees * nodes)
    at = [i % nodes for i in every]
    split = [i < inner for i in at]
    leaves = [i for i in every if not split[i]]
    tree = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        post_transform="NONE",
        base_values=[0.5],
        nodes_treeids=[i // nodes for i in every],
        nodes_nodeids=at,
        nodes_featureids=[draw.randrange(features) if s else 0 for s in split],
        nodes_modes=["BRANCH_LT" if s else "LEAF" for s in split],
        nodes_values=[draw.gauss(0.0, 1.0) if s else 0.0 for s in split],
        nodes_truenodeids=[2 * i + 1 if s else 0 for i, s in zip(at, split, strict=True)],
        nodes_falsenodeids=[2 * i + 2 if s else 0 for i, s in zip(at, split, strict=True)],
        nodes_missing_value_tracks_true=[0] * len(every),
        nodes_hitrates=[1.0] * len(every),
        target_treeids=[i // nodes for i in leaves],
        target_nodeids=[at[i] for i in leaves],
        target_ids=[0] * len(leaves),
        target_weights=[draw.gauss(0.0, 0.1) for _ in leaves],
    )
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, features])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(helper.make_graph([tree], "reference", [x], [y]), opset_imports=opsets)
    model.ir_version = IR_VERSION
    return bytes(model.SerializeToString())
