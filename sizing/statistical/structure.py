"""How large a statistical model is: work per row, nodes, parameters, bytes of its file and bytes once loaded."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, log2

from sizing.errors import InputError
from sizing.scenario import StatisticalScenario
from sizing.statistical_rows import ByteRule, RuntimeCost, StatisticalFamily

SCALER_PARAMETERS_PER_FEATURE = 3
"""Mean, variance and scale that StandardScaler keeps for each feature [1]. Source: scikit-learn 1.9.1, attributes."""


@dataclass(frozen=True)
class Structure:
    """Size of one model: `work_units` is what a row costs in `work_unit`; `vectors` are stored rows compared with."""

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
    parts = {"trees": trees, "nodes": nodes, "parameters": parameters, "outputs": scenario.outputs}
    return Structure(
        trees=trees,
        leaves_per_tree=leaves,
        nodes=nodes,
        parameters=parameters,
        vectors=vectors,
        work_units=work,
        work_unit=unit,
        work_formula=formula,
        file_bytes=_bytes(cost.file, **parts),
        resident_bytes=_bytes(cost.resident, **parts),
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
    # Two classes need one row of coefficients (or one output unit): the other class is its complement.
    rows = 1 if outputs <= 2 else outputs
    if family.shape == "network":
        widths = (features, *scenario.hidden_layers, rows)
        return sum((before + 1) * after for before, after in pairwise(widths))
    return {
        "linear": (features + 1) * outputs,
        "logistic": (features + 1) * rows,
        "scaled_logistic": (features + 1) * rows + SCALER_PARAMETERS_PER_FEATURE * features,
        "naive_bayes": 2 * features * max(outputs, 2),
        "clusters": scenario.clusters * features,
        "support_vectors": scenario.support_vectors * (features + 1),
        "neighbours_brute": scenario.training_rows * features,
        "neighbours_tree": scenario.training_rows * features,
    }[family.shape]


def _bytes(rule: ByteRule, *, trees: int, nodes: int, parameters: int, outputs: int) -> int:
    return ceil(
        rule.fixed_bytes
        + rule.tree_bytes * trees
        + (rule.node_bytes + rule.node_output_bytes * outputs) * nodes
        + rule.parameter_bytes * parameters
    )


def sized(
    cost: RuntimeCost,
    *,
    trees: int,
    leaves: int,
    nodes: int,
    parameters: int,
    vectors: int,
    outputs: int,
    work: tuple[float, str, str],
    file_bytes: int | None,
) -> Structure:
    """Size of a model whose counts [count] are known: bytes by the rules of the runtime, of the file where they are not given.

    `leaves` are those of all trees; `work` is the amount of a row, its unit and its formula.
    """
    parts = {"trees": trees, "nodes": nodes, "parameters": parameters, "outputs": outputs}
    return Structure(
        trees=trees,
        leaves_per_tree=round(leaves / trees) if trees else 0,
        nodes=nodes,
        parameters=parameters,
        vectors=vectors,
        work_units=work[0],
        work_unit=work[1],
        work_formula=work[2],
        file_bytes=_bytes(cost.file, **parts) if file_bytes is None else file_bytes,
        resident_bytes=_bytes(cost.resident, **parts),
    )
