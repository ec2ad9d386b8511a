"""The chance that the limits hold by replica count: one sentence and a table with bars, made once its section is open."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from html import escape

import streamlit as st

from sizing.catalog import Catalog
from sizing.llm.confidence import LEVELS, Confidence, CountChance, confidence
from sizing.plan import Plan
from sizing.planner import plan as planned
from sizing.scenario import LlmScenario
from sizing.units import format_usd
from ui.frame import plain
from ui.results import folded
from ui.sketch import CHOSEN, PALETTE
from ui.state import PageState

CERTAIN = 0.99
"""Chance beyond which the law says no more than "over": its tails are not known that far."""


@lru_cache(maxsize=2)
def _confidence(scenario: LlmScenario, catalog: Catalog) -> Confidence | None:
    best = planned(scenario, catalog).recommended
    return None if best is None else confidence(scenario, catalog, best)


def draw_confidence(state: PageState, plan: Plan) -> None:
    """The section of a page, where a deployment is recommended."""
    if plan.recommended is None:
        return

    def draw() -> None:
        found = _confidence(state.scenario, state.catalog)
        if found is None:
            return
        st.markdown(plain(sentence(state.scenario, found)))
        st.html(bars(state.scenario, found))
        (low, high), (first_low, first_high) = found.step_factors, found.first_token_factors
        st.caption(
            plain(
                f"What is uncertain is our own error, as found on public runs: of ten times, eight lie between {low:.2f} and "
                f"{high:.2f} of the prediction for a step, between {first_low:.2f} and {first_high:.2f} for a first token, "
                "and the two errors do not go together. Load, lengths and batch limit stay as they are; overload means "
                "that more arrives than is served, and the utilization cap is headroom on top of that."
            )
        )

    folded("Chance that the limits hold, by replica count", "confidence", draw)


def percent(chance: float) -> str:
    """A chance in words.

    >>> percent(0.624), percent(0.9999), percent(0.0)
    ('62 %', 'over 99 %', 'under 1 %')
    """
    if chance > CERTAIN:
        return f"over {CERTAIN * 100:.0f} %"
    return f"{chance * 100:.0f} %" if chance >= 1 - CERTAIN else f"under {(1 - CERTAIN) * 100:.0f} %"


def _replicas(count: int) -> str:
    return "1 replica" if count == 1 else f"{count:,} replicas"


def sentence(scenario: LlmScenario, found: Confidence) -> str:
    """What the recommended count gives, and what a better chance costs, or how far fewer replicas would do."""
    now, limited = found.recommended, scenario.ttft_target_ms is not None or scenario.tpot_target_ms is not None
    holds = "the limits hold" if limited else "the load is served"
    begin = f"With {_replicas(now.replicas)} {holds} with {percent(now.all)} chance"
    for level, fewest in zip(LEVELS, found.fewest, strict=True):
        if now.all >= level:
            continue
        if fewest is None:
            most = found.rows[-1]
            first = "overload" if most.weakest == "load" else most.weakest
            best = f"{_replicas(most.replicas)} make it {percent(most.all)}"
            return f"{begin}; no count up to {most.replicas:,} reaches {percent(level)} ({best}): {first} breaks first."
        more = format_usd(fewest.usd_per_hour - now.usd_per_hour)
        return f"{begin}; {_replicas(fewest.replicas)} ({more} more per hour) make it {percent(fewest.all)}."
    fewest = found.fewest[-1]
    if fewest is not None and fewest.replicas < now.replicas:
        cap = f"the others are the headroom of the {scenario.utilization_cap * 100:.0f} % utilization cap"
        return f"{begin}; {_replicas(fewest.replicas)} would make it {percent(fewest.all)}, {cap}."
    return f"{begin}."


def bars(scenario: LlmScenario, found: Confidence) -> str:
    """The table as HTML: each count with its cost, a bar of the chance that all hold, and the chance of each limit."""
    shown: list[tuple[str, Callable[[CountChance], float]]] = []
    if scenario.ttft_target_ms is not None:
        shown.append(("TTFT holds", lambda row: row.ttft))
    if scenario.tpot_target_ms is not None:
        shown.append(("TPOT holds", lambda row: row.tpot))
    if scenario.requests_per_s is not None:
        shown.append(("No overload", lambda row: row.steady))
    head = ["Replicas", "USD/hour", "Chance that all hold", *(name for name, _ in shown)]
    body = []
    for row in found.rows:
        is_chosen = row.replicas == found.recommended.replicas
        count = f"<b>{row.replicas:,}</b> ◀ recommended" if is_chosen else f"{row.replicas:,}"
        color = CHOSEN if is_chosen else PALETTE[0]
        bar = (
            f'<div style="display:flex;align-items:center;min-width:9rem"><span style="flex:0 0 4.6rem">{percent(row.all)}'
            '</span><div style="flex:1 1 4rem;max-width:12rem;background:rgba(127,127,127,.2)">'
            f'<div style="width:{row.all * 100:.1f}%;height:.8rem;background:{color}"></div></div></div>'
        )
        cells = [count, escape(format_usd(row.usd_per_hour)), bar, *(percent(of(row)) for _, of in shown)]
        body.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    titles = "".join(f'<th scope="col">{title}</th>' for title in head)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Chance that the limits hold by replica count">'
        f'<table class="slo"><thead><tr>{titles}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
    )
