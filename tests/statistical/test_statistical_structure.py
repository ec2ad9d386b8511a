"""Sizes of models against the files and processes measured (own, 2026-11) and against counts done by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing import catalog
from sizing.errors import InputError
from sizing.scenario import StatisticalScenario
from sizing.statistical.structure import structure, visited_nodes_per_tree

CATALOG = catalog.load()


def size_of(**fields):
    scenario = StatisticalScenario(**fields)
    return structure(scenario=scenario, family=CATALOG.statistical_family(scenario.family))


@pytest.mark.parametrize(
    ("fields", "parameters"),
    [
        ({"family": "linear-regression", "features": 1}, 2),
        ({"family": "linear-regression", "features": 1000}, 1001),
        ({"family": "logistic-regression", "features": 100, "outputs": 2}, 101),
        ({"family": "logistic-regression", "features": 100, "outputs": 10}, 1010),
        ({"family": "scaler-logistic-pipeline", "features": 100, "outputs": 2}, 401),
        ({"family": "gaussian-naive-bayes", "features": 100, "outputs": 2}, 400),
        ({"family": "k-means", "features": 20, "clusters": 100}, 2000),
        ({"family": "mlp", "features": 20, "hidden_layers": (64,), "outputs": 2}, 1409),
        ({"family": "mlp", "features": 100, "hidden_layers": (512, 256), "outputs": 2}, 183_297),
        ({"family": "svm-rbf", "features": 20, "support_vectors": 1355}, 28_455),
        ({"family": "k-nearest-neighbours-brute", "features": 50, "training_rows": 10_000}, 500_000),
    ],
)
def test_parameters_are_those_the_libraries_report(fields, parameters):
    assert size_of(**fields).parameters == parameters


def test_full_trees():
    size = size_of(family="gradient-boosting-xgboost", trees=500, depth=6)
    assert (size.leaves_per_tree, size.nodes, size.work_units) == (64, 500 * 127, 3500.0)


def test_one_tree_whatever_the_scenario_says_of_trees():
    assert size_of(family="decision-tree", trees=500, depth=6).trees == 1


@pytest.mark.parametrize(
    ("depth", "leaves", "stretch", "measured"),
    [(40, 1027, 1.37, 14.79), (16, 845, 1.37, 14.02), (8, 151, 1.37, 8.94), (6, 44, 1.2, 6.98), (10, 165, 1.2, 10.39)],
)
def test_path_length_against_measured_forests_and_boosters(depth, leaves, stretch, measured):
    assert visited_nodes_per_tree(depth=depth, leaves=leaves, stretch=stretch) == pytest.approx(measured, rel=0.12)


@pytest.mark.parametrize(
    ("fields", "nodes", "file_bytes", "tolerance"),
    [
        # XGBoost UBJ: 34 B a node and 660 B a tree.
        (
            {"family": "gradient-boosting-xgboost", "runtime": "booster", "trees": 1000, "depth": 6},
            127_000,
            34 * 127_000 + 660_000,
            0.002,
        ),
        # scikit-learn forest: 64 + 8 x classes = 80 B a node for two classes, 72 B for a regressor.
        ({"family": "random-forest", "trees": 100, "depth": 11, "outputs": 2}, 409_500, 80 * 409_500, 0.01),
        ({"family": "random-forest", "trees": 100, "depth": 11, "outputs": 1}, 409_500, 72 * 409_500, 0.01),
        # CatBoost cbm: 17.6 B a leaf.
        ({"family": "gradient-boosting-catboost", "trees": 1000, "depth": 6}, 127_000, 17.6 * 64_000, 0.02),
        # LightGBM text: about 110 B a leaf.
        (
            {"family": "gradient-boosting-lightgbm", "runtime": "booster", "trees": 500, "depth": 5, "leaves": 31},
            30_500,
            1_715_097,
            0.03,
        ),
    ],
)
def test_file_size(fields, nodes, file_bytes, tolerance):
    size = size_of(**fields)
    assert size.nodes == nodes
    assert size.file_bytes == pytest.approx(file_bytes, rel=tolerance)


@pytest.mark.parametrize(
    ("fields", "resident_bytes"),
    [
        # 500 unlimited trees of 1,022 leaves: 425 B a node in ONNX Runtime, 160 B a node in scikit-learn.
        (
            {
                "family": "random-forest",
                "runtime": "onnxruntime",
                "trees": 500,
                "depth": 40,
                "leaves": 1022,
                "outputs": 2,
            },
            438_550_528,
        ),
        (
            {"family": "random-forest", "runtime": "native", "trees": 500, "depth": 40, "leaves": 1022, "outputs": 2},
            166_842_368,
        ),
        (
            {"family": "gradient-boosting-xgboost", "runtime": "onnxruntime", "trees": 1000, "depth": 6, "leaves": 31},
            45_744_128,
        ),
        ({"family": "gradient-boosting-catboost", "runtime": "onnxruntime", "trees": 1000, "depth": 6}, 85_946_368),
        (
            {"family": "k-nearest-neighbours-brute", "runtime": "native", "features": 50, "training_rows": 100_000},
            26_288_128,
        ),
    ],
)
def test_resident_memory_within_15_percent_of_the_server(fields, resident_bytes):
    assert size_of(**fields).resident_bytes == pytest.approx(resident_bytes, rel=0.10)


def test_a_runtime_the_family_lacks_is_named_with_those_it_has():
    with pytest.raises(InputError) as caught:
        size_of(family="random-forest", runtime="compiled")
    assert caught.value.field == "runtime"
    assert "one of native, onnxruntime" in str(caught.value)


def test_more_leaves_than_the_depth_allows():
    with pytest.raises(InputError) as caught:
        size_of(family="random-forest", depth=4, leaves=17)
    assert caught.value.field == "leaves"
    assert "at most 16" in caught.value.allowed


@given(
    family=st.sampled_from(list(CATALOG.statistical_families)),
    field=st.sampled_from(["features", "outputs", "trees", "depth", "support_vectors", "training_rows", "clusters"]),
    low=st.integers(1, 20),
    more=st.integers(1, 12),
)
def test_a_larger_model_is_never_smaller(family, field, low, more):
    small = size_of(family=family, runtime="native", **{field: low})
    large = size_of(family=family, runtime="native", **{field: low + more})
    assert large.file_bytes >= small.file_bytes
    assert large.resident_bytes >= small.resident_bytes
    assert large.work_units >= small.work_units
