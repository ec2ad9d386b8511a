"""The worked examples that ship with the project, as scenarios."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import streamlit as st

from sizing.catalog import Catalog
from sizing.planner import plan
from sizing.scenario import AnyScenario, scenario_from_yaml

FOLDER = Path(__file__).resolve().parent.parent / "examples"


@st.cache_resource
def worked_examples() -> dict[str, AnyScenario]:
    """Scenario of each shipped example, by the name of its file."""
    return {path.stem: scenario_from_yaml(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.yaml"))}


@lru_cache(maxsize=64)
def headline(scenario: AnyScenario, catalog: Catalog) -> str:
    """The answer to a scenario in a sentence, kept as text: the plan behind it is let go."""
    return plan(scenario, catalog).headline
