"""A catalog with new prices: only the price lines that changed and the header are written, everything else stays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from sizing import catalog as catalogs
from sizing.errors import InputError
from sizing.refresh.changes import Change

_PRICE = re.compile(
    r"    - \{region_group: (?P<group>\w+), region: (?P<region>\"[^\"]*\"|[^,]+), basis: (?P<basis>\w+), usd_per_hour: (?P<usd>[\d.e+-]+), "
)
COLLECTED = "gpuhunt"
"""The source that collects prices from the providers' own lists; what comes in a file is of second hand."""

_ROW = re.compile(r"- id: (?P<id>\S+)")
_HEADER_DATE = re.compile(r"^as_of: .*$", re.MULTILINE)


def write(changes: Sequence[Change], *, source: str, about: str, on: date, directory: Path) -> Path:
    """Write the changed prices into instances.yaml with their day and source, and keep the result as a frozen version.

    The path of the frozen version. Raises InputError where the file is not as this project writes it; the file is then as
    it was.
    """
    path = directory / "instances.yaml"
    before = path.read_text(encoding="utf-8")
    after = rewritten(before, changes, source=source, about=about, on=on)
    path.write_text(after, encoding="utf-8")
    try:
        return catalogs.freeze(directory)
    except InputError:
        path.write_text(before, encoding="utf-8")
        raise


def rewritten(text: str, changes: Sequence[Change], *, source: str, about: str, on: date) -> str:
    """Text of instances.yaml with the changed prices [USD per hour]; each price line keeps its place and its terms."""
    wanted: dict[tuple[str, str, str], Change] = {(c.instance, c.price.region_group, c.price.basis): c for c in changes}
    lines, row, written = text.split("\n"), "", 0
    for number, line in enumerate(lines):
        if match := _ROW.match(line):
            row = match["id"]
        elif match := _PRICE.match(line):
            change = wanted.get((row, match["group"], match["basis"]))
            if change is not None:
                lines[number] = _line(change, match["region"], source, on)
                written += 1
    if written != len(wanted):
        raise InputError("instances.yaml", f"{len(wanted) - written} prices", "price lines as this project writes them")
    whole = _HEADER_DATE.sub(f"as_of: {on.isoformat()}", "\n".join(lines), count=1)
    if f"\n  {source}: " not in whole:
        whole = whole.replace("\nsources:\n", f"\nsources:\n  {source}: {about}\n", 1)
    return whole


def _line(change: Change, region: str, source: str, on: date) -> str:
    price = change.price
    kind = "observed" if price.basis == "spot" else "list" if source == COLLECTED else "secondary"
    note = f", note: median of {change.places} zones" if price.basis != "on_demand" and change.places > 1 else ""
    return (
        f"    - {{region_group: {price.region_group}, region: {region}, basis: {price.basis}, "
        f"usd_per_hour: {change.usd_per_hour:.6g}, as_of: {on.isoformat()}, kind: {kind}, source: {source}{note}}}"
    )
