"""Readers that verify more than a CRC32C: other checksums, and the size where the response reports none."""

from __future__ import annotations

from dataclasses import dataclass

from dxflow_async.digests import ExpectedDigest, RunningDigest
from dxflow_async.exceptions import ChecksumMismatchError
from dxflow_async.net import Response
from dxflow_async.presumed_digests import PartsDigest, PresumedDigest
from dxflow_async.providers.common.confirm import contradiction
from dxflow_async.providers.common.fields import content_length
from dxflow_async.providers.contract import Buffer, Entry, Reader, Run, Write
from dxflow_async.providers.http import HTTP, Call, HTTPReader

__all__ = ["ChecksummedReader", "CountedReader", "VerifiedReader", "body_reader"]


class ChecksummedReader(Reader):
    """A reader that computes a digest of its bytes, in the thread that writes them if there is one.

    Args:
        inner: the reader of the bytes; it is closed with this one.
        digest: receives the bytes in order.
    """

    def __init__(self, inner: Reader, digest: RunningDigest | PartsDigest) -> None:
        self.entry = inner.entry
        self.size = inner.size
        self.crc32c = inner.crc32c
        self.digest = digest
        self._inner = inner

    async def read(self) -> Buffer:
        chunk = await self._inner.read()
        self._passed(chunk)
        return chunk

    async def readinto(self, buffer: memoryview) -> int:
        size = await self._inner.readinto(buffer)
        self._passed(buffer[:size])
        return size

    async def stream_to(self, buffer: memoryview, write: Write, run: Run) -> int:
        def sum_and_write(data: memoryview) -> None:
            self._passed(data)
            write(data)

        size = await self._inner.stream_to(buffer, sum_and_write, run)
        if not size:
            self._passed(b"")
        return size

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _passed(self, data: Buffer) -> None:
        """Adds bytes to the digest; none at the end."""
        self.digest.update(data)


class VerifiedReader(ChecksummedReader):
    """A reader up to the end of an object that verifies a digest before it returns the last bytes.

    Args:
        inner: the reader of the bytes.
        expected: the digest of the whole object that the service reported.
        call: the read, for errors.
        digest: the digest of the bytes before; None if there are none.
        again: the caller reads the object again after a `ChecksumMismatchError`.
    """

    def __init__(
        self,
        inner: Reader,
        expected: ExpectedDigest | PresumedDigest,
        call: Call,
        digest: RunningDigest | PartsDigest | None = None,
        *,
        again: bool = False,
    ) -> None:
        super().__init__(inner, expected.running() if digest is None else digest)
        self.expected = expected
        self._again = again
        self._call = call
        self._left = inner.size

    def continued(self, inner: Reader) -> Reader:
        """Returns a reader of the same version from where this one broke off that verifies the bytes of both.

        Args:
            inner: reads the rest of the object.

        Returns:
            The reader; `inner` itself if it verifies by itself, or does not begin where this one broke off.
        """
        if isinstance(inner, VerifiedReader) or inner.size != self._left:
            return inner
        return VerifiedReader(inner, self.expected, self._call, self.digest, again=self._again)

    def _passed(self, data: Buffer) -> None:
        """Adds bytes to the digest; compares it after the last ones.

        Raises:
            ChecksumMismatchError: the object has another digest.
        """
        if not data:
            _check_left(self._call, self.size, self._left)
            return
        self.digest.update(data)
        self._left -= len(data)
        if self._left:
            return
        verdict = self.expected.judge(self.entry.key, self.digest.value, again=self._again)
        if verdict is False:
            said = f"the bytes that arrived have another {self.expected.shown} than the object; try again"
            raise self._call.error(ChecksumMismatchError, said)
        self.verified = verdict is True


@dataclass(slots=True)
class CountedReader(HTTPReader):
    """The body of a response without a length, which must be as long as the object."""

    _left: int = 0

    def __post_init__(self) -> None:
        self._left = self.size

    async def read(self) -> Buffer:
        chunk = await HTTPReader.read(self)
        await self._passed(len(chunk))
        return chunk

    async def readinto(self, buffer: memoryview) -> int:
        size = await HTTPReader.readinto(self, buffer)
        await self._passed(size)
        return size

    async def stream_to(self, buffer: memoryview, write: Write, run: Run) -> int:
        return await Reader.stream_to(self, buffer, write, run)

    async def _passed(self, size: int) -> None:
        """Counts bytes. Before the last ones are returned, the response must have ended: callers need not read on."""
        self._left -= size
        if size and not self._left:
            self._left -= len(await HTTPReader.read(self))
        if not size or self._left < 0:
            _check_left(self.call, self.size, self._left)


def body_reader(
    entry: Entry, size: int, http: HTTP, call: Call, response: Response, crc32c: int | None = None
) -> HTTPReader:
    """Returns a reader of a response's body, which counts the bytes if the response reports no length.

    Args:
        entry: the object.
        size: how many bytes the body has.
        http: the client that the response came by.
        call: the read, for errors.
        response: the response; the reader closes it.
        crc32c: of the body, where the service reports it.

    Returns:
        The reader. It raises `ServiceError` if the body of a response without a length has another size.

    Example:
        >>> size, length = await extent(self, call, key, response, (start, end), (etag, listed))
        >>> return body_reader(Entry(key, size, etag=etag), length, http, call, response)
    """
    headers = response.headers
    measured = "content-length" in headers and "transfer-encoding" not in headers
    cls = HTTPReader if measured or content_length(headers) is not None else CountedReader
    return cls(entry, size, http, call, response, crc32c)


def _check_left(call: Call, size: int, left: int) -> None:
    if left:
        raise contradiction(call, f"{size - left} bytes came of {size}")
