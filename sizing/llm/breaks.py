"""The load at which each latency limit breaks: for the chosen deployment, by bisection on the open-loop model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sizing.catalog import Catalog
from sizing.llm.charts import replica_of
from sizing.llm.constants import engine_rates
from sizing.llm.search import PERCENTILE_COLUMN
from sizing.llm.serving import open_loop, spread_of
from sizing.llm.work import select
from sizing.plan import Deployment
from sizing.scenario import LlmScenario

Floats = NDArray[np.float64]

PRECISION = 0.005
"""Relative width of the bracket at which the bisection ends [1]."""
HIGHEST = 1.0 - PRECISION
"""Share of capacity up to which a limit is tried; one that holds there holds up to capacity, within the precision [1]."""
LOWEST = 1e-3
"""Share of capacity at which a replica is as good as idle [1]: a limit missed there holds at no load."""


@dataclass(frozen=True)
class Breaks:
    """Loads [requests/s] of a whole deployment, without spares, when requests arrive at random."""

    percentile: int
    by_limit: dict[str, float | None]  # TTFT, TPOT that have a limit; None: holds up to capacity; 0: holds at no load
    capacity_per_s: float
    demanded_per_s: float
    users: int | None  # whose loop makes the demanded rate; None where a rate was given

    @property
    def first_per_s(self) -> float:
        """Load [requests/s] at which the first limit breaks; the capacity where none does before it."""
        return min([at for at in self.by_limit.values() if at is not None], default=self.capacity_per_s)

    @property
    def room(self) -> float:
        """How much the demanded load could grow before the first limit breaks [1]: first / demanded - 1."""
        return self.first_per_s / self.demanded_per_s - 1.0


def breaks(scenario: LlmScenario, catalog: Catalog, deployment: Deployment) -> Breaks:
    """Loads [requests/s] at which TTFT and TPOT reach their limits at the scenario's percentile, to 0.5 %.

    Each is halved between an idle replica and its capacity until high / low <= 1.005; latency grows with load, so there
    is one such point. Of each bracket the lower end is given, where the limit still holds.

    Raises InputError for a deployment that is none of a language model.
    """
    work, _ = replica_of(scenario, catalog, deployment)
    rates = engine_rates(scenario.runtime, scenario.engine_version)[0]
    column = PERCENTILE_COLUMN[scenario.slo_percentile]
    replicas = deployment.replicas - scenario.spare_replicas
    capacity = float(deployment.extra["replica_capacity_requests_per_s"] or 0.0)
    given = {"TTFT": scenario.ttft_target_ms, "TPOT": scenario.tpot_target_ms}
    limits = {name: limit for name, limit in given.items() if limit is not None}
    targets, names = np.array(list(limits.values())), list(limits)

    def holds(per_s: Floats) -> NDArray[np.bool_]:
        """Whether each limit holds at its own load."""
        done = open_loop(
            select(work, np.zeros(len(per_s), dtype=np.intp)),
            arrival_per_s=per_s,
            batch_cap=np.full(len(per_s), deployment.batch or 1, dtype=np.intp),
            output_tokens=scenario.output_tokens,
            rates=rates,
            spread=spread_of(scenario),
        )
        found = {"TTFT": done.ttft_ms[:, column], "TPOT": done.tpot_ms[:, column]}
        return np.array([found[name][row] <= targets[row] for row, name in enumerate(names)])

    by_limit: dict[str, float | None] = {}
    if names:
        low, high = np.full(len(names), LOWEST * capacity), np.full(len(names), HIGHEST * capacity)
        never, always = ~holds(low), holds(high)
        while (high > low * (1.0 + PRECISION)).any():
            middle = np.sqrt(low * high)
            good = holds(middle)
            low, high = np.where(good, middle, low), np.where(good, high, middle)
        for row, name in enumerate(names):
            by_limit[name] = 0.0 if never[row] else None if always[row] else float(low[row]) * replicas
    return Breaks(
        percentile=scenario.slo_percentile,
        by_limit=by_limit,
        capacity_per_s=capacity * replicas,
        demanded_per_s=deployment.throughput.requests_per_s.demanded,
        users=scenario.concurrency if scenario.requests_per_s is None else None,
    )


def breaks_words(found: Breaks, utilization_cap: float) -> str:
    """Sentences: at which load each limit breaks, what is asked for, how much room that leaves."""
    asked = f"you ask for {found.demanded_per_s:,.3g}"
    if found.users is not None:
        asked = f"your {found.users:,} users make {found.demanded_per_s:,.3g}"
    capacity = f"{found.capacity_per_s:,.3g} requests/s"
    if not found.by_limit:
        said = f"No latency limit is set, so none breaks before capacity; {asked}"
    else:
        said = ", ".join(_limit_words(name, at, found) for name, at in found.by_limit.items()) + f"; {asked}"
    room = f"{found.room * 100:.0f} % room" if found.room >= 0 else f"{-found.room * 100:.0f} % beyond the first break"
    allowed = (
        f"your utilization cap of {utilization_cap * 100:g} % allows {found.capacity_per_s * utilization_cap:,.3g}"
    )
    said = f"{said}: {room}. Capacity is {capacity}; {allowed}."
    if found.users is not None:
        said += " Users who wait for their reply hold themselves back: the same rate arriving at random, as here, waits longer."
    return said


def _limit_words(name: str, at: float | None, found: Breaks) -> str:
    who = f"{name} p{found.percentile}"
    if at is None:
        return f"{who} holds up to capacity"
    return f"{who} breaks at {at:,.3g} requests/s" if at else f"{who} breaks at any load of random arrivals"
