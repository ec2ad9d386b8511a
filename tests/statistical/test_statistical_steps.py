"""What preprocessing steps add to a call: by hand from the catalog's constants, and against the one pipeline timed on the host."""

from dataclasses import dataclass
from typing import get_args

import pytest

from sizing import catalog
from sizing.errors import InputError
from sizing.statistical.steps import NOTHING, preparation_of, step_cost
from sizing.statistical_rows import StepKind

CATALOG = catalog.load()


@dataclass(frozen=True)
class Step:
    kind: str
    features_in: int
    features_out: int


def test_every_kind_has_a_row_with_costs_in_both_runtimes():
    assert set(CATALOG.statistical_steps) == set(get_args(StepKind))
    for row in CATALOG.statistical_steps.values():
        assert {cost.id for cost in row.runtimes} == {"native", "onnxruntime"}


@pytest.mark.parametrize(
    ("runtime", "rows", "measured_us", "tolerance"),
    # Scaler and logistic regression of 100 features less the regression alone, quiet medians of ours, 2026-11.
    [("native", 1, 861 - 379, 0.1), ("native", 512, 1034 - 439, 0.1), ("onnxruntime", 512, 458 - 76, 0.15)],
)
def test_a_scaler_costs_what_it_did_on_the_measured_host(runtime, rows, measured_us, tolerance):
    steps = [Step("scale", 100, 100)]
    assert preparation_of(steps, runtime=runtime, catalog=CATALOG).time_us(rows) == pytest.approx(
        measured_us, rel=tolerance
    )


def test_steps_add_up_by_hand():
    one_hot, polynomial = (CATALOG.statistical_steps[kind].runtime("native") for kind in ("one_hot", "polynomial"))
    steps = [Step("one_hot", 4, 32), Step("polynomial", 10, 65)]
    found = preparation_of(steps, runtime="native", catalog=CATALOG)
    assert found.call_us == pytest.approx(
        one_hot.call_us + 4 * one_hot.feature_us + polynomial.call_us + 65 * polynomial.column_us
    )
    each = one_hot.row_ns + 4 * one_hot.value_ns + polynomial.row_ns + 65 * polynomial.output_ns
    assert found.row_us == pytest.approx(each / 1000)
    assert found.time_us(50) == pytest.approx(found.call_us + 50 * found.row_us)


def test_steps_beside_other_runtimes_run_in_the_library():
    for runtime in ("booster", "compiled"):
        assert step_cost("scale", runtime, CATALOG) is step_cost("scale", "native", CATALOG)
    assert step_cost("scale", "onnxruntime", CATALOG).call_us < step_cost("scale", "native", CATALOG).call_us / 20


def test_no_steps_cost_nothing_and_unknown_ones_are_named():
    assert preparation_of([], runtime="native", catalog=CATALOG) == NOTHING
    with pytest.raises(InputError, match="one of scale"):
        preparation_of([Step("astrology", 1, 1)], runtime="native", catalog=CATALOG)
