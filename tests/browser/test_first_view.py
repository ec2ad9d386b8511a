"""What stands on each page as it loads, at 1280 x 720 and without a click: rules 1, 3, 4, 5, 8 and part of 10."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page
from screen import DESKTOP, PAGES, SIZING_PAGES, WIDGETS, answer, assert_answers_its_link, assert_whole, limits

from sizing.units import format_ms

FOLD = 720
TITLES = {
    "": "Start",
    "statistical": "Statistical model",
    "deep_learning": "Deep learning model",
    "llm": "Large language model",
    "compare": "Compare",
    "accuracy": "Accuracy",
    "catalogs": "Catalogs",
}
EMOJI = re.compile("[\U0001f300-\U0001faff\u2600-\u26ff\u2705\u274c\u2753-\u2757\u2b50\ufe0f]")


def bottom(page: Page, selector: str) -> float:
    """Lower edge of the first match [px from the top of the window]."""
    box = page.locator(selector).first.bounding_box()
    assert box is not None
    return box["y"] + box["height"]


@pytest.mark.parametrize("name", PAGES)
def test_page_is_whole_and_named(pages: dict[str, Page], name: str) -> None:
    page = pages[name]
    assert_whole(page)
    assert page.title() == f"{TITLES[name]} · Inference sizing"
    assert not EMOJI.search(page.locator("body").inner_text())
    assert page.locator("html").evaluate("e => e.scrollWidth") <= DESKTOP["width"]


@pytest.mark.parametrize("name", SIZING_PAGES)
def test_answer_stands_above_the_fold(pages: dict[str, Page], name: str) -> None:
    page = pages[name]
    assert_answers_its_link(page)
    last_limit = "table.slo >> nth=0 >> tbody tr:last-child"
    for selector in (".answer", last_limit, *(f"[data-testid=stMetric] >> nth={i}" for i in range(4))):
        assert 0 < bottom(page, selector) <= FOLD, selector
    assert re.search(r"p(95|99)", answer(page))


def test_comparison_says_its_difference_above_the_fold(pages: dict[str, Page]) -> None:
    assert 0 < bottom(pages["compare"], ".answer") <= FOLD / 2
    assert re.search(r"^B \(.+\) costs \$[\d,.]+ less a month than A", answer(pages["compare"]))
    assert bottom(pages["compare"], ".st-key-compare-card-1") <= FOLD


def test_landing_page_has_three_doors_each_with_an_answer(pages: dict[str, Page]) -> None:
    page = pages[""]
    doors = page.get_by_text(re.compile("^For example: "))
    assert doors.count() == 3
    for door in doors.all():
        box = door.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= FOLD
        assert re.search(r"needs \d+ .*\$[\d.,]+ per hour, p9[59] .* (ms|s)", door.inner_text())


def test_worked_examples_are_named_in_full(pages: dict[str, Page]) -> None:
    cut = pages[""].evaluate(
        """() => [...document.querySelectorAll('[data-testid="stPageLink"] p')]
            .filter(e => [e, e.parentElement, e.closest('a')].some(b => b.scrollWidth > b.clientWidth + 1))
            .map(e => e.innerText)"""
    )
    assert cut == []


def test_catalog_table_stands_above_the_fold(pages: dict[str, Page]) -> None:
    box = pages["catalogs"].get_by_test_id("stDataFrame").bounding_box()
    assert box is not None
    assert box["y"] < FOLD / 2
    assert pages["catalogs"].locator("[data-testid^=glide-cell-0-]").count() >= 5


@pytest.mark.parametrize("name", PAGES)
def test_at_most_eight_controls_in_sight_and_no_run_button(pages: dict[str, Page], name: str) -> None:
    page = pages[name]
    visible = page.locator(", ".join(f"[data-testid={widget}]" for widget in WIDGETS)).evaluate_all(
        "all => all.filter(e => e.checkVisibility() && !e.closest('[inert]')).length"
    )
    assert visible == {"": 0, "compare": 1, "accuracy": 8, "catalogs": 5}.get(name, 8)
    buttons = page.get_by_test_id("stMain").get_by_role("button").all_inner_texts()
    assert not [text for text in buttons if re.search(r"\b(run|submit|calculate|apply|analy[sz]e)\b", text, re.I)]


@pytest.mark.parametrize("name", SIZING_PAGES)
def test_closed_sections_say_their_present_values(pages: dict[str, Page], name: str) -> None:
    titles = pages[name].locator(".st-key-inputs [data-testid=stExpander] summary p").all_inner_texts()
    assert len(titles) == {"llm": 8}.get(name, 7)
    assert sum("cap 70%" in title for title in titles) == 1
    assert re.search(r"any cloud, US, on demand, no budget limit$", titles[-4])
    assert titles[-3].endswith("the same at every hour, on demand, 1-year commitment, 3-year commitment")
    assert titles[-2].endswith("list prices, USD")


@pytest.mark.parametrize("name", SIZING_PAGES)
def test_each_limit_has_prediction_interval_margin_verdict_and_basis(pages: dict[str, Page], name: str) -> None:
    page = pages[name]
    best = assert_answers_its_link(page).recommended
    assert best is not None
    time = r"[\d.,]+ (µs|ms|s)"
    for row, verdict in zip(limits(page), best.verdicts, strict=True):
        said, limit, predicted, interval, margin, basis = row
        assert re.fullmatch(r"(✓ pass|✗ fail) .+ p(50|95|99)", said)
        assert re.fullmatch(f"{time}|none", limit)
        assert re.fullmatch(time, predicted)
        assert re.fullmatch(f"{time} to {time}", interval)
        assert re.fullmatch(f"-?{time}(, interval reaches past it)?|–", margin)
        assert re.match(r"(measured|calibrated|estimated): \w", basis)
        assert predicted == format_ms(verdict.predicted_ms)
        assert said.startswith("✓") == verdict.met
    assert re.search(r"^Binding: .+\.$", page.get_by_test_id("stMain").inner_text(), re.M)


_HEADERS = """() => {
  const canvas = document.querySelector('[data-testid=stDataFrame] canvas');
  let fiber = canvas[Object.keys(canvas).find(key => key.startsWith('__reactFiber'))];
  while (!(fiber.memoizedProps?.columns?.[0]?.title)) fiber = fiber.return;
  const pen = document.createElement('canvas').getContext('2d');
  const theme = fiber.memoizedProps.theme;
  pen.font = `${theme.headerFontStyle} ${theme.fontFamily}`;
  return {room: canvas.clientWidth, columns: fiber.memoizedProps.columns.map(c =>
    ({title: c.title, width: c.width, needed: pen.measureText(c.title).width + 2 * theme.cellHorizontalPadding}))};
}"""


@pytest.mark.parametrize("name", SIZING_PAGES)
def test_ranking_is_one_narrow_table_with_nothing_searched_lost(pages: dict[str, Page], name: str) -> None:
    page = pages[name]
    plan = assert_answers_its_link(page)
    said = page.get_by_text(re.compile(r"kinds of instance searched")).inner_text()
    numbers = re.fullmatch(r"(\d+) kinds of instance searched: (\d+) meet the scenario, (\d+) dropped\.", said)
    assert numbers is not None
    searched, kept, dropped = map(int, numbers.groups())
    assert (searched, kept, dropped) == (plan.search.candidates, len(plan.ranked), len(plan.rejected))
    assert kept + dropped == searched
    assert page.get_by_text(re.compile(rf"^Dropped: {dropped} \(")).count() == (dropped > 0)

    page.get_by_test_id("stDataFrame").first.scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelector('[data-testid=stDataFrame] canvas')")
    grid = page.evaluate(_HEADERS)
    titles = [column["title"] for column in grid["columns"]]
    assert len(titles) <= 9
    use = {"deep_learning": "GPU use (%)", "statistical": "CPU (%)", "llm": "Load (%)"}[name]
    assert {"USD/month", "USD/hour", use} <= set(titles)
    assert any(re.search(r"p(50|95|99) \(ms\)$", title) for title in titles)
    assert [c for c in grid["columns"] if c["needed"] > c["width"]] == []
    assert sum(column["width"] for column in grid["columns"]) <= grid["room"] + 1
    page.get_by_test_id("stMain").evaluate("e => e.scrollTo(0, 0)")


_CHARTS = """() => [...document.querySelectorAll('[data-testid=stPlotlyChart]')].map(box => {
  const graph = box.querySelector('.js-plotly-plot');
  const axes = Object.keys(graph._fullLayout).filter(key => /^[xy]axis\\d*$/.test(key)).map(key => graph._fullLayout[key]);
  return {alt: box.getAttribute('aria-label'), role: box.getAttribute('role'), top: box.getBoundingClientRect().y,
    axes: axes.map(axis => ({type: axis.type, title: axis.title.text})),
    lines: (graph.layout.shapes || []).map(shape => ({type: shape.type, y0: shape.y0, y1: shape.y1})),
    notes: (graph.layout.annotations || []).map(note => note.text),
    traces: graph.data.map(t => ({name: t.name, symbol: t.marker?.symbol, y: [...(t.y || [])].map(String)}))};
})"""


@pytest.mark.parametrize("name", SIZING_PAGES)
def test_charts_have_units_limits_and_the_chosen_point(pages: dict[str, Page], name: str) -> None:
    page = pages[name]
    plan = assert_answers_its_link(page)
    charts = page.evaluate(_CHARTS)
    assert len(charts) == 3
    assert sum(chart["top"] < FOLD for chart in charts) <= 2
    for chart in charts:
        assert chart["role"] == "figure"
        assert len(chart["alt"]) > 20
        measured = [axis for axis in chart["axes"] if axis["type"] != "category"]
        assert measured
        for axis in measured:  # a count of instances is its own unit
            assert axis["title"] == "instances" or re.search(r"\(.+\)$", axis["title"]), axis
        starred = any(trace["symbol"] == "star" for trace in chart["traces"])
        pointed = any("◀" in label for trace in chart["traces"] for label in trace["y"])
        assert starred or pointed or any("demanded" in note for note in chart["notes"])

    drawn = [line["y0"] for line in charts[0]["lines"] if line["y0"] == line["y1"]]
    named = [note for note in charts[0]["notes"] if "limit" in note]
    limit = {"llm": "tpot_target_ms", "deep_learning": "latency_target_ms", "statistical": "p99_target_ms"}[name]
    assert drawn == [getattr(plan.scenario, limit)]
    assert len(named) == 1
    memory = next(chart for chart in charts if "Memory" in chart["alt"])
    assert "capacity" in [trace["name"] for trace in memory["traces"]]
