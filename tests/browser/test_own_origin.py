"""Rule 10: no request leaves the dashboard's own origin; text reads well in light and dark; errors stay in the log."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page
from screen import DESKTOP, PAGES, answer, assert_whole, redraw

from benchmarks.dashboard import settle

OpenPage = Callable[..., Page]
READABLE = 4.5
"""Contrast of text that WCAG 2.2 asks for at level AA."""

_CONTRAST = """e => {
  const channels = text => text.match(/[\\d.]+/g).map(Number);
  const light = c => { const s = c / 255; return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; };
  const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const layers = [];
  for (let at = e; at; at = at.parentElement) {
    const layer = channels(getComputedStyle(at).backgroundColor);
    if (layer[3] !== 0) layers.push(layer);
    if (layer[3] === undefined) break;
  }
  const blend = (under, over) => under.slice(0, 3).map((c, i) => c + (over[i] - c) * (over[3] ?? 1));
  const behind = layers.reverse().reduce(blend);
  const [a, b] = [channels(getComputedStyle(e).color), behind].map(luminance);
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""


DEEPEST = 12


def _open_all(page: Page) -> None:
    """Open every section, those inside others too, and wait until what is in them has been drawn."""
    closed = page.locator("details:not([open]) > summary:visible")
    for _ in range(DEEPEST):
        if not closed.count():
            return
        closed.evaluate_all("titles => titles.forEach(title => title.click())")
        settle(page)
        page.wait_for_timeout(300)
    assert not closed.count()


def _download_all(page: Page, done: set[str]) -> None:
    """Download what is in sight and not in `done`, each file once."""
    buttons = page.get_by_test_id("stDownloadButton").locator("button:visible")
    for position in range(buttons.count()):
        name = buttons.nth(position).inner_text()
        if name not in done:
            with page.expect_download():
                buttons.nth(position).click()
            done.add(name)


def test_every_page_asks_only_its_own_origin(browser: Browser, dashboard: str) -> None:
    context = browser.new_context(viewport=DESKTOP)
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.on("websocket", lambda socket: asked.append(socket.url))
    for name in PAGES:
        page.goto(f"{dashboard}/{name}")
        settle(page)
        done: set[str] = set()
        _open_all(page)
        _download_all(page, done)
        for tab in page.get_by_role("tab").all():  # what stands behind a tab can be clicked once it is in front
            tab.click()
            settle(page)
            _download_all(page, done)
        for chart in page.get_by_test_id("stPlotlyChart").all():
            chart.hover()
        assert_whole(page)
    context.close()
    assert len(asked) > 20
    elsewhere = {
        url
        for url in asked
        if urlsplit(url).scheme in ("http", "https", "ws", "wss") and urlsplit(url).netloc != urlsplit(dashboard).netloc
    }
    assert elsewhere == set()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["", "llm"])
def test_text_reads_well_in_light_and_dark(
    pages: dict[str, Page], open_page: OpenPage, dashboard: str, name: str, scheme: str
) -> None:
    page = pages[name] if scheme == "light" else open_page(f"{dashboard}/{name}", scheme=scheme)
    assert page.get_by_test_id("stApp").evaluate("e => getComputedStyle(e).colorScheme") == scheme
    for selector in (
        "h1",
        ".answer",
        ".met",
        "table.slo td",
        "[data-testid=stMetricValue]",
        "#copy-link",
        "[data-testid=stPageLink] p",
    ):
        for place in page.locator(selector).all()[:3]:
            assert place.evaluate(_CONTRAST) >= READABLE, selector
    shot = page.screenshot()
    assert len(shot) > 20_000


def test_printed_page_keeps_the_answer_and_drops_the_controls(pages: dict[str, Page]) -> None:
    page = pages["llm"]
    assert page.locator(".st-key-inputs").is_visible()
    page.emulate_media(media="print")
    assert page.locator(".answer").is_visible()
    assert not page.locator(".st-key-inputs").is_visible()
    assert not page.locator("#copy-link").is_visible()
    page.emulate_media(media="null")


def test_unknown_page_leads_to_the_start(open_page: OpenPage, dashboard: str) -> None:
    page = open_page(f"{dashboard}/no-such-page?v=1")
    assert page.get_by_text("What hardware, how many").first.is_visible()
    assert_whole(page)


def test_worked_example_opens_its_own_page(open_page: OpenPage, dashboard: str) -> None:
    page = open_page(dashboard)
    link = page.get_by_role("link", name="Llama-2 70B at 5 requests a second")
    promised = page.get_by_text("Llama-2-70b-hf in fp16 at 5 requests/s").last.inner_text()
    redraw(page, link.click)
    page.wait_for_url("**/llm?*")
    settle(page)
    assert answer(page) == promised
    assert page.get_by_test_id("stAlert").count() == 0
