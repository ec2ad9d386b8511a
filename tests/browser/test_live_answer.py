"""Rule 2: no Run button; the answer follows the input, and an old result never stands unmarked beside a new input."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

import pytest
from playwright.sync_api import Page
from screen import (
    SIZING_PAGES,
    answer,
    assert_answers_its_link,
    assert_whole,
    choose,
    field,
    number,
    open_sections,
    redraw,
    sections,
    switch,
    type_number,
    type_text,
)

from sizing import catalog as catalogs
from sizing import link as links
from sizing.catalog_view import rows

OpenPage = Callable[..., Page]

_WATCH = """() => {
  const app = document.querySelector('[data-testid=stApp]');
  window.seen = [];
  new MutationObserver(() => window.seen.push([app.dataset.testScriptState, document.querySelector('.answer').innerText]))
    .observe(app, {attributes: true, childList: true, characterData: true, subtree: true});
}"""


@pytest.mark.parametrize("name", SIZING_PAGES)
def test_answer_follows_each_input(open_page: OpenPage, dashboard: str, name: str) -> None:
    page = open_page(f"{dashboard}/{name}")
    old, first = answer(page), assert_answers_its_link(page)
    page.evaluate(_WATCH)
    number(page, "Requests per second").fill("5000")
    assert page.get_by_text("Press Enter to apply").is_visible()  # typed but not yet taken: marked
    redraw(page, lambda: number(page, "Requests per second").press("Enter"))
    assert field(page, "requests_per_s") == "5000.0"
    second = assert_answers_its_link(page)
    assert answer(page) != old
    assert second.recommended is not None
    assert first.recommended is not None
    assert second.recommended.cost.usd_per_hour > first.recommended.cost.usd_per_hour

    seen = page.evaluate("window.seen")
    run = next(i for i, (state, _) in enumerate(seen) if state == "running")
    finished = [said for state, said in seen[run:] if state == "notRunning"]
    assert finished
    assert set(finished) == {answer(page)}

    switch(page, "Users")
    assert (field(page, "requests_per_s"), field(page, "concurrency")) == ("", "32")
    type_number(page, "Concurrent users", 50)
    assert field(page, "concurrency") == "50"
    assert_answers_its_link(page)
    redraw(page, lambda: number(page, "Concurrent users").press("ArrowUp") or page.keyboard.press("Enter"))
    assert field(page, "concurrency") == "51"
    assert_answers_its_link(page)
    assert_whole(page)


def test_sections_show_what_was_just_chosen_and_stay_open(open_page: OpenPage, dashboard: str) -> None:
    page = open_page(f"{dashboard}/llm")
    open_sections(page)
    dropped = page.locator("details", has_text=re.compile("^.*Dropped: "))
    dropped.locator("summary").click()
    choose(page, "KV cache format", "fp8")
    type_number(page, "Largest batch", 64)
    choose(page, "Region", "Europe")
    type_text(page, "Title", "A <b>plan</b> & more")
    assert sections(page).nth(7).inner_text().endswith("Title and notes")
    assert number(page, "Largest batch").is_visible()
    for position, said in ((1, "fp8 KV"), (1, "batch 64"), (4, "Europe"), (7, "Title and notes: A <b>plan</b> & more")):
        if page.locator(".st-key-inputs details").nth(position).get_attribute("open") is not None:
            redraw(page, sections(page).nth(position).click)
        assert said in sections(page).nth(position).inner_text()
    assert dropped.get_attribute("open") is not None
    assert page.locator(".answer").inner_text().startswith("A <b>plan</b> & more: ")
    assert_answers_its_link(page)


def test_the_field_one_goes_on_to_keeps_what_is_typed_while_the_answer_comes(
    open_page: OpenPage, dashboard: str
) -> None:
    page = open_page(f"{dashboard}/llm")
    open_sections(page)
    box, following = number(page, "Largest batch"), number(page, "Memory the engine may use (share)")
    box.fill("64")

    def go_on() -> None:
        box.press("Tab")  # leaves the box, which takes its number
        following.focus()
        following.press("Control+a")
        following.press_sequentially("0.8")

    redraw(page, go_on)
    assert field(page, "batch") == "64"
    assert following.input_value() == "0.8"
    following.press_sequentially("5")  # still the place one types into
    redraw(page, lambda: page.keyboard.press("Enter"))
    assert field(page, "gpu_memory_utilization") == "0.85"
    assert field(page, "batch") == "64"
    assert_answers_its_link(page)


def test_catalog_rows_follow_the_search(open_page: OpenPage, dashboard: str) -> None:
    page = open_page(f"{dashboard}/catalogs")
    type_text(page, "Search in all columns", "h100")
    view = links.from_link(page.url).scenario
    expected = len(rows(catalogs.load(), view, on=date.today()))
    assert page.get_by_text(re.compile(rf"^{expected} rows of catalog")).is_visible()
    type_text(page, "Search in all columns", "no such machine anywhere")
    assert page.get_by_text("No row matches.").is_visible()
    assert_whole(page)
