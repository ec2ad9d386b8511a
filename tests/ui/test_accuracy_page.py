"""The accuracy page: its sentence, filters in the link, cases of one's own scored in the session."""

from __future__ import annotations

from html import escape
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from sizing import catalog as catalogs
from sizing import link as links
from sizing.accuracy import chosen
from sizing.accuracy_view import AccuracyView
from ui.accuracy import sentence

ROOT = Path(__file__).resolve().parents[2]
SERVING = (
    "id,engine,engine_version,model,accelerator,weight_format,tp,pp,attention_dp,moe_tp,moe_ep,isl,osl,concurrency,ttft_ms,tpot_ms,source\n"
    "mine,vllm,0.18,llama-3.1-8b,h100-sxm-80gb,bf16,1,1,1,,,1000,250,16,60,8.5,me\n"
)


def opened(view: AccuracyView) -> AppTest:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.switch_page("pages/accuracy.py")
    for name, value in links.to_params(view, catalog_version=catalogs.load().version).items():
        at.query_params[name] = value
    return at.run()


def answer(at: AppTest) -> str:
    return next(html.proto.body for html in at.get("html") if 'class="answer"' in html.proto.body)


@pytest.mark.parametrize("family", ["llm", "llm_memory", "deep_learning", "statistical", "queues"])
def test_every_family_opens_with_its_figures(family: str) -> None:
    at = opened(AccuracyView(family=family))
    assert not at.exception
    view = at.session_state["page:accuracy"].scenario
    assert view.family == family
    assert escape(sentence(view, chosen(view))) in answer(at)
    assert len(at.get("plotly_chart")) == 1


def test_filters_come_from_the_link_and_go_into_it() -> None:
    view = AccuracyView(family="llm", quantity="TTFT (ms)", engines=("vllm",), held_only=True, colour="hardware")
    at = opened(view)
    assert at.session_state["page:accuracy"].scenario == view
    at.text_input(key="accuracy:search").set_value("h100").run()
    found = links.from_params(
        {n: v if isinstance(v, str) else v[0] if v else "" for n, v in at.query_params.items()}
    ).scenario
    assert found == view.model_copy(update={"search": "h100"})


def test_what_matches_nothing_is_said_without_a_chart() -> None:
    at = opened(AccuracyView(search="nothing like this"))
    assert not at.exception
    assert "No measured run matches" in answer(at)
    assert not at.get("plotly_chart")


def test_names_that_the_points_do_not_have_leave_a_page() -> None:
    at = opened(AccuracyView(quantity="colour", models=("mars",), hardware=("x" * 100,)))
    assert not at.exception
    assert at.session_state["page:accuracy"].scenario.models == ()


def test_own_cases_are_scored_here_and_bad_ones_said() -> None:
    at = opened(AccuracyView())
    at.session_state["accuracy-own"] = True
    at.run()
    at.selectbox(key="accuracy-own:kind").set_value("llm-serving").run()
    at.file_uploader[0].upload("mine.csv", SERVING.encode(), "text/csv").run()
    assert not at.exception
    assert any("1 cases, 1 predicted" in code.value for code in at.code)
    at.file_uploader[0].upload("bad.csv", b"a,b\n1,2\n", "text/csv").run()
    assert not at.exception
    assert any("column" in warning.value for warning in at.warning)
