"""The section with what starts the recommended deployment: one text a tool, to copy or to download."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from functools import lru_cache

import streamlit as st

from sizing.catalog import Catalog
from sizing.plan import Plan
from sizing.planner import plan as planned
from sizing.recipes import Recipe, recipes
from sizing.recipes.recipe import FILL_IN
from sizing.scenario import AnyScenario
from ui.frame import plain
from ui.results import folded
from ui.state import PageState

TITLE = "Hand it over: commands and manifests for this plan"
FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # the same archive for the same plan


@lru_cache(maxsize=4)
def _recipes(scenario: AnyScenario, catalog: Catalog) -> tuple[Recipe, ...]:
    return recipes(scenario, catalog, planned(scenario, catalog))


def archive(texts: Sequence[Recipe]) -> bytes:
    """All recipes as files of one ZIP."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for recipe in texts:
            made.writestr(zipfile.ZipInfo(recipe.file_name, FIRST_DATE), recipe.text)
    return out.getvalue()


def draw_recipes(state: PageState, plan: Plan) -> None:
    """The closed section; its texts are made once it is open."""
    if plan.recommended is not None:
        folded(TITLE, "recipes", lambda: _draw(_recipes(state.scenario, state.catalog)))


def _draw(texts: Sequence[Recipe]) -> None:
    open_values = sum(FILL_IN in recipe.text for recipe in texts)
    names = ", ".join(recipe.file_name for recipe in texts)
    st.markdown(
        f"{len(texts)} files for the recommended deployment ({plain(names)}), with the counts and limits of this plan."
        + (f" What only you know is marked **{plain(FILL_IN)}**, in {open_values} of them." if open_values else "")
    )
    st.download_button(
        "All files (ZIP)",
        lambda: archive(texts),
        "deployment.zip",
        "application/zip",
        icon=":material/download:",
        on_click="ignore",
    )
    for recipe, tab in zip(texts, st.tabs([recipe.title for recipe in texts]), strict=True):
        with tab:
            st.markdown(plain(recipe.how))
            st.code(recipe.text, language=recipe.language, wrap_lines=True)
            st.download_button(
                recipe.file_name,
                recipe.text,
                recipe.file_name,
                "text/plain",
                icon=":material/download:",
                on_click="ignore",
                key=f"recipe:{recipe.key}",
            )
            for note in recipe.notes:
                st.caption(plain(note))
    st.caption(
        "Checked against the tools' own schemas and published options; not started on the hardware. Test before use."
    )
