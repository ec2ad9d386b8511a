"""Time of the preprocessing steps of a pipeline: scaling, imputing, encoding, before the model itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sizing.catalog import Catalog
from sizing.errors import InputError
from sizing.statistical_rows import StatisticalStep, StepCost

ONNX = "onnxruntime"
LIBRARY = "native"
"""Where steps run beside any other runtime of the model: scikit-learn."""


class StepLike(Protocol):
    """A step of a pipeline: its kind (see `StepKind`), and the features it takes and gives."""

    @property
    def kind(self) -> str:
        """One of the kinds of the catalog's table of steps."""

    @property
    def features_in(self) -> int:
        """Columns that go in (count)."""

    @property
    def features_out(self) -> int:
        """Columns that come out (count)."""


@dataclass(frozen=True)
class Preparation:
    """Time of the steps before a model on the measured host [us]: of a call by itself, and of each row."""

    call_us: float = 0.0
    row_us: float = 0.0

    def time_us(self, rows: int) -> float:
        """Time of a call with so many rows [us]."""
        return self.call_us + rows * self.row_us


NOTHING = Preparation()
"""No steps before the model."""


def step_cost(kind: str, runtime: str, catalog: Catalog) -> StepCost:
    """Costs of a kind of step beside a model in a runtime; scikit-learn's where the runtime has no steps of its own.

    Raises InputError for a kind that the catalog does not know, or a catalog without steps.
    """
    row: StatisticalStep | None = catalog.statistical_steps.get(kind)
    if row is None:
        raise InputError("step", kind, f"one of {', '.join(catalog.statistical_steps) or 'none in this catalog'}")
    cost = row.runtime(ONNX if runtime == ONNX else LIBRARY) or row.runtime(LIBRARY)
    assert cost is not None  # a test holds every row to have scikit-learn's costs
    return cost


def preparation_of(steps: Sequence[StepLike], *, runtime: str, catalog: Catalog) -> Preparation:
    """What steps add to a call by themselves and for each row, on the measured host [us].

        call = sum of (call_us + feature_us x features in + column_us x features out)
        row = sum of (row_ns + value_ns x features in + output_ns x features out) / 1000

    Source: own timings of pipelines with and without the step (benchmarks/time_statistical_steps.py), errors in the catalog's rows.
    Nothing under a catalog that has no table of steps (those before 2026-11-25). Raises InputError for an unknown kind.
    """
    if not steps or not catalog.statistical_steps:
        return NOTHING
    call = row = 0.0
    for step in steps:
        cost = step_cost(step.kind, runtime, catalog)
        call += cost.call_us + cost.feature_us * step.features_in + cost.column_us * step.features_out
        row += (cost.row_ns + cost.value_ns * step.features_in + cost.output_ns * step.features_out) / 1000.0
    return Preparation(call, row)
