"""A small tus server whose oddities are switches: those of other servers, and of proxies in front of them.

Sources: https://tus.io/protocols/resumable-upload, https://github.com/tus/tusd (locks, `-behind-proxy`), and
https://nginx.org/en/docs/http/ngx_http_core_module.html#client_max_body_size.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate

from aiohttp import web

__all__ = ["OddTus", "Stored", "odd_tus"]

PAGE = "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>nginx</body>\r\n</html>\r\n"
_TUS = {"Tus-Resumable": "1.0.0"}


@dataclass
class Stored:
    """One upload."""

    length: int
    name: str
    data: bytearray = field(default_factory=bytearray)
    parts: bool = False
    expires: float | None = None


@dataclass
class OddTus:
    """The server and its switches.

    Attributes:
        extensions: what it announces.
        stores: the most bytes that it stores of one body.
        limit: larger bodies get 413 from the proxy in front.
        resets: the proxy closes the connection of larger bodies without an answer, having passed nothing on.
        refuses: methods that the proxy answers with 405.
        locked: how many of the next requests for an upload find it locked.
        lock_status: their status.
        forgets: how many uploads are gone (410) after their first `PATCH`.
        location: the address of a new upload, with `{id}`, `{host}` and `{path}`.
        wrong_offset: the offset that a `PATCH` reports, which stores nothing then.
        wrong_after: how many requests `PATCH` come before that.
        hidden: how many requests for an upload fail, from its creation on.
        overrides: whether it knows X-HTTP-Method-Override.
        loses: how many answers to the requests that finish a file are lost, after the file was stored.
        replaces: how many files get other bytes of the same size when their answer is lost.
        expires: seconds after which an upload that was not written to is told to expire (`Upload-Expires`). It remains
            then, and refuses bytes.
        drops_finished: uploads are gone once they are files, and parts once they were put together.
        options: the answer to OPTIONS, if it is not that of the protocol: status, headers and text.
        gone_status: the status of uploads that are gone.
        length_unsaid: answers to HEAD have no length.
        doubled: a proxy sends each header of the protocol twice.
        mismatches: how many bodies are refused with 460.
        errors: answers to the next `PATCH` requests: status and text.
        file_number: how addresses of uploads are made of their numbers.
        max_header: the longest `Upload-Concat` in bytes; longer ones get 431.
        offset_unsaid: answers to `PATCH` have no offset, and status 200.
        prefix: the path under which a proxy shows the server, which does not know it.
        requests: methods and sizes of the bodies, in order.
        uploads, files: what it has.
    """

    extensions: str = "creation,termination"
    stores: int | None = None
    limit: int | None = None
    resets: int | None = None
    refuses: frozenset[str] = frozenset()
    locked: int = 0
    lock_status: int = 423
    forgets: int = 0
    location: str = "{path}{id}"
    wrong_offset: str | None = None
    wrong_after: int = 0
    hidden: int = 0
    overrides: bool = True
    loses: int = 0
    replaces: int = 0
    drops_finished: bool = False
    expires: float | None = None
    offset_unsaid: bool = False
    options: tuple[int, dict[str, str], str] | None = None
    gone_status: int = 410
    length_unsaid: bool = False
    doubled: bool = False
    mismatches: int = 0
    errors: list[tuple[int, str]] = field(default_factory=list)
    max_header: int | None = None
    file_number: str = "{}"
    prefix: str = ""
    requests: list[tuple[str, int]] = field(default_factory=list)
    uploads: dict[str, Stored] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    url: str = ""
    numbers: int = 0

    def methods(self) -> list[str]:
        """Returns the methods of all requests but OPTIONS."""
        return [method for method, _ in self.requests if method != "OPTIONS"]

    def announced(self) -> dict[str, str]:
        """Returns what it says in answer to OPTIONS."""
        return {"Tus-Version": "1.0.0", "Tus-Extension": self.extensions, "Tus-Checksum-Algorithm": "sha1,crc32c"}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers as the proxy and the server behind it."""
        size = request.content_length or 0
        self.requests.append((request.method, size))
        if request.method in self.refuses:
            return web.Response(status=405, text="<html><title>405 Not Allowed</title></html>")
        if self.limit is not None and size > self.limit:
            headers = {"Connection": "close", "Server": "nginx/1.25.3"}
            return web.Response(status=413, text=PAGE, content_type="text/html", headers=headers)
        if self.resets is not None and size > self.resets:
            await request.content.readexactly(self.resets)
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if not request.path.startswith(self.prefix):
            return web.Response(status=404)
        response = await self._serve(request, request.path.removeprefix(self.prefix))
        for name in ("Tus-Resumable", "Upload-Offset") if self.doubled else ():
            if name in response.headers:
                response.headers.add(name, response.headers[name])
        return response

    async def _serve(self, request: web.Request, path: str) -> web.StreamResponse:
        method = request.headers.get("X-HTTP-Method-Override", request.method) if self.overrides else request.method
        if method == "OPTIONS" and self.options is not None:
            status, headers, text = self.options
            return web.Response(status=status, headers=headers, text=text)
        if method == "OPTIONS":
            return web.Response(status=204, headers={**_TUS, **self.announced()})
        if path == "/storage/download/":
            return web.Response(body=self.files[request.query["path"].removeprefix("/")])
        if not path.startswith("/storage/upload/"):
            return web.json_response([_item(name, data) for name, data in self.files.items()])
        name = path.rpartition("/")[2]
        if method == "POST":
            return web.Response(status=405) if name else await self._create(request)
        return self._refusal(name) or await self._serve_upload(request, method, name)

    def _finished(self, request: web.Request, name: str) -> None:
        """Loses the answer to a request that finished a file, where that is wanted."""
        if self.loses and request.transport is not None:
            self.loses -= 1
            if self.replaces:
                self.replaces -= 1
                self.files[name] = bytes(len(self.files[name]))
            request.transport.abort()

    def _refusal(self, name: str) -> web.Response | None:
        if name not in self.uploads:
            return web.Response(status=self.gone_status)
        if self.locked:
            self.locked -= 1
            return web.Response(status=self.lock_status, text="file currently locked\n")
        if self.hidden:
            self.hidden -= 1
            return web.Response(status=500)
        return None

    async def _serve_upload(self, request: web.Request, method: str, name: str) -> web.Response:
        upload = self.uploads[name]
        if method == "PATCH":
            return await self._receive(request, name, upload)
        if method == "DELETE":
            del self.uploads[name]
            return web.Response(status=204, headers=_TUS)
        lengths = {"Upload-Offset": str(len(upload.data))}
        if not self.length_unsaid:
            lengths["Upload-Length"] = str(upload.length)
        if upload.parts:
            lengths["Upload-Concat"] = "partial"
        return web.Response(headers={**_TUS, **lengths, **_expires(upload)})

    async def _create(self, request: web.Request) -> web.Response:
        pairs = dict(pair.split(" ") for pair in request.headers.get("Upload-Metadata", "").split(",") if pair)
        name = base64.b64decode(pairs.get("name", "")).decode()
        self.numbers += 1
        number = self.file_number.format(self.numbers)
        if self.max_header is not None and len(request.headers.get("Upload-Concat", "")) > self.max_header:
            return web.Response(status=431)
        if request.headers.get("Upload-Concat", "").startswith("final"):
            urls = request.headers["Upload-Concat"].partition(";")[2].split()
            if any(url.rpartition("/")[2] not in self.uploads for url in urls):
                return web.Response(status=404)
            whole = b"".join(bytes(self.uploads[url.rpartition("/")[2]].data) for url in urls)
            self.files[name] = whole
            self.uploads[number] = Stored(len(whole), name, bytearray(whole))
            for url in urls if self.drops_finished else ():
                del self.uploads[url.rpartition("/")[2]]
            self._finished(request, name)
        else:
            partial = request.headers.get("Upload-Concat") == "partial"
            self.uploads[number] = Stored(int(request.headers["Upload-Length"]), name, parts=partial)
            self._store(self.uploads[number], await request.read())
        where = self.location.format(id=number, host=request.host, path="/storage/upload/")
        offset = str(len(self.uploads[number].data))
        return web.Response(status=201, headers={**_TUS, "Location": where, "Upload-Offset": offset})

    async def _receive(self, request: web.Request, name: str, upload: Stored) -> web.Response:
        data = await request.read()
        if upload.expires is not None and upload.expires <= time.time():
            return web.Response(status=410)
        if int(request.headers["Upload-Offset"]) != len(upload.data):
            return web.Response(status=409, text="mismatched offset\n")
        refused = self._refused_body(request, name)
        if refused is not None:
            return refused
        self._store(upload, data)
        upload.expires = None if self.expires is None else time.time() + self.expires
        if len(upload.data) == upload.length and not upload.parts:
            if self.drops_finished:
                del self.uploads[name]
            self._finished(request, upload.name)
        if self.offset_unsaid:
            return web.Response()
        return web.Response(status=204, headers={**_TUS, "Upload-Offset": str(len(upload.data)), **_expires(upload)})

    def _refused_body(self, request: web.Request, name: str) -> web.Response | None:
        """Returns the answer to a body that is not stored."""
        if self.forgets:
            self.forgets -= 1
            del self.uploads[name]
            return web.Response(status=self.gone_status)
        if self.errors:
            status, text = self.errors.pop(0)
            return web.Response(status=status, text=text)
        if self.mismatches and "Upload-Checksum" in request.headers:
            self.mismatches -= 1
            return web.Response(status=460, reason="Checksum Mismatch", headers=_TUS)
        self.wrong_after -= 1
        if self.wrong_offset is not None and self.wrong_after < 0:
            return web.Response(status=204, headers={**_TUS, "Upload-Offset": self.wrong_offset})
        return None

    def _store(self, upload: Stored, data: bytes) -> None:
        upload.data += data[: self.stores]
        if len(upload.data) == upload.length and not upload.parts:
            self.files[upload.name] = bytes(upload.data)


def _expires(upload: Stored) -> dict[str, str]:
    return {} if upload.expires is None else {"Upload-Expires": formatdate(upload.expires, usegmt=True)}


def _item(name: str, data: bytes) -> dict[str, object]:
    return {"name": name, "directory": False, "size": len(data), "modification": 1.0}


@asynccontextmanager
async def odd_tus(server: OddTus) -> AsyncIterator[OddTus]:
    """Runs the server; `url` is where it listens."""
    app = web.Application(client_max_size=1 << 40)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}{server.prefix}"
    try:
        yield server
    finally:
        await asyncio.sleep(0)
        await runner.cleanup()
