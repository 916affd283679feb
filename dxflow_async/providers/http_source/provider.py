"""Files at `https://host/path` as a read-only provider: the worked example for HTTP.

Nothing but GET and HEAD is needed of the server. It promises nothing in advance, so each answer is examined:
whether it is the range that was asked for, of which version, how large, and with which checksum (`answers.py`).
Redirects and credentials are the business of `requests.py`; servers without ranges that of `common/whole_objects.py`.
Sections, in the order every provider keeps: features, the provider, what it cannot do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dxflow_async.exceptions import PreconditionFailedError, StorageError, UnsupportedError
from dxflow_async.providers.common.confirm import not_the_service
from dxflow_async.providers.common.fields import extent_of, total_of
from dxflow_async.providers.common.untold_size import look_up_size, spool_body
from dxflow_async.providers.common.verified_reader import VerifiedReader, body_reader
from dxflow_async.providers.common.whole_objects import WholeObjects
from dxflow_async.providers.contract import Body, Entry, Features, ObjectOptions, Page, Provider, Reader, Upload
from dxflow_async.providers.http import HTTP, Call, Response
from dxflow_async.providers.http_source.answers import (
    conditions,
    encoding_of,
    entry_of,
    is_version,
)
from dxflow_async.providers.http_source.requests import Requests
from dxflow_async.providers.http_source.settings import HTTPSourceSettings

__all__ = ["HTTPSourceProvider"]

_PROBED_SIZE = 8 << 20
"""Bytes of a file from which on it is worth a request to learn whether the server sends ranges."""

_FIRST_BYTE = {"range": "bytes=0-0"}

_OVERLOADED = (429, 502, 503, 504)
"""Refusals of a HEAD that say nothing about the method. Programs that serve GET alone answer with many others."""

# Features

# Ranges are a feature once an answer has shown them.
_FEATURES = Features(checksum=True, ranges=False, read_only=True, unlisted=True)

# The provider


class HTTPSourceProvider(Provider):
    """Files of one web server, read with GET.

    Args:
        settings: endpoint and credentials.
        http: the session's data plane; not closed here.
        name: as errors show it.
    """

    def __init__(self, settings: HTTPSourceSettings, http: HTTP, name: str = "HTTPS") -> None:
        self.name = name
        self._http = http
        self._requests = Requests(settings, http)
        self._whole = WholeObjects(http.stall_timeout)
        self.features = replace(_FEATURES, endpoint=self._requests.host)

    async def stat(self, key: str) -> Entry:
        call = self._call("stat", key)
        try:
            response = await self._requests.send(call, "HEAD", key, {})
        except StorageError as error:  # some servers, and every URL that is signed for GET, refuse a HEAD
            if error.status is None or error.status in _OVERLOADED:
                raise
            return await self._first_byte(call, key)
        response.close()
        self._learn(response)
        size = total_of(response.status, response.headers)
        if not size or encoding_of(response.headers) != "identity":  # 0 may stand for the body of this answer
            return await self._first_byte(call, key)
        return entry_of(key, response.headers, size)

    async def read(
        self, key: str, start: int = 0, end: int | None = None, *, etag: str | None = None, listed: Entry | None = None
    ) -> Reader:
        call = self._call("read", key)
        if (start or end is not None) and not self.range_support.missing:
            last = "" if end is None else end - 1
            response = await self._get(call, key, {"range": f"bytes={start}-{last}"}, etag)
            if response.status == 206:
                return await self._reader(call, key, response, (start, end), listed)
            response.close()  # and read on from where the last range of the file ended

        async def open_whole() -> Reader:
            return await self._reader(call, key, await self._get(call, key, {}, etag), (0, None), listed)

        if not start and end is None:
            return await open_whole()
        return await self._whole.read(call, key, start, end, etag, open_whole)

    async def aclose(self) -> None:
        await self._whole.aclose()

    async def _get(self, call: Call, key: str, headers: dict[str, str], etag: str | None) -> Response:
        """Requests a file, or a range of it, in one version."""
        response = await self._requests.send(call, "GET", key, headers | conditions(etag))
        self._learn(response, asked="range" in headers)
        if not is_version(etag, response.headers):
            response.close()
            raise call.error(PreconditionFailedError, "the file was replaced meanwhile; start again")
        return response

    async def _reader(
        self, call: Call, key: str, response: Response, span: tuple[int, int | None], listed: Entry | None
    ) -> Reader:
        headers = response.headers
        try:
            seen, size = entry_of(key, headers, 0), total_of(response.status, headers)
            if size is None and listed is not None and None is not listed.etag == seen.etag:
                size = listed.size
            if size is None and span == (0, None) and response.status == 200:
                reading = await spool_body(call, self._http, response, seen)
                return VerifiedReader(reading, seen.digest, call) if seen.digest and reading.size else reading
            size = (await self.stat(key)).size if size is None else size
            size, length = extent_of(response.status, headers, *span, size)
            if size >= _PROBED_SIZE and not (self.features.ranges or self.range_support.missing):
                await self._probe(key)
        except ValueError as error:
            response.close()
            raise not_the_service(call, str(error), response.status) from error
        except BaseException:
            response.close()
            raise
        entry = entry_of(key, headers, size)
        reading = body_reader(entry, length, self._http, call, response, entry.crc32c if length == size else None)
        return (
            reading
            if entry.digest is None or length != size or not size
            else VerifiedReader(reading, entry.digest, call)
        )

    async def _probe(self, key: str) -> None:
        """Learns whether the server sends ranges."""
        response = await self._requests.send(self._call("read", key), "GET", key, _FIRST_BYTE)
        self._learn(response, asked=True)
        response.close()

    async def _first_byte(self, call: Call, key: str) -> Entry:
        """Looks at a file by its first byte, for servers whose HEAD is refused or tells no size."""

        async def get(headers: Mapping[str, str]) -> Response:
            return await self._get(call, key, {**headers}, None)

        size, headers = await look_up_size(call, self._http, get)
        return entry_of(key, headers, size)

    def _learn(self, response: Response, *, asked: bool = False) -> None:
        """Remembers whether the server sends ranges.

        Args:
            response: a successful answer.
            asked: it is the answer to a request for a range.
        """
        told = response.headers.get("accept-ranges", "").strip().lower()
        ranges = self.features.ranges
        if response.status == 206 or (told == "bytes" and not asked):
            self.range_support.worked()
            ranges = True
        elif told == "none" or (asked and response.headers.get("content-length") != "0"):
            ranges = not self.range_support.failed() and ranges
        if self.features.ranges != ranges:
            self.features = replace(self.features, ranges=ranges)

    def _call(self, operation: str, key: str) -> Call:
        return Call(self.name, operation, f"/{key}")

    # What it cannot do

    async def list_page(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
        call = self._call("list", prefix)
        raise call.error(
            UnsupportedError, "a web server lists no directories; name one file, without a slash at its end"
        )

    async def write(self, key: str, body: Body, options: ObjectOptions) -> Entry:
        raise self._read_only("write", key)

    async def start_upload(self, key: str, size: int | None, options: ObjectOptions) -> Upload:
        raise self._read_only("write", key)

    async def delete(self, keys: Sequence[str]) -> dict[str, StorageError]:
        return {key: self._read_only("delete", key) for key in keys}

    def _read_only(self, operation: str, key: str) -> StorageError:
        return self._call(operation, key).error(UnsupportedError, "an https location can only be read")
