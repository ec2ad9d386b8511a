"""The one course that every sizing page takes: frame, link, controls beside the answer, then charts, table and working."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from sizing import link as links
from sizing.plan import Plan
from sizing.planner import remedies
from sizing.why import answer_interval
from ui import answer_charts, results
from ui.decide import draw_decisions
from ui.downloads import take_away
from ui.draw import draw_chart
from ui.frame import draw_banners, draw_frame, plain
from ui.inputs import Inputs
from ui.keep import keep_for_comparison
from ui.state import PageState, open_page, settle, unlinkable, write_address
from ui.summary import summary_page

_NO_LINK = "These inputs do not travel in a link: the address bar keeps the last ones that did. The YAML file below holds them all."


def sizing_page(
    kind: str,
    title: str,
    *,
    controls: Callable[[Inputs], None],
    more: Callable[[PageState, Plan], None],
    below: Callable[[PageState, Plan], None] | None = None,
) -> None:
    """Draw one page: `controls` beside the answer, the first chart under it, `more` charts and facts, the ranking, what the
    page has to say `below` it, the sections every family has, then the working and what to take away. A link with
    `view=summary` gets the page without controls."""
    if st.query_params.get(links.VIEW) == links.SUMMARY:
        summary_page(kind)
        return
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
        needed = answer_interval(plan.scenario, state.catalog, plan)
        results.answer(plan, errors=bool(state.errors), count="" if needed is None else needed.words)
        no_link = unlinkable(state)
        if no_link is not None:
            st.warning(plain(f"{_NO_LINK} {no_link}"))
        if plan.recommended is None:
            with st.spinner("Looking for the nearest change that would serve it"):
                plan = plan.model_copy(update={"remedies": remedies(state.scenario, state.catalog)})
            results.remedies(plan)
        keep_for_comparison(state)
        draw_chart(answer_charts.trade_off(state.scenario, state.catalog, plan))
    more(state, plan)
    results.ranking(plan)
    draw_decisions(state, plan)
    if below is not None:
        below(state, plan)
    results.working(plan)
    take_away(plan, state.catalog, linkable=no_link is None)
    if no_link is None:
        write_address(state)
