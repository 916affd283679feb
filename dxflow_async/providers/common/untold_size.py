"""Objects whose size no header tells: it is looked up by the first byte, or counted.

Servers that generate bodies, and proxies that change them, send chunks without a `Content-Length`, and a HEAD without
a size. The answer to a request for the first byte has the size of the whole. Where ranges are ignored, too, the body is
read to its end. The end of a chunked body is certain. A body that ends with the connection may have broken off, so it
is not believed without a size.
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, Mapping
from typing import IO, TypeVar

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import PreconditionFailedError, StorageError, UnsupportedError
from dxflow_async.providers.common.fields import is_chunked, total_of
from dxflow_async.providers.contract import Buffer, Entry, Reader
from dxflow_async.providers.http import HTTP, Call, HTTPReader, Response

__all__ = ["count_body", "look_up_size", "spool_body", "untold_size"]

_FIRST_BYTE = {"range": "bytes=0-0"}
_BLOCK_SIZE = 1 << 20
_MEMORY = 1 << 20
"""Bytes of a body that stay in memory; larger ones go to a temporary file."""

T = TypeVar("T")

Get = Callable[[Mapping[str, str]], Awaitable[Response]]
"""Sends GET for an object with further headers, and returns a successful response."""


def untold_size(call: Call) -> StorageError:
    """Returns the error for an object whose size cannot be found out."""
    text = (
        "the server does not tell the size of the object, and the end of its answer cannot be told from a connection "
        "that broke; download it with another program first"
    )
    return call.error(UnsupportedError, text)


async def look_up_size(call: Call, http: HTTP, get: Get) -> tuple[int, Mapping[str, str]]:
    """Returns the size of an object whose HEAD has none, and the headers of the answer that told it.

    Args:
        call: the look-up, for errors.
        http: the client.
        get: sends GET for the object with further headers, and returns a successful response.

    Returns:
        The size in bytes, and the headers, their names in small letters.

    Raises:
        UnsupportedError: no answer tells the size.
        StorageError: as `get`.

    Example:
        >>> size, headers = await look_up_size(call, http, lambda more: self.get(call, key, more))
    """
    try:
        response = await get(_FIRST_BYTE)
    except PreconditionFailedError as error:
        if error.status != 416:
            raise
        response = await get({})  # an empty object has no first byte
    try:
        size = total_of(response.status, response.headers)
        if size is None and response.status != 200:
            response.close()
            response = await get({})
            size = total_of(response.status, response.headers)
        if size is None:
            size = await count_body(call, http, response)
        return size, response.headers
    finally:
        response.close()


async def count_body(call: Call, http: HTTP, response: Response) -> int:
    """Reads a body without a length to its end, and returns its size.

    Raises:
        UnsupportedError: the end of the body is not certain.
        NetworkError, StallTimeoutError: the connection broke.
    """
    if not is_chunked(response.headers):
        raise untold_size(call)
    reading, size = HTTPReader(Entry(""), -1, http, call, response), 0
    while chunk := await reading.read():
        size += len(chunk)
    return size


async def spool_body(call: Call, http: HTTP, response: Response, entry: Entry) -> Reader:
    """Reads a body without a length into a temporary file without a name, and returns a reader of it.

    Args:
        call, http: the read.
        response: the answer; it is closed.
        entry: what the answer says of the object. Its size is set.

    Returns:
        The reader. Closing it removes the temporary file.

    Raises:
        UnsupportedError: the end of the body is not certain.
        StorageError: the connection broke, or the temporary file could not be written.

    Example:
        >>> if content_length(response.headers) is None:
        ...     return await spool_body(call, http, response, Entry(key))
    """
    try:
        if not is_chunked(response.headers):
            raise untold_size(call)
        file = tempfile.SpooledTemporaryFile(_MEMORY, prefix="dxflow-")  # noqa: SIM115 - closed by the reader
        spooled, source = _SpooledReader(call, http.threads, entry, file), HTTPReader(entry, -1, http, call, response)
        buffer = memoryview(bytearray(_BLOCK_SIZE))
        try:
            while size := await source.readinto(buffer):
                await spooled.append(buffer[:size])
            await spooled.rewind()
        except BaseException:
            await spooled.aclose()
            raise
        return spooled
    finally:
        response.close()


class _SpooledReader(Reader):
    """The bytes of a temporary file."""

    def __init__(self, call: Call, threads: Threads, entry: Entry, file: IO[bytes]) -> None:
        self.entry = entry
        self.size = 0
        self.crc32c = entry.crc32c
        self._call = call
        self._threads = threads
        self._file = file

    async def append(self, data: memoryview) -> None:
        await self._run(lambda: self._file.write(data))
        self.size += len(data)

    async def rewind(self) -> None:
        """Begins to read."""
        self.entry.size = self.size
        await self._run(lambda: self._file.seek(0))

    async def read(self) -> Buffer:
        return await self._run(lambda: self._file.read(_BLOCK_SIZE))

    async def aclose(self) -> None:
        await self._threads.finish(self._file.close)

    async def _run(self, function: Callable[[], T]) -> T:
        try:
            return await self._threads.run(function)
        except OSError as error:
            text = f"its temporary file in {tempfile.gettempdir()} failed ({error.strerror}); make room, or set TMPDIR"
            raise self._call.error(StorageError, text) from error
