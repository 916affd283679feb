"""Receives a request's body: gathers it into large pieces, and writes each in a thread while the next one arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import StreamReader

from dxflow_async.exceptions import StorageError
from dxflow_async.server.unit.checksums import Expected
from dxflow_async.server.unit.unit import STALL_SECONDS, Unit
from dxflow_async.server.unit.upload_state import Status
from dxflow_async.server.unit.upload_writer import Writer

__all__ = ["Receiver", "piece_size"]

T = TypeVar("T")

_MAX_PIECE = 1 << 20
_MIN_PIECE = 128 << 10
_MIN_PROGRESS = 4096
"""Bytes that must arrive within `STALL_SECONDS` unless the body ends. A slower client only holds a connection."""
_MEMORY = 96 << 20
"""Bytes that all uploads of a unit together may gather, roughly."""

OpenWriter = Callable[[str, int, Expected | None], Writer]


def piece_size(unit: Unit) -> int:
    """Returns how many bytes one upload gathers before it writes them. More uploads gather less each."""
    return max(_MIN_PIECE, min(_MAX_PIECE, _MEMORY // 2 // max(1, unit.receiving)))


class Receiver:
    """Receives the body of one request.

    Args:
        content: the body.
        unit: its threads write.
    """

    def __init__(self, content: StreamReader, unit: Unit) -> None:
        self._content = content
        self._unit = unit
        self._chunks: list[bytes] = []

    async def run(
        self, open_writer: OpenWriter, upload_id: str, offset: int, expected: Expected | None, size: int | None
    ) -> Status:
        """Writes the body to an upload.

        Args:
            open_writer: opens the upload.
            upload_id, offset, expected: the arguments of `Uploads.writer`.
            size: the size of the body in bytes, if it is known.

        Raises:
            ConnectionError, TimeoutError: the body ended early. What arrived counts, unless it was to be compared.
            StorageError: as `Uploads.writer`, `Writer.write` and `Writer.complete`.
        """
        self._unit.receiving += 1
        writing = asyncio.ensure_future(self._unit.run(open_writer, upload_id, offset, expected))
        try:
            writer = await _unbroken(writing)
            if size is not None and size > writer.room:
                raise StorageError(f"the upload ends at {writer.upload.length}", status=413, code="too_long")
            await self._pump(writer)
            return await _unbroken(self._unit.run(writer.complete))
        finally:
            self._unit.receiving -= 1
            if not writing.cancelled() and writing.exception() is None:
                await _unbroken(self._unit.run(writing.result().close))

    async def read(self) -> list[bytes]:
        """Returns the whole of a body that is known to be small.

        Raises:
            ConnectionError, TimeoutError: it ended early.
        """
        self._unit.receiving += 1
        try:
            return await self._gather(_MAX_PIECE + 1)
        finally:
            self._unit.receiving -= 1

    async def _gather(self, most: int) -> list[bytes]:
        """Returns the next piece of the body; nothing at its end."""
        chunks, size, in_time = self._chunks, 0, 0
        async with asyncio.timeout(STALL_SECONDS) as stall:
            while size < most:
                # Unlike `readany`, it does not join what has arrived. It is also empty at the end of an HTTP chunk.
                chunk, ended_chunk = await self._content.readchunk()
                if not chunk and (not ended_chunk or self._content.at_eof()):
                    break
                chunks.append(chunk)
                size += len(chunk)
                if size - in_time >= _MIN_PROGRESS:
                    in_time = size
                    stall.reschedule(asyncio.get_running_loop().time() + STALL_SECONDS)
        self._chunks = []
        return chunks

    async def _pump(self, writer: Writer) -> None:
        writing: asyncio.Future[None] | None = None
        try:
            while chunks := await self._gather(piece_size(self._unit)):
                if writing is not None:
                    await _unbroken(writing)
                writing = asyncio.ensure_future(self._unit.run(writer.write, chunks))
        finally:
            if writing is not None:
                await _unbroken(writing)
            if self._chunks:  # the body ended early: what arrived still counts
                await _unbroken(self._unit.run(writer.write, self._chunks))


async def _unbroken(work: Awaitable[T]) -> T:
    """Awaits the result of a thread even if the caller is cancelled, because the thread uses what would be closed."""
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()
        raise
