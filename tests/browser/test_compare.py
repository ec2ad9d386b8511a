"""From a page to a comparison and on: keep, change, compare, change one thing; the link is the comparison, anywhere."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page
from screen import (
    PHONE,
    answer,
    assert_answers_its_link,
    assert_whole,
    choose,
    figures,
    metric,
    redraw,
    type_number,
)

from benchmarks.dashboard import serve, settle
from sizing import link as links
from sizing.comparison_answers import compared
from sizing.comparison_slots import Slot, read_comparison
from sizing.comparison_text import headline
from sizing.comparison_view import Comparison
from sizing.scenario import LlmScenario
from sizing.units import format_usd

OpenPage = Callable[..., Page]


def slots_of(page: Page) -> tuple[Slot, ...]:
    """The scenarios in the address bar."""
    decoded = links.from_link(page.url)
    assert not decoded.messages
    assert isinstance(decoded.scenario, Comparison)
    return read_comparison(decoded.scenario)


def assert_compares_its_link(page: Page) -> tuple[Slot, ...]:
    """The sentence and costs on screen are those of the scenarios in the address bar, computed here."""
    slots = slots_of(page)
    entries = compared(slots)
    assert answer(page) == headline(entries)
    table = page.locator("table.even").inner_text()
    for entry in entries:
        assert entry.best is not None
        assert format_usd(entry.best.cost.usd_per_month) in table
    assert_whole(page)
    return slots


def open_menu(page: Page, name: str, position: int = 0) -> None:
    """Open one of the small menus and wait until what is in it has been drawn."""
    redraw(page, page.get_by_role("button", name=name, exact=True).nth(position).click)


def test_from_a_page_to_a_comparison_and_to_another_process(open_page: OpenPage, dashboard: str) -> None:
    page = open_page(f"{dashboard}/llm")
    before = assert_answers_its_link(page)
    month = metric(page, "Cost per month")
    open_menu(page, "Compare")
    redraw(page, page.get_by_role("button", name="Keep this as A for comparison").click)
    page.keyboard.press("Escape")
    assert page.get_by_text(f"Kept as A: Llama-3.1-8B in bf16 at 5 requests/s, {month} a month.").is_visible()
    choose(page, "Weight format", "fp8")
    after = assert_answers_its_link(page)
    assert page.get_by_text("Kept as A:").is_visible()

    redraw(page, page.get_by_role("link", name="Compare with it").click)
    page.wait_for_url("**/compare?*")
    settle(page)
    slots = assert_compares_its_link(page)
    assert [slot.scenario for slot in slots] == [before.scenario, after.scenario]
    assert page.get_by_test_id("stAlert").count() == 0
    assert "Weight format" in page.locator("table.even").inner_text()

    open_menu(page, "Duplicate", 1)
    field = page.get_by_role("combobox", name="Change", exact=True)
    field.click()
    field.press_sequentially("Output tokens")
    redraw(page, page.get_by_role("option", name="Output tokens", exact=True).click)
    type_number(page, "New value", 600)
    redraw(page, page.get_by_role("button", name="Add as C").click)
    page.wait_for_function("() => new URL(location).searchParams.get('c')")
    slots = assert_compares_its_link(page)
    assert slots[2].scenario == LlmScenario(weight_format="fp8", output_tokens=600)
    assert page.get_by_text("Output tokens: 600").first.is_visible()
    assert page.get_by_test_id("stPlotlyChart").count() == 3
    assert len(page.url) < 2_000
    link, shown = page.url, figures(page)

    page.reload()
    settle(page)
    assert figures(page) == shown
    redraw(page, page.go_back)
    assert len(slots_of(page)) == 2
    assert_compares_its_link(page)

    with serve() as fresh:  # its very first request is the comparison
        there = open_page(link.replace(dashboard, fresh.address))
        assert figures(there) == shown
        assert there.url == link.replace(dashboard, fresh.address)
        redraw(there, there.get_by_role("link", name="Open B").click)
        there.wait_for_url("**/llm?*")
        settle(there)
        assert assert_answers_its_link(there).headline == after.headline


def test_swap_rename_remove_and_a_pasted_link(open_page: OpenPage, dashboard: str) -> None:
    page = open_page(f"{dashboard}/compare")
    first, second = slots_of(page)
    open_menu(page, "Change", 1)
    redraw(page, page.get_by_role("button", name="Make it A").click)
    assert assert_compares_its_link(page) == (second, first)
    open_menu(page, "Change", 1)
    box = page.get_by_role("textbox", name="Label", exact=True)
    box.fill("the old way")
    redraw(page, lambda: box.press("Enter"))
    assert slots_of(page)[1].label == "the old way"
    assert "the old way" in answer(page)

    pasted = page.get_by_role("textbox", name="Link of a sizing page or of another comparison")
    pasted.fill("what is this")
    redraw(page, lambda: pasted.press("Enter"))
    assert page.get_by_text("This link cannot be added").is_visible()
    assert len(slots_of(page)) == 2
    pasted.fill(f"{dashboard}/statistical?v=1&kind=statistical&trees=300")
    redraw(page, lambda: pasted.press("Enter"))
    assert len(assert_compares_its_link(page)) == 3
    assert pasted.input_value() == ""
    assert "panel each" in page.get_by_test_id("stMain").inner_text()

    open_menu(page, "Change", 0)
    redraw(page, page.get_by_role("button", name="Remove").click)
    assert [slot.scenario.kind for slot in assert_compares_its_link(page)] == ["llm", "statistical"]  # type: ignore[union-attr]


def test_a_damaged_link_says_what_is_lost_and_compares_the_rest(open_page: OpenPage, dashboard: str) -> None:
    page = open_page(f"{dashboard}/compare")
    link = page.url
    b = parse_qs(urlsplit(link).query)["b"][0]
    page.goto(link.replace(b, b[:-9]))
    settle(page)
    said = page.get_by_test_id("stAlert").inner_text()
    assert "B could not be read" in said
    assert "Nothing to compare it with yet. B could not be read." in answer(page)
    assert_whole(page)


def test_a_phone_shows_the_difference_first_and_all_of_the_table(open_page: OpenPage, dashboard: str) -> None:
    page = open_page(f"{dashboard}/compare", viewport=PHONE)
    box = page.locator(".answer").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < PHONE["height"] / 2
    table = page.locator("table.even").evaluate("e => e.getBoundingClientRect().right")
    assert table <= PHONE["width"]
    for chart in page.get_by_test_id("stPlotlyChart").all():
        within = chart.bounding_box()
        assert within is not None
        assert within["x"] + within["width"] <= PHONE["width"]
    titles = page.evaluate(
        "() => [...document.querySelectorAll('.js-plotly-plot')].flatMap(g => [g._fullLayout.xaxis.title.text])"
    )
    assert all(title.endswith(")") for title in titles)
