"""Memory rule of each runtime, read from catalogs/deep_learning_runtimes.yaml: floor, workspace, arena, what instances share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from sizing.scenario_deep_learning import DeepLearningRuntime
from sizing.units import MIB

FILE = Path(__file__).resolve().parents[2] / "catalogs" / "deep_learning_runtimes.yaml"

FIRST_EXTENT_BYTES = MIB
"""First extent of ONNX Runtime's arena [bytes]; each further one is twice as large. Source: its BFC allocator, 2026-11-22."""


@dataclass(frozen=True)
class Figure:
    """One constant with its 80 % range, source and date; the unit is that of its place."""

    value: float
    low: float
    high: float
    source: str
    as_of: str


@dataclass(frozen=True)
class MemoryRule:
    """How a runtime uses memory: `floor` in bytes, `workspace` and `arena` as shares of live activations."""

    name: str
    vendors: tuple[str, ...]
    floor: Figure
    workspace: Figure
    arena: Figure | None  # None: no arena that grows by extents
    planned_for_largest_batch: bool
    instances_share_weights: bool


@lru_cache(maxsize=1)
def memory_rules() -> dict[str, MemoryRule]:
    """The rule of every runtime by name, read once.

    >>> memory_rules()["tensorrt"].planned_for_largest_batch
    True
    """
    rows = yaml.load(FILE.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["rows"]
    return {row["id"]: _rule(row) for row in rows}


def memory_rule(runtime: DeepLearningRuntime) -> MemoryRule:
    """The memory rule of one runtime: floor in bytes, workspace and arena as shares of live activations."""
    return memory_rules()[runtime]


def _rule(row: dict[str, Any]) -> MemoryRule:
    def figure(name: str) -> Figure | None:
        found = row.get(name)
        if found is None:
            return None
        low, value, high = (float(found[key]) for key in ("low", "value", "high"))
        return Figure(value=value, low=low, high=high, source=found["source"], as_of=str(found["as_of"]))

    floor, workspace = figure("floor"), figure("workspace")
    if floor is None or workspace is None:
        raise ValueError(f"{FILE.name} row {row['id']}: floor and workspace are needed")
    return MemoryRule(
        name=row["name"],
        vendors=tuple(row["vendors"]),
        floor=floor,
        workspace=workspace,
        arena=figure("arena"),
        planned_for_largest_batch=row["planned_for_largest_batch"],
        instances_share_weights=row["instances_share_weights"],
    )


def doubled_extents_bytes(needed_bytes: float) -> int:
    """What an arena of extents of 1, 2, 4, ... MiB holds once it has room for so many bytes [bytes]: 2^n - 1 MiB.

    Source: ONNX Runtime's BFC arena with kNextPowerOfTwo.

    >>> [doubled_extents_bytes(n * 2**20) // 2**20 for n in (1, 1.5, 3, 200)]
    [1, 3, 3, 255]
    """
    held = extent = FIRST_EXTENT_BYTES
    while held < needed_bytes:
        extent *= 2
        held += extent
    return held
