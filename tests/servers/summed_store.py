"""An S3 that holds one object with a checksum that another program stored, and may send wrong bytes."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

from aiohttp import web

__all__ = ["SummedStore"]


class SummedStore:
    """One object under any key; every range of it is answered with 206, its length, its range and its etag.

    Args:
        data: the bytes.
        algorithm, value: what is told of the whole, in the answers that AWS tells it in.
        headers: sent with every answer; a name without a value is left out.
        parts: the sizes of the parts that the object was stored in, told by number.
        attributes: what GetObjectAttributes answers; None: the service does not know it, and sends the object.

    Attributes:
        wrong: how often the last byte of a body that is a range not from 0, or the whole, is sent as another one.
        breaks_off: how often a body ends in the middle.
        deleted: whether it was.
        ranges: how many were asked for.
    """

    def __init__(
        self,
        data: bytes,
        algorithm: str = "",
        value: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        parts: Sequence[int] = (),
        attributes: str | None = None,
    ) -> None:
        self._headers = headers or {}
        self._parts = parts
        self._attributes = attributes
        self.wrong = self.breaks_off = self.ranges = 0
        self.deleted = False
        self.endpoint = ""
        self._data = data
        self._told = {
            f"x-amz-checksum-{algorithm}": base64.b64encode(value).decode(),
            "x-amz-checksum-type": "FULL_OBJECT",
        }
        if not algorithm:
            self._told = {}

    @classmethod
    @asynccontextmanager
    async def running(cls, data: bytes, algorithm: str = "", value: bytes = b"", **told: Any) -> AsyncIterator[Self]:
        """Serves it."""
        store = cls(data, algorithm, value, **told)
        app = web.Application()
        app.router.add_get("/{key:.*}", store._get)  # HEAD, too
        app.router.add_post("/{key:.*}", store._delete)
        app.router.add_delete("/{key:.*}", store._delete_one)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            store.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield store
        finally:
            await runner.cleanup()

    async def _get(self, request: web.Request) -> web.StreamResponse:
        headers = {"etag": '"1-3"', "x-amz-request-id": "1", "last-modified": "Fri, 01 Nov 2024 00:00:00 GMT"}
        if request.headers.get("x-amz-checksum-mode") == "ENABLED":
            headers |= self._told
        headers |= self._headers
        if "attributes" in request.query and self._attributes is not None:
            return web.Response(
                text=self._attributes, content_type="application/xml", headers={"etag": headers["etag"]}
            )
        if self._parts and (number := request.query.get("partNumber")):
            headers["x-amz-mp-parts-count"] = str(len(self._parts))
            end = sum(self._parts[: int(number)])
            start = end - self._parts[int(number) - 1]
            headers["content-range"] = f"bytes {start}-{end - 1}/{len(self._data)}"
            return await self._send(request, 206, headers, self._data[start:end])
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if span is None:
            body = self._data
            if body and self.wrong and request.method == "GET" and self._headers and not request.query:
                self.wrong -= 1
                body = body[:-1] + bytes([body[-1] ^ 1])
            return await self._send(request, 200, headers, body)
        start, end = int(span[1]), int(span[2] or len(self._data) - 1) + 1
        headers["content-range"] = f"bytes {start}-{end - 1}/{len(self._data)}"
        body = self._data[start:end]
        self.ranges += 1
        if start and self.wrong:
            self.wrong -= 1
            body = body[:-1] + bytes([body[-1] ^ 1])
        return await self._send(request, 206, headers, body)

    async def _send(
        self, request: web.Request, status: int, headers: dict[str, str], body: bytes
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={**headers, "content-length": str(len(body))})
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        if self.breaks_off:
            self.breaks_off -= 1
            await response.write(body[: len(body) // 2])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(body)
        await response.write_eof()
        return response

    async def _delete_one(self, request: web.Request) -> web.Response:
        self.deleted = True
        return web.Response(status=204, headers={"x-amz-request-id": "1"})

    async def _delete(self, request: web.Request) -> web.Response:
        assert "delete" in request.query
        self.deleted = True
        return web.Response(text="<DeleteResult/>", content_type="application/xml")
