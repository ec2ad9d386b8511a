"""The language model page shows speed to the bottom: closed sections, drawn once opened, and the shaded trade-off."""

from __future__ import annotations

import json
import re
from math import log10

import pytest
from streamlit.testing.v1 import AppTest
from test_pages_fuzz import open_app, open_scenario

from sizing import catalog as catalogs
from sizing.llm import batch_curve
from sizing.llm.breaks import breaks, breaks_words
from sizing.llm.steps import PARTS, step_curve, step_words
from sizing.planner import plan
from sizing.scenario import LlmScenario
from ui.frame import plain
from ui.speed import full_batch_words, step_chart

CATALOG = catalogs.load()


def figures(at: AppTest) -> list[dict]:  # type: ignore[type-arg]
    return [json.loads(chart.proto.spec) for chart in at.get("plotly_chart")]


def opened(key: str, scenario: LlmScenario) -> tuple[AppTest, int]:
    """The page with one section open, and how many charts that added."""
    at = open_scenario(scenario)
    closed = len(figures(at))
    at.session_state[key] = True
    at.run()
    assert not at.exception
    return at, len(figures(at)) - closed


@pytest.mark.parametrize(
    "scenario", [LlmScenario(), LlmScenario(model="llama-2-70b-hf", requests_per_s=None, concurrency=64)]
)
def test_sections_are_closed_at_first_and_say_their_figures_once_opened(scenario: LlmScenario) -> None:
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    curve = step_curve(scenario, CATALOG, best)
    wanted = {
        "steps": (step_words(curve), 1),
        "breaks": (breaks_words(breaks(scenario, CATALOG, best), scenario.utilization_cap), 2),
    }
    closed = open_scenario(scenario)
    for key, (sentence, charts) in wanted.items():
        assert plain(sentence) not in [text.value for text in closed.markdown]
        at, added = opened(key, scenario)
        assert plain(sentence) in [text.value for text in at.markdown]
        assert added == charts


def test_no_deployment_no_sections() -> None:
    at = open_scenario(LlmScenario(model="llama-2-70b-hf", tpot_target_ms=2.0))
    assert "Why it is this fast" not in [text.value for text in at.subheader]


def test_the_load_charts_mark_limit_and_break() -> None:
    at, _ = opened("breaks", LlmScenario())
    best = plan(LlmScenario(), CATALOG).recommended
    assert best is not None
    found = breaks(LlmScenario(), CATALOG, best)
    ttft, tpot = (
        next(
            f
            for f in figures(at)
            if f["data"][0].get("name") == "p50" and words in f["layout"]["yaxis"]["title"]["text"]
        )
        for words in ("time to first token (ms)", "time per output token (ms)")
    )
    assert [trace["name"] for trace in ttft["data"]] == ["p50", "p95", "p99"]
    notes = {note["text"].strip() for note in ttft["layout"]["annotations"]}
    assert {"p95 limit 1 s", "demanded", "unstable beyond", f"breaks at {found.by_limit['TTFT']:,.3g}"} <= notes
    assert not [note for note in tpot["layout"]["annotations"] if "breaks" in note["text"]]


def test_the_bars_of_a_step_stack_to_its_time_with_the_chosen_batch_marked() -> None:
    best = plan(LlmScenario(), CATALOG).recommended
    assert best is not None
    curve = step_curve(LlmScenario(), CATALOG, best)
    figure = step_chart(curve).to_dict()
    assert figure["layout"]["barmode"] == "stack"
    assert [trace["name"] for trace in figure["data"]] == [n for n in PARTS if curve.parts_ms[n].any()]
    sums = [sum(trace["y"][i] for trace in figure["data"]) for i in range(len(curve.batch))]
    assert sums == pytest.approx(curve.step_ms.tolist())
    assert [label for label in figure["data"][0]["x"] if "▲" in label] == [f"<b>{best.batch}</b><br>▲"]
    for axis in ("xaxis", "yaxis"):
        assert "(" in figure["layout"][axis]["title"]["text"]


def shading(at: AppTest) -> list[dict]:  # type: ignore[type-arg]
    return [shape for shape in figures(at)[0]["layout"].get("shapes", []) if shape["type"] == "rect"]


def test_the_trade_off_is_shaded_where_both_limits_hold() -> None:
    scenario = LlmScenario(ttft_target_ms=500)
    at, best = open_scenario(scenario), plan(scenario, CATALOG).recommended
    assert best is not None
    curve = batch_curve(scenario, CATALOG, best)
    (region,) = shading(at)
    assert region["y1"] == scenario.tpot_target_ms
    held = curve.closed_ttft_ms <= 500
    assert held[0]
    assert not held[-1]
    assert region["x1"] == pytest.approx(float(curve.output_tokens_per_s[held][-1]))
    layout = figures(at)[0]["layout"]
    low, high = layout["xaxis"]["range"]
    assert low < log10(curve.output_tokens_per_s.min())
    assert log10(curve.output_tokens_per_s.max()) < high < log10(curve.output_tokens_per_s.max()) + 0.2
    assert region["x0"] == pytest.approx(10**low)


def test_limits_that_bind_nowhere_or_are_not_set() -> None:
    (region,) = shading(open_scenario(LlmScenario(ttft_target_ms=60_000, tpot_target_ms=None)))
    layout = figures(open_scenario(LlmScenario(ttft_target_ms=60_000, tpot_target_ms=None)))[0]["layout"]
    assert log10(region["x1"]) == pytest.approx(layout["xaxis"]["range"][1])
    assert log10(region["y1"]) == pytest.approx(layout["yaxis"]["range"][1])
    free = open_scenario(LlmScenario(ttft_target_ms=None, tpot_target_ms=None))
    assert not shading(free)
    assert "shaded" not in " ".join(text.value for text in free.markdown)
    assert shading(open_app("llm"))


def test_a_chosen_point_outside_the_shading_is_explained() -> None:
    scenario = LlmScenario(model="llama-2-70b-hf", requests_per_s=None, concurrency=64, ttft_target_ms=400)
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    words = full_batch_words(batch_curve(scenario, CATALOG, best), best, scenario)
    assert words is not None
    assert plain(words) in [caption.value for caption in open_scenario(scenario).caption]
    assert "the mean TTFT would be" in words
    assert "TPOT" not in words
    forced = LlmScenario(batch=300, requests_per_s=1)
    best = plan(forced, CATALOG).recommended
    assert best is not None
    words = full_batch_words(batch_curve(forced, CATALOG, best), best, forced)
    assert words is not None
    assert re.search(r"TPOT would be [\d.]+ ms, over the limit of 50 ms", words)
    default = plan(LlmScenario(), CATALOG).recommended
    assert default is not None
    assert full_batch_words(batch_curve(LlmScenario(), CATALOG, default), default, LlmScenario()) is None
