"""The folded section for a newcomer: the words of the field, each with this scenario's numbers."""

from __future__ import annotations

from functools import lru_cache

import streamlit as st

from sizing.catalog import Catalog
from sizing.plan import Plan
from sizing.planner import plan as planned
from sizing.scenario import AnyScenario
from sizing.why.words import Word, words
from ui.frame import plain
from ui.results import folded
from ui.state import PageState

TITLE = "New to this? The words, with these numbers"


@lru_cache(maxsize=4)
def _words(scenario: AnyScenario, catalog: Catalog) -> tuple[Word, ...]:
    return words(scenario, catalog, planned(scenario, catalog))


def draw_explanations(state: PageState, plan: Plan) -> None:
    """The closed section; its texts are made once it is open."""
    if plan.recommended is not None:
        folded(TITLE, "explanations", lambda: _draw(_words(state.scenario, state.catalog)))


def _draw(found: tuple[Word, ...]) -> None:
    st.markdown(f"{len(found)} terms that this answer rests on; every number is of the deployment above.")
    for word in found:
        st.markdown(f"**{plain(word.term)}.** {plain(word.text)}")
