"""The differences of a comparison: the inputs that differ, then the answers, each against A.

A change is value / value of A - 1. Two predictions whose 80 % intervals overlap are not decided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from sizing.catalog import Catalog
from sizing.comparison_slots import Slot
from sizing.comparison_view import LETTERS
from sizing.plan import Deployment, Verdict
from sizing.planner import plan
from sizing.scenario import AnyScenario

ANSWERS_KEPT = 16
"""Answers kept (count): a few comparisons that are looked at now. Each is one deployment, not the whole plan."""
WORDS_ONLY = frozenset({"kind", "name", "notes"})
TELLING = frozenset(
    {
        *("model", "family", "runtime", "weight_format", "precision", "prompt_tokens", "output_tokens", "input_size"),
        *("rows_per_request", "ttft_target_ms", "tpot_target_ms", "latency_target_ms", "p99_target_ms"),
    }
)
"""Fields shown beside scenarios of another kind even at their usual value; the rest only where it is not usual."""


@dataclass(frozen=True)
class Answer:
    """What is kept of a plan: its sentence, the recommended deployment (None: nothing serves it) and what binds."""

    headline: str
    best: Deployment | None
    binding_constraint: str

    @property
    def subject(self) -> str:
        """What is served, under what load: the start of the sentence."""
        return self.headline.split(" has no deployment")[0].split(" needs ")[0].rstrip(",")


@dataclass(frozen=True)
class Compared:
    """One scenario of a comparison with its letter and its answer; None where it could not be read."""

    letter: str
    slot: Slot
    answer: Answer | None

    @property
    def best(self) -> Deployment | None:
        """The recommended deployment, if there is one."""
        return None if self.answer is None else self.answer.best

    @property
    def title(self) -> str:
        """What it is called: its label, its scenario's title, or what is served."""
        named = self.slot.label or (self.slot.scenario.name if self.slot.scenario is not None else "")
        return named or (self.answer.subject if self.answer is not None else "not read")


@dataclass(frozen=True)
class InputDifference:
    """A field whose values differ; `held` says whether a scenario has the field at all."""

    field: str
    values: tuple[Any, ...]
    held: tuple[bool, ...]


@dataclass(frozen=True)
class Cell:
    """One figure of one scenario: None where it does not apply. `change` is its share against A [1].

    `decided` is whether the 80 % intervals of both lie apart; None where one of them has no interval.
    """

    value: float | str | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    met: bool | None = None
    change: float | None = None
    decided: bool | None = None


@dataclass(frozen=True)
class AnswerRow:
    """A quantity in every scenario, with its unit."""

    quantity: str
    unit: str
    cells: tuple[Cell, ...]


@lru_cache(maxsize=ANSWERS_KEPT)
def answer_of(scenario: AnyScenario, catalog: Catalog) -> Answer:
    """Answer to a scenario under a catalog. Raises InputError as `sizing.planner.plan`."""
    found = plan(scenario, catalog)
    return Answer(found.headline, found.recommended, found.binding_constraint)


def compared(slots: Sequence[Slot]) -> tuple[Compared, ...]:
    """Each slot with its letter and answer. Raises InputError for a scenario that its catalog cannot answer."""
    return tuple(
        Compared(letter.upper(), slot, None if slot.scenario is None else answer_of(slot.scenario, slot.loaded))
        for letter, slot in zip(LETTERS, slots, strict=False)
    )


def input_differences(entries: Sequence[Compared]) -> tuple[InputDifference, ...]:
    """Fields that differ between the scenarios that could be read, in the order of their models.

    Beside another kind of scenario, a field that not all have is shown where it tells what is served or is not usual.
    """
    scenarios = [entry.slot.scenario for entry in entries]
    kinds = tuple(None if scenario is None else scenario.kind for scenario in scenarios)
    catalogs_used = tuple(entry.slot.catalog or None for entry in entries)
    found = []
    for field, values in (("kind", kinds), ("catalog", catalogs_used)):
        if len({value for value in values if value is not None}) > 1:
            found.append(InputDifference(field, values, tuple(value is not None for value in values)))
    names = dict.fromkeys(n for s in scenarios if s is not None for n in type(s).model_fields if n not in WORDS_ONLY)
    for name in names:
        held = tuple(s is not None and name in type(s).model_fields for s in scenarios)
        values = tuple(getattr(s, name) if has else None for s, has in zip(scenarios, held, strict=True))
        there = [(s, v) for s, v, has in zip(scenarios, values, held, strict=True) if has and s is not None]
        differs = any(value != there[0][1] for _, value in there)
        everywhere = len(there) == sum(s is not None for s in scenarios)
        unusual = any(value != type(s).model_fields[name].get_default() for s, value in there)
        if differs or (not everywhere and (name in TELLING or unusual)):
            found.append(InputDifference(name, values, held))
    return tuple(found)


def _memory(best: Deployment) -> Cell:
    memory = best.memory_per_accelerator or best.memory_per_instance
    if memory is None:
        return Cell()
    return Cell(memory.used_bytes, memory.used_low_bytes, memory.used_high_bytes, limit=memory.capacity_bytes)


def _per_million_requests(best: Deployment) -> float:
    return best.cost.usd_per_1k_requests * 1000


_FIGURES: tuple[tuple[str, str, Callable[[Deployment], float | str | None]], ...] = (
    ("Machine", "", lambda d: f"{d.instance_type} ({d.provider})"),
    ("Machines", "count", lambda d: d.instances),
    ("Accelerators", "count", lambda d: d.accelerators),
    ("Cost per month", "USD", lambda d: d.cost.usd_per_month),
    ("Cost per hour", "USD", lambda d: d.cost.usd_per_hour),
    ("Cost per 1M output tokens", "USD", lambda d: d.cost.usd_per_million_output_tokens),
    ("Cost per 1M requests", "USD", _per_million_requests),
)
_MORE: tuple[tuple[str, str, Callable[[Deployment], float | str | None]], ...] = (
    ("Most requests within the limits", "1/s", lambda d: d.throughput.requests_per_s.capacity),
    ("Utilization", "share", lambda d: d.utilization),
)


def answer_rows(entries: Sequence[Compared]) -> tuple[AnswerRow, ...]:
    """Machines, count, cost, each latency percentile against its limit, utilization, memory used and what binds.

    A row that applies to none of the scenarios is left out.
    """
    rows = [_row(name, unit, entries, partial(_figure, read)) for name, unit, read in _FIGURES]
    limits = dict.fromkeys((v.quantity, v.percentile) for entry in entries if entry.best for v in entry.best.verdicts)
    rows += [_row(f"{at[0]} p{at[1]}", "ms", entries, partial(_latency, at)) for at in limits]
    rows += [_row(name, unit, entries, partial(_figure, read)) for name, unit, read in _MORE]
    rows.append(_row("Memory used of an accelerator or instance", "bytes", entries, _memory))
    binding = tuple(Cell(None if e.answer is None else e.answer.binding_constraint) for e in entries)
    rows.append(AnswerRow("Binding constraint", "", binding))
    return tuple(row for row in rows if any(cell.value is not None for cell in row.cells))


def verdict_of(best: Deployment | None, at: tuple[str, int]) -> Verdict | None:
    """The verdict on a quantity and percentile, if the deployment has it."""
    verdicts = () if best is None else best.verdicts
    return next((v for v in verdicts if (v.quantity, v.percentile) == at), None)


def _figure(read: Callable[[Deployment], float | str | None], best: Deployment) -> Cell:
    return Cell(read(best))


def _latency(at: tuple[str, int], best: Deployment) -> Cell:
    v = verdict_of(best, at)
    return Cell() if v is None else Cell(v.predicted_ms, v.low_ms, v.high_ms, v.limit_ms, v.met)


def _row(quantity: str, unit: str, entries: Sequence[Compared], read: Callable[[Deployment], Cell]) -> AnswerRow:
    cells = [Cell() if entry.best is None else read(entry.best) for entry in entries]
    return AnswerRow(quantity, unit, tuple(against(cell, cells[0], first=i == 0) for i, cell in enumerate(cells)))


def against(cell: Cell, reference: Cell, *, first: bool = False) -> Cell:
    """The cell with its change against the reference [1] and whether both are decided; the first has neither.

    >>> against(Cell(77.0), Cell(100.0)).change
    -0.23
    >>> against(Cell(5.0, 4.0, 6.0), Cell(8.0, 6.5, 9.0)).decided
    True
    """
    if first or isinstance(cell.value, str) or isinstance(reference.value, str):
        return cell
    if cell.value is None or not reference.value:
        return cell
    decided = None
    if None not in (cell.low, cell.high, reference.low, reference.high):
        decided = not (cell.low <= reference.high and reference.low <= cell.high)  # type: ignore[operator]
    change = round(cell.value / reference.value - 1.0, 12)
    return Cell(cell.value, cell.low, cell.high, cell.limit, cell.met, change, decided)
