"""Rule 9: on a phone the answer comes before the inputs, nothing is wider than the screen, the verdict is in sight."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page
from screen import PAGES, PHONE, SIZING_PAGES, assert_whole, open_sections

OpenPage = Callable[..., Page]
_TOO_WIDE = """width => [...document.querySelectorAll('[data-testid=stMain] *')]
  .filter(e => e.checkVisibility() && !e.closest('svg, .scroll, [data-testid=stDataFrame], [data-testid=stCode], pre, style'))
  .filter(e => { const b = e.getBoundingClientRect(); return b.width > 1 && b.right > width + 1 && b.left < width && b.left >= 0; })
  .map(e => e.outerHTML.slice(0, 120))"""


def top(place: Locator) -> float:
    """Upper edge [px]."""
    box = place.bounding_box()
    assert box is not None
    return box["y"]


@pytest.mark.parametrize("name", PAGES)
def test_page_fits_a_phone(open_page: OpenPage, dashboard: str, name: str) -> None:
    page = open_page(f"{dashboard}/{name}", viewport=PHONE)
    assert_whole(page)
    if name in SIZING_PAGES:
        verdict = page.locator(".met, .missed").last
        box = verdict.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < PHONE["height"]
        inputs = page.locator(".st-key-inputs")
        for above in (page.locator(".answer"), verdict, page.get_by_test_id("stMetric").first):
            assert top(above) < top(inputs)
        open_sections(page)
    elif name == "":
        assert top(page.get_by_text("For example:").first) < PHONE["height"]
    elif name in ("compare", "accuracy"):
        assert top(page.locator(".answer")) < PHONE["height"]
    else:
        assert top(page.get_by_test_id("stDataFrame")) < PHONE["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    main = page.get_by_test_id("stMain")
    assert main.evaluate("e => e.scrollWidth") <= PHONE["width"]
    assert page.evaluate(_TOO_WIDE, PHONE["width"]) == []
    sidebar = page.get_by_test_id("stSidebar")
    assert sidebar.count() == 0 or not sidebar.is_visible()
