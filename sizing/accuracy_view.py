"""What of the measured runs is looked at: a family, a quantity, filters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Family = Literal["llm", "llm_memory", "deep_learning", "deep_learning_memory", "statistical", "queues"]
ColourBy = Literal["engine", "hardware", "model", "format"]
MOST_NAMED = 40
"""Most models, accelerators or engines named in a view (count)."""
Name = Annotated[str, Field(max_length=100)]


class AccuracyView(BaseModel):
    """The view of the accuracy page; travels in its link."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["accuracy"] = "accuracy"
    family: Family = Field("llm", description="Kind of prediction.")
    quantity: Name | None = Field(None, description="Measured quantity; empty means the first of its kind.")
    models: tuple[Name, ...] = Field((), max_length=MOST_NAMED, description="Models; none named means all.")
    hardware: tuple[Name, ...] = Field(
        (), max_length=MOST_NAMED, description="Accelerators or CPUs; none named means all."
    )
    engines: tuple[Name, ...] = Field(
        (), max_length=MOST_NAMED, description="Engines or runtimes; none named means all."
    )
    held_only: bool = Field(True, description="Only runs that the constants had not seen, where there are such.")
    colour: ColourBy = Field("engine", description="What the colours of the chart stand for.")
    search: str = Field("", max_length=100, description="Words that all have to occur.")
