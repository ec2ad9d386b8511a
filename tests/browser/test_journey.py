"""The whole way of a newcomer: from the start to a decision that somebody else opens elsewhere and sees the same figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page
from screen import DESKTOP, answer, assert_answers_its_link, assert_whole, choose, field, figures, metric, redraw

from benchmarks.dashboard import serve, settle
from sizing import catalog as catalogs
from sizing import link as links
from sizing.comparison_answers import compared as answers_of
from sizing.comparison_slots import read_comparison
from sizing.comparison_text import headline
from sizing.comparison_view import Comparison

OpenPage = Callable[..., Page]


def test_from_the_start_to_a_decision_opened_by_others(open_page: OpenPage, dashboard: str, tmp_path: Path) -> None:
    page = open_page(dashboard, viewport=DESKTOP)
    redraw(page, page.get_by_role("link", name="Large language model").first.click)
    page.wait_for_url("**/llm?*")
    settle(page)
    choose(page, "Model", "Llama-2-70b-hf")
    before = answer(page)
    assert "Llama-2-70b" in before
    first_link = page.url
    month = metric(page, "Cost per month")

    page.get_by_text("What would make it cheaper or faster").click()
    settle(page)
    row = page.locator("[data-testid=stMain]").get_by_role("button", name="Apply")
    row.first.wait_for(timeout=30_000)
    redraw(page, row.first.click)
    settle(page)
    assert page.url != first_link
    assert answer(page) != before
    page.get_by_text("Applied:").first.wait_for()
    assert_answers_its_link(page)
    after, after_month, accepted = answer(page), metric(page, "Cost per month"), page.url
    assert after_month != month

    to_compare = page.get_by_role("link", name="Compare with the former")
    redraw(page, to_compare.click)
    page.wait_for_url("**/compare?*")
    settle(page)
    decoded = links.from_link(page.url).scenario
    assert isinstance(decoded, Comparison)
    assert [links.from_query(q).scenario for q in decoded.queries] == [
        links.from_link(u).scenario for u in (first_link, accepted)
    ]
    assert answer(page) == headline(answers_of(read_comparison(decoded)))
    assert month in page.get_by_test_id("stMain").inner_text()
    assert after_month in page.get_by_test_id("stMain").inner_text()
    assert_whole(page)
    compared = page.url, answer(page)

    redraw(page, page.get_by_role("link", name="Open B").click)
    page.wait_for_url("**/llm?*")
    settle(page)
    assert answer(page) == after
    with page.expect_download(timeout=60_000) as download:
        page.get_by_role("button", name="Report").first.click()
    saved = tmp_path / "report.html"
    download.value.save_as(saved)
    report = saved.read_text(encoding="utf-8")
    assert after_month in report
    link = page.url
    shown = figures(open_page(link))  # without the sections that this session has opened
    assert field(page, "catalog") == catalogs.load().version

    with serve() as fresh, serve() as replica:
        for served in (fresh, replica):
            there = open_page(link.replace(dashboard, served.address))
            assert answer(there) == after
            assert figures(there) == shown
            both = open_page(compared[0].replace(dashboard, served.address))
            assert answer(both) == compared[1]
            summary = open_page(f"{link.replace(dashboard, served.address)}&view=summary")
            assert after_month in summary.get_by_test_id("stMain").inner_text()
            assert_whole(summary)
