"""Which instances may be rented for a scenario, at what price, and why the others may not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil

from sizing.catalog import Catalog
from sizing.catalog_rows import UNDATED, Accelerator, Instance, Price
from sizing.errors import InputError
from sizing.plan import Rejection
from sizing.scenario_base import ScenarioBase
from sizing.scenario_money import OwnPrice, own_price
from sizing.scenario_words import PriceBasis
from sizing.units import format_usd

BASIS_WORDS = {
    "on_demand": "on-demand",
    "spot": "spot",
    "committed_1y": "one-year commitment",
    "committed_3y": "three-year commitment",
}


ENTERED = "entered by the user"
"""Source of a price of the user's own."""


@dataclass(frozen=True)
class Offer:
    """An instance that the scenario's rules allow, with its price and accelerator (None on a CPU machine)."""

    instance: Instance
    price: Price
    accelerator: Accelerator | None


def price_of(scenario: ScenarioBase, instance: Instance, basis: PriceBasis | None = None) -> Price | None:
    """What the user pays for an instance [USD per hour] in the scenario's region, on its terms or on `basis`; None where
    nothing is known: a price of their own, else the catalog's price x (1 - discount / 100)."""
    terms = basis or scenario.price_basis
    listed = instance.price(scenario.region, terms)
    for own in _own_prices(scenario.own_prices):
        if own.instance == instance.id and own.basis == terms:
            region = listed.region if listed is not None else scenario.region
            return Price(
                region_group=scenario.region,
                region=region,
                basis=terms,
                usd_per_hour=own.usd_per_hour,
                as_of=UNDATED,
                kind="own",
                source=ENTERED,
            )
    if listed is None or not scenario.discount_percent:
        return listed
    note = (
        f"the catalog's {format_usd(listed.usd_per_hour)} an hour less your discount of {scenario.discount_percent:g} %"
    )
    return listed.model_copy(
        update={
            "usd_per_hour": listed.usd_per_hour * (1.0 - scenario.discount_percent / 100.0),
            "note": f"{note}; {listed.note}" if listed.note else note,
        }
    )


@lru_cache(maxsize=16)
def _own_prices(texts: tuple[str, ...]) -> tuple[OwnPrice, ...]:
    return tuple(map(own_price, texts))


def rejection(
    instance: Instance, *, constraint: str, because: str, remedy: str | None = None, miss_ratio: float | None = None
) -> Rejection:
    """Rejection of an instance, by the constraint it breaks; `miss_ratio` is what it takes / what is allowed."""
    return Rejection(
        instance=instance.id,
        instance_type=instance.instance_type,
        provider=instance.provider,
        accelerator=instance.accelerator_id,
        constraint=constraint,
        because=because,
        remedy=remedy,
        miss_ratio=miss_ratio,
    )


def of_instance(said: Rejection, instance: Instance) -> Rejection:
    """The same rejection, of another instance."""
    return replace(said, instance=instance.id, instance_type=instance.instance_type, provider=instance.provider)


def offers(scenario: ScenarioBase, catalog: Catalog, *, category: str) -> tuple[list[Offer], list[Rejection]]:
    """Instances of `category` (cpu or gpu) that the scenario's rules allow, and the rest with the rule that drops each.

    Raises InputError for an accelerator or instance id that the catalog does not have.
    """
    for field, find, ids in (
        ("accelerators", catalog.accelerator, scenario.accelerators),
        ("instances", catalog.instance, scenario.instances),
        ("own_prices", catalog.instance, tuple(own.instance for own in _own_prices(scenario.own_prices))),
    ):
        for id in ids:
            try:
                find(id)
            except InputError as error:
                raise InputError(field, id, error.allowed) from None
    allowed: list[Offer] = []
    dropped: list[Rejection] = []
    for instance in catalog.instances.values():
        if instance.category != category:
            continue
        broken = _broken_rule(scenario, instance)
        price = price_of(scenario, instance)
        if broken is not None:
            dropped.append(rejection(instance, constraint=broken[0], because=broken[1], remedy=broken[2]))
        elif price is None:
            words = f"{BASIS_WORDS[scenario.price_basis]} price in {scenario.region.upper()}"
            dropped.append(
                rejection(
                    instance,
                    constraint="price",
                    because=f"the catalog has no {words} for it",
                    remedy=_other_price(instance),
                )
            )
        else:
            accelerator = catalog.accelerators[instance.accelerator_id] if instance.accelerator_id else None
            allowed.append(Offer(instance=instance, price=price, accelerator=accelerator))
    return allowed, dropped


def _broken_rule(scenario: ScenarioBase, instance: Instance) -> tuple[str, str, str] | None:
    if scenario.providers and instance.provider not in scenario.providers:
        return "providers", f"{instance.provider} is not among the allowed clouds", f"allow {instance.provider}"
    if scenario.instances and instance.id not in scenario.instances:
        return "instances", "not among the allowed instances", f"allow {instance.id}"
    if scenario.accelerators and instance.category == "gpu" and instance.accelerator_id not in scenario.accelerators:
        return (
            "accelerators",
            f"{instance.accelerator_id} is not among the allowed accelerators",
            f"allow {instance.accelerator_id}",
        )
    return None


def _other_price(instance: Instance) -> str | None:
    """The price the catalog does have, as a remedy."""
    for price in instance.prices:
        return f"price it {BASIS_WORDS[price.basis]} in {price.region_group.upper()}"
    return None


def instances_for(*, replicas: int, accelerators_per_replica: int, accelerators_per_instance: int) -> int:
    """Instances that hold the replicas (count): whole replicas share an instance, or one spans several.

    >>> instances_for(replicas=3, accelerators_per_replica=4, accelerators_per_instance=8)
    2
    >>> instances_for(replicas=2, accelerators_per_replica=16, accelerators_per_instance=8)
    4
    """
    if accelerators_per_replica <= accelerators_per_instance:
        return ceil(replicas / (accelerators_per_instance // accelerators_per_replica))
    return replicas * ceil(accelerators_per_replica / accelerators_per_instance)
