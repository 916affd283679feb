"""The headers of downloads from a unit, and ranges of servers that send the whole file."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dxflow_async import checksum
from dxflow_async.exceptions import PreconditionFailedError
from dxflow_async.modes import parse_mode
from dxflow_async.providers.common.confirm import not_the_service
from dxflow_async.providers.common.etags import if_match, parse_etag
from dxflow_async.providers.common.fields import extent_of, timestamp_of
from dxflow_async.providers.common.mtime import parse_mtime
from dxflow_async.providers.contract import Buffer, Entry, Reader
from dxflow_async.providers.http import Call, HTTPReader, Response

__all__ = ["RangeReader", "download_headers", "downloaded", "extent", "stored_headers"]

_DIGEST = re.compile(r"(?:^|,)\s*crc32c=:([A-Za-z0-9+/]{6}==):")


def download_headers(start: int, end: int | None, etag: str | None) -> dict[str, str]:
    """Returns the headers that ask for a range of bytes, of one version."""
    headers = {}
    if start or end is not None:
        headers["range"] = f"bytes={start}-{'' if end is None else end - 1}"
    if (condition := if_match(etag)) is not None:
        headers["if-match"] = condition
    return headers


def extent(call: Call, response: Response, start: int, end: int | None, known: int | None) -> tuple[int, int]:
    """Returns the size of the file and the number of bytes wanted of it, for a response with a range or the whole.

    Args:
        call, response: the request and its response.
        start, end: the range.
        known: the size of the file, if the server does not say how much it sends.

    Raises:
        PreconditionFailedError: the file has no byte in the range.
        ServiceError: the response has another range, or its length is not known.
    """
    headers = response.headers
    ranged = start > 0 or end is not None
    try:
        if response.status == 206 or not ranged:
            if "content-length" not in headers and known is not None and response.status == 200:
                return known, known
            return extent_of(response.status, headers, start, end)
        if response.status != 200:
            raise ValueError(f"status {response.status} where 206 was expected")
        size = known if "content-length" not in headers else int(headers["content-length"])
        if size is None:
            raise ValueError("the server does not say how many bytes it sends")
    except ValueError as error:
        raise not_the_service(call, str(error), response.status) from error
    if start >= size:
        raise call.error(PreconditionFailedError, "the file is shorter than the range; start again", status=416)
    return size, min(size, size if end is None else end) - start


def downloaded(key: str, size: int, headers: Mapping[str, str], *, times: bool, modes: bool) -> Entry:
    """Returns the file that the headers of a download describe."""
    etag, crc = stored_headers(headers)
    precise = parse_mtime(headers.get("dx-modified"))
    modified = timestamp_of(headers.get("last-modified", "")) if precise is None else precise
    mtime, mode = modified if times and modified else None, parse_mode(headers.get("dx-mode")) if modes else None
    return Entry(key, size, modified, etag=etag, crc32c=crc, mtime=mtime, mode=mode)


def stored_headers(headers: Mapping[str, str]) -> tuple[str | None, int | None]:
    """Returns version and checksum of a stored file, if the headers name them."""
    found = _DIGEST.search(headers.get("repr-digest", ""))
    return parse_etag(headers.get("etag")), checksum.decode(found[1]) if found else None


class RangeReader(HTTPReader):
    """Reads the wanted bytes of a response with the whole file: it skips the first and stops before the last."""

    __slots__ = ("_left", "_skipped")

    def begin(self, skipped: int) -> RangeReader:
        """Returns itself, after noting how many bytes to skip."""
        self._skipped = skipped
        self._left = self.size
        return self

    async def read(self) -> Buffer:
        while self._left:
            chunk = memoryview(await super().read())
            if not chunk:
                return b""
            chunk, self._skipped = chunk[self._skipped :], max(0, self._skipped - len(chunk))
            chunk = chunk[: self._left]
            self._left -= len(chunk)
            if chunk:
                return chunk
        return b""

    async def readinto(self, buffer: memoryview) -> int:
        return await Reader.readinto(self, buffer)
