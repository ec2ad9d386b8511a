"""Each candidate move tried with a plan of its own: what it saves in money, memory and time, or why it does not serve."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from pydantic import ValidationError

from sizing.advisor import deep_learning_moves, llm_moves, statistical_moves
from sizing.advisor.moves import Group, Move, Note, on_machine
from sizing.advisor.quality import EFFECTS
from sizing.catalog import Catalog
from sizing.errors import InputError
from sizing.plan import Deployment, Plan, Verdict, nearest_miss
from sizing.planner import plan_unkept
from sizing.scenario import AnyScenario, problems

MOST_MOVES = 48
"""Most moves tried for one scenario (count): a plan takes 15 to 60 ms."""
SHOWN = 8
"""Moves of the table (count)."""
SHOWN_OF_GROUP = 2
"""Most moves of one group in the table (count), so that eight terms of rent or formats do not fill it."""
NO_USD = 0.005
"""Difference in cost that counts as none [USD a month]."""
NO_MEMORY, NO_TIME = 0.01, 0.1
"""Relative differences in memory and in time that count as none [1]."""
ADVICE_KEPT = 3

Verdicts = tuple[Verdict, ...]
Status = Literal["saves", "leaner", "relaxes", "costs", "nothing", "fails"]

_MOVES: dict[str, Callable[[Any, Catalog, Deployment], Iterator[Move]]] = {
    "llm": llm_moves.moves,
    "deep_learning": deep_learning_moves.moves,
    "statistical": statistical_moves.moves,
}
_NOTES: dict[str, Callable[[Any, Catalog, Deployment], tuple[Note, ...]]] = {
    "llm": llm_moves.notes,
    "deep_learning": deep_learning_moves.notes,
    "statistical": statistical_moves.notes,
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What of a deployment the advice keeps: machines, cost [USD], memory of one accelerator or instance [bytes], verdicts."""

    instance: str
    instance_type: str
    provider: str
    instances: int
    replicas: int
    accelerator_name: str | None
    accelerators: int | None
    batch: int | None
    usd_per_hour: float
    usd_per_month: float
    memory_bytes: int
    memory_capacity_bytes: int
    verdicts: Verdicts


@dataclass(frozen=True, slots=True)
class LatencyChange:
    """One limit before and after [ms]. `decided` says whether the 80 % intervals lie apart; `secure` whether the slow end of
    the new one is within the limit too."""

    quantity: str
    percentile: int
    limit_ms: float | None
    before_ms: float
    after_ms: float
    after_low_ms: float
    after_high_ms: float
    decided: bool
    met: bool

    @property
    def secure(self) -> bool:
        """Whether the slow end of the interval keeps the limit."""
        return self.limit_ms is None or self.after_high_ms <= self.limit_ms


@dataclass(frozen=True, slots=True)
class Outcome:
    """A move and the plan it leads to: saving [USD a month], latency and memory; `because` where it does not serve."""

    move: Move
    status: Status
    figures: Figures | None
    saves_usd_per_month: float | None
    saves_share: float | None
    latency: tuple[LatencyChange, ...]
    memory_saved_bytes: int | None  # of one accelerator or instance; None where that is of another kind
    because: str | None = None

    @property
    def holds(self) -> bool:
        """Whether every limit as it stood before is kept."""
        return self.figures is not None and all(change.met for change in self.latency)


@dataclass(frozen=True)
class Advice:
    """All moves tried for a scenario, the best first, beside the present figures; `plans` counts the plans made for it."""

    scenario: AnyScenario
    catalog: str
    present: Figures
    outcomes: tuple[Outcome, ...]
    notes: tuple[Note, ...]
    plans: int

    @property
    def suggested(self) -> tuple[Outcome, ...]:
        """Moves that keep every limit and save money, by saving, then those that only save memory or time."""
        return tuple(o for o in self.outcomes if o.status in ("saves", "leaner"))

    @property
    def shown(self) -> tuple[Outcome, ...]:
        """The suggested moves of the table: at most `SHOWN`, and of one group at most `SHOWN_OF_GROUP`."""
        counts: dict[Group, int] = {}
        found = []
        for outcome in self.suggested:
            group = outcome.move.group
            counts[group] = counts.get(group, 0) + 1
            if counts[group] <= SHOWN_OF_GROUP:
                found.append(outcome)
        return tuple(found[:SHOWN])

    @property
    def rest(self) -> tuple[Outcome, ...]:
        """What was tried and is not in the table."""
        shown = {o.move.id for o in self.shown}
        return tuple(o for o in self.outcomes if o.move.id not in shown)


def candidates(scenario: AnyScenario, catalog: Catalog, best: Deployment) -> tuple[Move, ...]:
    """The moves worth a plan, at most `MOST_MOVES`, without those that would change nothing.

    Raises InputError as a plan does.
    """
    found = [
        move
        for move in _MOVES[scenario.kind](scenario, catalog, best)
        if any(getattr(scenario, name) != value for name, value in move.changes.items())
    ]
    return tuple(found[:MOST_MOVES])


def changed(scenario: AnyScenario, changes: Mapping[str, Any]) -> AnyScenario:
    """The scenario with fields changed, checked as if typed in. Raises InputError for what a field does not accept."""
    try:
        return type(scenario).model_validate({**scenario.model_dump(), **changes})
    except ValidationError as error:
        raise problems(error)[0] from None


@lru_cache(maxsize=ADVICE_KEPT)
def advise(scenario: AnyScenario, catalog: Catalog) -> Advice | None:
    """The moves tried for a scenario, best first; None where nothing serves it as it is (its remedies say what would).

    One plan a move and two of the scenario itself, none of them kept. Raises InputError as a plan does.

    >>> from sizing.catalog import load
    >>> from sizing.scenario import StatisticalScenario
    >>> advice = advise(StatisticalScenario(), load())
    >>> advice.outcomes[0].saves_usd_per_month == max(o.saves_usd_per_month for o in advice.suggested)
    True
    """
    best = plan_unkept(scenario, catalog).recommended
    if best is None:
        return None
    present = figures_of(best)
    moves = candidates(scenario, catalog, best)
    outcomes = ranked(evaluate(scenario, move, catalog, present) for move in moves)
    said = _NOTES[scenario.kind](scenario, catalog, best)
    # The trials have pushed the scenario's own parts out of the caches of its family: the next redraw finds them again.
    plan_unkept(scenario, catalog)
    return Advice(scenario, catalog.version, present, outcomes, said, plans=len(moves) + 2)


def figures_of(deployment: Deployment) -> Figures:
    """The figures of a deployment that the advice keeps."""
    memory = deployment.memory_per_accelerator or deployment.memory_per_instance
    assert memory is not None
    return Figures(
        instance=deployment.instance,
        instance_type=deployment.instance_type,
        provider=deployment.provider,
        instances=deployment.instances,
        replicas=deployment.replicas,
        accelerator_name=deployment.accelerator_name,
        accelerators=deployment.accelerators,
        batch=deployment.batch,
        usd_per_hour=deployment.cost.usd_per_hour,
        usd_per_month=deployment.cost.usd_per_month,
        memory_bytes=memory.used_bytes,
        memory_capacity_bytes=memory.capacity_bytes,
        verdicts=deployment.verdicts,
    )


def evaluate(scenario: AnyScenario, move: Move, catalog: Catalog, present: Figures) -> Outcome:
    """What one move leads to, by a plan of the changed scenario, against the present figures."""
    try:
        found = plan_unkept(changed(scenario, move.changes), catalog)
    except InputError as error:
        return _failed(move, str(error))
    if found.recommended is None:
        return _failed(move, _why(found))
    after = figures_of(found.recommended)
    move = on_machine(move, catalog.instance(after.instance))
    latency = tuple(_latency(before, after.verdicts) for before in present.verdicts)
    saves = present.usd_per_month - after.usd_per_month
    same_kind = after.instance == present.instance
    memory = present.memory_bytes - after.memory_bytes if same_kind else None
    return Outcome(
        move=move,
        status=_status(move, saves, latency, memory, present.memory_bytes),
        figures=after,
        saves_usd_per_month=saves,
        saves_share=saves / present.usd_per_month,
        latency=latency,
        memory_saved_bytes=memory,
    )


def _status(
    move: Move, saves: float, latency: tuple[LatencyChange, ...], memory: int | None, memory_before: int
) -> Status:
    if saves < -NO_USD:
        return "costs"
    if move.relaxes or not all(change.met for change in latency):
        return "relaxes" if saves > NO_USD else "nothing"
    if saves > NO_USD:
        return "saves"
    leaner = memory is not None and memory > NO_MEMORY * memory_before
    faster = any(change.after_ms < (1.0 - NO_TIME) * change.before_ms for change in latency)
    slower = any(change.after_ms > (1.0 + NO_TIME) * change.before_ms for change in latency)
    return "leaner" if (leaner or faster) and not slower else "nothing"


def _latency(before: Verdict, after: Verdicts) -> LatencyChange:
    """One limit as it stood, against the same quantity and percentile of the changed plan."""
    same = next(v for v in after if (v.quantity, v.percentile) == (before.quantity, before.percentile))
    return LatencyChange(
        quantity=before.quantity,
        percentile=before.percentile,
        limit_ms=before.limit_ms,
        before_ms=before.predicted_ms,
        after_ms=same.predicted_ms,
        after_low_ms=same.low_ms,
        after_high_ms=same.high_ms,
        decided=same.high_ms < before.low_ms or before.high_ms < same.low_ms,
        met=before.limit_ms is None or same.predicted_ms <= before.limit_ms,
    )


def _failed(move: Move, because: str) -> Outcome:
    return Outcome(move, "fails", None, None, None, (), None, because)


def _why(found: Plan) -> str:
    """What binds in a plan without a deployment, on the machine that misses it by least."""
    name = found.binding_constraint
    nearest = nearest_miss(found.rejected, name)
    return f"{name} binds" + (f"; on {nearest.instance_type}, {nearest.because}" if nearest is not None else "")


_ORDER: dict[Status, int] = {"saves": 0, "leaner": 1, "relaxes": 2, "nothing": 3, "costs": 4, "fails": 5}


def ranked(outcomes: Iterable[Outcome]) -> tuple[Outcome, ...]:
    """Outcomes that save money first, by saving; then leaner or faster ones; then the rest. Of equals, those known to
    change the answers less, then the faster."""

    def key(outcome: Outcome) -> tuple[int, float, int, float, int, str]:
        saved = round(outcome.saves_usd_per_month or 0.0, 2)
        fastest = min((change.after_ms / change.before_ms for change in outcome.latency), default=1.0)
        harm = EFFECTS.index(outcome.move.quality.effect)
        return _ORDER[outcome.status], -saved, harm, fastest, -(outcome.memory_saved_bytes or 0), outcome.move.id

    return tuple(sorted(outcomes, key=key))
