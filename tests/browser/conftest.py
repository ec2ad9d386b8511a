"""A real Chromium against a real dashboard process. Missing Chromium fails where REQUIRE_BROWSER=1, else skips loudly."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from screen import DESKTOP, PAGES

from benchmarks.dashboard import LEAN, QUIET, chromium_path, serve, settle


def pytest_itemcollected(item: pytest.Item) -> None:
    """Tests of this folder can be chosen by their mark."""
    item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    path = chromium_path()
    if path is None:
        message = "BROWSER TESTS NOT RUN: no Chromium on this machine; install the Debian package `chromium`"
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=[*QUIET, *LEAN])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def dashboard(browser: Browser) -> Iterator[str]:
    """Address of one dashboard that the session shares."""
    with serve() as served:
        yield served.address


@pytest.fixture(scope="session")
def pages(browser: Browser, dashboard: str) -> Iterator[dict[str, Page]]:
    """Each page opened once, in light: read by many tests, and left as it was found."""
    context = browser.new_context(
        viewport=DESKTOP, color_scheme="light", permissions=["clipboard-read", "clipboard-write"]
    )  # type: ignore[arg-type]
    opened = {}
    for name in PAGES:
        opened[name] = context.new_page()
        opened[name].goto(f"{dashboard}/{name}")
        settle(opened[name])
    yield opened
    context.close()


class Tabs:
    """A tab of a test that is over, for each window and colours: it shows the next page in half the time of a new one."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.free: dict[str, Page] = {}

    def take(self, window: dict[str, int], scheme: str) -> Page:
        """A tab with nothing stored."""
        free = self.free.pop(f"{window} {scheme}", None)
        return free or self.browser.new_context(viewport=window, color_scheme=scheme).new_page()  # type: ignore[arg-type]

    def give_back(self, page: Page, window: dict[str, int], scheme: str) -> None:
        """Keep a tab as it was found, or close it where one is kept."""
        kind = f"{window} {scheme}"
        if kind in self.free or page.is_closed():
            page.context.close()
            return
        page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        page.emulate_media(media="null")
        page.set_viewport_size(window)  # type: ignore[arg-type]
        self.free[kind] = page


@pytest.fixture(scope="session")
def tabs(browser: Browser) -> Tabs:
    """The tabs of the session."""
    return Tabs(browser)


@pytest.fixture
def open_page(tabs: Tabs) -> Iterator[Callable[..., Page]]:
    """Open an address in a tab, where a session of its own starts, and wait until it has settled."""
    used: list[tuple[Page, dict[str, int], str]] = []

    def opened(address: str, *, viewport: dict[str, int] | None = None, scheme: str = "light") -> Page:
        window = viewport or DESKTOP
        page = tabs.take(window, scheme)
        used.append((page, window, scheme))
        page.goto(address)
        settle(page)
        return page

    yield opened
    for taken in used:
        tabs.give_back(*taken)
