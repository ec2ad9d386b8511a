"""The load at which instances that are always on become cheaper than a service that bills by use, found exactly.

Always on costs least over all kinds of instance that meet the scenario, each as many as the load needs: a staircase. The
service's cost is a smooth curve. Between two neighbouring steps of any kind they cross at most once, so each such interval
is looked at by its ends and, where they differ in sign, halved down to the last digit of the load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nextafter

import numpy as np

from sizing import cpu
from sizing.catalog import Catalog
from sizing.catalog_rows import Instance
from sizing.fleet import price_of
from sizing.plan import Deployment
from sizing.queueing_law import Floats
from sizing.scenario import StatisticalScenario
from sizing.statistical.queues import MAX_INSTANCES, ROUNDING
from sizing.statistical.serverless import Bill
from sizing.units import HOURS_PER_MONTH

MOST_STEPS = 4000
"""Steps of the staircase looked at [1]: where the two prices of a request are nearly equal there is no end to them."""

LEAST_LOAD_PER_S = 1e-6
"""Load at which the search starts [1/s]: one request in 12 days."""


@dataclass(frozen=True)
class AlwaysOn:
    """One kind of instance that is always on: price [USD per hour] without surplus CPU, highest load of one [1/s]."""

    instance: Instance
    usd_per_hour: float
    per_instance_per_s: float
    busy_s: float
    spare: int

    @property
    def burstable(self) -> bool:
        """Whether CPU above a baseline is billed apart."""
        return self.instance.instance_type in cpu.BASELINE_SHARES

    def counts(self, requests_per_s: Floats) -> Floats:
        """Instances (count) at each load [1/s]: load / highest load of one, rounded up, plus spares."""
        counts: Floats = np.maximum(1.0, np.ceil(requests_per_s / self.per_instance_per_s - ROUNDING)) + self.spare
        return counts

    def usd_per_month(self, requests_per_s: Floats) -> Floats:
        """Cost [USD per month] at each load [1/s], with what a burstable instance bills above its baseline."""
        counts = self.counts(requests_per_s)
        price = np.full_like(counts, self.usd_per_hour)
        baseline = cpu.BASELINE_SHARES.get(self.instance.instance_type)
        if baseline is not None:
            free = baseline * (self.instance.vcpus or 0)
            each = cpu.surplus_usd_per_hour(self.instance, vcpus_busy=free + 1.0)
            price += each * np.maximum(requests_per_s / counts * self.busy_s - free, 0.0)
        total: Floats = counts * price * HOURS_PER_MONTH
        return total


@dataclass(frozen=True)
class BreakEven:
    """Loads [1/s]: from `first` on always-on is cheaper for a while, from `last` on for good. None: at no load searched."""

    first_per_s: float | None
    last_per_s: float | None


def always_on(scenario: StatisticalScenario, catalog: Catalog, ranked: Sequence[Deployment]) -> tuple[AlwaysOn, ...]:
    """The kinds of instance that can be cheapest at some load, of those that meet the scenario.

    A kind is left out where another costs no more and serves no less; burstable ones bill by load and are all kept.
    """
    kinds = []
    for d in ranked:
        instance = catalog.instance(d.instance)
        price = price_of(scenario, instance)
        service_ms = float(d.extra["service_ms"] or 0.0)
        one = float(d.extra["capacity_requests_per_s_per_instance"] or 0.0)
        if price is not None and one > 0.0:
            kinds.append(AlwaysOn(instance, price.usd_per_hour, one, service_ms / 1000.0, scenario.spare_replicas))
    kept: list[AlwaysOn] = []
    most = 0.0
    for kind in sorted(kinds, key=lambda k: (k.usd_per_hour, -k.per_instance_per_s)):
        if kind.burstable or kind.per_instance_per_s > most:
            kept.append(kind)
            most = most if kind.burstable else kind.per_instance_per_s
    return tuple(kept)


def always_on_usd_per_month(kinds: Sequence[AlwaysOn], requests_per_s: Floats) -> Floats:
    """Cost of the cheapest kind [USD per month] at each load [1/s]; infinite where there is none or it takes too many."""
    least = np.full_like(requests_per_s, inf)
    for kind in kinds:
        fits = kind.counts(requests_per_s) - kind.spare <= MAX_INSTANCES
        least = np.minimum(least, np.where(fits, kind.usd_per_month(requests_per_s), inf))
    return least


def break_even(bill: Bill, kinds: Sequence[AlwaysOn]) -> BreakEven:
    """Loads [1/s] at which always-on becomes cheaper: the first, and the last after which it stays so.

    Within a step the crossing is where cost(load) = count x price, to the last digit of the load.
    """
    if not kinds:
        return BreakEven(None, None)
    end, settled = _search_end(bill, kinds)
    steps = np.unique(np.concatenate([np.arange(1, end / k.per_instance_per_s) * k.per_instance_per_s for k in kinds]))
    edges = np.concatenate([[LEAST_LOAD_PER_S], steps[steps > LEAST_LOAD_PER_S][:MOST_STEPS], [end]])
    settled = settled and len(steps) <= MOST_STEPS
    # A count holds up to its step and a trace beyond it (ROUNDING), so an interval begins a little to the right.
    starts, ends = edges[:-1] * (1.0 + 4.0 * ROUNDING), edges[1:]
    at_start, at_end = _dearer(bill, kinds, starts), _dearer(bill, kinds, ends)
    wins: list[
        tuple[float, float]
    ] = []  # intervals in which always-on begins to win: at once where both ends are equal
    before = False
    for start, stop, first, last in zip(starts, ends, at_start > 0, at_end > 0, strict=True):
        if first and not before:
            wins.append((float(start), float(start)))
        if last and not first:
            wins.append((float(start), float(stop)))
        before = bool(last)
    if not wins:
        return BreakEven(None, None)
    first_at = _crossing(bill, kinds, *wins[0])
    if not (before and settled):
        return BreakEven(first_at, None)
    return BreakEven(first_at, first_at if len(wins) == 1 else _crossing(bill, kinds, *wins[-1]))


def _dearer(bill: Bill, kinds: Sequence[AlwaysOn], loads: Floats) -> Floats:
    """How much dearer the service is than always-on [USD per month]; above 0 always-on wins."""
    difference: Floats = bill.usd_per_month(loads) - always_on_usd_per_month(kinds, loads)
    return difference


def _crossing(bill: Bill, kinds: Sequence[AlwaysOn], low: float, high: float) -> float:
    """The least load [1/s] in an interval at which always-on is cheaper, by halving until no number lies between."""
    while nextafter(low, high) < high:
        middle = (low + high) / 2.0
        if not low < middle < high:
            break
        if _dearer(bill, kinds, np.array([middle]))[0] > 0:
            high = middle
        else:
            low = middle
    return high


def _search_end(bill: Bill, kinds: Sequence[AlwaysOn]) -> tuple[float, bool]:
    """A load [1/s] by which always-on has won for good, and whether there is one.

    Always-on costs at most price x (load / highest load of one + 1 + spares), the service at least load x least cost of a
    request: beyond the load where these meet it is over.
    """
    from_there = []
    for kind in kinds:
        dearest = kind.usd_per_hour
        if kind.burstable:
            dearest += cpu.surplus_usd_per_hour(kind.instance, vcpus_busy=kind.per_instance_per_s * kind.busy_s)
        usd_per_s = dearest / 3600.0
        gain = bill.least_usd_per_request - usd_per_s / kind.per_instance_per_s
        if gain > 0:
            from_there.append(usd_per_s * (1.0 + kind.spare) / gain)
    reach = max(kind.per_instance_per_s for kind in kinds)
    if from_there:
        return max(min(from_there), min(kind.per_instance_per_s for kind in kinds)), True
    return 20.0 * reach, False
