"""What the user knows of their electricity: how much power the boards draw, and the CO2 of a kilowatt-hour."""

from __future__ import annotations

from pydantic import BaseModel, Field


class EnergyFields(BaseModel):
    """Fields of energy and CO2; part of every scenario."""

    power_share_of_tdp: float | None = Field(
        None,
        gt=0,
        le=1.2,
        description="Mean power of an accelerator board / its rated power (TDP); empty means estimated from the load.",
    )
    grid_g_co2_per_kwh: float | None = Field(
        None, ge=0, le=2000, description="CO2 of your electricity [g per kWh]; empty means the mean of the country."
    )
