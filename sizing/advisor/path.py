"""Several moves one after the other: each step takes the move that saves most on top of those taken before."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from sizing.advisor.evaluate import Advice, Figures, Outcome, advise, candidates, changed, evaluate, figures_of, ranked
from sizing.advisor.moves import Group
from sizing.catalog import Catalog
from sizing.planner import plan_unkept
from sizing.scenario import AnyScenario

Allowed = Literal["same", "formats", "all"]
"""What a combination may touch: nothing of the answers; formats, engines and rounding too; a smaller model or input too."""
OTHER_PRODUCT: tuple[Group, ...] = ("model", "input")
"""Groups whose moves change what is served, not only how."""
MOST_STEPS = 4
TRIED_A_STEP = 10
"""Moves tried at each step after the first (count): those that saved most alone."""


@dataclass(frozen=True)
class PathStep:
    """One step: its move, all changes up to it, its figures, and what is saved against the start [USD a month]."""

    outcome: Outcome
    changes: Mapping[str, Any]
    figures: Figures
    saved_usd_per_month: float
    saved_share: float


@lru_cache(maxsize=4)
def best_path(scenario: AnyScenario, catalog: Catalog, *, allowed: Allowed = "formats") -> tuple[PathStep, ...]:
    """At most `MOST_STEPS` moves, each the one that saves most after those before it; limits are kept at every step.

    One move of a group; none that rests on an assumption or gives something up; `allowed` says what they may touch of the answers. It is greedy: two moves that pay only together are not found. Raises InputError as a plan does.
    """
    advice = advise(scenario, catalog)
    if advice is None:
        return ()
    tried = [o.move.id for o in advice.outcomes if _eligible(o, allowed, ())]
    first = _first(advice, allowed)
    steps: list[PathStep] = []
    now, used, start = scenario, set[Group](), advice.present
    changes: dict[str, Any] = {}
    while first is not None and first.figures is not None:
        changes |= first.move.changes
        now = changed(scenario, changes)
        used.add(first.move.group)
        saved = start.usd_per_month - first.figures.usd_per_month
        steps.append(PathStep(first, dict(changes), first.figures, saved, saved / start.usd_per_month))
        if len(steps) == MOST_STEPS:
            break
        first = _next(now, catalog, tried, used, allowed)
    return tuple(steps)


def _eligible(outcome: Outcome, allowed: Allowed, used: Collection[Group]) -> bool:
    move = outcome.move
    if outcome.figures is None or move.relaxes or move.condition is not None or move.group in used:
        return False
    if allowed == "same":
        return move.quality.lossless
    return allowed == "all" or move.group not in OTHER_PRODUCT


def _first(advice: Advice, allowed: Allowed) -> Outcome | None:
    return next((o for o in advice.outcomes if o.status == "saves" and _eligible(o, allowed, ())), None)


def _next(
    now: AnyScenario, catalog: Catalog, tried: list[str], used: Collection[Group], allowed: Allowed
) -> Outcome | None:
    """The move that saves most from here, of those that looked best at the start; None when none saves any more."""
    best = plan_unkept(now, catalog).recommended
    if best is None:
        return None
    present = figures_of(best)
    moves = {move.id: move for move in candidates(now, catalog, best) if move.group not in used}
    chosen = [moves[id_] for id_ in tried if id_ in moves][:TRIED_A_STEP]
    outcomes = ranked(evaluate(now, move, catalog, present) for move in chosen)
    return next((o for o in outcomes if o.status == "saves" and _eligible(o, allowed, used)), None)
