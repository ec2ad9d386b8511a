"""The section with the measured runs nearest to the answer of any family, and the way to all of them."""

from __future__ import annotations

import streamlit as st

from sizing import link as links
from sizing.accuracy import chosen, load_words, quantity_of
from sizing.accuracy_points import Point, book
from sizing.accuracy_view import AccuracyView
from sizing.nearest_runs import Near, how_far, nearest_runs, view_of
from sizing.plan import Deployment, Plan
from ui.frame import plain
from ui.results import folded, table
from ui.state import PageState

TITLE = "Nearest measured runs"
KEY = "nearest-runs"
COLUMNS = (
    "How near", "Model", "Where and how", "Setting", "Measured", "Predicted", "Error", "Our median error on its kind", "Source",
)  # fmt: skip
NOTHING_NEAR = "No measured run of this model or one like it: the interval of the answer is wider for that."


def draw_nearest_runs(state: PageState, plan: Plan) -> None:
    """The closed section; the runs are looked up once it is open."""
    best = plan.recommended
    if best is not None:
        folded(TITLE, KEY, lambda: _draw(state, best))


def of_unit(value: float, unit: str) -> str:
    """A figure with its unit, four digits.

    >>> of_unit(0.21654, "ms"), of_unit(117800.0, "tokens/s")
    ('0.2165 ms', '117,800 tokens/s')
    """
    rounded = float(f"{value:.4g}")
    return f"{rounded:,.10g} {unit}"


def run_words(p: Point) -> str:
    """Where and how a run was measured: machine, engine, what was in flight."""
    form = p.format if p.kind == "deep_learning" else ""
    return ", ".join(part for part in (book().name(p.hardware), book().name(p.engine), form, load_words(p)) if part)


def sentence(near: tuple[Near, ...], alike: int) -> str:
    """The result first: the nearest of so many runs that are like the answer, what we predict of it and what was measured."""
    if not near:
        return NOTHING_NEAR
    p, quantity = near[0].point, quantity_of(near[0].point.quantity)
    first = (
        f"Nearest of {alike:,} measured run{'' if alike == 1 else 's'}"
        if near[0].is_near
        else f"{NOTHING_NEAR} The nearest is"
    )
    return (
        f"{first}: {p.model} on {run_words(p)}: we predict {of_unit(p.predicted, quantity.unit)}, measured "
        f"{of_unit(p.measured, quantity.unit)} ({p.error:+.0%}; {quantity.words})."
    )


def _draw(state: PageState, best: Deployment) -> None:
    near = nearest_runs(state.scenario, state.catalog, best)
    view = view_of(state.scenario, near, best)
    st.markdown(plain(sentence(near, round(sum(p.stands_for for p in chosen(view))))))
    if further := how_far(state.scenario, state.catalog, best):
        st.markdown(plain(further))
    if near:
        table(COLUMNS, [_row(n) for n in near], least_rem=62)
    accuracy_link(view, state.catalog_version)
    st.caption(
        "Each of these is predicted by constants that were fitted without its model. The runs say how far this answer is from what was measured; "
        "they do not correct it."
    )


def _row(n: Near) -> tuple[str, ...]:
    p, quantity = n.point, quantity_of(n.point.quantity)
    return (
        n.words, p.model, run_words(p), p.setting, f"{quantity.words}: {of_unit(p.measured, quantity.unit)}",
        of_unit(p.predicted, quantity.unit), f"{p.error:+.0%}", n.errors, book().source(p),
    )  # fmt: skip


def accuracy_link(view: AccuracyView, version: str) -> None:
    """The way to the accuracy page at some runs."""
    st.page_link(
        "pages/accuracy.py",
        label="All measured runs of this kind, with our error",
        icon=":material/query_stats:",
        query_params=links.to_params(view, catalog_version=version),
    )
