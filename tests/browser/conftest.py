"""A real Chromium against a real dashboard process. Missing Chromium fails where REQUIRE_BROWSER=1, else skips loudly."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from benchmarks.dashboard import QUIET, chromium_path, serve, settle

HERE = Path(__file__).resolve().parent
DESKTOP = {"width": 1280, "height": 720}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.path).is_relative_to(HERE):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium; each test opens clean contexts in it."""
    path = chromium_path()
    if path is None:
        message = "BROWSER TESTS NOT RUN: no Chromium on this machine; install the Debian package `chromium`"
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def dashboard(browser: Browser) -> Iterator[str]:
    """Address of one dashboard that the session shares."""
    with serve() as served:
        yield served.address


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open an address in a clean context and wait until it has settled."""
    contexts: list[BrowserContext] = []

    def opened(address: str, *, viewport: dict[str, int] | None = None, scheme: str = "light") -> Page:
        context = browser.new_context(viewport=viewport or DESKTOP, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.goto(address)
        settle(page)
        return page

    yield opened
    for context in contexts:
        context.close()
