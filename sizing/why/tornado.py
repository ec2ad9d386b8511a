"""What moves the answer most: each input and each constant of ours changed by itself, the scenario sized anew each time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf, log

from pydantic import ValidationError

from sizing.catalog import Catalog
from sizing.errors import InputError
from sizing.outcome import Outcome
from sizing.plan import Deployment
from sizing.planner import plan as planned
from sizing.scenario import AnyScenario
from sizing.why.changes import Change, End, changes
from sizing.why.sizer import latency_ms, resized

SEARCHED = 3
"""Changes for which all machines are searched again, not the recommended one alone (count)."""


@dataclass(frozen=True, slots=True)
class Side:
    """The answer at one end of a change, on the recommended kind of machine; `outcome` None: no count of it serves.

    `latency_ms` is that of the first verdict with the deployment left as it is: infinite under overload, None where the model no
    longer fits. `other` is the machine that would then be cheaper, where that was looked for.
    """

    words: str
    outcome: Outcome | None
    latency_ms: float | None
    other: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """One change with its two sides; None for a side that the scenario cannot have."""

    name: str
    is_own: bool
    range_from: str
    low: Side | None
    high: Side | None

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides that there are."""
        return tuple(side for side in (self.low, self.high) if side is not None)

    def swing_usd(self, now_usd: float) -> float:
        """Dollars a month between the least and the most of both sides and the present answer; infinite where none serves."""
        costs = [inf if s.outcome is None else s.outcome.usd_per_month for s in self.sides]
        return max([*costs, now_usd]) - min([*costs, now_usd])

    def swing_latency(self, now_ms: float) -> float:
        """The same of the latency of the deployment left as it is, on a log scale [1]."""
        times = [inf if s.latency_ms is None else s.latency_ms for s in self.sides]
        most, least = max([*times, now_ms]), min([*times, now_ms])
        return inf if most == inf else log(most / least)


@dataclass(frozen=True, slots=True)
class Tornado:
    """Changes by how far they move the answer, the present answer, and how often the scenario was sized for it (count)."""

    now: Outcome
    now_ms: float
    latency: str
    bars: tuple[Bar, ...]
    sizings: int


def tornado(scenario: AnyScenario, catalog: Catalog) -> Tornado | None:
    """What moves the answer to a scenario, the largest swing in dollars a month first, then in latency; None without an answer.

    Each change is made alone. Sized anew is the recommended kind of machine; for the first three all machines are searched too.
    The budget is left aside. Kept.
    """
    return _tornado(scenario, catalog)


@lru_cache(maxsize=4)
def _tornado(scenario: AnyScenario, catalog: Catalog) -> Tornado | None:
    best = planned(scenario, catalog).recommended
    if best is None:
        return None
    first = best.verdicts[0]
    now = Outcome(best.instance, best.instance_type, best.replicas, best.instances, best.cost.usd_per_month)
    made: list[tuple[Change, Bar]] = []
    sizings = 0
    for change in changes(scenario, catalog, best):
        sides = [None if end is None else _side(scenario, catalog, best, end) for end in (change.low, change.high)]
        sizings += sum(end is not None and end.price == 1.0 for end in (change.low, change.high))
        bar = Bar(change.name, change.is_own, change.range_from, sides[0], sides[1])
        if bar.sides:
            made.append((change, bar))

    made.sort(key=lambda pair: order(pair[1], now.usd_per_month, first.predicted_ms))
    for place, (change, bar) in enumerate(made[:SEARCHED]):
        low, high = (
            None if side is None or end is None else replace(side, other=_cheaper(scenario, catalog, best, end, side))
            for side, end in ((bar.low, change.low), (bar.high, change.high))
        )
        sizings += len(bar.sides)
        made[place] = (change, replace(bar, low=low, high=high))
    return Tornado(
        now, first.predicted_ms, f"{first.quantity} p{first.percentile}", tuple(bar for _, bar in made), sizings
    )


def order(bar: Bar, now_usd: float, now_ms: float) -> tuple[float, float, str]:
    """Order of the bars: the swing in dollars, then in latency, then the name."""
    return -round(bar.swing_usd(now_usd), 6), -bar.swing_latency(now_ms), bar.name


def _changed(scenario: AnyScenario, end: End) -> AnyScenario:
    """The scenario at an end. Raises InputError or ValidationError for what it cannot have."""
    return scenario if not end.fields else type(scenario).model_validate({**scenario.model_dump(), **end.fields})


def _side(scenario: AnyScenario, catalog: Catalog, best: Deployment, end: End) -> Side | None:
    try:
        changed = _changed(scenario, end)
        found = next(iter(resized(changed, catalog, end.own, instance=best.instance)), None)
        time_ms = latency_ms(changed, catalog, best, end.own)
    except (InputError, ValidationError):
        return None
    if found is not None and end.price != 1.0:
        found = replace(found, usd_per_month=found.usd_per_month * end.price)
    return Side(end.words, found, time_ms)


def _cheaper(scenario: AnyScenario, catalog: Catalog, best: Deployment, end: End, side: Side) -> Outcome | None:
    """Another kind of machine that is cheaper at an end than the recommended one, or serves where that does not."""
    found = resized(_changed(scenario, end), catalog, end.own)
    others = [outcome for outcome in found if outcome.instance != best.instance]
    limit = inf if side.outcome is None else side.outcome.usd_per_month
    return others[0] if others and others[0].usd_per_month < limit * (1.0 - 1e-9) else None
