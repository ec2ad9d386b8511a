"""How sure the limits are and what else could be had: two folded sections of the language model page."""

from __future__ import annotations

import re
from dataclasses import replace
from math import log10

import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest
from test_own_model import html
from test_pages_fuzz import open_scenario

from sizing import catalog as catalogs
from sizing.llm.confidence import Confidence, confidence
from sizing.llm.frontier import Frontier, Point, frontier
from sizing.planner import plan
from sizing.scenario import LlmScenario
from ui.charts import LIMIT
from ui.confidence import bars, sentence
from ui.frontier import PER_ACCELERATOR, PER_DOLLAR, cost, front_chart, hardware, rows, throughput
from ui.frontier import sentence as front_sentence

CATALOG = catalogs.load()
CLOSE = LlmScenario(requests_per_s=300, utilization_cap=0.95)


def opened(scenario: LlmScenario, section: str) -> AppTest:
    at = open_scenario(scenario)
    at.session_state[section] = True
    at.run()
    assert not at.exception
    return at


def confidence_of(scenario: LlmScenario) -> Confidence:
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    return confidence(scenario, CATALOG, best)


@pytest.fixture(scope="module")
def fronts() -> Frontier:
    return frontier(LlmScenario(), CATALOG, plan(LlmScenario(), CATALOG).recommended)


def test_the_chance_of_each_count_is_shown_once_opened() -> None:
    at = opened(CLOSE, "confidence")
    found = confidence_of(CLOSE)
    shown = html(at)
    assert 'aria-label="Chance that the limits hold by replica count"' in shown
    assert sum(f"<b>{row.replicas}</b> ◀ recommended" in shown for row in found.rows) == 1
    said = " ".join(text.value for text in at.markdown).replace("\\", "")
    assert sentence(CLOSE, found) in said


def test_the_sentence_prices_a_better_chance() -> None:
    found = confidence_of(CLOSE)
    now, better = found.recommended, found.fewest[0]
    assert better is not None
    more = better.usd_per_hour - now.usd_per_hour
    assert sentence(CLOSE, found) == (
        f"With {now.replicas} replicas the limits hold with {now.all:.0%} chance; {better.replicas} replicas "
        f"(${more:.2f} more per hour) make it {better.all:.0%}."
    ).replace("%", " %")


def test_the_sentence_says_when_replicas_do_not_help_or_fewer_would_do() -> None:
    found = confidence_of(CLOSE)
    row, least = found.recommended, found.rows[0]
    stuck = replace(row, tpot=0.5, all=0.5)
    none = replace(found, rows=(stuck,), recommended=stuck, fewest=(None, None))
    assert sentence(CLOSE, none).endswith(f"reaches 80 % ({row.replicas} replicas make it 50 %): TPOT breaks first.")
    sure, fewer = replace(row, all=0.97), replace(least, all=0.96)
    cap = replace(found, rows=(fewer, sure), recommended=sure, fewest=(fewer, fewer))
    assert sentence(CLOSE, cap).endswith("would make it 96 %, the others are the headroom of the 95 % utilization cap.")
    exact = replace(found, recommended=sure, fewest=(sure, sure))
    assert sentence(CLOSE, exact) == f"With {row.replicas} replicas the limits hold with 97 % chance."
    free = CLOSE.model_copy(update={"ttft_target_ms": None, "tpot_target_ms": None})
    assert "the load is served with 97 % chance" in sentence(free, exact)


def test_columns_are_those_of_the_limits_there_are() -> None:
    def titles(scenario: LlmScenario) -> list[str]:
        return re.findall(r'<th scope="col">(.*?)</th>', bars(scenario, confidence_of(scenario)))[3:]

    assert titles(LlmScenario()) == ["TTFT holds", "TPOT holds", "No overload"]
    assert titles(LlmScenario(tpot_target_ms=None)) == ["TTFT holds", "No overload"]
    assert titles(LlmScenario(requests_per_s=None, concurrency=9)) == ["TTFT holds", "TPOT holds"]


def test_both_fronts_are_drawn_once_opened() -> None:
    at = opened(LlmScenario(), "fronts")
    closed = open_scenario(LlmScenario())
    assert len(at.get("plotly_chart")) == len(closed.get("plotly_chart")) + 2
    said = " ".join(text.value for text in at.markdown).replace("\\", "")
    assert "Within TTFT 1 s and TPOT 50 ms, an accelerator gives at most" in said
    assert "The recommended replica, kept full" in said


def test_fronts_without_a_recommendation_and_without_a_second_token() -> None:
    none = opened(LlmScenario(tpot_target_ms=0.5), "fronts")
    assert any("no point of a front is left" in text.value for text in none.markdown)
    assert not any("recommended replica" in text.value for text in none.markdown)
    single = opened(LlmScenario(output_tokens=1), "fronts")
    assert any("no time per output token" in box.value for box in single.info)
    nowhere = opened(LlmScenario(model="deepseek-v3", accelerators=("t4",)), "fronts")
    assert any("nothing to compare" in box.value for box in nowhere.info)


def charts(found: Frontier) -> list[go.Figure]:
    return [
        front_chart(found.per_accelerator, found, throughput, PER_ACCELERATOR, 50.0),
        front_chart(found.per_dollar, found, cost, PER_DOLLAR, 50.0),
    ]


def test_charts_name_units_draw_the_limit_and_mark_the_recommended_point(fronts: Frontier) -> None:
    star = next(point for point in fronts.chosen if point.batch == fronts.chosen_batch)
    for figure, value in zip(charts(fronts), (throughput, cost), strict=True):
        for axis in (figure.layout.xaxis, figure.layout.yaxis):
            assert re.search(r"\(.+\)$", axis.title.text)
        (line,) = [shape for shape in figure.layout.shapes if shape.line.color == LIMIT]
        assert (line.x0, line.x1) == (20.0, 20.0)
        assert any("TPOT limit 50 ms" in note.text for note in figure.layout.annotations)
        (mark,) = [trace for trace in figure.data if trace.marker.symbol == "star"]
        assert (mark.x[0], mark.y[0]) == (star.tokens_per_s_per_user, value(star))


def test_points_of_a_front_are_filled_where_both_limits_hold_and_named_on_hover(fronts: Frontier) -> None:
    figure = charts(fronts)[1]
    drawn = {trace.name: trace for trace in figure.data}
    for name, is_met in (("front, limits met", True), ("front, a limit missed", False)):
        points = [point for point in fronts.per_dollar if point.meets == is_met]
        assert list(drawn[name].x) == [point.tokens_per_s_per_user for point in points]
        for text, point in zip(drawn[name].text, points, strict=True):
            assert f"{hardware(point)}, batch {point.batch}<br>{point.instance_type}" in text
    assert drawn["front, a limit missed"].marker.symbol == "circle-open"


def test_names_along_a_front_do_not_overlap(fronts: Frontier) -> None:
    for figure in charts(fronts):
        names = [(note.x, note.y) for note in figure.layout.annotations if note.showarrow is not False]
        assert names
        xs, ys = (max(axis) - min(axis) for axis in zip(*_logs(figure), strict=True))
        for i, (x, y) in enumerate(names):
            assert all(abs(x - a) > 0.25 * xs or abs(y - b) > 0.06 * ys for a, b in names[:i])


def _logs(figure: go.Figure) -> list[tuple[float, float]]:
    front = next(trace for trace in figure.data if trace.name == "front")
    return [(log10(x), log10(y)) for x, y in zip(front.x, front.y, strict=True)]


def test_the_table_holds_the_points_of_both_fronts_once(fronts: Frontier) -> None:
    table = rows(fronts)
    both: set[Point] = {*fronts.per_accelerator, *fronts.per_dollar}
    assert len(table) == len(both)
    assert len(table[0]) <= 9
    assert sum(row["Front"] != "cost" for row in table) == len(fronts.per_accelerator)
    assert sum(row["Front"] != "throughput" for row in table) == len(fronts.per_dollar)
    speeds = [row["Tokens/s, one user"] for row in table]
    assert speeds == sorted(speeds, reverse=True)  # type: ignore[type-var]


def test_the_sentence_quotes_points_within_the_limits(fronts: Frontier) -> None:
    cheap = min((point for point in fronts.per_dollar if point.meets), key=cost)
    assert not min(fronts.per_dollar, key=cost).meets
    assert f"({hardware(cheap)}, batch {cheap.batch}, {cheap.instance_type})" in front_sentence(LlmScenario(), fronts)
