"""The compact control on every sizing page: keep what is shown as A, compare with what was kept, change one thing."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from sizing.comparison_slots import Slot, slot_of
from sizing.errors import InputError
from sizing.scenario import AnyScenario
from sizing.units import format_usd
from ui.compare_state import Kept, drop, keep, kept, params_of
from ui.frame import plain
from ui.state import PageState

PAGE = "pages/compare.py"
TITLE_CHARACTERS = 60


def keep_for_comparison(state: PageState) -> None:
    """One row under the answer: the menu, and what is kept with a link to compare and a way to drop it."""
    held = kept()
    with st.container(key="compare-row", horizontal=True, vertical_alignment="center", gap="small"):
        menu = st.popover("Compare", icon=":material/compare_arrows:", key="compare-menu", on_change="rerun")
        if menu.open:
            with menu:
                _menu(state, held)
        if held is not None:
            cost = "no deployment" if held.usd_per_month is None else f"{format_usd(held.usd_per_month)} a month"
            short = held.title if len(held.title) <= TITLE_CHARACTERS else held.title[: TITLE_CHARACTERS - 1] + "…"
            st.caption(plain(f"Kept as A: {short}, {cost}."), width="content")
            _compare_link(state, held, "Compare with it")
            st.button("Drop", key="compare-drop", on_click=drop, type="tertiary")


def _shown(state: PageState) -> Slot:
    return slot_of(state.scenario, catalog_version=state.catalog_version)


def _menu(state: PageState, held: Kept | None) -> None:
    try:
        here = _shown(state)
    except InputError as error:
        st.caption(plain(f"These inputs are more than a link holds, so they cannot be compared. {error}"))
        return
    st.button(
        "Keep this as A for comparison",
        key="compare-keep",
        on_click=keep,
        args=(state.scenario, state.catalog),
        icon=":material/bookmark:",
    )
    if held is not None:
        _compare_link(state, held, "Compare with what I kept")
    st.page_link(
        PAGE,
        label="Duplicate and change one thing",
        icon=":material/content_copy:",
        query_params=params_of((here,)),
    )


def _compare_link(state: PageState, held: Kept, label: str) -> None:
    """Link to the comparison of what was kept with what is shown; the reason where both do not fit into a link."""
    try:
        params = params_of((held.slot, _shown(state)))
    except InputError as error:
        st.caption(plain(str(error)), width="content")
        return
    st.page_link(PAGE, label=label, icon=":material/arrow_forward:", query_params=params)


def compare_link(label: str, scenarios: Sequence[AnyScenario], version: str) -> None:
    """A link to the comparison of scenarios under one catalog; nothing where they do not fit into a link."""
    try:
        params = params_of([slot_of(scenario, catalog_version=version) for scenario in scenarios])
    except InputError:
        return
    st.page_link(PAGE, label=label, icon=":material/compare_arrows:", query_params=params)
