"""Downloads from an engine.

A download tells neither a version nor a checksum. So a file is looked up before and after it is read; its size and
its time must be the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from dxflow_async.providers import (
    Buffer,
    Call,
    Entry,
    HTTPReader,
    NotFoundError,
    Reader,
    Response,
    Run,
    SourceChangedError,
    Write,
    contradiction,
    not_the_service,
)
from dxflow_async.providers.engine.envelope import BrokenEnvelopeError, EnvelopeParser
from dxflow_async.providers.engine.errors import error_of
from dxflow_async.providers.engine.requests import Requests

__all__ = ["WatchedReader", "open_body"]

_ENVELOPE_SIZE = 64 << 10

Look = Callable[[], Awaitable[Entry | None]]


class WatchedReader(Reader):
    """A download that is compared with the file after its last byte.

    Args:
        call: the read, for errors.
        inner: the bytes.
        look: returns what has the file's name now.
        may_grow: whether the file may have grown meanwhile, as a log does whose last lines are read.
    """

    def __init__(self, call: Call, inner: Reader, look: Look, *, may_grow: bool = False) -> None:
        self.entry = inner.entry
        self.size = inner.size
        self._call = call
        self._inner = inner
        self._look = look
        self._may_grow = may_grow
        self._left = inner.size
        self._compared = False

    async def read(self) -> Buffer:
        chunk = await self._inner.read()
        await self._count(len(chunk))
        return chunk

    async def readinto(self, buffer: memoryview) -> int:
        size = await self._inner.readinto(buffer)
        await self._count(size)
        return size

    async def stream_to(self, buffer: memoryview, write: Write, run: Run) -> int:
        size = await self._inner.stream_to(buffer, write, run)
        await self._count(size)
        return size

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _count(self, size: int) -> None:
        self._left -= size
        if self._left < 0 or (self._left and not size):
            received = self.size - self._left
            raise contradiction(self._call, f"{received} bytes came of {self.size}")
        if not self._left and not self._compared:
            self._compared = True
            now = await self._look()
            grown = self._may_grow and now is not None and not now.directory and now.size > self.entry.size
            if now is None or (now.etag != self.entry.etag and not grown):
                raise self._call.error(SourceChangedError, "the file was changed while it was read; start again")


async def open_body(
    call: Call,
    response: Response,
    requests: Requests,
    entry: Entry,
    size: int,
    *,
    named: bool | None,
    may_grow: bool = False,
) -> Reader:
    """Returns the body of a download that has passed for one.

    An engine may report a failure with status 200, as an envelope in the place of the file.

    Args:
        call: the read, for errors.
        response: the answer.
        requests: has the data plane and the sign-in.
        entry: what the listing said of the file.
        size: how many bytes there should be.
        named: whether the engine sends the names of files with them; None: not known yet.
        may_grow: whether the file may have grown since it was listed.

    Raises:
        StorageError: the answer is a failure.
    """
    headers, http = response.headers, requests.http
    if response.status == 200 and _is_another_page(headers, entry.key, named=named):
        response.close()
        raise not_the_service(call, "a page in the place of the file", response.status)
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        response.close()
        raise not_the_service(call, f"a body in the encoding {encoding:.20}, which was not requested", response.status)
    length = headers.get("content-length")
    if may_grow and length is not None and length.isdecimal() and int(length) > size:
        size = int(length)
    reading = HTTPReader(entry, size, http, call, response)
    is_json = "json" in headers.get("content-type", "").lower()
    if "content-disposition" in headers or not is_json or length == str(size):
        if length is not None and length != str(size):
            response.close()
            raise call.error(
                SourceChangedError, f"the file has {length:.20} bytes, and {size} were listed; start again"
            )
        return reading
    return await _unless_envelope(call, reading, requests)


def _is_another_page(headers: Mapping[str, str], key: str, *, named: bool | None) -> bool:
    """Returns whether a proxy seems to have answered in the engine's place.

    An engine sends the name of a file with it. Some may not; then a web page counts as the file if the name says so.
    """
    if "content-disposition" in headers:
        return False
    kind = headers.get("content-type", "").lower()
    if named:
        return "json" not in kind  # an envelope says more
    return "html" in kind and not key.lower().endswith((".html", ".htm", ".xhtml"))


async def _unless_envelope(call: Call, reading: HTTPReader, requests: Requests) -> Reader:
    """Returns a body of JSON without a name, unless it is an envelope that reports a failure."""
    pieces: list[Buffer] = []
    received = 0
    try:
        while received < _ENVELOPE_SIZE and (piece := await reading.read()):
            pieces.append(bytes(piece))
            received += len(piece)
        body = b"".join(bytes(piece) for piece in pieces)
        if received != reading.size and _begins_as_envelope(body):
            parser = EnvelopeParser()
            try:
                parser.feed(body)
                parser.close()
            except BrokenEnvelopeError as error:
                raise not_the_service(call, "an envelope in the place of the file", 200) from error
            code, message = parser.answer.failure or (500, "an envelope in the place of the file")
            raise requests.refused_within(error_of(call, code, reading.response.headers, message))
    except BaseException:
        await reading.aclose()
        raise
    return _Continued(reading, pieces)


def _begins_as_envelope(body: bytes) -> bool:
    start = body.lstrip()[:200].replace(b" ", b"").replace(b"\n", b"")
    return start.startswith((b'[{"kind":"status"', b'[{"type":"status"', b'{"kind":"status"', b'{"type":"status"'))


class _Continued(Reader):
    """A body whose beginning was read already."""

    def __init__(self, inner: HTTPReader, pieces: list[Buffer]) -> None:
        self.entry = inner.entry
        self.size = inner.size
        self._inner = inner
        self._pieces = pieces

    async def read(self) -> Buffer:
        return self._pieces.pop(0) if self._pieces else await self._inner.read()

    async def aclose(self) -> None:
        await self._inner.aclose()


def missing(call: Call) -> NotFoundError:
    """Returns the error for a directory, which is never downloaded in one piece."""
    error = call.error(NotFoundError, "it is a directory; name a file in it")
    assert isinstance(error, NotFoundError)
    return error
