"""Uploads and downloads of the test engine."""

from __future__ import annotations

import asyncio
import gzip
import os
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from urllib.parse import quote

from aiohttp import web

from tests.servers.engine_answers import RefusalError
from tests.servers.engine_listing import Listing

__all__ = ["Bodies"]


class Bodies(Listing):
    """Takes and gives the bytes of files."""

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        return await self._take(request, query["identity"], force=query.get("force") == "true")

    async def _take(self, request: web.Request, identity: str, *, force: bool) -> web.StreamResponse:
        switches, path = self.switches, self._path(identity)
        treated = switches.upload_slash == "directory" and identity.endswith("/")
        if treated or (switches.upload_no_extension == "directory" and not path.suffix):
            path = path / "upload"
        await self._permit_upload(request, identity, path, force=force)
        target = path if switches.upload_write == "in_place" else path.with_name(f".upload-{token_hex(4)}")
        old = path.read_bytes() if switches.upload_broken == "old_kept" and path.is_file() else None
        try:
            size = await self._receive(request, target)
        except BaseException:
            if switches.upload_broken != "stays" or target != path:
                target.unlink(missing_ok=True)
            if old is not None:
                path.write_bytes(old)
            raise
        if switches.upload_stores_half:
            os.truncate(target, size // 2)
        if switches.upload_answer == "late":
            hidden = self.root.parent / f"late-{token_hex(4)}"
            target.replace(hidden)
            asyncio.get_running_loop().call_later(0.05, _appear, hidden, path)
            return await self._answer(request, [])
        target.replace(path)
        return await self._stored(request, path)

    async def _receive(self, request: web.Request, target: Path) -> int:
        """Writes the body to a file; returns its size."""
        size, revokes = 0, self._revokes("in_upload")
        ignored = request.content_length is None and self.switches.upload_chunked == "stored_empty"
        with target.open("wb") as file:
            async for piece in request.content.iter_chunked(1 << 16):
                size += len(piece)
                if not ignored:
                    file.write(piece)
                    file.flush()
                self._moment(f"within an upload of {target.name}")
                if revokes:
                    raise RefusalError(401, "token is missing or expired")
        return size

    async def _stored(self, request: web.Request, path: Path) -> web.StreamResponse:
        switches = self.switches
        if switches.upload_answer == "envelope":
            return await self._answer(request, [])
        if switches.upload_answer == "created":
            return await self._answer(request, [self._entity(path)], code=201)
        return web.Response(status=204 if switches.upload_answer == "no_content" else 200)

    async def _permit_upload(self, request: web.Request, identity: str, path: Path, *, force: bool) -> None:
        try:
            self._check_body(request)
            self._check_upload(identity, path, force=force)
        except RefusalError:
            if self.switches.upload_refusal == "after_body":
                async for _ in request.content.iter_chunked(1 << 16):
                    pass
            raise

    def _check_body(self, request: web.Request) -> None:
        switches, length = self.switches, request.content_length
        if length is None and switches.upload_chunked == "refused":
            raise RefusalError(411, "a length is required")
        if "Content-Range" in request.headers and switches.upload_content_range == "refused":
            raise RefusalError(400, "no ranges")
        if not length and switches.upload_empty == "refused":
            raise RefusalError(400, "empty body")
        if switches.upload_limit and (length or 0) > switches.upload_limit:
            if switches.upload_limit_how == "reset":
                assert request.transport is not None
                request.transport.abort()
            raise RefusalError(507 if switches.upload_limit_how == "507" else 413, "too large")

    def _check_upload(self, identity: str, path: Path, *, force: bool) -> None:
        switches = self.switches
        self._check_owner(path)
        if switches.upload_dot_names == "refused" and path.name.startswith("."):
            raise RefusalError(400, "invalid name")
        refused = switches.upload_force if force else switches.upload_exists
        if path.is_dir() or (path.exists() and refused == "refused"):
            raise self._exists(identity)
        if not path.parent.is_dir():
            if switches.upload_parents == "missing":
                raise self._missing(identity)
            path.parent.mkdir(parents=True)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        return await self._give(request, request.query["identity"])

    async def _head(self, request: web.Request) -> web.StreamResponse:
        if self.switches.head != 200:
            return web.Response(status=self.switches.head)
        path = self._path(request.query["identity"])
        return web.Response(headers={"Content-Length": str(path.stat().st_size)})

    async def _no_file(self, request: web.Request, path: Path, identity: str) -> web.StreamResponse:
        """The answer to the download of something else than a file."""
        switches, is_directory = self.switches, os.path.isdir(path)  # noqa: ASYNC240
        if is_directory and switches.download_directory != "refused":
            if switches.download_directory == "endless":
                return await self._endless(request)
            data = b"" if switches.download_directory == "empty" else b"PK" + bytes(1000)
            return web.Response(body=data, headers={"Content-Disposition": 'filename="d.zip"'})
        missing = self._missing(identity) if not is_directory else RefusalError(400, "it is a directory")
        if switches.download_error == "envelope":
            return web.json_response([self._chunk("status", {"code": missing.code, "message": str(missing)})])
        raise missing

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Disposition": 'filename="d.zip"'})
        await response.prepare(request)
        while not self._ending.is_set():
            await response.write(bytes(1 << 16))
            await asyncio.sleep(0.01)
        return response

    async def _give(self, request: web.Request, identity: str) -> web.StreamResponse:
        switches, path = self.switches, self._path(identity)
        if not path.is_file():
            return await self._no_file(request, path, identity)
        data = path.read_bytes()
        headers = self._headers(path, data)
        if switches.download_encoding != "identity" and "gzip" in request.headers.get("Accept-Encoding", ""):
            data, headers["Content-Encoding"] = gzip.compress(data), "gzip"
        status, span = 200, request.http_range
        if (span.start is not None or span.stop is not None) and switches.download_range != "ignored":
            if switches.download_range == "416":
                return web.Response(status=416)
            start, stop = span.start or 0, min(span.stop or len(data), len(data))
            if switches.download_range_wrong:
                start, stop = start + 1, stop + 1
            status, headers["Content-Range"] = 206, f"bytes {start}-{stop - 1}/{len(data)}"
            data = data[start:stop]
        response = web.StreamResponse(status=status, headers=headers)
        if switches.download_length == "chunked":
            response.enable_chunked_encoding()
        else:
            response.content_length = len(data)
        await response.prepare(request)
        return await self._send(request, response, path, data)

    def _headers(self, path: Path, data: bytes) -> dict[str, str]:
        switches, headers = self.switches, {"Content-Type": "application/octet-stream"}
        if switches.download_headers == "none":
            kinds = {".json": "application/json", ".html": "text/html"}
            headers["Content-Type"] = kinds.get(path.suffix, "application/octet-stream")
            return headers
        if switches.download_headers == "validators":
            headers |= {"ETag": f'"{len(data)}"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        headers["Content-Disposition"] = f'attachment; filename="{quote(path.name)}"'
        return headers

    async def _send(
        self, request: web.Request, response: web.StreamResponse, path: Path, data: bytes
    ) -> web.StreamResponse:
        switches = self.switches
        if switches.download_shorter:
            await response.write(data[: len(data) // 2])
            assert request.transport is not None
            request.transport.abort()
            return response
        await response.write(data)
        if switches.download_changes != "never":
            _change(path, grows=switches.download_changes == "grows")
        await response.write_eof()
        return response


def _change(path: Path, *, grows: bool) -> None:
    data = path.read_bytes()
    path.write_bytes(data + b"more" if grows else data[:-1])


def _appear(hidden: Path, path: Path) -> None:
    """Gives a file its name, unless its directory was deleted meanwhile."""
    with suppress(FileNotFoundError):
        hidden.replace(path)
