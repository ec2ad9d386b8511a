"""Comparisons: the link holds every field of every scenario, differences are those there are, certainty is said."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_link import _fields

from sizing import catalog as catalogs
from sizing import link as links
from sizing.__main__ import main
from sizing.comparison import (
    Cell,
    answer_rows,
    as_json,
    change_words,
    comparison_text,
    headline,
    input_rows,
    query_of,
    slots,
)
from sizing.comparison_view import Comparison, comparison_of
from sizing.errors import InputError
from sizing.planner import plan
from sizing.scenario import AnyScenario, DeepLearningScenario, LlmScenario, StatisticalScenario, parse_scenario
from sizing.units import format_usd

CATALOG = catalogs.load()
VERSION = CATALOG.version
TYPES = (LlmScenario, DeepLearningScenario, StatisticalScenario)


def query(scenario: AnyScenario, version: str = VERSION) -> str:
    return links.to_query(scenario, catalog_version=version)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data(), types=st.lists(st.sampled_from(TYPES), min_size=2, max_size=4))
def test_every_field_of_every_scenario_survives_one_link(data: st.DataObject, types: list[type[AnyScenario]]) -> None:
    scenarios = [kind.model_validate(data.draw(_fields(kind))) for kind in types]
    view = comparison_of(tuple(map(query, scenarios)))
    decoded = links.from_link(links.to_link(view, catalog_version=VERSION))
    assert decoded.scenario == view
    assert decoded.messages == ()
    assert isinstance(decoded.scenario, Comparison)
    for text, scenario in zip(decoded.scenario.queries, scenarios, strict=True):
        again = links.from_query(text)
        assert (again.scenario, again.catalog, again.messages) == (scenario, VERSION, ())


def test_four_usual_scenarios_fit_into_a_short_link() -> None:
    view = comparison_of(tuple(query(kind()) for kind in (*TYPES, LlmScenario)))
    assert len(links.to_link(view, catalog_version=VERSION)) < 1_000


def test_a_query_string_is_taken_as_it_stands_too() -> None:
    plain = query(LlmScenario(batch=8))
    decoded = links.from_params([("kind", "compare"), ("v", "1"), ("a", plain)])
    assert decoded.scenario == comparison_of((plain,))
    assert decoded.messages == ()


@pytest.mark.parametrize("text", ["AAAA", "=", "%00", "zzz zzz", "w6HP1Dgl1dLI1JSgfry5"])
def test_a_slot_that_is_no_scenario_is_said_and_the_others_stay(text: str) -> None:
    decoded = links.from_params([("kind", "compare"), ("v", "1"), ("a", query(LlmScenario())), ("b", text)])
    assert isinstance(decoded.scenario, Comparison)
    compared = slots(decoded.scenario)
    assert compared[0].best is not None
    assert decoded.messages or (compared[1].scenario is None and compared[1].said)


def test_more_than_a_link_holds_is_one_sentence() -> None:
    own = [LlmScenario(model="custom", custom_config=Random(i).randbytes(1500).hex()) for i in range(4)]
    with pytest.raises(InputError, match="at most 7000"):
        links.to_query(comparison_of(tuple(map(query, own))), catalog_version=VERSION)


def test_differences_are_those_there_are() -> None:
    a, b = LlmScenario(), LlmScenario(weight_format="fp8", requests_per_s=7.0, name="other", notes="not an input")
    compared = slots(comparison_of((query(a), query(b))))
    assert {(row.field, row.values) for row in input_rows(compared)} == {
        ("weight_format", ("native", "fp8")), ("requests_per_s", (5.0, 7.0)),
    }  # fmt: skip


def test_answers_are_those_of_the_plans_and_changes_are_against_the_first() -> None:
    scenarios = (LlmScenario(), LlmScenario(requests_per_s=50.0))
    first, second = (plan(s, CATALOG).recommended for s in scenarios)
    assert first is not None
    assert second is not None
    rows = {row.quantity: row.cells for row in answer_rows(slots(comparison_of(tuple(map(query, scenarios)))))}
    month = rows["Cost per month"]
    assert [cell.text for cell in month] == [format_usd(d.cost.usd_per_month) for d in (first, second)]
    assert month[0].change is None
    assert month[1].change == pytest.approx(second.cost.usd_per_month / first.cost.usd_per_month - 1)
    for v, w in zip(first.verdicts, second.verdicts, strict=True):
        cell = rows[f"{v.quantity} p{v.percentile}"][1]
        assert cell.value == w.predicted_ms
        assert cell.decided == (w.low_ms > v.high_ms or w.high_ms < v.low_ms)


def test_what_does_not_apply_is_a_dash_and_never_0() -> None:
    compared = slots(comparison_of((query(LlmScenario()), query(StatisticalScenario()))))
    rows = {row.quantity: row.cells for row in answer_rows(compared)}
    assert rows["Cost per million output tokens"][1].text == "–"
    assert rows["Cost per million output tokens"][1].value is None
    assert rows["Accelerators"][1].text == "–"


def test_the_sentence_names_the_cheapest_and_its_saving() -> None:
    compared = slots(comparison_of((query(LlmScenario()), query(LlmScenario(weight_format="fp8")))))
    costs = [s.best.cost.usd_per_month for s in compared if s.best is not None]
    assert costs[1] < costs[0]
    assert headline(compared).startswith(
        f"B costs {format_usd(costs[0] - costs[1])} a month less than A ({costs[1] / costs[0] - 1:+.0%})."
    )
    assert "costs the same" not in headline(compared)
    same = slots(comparison_of((query(LlmScenario()), query(LlmScenario(notes="x")))))
    assert headline(same).startswith("A and B cost the same.")
    none = slots(comparison_of((query(LlmScenario()), query(LlmScenario(max_usd_per_month=1.0)))))
    assert headline(none).endswith("B finds no deployment.")


def test_an_older_catalog_answers_for_its_own_scenario_and_says_so() -> None:
    old = catalogs.available_versions()[0]
    assert old != VERSION
    compared = slots(comparison_of((query(LlmScenario()), query(LlmScenario(), old))))
    assert compared[1].catalog is not None
    assert compared[1].catalog.version == old
    assert compared[1].plan is not None
    assert compared[1].plan.headline == plan(LlmScenario(), catalogs.load(old)).headline
    assert any(old in said and VERSION in said for said in compared[1].said)
    assert input_rows(compared)[-1].values == (VERSION, old)


def test_a_pasted_link_gives_its_query_or_one_sentence() -> None:
    scenario = LlmScenario(batch=16)
    assert query_of(f"  {links.to_link(scenario, catalog_version=VERSION)} ") == query(scenario)
    for bad in (
        "http://localhost:8501/catalogs?v=1",
        "http://localhost:8501/llm?v=1&batch=-2",
        "hello",
        "http://[",
        "x=1",
    ):
        with pytest.raises(InputError):
            query_of(bad)


@pytest.mark.parametrize(
    ("cell", "words"),
    [(Cell("1", 1.0, change=0.0001), ""), (Cell("1", 1.0, change=0.005), " (+0.5 %)"), (Cell("1", 1.0, change=-0.2, decided=False), " (-20 %, not decided)")],
)  # fmt: skip
def test_a_change_is_said_with_its_certainty(cell: Cell, words: str) -> None:
    assert change_words(cell) == words


def test_the_command_line_prints_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    a, b = (links.to_link(s, catalog_version=VERSION) for s in (LlmScenario(), LlmScenario(weight_format="fp8")))
    view = comparison_of((query(LlmScenario()), query(LlmScenario(weight_format="fp8"))))
    assert main(["compare", a, b]) == 0
    assert capsys.readouterr().out == comparison_text(slots(view))
    assert main(["compare", links.to_link(view, catalog_version=VERSION), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(as_json(slots(view))))
    assert (
        main(
            [
                "compare",
                "examples/llama-2-70b.yaml",
                links.to_link(LlmScenario(max_usd_per_month=1.0), catalog_version=VERSION),
            ]
        )
        == 1
    )
    assert main(["compare", a, a, a, a, a]) == 2
    assert parse_scenario(as_json(slots(view))["scenarios"][0]["scenario"]) == LlmScenario()
