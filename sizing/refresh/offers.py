"""Prices as their sources give them: from gpuhunt's public price lists, or from a CSV of one's own."""

from __future__ import annotations

import csv
import io
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from sizing.errors import InputError
from sizing.errors import shown as quoted
from sizing.scenario_base import Provider
from sizing.scenario_words import PriceBasis

GPUHUNT_PROVIDERS = {"aws": "aws", "azure": "azure", "gcp": "gcp", "lambda": "lambdalabs", "nebius": "nebius", "oci": "oci",
                     "runpod": "runpod"}  # fmt: skip
"""Names of the providers of the catalog in gpuhunt; CoreWeave is not in it."""

COLUMNS = ("provider", "instance_type", "region", "basis", "usd_per_hour")
INSTALL = "the optional price source: pip install -r requirements-refresh.txt"
REACHED = "a network that reaches its public price lists, or a file of prices with --from"


class SourceError(InputError):
    """Prices cannot be had, for a reason outside of what was typed; says what is needed instead."""

    def __str__(self) -> str:
        return f"Prices cannot be fetched: {self.value}. Needed is {self.allowed}."


@dataclass(frozen=True, slots=True)
class Offer:
    """One price of one instance at one place [USD per hour]; `place` is a region or a zone of it."""

    provider: str
    instance_type: str
    place: str
    basis: PriceBasis
    usd_per_hour: float


def fetched(providers: Sequence[str]) -> list[Offer]:
    """Offers of gpuhunt's newest lists for some providers of the catalog.

    Raises InputError when gpuhunt is not installed, a provider is not in it, or its lists cannot be reached.
    """
    for provider in providers:
        if provider not in GPUHUNT_PROVIDERS:
            raise InputError("provider", provider, f"one of {', '.join(GPUHUNT_PROVIDERS)}")
    try:
        import gpuhunt
    except ImportError:
        raise SourceError("refresh", "gpuhunt is not installed", INSTALL) from None
    logging.getLogger("gpuhunt").setLevel(logging.CRITICAL)  # it logs a traceback for each list it cannot reach
    try:
        items = gpuhunt.query(provider=[GPUHUNT_PROVIDERS[provider] for provider in providers])
    except Exception as error:  # whatever its network library raises: the reader needs one sentence
        reason = str(error) or type(error).__name__
        raise SourceError("refresh", f"gpuhunt says {quoted(reason)}", REACHED) from None
    if not items:
        raise SourceError("refresh", "gpuhunt gave no price", REACHED)
    return from_items(items)


def from_items(items: Iterable[Any]) -> list[Offer]:
    """Offers of gpuhunt's items (`provider`, `instance_name`, `location`, `price`, `spot`), by the catalog's names."""
    names = {theirs: ours for ours, theirs in GPUHUNT_PROVIDERS.items()}
    return [
        Offer(names[item.provider], item.instance_name, item.location, "spot" if item.spot else "on_demand", item.price)
        for item in items
        if item.provider in names and math.isfinite(item.price) and item.price > 0
    ]


def from_csv(text: str) -> list[Offer]:
    """Offers of a CSV with the columns provider, instance_type, region, basis and usd_per_hour.

    Raises InputError naming the first row and column that cannot be used.
    """
    reader = csv.DictReader(io.StringIO(text))
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise InputError("prices", ", ".join(missing), f"a CSV with the columns {', '.join(COLUMNS)}")
    found = []
    for number, row in enumerate(reader, start=2):
        for column, allowed in (("provider", get_args(Provider)), ("basis", get_args(PriceBasis))):
            if row[column] not in allowed:
                raise InputError(f"prices line {number}, {column}", row[column], f"one of {', '.join(allowed)}")
        try:
            price = float(row["usd_per_hour"])
        except (TypeError, ValueError):
            price = math.nan
        if not (math.isfinite(price) and price > 0):
            raise InputError(f"prices line {number}, usd_per_hour", row["usd_per_hour"], "a number above 0")
        found.append(Offer(row["provider"], row["instance_type"], row["region"], row["basis"], price))  # type: ignore[arg-type]
    return found
