"""What a deployment costs: by hour, month of 730 h, 1,000 requests and million output tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sizing.plan import Cost
from sizing.units import HOURS_PER_MONTH, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from datetime import date

    from sizing.catalog_rows import Price


def usd_per_month(usd_per_hour: float) -> float:
    """Monthly cost [USD]: hourly cost x 730 h.

    >>> usd_per_month(2.0)
    1460.0
    """
    return usd_per_hour * HOURS_PER_MONTH


def usd_per_requests(*, usd_per_hour: float, requests_per_s: float, requests: int = 1000) -> float:
    """Cost of so many requests [USD]: hourly cost / (rate x 3600) x requests.

    >>> round(usd_per_requests(usd_per_hour=3.6, requests_per_s=10.0), 6)
    0.1
    """
    return usd_per_hour / (requests_per_s * SECONDS_PER_HOUR) * requests


def cost_of(
    *,
    instances: int,
    price: Price,
    on: date,
    demanded_requests_per_s: float,
    capacity_requests_per_s: float,
    output_tokens_per_request: float | None = None,
) -> Cost:
    """Cost of `instances` at `price` [USD], at the demanded load and at capacity.

    `on` is the date against which the price's age is judged: the date of the catalog.
    """
    per_hour = price.usd_per_hour * instances
    load = usd_per_requests(usd_per_hour=per_hour, requests_per_s=demanded_requests_per_s)
    full = usd_per_requests(usd_per_hour=per_hour, requests_per_s=max(capacity_requests_per_s, demanded_requests_per_s))

    def per_million(usd_per_1k_requests: float) -> float | None:
        if not output_tokens_per_request:
            return None
        return usd_per_1k_requests / 1000 / output_tokens_per_request * 1e6

    return Cost(
        usd_per_hour=per_hour,
        usd_per_month=usd_per_month(per_hour),
        usd_per_1k_requests=load,
        usd_per_1k_requests_at_capacity=full,
        usd_per_million_output_tokens=per_million(load),
        usd_per_million_output_tokens_at_capacity=per_million(full),
        usd_per_instance_hour=price.usd_per_hour,
        price_basis=price.basis,
        price_date=price.as_of,
        price_region=price.region,
        price_source=price.source,
        price_marks=price.marks(on),
        price_note=price.note,
    )
