"""Predicted against measured: the points the accuracy page shows, what is looked at of them, and what they sum up to."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Literal

from sizing.accuracy_view import AccuracyView, Family
from sizing.score_table import percentile

FILE = Path(__file__).resolve().parents[1] / "catalogs" / "accuracy.csv.gz"
WORST = 10
LEAST_GROUP = 3
"""Fewest points of which an error is stated in a table (count)."""

By = Literal["quantity", "model", "hardware", "engine"]


@dataclass(frozen=True, slots=True)
class Point:
    """One measured figure beside its prediction: of which model, where, in which engine, under what, how it was predicted.

    `low` to `high` is the stated 80 % interval; `held` says whether the constants had not seen it.
    """

    kind: str
    quantity: str
    model: str
    hardware: str
    engine: str
    setting: str
    measured: float
    predicted: float
    low: float | None
    high: float | None
    held: bool
    source: str

    @property
    def error(self) -> float:
        """Relative error [1]: predicted / measured - 1."""
        return self.predicted / self.measured - 1.0

    @property
    def inside(self) -> bool | None:
        """Whether the measurement lies in the stated interval, or None without one."""
        if self.low is None or self.high is None:
            return None
        return self.low <= self.measured <= self.high


@dataclass(frozen=True, slots=True)
class Summary:
    """Errors of some points: how many, median and P90 of the absolute error [1], median of the signed one [1], share inside."""

    name: str
    count: int
    median_error: float
    p90_error: float
    bias: float
    inside: float | None


def write_points(points: Iterable[Point], path: Path) -> None:
    """Write points as a compressed CSV; the same points give the same bytes."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([field.name for field in fields(Point)])
    for point in points:
        writer.writerow(
            [
                "" if v is None else f"{v:.5g}" if isinstance(v, float) else int(v) if isinstance(v, bool) else v
                for v in astuple(point)
            ]
        )
    path.write_bytes(gzip.compress(out.getvalue().encode(), mtime=0))


def read_points(text: str) -> tuple[Point, ...]:
    """Points of a CSV as `write_points` makes it."""
    rows = csv.reader(io.StringIO(text))
    next(rows)
    return tuple(
        Point(
            row[0],
            row[1],
            row[2],
            row[3],
            row[4],
            row[5],
            float(row[6]),
            float(row[7]),
            float(row[8]) if row[8] else None,
            float(row[9]) if row[9] else None,
            row[10] == "1",
            row[11],
        )
        for row in rows
    )


@lru_cache(maxsize=1)
def points() -> tuple[Point, ...]:
    """All points that ship with the project, read once a process."""
    return read_points(gzip.decompress(FILE.read_bytes()).decode())


def quantities(family: Family) -> tuple[str, ...]:
    """The quantities of a family, the one with most points first."""
    counts: dict[str, int] = {}
    for point in points():
        if point.kind == family:
            counts[point.quantity] = counts.get(point.quantity, 0) + 1
    return tuple(sorted(counts, key=lambda name: (-counts[name], name)))


def choices_of(family: Family, by: By) -> tuple[str, ...]:
    """The models, accelerators or engines of a family's points, by name."""
    return tuple(sorted({str(getattr(p, by)) for p in points() if p.kind == family}))


@lru_cache(maxsize=1)
def _families_held_back() -> frozenset[str]:
    """Families of which some points were predicted without having been seen."""
    return frozenset(p.kind for p in points() if p.held)


@lru_cache(maxsize=32)
def chosen(view: AccuracyView) -> tuple[Point, ...]:
    """The points that a view looks at."""
    words = view.search.lower().split()
    held_only = view.held_only and view.family in _families_held_back()
    return tuple(
        p
        for p in points()
        if p.kind == view.family
        and (view.quantity is None or p.quantity == view.quantity)
        and (not view.models or p.model in view.models)
        and (not view.hardware or p.hardware in view.hardware)
        and (not view.engines or p.engine in view.engines)
        and (p.held or not held_only)
        and all(word in f"{p.model} {p.hardware} {p.engine} {p.setting}".lower() for word in words)
    )


def summary(name: str, some: Sequence[Point]) -> Summary | None:
    """Errors of some points; None where there are none.

    >>> p = Point("llm", "q", "m", "h", "e", "s", 10.0, 12.0, 9.0, 13.0, True, "x")
    >>> s = summary("all", [p])
    >>> round(s.median_error, 3), s.inside
    (0.2, 1.0)
    """
    if not some:
        return None
    errors = [p.error for p in some]
    absolute = [abs(e) for e in errors]
    inside = [p.inside for p in some if p.inside is not None]
    share = sum(inside) / len(inside) if inside else None
    return Summary(name, len(some), median(absolute), percentile(absolute, 0.9), median(errors), share)


def by_group(some: Sequence[Point], by: By) -> tuple[Summary, ...]:
    """Errors by model, accelerator, engine or quantity, most points first; groups of fewer than three are left out."""
    groups: dict[str, list[Point]] = {}
    for point in some:
        groups.setdefault(str(getattr(point, by)), []).append(point)
    found = [s for name, members in groups.items() if len(members) >= LEAST_GROUP and (s := summary(name, members))]
    return tuple(sorted(found, key=lambda s: (-s.count, s.name)))


def worst(some: Sequence[Point], most: int = WORST) -> tuple[Point, ...]:
    """The points with the largest ratio between prediction and measurement, either way."""
    ratio: Callable[[Point], float] = lambda p: max(p.predicted / p.measured, p.measured / p.predicted)  # noqa: E731
    return tuple(sorted(some, key=ratio, reverse=True)[:most])
