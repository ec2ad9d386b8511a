"""What scenarios of every family share: the load, the choice of machines, and the rules of the budget."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from sizing.scenario_fleet import FleetFields
from sizing.scenario_money import MoneyFields
from sizing.scenario_words import CATALOG_ID, PriceBasis, RegionGroup

Percentile = Literal[50, 95, 99]
Provider = Literal["aws", "gcp", "azure", "oci", "lambda", "coreweave", "nebius", "runpod"]

CatalogId = Annotated[str, Field(pattern=CATALOG_ID, max_length=100)]


def field_error(field: str, value: object, allowed: str) -> PydanticCustomError:
    """Error of one field raised inside a model validator, kept addressable by its field name."""
    return PydanticCustomError(
        "field", "{allowed}", {"field": field, "value": value, "allowed": allowed.replace("{", "(").replace("}", ")")}
    )


class ScenarioBase(FleetFields, MoneyFields):
    """Fields that every family shares: what it is called, and the rules of the budget."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field("", max_length=120, description="A title for this scenario; shown on the page and in the report.")
    notes: str = Field("", max_length=600, description="Free text for whoever opens the link.")
    requests_per_s: float | None = Field(
        None, gt=0, le=1e7, description="Mean rate of requests [1/s], arriving at random (Poisson)."
    )
    concurrency: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Users that each wait for their reply before they ask again (closed loop).",
    )
    think_time_s: float = Field(
        0.0,
        ge=0,
        le=86_400,
        description="Pause of a user between reply and next request [s]; counts with concurrency only.",
    )
    providers: tuple[Provider, ...] = Field((), description="Clouds to choose from; none named means all.")
    accelerators: tuple[CatalogId, ...] = Field((), description="Accelerators to choose from; none named means all.")
    instances: tuple[CatalogId, ...] = Field((), description="Instance ids to choose from; none named means all.")
    region: RegionGroup = Field("us", description="Part of the world whose price list counts.")
    price_basis: PriceBasis = Field("on_demand", description="On demand, spot, or a commitment of one or three years.")
    max_usd_per_month: float | None = Field(
        None, gt=0, le=1e12, description="Budget [USD a month of 730 h]; empty means no limit."
    )
    utilization_cap: float = Field(
        0.7, ge=0.05, le=0.98, description="Share of capacity that the demanded load may use."
    )
    spare_replicas: int = Field(0, ge=0, le=1000, description="Replicas or instances kept beyond the need (1 = N+1).")

    @model_validator(mode="before")
    @classmethod
    def _concurrency_replaces_rate(cls, data: Any) -> Any:
        """Naming a concurrency and no rate means a closed loop: the default rate steps aside."""
        if isinstance(data, dict) and data.get("concurrency") is not None and "requests_per_s" not in data:
            return {**data, "requests_per_s": None}
        return data

    @model_validator(mode="after")
    def _one_traffic(self) -> ScenarioBase:
        if (self.requests_per_s is None) == (self.concurrency is None):
            both = self.requests_per_s is not None
            raise field_error(
                "requests_per_s",
                f"{self.requests_per_s} with concurrency {self.concurrency}" if both else None,
                "exactly one of requests_per_s and concurrency, the other left empty",
            )
        return self
