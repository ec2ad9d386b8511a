"""The sections that turn an answer of any family into a decision, in the order in which a reader asks."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from sizing.plan import Plan
from ui.advisor import draw_advisor
from ui.cost_over_time import draw_cost_over_time
from ui.energy import draw_energy
from ui.explain import draw_explanations
from ui.nearest_runs import draw_nearest_runs
from ui.recipes import draw_recipes
from ui.self_host import draw_self_host
from ui.state import PageState
from ui.why import draw_why

SECTIONS: tuple[Callable[[PageState, Plan], None], ...] = (
    draw_why,
    draw_nearest_runs,
    draw_explanations,
    draw_advisor,
    draw_cost_over_time,
    draw_self_host,
    draw_energy,
    draw_recipes,
)


def draw_decisions(state: PageState, plan: Plan) -> None:
    """Draw each section; folded ones cost a changed control nothing until they are open."""
    if plan.recommended is not None:
        st.subheader("From answer to decision", anchor="decide")
    for draw in SECTIONS:
        draw(state, plan)
