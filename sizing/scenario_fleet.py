"""How the load runs over a week, and on which terms machines for it are rented or owned; part of every scenario."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, field_validator
from pydantic_core import PydanticCustomError

from sizing.scenario_words import PriceBasis

LoadShape = Literal["constant", "office_hours", "consumer_day", "two_regions", "night_batch", "custom"]
TABLE_LENGTHS = (0, 24, 168)
TABLE_ALLOWED = (
    "24 numbers (the hours of a day) or 168 (of a week from Monday), from 0 to 100 % of the busiest hour, one above 0"
)
Percent = Annotated[float, Field(ge=0, le=100)]


class FleetFields(BaseModel):
    """Fields of the load over time and the terms of purchase."""

    load_shape: LoadShape = Field(
        "constant", description="How the load runs over a week; the scenario's load is that of the busiest hour."
    )
    load_table: tuple[Percent, ...] = Field(
        (), description="With a shape of your own: load of each hour of a day or a week [% of the busiest hour]."
    )
    scale_with_load: bool = Field(True, description="Whether machines are added and removed as the load runs.")
    min_replicas: int = Field(1, ge=0, le=10_000, description="Replicas kept at any hour, beside the spare ones.")
    headroom_percent: float = Field(
        0.0, ge=0, le=300, description="Load that each hour is prepared for beyond its own [%]."
    )
    start_minutes: float | None = Field(
        None, ge=0, le=1440, description="From the decision to a replica that serves [min]; empty means estimated."
    )
    terms: tuple[PriceBasis, ...] = Field(
        ("on_demand", "committed_1y", "committed_3y"),
        description="Terms that machines may be paid on, in the best mix.",
    )
    three_year_most_percent: float = Field(
        50.0, ge=0, le=100, description="Most machines committed for three years [% of those of the busiest hour]."
    )
    spot_most_percent: float = Field(50.0, ge=0, le=100, description="Most spot machines [% of those of each hour].")
    spot_interruptions_per_month: float | None = Field(
        None,
        ge=0,
        le=1000,
        description="Times a month that a spot machine is taken back; empty means as the catalog knows.",
    )
    owned_usd_per_server: float | None = Field(
        None,
        gt=0,
        le=1e8,
        description="Price of one server of your own [USD]; empty means that owning is not considered.",
    )
    owned_years: float = Field(4.0, ge=0.5, le=20, description="Years over which a server is written off.")
    owned_watts_per_server: float | None = Field(
        None, gt=0, le=1e6, description="Mean power of a server [W]; empty means from its accelerators or CPUs."
    )
    colocation_usd_per_server_month: float = Field(
        0.0, ge=0, le=1e6, description="Space and network of a server [USD a month]."
    )
    people_usd_per_year: float = Field(0.0, ge=0, le=1e9, description="People who run them [USD a year].")
    usd_per_kwh: float = Field(0.12, ge=0, le=10, description="Price of electricity [USD/kWh].")
    pue: float = Field(1.3, ge=1, le=3, description="Power of the building over that of its servers (PUE).")

    @field_validator("load_table")
    @classmethod
    def _a_day_or_a_week(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if len(values) not in TABLE_LENGTHS or (values and not any(values)):
            context = {"field": "load_table", "value": f"{len(values)} numbers", "allowed": TABLE_ALLOWED}
            raise PydanticCustomError("field", "{allowed}", context)
        return values
