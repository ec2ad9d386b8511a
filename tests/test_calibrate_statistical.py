"""The fit of statistical models on data made up with known constants, and what it writes."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks import statistical_yaml
from benchmarks.calibrate_statistical import fit_busy, stated
from benchmarks.calibrate_statistical_steps import fitted as fitted_step
from benchmarks.statistical_bytes import FILE_PRIORS, RESIDENT_PRIORS
from benchmarks.statistical_fit import TIME_PRIORS, Builder, fit_scalings, shared
from benchmarks.statistical_report import why
from sizing import catalog
from sizing.score_table import Case
from sizing.statistical.cases import run_of

CATALOG = catalog.load()


def made_up(noise=0.0, outlier=1.0):
    """Rows of 100 + 5 ns x work of eight models at three batches, with priors far off."""
    rng, builder, models = np.random.default_rng(1), Builder(), []
    for model in range(8):
        for batch in (1, 64, 4096):
            work = batch * (model + 1) * 0.3
            time = (100 + 5 * work) * np.exp(noise * rng.normal()) * (outlier if (model, batch) == (3, 64) else 1.0)
            builder.add([(("call",), 1.0, (30.0, 2.0)), (("work",), work, (40.0, 2.0))], time, 0.05)
            models.append(str(model))
    return builder.problem(), models


def test_constants_are_found_again():
    problem, _ = made_up()
    assert np.exp(problem.solve()) == pytest.approx([100, 5], rel=1e-3)


def test_one_wild_row_hardly_moves_them():
    problem, _ = made_up(noise=0.03, outlier=5.0)
    assert np.exp(problem.solve()) == pytest.approx([100, 5], rel=0.06)


def test_a_model_held_back_has_no_say_in_its_own_prediction():
    problem, models = made_up(outlier=50.0)
    held = problem.held_out(models, problem.solve())
    mine = np.array(models) == "3"
    assert np.exp(held[mine]) == pytest.approx(100 + 5 * np.array([1, 64, 4096]) * 1.2, rel=0.02)


def test_a_prior_decides_what_no_row_speaks_of_and_gives_way_where_rows_do():
    builder = Builder()
    builder.add([(("a",), 1.0, (10.0, 0.1)), (("b",), 1e-9, (7.0, 0.5))], 20.0, 0.01)
    problem = builder.problem()
    assert np.exp(problem.solve()) == pytest.approx([20.0, 7.0], rel=0.02)


def test_powers_of_the_cpu_factor_are_found_again():
    rng = np.random.default_rng(2)
    keys = [(family, "native") for family in "abcdef" for _ in range(10)]
    call, loop = rng.uniform(10, 1000, 60), rng.uniform(10, 1000, 60)
    measured = call * 0.44**2.1 + loop * 0.44**1.2
    found = fit_scalings(keys, call, loop, measured, 0.44)
    assert found.usual == pytest.approx((2.1, 1.2), abs=0.02)
    assert found.of(("a", "native")) == pytest.approx((2.1, 1.2), abs=0.02)
    assert found.of(("never timed", "native")) == found.usual


def cell(runtime, median_us):
    cells = {
        "model_family": "linear_regression",
        "n_features": "5",
        "batch": "1",
        "runtime": runtime,
        "median_us": median_us,
    }
    return run_of(Case(2, cells), CATALOG)


def test_the_busy_law_is_found_again():
    call, rest = np.array([100.0, 10.0, 30.0, 80.0]), np.array([10.0, 100.0, 30.0, 20.0])
    runs = [
        cell(runtime, str((1.4 if runtime == "native" else 1.1) * a + 1.1 * b))
        for runtime, a, b in zip(("native", "native", "onnxruntime", "native"), call, rest, strict=True)
    ]
    law = fit_busy(call, rest, runs)
    assert (law["library_call"], law["rest"]) == pytest.approx((1.4, 1.1))
    assert law["error"] == pytest.approx(0, abs=1e-9)


def test_stated_errors_of_few_models_lean_on_the_usual_one():
    lucky = np.full(5, 0.01)
    assert stated(lucky, 1, 0.2) == pytest.approx(np.sqrt((0.01**2 + 3 * 0.2**2) / 4))
    assert stated(lucky, 100, 0.2) < 0.05


def test_a_step_is_found_again_on_the_host():
    def row(features, batch):
        us = 0.2 * 100 + 0.5 * batch * (30 + 4 * features) / 1000  # a CPU five times as fast at calls, twice at rows
        return {"kind": "scale", "runtime": "native", "features_in": str(features), "features_out": str(features), "batch": str(batch), "step_us": str(us)}  # fmt: skip

    found = fitted_step([row(f, b) for f in (5, 20, 80) for b in (1, 64, 1024)], 0.2, 0.5)
    assert found["call_us"] == pytest.approx(100, rel=0.02)
    assert found["value_ns"] == pytest.approx(4, rel=0.05)
    assert found["error_p90_share"] < 0.05


def test_the_catalog_file_is_written_as_it_is_read(tmp_path):
    for name in ("statistical_families", "statistical_steps"):
        shipped = Path("catalogs") / f"{name}.yaml"
        document = yaml.safe_load(shipped.read_text(encoding="utf-8"))
        copy = tmp_path / f"{name}.yaml"
        statistical_yaml.write(document, copy)
        assert copy.read_text(encoding="utf-8") == shipped.read_text(encoding="utf-8")


def test_every_runtime_of_the_catalog_has_priors_and_holds_what_the_fit_shares():
    ids = {(family.id, cost.id): cost for family in CATALOG.statistical_families.values() for cost in family.runtimes}
    assert set(ids) == set(TIME_PRIORS) == set(FILE_PRIORS) == set(RESIDENT_PRIORS)
    values: dict[tuple[str, ...], set[float]] = {}
    for key, cost in ids.items():
        for name in TIME_PRIORS[key]:
            values.setdefault(shared(key, name), set()).add(getattr(cost, name))
    assert all(len(found) == 1 for found in values.values())


def test_a_reason_is_given_for_a_cell_that_is_off():
    assert why(cell("native", "300")).startswith("busy host only")
