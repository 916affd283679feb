"""Uploads of unknown length to services that take an object in one request only."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import IO, TypeVar, TypeVarTuple

from dxflow_async import checksum
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import ChecksumMismatchError, StorageError
from dxflow_async.providers.contract import Body, Buffer, Entry, Part, PartReceipt, Upload
from dxflow_async.providers.http import Call

__all__ = ["SpooledBody", "SpooledUpload"]

_BLOCK_SIZE = 1 << 20

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class SpooledUpload(Upload):
    """Keeps parts in a temporary file, and hands the whole to the service when the upload is finished.

    The whole object is on this machine's disk, in `tempfile.gettempdir()` (`TMPDIR`, else `/tmp`), before its first
    byte is sent. The file has no name, so nothing of it is left, however the process ends.

    Args:
        call: the upload, for errors.
        threads: run the disk's work.
        store: stores all bytes as one object. When it fails, `finish` may be called again.

    Example:
        >>> async def start_upload(self, key: str, size: int | None, options: ObjectOptions) -> Upload:
        ...     call = Call(self.name, "write", f"/{key}")
        ...     return SpooledUpload(call, self.threads, lambda body: self.write(key, body, options))
    """

    id = ""
    max_parts = sys.maxsize

    def __init__(self, call: Call, threads: Threads, store: Callable[[Body], Awaitable[Entry]]) -> None:
        self._call = call
        self._threads = threads
        self._store = store
        self._file: IO[bytes] | None = None
        self._opening = threading.Lock()

    async def write_part(self, part: Part, body: Body) -> PartReceipt:
        size = crc = 0
        async for chunks in _blocks(body):
            offset = part.offset + size
            size += sum(map(len, chunks))
            if size > part.size:
                break
            crc = await self._run(self._write, chunks, offset, crc)
        if size != part.size or body.crc32c not in (None, crc):
            text = f"{size} bytes or more arrived of {part.size}, or with another checksum than the source's; try again"
            raise self._call.error(ChecksumMismatchError, text)
        return PartReceipt(part, crc32c=crc)

    async def finish(self, receipts: Sequence[PartReceipt], crc32c: int | None) -> Entry:
        whole = checksum.combine((receipt.crc32c, receipt.part.size) for receipt in receipts)
        if None not in (crc32c, whole) and crc32c != whole:
            raise self._call.error(ChecksumMismatchError, "the parts have another checksum than the source; try again")
        size = sum(receipt.part.size for receipt in receipts)
        stored = await self._store(SpooledBody(self._read, size, whole))
        await self.abort()
        return stored

    async def abort(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            await self._threads.finish(file.close)

    def _open(self) -> IO[bytes]:
        with self._opening:  # two parts may be the first
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="dxflow-", buffering=0)  # noqa: SIM115 - closed by `abort`
            return self._file

    def _write(self, chunks: Sequence[Buffer], offset: int, crc: int) -> int:
        descriptor = self._open().fileno()
        for chunk in chunks:
            crc = checksum.crc32c(chunk, crc)
            left = memoryview(chunk)
            while left:
                written = os.pwrite(descriptor, left, offset)
                offset += written
                left = left[written:]
        return crc

    async def _read(self, offset: int, size: int) -> bytes:
        return await self._run(lambda: os.pread(self._open().fileno(), size, offset))

    async def _run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        try:
            return await self._threads.run(function, *args)
        except OSError as error:
            text = f"its temporary file in {tempfile.gettempdir()} failed ({error.strerror}); make room, or set TMPDIR"
            raise self._call.error(StorageError, text) from error


class SpooledBody:
    """The bytes of a temporary file as a body that can be sent more than once.

    Args:
        read: returns up to `size` bytes from an offset on.
        size: of the whole, in bytes.
        crc32c: of the whole, where it is known.
    """

    def __init__(self, read: Callable[[int, int], Awaitable[bytes]], size: int, crc32c: int | None) -> None:
        self._read = read
        self.size = size
        self.crc32c = crc32c

    async def __aiter__(self) -> AsyncIterator[Buffer]:
        offset = 0
        while chunk := await self._read(offset, min(_BLOCK_SIZE, self.size - offset)):
            yield chunk
            offset += len(chunk)


async def _blocks(body: Body) -> AsyncIterator[Sequence[Buffer]]:
    """Groups the buffers of a body, so that each call to a thread has enough to do."""
    chunks: list[Buffer] = []
    size = 0
    async for chunk in body:
        chunks.append(chunk)
        size += len(chunk)
        if size >= _BLOCK_SIZE:
            yield chunks
            chunks, size = [], 0
    if chunks:
        yield chunks
