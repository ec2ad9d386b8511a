"""The folded section "Why this answer": how sure it is, what moves it most, and what binds."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from sizing.catalog import Catalog
from sizing.money import format_money
from sizing.outcome import Outcome
from sizing.plan import Deployment, Plan
from sizing.scenario import AnyScenario, LlmScenario
from sizing.units import format_ms
from sizing.why import AnswerInterval, answer_interval
from sizing.why.binding import Relaxed, relaxations
from sizing.why.interval import OtherEnds, cheapest_at_ends
from sizing.why.tornado import SEARCHED, Bar, Side, Tornado, tornado
from ui import tornado_chart
from ui.draw import beside, chart
from ui.frame import plain
from ui.results import folded, table
from ui.state import PageState

TITLE = "Why this answer: how sure it is, and what moves it"
NOTHING = 1e-3
"""Swings below this share of the present answer are none [1]."""


def draw_why(state: PageState, plan: Plan) -> None:
    """The closed section; its sizings, a few hundred milliseconds, are made once it is open."""
    best = plan.recommended
    if best is not None:
        folded(TITLE, "why", lambda: _draw(state.scenario, state.catalog, plan, best))


def _draw(scenario: AnyScenario, catalog: Catalog, plan: Plan, best: Deployment) -> None:
    with st.spinner("Sizing the scenario anew for each change"):
        needed = answer_interval(scenario, catalog, plan)
        ends, found = cheapest_at_ends(scenario, catalog), tornado(scenario, catalog)
    assert needed is not None  # there is an answer
    assert found is not None
    st.markdown("**How sure the count is**")
    st.markdown(plain(interval_words(scenario, needed, ends, best)))
    st.caption(
        plain(f"Basis: {needed.basis}. Load, lengths and limits stay as they are; only our own error is varied.")
    )
    _draw_tornado(scenario, found, best)
    _draw_binding(scenario, catalog, best)


def interval_words(scenario: AnyScenario, needed: AnswerInterval, ends: OtherEnds, best: Deployment) -> str:
    """The interval of the count and its dollars, and whether another machine would be the answer at either end."""
    said = f"Needed: {needed.words}, on {best.instance_type}; {needed.cost_words(scenario)}."
    others = [
        f"at the {name} end {_machines(outcome)} would be cheapest, {format_money(outcome.usd_per_month, scenario)} a month"
        for name, outcome in (("fast", ends.fast), ("slow", ends.slow))
        if outcome is not None and outcome.instance != best.instance
    ]
    if ends.slow is None:
        others.append("at the slow end no machine keeps the limits")
    if not others:
        return f"{said} If all machines are off by as much in the same direction, this one stays the cheapest."
    return f"{said} If all machines are off in the same direction, the choice changes: {'; '.join(others)}."


def _machines(outcome: Outcome) -> str:
    return f"{outcome.instances:,} x {outcome.instance_type}"


def _draw_tornado(scenario: AnyScenario, found: Tornado, best: Deployment) -> None:
    st.markdown("**What moves the answer most**")
    shown, still = moving(found)
    st.markdown(plain(tornado_words(scenario, found, shown)))
    if shown:
        if any(bar.swing_usd(found.now.usd_per_month) > NOTHING * found.now.usd_per_month for bar in shown):
            left, right = beside()
        else:
            left, right = None, st.container()
        if left is not None:
            with left:
                chart(
                    tornado_chart.cost_figure(found, shown),
                    key="tornado-cost",
                    title="Cost on this kind of machine, sized anew",
                    alt="Tornado: USD per month on the recommended kind of machine at the low and the high end of each change",
                )
        with right:
            chart(
                tornado_chart.latency_figure(found, shown),
                key="tornado-latency",
                title=f"{found.latency}, machines left as they are",
                alt=f"Tornado: {found.latency} in ms of the same deployment at the low and the high end of each change",
            )
        table(
            ("Changed alone", "Whose", "Low end", "High end", "Range"),
            [
                (
                    bar.name,
                    "ours" if bar.is_own else "yours",
                    _side(scenario, bar.low),
                    _side(scenario, bar.high),
                    bar.range_from,
                )
                for bar in shown
            ],
            least_rem=44,
        )
    none = f" Without effect here: {', '.join(bar.name for bar in still)}." if still else ""
    st.caption(
        plain(
            f"Now: {_machines(found.now)}, {format_money(found.now.usd_per_month, scenario)} a month, {found.latency} {format_ms(found.now_ms)}. "
            f"{found.sizings} sizings, each change by itself and without the budget: on {best.instance_type}, and for the first "
            f"{SEARCHED} on all machines too.{none}"
        )
    )


def moving(found: Tornado) -> tuple[tuple[Bar, ...], tuple[Bar, ...]]:
    """The bars that move cost or latency, the first dozen, and those that move neither."""
    usd, now_ms = found.now.usd_per_month, found.now_ms
    moves = [bar for bar in found.bars if bar.swing_usd(usd) > NOTHING * usd or bar.swing_latency(now_ms) > NOTHING]
    return tuple(moves[: tornado_chart.MOST_BARS]), tuple(bar for bar in found.bars if bar not in moves)


def tornado_words(scenario: AnyScenario, found: Tornado, shown: Sequence[Bar]) -> str:
    """The largest of the user's and the largest of ours, in a sentence or two."""
    if not shown:
        return "Nothing that is varied here moves the cost or the latency."
    now = found.now.usd_per_month
    said = []
    for is_own, whose in ((False, "Of your inputs"), (True, "Of our own constants")):
        first = next((bar for bar in shown if bar.is_own == is_own), None)
        if first is None:
            continue
        if first.swing_usd(now) > NOTHING * now:
            ends = " and ".join(f"{_cost(scenario, side)} at {side.words}" for side in first.sides)
            said.append(f"{whose}, “{first.name}” moves the cost most: {ends}.")
        else:
            ends = " and ".join(f"{_time(side)} at {side.words}" for side in first.sides)
            said.append(f"{whose}, none moves the cost; “{first.name}” moves the latency most: {ends}.")
    return " ".join(said)


def _cost(scenario: AnyScenario, side: Side) -> str:
    return (
        "no count serves" if side.outcome is None else f"{format_money(side.outcome.usd_per_month, scenario)} a month"
    )


def _time(side: Side) -> str:
    if side.latency_ms is None:
        return "does not fit"
    return "overload" if side.latency_ms == float("inf") else format_ms(side.latency_ms)


def _side(scenario: AnyScenario, side: Side | None) -> str:
    if side is None:
        return "–"
    count = "no count serves" if side.outcome is None else f"{_count(side.outcome)}, {_cost(scenario, side)}"
    other = (
        ""
        if side.other is None
        else f"; {_machines(side.other)} would be {format_money(side.other.usd_per_month, scenario)}"
    )
    return f"{side.words}: {count}; left as it is: {_time(side)}{other}"


def _count(outcome: Outcome) -> str:
    return "1 machine" if outcome.instances == 1 else f"{outcome.instances:,} machines"


def _draw_binding(scenario: AnyScenario, catalog: Catalog, best: Deployment) -> None:
    st.markdown("**What binds, and what more would buy**")
    if isinstance(scenario, LlmScenario):
        st.markdown(
            plain(
                f"Binding: {best.binding_constraint}. What a further replica, GB/s, TFLOP/s or GiB would buy stands in the "
                "section of that name above."
            )
        )
        return
    rows = relaxations(scenario, catalog)
    st.markdown(plain(binding_words(scenario, best, rows)))
    table(
        ("Change", "From what to what", "Machines", "Saved a month", "Requests/s of the present count"),
        [
            (
                f"{row.name}{' (binds)' if row.binds else ''}",
                row.amount,
                f"{row.instances:,}",
                _saved(scenario, row.saved_usd_per_month),
                f"{_rate(row.capacity_per_s)} ({row.capacity_change * 100:+.1f} %)",
            )
            for row in rows
        ],
        least_rem=36,
    )
    st.caption(
        plain(
            f"Each change alone, on {best.instance_type}, sized anew. Requests/s are those within the limits and the utilization cap. "
            "Machines are whole, so a tenth saves nothing until it saves one."
        )
    )


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 1000 else f"{per_s:.4g}"


def _saved(scenario: AnyScenario, usd: float) -> str:
    if abs(usd) < 0.005:
        return "none"
    return format_money(usd, scenario) if usd > 0 else f"costs {format_money(-usd, scenario)}"


def binding_words(scenario: AnyScenario, best: Deployment, rows: Sequence[Relaxed]) -> str:
    """What binds, which change of a tenth saves most, and what one machine more serves and costs."""
    changes, more = rows[:-1], rows[-1]
    saving = max(changes, key=lambda row: row.saved_usd_per_month, default=None)
    said = f"Binding: {best.binding_constraint}."
    if saving is not None and saving.saved_usd_per_month > 0.005:
        said += f" {saving.name} saves {format_money(saving.saved_usd_per_month, scenario)} a month."
    else:
        said += " No change of a tenth saves a machine."
    gained = more.capacity_per_s - best.throughput.requests_per_s.capacity
    return (
        f"{said} One more machine adds {_rate(gained)} requests/s for {format_money(-more.saved_usd_per_month, scenario)} a month, "
        f"{format_money(-more.saved_usd_per_month / gained, scenario)} for each."
    )
