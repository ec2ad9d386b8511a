"""What a chat or a search engine reads of a link before any script runs: title and description with the answer.

Streamlit serves one and the same page of HTML for every address and sets the title later, by script, which a crawler that
makes a preview does not run. This middleware puts title and description of the link's scenario into that page on its way
out. It needs `streamlit run serve.py`; with `streamlit run app.py` a preview says "Streamlit" and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from html import escape
from typing import Any

from sizing import catalog as catalogs
from sizing import link as links
from sizing.errors import InputError
from sizing.planner import plan
from sizing.scenario import SCENARIO_TYPES
from ui import plain_words
from ui.frame import PRODUCT

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

PREVIEWS_KEPT = 256
DESCRIPTION = "What hardware, how many, how fast and at what cost to serve a model."
_TITLE = b"<title>Streamlit</title>"


@lru_cache(maxsize=PREVIEWS_KEPT)
def preview(kind: str, query: str) -> tuple[str, str]:
    """Title and description of a link; those of the product where the link has no answer."""
    try:
        decoded = links.from_query(query, kind=kind)
        found = plan(decoded.scenario, catalogs.load(decoded.catalog))
    except InputError:
        return PRODUCT, DESCRIPTION
    return plain_words.tab_title(found), plain_words.answer(found)


def head(title: str, description: str) -> bytes:
    """HTML of title and description, as pages, chats and search engines read them."""
    title, description = escape(title), escape(description)
    return (
        f'<title>{title}</title><meta name="description" content="{description}">'
        f'<meta property="og:title" content="{title}"><meta property="og:description" content="{description}">'
        f'<meta property="og:type" content="website"><meta property="og:site_name" content="{escape(PRODUCT)}">'
        '<meta name="twitter:card" content="summary">'
    ).encode()


class LinkPreview:
    """ASGI middleware around Streamlit: pages of scenarios get their own title and description, all else passes as it is."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Pass one request on, and put the preview into its HTML where it is the link of a scenario."""
        kind = str(scope.get("path", "")).rstrip("/").rsplit("/", 1)[-1]
        if scope["type"] != "http" or scope.get("method") != "GET" or kind not in SCENARIO_TYPES:
            await self.app(scope, receive, send)
            return
        query = scope.get("query_string", b"").decode("latin-1")
        # In a thread: a plan takes up to a tenth of a second, in which no other reader should wait.
        title, description = await asyncio.to_thread(preview, kind, query)
        # Neither compressed nor "not modified": the page has to be there in plain bytes to be written into.
        kept = [
            h
            for h in scope["headers"]
            if h[0].lower() not in (b"accept-encoding", b"if-none-match", b"if-modified-since")
        ]
        start: Message = {}
        body = bytearray()

        async def gather(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            changed = bytes(body).replace(_TITLE, head(title, description), 1)
            dropped = (b"content-length", b"etag", b"last-modified")
            headers = [h for h in start["headers"] if h[0].lower() not in dropped]
            start["headers"] = [*headers, (b"content-length", str(len(changed)).encode())]
            await send(start)
            await send({"type": "http.response.body", "body": changed})

        await self.app({**scope, "headers": kept}, receive, gather)
