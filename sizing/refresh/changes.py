"""Which prices of the catalog have changed: each with the old and the new one, and those that a person should look at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from sizing.catalog import Catalog
from sizing.catalog_rows import Instance, Price
from sizing.refresh.offers import Offer

LARGE = 0.3
"""Change of a price [1] beyond which it is written only when somebody has looked at it: lists move by less, names change."""

SAME = 5e-5
"""Change [1] below which a price is the same: sources round to four digits."""


@dataclass(frozen=True, slots=True)
class Change:
    """One price of the catalog [USD per hour] and what it is now; `places` is the number of zones or regions read."""

    instance: str
    instance_type: str
    provider: str
    price: Price
    usd_per_hour: float
    places: int

    @property
    def ratio(self) -> float:
        """New price / old price - 1 [1]."""
        return self.usd_per_hour / self.price.usd_per_hour - 1.0

    @property
    def is_large(self) -> bool:
        """Whether the change is so large that the row may not mean the same thing."""
        return abs(self.ratio) > LARGE

    @property
    def is_same(self) -> bool:
        """Whether only the date is new."""
        return abs(self.ratio) <= SAME


@dataclass(frozen=True)
class Diff:
    """All prices found anew, and those of the asked providers that were not found."""

    changes: tuple[Change, ...]
    missing: tuple[tuple[Instance, Price], ...]


def diff(catalog: Catalog, offers: Iterable[Offer], *, providers: Sequence[str]) -> Diff:
    """Prices of the catalog against offers: on demand the lowest of a place, spot and commitments the median of its zones.

    An offer belongs to a price whose instance, terms and place are the same; zones such as us-central1-a belong to their
    region.
    """
    known: dict[tuple[str, str, str], list[Offer]] = defaultdict(list)
    for offer in offers:
        known[offer.provider, _plain(offer.instance_type), offer.basis].append(offer)
    changes, missing = [], []
    for instance, price in _prices(catalog, providers):
        here = known.get((instance.provider, _plain(instance.instance_type), price.basis), [])
        found = [
            offer.usd_per_hour
            for offer in here
            if any(_is_at(offer.place, region) for region in price.region.split(", "))
        ]
        if not found:
            missing.append((instance, price))
            continue
        now = min(found) if price.basis == "on_demand" else median(found)
        changes.append(Change(instance.id, instance.instance_type, instance.provider, price, now, len(found)))
    return Diff(tuple(changes), tuple(missing))


def _prices(catalog: Catalog, providers: Sequence[str]) -> Iterator[tuple[Instance, Price]]:
    for instance in catalog.instances.values():
        if instance.provider in providers and not instance.service.startswith("sagemaker"):
            for price in instance.prices:
                yield instance, price


def _plain(name: str) -> str:
    return name.lower().replace("_", " ").replace("-", " ")


def _is_at(place: str, region: str) -> bool:
    """Whether a place is a region or a zone of it; a price for all regions takes any."""
    place, region = place.lower(), region.lower()
    if region == "all regions" or place == region:
        return True
    zone = place.removeprefix(region).lstrip("-")
    return place.startswith(region) and len(zone) == 1 and zone.isalpha()


def diff_text(found: Diff, *, source: str) -> str:
    """The diff for a person to review: changes by size, then what stays and what was not found."""
    changed = sorted((c for c in found.changes if not c.is_same), key=lambda c: -abs(c.ratio))
    lines = [
        f"{len(found.changes)} prices found in {source}; {len(changed)} differ, {len(found.missing)} were not found."
    ]
    for c in changed:
        mark = "  LOOK" if c.is_large else ""
        lines.append(
            f"{c.instance:40s} {c.price.basis:13s} {c.price.region:16s} {c.price.usd_per_hour:>10.5g} ({c.price.as_of}) -> "
            f"{c.usd_per_hour:>10.5g}  {c.ratio:+.1%}{mark}"
        )
    large = sum(c.is_large for c in changed)
    if large:
        lines.append(
            f"{large} marked LOOK differ by more than {LARGE:.0%}: --write leaves them as they are, --accept-large takes them."
        )
    return "\n".join(lines) + "\n"
