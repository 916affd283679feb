"""A binary file that is read at any position.

Sequential reads fetch windows that double from 256 KiB up to 8 MiB; from the second window on, the next one is fetched
while the caller works. Reads at other positions fetch at least 256 KiB, and the last 256 KiB of the object in one go:
a format with its index at the end costs one request for it. What was fetched is kept, up to 16 MiB a file.

The windows of a file that is read from its start to its end are summed as they arrive, and their checksum is compared
with that of the object, where the provider tells it.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections import OrderedDict
from types import TracebackType
from typing import TYPE_CHECKING, Self

from anyio import CancelScope

from dxflow_async.concurrency.ownership import Owner
from dxflow_async.streams import Buffer, WritableBytes

if TYPE_CHECKING:
    from dxflow_async.storage.files.object_ranges import ObjectRanges

__all__ = ["AsyncFileReader"]

_BLOCK = 256 << 10
_MAX_WINDOW = 8 << 20
_MAX_KEPT = 16 << 20

_Ahead = asyncio.Task[bytearray | None]


class AsyncFileReader:
    """A binary file open for reading; `AsyncAreaStorage.open` returns it for the mode `"rb"`.

    It reads one version of the object for its whole life: an object that is replaced meanwhile is an error, never a
    mixture. One task at a time may use it.

    Attributes:
        name: the path, as it was given.
        mode: `"rb"`.
        size: the object's size in bytes.
        etag: the tag of the version that it reads, unquoted; None where the provider has none.
        closed: whether `aclose` was called.

    Example:
        >>> async def footer(storage: "AsyncAreaStorage") -> bytes:
        ...     async with storage.open("/bucket/table.parquet") as file:
        ...         await file.seek(-8, 2)
        ...         return await file.read()
    """

    mode = "rb"

    def __init__(self, ranges: ObjectRanges, name: str, owner: Owner) -> None:
        self.name = name
        self.size = ranges.size
        self.etag = ranges.etag
        self.closed = False
        self._ranges = ranges
        self._owner = owner
        self._position = 0
        self._expected = 0  # where a sequential read would begin
        self._window = _BLOCK
        self._windows = 0  # how many windows of the sequential read were fetched
        self._kept: OrderedDict[int, bytearray] = OrderedDict()
        self._ahead: tuple[int, int, _Ahead] | None = None
        self._summed = 0 if ranges.comparable else -1  # how many bytes from the start on are in the checksum
        self._crc = 0

    def readable(self) -> bool:
        """Returns True."""
        return True

    def writable(self) -> bool:
        """Returns False."""
        return False

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def tell(self) -> int:
        """Returns the position."""
        return self._position

    async def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Changes the position, and returns it. No request is made.

        Args:
            offset: bytes from the start, the position or the end, as `whence` says.
            whence: 0, 1 or 2, as for `io.IOBase.seek`.

        Raises:
            ValueError: the new position lies before the start, or the file is closed.
        """
        self._check_open()
        starts = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}
        if whence not in starts:
            raise ValueError(f"whence = {whence!r} is not allowed; it must be 0, 1 or 2")
        position = starts[whence] + offset
        if position < 0:
            raise ValueError(f"the position {position} lies before the start of {self.name}")
        self._position = position
        return position

    async def read(self, size: int | None = -1) -> bytes:
        """Returns the next `size` bytes, fewer only at the end; with -1 or None all that follow.

        Args:
            size: the most bytes to return.

        Raises:
            PreconditionFailedError: the object was replaced since the file was opened.
            ChecksumMismatchError: these are the last bytes, all bytes before were read, too, and the checksum of all of
                them is not that of the object.
            StorageError: it could not be read.
            ValueError: the file is closed.
        """
        rest = max(self.size - self._position, 0)
        memory = WritableBytes(rest if size is None or size < 0 else min(size, rest))
        await self.readinto(memory.view)
        return memory.finish()

    async def readinto(self, buffer: Buffer) -> int:
        """Fills the buffer with the next bytes, and returns how many: fewer than its size only at the end.

        Args:
            buffer: a writable buffer.

        Raises as `read`.
        """
        self._check_open()
        view = memoryview(buffer).cast("B")
        position = self._position
        end = min(position + len(view), self.size)
        self._begin(position)
        done = 0
        while position + done < end:
            done += await self._copy(position + done, view[done : end - position])
        if done and end == self.size == self._summed:
            await self._compare()
        self._position = self._expected = position + done
        return done

    async def readline(self, size: int | None = -1) -> bytes:
        """Returns the next line with its line feed, at most `size` bytes; `b""` at the end. Raises as `read`.

        Args:
            size: the most bytes to return; -1 or None: the whole line.
        """
        self._check_open()
        most = self.size if size is None or size < 0 else min(self._position + size, self.size)
        self._begin(self._position)
        line = bytearray()
        while self._position < most:
            start, data = await self._span(self._position, self._position + 1)
            offset = self._position - start
            stop = data.find(b"\n", offset, most - start) + 1
            stop = stop or min(len(data), most - start)
            line += data[offset:stop]
            self._position = self._expected = start + stop
            if line.endswith(b"\n"):
                break
        if line and self._position == self.size == self._summed:
            await self._compare()
        return bytes(line)

    async def aclose(self) -> None:
        """Closes the file, and ends a request that reads ahead. A second call does nothing."""
        self.closed = True
        self._kept.clear()
        ahead, self._ahead = self._ahead, None
        if ahead is not None and not self._owner.forked:
            ahead[2].cancel()
            with CancelScope(shield=True):
                await asyncio.wait((ahead[2],))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if self._ahead is not None and not self._ahead[2].done() and not self._owner.forked:
            task = self._ahead[2]
            with contextlib.suppress(RuntimeError):  # the loop is closed
                task.get_loop().call_soon_threadsafe(task.cancel)

    def __repr__(self) -> str:
        return f"<AsyncFileReader name={self.name!r} size={self.size} position={self._position}>"

    def _check_open(self) -> None:
        self._owner.check()
        if self.closed:
            raise ValueError(f"read of closed file {self.name}")

    def _begin(self, position: int) -> None:
        """Notes where a read begins: one that does not follow the last one starts with small windows again."""
        if position != self._expected:
            self._window, self._windows = _BLOCK, 0

    async def _copy(self, position: int, view: memoryview) -> int:
        """Copies bytes from `position` on, and returns how many."""
        if len(view) > _MAX_WINDOW and self._find(position) is None and not self._is_coming(position):
            await self._ranges.readinto(position, view)
            await self._sum(position, view)
            return len(view)
        start, data = await self._span(position, position + len(view))
        piece = memoryview(data)[position - start : position - start + len(view)]
        view[: len(piece)] = piece
        return len(piece)

    async def _span(self, position: int, end: int) -> tuple[int, bytearray]:
        """Returns bytes around `position`, and where they start."""
        found = self._find(position)
        if found is None and self._is_coming(position):
            found = await self._arrived(position)
        if found is None:
            start, stop = self._range(position, end)
            data = await self._ranges.read(start, stop)
            self._keep(start, data)
            found = start, data
        if found[0] <= self._summed < found[0] + len(found[1]):
            await self._sum(*found)
        if self._windows > 1:
            self._read_ahead(found[0] + len(found[1]))
        return found

    async def _sum(self, start: int, data: Buffer) -> None:
        """Adds bytes to the checksum, if they follow those that are in it."""
        if start <= self._summed < start + len(data):
            self._crc = await self._ranges.sum(memoryview(data)[self._summed - start :], self._crc)
            self._summed = start + len(data)

    async def _compare(self) -> None:
        await self._ranges.compare(self._crc)
        self._summed = -1

    def _range(self, position: int, end: int) -> tuple[int, int]:
        """Returns which bytes to fetch for `[position, end)`."""
        stop = min(max(end, position + self._window), self.size)
        self._windows += 1
        self._window = min(self._window * 2, _MAX_WINDOW)
        tail = max(self.size - _BLOCK, 0)
        # The first read near the end is that of an index, whose beginning lies before it.
        return (tail if position > tail and self._windows == 1 else position), stop

    def _read_ahead(self, start: int) -> None:
        """Begins to fetch the next window of a sequential read, if none is on its way."""
        if start >= self.size or self._find(start) is not None or (self._ahead is not None and self._is_coming(start)):
            return
        if self._ahead is not None:
            if not self._ahead[2].done():
                return
            self._ahead = None
        stop = min(start + self._window, self.size)
        self._window = min(self._window * 2, _MAX_WINDOW)
        self._ahead = start, stop, asyncio.create_task(_fetch(self._ranges, start, stop))

    def _is_coming(self, position: int) -> bool:
        return self._ahead is not None and self._ahead[0] <= position < self._ahead[1]

    async def _arrived(self, position: int) -> tuple[int, bytearray] | None:
        """Waits for the window that is on its way; None if it failed: the read itself has the error then."""
        assert self._ahead is not None
        start, _, task = self._ahead
        await asyncio.wait((task,))
        self._ahead = None
        data = None if task.cancelled() else task.result()
        if data is None:
            return None
        self._keep(start, data)
        return start, data

    def _find(self, position: int) -> tuple[int, bytearray] | None:
        for start, data in reversed(self._kept.items()):
            if start <= position < start + len(data):
                self._kept.move_to_end(start)
                return start, data
        return None

    def _keep(self, start: int, data: bytearray) -> None:
        self._kept[start] = data
        self._kept.move_to_end(start)
        size = sum(map(len, self._kept.values()))
        while size > _MAX_KEPT and len(self._kept) > 1:
            size -= len(self._kept.popitem(last=False)[1])


async def _fetch(ranges: ObjectRanges, start: int, stop: int) -> bytearray | None:
    try:
        return await ranges.read(start, stop)
    except Exception:  # noqa: BLE001 - nobody may want these bytes; who does reads them again and gets the error
        return None
