"""The measured figures that ship with the project, each beside our prediction of it: catalogs/accuracy.csv.gz and accuracy.yaml.

`python -m benchmarks.accuracy --measured FOLDER` writes both files. The table is a sample: all badly predicted figures and a
share of the others, each of which stands for several; the head keeps the errors of all of them.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from sizing.catalog_rows import Frozen, Text
from sizing.errors import InputError

FOLDER = Path(__file__).resolve().parents[1] / "catalogs"
FILE, HEAD = FOLDER / "accuracy.csv.gz", FOLDER / "accuracy.yaml"
COLUMNS = (
    "kind", "quantity", "model", "family", "hardware", "engine", "format", "size", "batch", "setting", "measured", "predicted",
    "low", "high", "held", "source", "date", "stands_for",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Point:
    """One measured figure beside its prediction: of which model, where, in which engine, under what, how it was predicted.

    `family` and `size` say which models are alike (networks: multiply-adds; statistical models: what a row costs, in the unit of
    its family; language models: blank, 0). `batch` is what is in flight: requests, samples or rows; of queues the servers.
    `low` to `high` is the stated 80 % interval; `held` says whether the constants had not seen it; `date` is that of the run, or
    of its source, blank where neither states one; `stands_for` is the figures that this one stands for in a thinned table [count].
    """

    kind: str
    quantity: str
    model: str
    family: str
    hardware: str
    engine: str
    format: str
    size: float
    batch: float
    setting: str
    measured: float
    predicted: float
    low: float | None
    high: float | None
    held: bool
    source: str
    date: str
    stands_for: float = 1.0

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


class Stated(Frozen):
    """Errors of all figures of one quantity when something was left out of the fit: median and P90 of the absolute error, the
    median of the signed one, the share inside the stated interval [% of the measured value; %]. `of_points` marks the way in which
    the points are predicted."""

    kind: Text
    quantity: Text
    left_out: Text
    count: int
    median_percent: float
    p90_percent: float
    bias_percent: float
    inside_percent: float | None = None
    of_points: bool = False


class Skipped(Frozen):
    """Measured rows without a prediction, and why."""

    kind: Text
    because: Text
    count: int


class Head(Frozen):
    """What the table does not say itself: its date and check sum, sources, names, errors of all figures, rows left out."""

    catalog: Text
    as_of: Text
    sha256: Text
    sources: Mapping[str, str]
    names: Mapping[str, str]
    stated: tuple[Stated, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class Book:
    """The head and all points."""

    head: Head
    points: tuple[Point, ...]

    def name(self, id: str) -> str:
        """Name of an accelerator, engine or runtime as people know it; the id where the head has none."""
        return self.head.names.get(id, id)

    def source(self, point: Point) -> str:
        """Source of a point in full, with its date where there is one."""
        said = self.head.sources[point.source]
        return f"{said}, {point.date}" if point.date else said


def read_points(text: str) -> tuple[Point, ...]:
    """Points of a table with the columns of `COLUMNS`.

    Raises InputError for another header, a row of the wrong length, and for figures that are not positive numbers.
    """
    rows = csv.reader(io.StringIO(text))
    header = next(rows, [])
    if tuple(header) != COLUMNS:
        raise InputError("accuracy columns", ", ".join(header[:30]), ", ".join(COLUMNS))
    found = []
    for row in rows:
        try:
            found.append(_point(row))
        except (ValueError, IndexError):
            raise InputError(f"accuracy line {rows.line_num}", ",".join(row)[:80], "positive figures") from None
    return tuple(found)


def _point(row: list[str]) -> Point:
    low, high = (float(cell) if cell else None for cell in row[12:14])
    measured, predicted, stands_for = float(row[10]), float(row[11]), float(row[17])
    if not (0 < measured < math.inf and 0 < predicted < math.inf and 1 <= stands_for < math.inf) or len(row) > 18:
        raise ValueError(row)
    return Point(
        row[0], row[1], row[2], row[3], row[4], row[5], row[6], float(row[7]), float(row[8]), row[9], measured, predicted,
        low, high, row[14] == "1", row[15], row[16], stands_for,
    )  # fmt: skip


@lru_cache(maxsize=1)
def book() -> Book:
    """What ships with the project, read once a process.

    >>> len(book().points) > 1000
    True
    """
    content = yaml.load(HEAD.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    for name in ("stated", "skipped"):
        content[name] = tuple(content[name])
    return Book(Head(**content), read_points(gzip.decompress(FILE.read_bytes()).decode()))


def check() -> list[str]:
    """Problems with the two files, one sentence each; empty if there are none: check sum, sources, order of the intervals."""
    found = []
    ours = book()
    if hashlib.sha256(gzip.decompress(FILE.read_bytes())).hexdigest() != ours.head.sha256:
        found.append(f"{FILE.name} is not the table that {HEAD.name} was written with.")
    lost = sorted({p.source for p in ours.points} - ours.head.sources.keys())
    if lost:
        found.append(f"{HEAD.name} lacks the source {lost[0]}.")
    found += [
        f"{FILE.name}: the interval of {p.model} on {p.hardware}, {p.quantity}, does not hold the prediction."
        for p in ours.points
        if p.low is not None and p.high is not None and not p.low <= p.predicted <= p.high
    ]
    return found
