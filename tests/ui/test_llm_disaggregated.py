"""The section on prefill and decode apart: opened, it shows the pairs that the core finds."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from sizing.catalog import load
from sizing.llm.disaggregated import pairs
from sizing.scenario import LlmScenario
from sizing.units import format_usd
from tests.ui.test_pages_fuzz import ROOT, SECONDS


def test_pairs_are_shown_once_the_section_is_open() -> None:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=SECONDS)
    at.switch_page("pages/llm.py")
    at.session_state["llm:disaggregated"] = True
    at.run()
    assert not at.exception
    cheapest = pairs(LlmScenario(), load(), load_per_s=5.0)[0]
    tables = [html.proto.body for html in at.get("html") if "KV sent in" in html.proto.body]
    assert len(tables) == 1
    assert format_usd(cheapest.usd_per_hour) in tables[0]
    assert cheapest.prefill.instance_type in tables[0]
