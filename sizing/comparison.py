"""Scenarios side by side: what was asked differently, what is answered differently, and how sure the difference is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sizing import catalog as catalogs
from sizing import link as links
from sizing.catalog import Catalog
from sizing.comparison_view import LETTERS, Comparison
from sizing.errors import InputError
from sizing.plan import Deployment, Plan
from sizing.planner import plan
from sizing.scenario import SCENARIO_TYPES, AnyScenario
from sizing.scenario_base import ScenarioBase
from sizing.units import format_bytes, format_ms, format_usd

NOT_INPUTS = frozenset({"name", "notes"})
LEAST_CHANGE = 5e-4
"""Change [1] below which two figures are the same as shown."""

PLANS_KEPT = 8
"""Plans of compared scenarios kept (count): two readers with four each."""


@dataclass(frozen=True)
class Slot:
    """One place of a comparison: the scenario with its catalog and plan, or why it cannot be read."""

    letter: str
    query: str
    scenario: AnyScenario | None
    catalog: Catalog | None
    plan: Plan | None
    said: tuple[str, ...] = ()

    @property
    def best(self) -> Deployment | None:
        """What is recommended, if anything is."""
        return None if self.plan is None else self.plan.recommended

    @property
    def label(self) -> str:
        """Letter and title, or letter and model where the scenario has no title."""
        if self.scenario is None:
            return f"{self.letter}: cannot be read"
        model = getattr(self.scenario, "model", None) or getattr(self.scenario, "family", "")
        return f"{self.letter}: {self.scenario.name or model}"


@dataclass(frozen=True, slots=True)
class InputRow:
    """One input that is not the same everywhere: its field, and its value in each slot (None: the kind has no such field)."""

    field: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of one slot: its text, its number and interval where it has them, and its change against the first slot.

    `decided` is False where the 80 % intervals of the two figures overlap, None where there is nothing to decide.
    """

    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    change: float | None = None
    decided: bool | None = None


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One quantity of the answers, in each slot."""

    quantity: str
    cells: tuple[Cell, ...]


NOTHING = Cell("–")


@lru_cache(maxsize=PLANS_KEPT)
def slot(letter: str, query: str) -> Slot:
    """One place of a comparison from its query string; what is wrong with it is said in it, never raised."""
    try:
        decoded = links.from_query(query)
        scenario = decoded.scenario
        if not isinstance(scenario, ScenarioBase):
            raise InputError("kind", scenario.kind, f"one of {', '.join(SCENARIO_TYPES)}")
    except InputError as error:
        return Slot(letter, query, None, None, None, (str(error),))
    said = list(decoded.messages)
    catalog = catalogs.load()
    if decoded.catalog not in (None, catalog.version):
        try:
            catalog = catalogs.load(decoded.catalog)
            said.append(
                f"These are the figures of catalog {catalog.version}; the present one is {catalogs.load().version}."
            )
        except InputError as error:
            said.append(f"{error} The figures are of {catalog.version}.")
    try:
        found = plan.__wrapped__(scenario, catalog)
    except InputError as error:
        return Slot(letter, query, scenario, catalog, None, (*said, str(error)))
    return Slot(letter, query, scenario, catalog, found, tuple(said))


def slots(view: Comparison) -> tuple[Slot, ...]:
    """The places of a comparison, lettered in order."""
    return tuple(slot(letter.upper(), query) for letter, query in zip(LETTERS, view.queries, strict=False))


def query_of(text: str) -> str:
    """Query string of a scenario's link or query string that somebody pasted, with only what it could use.

    Raises InputError where it is no link of a scenario.
    """
    decoded = links.from_link(text.strip())
    if not isinstance(decoded.scenario, ScenarioBase):
        raise InputError("link", decoded.scenario.kind, f"a link of a page for {', '.join(SCENARIO_TYPES)}")
    if decoded.ignored:
        raise decoded.ignored[0]
    return links.to_query(decoded.scenario, catalog_version=decoded.catalog or catalogs.load().version)


def input_rows(compared: Sequence[Slot]) -> tuple[InputRow, ...]:
    """The inputs that differ, the catalog's version last."""
    scenarios = [s.scenario for s in compared]
    names = dict.fromkeys(n for s in scenarios if s is not None for n in ("kind", *type(s).model_fields))
    rows = []
    for name in names:
        values = tuple(getattr(s, name, None) for s in scenarios)
        if (
            name not in NOT_INPUTS
            and len({repr(v) for v, s in zip(values, scenarios, strict=True) if s is not None}) > 1
        ):
            rows.append(InputRow(name, values))
    versions = tuple(None if s.catalog is None else s.catalog.version for s in compared)
    if len({v for v in versions if v is not None}) > 1:
        rows.append(InputRow("catalog", versions))
    return tuple(rows)


def answer_rows(compared: Sequence[Slot]) -> tuple[AnswerRow, ...]:
    """The answers side by side, each figure with its change against the first slot."""
    figures = [dict(_figures(s.best)) if s.best is not None else {} for s in compared]
    names = dict.fromkeys(name for each in figures for name in each)
    rows = []
    for name in names:
        first = figures[0].get(name, NOTHING) if figures else NOTHING
        cells = (first, *(_against(first, each.get(name, NOTHING)) for each in figures[1:]))
        rows.append(AnswerRow(name, cells))
    return tuple(rows)


def _against(first: Cell, cell: Cell) -> Cell:
    """The cell with its change against the first one, and whether their intervals lie apart."""
    if first.value is None or cell.value is None or first.value == 0:
        return cell
    change = cell.value / first.value - 1.0
    decided = None
    if None not in (first.low, first.high, cell.low, cell.high) and abs(change) >= LEAST_CHANGE:
        decided = bool(cell.low > first.high or cell.high < first.low)  # type: ignore[operator]
    return Cell(cell.text, cell.value, cell.low, cell.high, change, decided)


def _figures(d: Deployment) -> Iterator[tuple[str, Cell]]:
    """Named figures of a deployment; those of one name in two kinds of scenario mean the same."""
    yield "Machines", Cell(f"{d.instances} × {d.instance_type} ({d.provider})")
    if d.accelerator_name is not None:
        yield "Accelerators", Cell(f"{d.accelerators} × {d.accelerator_name}", d.accelerators)
    yield "Replicas", Cell(f"{d.replicas:,}", d.replicas)
    cost = d.cost
    yield "Cost per month", Cell(format_usd(cost.usd_per_month), cost.usd_per_month)
    yield "Cost per hour", Cell(format_usd(cost.usd_per_hour), cost.usd_per_hour)
    per_million = cost.usd_per_1k_requests * 1000.0
    yield "Cost per million requests", Cell(format_usd(per_million), per_million)
    tokens = cost.usd_per_million_output_tokens
    if tokens is not None:
        yield "Cost per million output tokens", Cell(format_usd(tokens), tokens)
    for v in d.verdicts:
        limit = (
            "no limit" if v.limit_ms is None else f"limit {format_ms(v.limit_ms)}, {'✓ pass' if v.met else '✗ fail'}"
        )
        text = f"{format_ms(v.predicted_ms)} ({format_ms(v.low_ms)} to {format_ms(v.high_ms)}); {limit}"
        yield f"{v.quantity} p{v.percentile}", Cell(text, v.predicted_ms, v.low_ms, v.high_ms)
    rate = d.throughput.requests_per_s
    yield "Requests/s possible", Cell(f"{rate.capacity:,.4g}", rate.capacity)
    yield "Utilization", Cell(f"{d.utilization:.0%}", d.utilization)
    memory = d.memory_per_accelerator or d.memory_per_instance
    if memory is not None:
        name = "Memory used per accelerator" if d.memory_per_accelerator is not None else "Memory used per instance"
        low = float(memory.used_bytes if memory.used_low_bytes is None else memory.used_low_bytes)
        high = float(memory.used_bytes if memory.used_high_bytes is None else memory.used_high_bytes)
        share = memory.used_bytes / memory.capacity_bytes
        text = f"{format_bytes(memory.used_bytes)} of {format_bytes(memory.capacity_bytes)} ({share:.0%})"
        yield name, Cell(text, float(memory.used_bytes), low, high)
    yield "Binding", Cell(d.binding_constraint)
    marks = f" ({', '.join(cost.price_marks)})" if cost.price_marks else ""
    yield "Price", Cell(f"{cost.price_basis.replace('_', ' ')} of {cost.price_date}{marks}")


def headline(compared: Sequence[Slot]) -> str:
    """The comparison in a sentence: which is cheapest and by how much, who misses a limit, who finds nothing."""
    found = [s for s in compared if s.best is not None]
    none = [s.letter for s in compared if s.plan is not None and s.best is None]
    without = f" {_listed(none)} {'finds' if len(none) == 1 else 'find'} no deployment." if none else ""
    if not found:
        return "Nothing to compare yet." if not compared else "None of these scenarios finds a deployment."
    costs = {s.letter: s.best.cost.usd_per_month for s in found if s.best is not None}
    cheapest = min(costs, key=lambda letter: costs[letter])
    if len(found) == 1:
        return f"{cheapest} costs {format_usd(costs[cheapest])} a month.{without}"
    others = [f"{format_usd(costs[letter] - costs[cheapest])} a month less than {letter} ({costs[cheapest] / costs[letter] - 1:+.0%})"
              for letter in costs if letter != cheapest and costs[letter] - costs[cheapest] >= LEAST_CHANGE * costs[letter]]  # fmt: skip
    said = f"{cheapest} costs {' and '.join(others)}" if others else f"{_listed(list(costs))} cost the same"
    return f"{said}.{_slower(found)}{without}"


def _slower(found: Sequence[Slot]) -> str:
    """Where the second differs from the first in its latencies, when both answer the same quantities."""
    first, second = found[0], found[1]
    assert first.best is not None
    assert second.best is not None
    mine = {(v.quantity, v.percentile): v for v in first.best.verdicts}
    parts = []
    for v in second.best.verdicts:
        other = mine.get((v.quantity, v.percentile))
        if other is None or abs(v.predicted_ms / other.predicted_ms - 1.0) < LEAST_CHANGE:
            continue
        apart = v.low_ms > other.high_ms or v.high_ms < other.low_ms
        word = "slower" if v.predicted_ms > other.predicted_ms else "faster"
        unsure = "" if apart else ", within the intervals"
        parts.append(
            f"{word} in {v.quantity} p{v.percentile} ({format_ms(v.predicted_ms)} against {format_ms(other.predicted_ms)}{unsure})"
        )
    return f" {second.letter} is {' and '.join(parts)} than {first.letter}." if parts else ""


def _listed(letters: Sequence[str]) -> str:
    return letters[0] if len(letters) == 1 else f"{', '.join(letters[:-1])} and {letters[-1]}"


def comparison_text(compared: Sequence[Slot]) -> str:
    """The comparison as plain text: the sentence, what was asked differently, what is answered."""
    lines = [headline(compared), ""]
    lines += [s.label for s in compared]
    lines += [f"  {s.letter}: {said}" for s in compared for said in s.said]
    lines += ["", "Asked differently:"]
    lines += [f"  {row.field}: {' | '.join(shown(v) for v in row.values)}" for row in input_rows(compared)]
    lines += ["", "Answered:"]
    for row in answer_rows(compared):
        cells = " | ".join(c.text + change_words(c) for c in row.cells)
        lines.append(f"  {row.quantity}: {cells}")
    return "\n".join(lines) + "\n"


def change_words(cell: Cell) -> str:
    """The change of a figure against the first scenario, in brackets.

    >>> change_words(Cell("2", 2.0, change=-0.5)), change_words(Cell("1", 1.0, change=0.02, decided=False))
    (' (-50 %)', ' (+2 %, not decided)')
    """
    if cell.change is None or abs(cell.change) < LEAST_CHANGE:
        return ""
    percent = f"{cell.change * 100:+.0f} %" if abs(cell.change) >= 0.01 else f"{cell.change * 100:+.1f} %"
    return f" ({percent}{', not decided' if cell.decided is False else ''})"


def shown(value: Any) -> str:
    """A value of an input as text; what the kind does not have, or is empty, as a dash."""
    if value is None or value == () or value == "":
        return "–"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def as_json(compared: Sequence[Slot]) -> dict[str, Any]:
    """The comparison as plain data."""
    return {
        "headline": headline(compared),
        "scenarios": [
            {
                "letter": s.letter,
                "scenario": None if s.scenario is None else s.scenario.model_dump(mode="json"),
                "catalog": None if s.catalog is None else s.catalog.version,
                "said": list(s.said),
            }
            for s in compared
        ],
        "inputs": [{"field": r.field, "values": [shown(v) for v in r.values]} for r in input_rows(compared)],
        "answers": [
            {
                "quantity": r.quantity,
                "values": [
                    {
                        "text": c.text,
                        "value": c.value,
                        "low": c.low,
                        "high": c.high,
                        "change": c.change,
                        "decided": c.decided,
                    }
                    for c in r.cells
                ],
            }
            for r in answer_rows(compared)
        ],
    }
