"""What a measurement says: the speed of this machine, the model's times beside their prediction, the text for the scenario.

The reference is a model of the catalog whose time on the catalog's host is known, so measured / predicted is this machine's
time factor, as `sizing.cpu` has it for the machines on rent.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, hypot, log, log1p

from sizing.catalog import Catalog
from sizing.cpu import CpuSpeed
from sizing.measure.records import BatchTime, MeasureError, Measurement
from sizing.onnx import reference
from sizing.scenario import StatisticalScenario
from sizing.statistical.calibration import factor_said
from sizing.statistical.candidate import model_of
from sizing.statistical.measured import HOST, MeasuredService, fingerprint
from sizing.statistical.own import resolved
from sizing.statistical.service_time import FEW_MODELS_ERROR, P90_TO_P80, model_time_us
from sizing.statistical.structure import runtime_cost, structure
from sizing.statistical_rows import RuntimeCost

RUNTIME = "onnxruntime"
LEAST_FACTOR, MOST_FACTOR = 0.02, 50.0
"""Time factors that a machine can have [1]: 50 times as fast or as slow as the catalog's host is no machine but a fault."""
OTHER_WORK_ERROR = 0.7
"""Error of the reference's factor for the work of another family [1], half-width of an 80 % interval of the logarithm: trees that
miss the cache, products of matrices and sums speed up by other amounts. About the 80th percentile of 12 points of 3 models
(logistic regression, random forest, perceptron) on one Zen 5 host, where it was too slow by up to 3.5 times; own, 2026-11-25."""
LEAST_MS = 1e-6
"""Shortest time the scenario's text can hold [ms]."""


@dataclass(frozen=True)
class Compared:
    """One number of rows: what was measured, and the scenario's model predicted for this machine, with its 80 % interval [ms];
    None where the catalog has no such model in ONNX Runtime."""

    measured: BatchTime
    predicted_ms: float | None
    low_ms: float | None
    high_ms: float | None

    @property
    def difference_share(self) -> float | None:
        """Measured over predicted, less 1 [1]."""
        return None if self.predicted_ms is None else self.measured.median_ms / self.predicted_ms - 1.0


@dataclass(frozen=True)
class MachineParts:
    """Time factors of this machine against the catalog's host [1]: of the work of a call, and of that of its rows."""

    call: float
    rows: float


def _reference_us(catalog: Catalog, rows: int) -> float:
    """Predicted time of the reference on the catalog's host [us]; at 0 rows the work of a call alone."""
    scenario = StatisticalScenario(
        family=reference.FAMILY,
        runtime=RUNTIME,
        trees=reference.TREES,
        depth=reference.DEPTH,
        features=reference.FEATURES,
    )
    family = catalog.statistical_family(reference.FAMILY)
    size = structure(scenario=scenario, family=family)
    return model_time_us(cost=runtime_cost(scenario, family), size=size, rows=rows)


def reference_ratios(measurement: Measurement, catalog: Catalog) -> tuple[tuple[int, float], ...]:
    """Measured / predicted time of the reference on the catalog's host [1], by rows of a call."""
    return tuple((one.rows, one.median_ms * 1e3 / _reference_us(catalog, one.rows)) for one in measurement.reference)


def machine_speed(measurement: Measurement, catalog: Catalog) -> CpuSpeed:
    """Time factor of this machine against the catalog's host [1], with its 80 % interval: the geometric mean of the factors at
    which the fewest and the most rows would be predicted right.

    A call of few rows is mostly the runtime's own work, one of many rows the trees'; processors speed the two up by different
    amounts, and half their distance is in the interval, beside the error of the catalog's constants (as independent errors of
    the logarithm). Raises MeasureError for a factor that no machine has.
    """
    if not measurement.reference:
        raise MeasureError("The reference was not timed, so the speed of this machine is not known.")
    cost = _reference_cost(catalog)
    call_us = _reference_us(catalog, 0)
    few, many = (
        log(factor_said(cost, (call_us, _reference_us(catalog, one.rows) - call_us), one.median_ms * 1e3))
        for one in (measurement.reference[0], measurement.reference[-1])
    )
    factor = exp((few + many) / 2.0)
    if not LEAST_FACTOR <= factor <= MOST_FACTOR:
        raise MeasureError(
            f"This machine seems to take {factor:.3g} times as long as the catalog's host, which no machine does: measure again."
        )
    half = hypot(_reference_error(catalog), (few - many) / 2.0)
    return CpuSpeed(factor, factor * exp(-half), factor * exp(half), "this machine")


def machine_parts(measurement: Measurement, catalog: Catalog) -> MachineParts:
    """Factors of the two parts of a call's time [1], from the reference at two numbers of rows: with the work O of a call and w(n)
    of n rows predicted, O x call + w(n) x rows = measured at each n. Both are the powers of the one factor of
    `machine_speed` where that has no solution above 0. Raises MeasureError as `machine_speed`."""
    speed = machine_speed(measurement, catalog)
    few, many = measurement.reference[0], measurement.reference[-1]
    if many.rows > few.rows:
        call_us = _reference_us(catalog, 0)
        few_us, many_us = (_reference_us(catalog, one.rows) - call_us for one in (few, many))
        rows = (many.median_ms - few.median_ms) * 1e3 / (many_us - few_us)
        call = (few.median_ms * 1e3 - few_us * rows) / call_us
        if rows > 0 and call > 0:
            return MachineParts(call, rows)
    cost = _reference_cost(catalog)
    return MachineParts(speed.factor**cost.call_scaling, speed.factor**cost.loop_scaling)


def _reference_cost(catalog: Catalog) -> RuntimeCost:
    cost = catalog.statistical_family(reference.FAMILY).runtime(RUNTIME)
    assert cost is not None
    return cost


def _reference_error(catalog: Catalog) -> float:
    """Half-width of the 80 % interval of the reference's predicted time, as a logarithm [1]."""
    return log1p(_reference_cost(catalog).error_p90_share * P90_TO_P80)


def onnx_scenario(scenario: StatisticalScenario, catalog: Catalog) -> StatisticalScenario | None:
    """The scenario with its model in ONNX Runtime and nothing measured; None where the family was not measured in that."""
    scenario = resolved(scenario)
    if catalog.statistical_family(scenario.family).runtime(RUNTIME) is None:
        return None
    return scenario.model_copy(update={"runtime": RUNTIME, "measured_service": None})


def compared(measurement: Measurement, scenario: StatisticalScenario, catalog: Catalog) -> tuple[Compared, ...]:
    """Each number of rows measured beside the prediction for the scenario's model in ONNX Runtime on this machine [ms]: the work
    of a call and that of its rows on the catalog's host, each x its factor of `machine_parts` to the power by which this model's
    runtime follows the CPU against that of the reference's.

    The interval joins the errors of the model's constants, of the reference's and, for another family, of taking its factor for
    other work, as independent errors of the logarithm.
    """
    there = onnx_scenario(scenario, catalog)
    if there is None:
        return tuple(Compared(one, None, None, None) for one in measurement.rows)
    family = catalog.statistical_family(there.family)
    model = model_of(there, catalog)
    cost, size, before = model.cost, model.size, model.before
    parts = machine_parts(measurement, catalog)
    error = cost.error_p90_share if cost.held_out else max(cost.error_p90_share, FEW_MODELS_ERROR)
    other = 0.0 if family.id == reference.FAMILY else OTHER_WORK_ERROR
    half = hypot(log1p(error * P90_TO_P80), _reference_error(catalog), other)
    alone_us, known = model_time_us(cost=cost, size=size, rows=0), _reference_cost(catalog)
    call = parts.call ** (cost.call_scaling / known.call_scaling)
    each = parts.rows ** (cost.loop_scaling / known.loop_scaling)
    found = []
    for one in measurement.rows:
        rows_us = model_time_us(cost=cost, size=size, rows=one.rows) - alone_us + one.rows * before.row_us
        ms = ((alone_us + before.call_us) * call + rows_us * each) / 1e3
        found.append(Compared(one, ms, ms * exp(-half), ms * exp(half)))
    return tuple(found)


def measured_text(measurement: Measurement, scenario: StatisticalScenario, catalog: Catalog) -> str:
    """The medians as the scenario's field `measured_service` has them: this machine's factor, the fingerprint of the scenario's
    model, calls of the model alone by rows."""
    factor = machine_speed(measurement, catalog).factor
    return MeasuredService(
        where=f"{HOST}{factor:.3g}",
        fingerprint=fingerprint(scenario),
        timed="model",
        rows=tuple(one.rows for one in measurement.rows),
        times_ms=tuple(max(one.median_ms, LEAST_MS) for one in measurement.rows),
    ).text()
