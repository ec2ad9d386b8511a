"""The section on cost over a day and a year: the week's load and machines, the ways to pay, the totals by part."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import plotly.graph_objects as go
import streamlit as st

from sizing.catalog import Catalog
from sizing.cost_over_time.text import TERM_WORDS, cheaper_machines, sentence, ways
from sizing.cost_over_time.total import MONTHS, CostOverTime, by_year, cost_over_time
from sizing.money import format_money
from sizing.plan import Deployment, Plan
from sizing.planner import plan as planned
from sizing.scenario import AnyScenario
from sizing.units import format_usd
from ui.draw import beside, chart
from ui.frame import plain
from ui.results import folded, table
from ui.sketch import CHOSEN, PALETTE, Sketch, titled
from ui.state import PageState, set_fields

TITLE = "Cost over a day and a year"
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
SHOWN_BY_YEAR = 6


def draw_cost_over_time(state: PageState, plan: Plan) -> None:
    """The closed section; it is computed once it is open."""
    if plan.recommended is not None:
        folded(TITLE, "cost-over-time", lambda: _draw(state, plan))


@lru_cache(maxsize=4)
def _by_year(scenario: AnyScenario, catalog: Catalog) -> tuple[tuple[Deployment, float], ...]:
    return by_year(scenario, catalog, planned(scenario, catalog), most=SHOWN_BY_YEAR)


def _draw(state: PageState, plan: Plan) -> None:
    scenario, catalog, best = state.scenario, state.catalog, plan.recommended
    cost = cost_over_time(scenario, catalog, plan)
    if cost is None or best is None:
        return
    st.markdown(plain(sentence(scenario, cost, best)))
    others = cheaper_machines(scenario, _by_year(scenario, catalog), best, cost)
    if others is not None:
        st.markdown(plain(others))
    if scenario.load_shape == "constant":
        st.caption("Choose how your load runs under “Load over time and terms”, beside the answer.")
    left, right = beside()
    with left:
        chart(
            week_chart(cost),
            key="week",
            title=f"The week, hour by hour ({best.instance_type})",
            alt="Requests per second and machines of each hour of a week, with the committed machines",
        )
    with right:
        chart(
            ways_chart(ways(cost)),
            key="ways",
            title="Cost of a month, by the way it is paid",
            alt="USD per month of each way to pay, the cheapest marked",
        )
    _parts(scenario, cost, best)
    _ranking(state, best)
    _basis(scenario, cost)


def week_chart(cost: CostOverTime) -> go.Figure:
    """Machines of each hour as steps, the committed ones as a line, and the load on an axis of its own."""
    week = cost.week
    hours = list(range(len(week.loads_per_s)))
    top = float(week.peak) * 1.15 or 1.0
    a_machine = week.capacity_per_s * week.replicas_per_instance
    sketch = Sketch(
        x=titled("hour of the week", tickvals=[24 * d for d in range(7)], ticktext=list(DAYS), range=[0, 168]),
        y=titled("machines", range=[0, top], dtick=max(1, round(top / 6))),
        layout={
            "yaxis2": {
                # A machine is as high as the load that it may serve, so a line below the steps has room.
                **titled("load (requests/s)", overlaying="y", side="right", showgrid=False, range=[0, top * a_machine]),
                "automargin": True,
                "tickmode": "auto",
                "nticks": 6,
            }
        },
    )
    shape = {"type": "scatter", "x": hours, "mode": "lines"}
    sketch.traces.append(
        {
            **shape,
            "y": week.instances.tolist(),
            "name": "machines that run",
            "line": {"shape": "hv", "color": PALETTE[0], "width": 2},
            "fill": "tozeroy",
            "fillcolor": "rgba(0,114,178,0.16)",
            "hovertemplate": "hour %{x}: %{y} machines<extra></extra>",
        }
    )
    if cost.mix is not None and (committed := cost.mix.three_year + cost.mix.one_year):
        line = {"shape": "hv", "color": PALETTE[2], "width": 2, "dash": "dash"}
        sketch.traces.append({**shape, "y": [committed] * len(hours), "name": "committed", "line": line})
    sketch.traces.append(
        {
            **shape,
            "y": week.loads_per_s.tolist(),
            "name": "load",
            "yaxis": "y2",
            "line": {"color": CHOSEN, "width": 1.5},
            "hovertemplate": "hour %{x}: %{y:.4g} requests/s<extra></extra>",
        }
    )
    return sketch.figure()


def ways_chart(shown: Sequence[tuple[str, float]]) -> go.Figure:
    """Monthly cost of each way to pay as bars, the cheapest marked."""
    least = min(usd for _, usd in shown)
    labels = [name.replace(", ", ",<br>") for name, _ in shown]
    sketch = Sketch(
        x=titled("cost (USD per month)", range=[0, max(usd for _, usd in shown) * 1.25]),
        y={"autorange": "reversed", "type": "category"},
        height=110 + 44 * len(shown),
        layout={"bargap": 0.3},
    )
    sketch.traces.append(
        {
            "type": "bar",
            "y": labels,
            "x": [usd for _, usd in shown],
            "orientation": "h",
            "marker": {"color": [CHOSEN if usd == least else PALETTE[0] for _, usd in shown]},
            "text": [format_usd(usd) for _, usd in shown],
            "textposition": "outside",
            "cliponaxis": False,
            "showlegend": False,
            "hovertemplate": "%{y}: $%{x:,.0f} a month<extra></extra>",
        }
    )
    return sketch.figure()


def _parts(scenario: AnyScenario, cost: CostOverTime, best: Deployment) -> None:
    """Totals by part, by month and year, with the cost of the volume that really comes."""
    rows = []
    for name, usd in ways(cost):
        tokens = getattr(scenario, "output_tokens", None)
        each = cost.usd_per_1k_requests(usd)
        per = f"{format_usd(each)} / 1k requests"
        if tokens and scenario.kind == "llm":
            per += f", {format_usd(each / 1000.0 / tokens * 1e6)} / 1M output tokens"
        rows.append((name, format_money(usd, scenario), format_money(usd * MONTHS, scenario), per))
    table(("Way to pay", "A month", "A year", "At this week's volume"), rows, least_rem=36)
    if cost.mix is not None:
        parts = [(f"Best mix: {TERM_WORDS[t]}", usd) for t, usd in cost.mix.usd_per_month_by_term.items()]
        parts += [
            (f"Owned: {part}", usd) for part, usd in (cost.owned.usd_per_month_by_part.items() if cost.owned else ())
        ]
        table(
            ("Part", "A month", "A year"),
            [(name, format_money(usd, scenario), format_money(usd * MONTHS, scenario)) for name, usd in parts],
        )


def _ranking(state: PageState, best: Deployment) -> None:
    """Instances by their cost over the year; another one can be taken with a click."""
    rows = _by_year(state.scenario, state.catalog)
    if len(rows) < 2:
        return
    st.markdown("**By the year, each kind of machine in its own best mix**")
    for d, usd in rows:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(
                plain(
                    f"{format_money(usd, state.scenario)} a year: up to {d.instances} × {d.instance_type} ({d.provider})"
                )
            )
            if d.instance != best.instance:
                st.button(
                    "Take it",
                    key=f"year:{d.instance}",
                    on_click=set_fields,
                    args=(state.kind, {"instances": (d.instance,)}),
                    type="tertiary",
                )


def _basis(scenario: AnyScenario, cost: CostOverTime) -> None:
    start = cost.week.start
    parts = (
        f"{start.boot:.1f} min machine, {start.image:.1f} image, {start.weights:.1f} weights, {start.engine:.1f} first answer; recalled, "
        "a factor of 2 either way"
        if start.given is None
        else "as given"
    )
    grows = 1.0 / max(scenario.utilization_cap, 0.05) - 1.0
    said = [
        f"A new replica serves after {start.minutes:.1f} min ({parts}): machines are ordered that much before the hour that needs "
        f"them, {cost.week.start_hours:.1f} machine-hours a week. Until one comes the load may grow by {grows:.0%} before requests "
        "queue without end: that is what the utilization cap leaves.",
        "Replicas of an hour = load × (1 + headroom) / capacity of one within the limits, rounded up, plus spares. A month is 730 h.",
    ]
    if cost.interruptions_per_month is not None and cost.mix is not None and cost.mix.spot_hours:
        times = cost.interruptions_per_month * cost.mix.spot_hours / 168.0
        said.append(
            f"Spot: each machine is taken back {cost.interruptions_per_month:.2g} times a month, so about {times:.2g} times in all; each "
            f"time one machine is missing for {start.minutes:.1f} min. Keep a spare replica if that breaks a limit."
        )
    if cost.owned is not None and cost.owned.watts_per_server is None:
        said.append("The power of this machine is not known: enter it, and owned servers count their electricity.")
    missing = [TERM_WORDS[t] for t in scenario.terms if t not in cost.rates.usd_per_hour]
    if missing:
        said.append(f"The catalog has no price for this machine {' or '.join(missing)}: left out.")
    said.append(
        "The shapes are assumptions of this project; the interval of the plan's own count is not carried through here."
    )
    for text in said:
        st.caption(plain(text))
