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
from sizing.statistical.measured import HOST, MeasuredService, fingerprint
from sizing.statistical.service_time import FEW_MODELS_ERROR, P90_TO_P80, model_time_us
from sizing.statistical.structure import runtime_cost, structure

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
    """Time factor of this machine against the catalog's host [1], with its 80 % interval: the geometric mean of the ratios
    measured / predicted at the fewest and at the most rows.

    A call of few rows is mostly the runtime's own work, one of many rows the trees'; processors speed the two up by different
    amounts, and half their distance is in the interval, beside the error of the catalog's constants (as independent errors of
    the logarithm). Raises MeasureError for a factor that no machine has.
    """
    ratios = reference_ratios(measurement, catalog)
    if not ratios:
        raise MeasureError("The reference was not timed, so the speed of this machine is not known.")
    few, many = log(ratios[0][1]), log(ratios[-1][1])
    factor = exp((few + many) / 2.0)
    if not LEAST_FACTOR <= factor <= MOST_FACTOR:
        raise MeasureError(
            f"This machine seems to take {factor:.3g} times as long as the catalog's host, which no machine does: measure again."
        )
    half = hypot(_reference_error(catalog), (few - many) / 2.0)
    return CpuSpeed(factor, factor * exp(-half), factor * exp(half), "this machine")


def machine_parts(measurement: Measurement, catalog: Catalog) -> MachineParts:
    """Factors of the two parts of a call's time [1], from the reference at two numbers of rows: with the work O of a call and w
    of a row predicted, O x call + n x w x rows = measured at each n. Both are the one factor of `machine_speed` where that has
    no solution above 0. Raises MeasureError as `machine_speed`."""
    speed = machine_speed(measurement, catalog)
    few, many = measurement.reference[0], measurement.reference[-1]
    if many.rows > few.rows:
        call_us = _reference_us(catalog, 0)
        row_us = (_reference_us(catalog, many.rows) - call_us) / many.rows
        rows = (many.median_ms - few.median_ms) * 1e3 / ((many.rows - few.rows) * row_us)
        call = (few.median_ms * 1e3 - few.rows * row_us * rows) / call_us
        if rows > 0 and call > 0:
            return MachineParts(call, rows)
    return MachineParts(speed.factor, speed.factor)


def _reference_error(catalog: Catalog) -> float:
    """Half-width of the 80 % interval of the reference's predicted time, as a logarithm [1]."""
    cost = catalog.statistical_family(reference.FAMILY).runtime(RUNTIME)
    assert cost is not None
    return log1p(cost.error_p90_share * P90_TO_P80)


def onnx_scenario(scenario: StatisticalScenario, catalog: Catalog) -> StatisticalScenario | None:
    """The scenario with its model in ONNX Runtime and nothing measured; None where the family was not measured in that."""
    if catalog.statistical_family(scenario.family).runtime(RUNTIME) is None:
        return None
    return scenario.model_copy(update={"runtime": RUNTIME, "measured_service": None})


def compared(measurement: Measurement, scenario: StatisticalScenario, catalog: Catalog) -> tuple[Compared, ...]:
    """Each number of rows measured beside the prediction for the scenario's model in ONNX Runtime on this machine [ms]: the work
    of a call and that of its rows on the catalog's host, each x its factor of `machine_parts`.

    The interval joins the errors of the model's constants, of the reference's and, for another family, of taking its factor for
    other work, as independent errors of the logarithm.
    """
    there = onnx_scenario(scenario, catalog)
    if there is None:
        return tuple(Compared(one, None, None, None) for one in measurement.rows)
    family = catalog.statistical_family(there.family)
    cost, size = runtime_cost(there, family), structure(scenario=there, family=family)
    parts = machine_parts(measurement, catalog)
    error = cost.error_p90_share if cost.held_out else max(cost.error_p90_share, FEW_MODELS_ERROR)
    other = 0.0 if family.id == reference.FAMILY else OTHER_WORK_ERROR
    half = hypot(log1p(error * P90_TO_P80), _reference_error(catalog), other)
    call_us = model_time_us(cost=cost, size=size, rows=0)
    found = []
    for one in measurement.rows:
        rows_us = model_time_us(cost=cost, size=size, rows=one.rows) - call_us
        ms = (call_us * parts.call + rows_us * parts.rows) / 1e3
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
