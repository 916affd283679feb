"""A web server for files that can behave as the web servers out there do."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import quote, unquote

from aiohttp import web

__all__ = ["File", "FileServer", "Seen"]

MODIFIED = "Tue, 14 Nov 2023 22:13:20 GMT"


@dataclass
class File:
    """A file, and the server's habits with it.

    Attributes:
        data: its bytes.
        ranges: a range is sent where one is asked for.
        etag: `"strong"`, `"weak"` or `""`.
        head: the status of the answer to HEAD where it is not 200; 0 for 200 with a length of 0.
        length: the length of a whole answer is told.
        dated: `Last-Modified` is told.
        checks: conditional headers are obeyed.
        status: of every answer, where it is not 200.
        redirect: where to go instead.
        headers: more of them.
        cut: the connection breaks after so many bytes of each answer.
    """

    data: bytes = b""
    ranges: bool = True
    etag: str = "strong"
    head: int = 200
    length: bool = True
    dated: bool = True
    checks: bool = True
    status: int = 200
    redirect: str = ""
    redirect_status: int = 302
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None

    @property
    def tag(self) -> str:
        """The ETag as it is sent."""
        name = f'"{hashlib.md5(self.data).hexdigest()[:12]}"'
        return {"strong": name, "weak": f"W/{name}"}.get(self.etag, "")


@dataclass(frozen=True)
class Seen:
    """A request that arrived."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def range(self) -> str:
        """What range it asked for."""
        return self.headers.get("Range", "")


class FileServer:
    """Serves files by their path; `seen` has what was asked."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.files: dict[str, File] = {}
        self.seen: list[Seen] = []
        self.sent = 0
        self._tls = tls

    def put(self, path: str, data: bytes = b"", **habits: object) -> File:
        """Adds a file, or replaces it."""
        self.files[path] = File(data, **habits)  # type: ignore[arg-type]
        return self.files[path]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def url_of(self, path: str) -> str:
        """The URL of a file."""
        return self.url + quote(path, safe="/", errors="surrogateescape")

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self.port: int = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append(Seen(request.method, request.raw_path, request.headers.copy()))
        file = self.files.get(unquote(request.raw_path.partition("?")[0], errors="surrogateescape"))
        if file is None:
            return web.Response(status=404)
        if file.redirect:
            return web.Response(status=file.redirect_status, headers={"Location": file.redirect})
        if file.status != 200:
            return web.Response(status=file.status, headers=file.headers)
        if request.method == "HEAD" and file.head != 200:
            told = {"ETag": file.tag, "Content-Length": "0"} if not file.head else {}
            return web.Response(status=file.head or 200, headers=told)
        return await self._file(request, file)

    async def _file(self, request: web.BaseRequest, file: File) -> web.StreamResponse:
        headers = {"Accept-Ranges": "bytes" if file.ranges else "", "ETag": file.tag}
        headers["Last-Modified"] = MODIFIED if file.dated else ""
        headers = {name: value for name, value in headers.items() if value} | dict(file.headers)
        asked = request.headers.get("If-Match")
        if file.checks and asked is not None and (asked != file.tag or file.etag != "strong"):
            return web.Response(status=412)
        status, data = 200, file.data
        span = request.headers.get("Range", "").removeprefix("bytes=")
        if span and file.ranges:
            first, _, last = span.partition("-")
            start, end = int(first), min(int(last or len(data)) + 1, len(data))
            if start >= len(data):
                return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
            status, data = 206, data[start:end]
        response = web.StreamResponse(status=status, headers=headers)
        if file.length:
            response.content_length = len(data)
        elif request.method != "HEAD":
            response.enable_chunked_encoding()
        await response.prepare(request)
        if request.method != "HEAD":
            await self._send(request, response, data, file.cut)
        return response

    async def _send(self, request: web.BaseRequest, response: web.StreamResponse, data: bytes, cut: int | None) -> None:
        for offset in range(0, len(data), 1 << 16):
            piece = data[offset : offset + (1 << 16)]
            if cut is not None and offset + len(piece) > cut:
                await response.write(piece[: cut - offset])
                await asyncio.sleep(0.01)
                assert request.transport is not None
                request.transport.abort()
                return
            await response.write(piece)
            self.sent += len(piece)
        await response.write_eof()
