"""What a comparison holds: two to four scenarios of any kind, each as the query string of its own link.

    /compare?v=1&kind=compare&a=...&b=...

Each of a to d is that query string, with `label` beside its fields, compressed. A query string or a whole link that
stands there uncompressed is read as well. What cannot be read keeps its place as it stands, so that the page can say so
and nothing is lost.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

LETTERS = ("a", "b", "c", "d")
MAX_SCENARIO_CHARACTERS = 7_800
"""A link of 7,000 and a label of 60, each character of which takes up to 12 in a link."""
MAX_LABEL_CHARACTERS = 60

Query = Annotated[str, Field(min_length=1, max_length=MAX_SCENARIO_CHARACTERS)]


class Comparison(BaseModel):
    """Scenarios side by side. Each is a query string with its catalog version in it, exactly as on its own page; the
    others are measured against A."""

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
