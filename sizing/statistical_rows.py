"""Row of the statistical model families: which sizes matter, and what each runtime costs in time and memory.

The time of a call is a sum of constants x multipliers, written out in `sizing/statistical/law.py`. Bytes of the model file and
of the resident model, and the time to load it, follow from the structure by `ByteRule` and `LoadRule`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sizing.catalog_rows import AsOf, CatalogRow, Frozen, Text
from sizing.scenario_statistical import StatisticalRuntime

Shape = Literal[
    "linear",
    "logistic",
    "scaled_logistic",
    "naive_bayes",
    "clusters",
    "network",
    "support_vectors",
    "neighbours_brute",
    "neighbours_tree",
    "trees",
    "oblivious_trees",
]


class ByteRule(Frozen):
    """Bytes of a model by its structure: a constant for each count, with the P90 error [1] on models held back.

    fixed + tree x trees + (node + node_output x outputs + node_class x classes beyond two) x nodes + parameter x parameters
    + vector x stored rows + output x outputs + feature x features + feature_output x features x outputs; classes beyond two are
    outputs - 1 from three outputs on, else 0. `counts_ids` adds what ONNX spends on numbers of nodes and trees above 127, see
    `sizing.statistical.structure.id_bytes_per_node`.
    """

    fixed_bytes: float = Field(0.0, ge=0)
    tree_bytes: float = Field(0.0, ge=0)
    node_bytes: float = Field(0.0, ge=0)
    node_output_bytes: float = Field(0.0, ge=0)
    node_class_bytes: float = Field(0.0, ge=0)
    parameter_bytes: float = Field(0.0, ge=0)
    vector_bytes: float = Field(0.0, ge=0)
    output_bytes: float = Field(0.0, ge=0)
    feature_bytes: float = Field(0.0, ge=0)
    feature_output_bytes: float = Field(0.0, ge=0)
    counts_ids: bool = False
    error_p90_share: float = Field(ge=0, lt=5)


class LoadRule(Frozen):
    """Time to read a model file into a runtime whose library is imported already: fixed + bytes of the file x ms per MB."""

    fixed_ms: float = Field(gt=0)
    ms_per_mb: float = Field(ge=0)
    models_measured: int = Field(ge=1)
    error_p90_share: float = Field(ge=0, lt=5)


class RuntimeCost(Frozen):
    """What one runtime costs: time of a call on the measured host, base process, model file and resident model."""

    id: StatisticalRuntime
    name: Text
    call_us: float = Field(gt=0)
    tree_us: float = Field(0.0, ge=0)
    call_vector_ns: float = Field(0.0, ge=0)
    call_unit_ns: float = Field(0.0, ge=0)
    first_rows_ns: float = Field(0.0, ge=0)
    first_rows_exponent: float = Field(0.0, ge=0, le=1)
    row_ns: float = Field(0.0, ge=0)
    value_ns: float = Field(0.0, ge=0)
    output_ns: float = Field(0.0, ge=0)
    hidden_ns: float = Field(0.0, ge=0)
    vector_ns: float = Field(0.0, ge=0)
    unit_ns: float = Field(0.0, ge=0)
    work_exponent: float = Field(0.0, ge=0, le=1)
    level_ns: float = Field(0.0, ge=0)
    cache_exponent: float = Field(0.0, ge=0, le=1)
    call_scaling: float = Field(1.0, gt=0, le=4)
    loop_scaling: float = Field(1.0, gt=0, le=4)
    models_measured: int = Field(ge=1)
    held_out: bool
    error_median_share: float = Field(ge=0, lt=5)
    error_p90_share: float = Field(ge=0, lt=5)
    base_mib: float = Field(gt=0)
    file_format: Text
    file: ByteRule
    resident: ByteRule
    load: LoadRule | None = None
    note: Text | None = None
    source: Text
    as_of: AsOf


class StatisticalFamily(CatalogRow):
    """A family of statistical models: the scenario fields that size it, and its runtimes."""

    name: Text
    library: Text
    description: Text
    shape: Shape
    size_fields: tuple[str, ...]
    path_stretch: float | None = Field(None, ge=0.5, le=3)
    runtimes: tuple[RuntimeCost, ...] = Field(min_length=1)
    valid: Text

    @model_validator(mode="after")
    def _runtimes_once(self) -> StatisticalFamily:
        ids = [runtime.id for runtime in self.runtimes]
        if len(set(ids)) != len(ids):
            raise ValueError("a runtime is listed twice")
        if (self.path_stretch is None) == (self.shape == "trees"):
            raise ValueError("path_stretch belongs to shape trees, and only there")
        return self

    def runtime(self, runtime_id: str) -> RuntimeCost | None:
        """Costs of one runtime, or None where the family was not measured in it."""
        return next((runtime for runtime in self.runtimes if runtime.id == runtime_id), None)


StepKind = Literal["scale", "impute", "one_hot", "ordinal", "select", "normalize", "polynomial", "other"]


class StepCost(Frozen):
    """What a preprocessing step costs in one runtime, on the measured host.

    call + feature x features in + column x features out + rows x (row + value x features in + output x features out) / 1000.
    The scalings are powers of a CPU's factor, as in `RuntimeCost`.
    """

    id: StatisticalRuntime
    call_us: float = Field(gt=0)
    feature_us: float = Field(0.0, ge=0)
    column_us: float = Field(0.0, ge=0)
    row_ns: float = Field(0.0, ge=0)
    value_ns: float = Field(0.0, ge=0)
    output_ns: float = Field(0.0, ge=0)
    call_scaling: float = Field(gt=0, le=4)
    loop_scaling: float = Field(gt=0, le=4)
    widths_measured: int = Field(ge=1)
    error_median_share: float = Field(ge=0, lt=5)
    error_p90_share: float = Field(ge=0, lt=5)


class StatisticalStep(CatalogRow):
    """A kind of preprocessing step of a pipeline, with its costs in scikit-learn and in ONNX Runtime."""

    id: StepKind
    name: Text
    library: Text
    measured_with: Text
    runtimes: tuple[StepCost, ...] = Field(min_length=1)

    def runtime(self, runtime_id: str) -> StepCost | None:
        """Costs in one runtime, or None where it was not measured there."""
        return next((cost for cost in self.runtimes if cost.id == runtime_id), None)
