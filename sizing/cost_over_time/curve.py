"""The load of each hour of a week as a share of the busiest hour: named shapes, and tables that people paste."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sizing.errors import InputError
from sizing.scenario_fleet import TABLE_ALLOWED, FleetFields, LoadShape

Floats = NDArray[np.float64]
HOURS, DAY, WEEK = 24, 24, 168
WEEKDAYS = 5

_OFFICE = (8, 6, 5, 5, 6, 10, 20, 45, 75, 92, 100, 97, 85, 92, 98, 95, 85, 65, 42, 30, 24, 20, 15, 10)
_OFFICE_WEEKEND = (6, 5, 4, 4, 4, 5, 6, 8, 10, 12, 14, 14, 13, 13, 13, 12, 12, 11, 10, 10, 9, 8, 7, 6)
_CONSUMER = (45, 33, 25, 21, 20, 22, 30, 42, 52, 58, 62, 66, 70, 70, 69, 70, 74, 80, 87, 94, 100, 97, 83, 62)
_CONSUMER_WEEKEND = (55, 42, 32, 25, 22, 21, 25, 34, 47, 60, 68, 73, 76, 77, 77, 78, 80, 84, 89, 94, 98, 94, 80, 63)
_REGIONS = (60, 52, 47, 45, 46, 52, 62, 75, 86, 92, 95, 94, 92, 95, 99, 100, 97, 92, 85, 80, 76, 73, 70, 66)
_NIGHT = (100, 100, 100, 100, 100, 90, 40, 15, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 15, 25, 50, 80, 95)

SHAPES: dict[LoadShape, tuple[str, Sequence[int], Sequence[int]]] = {
    "constant": ("the same at every hour", (100,) * DAY, (100,) * DAY),
    "office_hours": ("office hours of one country, quiet at night and on the weekend", _OFFICE, _OFFICE_WEEKEND),
    "consumer_day": ("consumers of one country, busiest in the evening", _CONSUMER, _CONSUMER_WEEKEND),
    "two_regions": ("two regions of the world, half a day apart", _REGIONS, _REGIONS),
    "night_batch": ("batches at night beside a little by day", _NIGHT, _NIGHT),
}
"""Name, hours of a weekday and hours of a day of the weekend [% of the busiest hour]. Assumptions of this project, drawn after
the usual daily course of web and office traffic (trough a fifth of the peak or less); 2026-11-25. Put your own in."""


def shares(scenario: FleetFields) -> Floats:
    """Load of the 168 hours of a week from Monday [1], over that of the busiest hour.

    >>> week = shares(FleetFields(load_shape="office_hours"))
    >>> week.shape, float(week.max()), round(float(week.mean()), 3)
    ((168,), 1.0, 0.362)
    """
    if scenario.load_shape == "custom" and scenario.load_table:
        table = np.array(scenario.load_table)
        week = np.tile(table, WEEK // len(table))
        return np.asarray(week / week.max())
    _, weekday, weekend = SHAPES.get(scenario.load_shape, SHAPES["constant"])
    days = [weekday] * WEEKDAYS + [weekend] * (7 - WEEKDAYS)
    return np.asarray(np.concatenate(days) / 100.0)


def parsed(text: str) -> tuple[float, ...]:
    """Shares of the busiest hour [%] from pasted text: 24 or 168 numbers, or rows of hour and load; any unit of load.

    >>> parsed("0 50 100 " + "25 " * 21)[:4]
    (0.0, 50.0, 100.0, 25.0)

    Raises InputError naming what cannot be read.
    """
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if not lines:
        raise InputError("load_table", None, TABLE_ALLOWED)
    rows = [_cells(line) for line in lines]
    if len(rows) > 1 and not any(map(_is_number, rows[0])):
        rows = rows[1:]  # a head
    cells = [row[-1] for row in rows] if len(rows) in (DAY, WEEK) else [cell for row in rows for cell in row]
    values = []
    for position, cell in enumerate(cells, start=1):
        if not _is_number(cell):
            raise InputError(f"load_table, value {position}", cell, "a number from 0 up")
        values.append(float(cell))
    if len(values) not in (DAY, WEEK):
        raise InputError("load_table", f"{len(values)} numbers", TABLE_ALLOWED)
    top = max(values)
    if top <= 0:
        raise InputError("load_table", "only zeros", TABLE_ALLOWED)
    return tuple(round(100.0 * value / top, 2) for value in values)


def _cells(line: str) -> list[str]:
    separator = next((c for c in ("\t", ";", ",") if c in line), None)
    found = next(csv.reader([line], delimiter=separator)) if separator else line.split()
    return [cell.strip().removesuffix("%").strip() for cell in found if cell.strip()]


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"\d{1,12}(\.\d{1,12})?", cell) is not None
