"""Totals of a month and a year: the same machines all the time, machines that follow the load, the best mix of terms, owned."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import floor

from sizing.catalog import Catalog
from sizing.cost_over_time.curve import WEEK
from sizing.cost_over_time.fleet_size import FleetWeek, fleet_week
from sizing.cost_over_time.purchase import Mix, Rates, best_mix
from sizing.energy import energy
from sizing.fleet import price_of
from sizing.plan import Deployment, Plan
from sizing.scenario import AnyScenario
from sizing.scenario_words import PriceBasis
from sizing.units import HOURS_PER_MONTH, SECONDS_PER_HOUR

MONTHS = 12
USUAL_INTERRUPTIONS_PER_MONTH = 0.2
"""Interruptions of a spot machine a month where the catalog knows none: the highest class of AWS Spot Advisor is above 0.2
(2025-07). An assumption for other clouds."""


@dataclass(frozen=True)
class Owned:
    """Servers of one's own for the busiest hour: parts of the cost [USD a month] and the mean power of one [W]; None, and no
    part for power, where that is not known."""

    servers: int
    watts_per_server: float | None
    usd_per_month_by_part: Mapping[str, float]

    @property
    def usd_per_month(self) -> float:
        """All of it [USD a month]."""
        return sum(self.usd_per_month_by_part.values())


@dataclass(frozen=True)
class CostOverTime:
    """One deployment over a week and what it costs a month [USD] in four ways; None where there is no price."""

    week: FleetWeek
    rates: Rates
    as_planned: float
    steady: float | None
    following: float | None
    mix: Mix | None
    owned: Owned | None
    requests_per_month: float
    interruptions_per_month: float | None

    @property
    def cheapest(self) -> tuple[str, float]:
        """The cheapest of the ways and its cost [USD a month]."""
        ways = {
            "as planned": self.as_planned,
            "the same machines all the time, on demand": self.steady,
            "machines that follow the load, on demand": self.following,
            "the best mix of terms": None if self.mix is None else self.mix.usd_per_month,
            "owned servers": None if self.owned is None else self.owned.usd_per_month,
        }
        known = {name: usd for name, usd in ways.items() if usd is not None}
        name = min(known, key=lambda n: known[n])
        return name, known[name]

    def usd_per_1k_requests(self, usd_per_month: float) -> float:
        """Cost of 1,000 requests [USD] at the volume of the month."""
        return usd_per_month / self.requests_per_month * 1000.0


@lru_cache(maxsize=8)
def _cost(scenario: AnyScenario, catalog: Catalog, key: str, holder: _Held) -> CostOverTime:
    return cost_of_deployment(scenario, catalog, holder.deployment)


class _Held:
    """A deployment as part of a key: the same scenario, catalog and instance have the same one."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment

    def __hash__(self) -> int:
        return hash(self.deployment.instance)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and other.deployment.instance == self.deployment.instance


def cost_over_time(scenario: AnyScenario, catalog: Catalog, plan: Plan) -> CostOverTime | None:
    """The recommended deployment over time; None where nothing is recommended. Kept for the last few scenarios."""
    best = plan.recommended
    return None if best is None else _cost(scenario, catalog, best.instance, _Held(best))


def cost_of_deployment(scenario: AnyScenario, catalog: Catalog, best: Deployment) -> CostOverTime:
    """One deployment over time [USD a month of 730 h]."""
    week = fleet_week(scenario, catalog, best)
    instance = catalog.instance(best.instance)
    prices: dict[PriceBasis, float] = {}
    for term in scenario.terms or ("on_demand",):
        price = price_of(scenario, instance, term)
        if price is not None:
            prices[term] = price.usd_per_hour
    times = interruptions(scenario, instance.spot_interruption) if "spot" in prices else None
    rates = Rates(
        usd_per_hour=prices,
        three_year_most=floor(week.peak * scenario.three_year_most_percent / 100.0 + 1e-9),
        spot_share=scenario.spot_most_percent / 100.0,
        spot_extra=0.0 if times is None else times * week.start.minutes / 60.0 / HOURS_PER_MONTH,
    )
    on_demand = price_of(scenario, instance, "on_demand")
    monthly = HOURS_PER_MONTH / WEEK
    hourly = None if on_demand is None else on_demand.usd_per_hour
    return CostOverTime(
        week=week,
        rates=rates,
        as_planned=best.cost.usd_per_month,
        steady=None if hourly is None else week.peak * hourly * HOURS_PER_MONTH,
        following=None if hourly is None else (week.instances.sum() + week.start_hours) * hourly * monthly,
        mix=best_mix(week, rates),
        owned=owned(scenario, catalog, best, week),
        requests_per_month=float(week.loads_per_s.mean()) * SECONDS_PER_HOUR * HOURS_PER_MONTH,
        interruptions_per_month=times,
    )


def interruptions(scenario: AnyScenario, known: str | None) -> float:
    """Interruptions of one spot machine a month [1]: the scenario's, else the middle of the catalog's class, else usual.

    >>> from sizing.scenario import LlmScenario
    >>> interruptions(LlmScenario(), "5-10% per month (2025-07)"), interruptions(LlmScenario(), None)
    (0.075, 0.2)
    """
    if scenario.spot_interruptions_per_month is not None:
        return scenario.spot_interruptions_per_month
    share = (known or "").split("%")[0]  # what follows is the month of the source
    numbers = [float(n) for n in re.findall(r"\d+(?:\.\d+)?", share)]
    if not numbers:
        return USUAL_INTERRUPTIONS_PER_MONTH
    if known is not None and known.startswith("<"):
        numbers.append(0.0)
    return sum(numbers) / len(numbers) / 100.0


def owned(scenario: AnyScenario, catalog: Catalog, best: Deployment, week: FleetWeek) -> Owned | None:
    """Servers of one's own instead [USD a month]: purchase / years, power x PUE x price, space, people."""
    if scenario.owned_usd_per_server is None:
        return None
    servers, watts = week.peak, scenario.owned_watts_per_server
    if watts is None:
        watts = server_watts(scenario, catalog, best)
    parts = {"purchase": servers * scenario.owned_usd_per_server / (scenario.owned_years * MONTHS)}
    if watts is not None:
        kwh = servers * watts * scenario.pue * HOURS_PER_MONTH / 1000.0
        parts["power"] = kwh * scenario.usd_per_kwh
    parts["space and network"] = servers * scenario.colocation_usd_per_server_month
    parts["people"] = scenario.people_usd_per_year / MONTHS
    return Owned(servers, watts, parts)


def server_watts(scenario: AnyScenario, catalog: Catalog, best: Deployment) -> float | None:
    """Mean power of one machine over the week [W], all of them on all the time; None where its boards' power is not known.

    Without the building: that is the scenario's PUE. Source: `sizing.energy`.
    """
    found = energy(scenario.model_copy(update={"scale_with_load": False}), catalog, best)
    if found is None:
        return None
    on = fleet_week(scenario, catalog, best).peak if scenario.load_shape != "constant" else best.instances
    return found.mean_watts.value / found.pue / on


def by_year(
    scenario: AnyScenario, catalog: Catalog, plan: Plan, *, most: int = 8
) -> tuple[tuple[Deployment, float], ...]:
    """Deployments that meet the scenario by what they cost over the year in their best mix [USD a year], cheapest first."""
    found = []
    for d in plan.ranked:
        mix = cost_of_deployment(scenario, catalog, d).mix
        if mix is not None:
            found.append((d, mix.usd_per_month * MONTHS))
    return tuple(sorted(found, key=lambda pair: pair[1])[:most])
