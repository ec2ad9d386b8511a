"""What a crawler reads of a link: title and description of the answer, and everything else as Streamlit serves it."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sizing import catalog as catalogs
from sizing import link as links
from sizing.planner import plan
from sizing.scenario import LlmScenario, StatisticalScenario
from ui import plain_words
from ui.link_preview import DESCRIPTION, LinkPreview, head, preview

PAGE = b"<html><head><title>Streamlit</title></head><body>\xe2\x9c\x93</body></html>"
VERSION = catalogs.load().version


def asked(
    path: str, query: str = "", *, method: str = "GET"
) -> tuple[dict[str, Any], bytes, list[tuple[bytes, bytes]]]:
    """Start and body of an answer, and the request's headers as the wrapped app sees them; it answers in two parts."""
    seen: list[tuple[bytes, bytes]] = []
    sent: list[MutableMapping[str, Any]] = []

    async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        seen.extend(scope["headers"])
        headers = [(b"content-type", b"text/html"), (b"content-length", str(len(PAGE)).encode()), (b"etag", b"x")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": PAGE[:30], "more_body": True})
        await send({"type": "http.response.body", "body": PAGE[30:]})

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request"}

    headers = [(b"Accept-Encoding", b"gzip"), (b"host", b"x")]
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": headers}
    # In a thread of its own: after browser tests this one still has Playwright's loop.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, LinkPreview(app)(scope, receive, send)).result()
    return dict(sent[0]), b"".join(m["body"] for m in sent[1:]), seen


@pytest.mark.parametrize("view", [None, "summary"])
@pytest.mark.parametrize("path", ["/llm", "/sizer/llm/"])
def test_the_page_of_a_link_carries_its_answer(path: str, view: str | None) -> None:
    scenario = LlmScenario(prompt_tokens=321)
    found = plan(scenario, catalogs.load())
    start, body, seen = asked(path, links.to_query(scenario, catalog_version=VERSION, view=view))
    text = body.decode()
    assert f"<title>{plain_words.tab_title(found)}</title>" in text
    assert f'<meta property="og:description" content="{plain_words.answer(found)}">' in text
    assert "<title>Streamlit</title>" not in text
    assert text.endswith("<body>✓</body></html>")
    headers = dict(start["headers"])
    assert headers[b"content-length"] == str(len(body)).encode()
    assert b"etag" not in headers
    assert [name for name, _ in seen] == [b"host"]


@pytest.mark.parametrize(
    ("path", "method"), [("/", "GET"), ("/catalogs", "GET"), ("/static/js/x.js", "GET"), ("/llm", "HEAD")]
)
def test_everything_else_passes_as_it_is(path: str, method: str) -> None:
    start, body, seen = asked(path, method=method)
    assert body == PAGE
    assert (b"etag", b"x") in start["headers"]
    assert len(seen) == 2


@pytest.mark.parametrize(
    "query", ["v=9", "kind=statistical", "model=nonsense", "catalog=2001-01-01.deadbeef", "x" * 9000, "a=1&" * 300]
)
def test_a_link_without_an_answer_has_the_products_words(query: str) -> None:
    assert preview("llm", query)[1] == DESCRIPTION


def test_names_of_a_link_cannot_become_markup() -> None:
    text = head('"><script>x</script>', "a & b").decode()
    assert "<script>" not in text
    assert "a &amp; b" in text
    scenario = StatisticalScenario(name="</title><script>alert(1)</script>")
    _, body, _ = asked("/statistical", links.to_query(scenario, catalog_version=VERSION))
    assert b"<script>" not in body
