"""A body that verifies its own checksum while it is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator

from dxflow_async import checksum
from dxflow_async.exceptions import ChecksumMismatchError
from dxflow_async.net import ConnectionBrokenError
from dxflow_async.providers.contract import Body, Buffer
from dxflow_async.providers.http import Call

__all__ = ["VerifiedBody"]


class VerifiedBody:
    """A body from an offset on that withholds its last buffer until the whole had the announced size and CRC32C.

    Bytes that are wrong on this side therefore never become an object, whatever the server compares.

    Args:
        call: the request, for errors.
        body: the whole body.
        start: how many bytes are not sent; they are verified all the same.

    Attributes:
        crc32c: of the whole body; None until all of it was verified.
        failed: whether reading the body failed, as opposed to sending it.
        sent: the offset up to which bytes were handed over or left out.
    """

    __slots__ = ("_body", "_call", "_start", "crc32c", "failed", "sent")

    def __init__(self, call: Call, body: Body, start: int = 0) -> None:
        self._call = call
        self._body = body
        self._start = start
        self.crc32c: int | None = None
        self.failed = False
        self.sent = start

    @property
    def size(self) -> int:
        """How many bytes are sent."""
        return self._body.size - self._start

    async def __aiter__(self) -> AsyncIterator[Buffer]:
        size = crc = 0
        held: Buffer = b""
        self.failed, self.sent = True, self._start
        async for chunk in self._body:
            crc = checksum.crc32c(chunk, crc)
            left_out = self._start - size
            size += len(chunk)
            if size > self._body.size:
                break
            if left_out > 0:
                chunk = memoryview(chunk)[left_out:]  # noqa: PLW2901 - its rest
            if chunk:
                if held:
                    self.failed = False
                    self.sent += len(held)
                    yield held
                    self.failed = True
                held = chunk
        self._compare(size, crc)
        self.crc32c = crc
        self.failed = False
        self.sent += len(held)
        if held:
            yield held

    def _compare(self, size: int, crc: int) -> None:
        if size != self._body.size:
            raise ConnectionBrokenError(f"the body had {size} bytes or more where {self._body.size} were announced")
        if self._body.crc32c not in (None, crc):
            raise self._call.error(ChecksumMismatchError, "the bytes changed in memory before they were sent")
