"""What a comparison holds: two to four scenarios, each as the query string of its own link."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

LETTERS = ("a", "b", "c", "d")
MAX_SCENARIO_CHARACTERS = 7_000

Query = Annotated[str, Field(min_length=1, max_length=MAX_SCENARIO_CHARACTERS)]


class Comparison(BaseModel):
    """Scenarios side by side. Each is a query string with its catalog version in it, exactly as on its own page."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["compare"] = "compare"
    a: Query | None = Field(None, description="The scenario that the others are compared with, as a query string.")
    b: Query | None = Field(None, description="The second scenario, as a query string.")
    c: Query | None = Field(None, description="The third scenario, as a query string.")
    d: Query | None = Field(None, description="The fourth scenario, as a query string.")

    @property
    def queries(self) -> tuple[str, ...]:
        """The query strings there are, in order."""
        return tuple(query for letter in LETTERS if (query := getattr(self, letter)) is not None)


def comparison_of(queries: tuple[str, ...]) -> Comparison:
    """Comparison of at most four query strings, in their order.

    >>> comparison_of(("kind=llm&v=1", "kind=llm&v=1&batch=8")).b
    'kind=llm&v=1&batch=8'
    """
    return Comparison(**dict(zip(LETTERS, queries, strict=False)))
