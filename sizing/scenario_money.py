"""What the user pays: a discount on the catalog's prices, prices of their own, an API's price, and their currency."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, NamedTuple

from pydantic import BaseModel, Field, field_validator
from pydantic_core import PydanticCustomError

from sizing.scenario_energy import EnergyFields
from sizing.scenario_words import CURRENCY, OWN_PRICE, PriceBasis

OwnPriceText = Annotated[str, Field(pattern=OWN_PRICE, max_length=140)]


class OwnPrice(NamedTuple):
    """One price of the user's own [USD per hour] for an instance on certain terms."""

    instance: str
    basis: PriceBasis
    usd_per_hour: float


def own_price(text: str) -> OwnPrice:
    """The parts of one own price as it stands in a scenario; without terms it is the price on demand.

    >>> own_price("aws-p5-48xlarge~40.5")
    OwnPrice(instance='aws-p5-48xlarge', basis='on_demand', usd_per_hour=40.5)
    >>> own_price("aws-p5-48xlarge~committed_1y~31").basis
    'committed_1y'
    """
    instance, *terms, price = text.split("~")
    basis: PriceBasis = terms[0] if terms else "on_demand"  # type: ignore[assignment]
    return OwnPrice(instance, basis, float(price))


def own_price_text(instance: str, basis: PriceBasis, usd_per_hour: float) -> str:
    """An own price as it stands in a scenario; `own_price` reads it back.

    >>> own_price_text("aws-t3-medium", "spot", 0.01)
    'aws-t3-medium~spot~0.01'
    """
    return f"{instance}~{basis}~{Decimal(repr(usd_per_hour)):f}"


class MoneyFields(EnergyFields):
    """Fields of the user's own prices; part of every scenario."""

    discount_percent: float = Field(
        0.0,
        ge=0,
        le=95,
        description="Your discount on machine prices of the catalog [%]; not on serverless, an API or prices of your own.",
    )
    own_prices: tuple[OwnPriceText, ...] = Field(
        (), description="Prices of your own: instance id, terms (such as on_demand) and USD per hour, joined by ~."
    )
    currency: str = Field(
        "USD", pattern=CURRENCY, description="Currency in which costs are shown beside US dollars (ISO code)."
    )
    currency_per_usd: float = Field(
        1.0, gt=0, le=1e6, description="Units of your currency for one US dollar; counts with another currency only."
    )
    api_usd_per_1k_requests: float | None = Field(
        None, ge=0, le=1e6, description="What an API charges you [USD per 1,000 requests]; empty means none."
    )

    @field_validator("own_prices")
    @classmethod
    def _prices_that_count(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        """Each is above 0 and stands for one instance on one kind of terms only."""
        seen = set()
        for text in texts:
            price = own_price(text)
            if not 0 < price.usd_per_hour < 1e6:
                raise _refused(text, "a price above 0 and below 1,000,000 USD per hour")
            if price[:2] in seen:
                raise _refused(text, "one price for each instance and terms")
            seen.add(price[:2])
        return texts


class TokenPriceFields(BaseModel):
    """Fields of an API that bills by the token; part of a language model's scenario."""

    api_usd_per_million_input_tokens: float | None = Field(
        None, ge=0, le=1e6, description="API price of your own [USD per 10^6 prompt tokens]; empty means the catalog's."
    )
    api_usd_per_million_output_tokens: float | None = Field(
        None, ge=0, le=1e6, description="API price of your own [USD per 10^6 reply tokens]; empty means the catalog's."
    )
    api_usd_per_million_cached_tokens: float | None = Field(
        None,
        ge=0,
        le=1e6,
        description="API price of prompt tokens found in its cache [USD per 10^6]; empty means the prompt's price.",
    )


def _refused(text: str, allowed: str) -> PydanticCustomError:
    return PydanticCustomError("field", "{allowed}", {"field": "own_prices", "value": text, "allowed": allowed})
