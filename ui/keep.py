"""From an answer to a comparison: keep this scenario, compare another with it, or change one thing of a copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from sizing import link as links
from sizing.comparison_view import comparison_of
from sizing.errors import InputError
from sizing.plan import Plan
from sizing.scenario import AnyScenario
from sizing.units import format_usd
from ui.frame import plain
from ui.state import PageState

KEPT = "kept scenario"
PAGE = "pages/compare.py"


@dataclass(frozen=True)
class Kept:
    """A scenario kept in the session: its query string and what is said of it."""

    query: str
    words: str


def keep(query: str, words: str) -> None:
    """Keep a scenario to compare others with (a button's callback)."""
    st.session_state[KEPT] = Kept(query, words)


def drop() -> None:
    """Keep nothing (a button's callback)."""
    st.session_state.pop(KEPT, None)


def keep_for_comparison(state: PageState, plan: Plan) -> None:
    """One row under the answer: what is kept with a link to the comparison, or the ways to begin one."""
    try:
        query = links.to_query(state.scenario, catalog_version=state.catalog_version)
    except InputError:
        return  # the page says already that these inputs do not travel
    kept: Kept | None = st.session_state.get(KEPT)
    with st.container(key="compare-row", horizontal=True, vertical_alignment="center", gap="small"):
        if kept is None or kept.query == query:
            st.button(
                "Keep to compare" if kept is None else "Kept: now change an input",
                icon=":material/push_pin:",
                on_click=keep,
                args=(query, said(plan)),
                disabled=kept is not None,
                help="Remembers this answer; change an input then, and compare the two.",
            )
        else:
            _link("Compare with the kept one", (kept.query, query))
            st.button("Drop it", on_click=drop, type="tertiary")
            st.caption(plain(f"Kept: {kept.words}"))
        _link("Duplicate and change one thing", (query, query))


def said(plan: Plan) -> str:
    """What is said of a kept scenario: its title or model, machines and monthly cost."""
    scenario, best = plan.scenario, plan.recommended
    name = scenario.name or getattr(scenario, "model", None) or getattr(scenario, "family", "")
    if best is None:
        return f"{name}, no deployment found"
    return f"{name}, {best.instances} × {best.instance_type}, {format_usd(best.cost.usd_per_month)} a month"


def compare_link(label: str, scenarios: Sequence[AnyScenario], version: str) -> None:
    """A link to the comparison of scenarios under one catalog; nothing where one of them does not fit into a link."""
    try:
        _link(label, tuple(links.to_query(s, catalog_version=version) for s in scenarios))
    except InputError:
        return


def _link(label: str, queries: tuple[str, ...]) -> None:
    params = links.to_params(comparison_of(queries), catalog_version=_version(queries[0]))
    st.page_link(PAGE, label=label, icon=":material/compare_arrows:", query_params=params)


def _version(query: str) -> str:
    return links.from_query(query).catalog or ""
