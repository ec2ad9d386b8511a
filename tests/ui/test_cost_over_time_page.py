"""The section on cost over a day and a year: its sentence, charts and totals, a pasted table, another machine taken."""

from __future__ import annotations

import pytest
from test_pages_fuzz import open_scenario

from sizing import catalog as catalogs
from sizing import link as links
from sizing.cost_over_time.text import sentence
from sizing.cost_over_time.total import cost_over_time
from sizing.planner import plan
from sizing.scenario import AnyScenario, parse_scenario
from ui.frame import plain

CATALOG = catalogs.load()


def opened(scenario: AnyScenario):  # type: ignore[no-untyped-def]
    at = open_scenario(scenario)
    at.session_state["cost-over-time"] = True
    at.run()
    assert not at.exception
    return at


@pytest.mark.parametrize("kind", ["statistical", "deep_learning", "llm"])
def test_the_section_says_the_totals_first(kind: str) -> None:
    scenario = parse_scenario({"kind": kind, "load_shape": "office_hours", "requests_per_s": 90.0})
    at = opened(scenario)
    found = plan(scenario, CATALOG)
    cost = cost_over_time(scenario, CATALOG, found)
    assert cost is not None
    assert found.recommended is not None
    assert plain(sentence(scenario, cost, found.recommended)) in [text.value for text in at.markdown]


def test_a_pasted_table_travels_and_a_bad_one_is_said_beside() -> None:
    at = opened(parse_scenario({"kind": "llm", "load_shape": "custom"}))
    area = next(a for a in at.text_area if a.label == "Load of each hour")
    area.set_value("\n".join(str(10 * (h + 1)) for h in range(24))).run()
    assert not at.exception
    table = links.from_params(
        {n: v if isinstance(v, str) else v[0] for n, v in at.query_params.items()}
    ).scenario.load_table
    assert (len(table), table[-1], table[11]) == (24, 100.0, 50.0)
    next(a for a in at.text_area if a.label == "Load of each hour").set_value("1 2 x").run()
    assert not at.exception
    marks = [text.value.replace("\\", "") for text in at.markdown if text.value.startswith(":red[")]
    assert len(marks) == 1
    assert marks[0].startswith(":red[Load of each hour (%), value 3: a number from 0 up (not 'x'); the last table")


def test_another_kind_of_machine_is_taken_with_a_click() -> None:
    at = opened(parse_scenario({"kind": "llm", "load_shape": "office_hours", "requests_per_s": 60}))
    button = next(b for b in at.button if b.label == "Take it")
    wanted = button.key.removeprefix("year:")
    button.click().run()
    assert not at.exception
    assert at.session_state["page:llm"].scenario.instances == (wanted,)
