"""A move: fields of a scenario to change, what it does to the answers of the model, and what has to be true for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sizing.advisor import quality
from sizing.advisor.quality import Quality
from sizing.catalog_rows import Instance
from sizing.scenario import AnyScenario
from sizing.scenario_words import PriceBasis, RegionGroup
from sizing.units import format_ms

Group = Literal[
    "weights", "kv", "precision", "runtime", "model", "parallelism", "batching", "speculation", "prefix", "sharing",
    "compute", "input", "payload", "workers", "purchase", "region", "rules", "headroom", "limits",
]  # fmt: skip
"""What a move touches; of one group only the best few stand in the table, and one in a combination."""

BASIS_TITLES: dict[PriceBasis, str] = {
    "on_demand": "Rent on demand",
    "spot": "Rent at spot prices",
    "committed_1y": "Commit for one year",
    "committed_3y": "Commit for three years",
}
REGION_TITLES: dict[RegionGroup, str] = {"us": "the United States", "eu": "Europe", "apac": "Asia-Pacific"}
HIGHER_CAP = 0.85
"""Utilization cap tried above the usual 0.7 [1]: a single step that still leaves 15 % for bursts."""
RAISE = 1.5
"""Factor by which a latency limit is raised to see what it costs [1]."""


@dataclass(frozen=True)
class Move:
    """One change worth trying. `condition` is what must be true of the load or the model for it, in words (None: nothing);
    `relaxes` marks a move that gives up some of what was asked for: a limit, headroom, a spare."""

    id: str
    group: Group
    title: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    quality: Quality = quality.SAME
    condition: str | None = None
    relaxes: bool = False


@dataclass(frozen=True)
class Note:
    """A way that no field of a scenario stands for, with its cost [USD a month] where it is known."""

    title: str
    words: str
    usd_per_month: float | None = None


def purchase_moves(scenario: AnyScenario) -> Iterator[Move]:
    """Other terms of rent."""
    for basis, title in BASIS_TITLES.items():
        if basis != scenario.price_basis:
            note = quality.SPOT if basis == "spot" else quality.COMMITTED.get(basis, quality.SAME)
            yield Move(f"purchase:{basis}", "purchase", title, {"price_basis": basis}, note)


def on_machine(move: Move, instance: Instance) -> Move:
    """The move with what is known of the machine it leads to: how often a spot instance is taken back."""
    if move.changes.get("price_basis") != "spot" or instance.spot_interruption is None:
        return move
    return replace(move, quality=quality.spot_interrupted(instance.instance_type, instance.spot_interruption))


def place_moves(scenario: AnyScenario) -> Iterator[Move]:
    """Other regions, and the rules on clouds, accelerators and instances left open, singly and all together."""
    for region, words in REGION_TITLES.items():
        if region != scenario.region:
            yield Move(f"region:{region}", "region", f"Rent in {words}", {"region": region}, quality.REGION)
    ruled = {
        name: words
        for name, words in (("providers", "cloud"), ("accelerators", "accelerator"), ("instances", "instance"))
        if getattr(scenario, name)
    }
    for name, words in ruled.items():
        yield Move(f"rules:{name}", "rules", f"Allow every {words}", {name: ()})
    if len(ruled) > 1:
        yield Move(
            "rules:all", "rules", f"Allow every {', '.join(ruled.values())}", dict.fromkeys(ruled, ()), quality.SAME
        )


def relaxing_moves(scenario: AnyScenario, limits: Mapping[str, str]) -> Iterator[Move]:
    """Moves that give something up: headroom, the spare, and each latency limit (field and its name in words)."""
    if scenario.utilization_cap < HIGHER_CAP:
        yield Move(
            "headroom:cap",
            "headroom",
            f"Let the load use {HIGHER_CAP:.0%} of the capacity instead of {scenario.utilization_cap:.0%}",
            {"utilization_cap": HIGHER_CAP},
            quality.LESS_HEADROOM,
            relaxes=True,
        )
    if scenario.spare_replicas:
        yield Move(
            "headroom:spare", "headroom", "Keep no spare replica", {"spare_replicas": 0}, quality.NO_SPARE, relaxes=True
        )
    for name, words in limits.items():
        now = getattr(scenario, name)
        if now is not None:
            raised = now * RAISE
            title = f"Allow {words} {format_ms(raised)} instead of {format_ms(now)}"
            yield Move(f"limits:{name}", "limits", title, {name: raised}, quality.SLOWER, relaxes=True)
