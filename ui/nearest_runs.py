"""The section with the measured runs nearest to the answer, and the way to all of them."""

from __future__ import annotations

import streamlit as st

from sizing import link as links
from sizing.accuracy_view import AccuracyView
from sizing.nearest_runs import Near, nearest_runs, view_of
from sizing.plan import Deployment, Plan
from ui.frame import plain
from ui.results import folded, table
from ui.state import PageState

TITLE = "Nearest measured runs"


def draw_nearest_runs(state: PageState, plan: Plan) -> None:
    """The closed section; the runs are looked up once it is open."""
    best = plan.recommended
    if best is not None and state.kind != "llm":  # language models have theirs among the sections on speed
        folded(TITLE, "nearest-runs", lambda: _draw(state, best))


def sentence(near: tuple[Near, ...]) -> str:
    """The result first: the nearest run, what we predict of it and what was measured."""
    if not near:
        return "No measured run of this model or machine is known: the interval is that of what was never seen."
    first = near[0]
    p = first.point
    unseen = "without having seen it" if p.held else "(it was seen when the constants were made)"
    return (
        f"Nearest ({first.words}): {p.model} on {p.hardware} with {p.engine}, {p.setting}. Measured {p.quantity}: {p.measured:.4g}; we "
        f"predict {p.predicted:.4g} ({p.error:+.0%}) {unseen}."
    )


def _draw(state: PageState, best: Deployment) -> None:
    near = nearest_runs(state.scenario, best)
    st.markdown(plain(sentence(near)))
    if near:
        table(
            ("What is the same", "Model", "Where", "Engine", "Setting", "Quantity", "Measured", "Predicted", "Error"),
            [
                (
                    n.words,
                    p.model,
                    p.hardware,
                    p.engine,
                    p.setting,
                    p.quantity,
                    f"{p.measured:.4g}",
                    f"{p.predicted:.4g}",
                    f"{p.error:+.0%}",
                )
                for n in near
                for p in (n.point,)
            ],
            least_rem=58,
        )
    accuracy_link(view_of(state.scenario, near), state.catalog_version)


def accuracy_link(view: AccuracyView, version: str) -> None:
    """The way to the accuracy page at some runs."""
    st.page_link(
        "pages/accuracy.py",
        label="All measured runs, with our error",
        icon=":material/query_stats:",
        query_params=links.to_params(view, catalog_version=version),
    )
