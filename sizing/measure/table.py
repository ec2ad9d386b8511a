"""A measurement as texts: the table by rows of a call, and the lines under it; the page and the command line show the same."""

from __future__ import annotations

from sizing.catalog import Catalog
from sizing.cpu import CpuSpeed
from sizing.measure.factor import Compared, machine_parts, reference_ratios
from sizing.measure.records import Measurement
from sizing.units import format_bytes, format_ms

COLUMNS = ("Rows a call", "Calls timed", "Median", "p99", "Median by the clock", "Predicted here (80 %)", "Difference")


def table_rows(found: tuple[Compared, ...]) -> list[tuple[str, ...]]:
    """A row of texts for each number of rows; times are thread CPU time but for the one by the clock."""
    return [
        (
            f"{one.measured.rows:,}",
            f"{one.measured.calls:,}",
            format_ms(one.measured.median_ms),
            format_ms(one.measured.p99_ms),
            format_ms(one.measured.wall_median_ms),
            _predicted(one),
            "–" if one.difference_share is None else f"{one.difference_share:+.0%}",
        )
        for one in found
    ]


def _predicted(one: Compared) -> str:
    if one.predicted_ms is None:
        return "–"
    return f"{format_ms(one.predicted_ms)} ({format_ms(one.low_ms)} to {format_ms(one.high_ms)})"


def speed_text(measurement: Measurement, speed: CpuSpeed, catalog: Catalog) -> str:
    """The time factor of this machine in a sentence, with its interval and what it was made of."""
    parts = " and ".join(
        f"{ratio:.2f} at {rows:,} row{'s' if rows > 1 else ''} a call"
        for rows, ratio in reference_ratios(measurement, catalog)
    )
    each = machine_parts(measurement, catalog)
    return (
        f"CPU time factor of this machine {speed.factor:.2f} (80 % interval {speed.low:.2f} to {speed.high:.2f}) against the "
        f"catalog's host, below 1 is faster: geometric mean of measured over predicted for 100 boosted trees, {parts}. "
        f"Taken apart, {each.call:.2f} for the work of a call and {each.rows:.2f} for that of its rows: the predictions here use "
        "these two."
    )


def fact_rows(measurement: Measurement) -> list[tuple[str, str]]:
    """Load time and memory of the process, by name."""
    return [
        ("Time to load the model", format_ms(measurement.load_ms)),
        ("Memory of the process before loading", format_bytes(measurement.before_bytes)),
        ("Memory that loading added", format_bytes(measurement.model_bytes)),
        ("Largest memory of the process", format_bytes(measurement.peak_bytes)),
    ]


def text(measurement: Measurement, found: tuple[Compared, ...], speed: CpuSpeed, catalog: Catalog) -> str:
    """All of it as plain lines for the terminal."""
    grid = [COLUMNS, *table_rows(found)]
    widths = [max(len(row[i]) for row in grid) for i in range(len(COLUMNS))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in grid]
    lines += [
        "",
        *(f"{name}: {value}" for name, value in fact_rows(measurement)),
        speed_text(measurement, speed, catalog),
    ]
    lines += [f"{note}." for note in measurement.notes]
    return "\n".join(lines) + "\n"
