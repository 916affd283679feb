"""Ranges of objects at servers that send only whole objects.

A large object moves in parts, and a server without ranges sends all bytes before a part along with it. So that an
object is sent once and not once a part, its parts share one response: each part reads its bytes from it and hands it to
the part that follows. Parts take their turns in the order of their offsets. A part whose bytes have already passed
opens a new response. A part that waits while no byte moves opens one of its own.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from dataclasses import replace

from dxflow_async.exceptions import PreconditionFailedError
from dxflow_async.providers.common.confirm import contradiction
from dxflow_async.providers.common.etags import same_etag
from dxflow_async.providers.contract import Buffer, Provider, Reader
from dxflow_async.providers.http import Call

__all__ = ["WholeObjects", "requests_ranges"]

_MAX_OBJECTS = 4
"""Objects whose half-read responses are kept for a part that may follow."""

OpenWhole = Callable[[], Awaitable[Reader]]


def requests_ranges(provider: Provider) -> bool:
    """Returns whether a read requests its range: not for an hour after the service was found to ignore ranges.

    Args:
        provider: one at whose service ranges are the rule. Its features have `ranges` again after that hour.

    Returns:
        False where the whole object is to be requested.

    Example:
        >>> if not requests_ranges(self) and (start or end is not None):
        ...     return await self._whole.read(call, key, start, end, etag, open_whole)
    """
    owner = provider.origin
    if not owner.features.ranges and not owner.range_support.missing:
        owner.features = replace(owner.features, ranges=True)
    return owner.features.ranges


class WholeObjects:
    """The responses that the parts of objects share.

    Args:
        patience: seconds to wait for a turn while no byte moves.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._objects: dict[str, _Object] = {}

    async def read(
        self, call: Call, key: str, start: int, end: int | None, etag: str | None, open_whole: OpenWhole
    ) -> Reader:
        """Opens the bytes `[start, end)` of an object, which `open_whole` opens from its first byte.

        Args:
            call: the read, for errors.
            key: the object's.
            start: the first byte.
            end: the byte after the last one; None: the rest of the object.
            etag: the version to read; None: any.
            open_whole: sends a request for the whole object.

        Returns:
            The reader of these bytes.

        Raises:
            PreconditionFailedError: the object has no byte at `start`.
            StorageError: as `open_whole`.
        """
        shared = self._objects.pop(key, None) or _Object()
        self._objects[key] = shared  # the one used last stands last
        await self._trim()
        if not await shared.take_turn(start, self._patience):
            shared = _Object()
            shared.busy = True
        try:
            await shared.move_to(start, etag, open_whole)
            reading = _RangeReader(call, shared, start, end)
        except BaseException:
            await shared.leave(keep=False)
            raise
        return reading

    async def aclose(self) -> None:
        """Closes the responses that nobody reads."""
        every, self._objects = list(self._objects.values()), {}
        for shared in every:
            if not shared.busy:
                await shared.drop()

    async def _trim(self) -> None:
        idle = [key for key, shared in self._objects.items() if not shared.busy]
        for key in idle[:-_MAX_OBJECTS]:
            await self._objects.pop(key).drop()


class _Object:
    """One response for one object, and whose turn it is to read from it.

    Attributes:
        busy: a part has its turn.
        position: the offset of the next byte that the response brings.
    """

    def __init__(self) -> None:
        self.busy = False
        self.position = 0
        self.whole: Reader | None = None
        self._rest: Buffer = b""
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._serial = 0

    async def take_turn(self, start: int, patience: float) -> bool:
        """Waits for a turn; False where no byte has moved for `patience` seconds."""
        if not self.busy:
            self.busy = True
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._serial += 1
        heapq.heappush(self._waiting, (start, self._serial, turn))
        seen = -1
        try:
            while not turn.done() and seen != self.position:
                seen = self.position
                await asyncio.wait([turn], timeout=patience)
        except asyncio.CancelledError:
            if turn.done():
                await self.leave(keep=True)
            turn.cancel()
            raise
        if turn.done():
            return True
        turn.cancel()
        return False

    async def leave(self, *, keep: bool) -> None:
        """Ends a turn; the next one goes to the first part whose bytes are still to come."""
        if not keep:
            await self.drop()
        waiting = sorted(each for each in self._waiting if not each[2].done())
        following = [each for each in waiting if each[0] >= self.position] or waiting
        self.busy = bool(following)
        if following:
            waiting.remove(following[0])
            following[0][2].set_result(None)
        self._waiting = waiting

    async def drop(self) -> None:
        """Closes the response."""
        whole, self.whole = self.whole, None
        self.position, self._rest = 0, b""
        if whole is not None:
            await whole.aclose()

    async def move_to(self, start: int, etag: str | None, open_whole: OpenWhole) -> None:
        """Opens the response where it is of no use for `start`, and passes the bytes before it."""
        if self.whole is None or self.position > start or not same_etag(etag, self.whole.entry.etag):
            await self.drop()
            self.whole = await open_whole()
        while self.position < min(start, self.whole.size):
            await self.next(start - self.position)

    async def next(self, size: int) -> Buffer:
        """Returns up to `size` bytes; empty at the object's end."""
        assert self.whole is not None, "read before it was opened"
        chunk = self._rest or await self.whole.read()
        self._rest = bytes(memoryview(chunk)[size:]) if len(chunk) > size else b""
        taken = memoryview(chunk)[:size]
        self.position += len(taken)
        return taken


class _RangeReader(Reader):
    """The bytes `[start, end)` of an object, while it is their turn."""

    def __init__(self, call: Call, shared: _Object, start: int, end: int | None) -> None:
        assert shared.whole is not None
        self.entry = shared.whole.entry
        whole = self.entry.size
        if start >= whole:
            raise call.error(PreconditionFailedError, f"the object has no byte at {start}; look at its size again")
        self.size = min(whole if end is None else end, whole) - start
        self._call = call
        self._left = self.size
        self._shared: _Object | None = shared

    async def read(self) -> Buffer:
        if self._shared is None or not self._left:
            return b""
        chunk = await self._shared.next(self._left)
        if not chunk:
            raise contradiction(self._call, f"{self.size - self._left} bytes came of {self.size}")
        self._left -= len(chunk)
        return chunk

    async def aclose(self) -> None:
        shared, self._shared = self._shared, None
        if shared is not None:
            await shared.leave(keep=not self._left and shared.position < self.entry.size)
