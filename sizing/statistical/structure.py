"""How large a statistical model is: work per row, nodes, parameters, bytes of its file and bytes once loaded."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, log2

from sizing.errors import InputError
from sizing.scenario import StatisticalScenario
from sizing.statistical_rows import ByteRule, RuntimeCost, Shape, StatisticalFamily

SCALER_PARAMETERS_PER_FEATURE = 3
"""Mean, variance and scale that StandardScaler keeps for each feature [1]. Source: scikit-learn 1.9.1, attributes."""


@dataclass(frozen=True)
class Structure:
    """Size of one model: `work_units` is what a row costs in `work_unit`; `vectors` are stored rows compared with.

    `hidden_units` are those of all hidden layers together.
    """

    trees: int
    leaves_per_tree: int
    nodes: int
    parameters: int
    vectors: int
    work_units: float
    work_unit: str
    work_formula: str
    file_bytes: int
    resident_bytes: int
    features: int = 0
    outputs: int = 1
    hidden_units: int = 0


def runtime_cost(scenario: StatisticalScenario, family: StatisticalFamily) -> RuntimeCost:
    """Costs of the scenario's runtime; InputError naming the runtimes of the family if it lacks that one."""
    cost = family.runtime(scenario.runtime)
    if cost is None:
        known = ", ".join(runtime.id for runtime in family.runtimes)
        raise InputError("runtime", scenario.runtime, f"one of {known} for {family.id}")
    return cost


def structure(*, scenario: StatisticalScenario, family: StatisticalFamily) -> Structure:
    """Size of the scenario's model: work per row [units], file and resident memory [bytes].

    Full trees have 2^depth leaves, any tree 2 x leaves - 1 nodes; a row visits one path in each tree.
    Raises InputError for a runtime the family lacks and for more leaves than the depth allows.
    """
    cost = runtime_cost(scenario, family)
    trees = leaves = nodes = parameters = vectors = 0
    if family.shape in ("trees", "oblivious_trees"):
        trees = scenario.trees if "trees" in family.size_fields else 1
        leaves = _leaves(scenario, family)
        nodes = trees * (2 * leaves - 1)
        visited = visited_nodes_per_tree(depth=scenario.depth, leaves=scenario.leaves, stretch=family.path_stretch)
        work, unit, formula = trees * visited, "nodes visited", "trees x nodes on a path"
    else:
        parameters = _parameters(scenario, family)
        work, unit, formula = float(parameters), "parameters", _PARAMETER_FORMULAS[family.shape]
        if family.shape == "support_vectors":
            vectors = scenario.support_vectors
            work, unit, formula = float(vectors * scenario.features), "kernel terms", "support vectors x features"
        elif family.shape in ("neighbours_brute", "neighbours_tree"):
            vectors, unit = scenario.training_rows, "stored values"
    parts = {
        "trees": trees,
        "nodes": nodes,
        "parameters": parameters,
        "outputs": scenario.outputs,
        "features": scenario.features,
        "vectors": vectors,
    }
    return Structure(
        trees=trees,
        leaves_per_tree=leaves,
        nodes=nodes,
        parameters=parameters,
        vectors=vectors,
        work_units=work,
        work_unit=unit,
        work_formula=formula,
        file_bytes=model_bytes(cost.file, **parts),
        resident_bytes=model_bytes(cost.resident, **parts),
        features=scenario.features,
        outputs=scenario.outputs,
        hidden_units=sum(scenario.hidden_layers) if family.shape == "network" else 0,
    )


def visited_nodes_per_tree(*, depth: int, leaves: int | None, stretch: float | None) -> float:
    """Nodes on the path of a row through a tree, root and leaf included: min(depth + 1, 1 + stretch x log2(leaves)).

    `stretch` says how much longer than in a balanced tree the path is (None: oblivious trees, always depth + 1).
    Source: own models, 2026-11: 1.37 for forests, 1.2 for XGBoost, 1.0 for leaf-wise trees; see the catalog.

    >>> visited_nodes_per_tree(depth=6, leaves=None, stretch=1.2)
    7.0
    >>> round(visited_nodes_per_tree(depth=40, leaves=1027, stretch=1.37), 1)  # measured 14.8
    14.7
    """
    if leaves is None or stretch is None:
        return depth + 1.0
    return min(depth + 1.0, 1.0 + stretch * log2(leaves))


def _leaves(scenario: StatisticalScenario, family: StatisticalFamily) -> int:
    full = 2**scenario.depth
    if scenario.leaves is None or "leaves" not in family.size_fields:
        return full
    if scenario.leaves > full:
        raise InputError("leaves", scenario.leaves, f"at most {full}, which is 2^depth at depth {scenario.depth}")
    return scenario.leaves


_PARAMETER_FORMULAS = {
    "linear": "(features + 1) x outputs",
    "logistic": "(features + 1) x rows of coefficients",
    "scaled_logistic": "(features + 1) x rows of coefficients + 3 x features",
    "naive_bayes": "2 x features x classes",
    "clusters": "clusters x features",
    "network": "sum over layers of (inputs + 1) x outputs",
    "support_vectors": "support vectors x (features + 1)",
    "neighbours_brute": "stored rows x features",
    "neighbours_tree": "stored rows x features",
}


def _parameters(scenario: StatisticalScenario, family: StatisticalFamily) -> int:
    features, outputs = scenario.features, scenario.outputs
    if family.shape == "network":
        widths = (features, *scenario.hidden_layers, 1 if outputs <= 2 else outputs)
        return sum((before + 1) * after for before, after in pairwise(widths))
    stored = {
        "clusters": scenario.clusters * features,
        "support_vectors": scenario.support_vectors * (features + 1),
        "neighbours_brute": scenario.training_rows * features,
        "neighbours_tree": scenario.training_rows * features,
    }
    return stored.get(family.shape) or parameter_count(family.shape, features=features, outputs=outputs)


def parameter_count(shape: Shape, *, features: int, outputs: int) -> int:
    """Parameters of a model whose features and outputs say them all [1]; see `_PARAMETER_FORMULAS`.

    >>> parameter_count("logistic", features=100, outputs=2), parameter_count("logistic", features=100, outputs=10)
    (101, 1010)
    """
    # Two classes need one row of coefficients: the other class is its complement.
    rows = 1 if outputs <= 2 else outputs
    return {
        "linear": (features + 1) * outputs,
        "logistic": (features + 1) * rows,
        "scaled_logistic": (features + 1) * rows + SCALER_PARAMETERS_PER_FEATURE * features,
        "naive_bayes": 2 * features * max(outputs, 2),
    }[shape]


def model_bytes(
    rule: ByteRule, *, trees: int, nodes: int, parameters: int, outputs: int, features: int = 0, vectors: int = 0
) -> int:
    """Bytes that a rule gives for a model of that structure [bytes]: constants x counts, rounded up; see `ByteRule`."""
    by = byte_counts(
        trees=trees, nodes=nodes, parameters=parameters, outputs=outputs, features=features, vectors=vectors
    )
    total = sum(getattr(rule, name) * count for name, count in by.items())
    if rule.counts_ids and trees:
        total += nodes * id_bytes_per_node(trees=trees, nodes=nodes)
    return ceil(total)


def byte_counts(
    *, trees: int, nodes: int, parameters: int, outputs: int, features: int, vectors: int
) -> dict[str, int]:
    """What each constant of a `ByteRule` is multiplied with [1]."""
    return {
        "fixed_bytes": 1,
        "tree_bytes": trees,
        "node_bytes": nodes,
        "node_output_bytes": nodes * outputs,
        "node_class_bytes": nodes * (outputs - 1 if outputs > 2 else 0),
        "parameter_bytes": parameters,
        "vector_bytes": vectors,
        "output_bytes": outputs,
        "feature_bytes": features,
        "feature_output_bytes": features * outputs,
    }


def id_bytes_per_node(*, trees: int, nodes: int) -> float:
    """Bytes a node that ONNX spends on numbers of nodes and trees above 127, which take a second byte [bytes].

    A number below 128 takes 1 byte, below 16,384 two, then three (protobuf varint). A node states its own number and its tree's;
    a split states those of two children, a leaf its own and its tree's once more with its value: 1 + 2/2 + 1/2 numbers of nodes
    and 1 + 1/2 of trees, for trees with as many leaves as splits. Source: ONNX-ML TreeEnsemble attributes, protobuf encoding.

    >>> round(id_bytes_per_node(trees=500, nodes=500 * 100), 3)  # 372 of 500 trees have numbers above 127
    1.116
    """
    return 2.5 * _longer(nodes / trees) + 1.5 * _longer(trees)


def _longer(count: float) -> float:
    """Bytes beyond the first that a number from 0 to count takes in the mean [bytes]."""
    return sum(max(0.0, 1.0 - limit / count) for limit in (2**7, 2**14, 2**21)) if count > 0 else 0.0


def load_ms(cost: RuntimeCost, size: Structure) -> float | None:
    """Time to load the model's file into a process that has the library imported [ms]: fixed + bytes x ms per MB.

    On the measured host, the file in the page cache. None where the catalog has no rule (catalogs before 2026-11-25).
    """
    if cost.load is None:
        return None
    return cost.load.fixed_ms + cost.load.ms_per_mb * size.file_bytes / 1e6


def sized(
    cost: RuntimeCost,
    *,
    trees: int,
    leaves: int,
    nodes: int,
    parameters: int,
    vectors: int,
    features: int,
    outputs: int,
    hidden_units: int,
    work: tuple[float, str, str],
    file_bytes: int | None,
) -> Structure:
    """Size of a model whose counts [count] are known: bytes by the rules of the runtime, of the file where they are not given.

    `leaves` are those of all trees; `work` is the amount of a row, its unit and its formula.
    """
    parts = {
        "trees": trees,
        "nodes": nodes,
        "parameters": parameters,
        "outputs": outputs,
        "features": features,
        "vectors": vectors,
    }
    return Structure(
        trees=trees,
        leaves_per_tree=round(leaves / trees) if trees else 0,
        nodes=nodes,
        parameters=parameters,
        vectors=vectors,
        work_units=work[0],
        work_unit=work[1],
        work_formula=work[2],
        file_bytes=model_bytes(cost.file, **parts) if file_bytes is None else file_bytes,
        resident_bytes=model_bytes(cost.resident, **parts),
        features=features,
        outputs=outputs,
        hidden_units=hidden_units,
    )
