"""Row of an API price: what one provider charges for one model, by the token or by the request."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sizing.catalog_rows import PRICE_STALE_DAYS, CatalogRow, PriceKind, Text, earliest_day

NotNegative = Annotated[float, Field(ge=0)]


class ApiPrice(CatalogRow):
    """One price of one model behind one provider's API, on demand. `models` are ids of the catalog that it serves; none
    means another model, kept for scale."""

    provider: Text
    provider_model: Text
    kind: Literal["llm", "deep_learning"]
    models: tuple[Text, ...]
    usd_per_million_input_tokens: NotNegative | None = None
    usd_per_million_output_tokens: NotNegative | None = None
    usd_per_million_cached_tokens: NotNegative | None = None
    usd_per_1k_requests: NotNegative | None = None
    price_kind: PriceKind
    note: Text | None = None

    @model_validator(mode="after")
    def _bills_something(self) -> ApiPrice:
        tokens = (self.usd_per_million_input_tokens, self.usd_per_million_output_tokens)
        if (None in tokens) == (self.usd_per_1k_requests is None):
            raise ValueError("a price of input and of output tokens, or one of 1,000 requests")
        return self

    def marks(self, on: date) -> tuple[str, ...]:
        """Warnings to show beside the price on a given day; empty if there is nothing to warn of."""
        day = earliest_day(self.as_of)
        words = []
        if day is None or (on - day).days > PRICE_STALE_DAYS:
            words.append("undated" if day is None else f"older than {PRICE_STALE_DAYS} days")
        if self.price_kind == "secondary":
            words.append("secondary source")
        if self.doubts is not None:
            words.append(self.doubts)
        return tuple(words)
