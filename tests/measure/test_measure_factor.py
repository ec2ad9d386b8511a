"""What a measurement says: this machine's factor and interval, the prediction beside the times, the scenario's text."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log, log1p, sqrt

import pytest

from sizing import catalog as catalogs
from sizing.measure import records
from sizing.measure.factor import compared, machine_parts, machine_speed, measured_text, onnx_scenario, reference_ratios
from sizing.measure.records import BatchTime, Checked, MeasureError, Measurement, ModelInput
from sizing.measure.table import COLUMNS, speed_text, table_rows, text
from sizing.scenario import StatisticalScenario
from sizing.statistical.measured import fingerprint, parse_measured
from sizing.statistical_rows import StatisticalFamily

CATALOG = catalogs.load()
COST = CATALOG.statistical_family("gradient-boosting-xgboost").runtime("onnxruntime")
assert COST is not None
# 100 trees of 7 nodes on a path; 12,700 nodes of 40 bytes are less than the cache of 512 KiB, and 127 nodes of a tree stay near.
CALL_US = COST.call_us + 100 * COST.tree_us
ROWS_US = {
    rows: (rows * (COST.row_ns + 20 * COST.value_ns + 700 * COST.unit_ns) + min(rows, 8) * 700 * COST.first_rows_ns)
    / 1000
    for rows in (1, 64, 512)
}
HOST_US = {rows: CALL_US + us for rows, us in ROWS_US.items()}
XGB = StatisticalScenario(runtime="onnxruntime", features=20)


def timed(rows: int, ms: float) -> BatchTime:
    return BatchTime(rows=rows, calls=100, median_ms=ms, p99_ms=2 * ms, wall_median_ms=1.1 * ms, wall_p99_ms=3 * ms)


def us_at(factor: float, rows: int) -> float:
    """Time of the reference on a CPU of this factor: call and rows by their powers."""
    assert COST is not None
    return CALL_US * factor**COST.call_scaling + ROWS_US[rows] * factor**COST.loop_scaling


def of_factors(few: float, many: float, *rows: BatchTime) -> Measurement:
    """A measurement on a machine that is a CPU of one factor at 1 row and of another at 512 rows."""
    return machine(us_at(few, 1) / HOST_US[1], us_at(many, 512) / HOST_US[512], *rows)


def machine(few: float, many: float, *rows: BatchTime) -> Measurement:
    """A measurement on a machine that takes so many times as long as the catalog's host at 1 and at 512 rows."""
    reference = (timed(1, few * HOST_US[1] / 1e3), timed(512, many * HOST_US[512] / 1e3))
    return Measurement(reference, rows or (timed(1, 0.02),), 5.0, 80 * 2**20, 90 * 2**20, 100 * 2**20, True)


def test_a_machine_of_one_factor() -> None:
    speed = machine_speed(of_factors(0.5, 0.5), CATALOG)
    assert COST is not None
    half = log1p(COST.error_p90_share * 1.282 / 1.645)
    assert speed.factor == pytest.approx(0.5)
    assert (speed.low, speed.high) == (pytest.approx(0.5 * exp(-half)), pytest.approx(0.5 * exp(half)))


def test_a_machine_whose_calls_and_trees_differ() -> None:
    """Factors of 0.2 and 0.8: the mean is 0.4, the interval holds both."""
    found = of_factors(0.2, 0.8)
    speed = machine_speed(found, CATALOG)
    assert COST is not None
    half = sqrt(log1p(COST.error_p90_share * 1.282 / 1.645) ** 2 + log(2) ** 2)
    few, many = us_at(0.2, 1) / HOST_US[1], us_at(0.8, 512) / HOST_US[512]
    assert reference_ratios(found, CATALOG) == ((1, pytest.approx(few)), (512, pytest.approx(many)))
    assert speed.factor == pytest.approx(0.4)
    assert log(speed.high / 0.4) == pytest.approx(half) == pytest.approx(log(0.4 / speed.low))
    assert speed.low < 0.2
    assert speed.high > 0.8
    said = speed_text(found, speed, CATALOG)
    assert "factor of this machine 0.40" in said
    assert f"{few:.2f} at 1 row a call and {many:.2f} at 512 rows a call" in said


def test_the_two_parts_of_a_call_are_taken_apart() -> None:
    """A machine that takes 0.25 of the host's time for a call and 0.75 for rows, told by its times at 1 and 512 rows."""
    assert COST is not None
    times = {rows: (0.25 * CALL_US + 0.75 * us) / 1e3 for rows, us in ROWS_US.items()}
    found = replace(machine(1, 1, timed(64, times[64])), reference=(timed(1, times[1]), timed(512, times[512])))
    parts = machine_parts(found, CATALOG)
    assert (parts.call, parts.rows) == (pytest.approx(0.25), pytest.approx(0.75))
    (one,) = compared(found, XGB, CATALOG)
    assert one.difference_share == pytest.approx(0.0)
    assert one.low_ms is not None
    assert one.predicted_ms is not None
    constants = log1p(COST.error_p90_share * 1.282 / 1.645)
    assert log(one.predicted_ms / one.low_ms) == pytest.approx(sqrt(2) * constants)


def test_another_familys_work_widens_the_interval() -> None:
    """The factor is that of boosted trees; for a sum over features the interval is wider by `OTHER_WORK_ERROR`."""
    family = CATALOG.statistical_family("logistic-regression")
    cost = family.runtime("onnxruntime")
    assert cost is not None
    assert COST is not None
    (one,) = compared(machine(0.5, 0.5), StatisticalScenario(family=family.id, runtime="onnxruntime"), CATALOG)
    assert one.predicted_ms is not None
    assert one.high_ms is not None
    errors = [log1p(share * 1.282 / 1.645) for share in (cost.error_p90_share, COST.error_p90_share)]
    assert log(one.high_ms / one.predicted_ms) == pytest.approx(sqrt(errors[0] ** 2 + errors[1] ** 2 + 0.7**2))


def test_parts_that_do_not_come_apart_are_powers_of_the_one_factor() -> None:
    assert COST is not None
    few_slow = replace(machine(1, 1), reference=(timed(1, 1.0), timed(512, 0.9)))
    alone = replace(machine(1, 1), reference=(timed(1, 0.5 * HOST_US[1] / 1e3),))
    for found in (few_slow, alone):
        factor = machine_speed(found, CATALOG).factor
        parts = machine_parts(found, CATALOG)
        assert (parts.call, parts.rows) == (factor**COST.call_scaling, factor**COST.loop_scaling)


def test_a_factor_that_no_machine_has_is_refused() -> None:
    for share in (1e-3, 1e3):
        with pytest.raises(MeasureError, match="which no machine does"):
            machine_speed(machine(share, share), CATALOG)
    with pytest.raises(MeasureError, match="not timed"):
        machine_speed(replace(machine(1, 1), reference=()), CATALOG)


def test_the_reference_model_itself_is_predicted_exactly() -> None:
    """The scenario of the reference on a machine of factor 0.5: prediction = measurement."""
    rows = (timed(1, 0.5 * HOST_US[1] / 1e3), timed(512, 1.5 * 0.5 * HOST_US[512] / 1e3))
    one, many = compared(machine(0.5, 0.5, *rows), XGB, CATALOG)
    assert one.difference_share == pytest.approx(0.0)
    assert many.difference_share == pytest.approx(0.5)
    assert one.predicted_ms is not None
    assert one.low_ms is not None
    assert one.high_ms is not None
    assert one.low_ms < one.predicted_ms < one.high_ms


def test_rows_http_and_own_measurements_of_the_scenario_do_not_change_the_prediction() -> None:
    found = machine(0.5, 0.5)
    other = XGB.model_copy(
        update={
            "rows_per_request": 64,
            "http_overhead_ms": 5.0,
            "measured_service": f"host-1~{fingerprint(XGB)}~model~1=9",
        }
    )
    assert compared(found, other, CATALOG) == compared(found, XGB, CATALOG)
    native = compared(found, XGB.model_copy(update={"runtime": "native"}), CATALOG)
    assert native == compared(found, XGB, CATALOG)


def test_a_family_without_onnx_runtime_has_no_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StatisticalFamily, "runtime", lambda family, name: None)
    assert onnx_scenario(XGB, CATALOG) is None
    (one,) = compared(machine(1, 1), XGB, CATALOG)
    assert (one.predicted_ms, one.difference_share) == (None, None)
    assert table_rows((one,))[0][-2:] == ("–", "–")


def test_the_text_goes_into_the_scenario_and_counts_for_its_model() -> None:
    found = of_factors(0.2, 0.8, timed(1, 0.0123456), timed(64, 1.5))
    written = measured_text(found, XGB, CATALOG)
    assert written == f"host-0.4~{fingerprint(XGB)}~model~1=0.01235,64=1.5"
    read = parse_measured(written)
    assert (read.cpu_factor, read.timed, read.rows) == (0.4, "model", (1, 64))
    StatisticalScenario(measured_service=written)
    for share in (0.0201, 0.0234567, 1.0, 49.999):
        parse_measured(measured_text(of_factors(share, share, timed(1, 1e-9)), XGB, CATALOG))


def test_the_table_says_all_of_it() -> None:
    found = replace(machine(0.5, 0.5, timed(1, 0.02), timed(64, 1.5)), notes=("A note",))
    rows, speed = compared(found, XGB, CATALOG), machine_speed(found, CATALOG)
    lines = text(found, rows, speed, CATALOG).splitlines()
    assert lines[0].split("  ")[0].strip() == COLUMNS[0]
    assert len({len(line) for line in lines[:3]}) == 1
    assert "20 µs" in lines[1]
    assert "1.5 ms" in lines[2]
    assert "Memory that loading added: 10.00 MiB" in lines
    assert "A note." in lines


def test_open_dimensions_are_asked_for_but_the_batch() -> None:
    one = ModelInput("a", "float32", ("n", "length", "n", 3))
    two = ModelInput("b", "int64", (5, "length", "width"))
    assert Checked((one, two), ()).asked == ("length", "width")
    assert Checked((one, two), ()).fixed_batch is None
    assert Checked((two,), ()).fixed_batch == 5
    assert Checked((ModelInput("scalar", "float32", ()),), ()).fixed_batch == 1
    assert Checked((), ()).fixed_batch == 1


GOOD = {"rows": 1, "calls": 3, "median_ms": 1, "p99_ms": 1.0, "wall_median_ms": 1.0, "wall_p99_ms": 1.0}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rows", 0), ("rows", True), ("rows", 1.5), ("rows", "1"), ("calls", -1), ("median_ms", float("nan")),
        ("median_ms", 0), ("p99_ms", float("inf")), ("p99_ms", "fast"), ("wall_median_ms", None), ("wall_p99_ms", 1e12),
    ],
)  # fmt: skip
def test_messages_with_what_is_no_time_are_refused(key: str, value: object) -> None:
    assert records.batch_time(GOOD).median_ms == 1.0
    for message in ({**GOOD, key: value}, {k: v for k, v in GOOD.items() if k != key}, [], None):
        with pytest.raises(MeasureError, match="no usable answer"):
            records.batch_time(message)


def test_sentences_of_the_process_are_short_and_printable() -> None:
    assert records.sentence("one\ttwo\n\x1b[31mthree") == "one two [31mthree"
    assert len(records.sentence("x" * 5000)) == 400
    assert records.progress({"doing": "x", "share": 7, "seconds_left": -1}) == records.Progress("x", 1.0, 0.0)
    for message in ({}, {"doing": 3, "share": 0, "seconds_left": 0}):
        with pytest.raises(MeasureError):
            records.progress(message)
