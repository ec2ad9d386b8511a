"""The one course that every sizing page takes: frame, link, controls beside the answer, then charts, table and working."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from sizing.plan import Plan
from sizing.planner import remedies
from ui import results
from ui.charts import cost_chart
from ui.downloads import take_away
from ui.frame import draw_banners, draw_frame, plain
from ui.inputs import Inputs
from ui.sketch import CONFIG
from ui.state import PageState, open_page, settle, unlinkable, write_address

COST_BARS = 8
_NO_LINK = "These inputs do not travel in a link: the address bar keeps the last ones that did. The YAML file below holds them all."


def sizing_page(
    kind: str,
    title: str,
    *,
    controls: Callable[[Inputs], None],
    first_chart: Callable[[PageState, Plan], None],
    more: Callable[[PageState, Plan], None],
    below: Callable[[PageState, Plan], None] | None = None,
) -> None:
    """Draw one page: `controls` beside the answer, `first_chart` under it, `more` charts and facts, the ranking, what the
    page has to say `below` it, then the working and what to take away."""
    draw_frame(title)
    state = open_page(kind)
    st.title(title)
    draw_banners(state)
    with st.container(key="split"):
        answer_side, control_side = st.columns([2.5, 1], gap="medium")
    with control_side, st.container(key="inputs"):
        inputs = Inputs(state)
        controls(inputs)
    plan = settle(state, inputs.values)
    inputs.show_errors()
    with answer_side:
        results.answer(plan, errors=bool(state.errors))
        no_link = unlinkable(state)
        if no_link is not None:
            st.warning(plain(f"{_NO_LINK} {no_link}"))
        if plan.recommended is None:
            with st.spinner("Looking for the nearest change that would serve it"):
                plan = plan.model_copy(update={"remedies": remedies(state.scenario, state.catalog)})
            results.remedies(plan)
        first_chart(state, plan)
    more(state, plan)
    results.ranking(plan)
    if below is not None:
        below(state, plan)
    results.working(plan)
    take_away(plan, linkable=no_link is None)
    if no_link is None:
        write_address(state)


def chart(figure: Any, *, key: str, alt: str, title: str) -> None:
    """One chart under its title, with text for a reader who does not see it."""
    st.markdown(f"**{title}**")
    st.plotly_chart(figure, key=key, alt=alt, config=CONFIG, width="stretch")


def cost_of_candidates(plan: Plan) -> None:
    """The cost chart: what the cheapest candidates cost an hour."""
    shown = plan.ranked[:COST_BARS]
    chart(
        cost_chart([f"{d.instances} × {d.instance_type}" for d in shown], [d.cost.usd_per_hour for d in shown]),
        key="cost",
        title="Cost of the candidates",
        alt="USD per hour of the cheapest candidates",
    )


def beside() -> list[Any]:
    """Two columns for charts on a wide screen, one under the other on a phone."""
    return st.columns(2, gap="medium")
