"""Hosting a model oneself against an API that bills by use: the cost of the recommended machines as a staircase over the
load, the API's as a line, and where they meet.

A unit (a replica, or a whole machine where workers fill it) serves up to its capacity at the utilization cap and limits;
the next request takes another. Machines are the recommended ones at every load: at another load another kind may be
cheaper. The API costs load x seconds of a month x cost of a request.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, floor

from sizing.api_price import SECONDS_PER_MONTH, ApiOffer, api_offers, own_offer
from sizing.catalog import Catalog
from sizing.cost_over_time.fleet_size import over_week
from sizing.fleet import instances_for
from sizing.plan import Deployment
from sizing.planner import plan
from sizing.scenario import AnyScenario, StatisticalScenario
from sizing.units import HOURS_PER_MONTH

MOST_UNITS = 20_000
"""Units up to which a break-even for good is looked for [count]: beyond, prices of a request are equal for all one knows."""

ROUNDING = 1e-9
SPEED_LATENCIES = ("tpot", "model", "service")
"""Latencies of which one is the time that a unit works on a request, by kind: its interval is that of the capacity."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Self-hosting as a staircase: a unit serves `unit_per_s` [1/s], machines cost `usd_per_machine_month` [USD]."""

    unit: str
    unit_per_s: float
    fast: float  # time of a unit / predicted time, low and high end of the 80 % interval [1]
    slow: float
    usd_per_machine_month: float
    accelerators_per_unit: int
    units_per_machine: int  # 0 where a unit takes several machines
    machines_per_unit: int
    spare: int

    def units(self, requests_per_s: float, *, time_factor: float = 1.0) -> int:
        """Units for a load [1/s] (count), spares not counted: load x time factor / capacity of one, rounded up."""
        return max(1, ceil(requests_per_s * time_factor / self.unit_per_s - ROUNDING))

    def machines(self, units: int) -> int:
        """Machines for so many working units and the spares (count)."""
        if self.units_per_machine == 0:
            return (units + self.spare) * self.machines_per_unit
        return ceil((units + self.spare) / self.units_per_machine)

    def usd_per_month(self, requests_per_s: float, *, time_factor: float = 1.0) -> float:
        """Cost of a month of 730 h [USD] at a load [1/s]."""
        return self.machines(self.units(requests_per_s, time_factor=time_factor)) * self.usd_per_machine_month

    def full_usd_per_request(self) -> float:
        """Least cost of a request [USD] that self-hosting tends to: machines without spares, full to the cap."""
        per_unit = self.machines_per_unit if self.units_per_machine == 0 else 1.0 / self.units_per_machine
        return per_unit * self.usd_per_machine_month / (self.unit_per_s * SECONDS_PER_MONTH)


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Loads [1/s] from which self-hosting costs no more than the API: at first, and for good. None: at no load."""

    first_per_s: float | None
    for_good_per_s: float | None


@dataclass(frozen=True)
class Comparison:
    """Self-hosting against the APIs at the demanded load [1/s]: cost of a month [USD] with its 80 % interval.

    Loads are those of the busiest hour; an API bills the week's mean, `mean_share` of it [1]. `steps` cost what machines that
    follow the load cost over the week.
    """

    steps: Steps
    load_per_s: float
    mean_share: float
    usd_per_month: float
    usd_per_month_low: float
    usd_per_month_high: float
    offers: tuple[ApiOffer, ...]  # of the model, or the user's own
    others: tuple[ApiOffer, ...]  # of other models, for scale
    break_evens: tuple[BreakEven, ...]  # one for each offer
    break_evens_fast: tuple[BreakEven, ...]  # with the capacities at the ends of the 80 % interval
    break_evens_slow: tuple[BreakEven, ...]

    def api_usd_per_month(self, offer: ApiOffer, load_per_s: float | None = None) -> float:
        """Cost of a month through an API [USD] at a load of the busiest hour [1/s], the demanded one by default."""
        return offer.usd_per_month((self.load_per_s if load_per_s is None else load_per_s) * self.mean_share)

    def even_load_share(self, offer: ApiOffer) -> float:
        """Load / demanded load [1] at which the API costs what these machines cost as they are."""
        each_month = self.api_usd_per_month(offer)
        return float("inf") if each_month == 0 else self.usd_per_month / each_month


def steps_of(scenario: AnyScenario, deployment: Deployment) -> Steps:
    """The staircase on which a plan's deployment stands: at the demanded load it costs what the plan says."""
    d, spare = deployment, scenario.spare_replicas
    machine = d.cost.usd_per_instance_hour * HOURS_PER_MONTH
    demanded, capacity = d.throughput.requests_per_s.demanded, d.throughput.requests_per_s.capacity
    fast, slow = _time_factors(d)
    boards, held = d.accelerators_per_replica or 0, d.accelerators_per_instance or 0
    of_machine = floor(held / boards) if boards else 0
    share = int(d.extra.get("workers_per_device") or 1)
    working = d.replicas - spare
    if scenario.kind == "llm" and boards:
        across = instances_for(replicas=1, accelerators_per_replica=boards, accelerators_per_instance=held)
        steps = Steps("replica", capacity / working, fast, slow, machine, boards, of_machine, across, spare)
    elif scenario.kind == "deep_learning" and boards and ceil(d.replicas / (held * share)) == d.instances:
        steps = Steps("replica", capacity / working, fast, slow, machine, boards, held * share, 1, spare)
    elif isinstance(scenario, StatisticalScenario):
        one = float(d.extra["capacity_requests_per_s_per_instance"] or capacity / d.instances)
        steps = Steps("machine", one, fast, slow, machine, 0, 1, 1, spare)
    else:  # the machines' CPUs or network set their count
        steps = Steps("machine", capacity / d.instances, fast, slow, machine, 0, 1, 1, 0)
    if steps.machines(steps.units(demanded)) == d.instances:
        return steps
    # The plan keeps more than the throughput needs (waits at a limit): then a unit carries what it carries there.
    units = d.instances if steps.unit == "machine" else working
    less = min(spare, units - 1) if steps.unit == "machine" else 0
    spares = steps.spare if steps.unit == "replica" else less
    return replace(steps, unit_per_s=demanded / (units - less), spare=spares)


def _time_factors(deployment: Deployment) -> tuple[float, float]:
    """Time of a unit over its prediction at the ends of the 80 % interval [1]; 1 and 1 where none is known."""
    for name in SPEED_LATENCIES:
        latency = deployment.latency_ms.get(name)
        centre = None if latency is None else getattr(latency, latency.interval_of)
        if latency is not None and centre and latency.low is not None and latency.high is not None:
            return latency.low / centre, latency.high / centre
    return 1.0, 1.0


def break_even(steps: Steps, usd_per_request: float) -> BreakEven:
    """Loads [1/s] from which self-hosting costs no more than an API that takes so many USD a request.

    k units cost K(k) and serve loads up to k c; the API costs K(k) at r(k) = K(k) / (USD a request x seconds of a month).
    Self-hosting is no dearer on that step from r(k) on. The first such step is the first break-even; the last step at whose
    start the API is still cheaper is the one for good.

    >>> steps = Steps("replica", 10.0, 1.0, 1.0, 2_628_000.0, 1, 1, 1, 0)
    >>> break_even(steps, 0.125)
    BreakEven(first_per_s=8.0, for_good_per_s=32.0)
    >>> break_even(steps, 0.09)
    BreakEven(first_per_s=None, for_good_per_s=None)
    """
    if usd_per_request <= 0.0:
        return BreakEven(None, None)
    per_usd = 1.0 / (usd_per_request * SECONDS_PER_MONTH)
    one = steps.unit_per_s
    # Beyond this many units no step starts dearer: machines <= machines a unit x (units + spares) + 1.
    a_unit = float(steps.machines_per_unit) if steps.units_per_machine == 0 else 1.0 / steps.units_per_machine
    loads_a_machine = steps.usd_per_machine_month * per_usd
    gain = one - a_unit * loads_a_machine
    if gain < -ROUNDING * one:
        return BreakEven(None, None)
    settled = (
        ceil(((a_unit * steps.spare + 1.0) * loads_a_machine + one) / gain) if gain > ROUNDING * one else MOST_UNITS + 1
    )
    first: float | None = None
    last: float | None = None
    lost = True
    for units in range(1, min(settled, MOST_UNITS) + 1):
        even, start, end = steps.machines(units) * loads_a_machine, (units - 1) * one, units * one
        if even <= end * (1.0 + ROUNDING):
            first = even if first is None else first
            if lost or even > start * (1.0 + ROUNDING):
                last = max(even, start)
            lost = False
        else:
            lost = True
    return BreakEven(first, last if settled <= MOST_UNITS else None)


def compare(scenario: AnyScenario, catalog: Catalog) -> Comparison | None:
    """The recommended deployment against the user's own API price, else those of the catalog for its model; None where
    nothing is recommended."""
    best = plan(scenario, catalog).recommended
    if best is None:
        return None
    week = over_week(scenario, catalog, best)
    busiest = steps_of(scenario, best)
    steps = replace(busiest, usd_per_machine_month=busiest.usd_per_machine_month * week.paid)
    own_usd = best.cost.usd_per_month * week.paid
    load = best.throughput.requests_per_s.demanded
    own, listed = own_offer(scenario), api_offers(scenario, catalog)
    offers = (own,) if own is not None else tuple(offer for offer in listed if offer.serves_the_model)
    return Comparison(
        steps=steps,
        load_per_s=load,
        mean_share=week.load,
        usd_per_month=own_usd,
        usd_per_month_low=min(own_usd, steps.usd_per_month(load, time_factor=steps.fast)),
        usd_per_month_high=max(own_usd, steps.usd_per_month(load, time_factor=steps.slow)),
        offers=offers,
        others=tuple(offer for offer in listed if offer not in offers),
        break_evens=tuple(break_even(steps, offer.usd_per_request * week.load) for offer in offers),
        break_evens_fast=_at(steps, steps.fast, offers, week.load),
        break_evens_slow=_at(steps, steps.slow, offers, week.load),
    )


def _at(steps: Steps, time_factor: float, offers: tuple[ApiOffer, ...], mean_share: float) -> tuple[BreakEven, ...]:
    scaled = replace(steps, unit_per_s=steps.unit_per_s / time_factor)
    return tuple(break_even(scaled, offer.usd_per_request * mean_share) for offer in offers)
