"""Sizes of files that the catalog's rules predict against files that the libraries write for models trained here."""

import pickle
import warnings

import pytest

from benchmarks import statistical_models
from benchmarks.statistical_models import files, train
from sizing import catalog
from sizing.score_table import Case
from sizing.statistical.cases import run_of
from sizing.statistical.structure import visited_nodes_per_tree

CATALOG = catalog.load()


@pytest.fixture(scope="module")
def trained():
    """Models by name, on few rows so that they train in moments."""
    made = {}

    def of(name):
        if name not in made:
            with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
                patch.setattr(statistical_models, "TRAINING_ROWS", 3000)
                warnings.simplefilter("ignore")  # what converters and libraries say of each other is not ours
                model = train(name)
                made[name] = (model, files(model))
        return made[name]

    return of


def run(model, runtime):
    cells = {"model_family": model.family, "runtime": runtime, "batch": "1"}
    return run_of(Case(2, cells | {key: str(value) for key, value in model.facts.items()}), CATALOG)


@pytest.mark.parametrize(
    ("name", "runtimes"),
    [
        ("xgb_60_d5_f12", ("native", "native_booster", "onnxruntime")),
        ("xgb_150_d3_f12", ("native_booster", "onnxruntime")),  # tree numbers above 127
        ("lgbm_40_l25_f12", ("native", "native_booster", "onnxruntime")),
        ("rf_30_d9_f12", ("native", "onnxruntime")),  # node numbers above 127
        ("rf_30_d7_f12_k3", ("native", "onnxruntime")),  # a leaf entry a class
        ("dt_d8_f12", ("native", "onnxruntime")),
        ("linreg_f150", ("native", "onnxruntime")),
        ("logreg_f150", ("native", "onnxruntime")),  # two rows of coefficients in ONNX for two classes
        ("logreg_f150_k5", ("native", "onnxruntime")),
        ("pipe_f150", ("native", "onnxruntime")),
        ("mlp_40x20_f30", ("native", "onnxruntime")),
        ("svc_f12_sv1500", ("native", "onnxruntime")),
        ("knnb_f12_sv3000", ("native", "onnxruntime")),
        ("knnt_f12_sv3000", ("native", "onnxruntime")),
    ],
)
def test_file_size_within_3_percent(trained, name, runtimes):
    model, written = trained(name)
    for runtime in runtimes:
        assert run(model, runtime).size.file_bytes == pytest.approx(len(written[runtime]), rel=0.03), (name, runtime)


def test_what_is_pickled_is_the_model_alone(trained):
    model, written = trained("rf_30_d9_f12")
    assert len(written["native"]) == len(pickle.dumps(model.model))


@pytest.mark.parametrize(
    ("name", "family", "depth"),
    [("xgb_60_d5_f12", "gradient-boosting-xgboost", 5), ("rf_30_d9_f12", "random-forest", 9), ("lgbm_40_l25_f12", "gradient-boosting-lightgbm", 64)],
)  # fmt: skip
def test_nodes_visited_follow_from_leaves(trained, name, family, depth):
    facts = trained(name)[0].facts
    trees = facts["n_trees"]
    stretch = CATALOG.statistical_family(family).path_stretch
    said = trees * visited_nodes_per_tree(depth=depth, leaves=max(2, round(facts["n_leaves"] / trees)), stretch=stretch)
    assert said == pytest.approx(facts["path_nodes"], rel=0.15)
