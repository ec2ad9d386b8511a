"""What a load test measured, whatever tool wrote it: records of loads, and the check of every number taken from a file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sizing.errors import InputError

MAX_TIME_MS = 1e7
MAX_RATE_PER_S = 1e7
MAX_COUNT = 1e12

Tool = Literal["open_loop", "locust", "locust_history", "k6", "recommender"]
Loop = Literal["open", "closed", "unknown"]


@dataclass(frozen=True)
class LoadRecord:
    """One load of a test: what was sent and what came back. Times in ms, rates in 1/s; None is not in the file."""

    label: str
    tool: Tool
    loop: Loop = "unknown"
    requests: int | None = None
    failures: int = 0
    requests_per_s: float | None = None
    offered_per_s: float | None = None
    users: int | None = None
    mean_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    rounded: bool = False
    evenly_spaced: bool = False
    late_p99_ms: float | None = None
    dropped: int = 0
    rows: int | None = None
    instance: str | None = None
    instances: int | None = None
    workers: int | None = None
    usd_per_hour: float | None = None
    usd_per_inference: float | None = None
    cpu_percent: float | None = None
    memory_percent: float | None = None
    note: str | None = None

    @property
    def has_times(self) -> bool:
        """Whether a time in system can be read off it."""
        return bool(self.mean_ms) or bool(self.p50_ms)

    @property
    def think_ms(self) -> float:
        """Pause of the users between reply and next request [ms], by Little's law: N / X - T, not below 0."""
        if self.users is None or not self.requests_per_s or self.mean_ms is None:
            return 0.0
        return max(0.0, self.users / self.requests_per_s * 1000.0 - self.mean_ms)


@dataclass(frozen=True)
class LoadResults:
    """What a file holds: the tool that wrote it, its records, and what was left out with the reason."""

    tool: Tool
    records: tuple[LoadRecord, ...]
    left_out: tuple[str, ...] = ()


def number(where: str, value: object, *, low: float, high: float) -> float:
    """A number in a range, from text or JSON. Raises InputError that names where it stands."""
    try:
        found = float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        found = math.nan
    if not low <= found <= high:
        raise InputError(where, value, f"a number from {low:g} to {high:g}")
    return found
