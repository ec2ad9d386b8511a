"""Tables for `score`: reading cases from CSV, the row of a prediction beside a measurement, and what they sum up to."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from sizing.errors import InputError

COLUMNS = ("id", "quantity", "measured", "predicted", "low", "high", "skipped_because")
MAX_SHOWN_REASONS = 10


@dataclass(frozen=True, slots=True)
class Scored:
    """One quantity of one case: measured, predicted, the 80 % interval, or why there is no prediction."""

    id: str
    quantity: str
    measured: float | None = None
    predicted: float | None = None
    low: float | None = None
    high: float | None = None
    skipped_because: str = ""

    @property
    def error_percent(self) -> float | None:
        """Absolute error [% of the measured value], or None without both figures or for a measurement of 0."""
        if self.measured is None or self.predicted is None or self.measured == 0:
            return None
        return abs(self.predicted - self.measured) / abs(self.measured) * 100

    @property
    def is_inside(self) -> bool | None:
        """Whether the measurement lies in the stated interval, or None without one."""
        if self.measured is None or self.low is None or self.high is None:
            return None
        return self.low <= self.measured <= self.high


def percentile(values: Sequence[float], share: float) -> float:
    """Value that the share of the values does not exceed (nearest rank).

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.9)
    4.0
    """
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Case:
    """One row of a file of cases, with its line for messages."""

    line: int
    cells: dict[str, str]

    def text(self, column: str) -> str:
        """Text of a cell without surrounding blanks; empty if it is blank or the file has no such column."""
        return self.cells.get(column, "").strip()

    def number(self, column: str, *, least: float = 0.0, most: float = 1e15) -> float | None:
        """Number in a cell, or None if it is blank. Raises InputError for text, and for numbers out of range."""
        text = self.text(column)
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise InputError(f"line {self.line}, {column}", text, f"a number from {least:g} to {most:g}, or nothing")
        return value

    def whole(self, column: str, *, least: int = 1, most: int = 10**9) -> int | None:
        """Whole number in a cell, or None if it is blank. Raises InputError for anything else."""
        value = self.number(column, least=least, most=most)
        if value is None:
            return None
        if value != int(value):
            raise InputError(f"line {self.line}, {column}", value, f"a whole number from {least} to {most}, or nothing")
        return int(value)

    def flag(self, column: str) -> bool:
        """True or false in a cell; blank means false. Raises InputError for anything else."""
        text = self.text(column).lower()
        if text in ("true", "1", "yes"):
            return True
        if text in ("", "false", "0", "no"):
            return False
        raise InputError(f"line {self.line}, {column}", text, "true, false or nothing")


def read_cases(text: str, required: Iterable[str]) -> list[Case]:
    """Cases of a CSV with a header.

    Raises InputError for a file without a header or cases, a missing column, or a row of the wrong length.
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InputError("cases", str(error), "a CSV file") from None
    if not rows:
        raise InputError("cases", None, f"a CSV file with the columns {', '.join(required)}")
    header = [name.strip() for name in rows[0][1]]
    for name in required:
        if name not in header:
            raise InputError("column", name, f"a header that has it; this file has {', '.join(header[:20])}")
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise InputError(f"line {line}", f"{len(row)} cells", f"{len(header)} cells, as the header has")
    if len(rows) == 1:
        raise InputError("cases", "a header alone", "at least one row below it")
    return [Case(line, dict(zip(header, row, strict=True))) for line, row in rows[1:]]


def to_csv(scored: Iterable[Scored]) -> str:
    """CSV of the rows: id, quantity, measured, predicted, low, high, skipped_because; unknown figures are blank."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in scored:
        figures = (row.measured, row.predicted, row.low, row.high)
        writer.writerow(
            [row.id, row.quantity, *("" if x is None else f"{x:.10g}" for x in figures), row.skipped_because]
        )
    return out.getvalue()


def summary(scored: Sequence[Scored]) -> str:
    """Text: cases, what was skipped and why, and for each quantity n, median and P90 error [%] and share inside."""
    skipped = Counter(row.skipped_because for row in scored if not row.quantity)
    names = dict.fromkeys(row.quantity for row in scored if row.quantity)
    rows_of = Counter((row.id, row.quantity) for row in scored if row.quantity)
    of_case: dict[str, int] = {}
    for (id, _), count in rows_of.items():
        of_case[id] = max(of_case.get(id, 0), count)
    predicted = sum(of_case.values())
    lines = [f"{predicted + skipped.total()} cases, {predicted} predicted, {skipped.total()} skipped."]
    for reason, count in skipped.most_common(MAX_SHOWN_REASONS):
        lines.append(f"  skipped {count}: {reason}")
    if len(skipped) > MAX_SHOWN_REASONS:
        lines.append(f"  and {len(skipped) - MAX_SHOWN_REASONS} other reasons")
    if names:
        lines.append(f"{'quantity':<36}{'n':>6}{'median error':>15}{'P90 error':>12}{'in 80 % interval':>19}")
    for name in names:
        rows = [row for row in scored if row.quantity == name]
        errors = [row.error_percent for row in rows if row.error_percent is not None]
        inside = [row.is_inside for row in rows if row.is_inside is not None]
        if errors:
            share = f"{sum(inside) / len(inside):.0%}" if inside else "none stated"
            lines.append(
                f"{name:<36}{len(errors):>6}{median(errors):>13.2f} %{percentile(errors, 0.9):>10.2f} %{share:>19}"
            )
        else:
            lines.append(f"{name:<36}{0:>6}{'nothing to compare':>29}")
    return "\n".join(lines) + "\n"
