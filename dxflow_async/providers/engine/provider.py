"""The artifact storage of a machine that runs a dxflow engine.

Little of the engine's behaviour is documented, so nothing is believed that was not seen: a listing has to be complete,
an upload is looked at before and after it gets its name, ranges count once an answer has had one. Sections, in the
order every provider keeps: features, the provider. The sign-in is in `sign_in.py`, single names and directories in
`artifacts.py`, writing in `storing.py`, reading in `reading.py`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers import (
    HTTP,
    AccessDeniedError,
    Body,
    Call,
    Entry,
    Features,
    NotFoundError,
    ObjectOptions,
    Page,
    PreconditionFailedError,
    Provider,
    Reader,
    Response,
    ServiceError,
    SpooledUpload,
    StorageError,
    Threads,
    UnsafePathError,
    UnsupportedError,
    Upload,
    WholeObjects,
    contradiction,
    crc32c,
    extent_of,
    is_streamed,
    page_size,
)
from dxflow_async.providers.engine.artifacts import Artifacts
from dxflow_async.providers.engine.deletion import Deletion
from dxflow_async.providers.engine.listing import Listing
from dxflow_async.providers.engine.names import changeable, path_of
from dxflow_async.providers.engine.reading import WatchedReader, missing, open_body
from dxflow_async.providers.engine.remote_checksum import HashedBody, RemoteChecksum
from dxflow_async.providers.engine.requests import NEW, OLD, Requests
from dxflow_async.providers.engine.settings import EngineSettings, find_access
from dxflow_async.providers.engine.storing import Storing, mismatch

__all__ = ["EngineProvider"]

_PROBED_SIZE = 8 << 20
"""Bytes of a file from which on it is worth a request to learn whether the engine sends ranges."""

# Features

# Ranges are a feature once an answer has shown them.
_FEATURES = Features(
    directories=True,
    rename=True,
    ordered=True,
    streams_whole=True,
    ranges=False,
    presign=True,
    max_size=1 << 62,
    first_requests=2,  # one slow disk may be behind an engine
)


# The provider


class EngineProvider(Provider):
    """The files in the volume of an engine.

    Args:
        settings: the engine, and who signs in.
        http: the session's data plane; not closed here.
        threads: the session's threads.
        name: as errors show it.
    """

    def __init__(self, settings: EngineSettings, http: HTTP, threads: Threads, *, name: str = "ENGINE") -> None:
        self.name = name
        self.features = replace(_FEATURES, verifies_writes=settings.verify != "size")
        self._settings = settings
        self._threads = threads
        self._session_http = http
        self._requests: Requests | None = None
        self._whole = WholeObjects(http.stall_timeout)
        self._named: bool | None = None  # whether downloads have the name of the file
        self._controllers: frozenset[str] = frozenset()

    async def connect(self) -> None:
        home = await self._threads.run(_home)
        access = await self._threads.run(find_access, self._settings, os.environ, home)
        http = self._session_http if access.socket is None else self._session_http.over_socket(access.socket)
        requests = Requests(access, http, self._threads)
        artifacts = Artifacts(requests)
        call = self._call("connect", "")
        await self._look_at_engine(call, requests, artifacts)
        self._artifacts = artifacts
        self._storing = Storing(requests, artifacts)
        self._deletion = Deletion(requests, artifacts)
        self._remote = RemoteChecksum(requests, artifacts)
        endpoint = access.socket or urlsplit(access.address).netloc
        self.features = replace(self.features, endpoint=endpoint, presign=access.socket is None)
        self._requests = requests

    async def list_page(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
        call = self._call("list", prefix)
        listing: Listing = cursor or Listing(
            lambda directory: self._artifacts.directory(call, directory), prefix, recursive=recursive
        )
        size = page_size(recursive=recursive, first=cursor is None)
        entries = await listing.page(size)
        return Page(entries, listing if len(entries) == size else None)

    async def stat(self, key: str) -> Entry:
        call = self._call("stat", key)
        path_of(call, key)
        return await self._artifacts.stat(call, key)

    async def read(
        self, key: str, start: int = 0, end: int | None = None, *, etag: str | None = None, listed: Entry | None = None
    ) -> Reader:
        call = self._call("read", key)
        path = path_of(call, key)
        entry = listed if listed is not None and listed.etag is not None else await self._artifacts.stat(call, key)
        _check_readable(call, entry, etag, start, end)
        part = bool(start) or (end is not None and end < entry.size)
        may_grow = part and etag is None and listed is None

        async def open_whole() -> Reader:
            response = await self._download(call, path, None)
            return await self._open(call, response, entry, entry.size, may_grow=may_grow)

        if not part:
            if entry.size >= _PROBED_SIZE and not (self.features.ranges or self.range_support.missing):
                await self._probe(call, path, entry)
            return self._watched(call, key, await open_whole())
        last = min(end or entry.size, entry.size)
        ranged = None if self.range_support.missing else await self._read_range(call, path, start, last, entry)
        if ranged is None:
            ranged = await self._whole.read(call, key, start, end, entry.etag, open_whole)
        return self._watched(call, key, ranged, may_grow=may_grow)

    async def write(self, key: str, body: Body, options: ObjectOptions) -> Entry:
        call = self._call("write", key)
        self._check_writable(call)
        verify, rereadable = self._settings.verify, not is_streamed(body)
        if verify == "remote-sha256":
            await self._remote.check(call)
            body = HashedBody(body)
        temporary, sent = await self._storing.write(call, key, body, rereadable=rereadable)
        try:
            if verify == "readback":
                same = await self._checksum(call, temporary) == sent.crc32c
            else:
                hashed = body if isinstance(body, HashedBody) else None
                same = hashed is None or await self._remote.sha256(call, temporary, body.size) == hashed.sha256
            if not same:
                raise mismatch(call, temporary)
        except BaseException:
            await self._storing.discard(call, temporary)
            raise
        await self._storing.take_name(call, temporary, key, body.size)
        return Entry(key, body.size, crc32c=sent.crc32c)

    async def start_upload(self, key: str, size: int | None, options: ObjectOptions) -> Upload:
        call = self._call("write", key)
        self._check_writable(call)
        changeable(call, key)
        return SpooledUpload(call, self._threads, lambda body: self.write(key, body, options))

    async def delete(self, keys: Sequence[str]) -> dict[str, StorageError]:
        self._check_writable(self._call("delete", keys[0] if keys else ""))
        failed = await self._deletion.delete(self.name, keys)
        self._storing.forget_directories()
        return failed

    async def rename(self, source: str, key: str) -> None:
        call = self._call("move", source)
        self._check_writable(call)
        await self._storing.rename(call, source, key)

    async def make_directory(self, key: str, mode: int | None = None) -> None:
        call = self._call("make directory", key)
        self._check_writable(call)
        path = path_of(call, key)
        if path != ".":
            self._storing.forget_directories()  # it may have been deleted meanwhile
            await self._storing.make_directories(call, path)

    async def remove_directory(self, key: str) -> None:
        call = self._call("delete", key)
        self._check_writable(call)
        await self._deletion.remove_directory(call, key)
        self._storing.forget_directories()

    async def presign(self, key: str, expires: float, *, method: str = "GET") -> str:
        call = self._call("presign", key)
        path = path_of(call, key)
        if not self.features.presign:
            raise call.error(UnsupportedError, "links need an address, and this engine is reached over a socket")
        if method not in ("GET", "PUT"):
            raise call.error(UnsupportedError, f"engines make no links for {method}; use GET or PUT")
        self._check_writable(call)
        entry = await self._artifacts.find(call, key)
        if entry is None and method == "PUT":
            raise call.error(UnsupportedError, "engines make links for files that exist; upload the file first")
        if entry is None or entry.directory:
            raise missing(call)
        requests = self.requests
        wanted = {"identities": [path], "lifetime": f"{max(1, int(expires))}s", "writable": method == "PUT"}
        answer = await requests.artifacts(call, "PUT", "share/", document=wanted)
        signature = answer.document().get("signature")
        if not isinstance(signature, str) or not signature:
            raise call.error(ServiceError, "the engine's answer has no signature; try again")
        route = "presigned/download/" if method == "GET" else "presigned/upload/"
        return f"{requests.access.address}{requests.prefix}{route}?signature={quote(signature, safe='')}"

    def endpoint_facts(self) -> Sequence[tuple[str, str]]:
        if self._requests is None:
            return ()
        storing = self._storing
        told = {True: "yes", False: "no", None: "not known yet"}
        ranges = True if self.features.ranges else False if self.range_support.missing else None
        return (
            ("generation", "artifact" if self._requests.prefix == NEW else "object"),
            ("permissions", ", ".join(sorted(self._requests.session.permissions)) or "not told"),
            ("ranges", told[ranges]),
            ("obeys patterns", told[self._artifacts.patterns]),
            ("keeps hidden names", told[storing.dotted]),
            ("renames onto files", told[storing.replaces]),
            ("deletes in batches", told[self._deletion.batches]),
        )

    async def aclose(self) -> None:
        await self._whole.aclose()
        if self._requests is not None and self._http is not self._session_http:
            await self._http.aclose()

    @property
    def requests(self) -> Requests:
        """What sends the requests; after `connect`."""
        if self._requests is None:
            raise ConfigurationError(f"{self.name} is not connected: await connect() first")
        return self._requests

    @property
    def _http(self) -> HTTP:
        return self.requests.http

    async def _look_at_engine(self, call: Call, requests: Requests, artifacts: Artifacts) -> None:
        """Learns which generation of routes the engine has, and where its volume is."""
        try:
            parameter = (await requests.answer(call, "GET", "/api/engine/parameter/")).document()
        except StorageError as error:
            if error.retryable and error.status is None:
                raise
            parameter = {}
        controllers = parameter.get("controllers")
        known = (
            {each.lower() for each in controllers if isinstance(each, str)} if isinstance(controllers, list) else set()
        )
        volume = parameter.get("volume")
        artifacts.volume = volume if isinstance(volume, str) else None
        requests.prefix = OLD if "object" in known and "artifact" not in known else NEW
        if known & {"object", "artifact"}:
            return
        try:
            await artifacts.directory(call, "")
        except NotFoundError:
            requests.prefix = OLD
            await artifacts.directory(call, "")

    async def _download(self, call: Call, path: str, span: tuple[int, int] | None) -> Any:
        headers = {"accept-encoding": "identity"}
        if span is not None:
            headers["range"] = f"bytes={span[0]}-{span[1] - 1}"
        requests = self.requests
        route, query = f"{requests.prefix}download/", (("identity", path),)
        try:
            return await requests.send(call, "GET", route, query=query, headers=headers)
        except StorageError as error:
            if span is None or error.status not in (400, 416, 501):
                raise
        self._learn_ranges(works=False)
        return await requests.send(call, "GET", route, query=query, headers={"accept-encoding": "identity"})

    async def _read_range(self, call: Call, path: str, start: int, end: int, entry: Entry) -> Reader | None:
        """Opens a range of a file; None where the engine sent the whole file instead."""
        response = await self._download(call, path, (start, end))
        if response.status != 206:
            response.close()
            self._learn_ranges(works=False)
            return None
        try:
            whole, size = extent_of(206, response.headers, start, end, entry.size)
            if whole != entry.size:
                raise ValueError(f"a range of {whole} bytes, where {entry.size} were listed")
        except ValueError as error:
            response.close()
            self._learn_ranges(works=False)
            raise contradiction(call, str(error), 206) from error
        self._learn_ranges(works=True)
        return await self._open(call, response, entry, size)

    async def _open(self, call: Call, response: Response, entry: Entry, size: int, *, may_grow: bool = False) -> Reader:
        named = self._named
        reading = await open_body(call, response, self.requests, entry, size, named=named, may_grow=may_grow)
        if response.status == 200:
            self._named = "content-disposition" in response.headers or self._named
        return reading

    async def _probe(self, call: Call, path: str, entry: Entry) -> None:
        """Learns whether the engine sends ranges."""
        response = await self._download(call, path, (0, 1))
        try:
            works = response.status == 206 and extent_of(206, response.headers, 0, 1, entry.size) == (entry.size, 1)
        except ValueError:
            works = False
        response.close()
        self._learn_ranges(works=works)

    def _learn_ranges(self, *, works: bool) -> None:
        if works and self.range_support.missing:
            return
        if works:
            self.range_support.worked()
        elif not self.range_support.failed():
            return
        if self.features.ranges != works:
            self.features = replace(self.features, ranges=works)

    def _watched(self, call: Call, key: str, reading: Reader, *, may_grow: bool = False) -> Reader:
        return WatchedReader(call, reading, lambda: self._artifacts.find(call, key), may_grow=may_grow)

    async def _checksum(self, call: Call, key: str) -> int:
        crc = 0
        async with await self.read(key) as reading:
            async for chunk in reading:
                crc = crc32c(chunk, crc)
        return crc

    def _check_writable(self, call: Call) -> None:
        requests = self.requests
        if requests.session.read_only:
            key = requests.access.key or "the token"
            raise call.error(AccessDeniedError, f"{key} may only read at this engine (READ_ONLY); use another key")

    def _call(self, operation: str, key: str) -> Call:
        return Call(self.name, operation, f"/{key}")


def _check_readable(call: Call, entry: Entry, etag: str | None, start: int, end: int | None) -> None:
    """Refuses what cannot be read, and another version than was requested."""
    if entry.directory:
        raise missing(call)
    if entry.unreadable is not None:
        cls = UnsafePathError if "link" in entry.unreadable else UnsupportedError
        raise call.error(cls, f"it is {entry.unreadable}; leave it out")
    if etag is not None and entry.etag != etag:
        raise call.error(PreconditionFailedError, "the file was changed meanwhile; try again")
    if start >= entry.size and (start or end is not None):
        raise call.error(PreconditionFailedError, f"it has no byte at {start}; look at its size again")


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:
        return None
