"""The accuracy page: opened by its link, with filters, bad names, one's own cases; and the section that leads to it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from test_pages_fuzz import open_scenario

from sizing import catalog as catalogs
from sizing import link as links
from sizing.accuracy import chosen, counts, worst
from sizing.accuracy_view import AccuracyView, Family
from sizing.errors import InputError
from sizing.nearest_runs import nearest_runs, view_of
from sizing.planner import plan
from sizing.scenario import AnyScenario, DeepLearningScenario, LlmScenario, StatisticalScenario
from sizing.score import KINDS, score_text
from ui.accuracy import FAMILIES, percent, sentence
from ui.accuracy_chart import MOST_DRAWN, drawn, own_of, scatter
from ui.accuracy_own import FAMILY_OF, KIND_WORDS, MOST_BYTES, scored, template
from ui.frame import plain
from ui.nearest_runs import KEY, NOTHING_NEAR
from ui.nearest_runs import sentence as nearest_sentence

ROOT = Path(__file__).resolve().parents[2]
VERSION = catalogs.load().version


def opened(view: AccuracyView | None = None, session: dict[str, object] | None = None, **changed: str) -> AppTest:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.switch_page("pages/accuracy.py")
    params = {} if view is None else links.to_params(view, catalog_version=VERSION)
    for name, value in {**params, **changed}.items():
        at.query_params[name] = value
    for name, value in (session or {}).items():
        at.session_state[name] = value
    return at.run()


def address(at: AppTest) -> AccuracyView:
    found = links.from_params({n: v if isinstance(v, str) else v[0] if v else "" for n, v in at.query_params.items()})
    assert isinstance(found.scenario, AccuracyView)
    return found.scenario


def shown(at: AppTest) -> str:
    return "\n".join(html.proto.body for html in at.get("html"))


def figure(at: AppTest) -> dict:  # type: ignore[type-arg]
    (chart,) = at.get("plotly_chart")
    return json.loads(chart.proto.spec)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_each_family_says_its_error_first_and_links_to_what_it_shows(family: Family) -> None:
    at = opened(AccuracyView(family=family))
    assert not at.exception
    assert not at.warning
    view = address(at)
    assert view == AccuracyView(family=family, quantity=next(iter(counts(family, "quantity"))))
    assert sentence(view) in shown(at)
    points = sum(len(trace["x"]) for trace in figure(at)["data"])
    assert points == len(drawn(chosen(view))) <= MOST_DRAWN + 10
    assert worst(chosen(view))[0].model in shown(at)
    for axis in ("xaxis", "yaxis"):
        assert "(" in figure(at)["layout"][axis]["title"]["text"]


def test_filters_of_a_link_hold_and_unknown_names_are_said() -> None:
    view = AccuracyView(quantity="ttft_ms", hardware=("h100-sxm-80gb",), colour="model", held_only=False, search="tp 8")
    at = opened(view)
    assert address(at) == view
    assert sentence(view) in shown(at)
    at = opened(AccuracyView(quantity="tpot_ms", models=("llama-3.1-8b",)), models="llama-3.1-8b,gpt-9")
    assert address(at).models == ("llama-3.1-8b",)
    assert ["gpt-9" in warning.value for warning in at.warning] == [True]
    at = opened(AccuracyView(quantity="tpot_ms"), family="horoscope")
    assert "horoscope" in at.warning[0].value


def test_another_family_lets_go_of_what_it_has_not() -> None:
    at = opened(AccuracyView(quantity="tpot_ms", models=("llama-3.1-8b",), engines=("vllm",)))
    at.session_state["accuracy:family"] = "queues"
    at.run()
    assert not at.exception
    assert not at.warning
    assert address(at) == AccuracyView(family="queues", quantity=next(iter(counts("queues", "quantity"))))


def test_nothing_that_matches_is_said() -> None:
    at = opened(AccuracyView(quantity="tpot_ms", search="zeppelin"))
    assert not at.exception
    assert "No measured run matches" in shown(at)
    assert not at.get("plotly_chart")


def test_how_it_was_calibrated_opens() -> None:
    at = opened(AccuracyView(quantity="tpot_ms"), {"accuracy-how": True})
    assert "the accelerator" in shown(at)
    assert "AIConfigurator" in shown(at)
    assert "repeats another row" in shown(at)


# One's own.


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_template_is_a_case_of_its_kind_that_can_be_predicted(kind: str) -> None:
    rows = score_text(kind, template(kind))
    assert [row.skipped_because for row in rows if not row.quantity] == []
    assert any(row.predicted and row.measured for row in rows)
    names = {row.quantity.split(",")[0] for row in rows}
    assert names & set(counts(FAMILY_OF[kind], "quantity"))
    assert kind in KIND_WORDS


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"a,b\n1,2\n", "has it"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"x" * (MOST_BYTES + 1), "2,000,000 bytes"),
        ((template("queues") + "1,1,1,1,p95_wait,1\n" * 5000).encode(), "5,000 rows"),
        (template("queues").replace("0.7", "much").encode(), "line 2, rho"),
        (b"", "a CSV file with the columns"),
    ],
)
def test_a_file_that_cannot_be_scored_says_why_in_a_sentence(data: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        scored("queues", data)
    assert "\n" not in str(caught.value)


def test_pasted_cases_are_scored_drawn_and_kept_out_of_the_link() -> None:
    text = template("llm-serving")
    session = {"accuracy-own": True, "accuracy-own:kind": "llm-serving", "accuracy-own:pasted": text}
    at = opened(AccuracyView(quantity="tpot_ms"), session)
    assert not at.exception
    stars = [trace for trace in figure(at)["data"] if trace["name"] == "yours"]
    (row,) = own_of("tpot_ms", score_text("llm-serving", text))
    assert (stars[0]["x"], stars[0]["y"]) == ([row.measured], [pytest.approx(row.predicted)])
    assert "1 cases, 1 predicted" in at.code[0].value
    assert "example" not in " ".join(map(str, at.query_params.values()))
    assert address(at) == AccuracyView(quantity="tpot_ms")


def test_a_pasted_error_is_one_sentence_beside_the_box() -> None:
    session = {"accuracy-own": True, "accuracy-own:kind": "queues", "accuracy-own:pasted": "a,b\n1,2"}
    at = opened(AccuracyView(quantity="tpot_ms"), session)
    assert not at.exception
    assert [text.value for text in at.markdown if text.value.startswith(":red[")]
    assert [trace["name"] for trace in figure(at)["data"]].count("yours") == 0


def test_cases_of_another_kind_are_shown_on_a_button() -> None:
    session = {"accuracy-own": True, "accuracy-own:kind": "queues", "accuracy-own:pasted": template("queues")}
    at = opened(AccuracyView(quantity="tpot_ms"), session)
    next(button for button in at.button if button.label == "Show mine in the chart").click().run()
    assert not at.exception
    assert address(at) == AccuracyView(family="queues", quantity="p95_sojourn")
    assert [trace["name"] for trace in figure(at)["data"]].count("yours") == 1


def test_only_mine_of_the_quantity_are_drawn_and_the_lines_are_there() -> None:
    rows = score_text("llm-serving", template("llm-serving"))
    assert [r.quantity for r in own_of("ttft_ms", rows)] == ["ttft_ms"]
    assert own_of("weights_gib", rows) == ()
    made = scatter("tpot_ms", chosen(AccuracyView(quantity="tpot_ms")), "engine").to_dict()
    slopes = sorted(round(s["y1"] / s["x1"], 2) for s in made["layout"]["shapes"])
    assert slopes == [0.5, 0.75, 1.0, 1.25, 1.5]


def test_percentages_as_read() -> None:
    assert [percent(v) for v in (0.0213, 0.0994, 0.0997, 0.381, 1.2)] == ["2.1 %", "9.9 %", "10 %", "38 %", "120 %"]


# Beside the answers.


@pytest.mark.parametrize("scenario", [LlmScenario(), DeepLearningScenario(), StatisticalScenario()])
def test_the_nearest_runs_stand_beside_each_answer_once_opened(scenario: AnyScenario) -> None:
    best = plan(scenario, catalogs.load()).recommended
    assert best is not None
    near = nearest_runs(scenario, catalogs.load(), best)
    view = view_of(scenario, near, best)
    said = plain(nearest_sentence(near, round(sum(p.stands_for for p in chosen(view)))))
    at = open_scenario(scenario)
    assert said not in [text.value for text in at.markdown]
    at.session_state[KEY] = True
    at.run()
    assert not at.exception
    assert said in [text.value for text in at.markdown]
    assert all(n.point.setting in shown(at).replace("&#x27;", "'") for n in near)
    assert re.match(r"Nearest of \d+ measured runs: ", said.replace("\\", ""))


def test_without_a_run_it_is_said_plainly() -> None:
    assert nearest_sentence((), 0) == NOTHING_NEAR
