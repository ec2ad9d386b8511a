"""A comparison in words: the sentence on top, the cells of its table, the table for the terminal, and plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sizing import link as links
from sizing.comparison_answers import (
    AnswerRow,
    Cell,
    Compared,
    answer_rows,
    compared,
    input_differences,
    verdict_of,
)
from sizing.comparison_slots import Slot, comparison_of
from sizing.comparison_view import LETTERS
from sizing.errors import InputError
from sizing.plan import Verdict
from sizing.units import format_bytes, format_ms, format_usd

DASH = "–"
SAME_SHARE = 0.0005
"""Two costs that differ by less are the same in what is said [1]."""
LEAST_SHARE = -0.9999
"""A change that comes closer to -100 % is said as this, since nothing costs nothing [1]."""
TITLE_CHARACTERS = 45
MAX_INPUT_CHARACTERS = 60


def percent(share: float) -> str:
    """A change as text, with its sign.

    >>> percent(-0.231), percent(0.0004), percent(12.5), percent(0.004), percent(-0.9997)
    ('-23 %', '0 %', '+1,250 %', '+0.4 %', '-99.97 %')
    """
    if abs(share) < SAME_SHARE:
        return "0 %"
    digits = 2 if share < -0.995 else 1 if abs(share) < 0.0095 else 0
    return f"{max(share, LEAST_SHARE) * 100 if share > -1 else -100:+,.{digits}f} %"


def figure(value: float | str | None, unit: str) -> str:
    """A figure of the table with its unit; a dash where it does not apply.

    >>> figure(1234.5, "USD"), figure(0.62, "share"), figure(None, "ms"), figure(3, "count")
    ('$1,234', '62 %', '–', '3')
    """
    if value is None or isinstance(value, str):
        return value or DASH
    if unit == "USD":
        return format_usd(value)
    if unit == "ms":
        return format_ms(value)
    if unit == "bytes":
        return format_bytes(value)
    if unit == "share":
        return f"{value * 100:.0f} %"
    return f"{value:,.0f}" if unit == "count" else f"{value:,.4g} {unit}".replace(" 1/s", "/s")


def details(cell: Cell, unit: str) -> list[str]:
    """What stands beside a figure: change against A, interval, limit and verdict, in this order."""
    said = []
    if cell.change is not None:
        open_words = ", not decided" if cell.decided is False else ""
        said.append(f"{percent(cell.change)}{open_words}")
    if cell.low is not None and cell.high is not None:
        said.append(f"80 %: {figure(cell.low, unit)} to {figure(cell.high, unit)}")
    if unit == "bytes" and cell.limit is not None:
        said.append(f"of {figure(cell.limit, unit)}")
    elif cell.met is not None:
        limit = "no limit" if cell.limit is None else f"limit {figure(cell.limit, unit)}"
        said.append(f"{limit}: {'pass' if cell.met else 'fail'}" if cell.limit is not None else limit)
    return said


def input_text(value: Any, held: bool) -> str:
    """Value of an input as text: a dash where a scenario has no such field, long texts by their length.

    >>> input_text(None, True), input_text(None, False), input_text(("aws", "gcp"), True), input_text("x" * 90, True)
    ('none', '–', 'aws, gcp', 'text of 90 characters')
    >>> input_text(1500.0, True), input_text(0.75, True), input_text(False, True)
    ('1,500', '0.75', 'no')
    """
    if not held:
        return DASH
    if value is None or value in ("", ()):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return f"{value:,.10g}"
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= MAX_INPUT_CHARACTERS else f"text of {len(text):,} characters"


def headline(entries: Sequence[Compared]) -> str:
    """The comparison in a sentence: cost first, then who meets the limits, then the latencies that are decided."""
    known = [entry for entry in entries if entry.answer is not None]
    unread = [entry.letter for entry in entries if entry.answer is None]
    closing = f" {_listed(unread)} could not be read." if unread else ""
    if not known:
        return f"Nothing to compare yet.{closing}"
    if len(known) == 1:
        only = known[0]
        assert only.answer is not None
        who = only.letter if only.title == only.answer.subject else _named(only)
        return f"{who}: {only.answer.headline.rstrip('.')}. Nothing to compare it with yet.{closing}"
    served = [entry for entry in known if entry.best is not None]
    if not served:
        return f"No scenario has a deployment under its rules: {_bound(known)}.{closing}"
    none = [entry for entry in known if entry.best is None]
    if len(served) == 1:
        return f"Only {_named(served[0])} has a deployment: {_month(served[0])} a month. {_bound(none)}.{closing}"
    parts = [f"{_costs(served)}, and {'both' if len(served) == 2 else 'all'} meet their limits"]
    parts += _latencies(served)
    if none:
        parts.append(f"{_bound(none)}")
    return "; ".join(parts) + "." + closing


def _named(entry: Compared) -> str:
    title = entry.title
    short = title if len(title) <= TITLE_CHARACTERS else title[: TITLE_CHARACTERS - 1].rstrip() + "…"
    return f"{entry.letter} ({short})"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _bound(entries: Sequence[Compared]) -> str:
    said = (f"{e.letter} has no deployment, {e.answer.binding_constraint} binds" for e in entries if e.answer)
    return "; ".join(said)


def _usd_per_month(entry: Compared) -> float:
    assert entry.best is not None
    return entry.best.cost.usd_per_month


def _month(entry: Compared) -> str:
    return format_usd(_usd_per_month(entry))


def _costs(served: Sequence[Compared]) -> str:
    """Who costs how much more or less than the first of those that have a deployment."""
    first, *others = served
    base = _usd_per_month(first)
    if len(others) == 1:
        other = others[0]
        gap = _usd_per_month(other) - base
        if abs(gap) < SAME_SHARE * base:
            return f"{_named(other)} costs the same as {_named(first)}, {format_usd(base)} a month"
        word = "less" if gap < 0 else "more"
        return (
            f"{_named(other)} costs {format_usd(abs(gap))} {word} a month than {_named(first)} ({percent(gap / base)})"
        )
    cheapest = min(served, key=_usd_per_month)
    told = [f"{_named(cheapest)} is the cheapest at {_month(cheapest)} a month"]
    for entry in served:
        gap = _usd_per_month(entry) - _usd_per_month(cheapest)
        if entry is not cheapest:
            more = f"{format_usd(gap)} more ({percent(gap / _usd_per_month(cheapest))})"
            same = gap < SAME_SHARE * base
            told.append(f"{entry.letter} costs {'the same' if same else more}")
    return ", ".join(told)


def _latencies(served: Sequence[Compared]) -> list[str]:
    """What can be said of each other scenario's latencies beside the first one's."""
    first = served[0]
    assert first.best is not None
    told = []
    for other in served[1:]:
        pairs = [
            (mine, theirs)
            for mine in first.best.verdicts
            if (theirs := verdict_of(other.best, (mine.quantity, mine.percentile))) is not None
        ]
        clauses = [_clause(*pair) for pair in pairs if _decided(*pair)]
        if clauses:
            told.append(f"{other.letter} is {_listed(clauses)}")
        open_ones = [_short(mine) for mine, theirs in pairs if not _decided(mine, theirs) and mine != theirs]
        if open_ones and len(served) == 2:
            told.append(f"{_listed(open_ones)} not decided (the 80 % intervals overlap)")
    return told


def _decided(mine: Verdict, theirs: Verdict) -> bool:
    return not (mine.low_ms <= theirs.high_ms and theirs.low_ms <= mine.high_ms)


def _clause(mine: Verdict, theirs: Verdict) -> str:
    gap = theirs.predicted_ms - mine.predicted_ms
    change = percent(gap / mine.predicted_ms)
    return f"{'slower' if gap > 0 else 'faster'} at {_short(mine)} by {format_ms(abs(gap))} ({change})"


def _short(verdict: Verdict) -> str:
    name = verdict.quantity.split("(")[-1].rstrip(")") if "(" in verdict.quantity else verdict.quantity.lower()
    return f"{name} p{verdict.percentile}"


def comparison_text(entries: Sequence[Compared]) -> str:
    """The comparison for the terminal: sentence, scenarios, inputs that differ, answers."""
    lines = [headline(entries), ""]
    for entry in entries:
        state = "" if entry.best is not None else "  (no deployment)"
        lines.append(f"{entry.letter}: {entry.title}{state}  catalog {entry.slot.catalog}")
    letters = [entry.letter for entry in entries]
    inputs = [
        [row.field, *(input_text(v, has) for v, has in zip(row.values, row.held, strict=True))]
        for row in input_differences(entries)
    ]
    lines += ["", *(_table(["Inputs that differ", *letters], inputs) if inputs else ["No input differs."]), ""]
    rows = answer_rows(entries)
    answers = [[row.quantity, *(_cell_text(cell, row) for cell in row.cells)] for row in rows]
    lines += [*_table(["Answers", *letters], answers), ""]
    lines.append(
        "In brackets the change against A. Not decided: the 80 % intervals of both overlap. A month is 730 h; a dash: does not apply."
    )
    return "\n".join(lines) + "\n"


def _cell_text(cell: Cell, row: AnswerRow) -> str:
    more = details(cell, row.unit)
    shown = figure(cell.value, row.unit)
    return f"{shown} ({'; '.join(more)})" if more and cell.value is not None else shown


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]


def comparison_json(entries: Sequence[Compared]) -> dict[str, Any]:
    """Plain data of a comparison, as `python -m sizing compare --json` prints it; what does not apply is null."""
    comparison = comparison_of(entry.slot for entry in entries)
    return {
        "kind": comparison.kind,
        "headline": headline(entries),
        "query": links.to_query(comparison, catalog_version=""),
        "scenarios": [
            {
                "letter": entry.letter,
                "title": entry.title,
                "label": entry.slot.label,
                "catalog": entry.slot.catalog,
                "scenario": None if entry.slot.scenario is None else entry.slot.scenario.model_dump(mode="json"),
                "headline": None if entry.answer is None else entry.answer.headline,
                "found": entry.best is not None,
            }
            for entry in entries
        ],
        "inputs": [
            {"field": row.field, "values": list(row.values), "applies": list(row.held)}
            for row in input_differences(entries)
        ],
        "answers": [
            {"quantity": row.quantity, "unit": row.unit, "values": [_cell_json(cell) for cell in row.cells]}
            for row in answer_rows(entries)
        ],
    }


def _cell_json(cell: Cell) -> dict[str, Any]:
    change = None if cell.change is None else cell.change * 100
    return {
        **{"value": cell.value, "low": cell.low, "high": cell.high, "limit": cell.limit, "met": cell.met},
        **{"change_percent": change, "decided": cell.decided},
    }


def compare(slots: Sequence[Slot]) -> tuple[Compared, ...]:
    """The scenarios of the command line, two to four of them, with their answers.

    Raises InputError for another number, and for a scenario that cannot be answered.
    """
    if not 2 <= len(slots) <= len(LETTERS):
        raise InputError("scenarios", len(slots), f"two to {len(LETTERS)} of them")
    return compared(slots)
