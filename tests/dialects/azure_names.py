"""An Azure account without real directories that only lists: many names, in the order of UTF-16.

Source: https://learn.microsoft.com/rest/api/storageservices/list-blobs
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self
from xml.sax.saxutils import escape

from aiohttp import web

__all__ = ["AzureNames"]


class AzureNames:
    """Serves the names of one container; ends with its `async with` block.

    Args:
        names: the names of its blobs.
        start: what it does with `startFrom`: `honoured`, `ignored`, or `empty`, as at OneLake: the page is empty.
        markers: names of blobs that stand for directories (`hdi_isfolder`).

    Attributes:
        names: of the blobs; they may change while the server runs.
        queries: of the requests so far.
        before_answer: called before each answer.
    """

    def __init__(self, names: Iterable[str], *, start: str = "honoured", markers: Iterable[str] = ()) -> None:
        self.names = set(names)
        self.queries: list[dict[str, str]] = []
        self.before_answer: Callable[[], None] = lambda: None
        self._start = start
        self._markers = set(markers)
        self._sorted: tuple[frozenset[str], list[str]] = frozenset(), []

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/container", self._list)
        app.router.add_head("/{tail:.*}", self._head)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _head(self, request: web.Request) -> web.Response:
        return web.Response(status=404, headers={"x-ms-error-code": "BlobNotFound", "x-ms-request-id": "request-1"})

    async def _list(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        self.queries.append(query)
        self.before_answer()
        prefix, marker, size = query["prefix"], query.get("marker", ""), int(query["maxresults"])
        if "startFrom" in query and self._start == "empty":
            return web.Response(text=_page(prefix, "", ""), content_type="application/xml")
        start = query.get("startFrom", "") if self._start == "honoured" else ""
        rows, following = self._rows(prefix, max(marker, start, prefix, key=_order), size, query.get("delimiter"))
        return web.Response(text=_page(prefix, rows, following), content_type="application/xml")

    def _rows(self, prefix: str, first: str, size: int, delimiter: str | None) -> tuple[str, str]:
        """Returns the rows of a page from a name on, and the name of the next page."""
        names, rows = self._in_order(), list[str]()
        at = bisect_left(names, _order(first), key=_order)
        while at < len(names) and names[at].startswith(prefix):
            name = names[at]
            if len(rows) == size:
                return "".join(rows), name
            head, slash, _ = name[len(prefix) :].partition("/")
            if delimiter and slash:
                rows.append(f"<BlobPrefix><Name>{escape(prefix + head)}/</Name></BlobPrefix>")
                at = bisect_left(names, _order(f"{prefix}{head}0"), key=_order)  # 0 follows the slash
                continue
            rows.append(self._row(name))
            at += 1
        return "".join(rows), ""

    def _in_order(self) -> list[str]:
        if self._sorted[0] != self.names:
            self._sorted = frozenset(self.names), sorted(self.names, key=_order)
        return self._sorted[1]

    def _row(self, name: str) -> str:
        metadata = "<Metadata><hdi_isfolder>true</hdi_isfolder></Metadata>" if name in self._markers else "<Metadata />"
        return (
            f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>Thu, 26 Nov 2026 10:00:00 GMT"
            f"</Last-Modified><Etag>0x1</Etag><Content-Length>1</Content-Length></Properties>{metadata}</Blob>"
        )


def _page(prefix: str, rows: str, following: str) -> str:
    return (
        f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="container"><Prefix>{escape(prefix)}'
        f"</Prefix><Blobs>{rows}</Blobs><NextMarker>{escape(following)}</NextMarker></EnumerationResults>"
    )


def _order(name: str) -> bytes:
    return name.encode("utf-16-be")
