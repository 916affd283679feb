"""A binary file that is written from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import io
import warnings
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Self

from anyio import CancelScope

from dxflow_async.concurrency.ownership import Owner
from dxflow_async.models import TransferReport
from dxflow_async.storage.files.raised_blocks import block_has_raised, raised_blocks
from dxflow_async.streams import Buffer

__all__ = ["AsyncFileWriter"]

_CHUNK = 256 << 10
"""Smaller writes are joined."""

_WAITING = 1 << 20
"""Bytes that may wait for the upload before `write` waits."""

Store = Callable[[AsyncIterator[bytes]], Awaitable[TransferReport]]


class AsyncFileWriter:
    """A binary file open for writing; `AsyncAreaStorage.open` returns it for the modes `"wb"` and `"xb"`.

    The object appears, whole, when the file is closed. When the body of `async with`, of the file or of what closes it,
    raises, or the file is never closed, nothing is stored. One task at a time may use it.

    Attributes:
        name: the path, as it was given.
        mode: `"wb"` or `"xb"`.
        closed: whether it was closed or discarded.
        report: the result of storing it; None before it is closed.

    Example:
        >>> async def save(storage: "AsyncAreaStorage") -> None:
        ...     async with storage.open("/bucket/log.txt", "wb") as file:
        ...         await file.write(b"first line")
    """

    def __init__(self, store: Store, name: str, owner: Owner, mode: str = "wb") -> None:
        self.name = name
        self.mode = mode
        self.closed = False
        self.report: TransferReport | None = None
        self._owner = owner
        self._raised_before = raised_blocks()
        self._buffer = bytearray()
        self._written = 0
        self._pipe = _Pipe()
        self._task = asyncio.create_task(_run(store, self._pipe))
        self._task.add_done_callback(self._pipe.ended)

    def readable(self) -> bool:
        """Returns False."""
        return False

    def writable(self) -> bool:
        """Returns True."""
        return True

    def seekable(self) -> bool:
        """Returns False."""
        return False

    def tell(self) -> int:
        """Returns how many bytes were written."""
        return self._written

    async def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Raises `io.UnsupportedOperation`: an object is written from its start to its end.

        Args:
            offset, whence: as for `io.IOBase.seek`.
        """
        raise io.UnsupportedOperation(f"seek to {offset} ({whence}) in {self.name}: a file that is written cannot seek")

    async def write(self, data: Buffer) -> int:
        """Writes bytes, and returns how many. Waits while the upload is slower than the caller.

        Args:
            data: the bytes to write.

        Raises:
            StorageError: the upload has failed; nothing is stored.
            ValueError: the file is closed.
        """
        self._check_open()
        view = memoryview(data).cast("B")
        self._buffer += view
        self._written += len(view)
        if len(self._buffer) >= _CHUNK:
            await self._send()
        return len(view)

    async def flush(self) -> None:
        """Waits until the upload has taken all bytes. The object does not appear before the file is closed.

        Raises as `write`.
        """
        self._check_open()
        await self._send()
        await self._pipe.drained()
        await self._check_upload()

    async def aclose(self) -> None:
        """Stores the object. A second call does nothing.

        Raises:
            StorageError: it could not be stored.
        """
        if self.closed or self._owner.forked:
            self.closed = True
            return
        self._owner.check_place()
        if block_has_raised(self._raised_before):  # as `contextlib.aclosing` closes it
            await self.discard()
            return
        try:
            await self._send()
            self._pipe.end()
            self.closed = True
            self.report = await self._outcome()
        except BaseException:
            await self.discard()
            raise

    async def discard(self) -> None:
        """Closes the file, and stores nothing. After `aclose` it does nothing."""
        self.closed = True
        self._buffer = bytearray()
        if not self._task.done() and not self._owner.forked:
            self._task.cancel()
            with CancelScope(shield=True):
                await asyncio.wait((self._task,))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await (self.aclose() if kind is None else self.discard())

    def __del__(self) -> None:
        task = getattr(self, "_task", None)
        if task is None or task.done() or self._owner.forked:
            return
        warnings.warn(f"{self.name} was not closed: nothing is stored", ResourceWarning, stacklevel=1, source=self)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            task.get_loop().call_soon_threadsafe(task.cancel)

    def __repr__(self) -> str:
        return f"<AsyncFileWriter name={self.name!r} written={self._written} closed={self.closed}>"

    def _check_open(self) -> None:
        self._owner.check()
        if self.closed:
            raise ValueError(f"write to closed file {self.name}")

    async def _send(self) -> None:
        if self._buffer:
            chunk, self._buffer = bytes(self._buffer), bytearray()
            await self._pipe.put(chunk)
        await self._check_upload()

    async def _check_upload(self) -> None:
        """Raises the error of an upload that has ended before the file was closed."""
        if self._task.done():
            await self._outcome()

    async def _outcome(self) -> TransferReport:
        outcome = await self._task
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def _run(store: Store, pipe: _Pipe) -> TransferReport | Exception:
    """Returns the outcome; an error as a value: a file that is dropped has nobody to raise it to."""
    try:
        return await store(pipe)
    except Exception as error:  # noqa: BLE001 - raised by the next call of the writer
        return error


class _Pipe(AsyncIterator[bytes]):
    """Chunks on their way from the writer to the upload."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._ended = self._stopped = False
        self._changed = asyncio.Event()

    async def put(self, chunk: bytes) -> None:
        """Adds a chunk once there is room for it, or drops it once the upload has ended."""
        while self._size >= _WAITING and not self._stopped:
            await self._change()
        self._chunks.append(chunk)
        self._size += len(chunk)
        self._changed.set()

    async def drained(self) -> None:
        """Waits until the upload has taken all chunks, or has ended."""
        while self._chunks and not self._stopped:
            await self._change()

    def end(self) -> None:
        """Notes that no chunk follows."""
        self._ended = True
        self._changed.set()

    def ended(self, _: object) -> None:
        """Notes that the upload has ended."""
        self._stopped = True
        self._chunks.clear()
        self._changed.set()

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self._ended:
                raise StopAsyncIteration
            await self._change()
        chunk = self._chunks.popleft()
        self._size -= len(chunk)
        self._changed.set()
        return chunk

    async def _change(self) -> None:
        # Both ends wait for one event: it is cleared by who waits, and each looks again before it waits.
        self._changed.clear()
        await self._changed.wait()
