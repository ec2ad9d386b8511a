"""The map of accelerators against counts: where a model fits, with how many tokens of KV cache left. One HTML table.

It depends on the model, its formats, its context and the engine, not on traffic or price: it is kept for those fields.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from html import escape

import streamlit as st

from sizing.catalog import Catalog
from sizing.llm.answers import Cell, memory_map, smallest_holding
from sizing.llm.candidates import IRRELEVANT_TO_A_REPLICA
from sizing.llm.sharding import Split
from sizing.scenario import LlmScenario
from sizing.units import GIB
from ui.frame import plain
from ui.results import folded

SHOWN_ROWS = 12
SMALLEST_SHOWN = 6
SAME_SIZE = 1.08
"""Ratio up to which two sizes of memory count as the same when rows are chosen for view [1]. A rule of this page."""
MARKS = {"room": "✓ fits with room", "tight": "! fits tight", "no": "✗ does not fit"}
Rows = tuple[tuple[Cell, ...], ...]


def replica_scenario(scenario: LlmScenario) -> LlmScenario:
    """The scenario with all that a replica's memory does not depend on at its usual values, as a key to keep results by."""
    fields = LlmScenario.model_fields
    return scenario.model_copy(update={name: fields[name].default for name in IRRELEVANT_TO_A_REPLICA})


@lru_cache(maxsize=1)
def cells_of(scenario: LlmScenario, catalog: Catalog) -> tuple[Cell, ...]:
    """Cells of the map, of the last one asked for; `scenario` from `replica_scenario`."""
    return memory_map(scenario, catalog)


@dataclass(frozen=True, slots=True)
class MapTexts:
    """The map as HTML, and the few cells that sentences and tables quote. Its other cells are not kept: the collector
    would walk them after every redraw."""

    shown: str
    rest: str
    more: int  # accelerators in `rest`
    smallest: tuple[Cell, ...]  # for each accelerator the smallest count that holds the requests, least memory first
    largest_count: int


@lru_cache(maxsize=8)
def map_texts(
    scenario: LlmScenario, catalog: Catalog, requests: int, first: tuple[str, ...], chosen: tuple[str, int] | None
) -> MapTexts:
    """The map of a scenario from `replica_scenario`: rows of `first` in view, the chosen cell marked."""
    cells = cells_of(scenario, catalog)
    shown, rest = _ordered(cells, catalog, first)
    return MapTexts(
        shown=_table(shown, chosen) if shown else "",
        rest=_table(rest, chosen) if rest else "",
        more=len(rest),
        smallest=smallest_holding(cells, requests)[:SMALLEST_SHOWN],
        largest_count=max((cell.count for cell in cells), default=0),
    )


def short_count(count: float) -> str:
    """A count in three digits.

    >>> short_count(412_345), short_count(1_234_567), short_count(812)
    ('412k', '1.23M', '812')
    """
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.0f}{unit}" if count >= 100 * size else f"{count / size:.3g}{unit}"
    return f"{count:.0f}"


def spread(split: Split | None) -> str:
    """How accelerators share a model, in words.

    >>> spread(Split(tensor=4, attention_data=2, expert_parallel=True))
    'tp 4, attention dp 2, ep'
    """
    if split is None:
        return "none"
    parts = [f"tp {split.tensor}"]
    parts += [f"pp {split.pipeline}"] if split.pipeline > 1 else []
    parts += [f"attention dp {split.attention_data}"] if split.attention_data > 1 else []
    return ", ".join(parts + (["ep"] if split.expert_parallel else []))


def _ordered(cells: tuple[Cell, ...], catalog: Catalog, first: tuple[str, ...]) -> tuple[Rows, Rows]:
    """Rows in view and the rest, each with NVIDIA parts first and by memory.

    In view: the accelerators named in `first`, then of those that it fits on and of each size of memory the one most
    often rented, NVIDIA's first.
    """
    by_part: dict[str, list[Cell]] = {}
    for cell in cells:
        by_part.setdefault(cell.accelerator, []).append(cell)
    offers = Counter(i.accelerator_id for i in catalog.instances.values())
    size: dict[str, int] = {}
    of_size: Counter[tuple[bool, int]] = Counter()
    rank: dict[str, int] = {}

    def other(name: str) -> bool:
        return catalog.accelerators[name].vendor != "NVIDIA"

    def by_memory(name: str) -> tuple[bool, int, str]:
        return other(name), catalog.accelerators[name].capacity_bytes, catalog.accelerators[name].name

    start = 0
    for name in sorted(by_part, key=by_memory):
        capacity = catalog.accelerators[name].capacity_bytes
        if not start <= capacity <= start * SAME_SIZE:
            start = capacity
        size[name] = start
    for name in sorted(by_part, key=lambda n: (-offers[n], by_memory(n))):
        rank[name] = of_size[other(name), size[name]]
        of_size[other(name), size[name]] += 1
    nowhere = {name: all(cell.fit == "no" for cell in row) for name, row in by_part.items()}
    names = sorted(
        by_part,
        key=lambda n: (n not in first, nowhere[n], rank[n], not offers[n], other(n), -offers[n], by_memory(n)),
    )
    shown, rest = sorted(names[:SHOWN_ROWS], key=by_memory), sorted(names[SHOWN_ROWS:], key=by_memory)
    return tuple(tuple(by_part[n]) for n in shown), tuple(tuple(by_part[n]) for n in rest)


def _table(rows: Rows, chosen: tuple[str, int] | None) -> str:
    counts = [cell.count for cell in rows[0]]
    head = "".join(f'<th scope="col">{count} ×</th>' for count in counts)
    body = []
    for row in rows:
        cells = "".join(_cell(cell, here=(cell.accelerator, cell.count) == chosen) for cell in row)
        size = f"{row[0].capacity_bytes / GIB:.4g} GiB"
        body.append(f'<tr><th scope="row">{escape(row[0].accelerator_name)}<br><small>{size}</small></th>{cells}</tr>')
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Accelerators against how many share one copy">'
        f'<table class="slo map"><thead><tr><th scope="col">Accelerator</th>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _cell(cell: Cell, *, here: bool) -> str:
    if cell.fit == "no":
        detail = cell.because
    elif cell.kv_tokens:
        detail = f"{short_count(cell.kv_tokens)} tokens"
    else:
        detail = f"{short_count(cell.requests)} requests"
    style = f"{cell.fit} here" if here else cell.fit
    mark = " ◀ chosen" if here else ""
    return f'<td class="{style}"><b>{MARKS[cell.fit]}</b>{mark}<br><small>{escape(detail)}</small></td>'


def map_of(scenario: LlmScenario, catalog: Catalog, *, requests: int, chosen: tuple[str, int] | None) -> MapTexts:
    """The map of a page's scenario, its own accelerators and the chosen one in view."""
    first = (*scenario.accelerators, *((chosen[0],) if chosen else ()))
    return map_texts(replica_scenario(scenario), catalog, requests, first, chosen)


def draw_map(scenario: LlmScenario, texts: MapTexts, *, requests: int, binds: str) -> None:
    """The map under one sentence: what binds, and the smallest hardware that holds the requests wanted."""
    st.subheader("Where it fits", anchor="where-it-fits")
    st.markdown(plain(f"{_smallest_words(scenario, texts, requests)} {binds}"))
    if not texts.shown:
        return
    st.html(texts.shown)
    st.caption(
        "Columns are accelerators that share one copy of the model; in each cell the tokens of KV cache they have room for "
        "in all. With room: at least four requests of this length, and one at the high end of the runtime's interval."
    )
    if texts.rest:
        folded(f"{texts.more} more accelerators", "map-rest", lambda: st.html(texts.rest))


def _smallest_words(scenario: LlmScenario, texts: MapTexts, requests: int) -> str:
    context = scenario.prompt_tokens + scenario.output_tokens
    wanted = f"{requests:,} request{'s' if requests != 1 else ''} of {context:,} tokens at once"
    if not texts.smallest:
        return f"No accelerator here holds {wanted}, alone or up to {texts.largest_count} together."
    least = texts.smallest[0]
    return (
        f"The least memory that holds {wanted} is {least.count} × {least.accelerator_name} "
        f"({least.count * least.capacity_bytes / GIB:,.4g} GiB in all)."
    )
