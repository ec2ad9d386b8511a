"""`score statistical`: what is predicted, skipped and left out of a small file typed in, and which row calibrates a CPU."""

import csv
import io

import pytest

from sizing import catalog
from sizing.__main__ import main
from sizing.errors import InputError
from sizing.score import score_text
from sizing.score_table import Case, summary
from sizing.statistical.cases import run_of
from sizing.statistical.law import call_and_loop_us

CATALOG = catalog.load()

XGB = {
    "model_family": "xgboost", "runtime": "native", "n_features": "20", "n_estimators": "100", "max_depth": "6",
    "n_nodes": "8782", "n_leaves": "4441", "path_nodes": "697.7", "n_trees": "100", "n_outputs": "2", "batch": "512",
    "median_us": "1748", "min_us": "1608", "size_bytes": "368520", "rss_delta_bytes": "7983104", "cpu_model": "AMD EPYC",
    "model_id": "xgb_100", "wall_median_us": "1750",
}  # fmt: skip
"""A quiet row of ours, 2026-11."""
FOREST = {
    **XGB, "model_family": "random_forest", "runtime": "onnxruntime", "model_id": "rf_500", "n_nodes": "1021802",
    "n_leaves": "511151", "n_trees": "500", "n_estimators": "500", "max_depth": "None", "path_nodes": "7419.3", "batch": "512",
    "median_us": "70352", "min_us": "68612", "size_bytes": "40833886", "rss_delta_bytes": "438550528", "wall_median_us": "70400",
}  # fmt: skip
LINEAR = {
    "model_family": "linear_regression", "runtime": "onnxruntime", "n_features": "100", "params": "101", "n_outputs": "1",
    "batch": "1", "median_us": "25", "min_us": "24.9", "cpu_model": "AMD EPYC", "model_id": "lin",
}  # fmt: skip


def table(*rows):
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def scored(*rows):
    return score_text("statistical", table(*rows))


def of(rows, quantity):
    return {row.id: row for row in rows if row.quantity == quantity}


def test_models_of_ours_are_predicted_with_intervals_that_hold_them():
    rows = scored(XGB, {**XGB, "batch": "1", "median_us": "594", "min_us": "544"}, FOREST, LINEAR)
    times = of(rows, "service_time_us")
    assert set(times) == {"xgb_100/native/512", "xgb_100/native/1", "rf_500/onnxruntime/512", "lin/onnxruntime/1"}
    for row in times.values():
        assert row.error_percent < 25, row
        assert row.low < row.predicted < row.high
        assert row.is_inside
    assert not [row for row in rows if not row.quantity]


def test_bytes_come_once_a_model_and_runtime_and_large_memory_is_a_quantity_of_its_own():
    rows = scored(XGB, {**XGB, "batch": "1"}, FOREST, LINEAR)
    assert set(of(rows, "file_bytes")) == {"xgb_100/native/512", "rf_500/onnxruntime/512"}
    assert set(of(rows, "resident_bytes_small")) == {"xgb_100/native/512"}
    assert set(of(rows, "resident_bytes_above_20mb")) == {"rf_500/onnxruntime/512"}
    assert all(row.error_percent < 3 for row in of(rows, "file_bytes").values())
    assert of(rows, "resident_bytes_above_20mb")["rf_500/onnxruntime/512"].error_percent < 15


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"model_family": "arima"}, "the catalog has no family for arima"),
        ({"runtime": "tl3cgen"}, "has no Gradient boosting (XGBoost) in tl3cgen"),
        ({"model_family": "random_forest", "runtime": "tl2cgen"}, "has no Random forest in tl2cgen"),
        ({"n_trees": "", "n_estimators": ""}, "no number of trees"),
        ({"n_nodes": "", "n_leaves": "", "max_depth": "None"}, "neither nodes nor leaves nor depth"),
        ({"batch": ""}, "no number of rows a call"),
        ({"n_features": ""}, "no number of features"),
        ({"model_family": "svm_rbf"}, "n_support"),
        ({"model_family": "mlp"}, "params"),
    ],
)
def test_what_cannot_be_predicted_is_skipped_with_the_reason(changes, because):
    rows = scored({**XGB, **changes})
    assert [row.quantity for row in rows] == [""]
    assert because in rows[0].skipped_because


def test_cells_that_are_optional_may_be_missing():
    bare = {
        "model_family": "xgboost",
        "runtime": "native_booster",
        "n_features": "20",
        "n_trees": "100",
        "max_depth": "6",
    }
    rows = scored({**bare, "batch": "512", "median_us": "1634"})
    times = of(rows, "service_time_us")
    (row,) = times.values()
    assert row.low < row.predicted < row.high
    # Without a CPU the factor is not known, so full trees are predicted with a wide interval.
    assert row.high / row.low > 3
    assert not of(rows, "file_bytes")


def test_leaves_say_what_nodes_do():
    full = {name: value for name, value in XGB.items() if name != "n_nodes"}
    by_nodes, by_leaves = (of(scored(row), "service_time_us")["xgb_100/native/512"].predicted for row in (XGB, full))
    assert by_nodes == pytest.approx(by_leaves)


def test_the_calibration_point_is_the_steadiest_tree_row_of_each_cpu_and_is_left_out():
    def on(cpu, batch, median, least, name="xgb_100"):
        return {**XGB, "cpu_model": cpu, "batch": batch, "median_us": median, "min_us": least, "model_id": name}

    rows = scored(
        on("AMD EPYC", "512", "1748", "1500"),
        on("AMD EPYC", "64", "755", "750"),
        on("AMD EPYC", "1", "594", "593.9"),  # steadier, but at one row
        {**LINEAR, "median_us": "25", "min_us": "25"},  # steadier, but no trees
        on("mystery", "512", "900", "890", "other"),
        on("mystery", "4096", "5000", "4000", "other"),
    )
    points = {row.id: row for row in rows if row.quantity and row.skipped_because}
    assert set(points) == {"xgb_100/native/64", "other/native/512"}
    assert all(row.predicted is None for row in points.values())
    assert "mystery" in points["other/native/512"].skipped_because
    compared = {row.id for row in rows if row.quantity == "service_time_us_calibrated" and row.predicted is not None}
    assert compared == {"xgb_100/native/512", "xgb_100/native/1", "lin/onnxruntime/1", "other/native/4096"}


def test_the_point_does_not_depend_on_how_well_it_is_predicted():
    rows = [
        {**XGB, "batch": b, "median_us": m, "min_us": n} for b, m, n in (("64", "755", "750"), ("512", "9999", "9000"))
    ]
    swapped = [
        {**XGB, "batch": b, "median_us": m, "min_us": n}
        for b, m, n in (("64", "7550", "7500"), ("512", "1748", "1500"))
    ]
    for file in (rows, swapped):
        points = [row.id for row in scored(*file) if row.quantity and row.skipped_because]
        assert points == ["xgb_100/native/64"]


def test_one_point_brings_an_unknown_cpu_near():
    family = CATALOG.statistical_family("gradient-boosting-xgboost")

    def there(batch):
        """Our time on a CPU of factor 0.15, by hand: calls and rows by their own powers."""
        row = Case(2, {**XGB, "batch": batch})
        size, cost = run_of(row, CATALOG).size, family.runtime("native")
        call, loop = call_and_loop_us(cost=cost, size=size, rows=int(batch))
        return call * 0.15**cost.call_scaling + loop * 0.15**cost.loop_scaling

    times = {batch: there(batch) for batch in ("1", "64", "512", "4096")}
    rows = scored(
        *({**XGB, "cpu_model": "?", "batch": b, "median_us": str(t), "min_us": str(t / 1.02)} for b, t in times.items())
    )
    before = [row.error_percent for row in of(rows, "service_time_us").values()]
    after = [r.error_percent for r in of(rows, "service_time_us_calibrated").values() if r.predicted is not None]
    assert min(before) > 200
    assert max(after) < 60
    assert max(after) < min(before) / 5


def test_a_busy_host_is_known_by_the_clock_and_raises_calls_more_than_rows():
    long_row = {**FOREST, "wall_median_us": "300000"}
    quiet, busy = scored(XGB, FOREST), scored(XGB, long_row)

    def rise(name):
        return of(busy, "service_time_us")[name].predicted / of(quiet, "service_time_us")[name].predicted

    assert rise("xgb_100/native/512") > rise("rf_500/onnxruntime/512") > 1


def test_bad_cells_and_missing_columns_are_named():
    with pytest.raises(InputError, match=r"batch.*whole number"):
        scored({**XGB, "batch": "1.5"})
    with pytest.raises(InputError, match="median_us"):
        score_text("statistical", table({k: v for k, v in XGB.items() if k != "median_us"}))


def test_the_command_prints_the_point_and_the_families(tmp_path, capsys):
    file, out = tmp_path / "cases.csv", tmp_path / "rows.csv"
    file.write_text(table(XGB, FOREST, LINEAR), encoding="utf-8")
    assert main(["score", "statistical", str(file), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "rf_500/onnxruntime/512 is left out: calibration point of AMD EPYC: its factor goes from 1.00 to" in said
    assert "Gradient boosting (XGBoost)" in said
    assert "service_time_us_calibrated" in said
    with out.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert {row["quantity"] for row in rows} == {
        "service_time_us", "service_time_us_calibrated", "file_bytes", "resident_bytes_small", "resident_bytes_above_20mb",
    }  # fmt: skip


def test_a_file_of_four_rows_is_four_cases():
    rows = scored(XGB, {**XGB, "batch": "1"}, FOREST, LINEAR)
    assert summary(rows).startswith("4 cases, 4 predicted, 0 skipped.")
