"""`python -m sizing snapshot`: freezes the answer to a scenario, or checks a frozen one against today's computation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import islice
from pathlib import Path

from sizing import catalog as catalogs
from sizing import snapshot
from sizing.catalog import Catalog
from sizing.errors import InputError
from sizing.plan import Plan
from sizing.planner import plan_with_remedies
from sizing.scenario import AnyScenario

SHOWN_DIFFERENCES = 12
SAME, OTHER = 0, 1
"""Exit codes of a check: today's figures are the same, or others."""


def write(scenario: AnyScenario, catalog: Catalog, out: str | None, *, on: date) -> Plan:
    """Freeze the answer of a day to standard output or into a file; the plan that was frozen."""
    found = plan_with_remedies(scenario, catalog)
    text = snapshot.to_json(found, created=on)
    if out is None:
        print(text, end="")
        return found
    try:
        Path(out).write_text(text, encoding="utf-8")
    except OSError:
        raise InputError("output", out, "a file that can be written") from None
    return found


def read(path: str) -> snapshot.Snapshot:
    """Snapshot of a file. Raises InputError where it cannot be read, SnapshotError where it is none."""
    try:
        with Path(path).open(encoding="utf-8") as file:
            return snapshot.from_json(file.read(snapshot.MAX_CHARACTERS + 1))
    except UnicodeDecodeError:
        raise snapshot.SnapshotError("this is not a file that was saved with Snapshot (JSON)") from None
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("snapshot", path, "a file that can be read") from None


def check(path: str) -> int:
    """Print what a snapshot says, that its checksum holds, and whether today's computation gives the same figures."""
    frozen = read(path)
    differ = False
    for line, is_difference in _lines(frozen):
        print(line)
        differ = differ or is_difference
    return OTHER if differ else SAME


def _lines(frozen: snapshot.Snapshot) -> Iterator[tuple[str, bool]]:
    plan, present = frozen.plan, catalogs.load()
    yield plan.headline, False
    yield f"Frozen on {frozen.created} under catalog {plan.catalog}.", False
    yield f"The checksum matches the content: {frozen.checksum}.", False
    yield f"Figures of the plan: sha256:{snapshot.plan_digest(plan)}.", False
    try:
        then = catalogs.load(plan.catalog)
    except InputError:
        yield f"Catalog {plan.catalog} is not kept here, so it was not computed again under it.", False
    else:
        yield from _compared(plan, then, "under the same catalog")
    if plan.catalog != present.version:
        yield from _compared(plan, present, f"under the present catalog {present.version}")


def _compared(plan: Plan, catalog: Catalog, under: str) -> Iterator[tuple[str, bool]]:
    try:
        fresh = plan_with_remedies(plan.scenario, catalog)
    except InputError as error:
        yield f"Computed today {under} it cannot be answered: {error}", True
        return
    old, new = plan.as_json(), fresh.as_json()
    if catalog.version != plan.catalog:
        del old["catalog"], new["catalog"]
    found = list(snapshot.differences(old, new))
    if not found:
        yield f"Computed today {under}: the same figures.", False
        return
    yield f"Computed today {under}, {len(found)} figures differ: {fresh.headline}", True
    for sentence in islice(found, SHOWN_DIFFERENCES):
        yield f"  {sentence}", True
    if len(found) > SHOWN_DIFFERENCES:
        yield f"  and {len(found) - SHOWN_DIFFERENCES} more", True
