"""The cheapest mix of terms for machines that are needed at some hours: commitments below, spot and on demand above.

Of the machines of an hour, the lowest are the committed ones: they are paid at every hour. What is needed beyond them is
spot up to a share of the hour's machines, where spot is cheaper, and on demand for the rest. All counts of commitments are
tried, so the mix is the best there is under these rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sizing.cost_over_time.curve import WEEK, Floats
from sizing.cost_over_time.fleet_size import ROUNDING, FleetWeek
from sizing.scenario_words import PriceBasis
from sizing.units import HOURS_PER_MONTH

NEVER = float("inf")


@dataclass(frozen=True)
class Rates:
    """Prices of a machine-hour by terms [USD]; a term that may not be used or has no price is left out.

    `spot_extra` is what interruptions add to a spot machine's hours [1].
    """

    usd_per_hour: Mapping[PriceBasis, float]
    three_year_most: int
    spot_share: float
    spot_extra: float = 0.0

    @property
    def spot_usd_per_hour(self) -> float:
        """Price of an hour of work on spot machines [USD], with the hours that interruptions cost."""
        return self.usd_per_hour.get("spot", NEVER) * (1.0 + self.spot_extra)


@dataclass(frozen=True)
class Mix:
    """Machines by terms and what they cost a month [USD]; spot and on demand in machine-hours of a week."""

    three_year: int
    one_year: int
    spot_hours: float
    on_demand_hours: float
    usd_per_month_by_term: Mapping[PriceBasis, float]

    @property
    def usd_per_month(self) -> float:
        """All of it [USD a month of 730 h]."""
        return sum(self.usd_per_month_by_term.values())


def best_mix(week: FleetWeek, rates: Rates) -> Mix | None:
    """The cheapest mix for the machines of a week; None where no term has a price.

    cost = 168 h x (three-year count x price + one-year count x price) + spot hours x price + on-demand hours x price
    """
    beyond, spot, demand = _beyond(week, rates)
    peak = week.peak
    prices = rates.usd_per_hour
    three_price, one_price = prices.get("committed_3y", NEVER), prices.get("committed_1y", NEVER)
    least: tuple[float, int, int] | None = None
    for three in range(min(rates.three_year_most, peak) + 1 if three_price < NEVER else 1):
        ones = np.arange(peak - three + 1 if one_price < NEVER else 1)
        fixed = WEEK * (three * three_price if three else 0.0) + (WEEK * one_price * ones if one_price < NEVER else 0.0)
        cost = fixed + beyond[three + ones]
        at = int(np.argmin(cost))
        if cost[at] < NEVER and (least is None or cost[at] < least[0] - 1e-12):
            least = (float(cost[at]), three, int(ones[at]))
    if least is None:
        return None
    _, three, one = least
    by_term: dict[PriceBasis, float] = {
        "committed_3y": WEEK * three * three_price if three else 0.0,
        "committed_1y": WEEK * one * one_price if one else 0.0,
        "spot": float(spot[three + one]) * rates.spot_usd_per_hour if spot[three + one] else 0.0,
        "on_demand": float(demand[three + one]) * prices["on_demand"] if demand[three + one] else 0.0,
    }
    monthly: dict[PriceBasis, float] = {
        term: usd * HOURS_PER_MONTH / WEEK for term, usd in by_term.items() if usd > 0.0
    }
    return Mix(three, one, float(spot[three + one]), float(demand[three + one]), monthly)


def _beyond(week: FleetWeek, rates: Rates) -> tuple[Floats, Floats, Floats]:
    """Cost [USD a week], spot and on-demand machine-hours beyond 0, 1, ... committed machines.

    Machines on their way are paid too, on demand where that has a price.
    """
    counts = week.instances[:, None]
    over = np.maximum(counts - np.arange(week.peak + 1)[None, :], 0)
    starting = np.maximum(over - np.roll(over, 1, axis=0), 0).sum(axis=0) * (week.start.minutes / 60.0)
    by_hour, spot_price = rates.usd_per_hour.get("on_demand"), rates.spot_usd_per_hour
    if by_hour is None:
        spot, demand = over.sum(axis=0) + starting, np.zeros(week.peak + 1)
    else:
        share = rates.spot_share if spot_price < by_hour else 0.0
        spot = np.minimum(over, np.floor(share * counts + ROUNDING)).sum(axis=0)
        demand = over.sum(axis=0) - spot + starting
    cost = np.where(spot > 0, spot, 0.0) * (spot_price if spot_price < NEVER else 0.0) + demand * (by_hour or 0.0)
    impossible = (spot > 0) & (spot_price == NEVER)
    return np.where(impossible, NEVER, cost), spot, demand
