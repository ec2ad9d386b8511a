"""The section with commands and manifests: one tab a tool, the plan's figures in it, the archive whole."""

from __future__ import annotations

import io
import zipfile

import pytest
from test_pages_fuzz import open_scenario

from sizing import catalog as catalogs
from sizing.planner import plan
from sizing.recipes import recipes
from sizing.scenario import parse_scenario
from ui.recipes import TITLE, archive


@pytest.mark.parametrize("kind", ["statistical", "deep_learning", "llm"])
def test_each_recipe_has_a_tab_with_its_text(kind: str) -> None:
    scenario = parse_scenario({"kind": kind})
    at = open_scenario(scenario)
    assert TITLE in [section.label for section in at.expander]
    at.session_state["recipes"] = True
    at.run()
    assert not at.exception
    found = recipes(scenario, catalogs.load(), plan(scenario, catalogs.load()))
    shown = {code.value.strip() for code in at.code}
    assert {recipe.text.strip() for recipe in found} <= shown
    assert [tab.label for tab in at.tabs if tab.label in {r.title for r in found}] == [r.title for r in found]


def test_the_archive_holds_every_file_and_is_the_same_each_time() -> None:
    scenario = parse_scenario({"kind": "llm", "runtime": "tensorrt_llm"})
    found = recipes(scenario, catalogs.load(), plan(scenario, catalogs.load()))
    with zipfile.ZipFile(io.BytesIO(archive(found))) as made:
        assert {name: made.read(name).decode() for name in made.namelist()} == {r.file_name: r.text for r in found}
    assert archive(found) == archive(found)
