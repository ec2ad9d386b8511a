"""Row of the statistical model families: which sizes matter, and what each runtime costs in time and memory.

Time of one call on the measured host, for B rows, T trees, V stored rows and W units of work a row (see `Shape`):

    t = call_us + tree_us T + (call_vector_ns V + call_unit_ns W) / 1000
        + B (row_ns + vector_ns V + unit_ns W x cache) / 1000
    cache = max(1, file bytes / 512 KiB) ^ cache_exponent

Bytes, of the model file and of the resident model, are `fixed + tree x trees + (node + node_output x outputs) x nodes +
parameter x parameters`, outputs counted for trees only.
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
    """Bytes of a model by its structure: each constant in bytes, with the P90 error [1] on the models measured."""

    fixed_bytes: float = Field(0.0, ge=0)
    tree_bytes: float = Field(0.0, ge=0)
    node_bytes: float = Field(0.0, ge=0)
    node_output_bytes: float = Field(0.0, ge=0)
    parameter_bytes: float = Field(0.0, ge=0)
    error_p90_share: float = Field(ge=0, lt=5)


class RuntimeCost(Frozen):
    """What one runtime costs: time of a call on the measured host, base process, model file and resident model."""

    id: StatisticalRuntime
    name: Text
    call_us: float = Field(gt=0)
    tree_us: float = Field(0.0, ge=0)
    call_vector_ns: float = Field(0.0, ge=0)
    call_unit_ns: float = Field(0.0, ge=0)
    row_ns: float = Field(0.0, ge=0)
    vector_ns: float = Field(0.0, ge=0)
    unit_ns: float = Field(0.0, ge=0)
    cache_exponent: float = Field(0.0, ge=0, le=1)
    models_measured: int = Field(ge=1)
    held_out: bool
    error_median_share: float = Field(ge=0, lt=5)
    error_p90_share: float = Field(ge=0, lt=5)
    base_mib: float = Field(gt=0)
    file_format: Text
    file: ByteRule
    resident: ByteRule
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
