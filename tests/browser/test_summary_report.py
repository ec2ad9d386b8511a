"""The hand-over in a real browser: the summary on a phone and in a wiki, the report offline and on paper, the snapshot back in."""

from __future__ import annotations

import re
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from screen import PHONE, answer, assert_whole, field, figures, limits

from benchmarks.dashboard import serve, settle
from sizing import catalog as catalogs
from sizing import link as links
from sizing import snapshot
from sizing.planner import plan
from sizing.scenario import (
    SCENARIO_TYPES,
    AnyScenario,
    DeepLearningScenario,
    LlmScenario,
    StatisticalScenario,
    parse_scenario,
)
from sizing.units import format_usd
from ui import plain_words

OpenPage = Callable[..., Page]
VERSION = catalogs.load().version
A4_WIDTH_PX, LETTER_WIDTH_PX = 794, 816
MOST_PAGES = 12
_TOO_WIDE = """width => [...document.querySelectorAll('main *, [data-testid=stMain] *')]
  .filter(e => e.checkVisibility() && !e.closest('svg, .scroll, .wide, pre, style'))
  .filter(e => { const b = e.getBoundingClientRect(); return b.width > 1 && b.right > width + 1 && b.left < width; })
  .map(e => e.outerHTML.slice(0, 120))"""


def summary_link(scenario: AnyScenario, address: str) -> str:
    return links.to_link(scenario, catalog_version=VERSION, base=address, view=links.SUMMARY)


def widgets(page: Page) -> int:
    """Controls of any kind on the page."""
    return page.locator(
        "[data-testid=stMain] :is(input, textarea, select, button:not([data-testid=stPlotlyChart] *))"
    ).count()


@pytest.mark.parametrize("kind", SCENARIO_TYPES)
def test_a_manager_reads_it_on_a_phone(open_page: OpenPage, dashboard: str, kind: str) -> None:
    scenario = parse_scenario({"kind": kind, "notes": "For the board: decide by Friday."})
    found = plan(scenario, catalogs.load())
    best = found.recommended
    assert best is not None
    page = open_page(summary_link(scenario, dashboard), viewport=PHONE)
    assert_whole(page)
    assert answer(page) == plain_words.answer(found)
    assert page.title() == plain_words.tab_title(found)
    month = page.locator(".sums b").first
    assert month.inner_text() == format_usd(best.cost.usd_per_month)
    for place in (page.locator(".answer"), page.locator(".sums")):
        box = place.bounding_box()
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] < PHONE["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.get_by_test_id("stMain").evaluate("e => e.scrollWidth") <= PHONE["width"]
    assert page.evaluate(_TOO_WIDE, PHONE["width"]) == []
    assert page.locator(".js-plotly-plot").count() == 3
    assert len(limits(page)) == len(best.verdicts)
    assert page.locator(".st-key-nav").count() == 0
    assert page.locator("[data-testid=stMain] :is(input, textarea)").count() == 0
    assert field(page, "view") == "summary"


def test_it_survives_reload_another_process_and_the_way_there_and_back(open_page: OpenPage, dashboard: str) -> None:
    scenario = LlmScenario(name="Café & co: 100 %", requests_per_s=17.0)
    page = open_page(summary_link(scenario, dashboard))
    shown, address = figures(page), page.url
    page.reload()
    settle(page)
    assert figures(page) == shown
    assert page.url == address
    with serve() as fresh:  # its very first request is the summary
        there = open_page(address.replace(dashboard, fresh.address))
        assert figures(there) == shown
    page.get_by_role("link", name="Open the full page").click()
    page.get_by_role("spinbutton", name="Requests per second").wait_for()
    settle(page)
    assert "view=" not in page.url
    assert links.from_link(page.url).scenario == scenario
    assert answer(page) == plan(scenario, catalogs.load()).headline
    page.go_back()
    page.get_by_role("link", name="Open the full page").wait_for()
    settle(page)
    assert page.url == address
    assert figures(page) == shown


def test_it_prints_within_the_paper(open_page: OpenPage, dashboard: str, tmp_path: Path) -> None:
    page = open_page(summary_link(LlmScenario(), dashboard))
    page.set_viewport_size({"width": A4_WIDTH_PX - 106, "height": 1000})
    page.emulate_media(media="print")
    page.wait_for_timeout(500)
    assert page.evaluate(_TOO_WIDE, A4_WIDTH_PX - 106) == []
    assert not page.get_by_role("link", name="Open the full page").is_visible()
    assert 2 <= _pages(page.pdf(format="A4")) <= 5


@contextmanager
def _wiki(folder: Path, body: str) -> Iterator[str]:
    """A page of a wiki on another origin."""
    folder.joinpath("index.html").write_text(f"<!DOCTYPE html><h2>Wiki</h2>{body}", encoding="utf-8")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Nothing to standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def test_it_stands_in_an_iframe_of_a_wiki(
    browser: Browser, open_page: OpenPage, dashboard: str, tmp_path: Path
) -> None:
    scenario = StatisticalScenario(name="In the wiki")
    source = open_page(links.to_link(scenario, catalog_version=VERSION, base=dashboard))
    source.get_by_text("Embed the summary in a wiki page").click()
    snippet = source.locator("[data-testid=stCode]").filter(has_text="<iframe").inner_text().replace("\xa0", " ")
    with _wiki(tmp_path, snippet) as address:
        context = browser.new_context(viewport={"width": 1000, "height": 1100})
        page = context.new_page()
        page.goto(address)
        frame = page.frame_locator("iframe")
        frame.locator(".answer").wait_for(timeout=60_000)
        assert plain_words.answer(plan(scenario, catalogs.load())) in frame.locator(".answer").inner_text()
        frame.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=60_000)
        assert frame.get_by_test_id("stException").count() == 0
        assert frame.get_by_test_id("stAlert").count() == 0
        with context.expect_page() as opened:  # out of the frame, in a tab of its own
            frame.get_by_role("link", name="Open the full page").click()
        full = opened.value
        settle(full)
        assert "embed" not in full.url
        assert "view=" not in full.url
        assert links.from_link(full.url).scenario == scenario
        context.close()


def _pages(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


@pytest.mark.parametrize(
    "scenario", [LlmScenario(model="llama-2-70b-hf"), DeepLearningScenario()], ids=lambda s: s.kind
)
def test_the_report_opens_offline_and_prints(
    browser: Browser, open_page: OpenPage, dashboard: str, tmp_path: Path, scenario: AnyScenario
) -> None:
    hostile = scenario.model_copy(
        update={"name": "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"}
    )
    page = open_page(links.to_link(hostile, catalog_version=VERSION, base=dashboard))
    with page.expect_download() as download:
        page.get_by_role("button", name="Report (HTML)").click()
    assert re.fullmatch(r"(llm|deep-learning)-[a-z0-9.-]+-report\.html", download.value.suggested_filename)
    saved = tmp_path / "report.html"
    download.value.save_as(saved)

    context = browser.new_context(viewport={"width": 1280, "height": 720})
    context.set_offline(True)
    report = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    report.on("request", lambda request: asked.append(request.url))
    report.on("pageerror", lambda error: said.append(str(error)))
    report.on("console", lambda message: said.append(message.text))
    report.goto(saved.as_uri())
    report.wait_for_function("document.querySelectorAll('.chart .main-svg').length >= 3", timeout=30_000)
    assert asked == [saved.as_uri()]
    assert said == []
    assert report.evaluate("window.hacked") is None
    assert report.locator("h1").inner_text() == hostile.name
    for place in report.locator(".chart").all():
        box = place.bounding_box()
        assert box is not None
        assert box["height"] > 100
        assert place.locator(".main-svg").first.is_visible()
    found = plan(hostile, catalogs.load())
    assert found.headline in report.locator("#answer").inner_text()
    for paper, width in (("A4", A4_WIDTH_PX), ("Letter", LETTER_WIDTH_PX)):
        report.set_viewport_size({"width": width - 113, "height": 1000})  # between margins of 15 mm
        report.emulate_media(media="print")
        assert report.evaluate(_TOO_WIDE, width - 113) == []
        assert [
            t
            for t in report.locator("table").all()
            if t.evaluate("(t, w) => t.getBoundingClientRect().right > w + 1", width - 113)
        ] == []
        pdf = report.pdf(format=paper)
        assert 4 <= _pages(pdf) <= MOST_PAGES
    report.emulate_media(media="screen")
    report.set_viewport_size(PHONE)
    report.reload()
    report.wait_for_function("document.querySelectorAll('.chart .main-svg').length >= 3", timeout=30_000)
    assert report.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    context.close()


def test_a_snapshot_goes_out_and_comes_back_in(open_page: OpenPage, dashboard: str, tmp_path: Path) -> None:
    scenario = DeepLearningScenario(requests_per_s=77.0, name="Frozen here")
    page = open_page(links.to_link(scenario, catalog_version=VERSION, base=dashboard))
    with page.expect_download() as download:
        page.get_by_role("button", name="Snapshot (JSON)").click()
    saved = tmp_path / download.value.suggested_filename
    assert saved.name == "deep-learning-torchvision-resnet50-snapshot.json"
    download.value.save_as(saved)
    frozen = snapshot.from_json(saved.read_text(encoding="utf-8"))
    assert frozen.plan.headline == answer(page)

    start = open_page(dashboard)
    start.get_by_text("Open a snapshot or a scenario file").click()
    start.locator("input[type=file]").set_input_files(saved)
    start.get_by_role("link", name="Open the live scenario").wait_for()
    settle(start)
    assert plain_words.answer(frozen.plan) in start.locator(".answer").inner_text()
    assert frozen.checksum in start.get_by_test_id("stAlert").inner_text()
    assert_whole(start)
    changed = tmp_path / "changed.json"
    changed.write_text(saved.read_text(encoding="utf-8").replace("Frozen here", "Changed here"), encoding="utf-8")
    start.locator("input[type=file]").set_input_files(changed)
    start.get_by_text("was changed after it was saved").wait_for()
    assert start.locator(".answer").count() == 0
    start.locator("input[type=file]").set_input_files(saved)
    start.get_by_role("link", name="Open the live scenario").click()
    start.wait_for_url("**/deep_learning?*")
    settle(start)
    assert links.from_link(start.url).scenario == scenario
    assert answer(start) == frozen.plan.headline


def test_served_with_previews_a_link_tells_its_answer_before_any_script(open_page: OpenPage) -> None:
    scenario = LlmScenario(prompt_tokens=432)
    with serve(script="serve.py") as served:
        address = summary_link(scenario, served.address)
        with urllib.request.urlopen(address, timeout=20) as reply:
            raw = reply.read().decode()
        found = plan(scenario, catalogs.load())
        assert f"<title>{plain_words.tab_title(found)}</title>" in raw
        assert plain_words.answer(found) in raw
        page = open_page(address)  # and the page itself works as ever
        assert answer(page) == plain_words.answer(found)
        assert_whole(page)
