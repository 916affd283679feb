"""Stores a stream of unknown length. Parts are sent while the stream goes on, and memory stays bounded.

A stream buffers a quarter of a mebibyte without asking. Before a part gets larger, memory for all of it is reserved, so
that a stream that holds memory never waits for more of it; until then nothing more is taken from the stream. All
streams together reserve at most half of the session's memory, so that slow ones do not hold up other calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial

from dxflow_async.checksum import combine, crc32c
from dxflow_async.concurrency.pool import open_task_group
from dxflow_async.concurrency.shielded import clean_up
from dxflow_async.exceptions import ChecksumMismatchError, UnsupportedError
from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import Buffered, Entry, ObjectOptions, Part, PartLimitError, PartReceipt, Upload
from dxflow_async.streams import Buffer
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.failures import failure_of
from dxflow_async.transfer.items.base import BaseItem
from dxflow_async.transfer.items.multipart import begin_upload
from dxflow_async.transfer.items.own_writes import OwnWrites
from dxflow_async.transfer.plan import largest_write, part_size_advice, stream_part_size
from dxflow_async.transfer.progress import MeteredBody

__all__ = ["StreamWriter"]

_ABORT_SECONDS = 10.0

_UNASKED = 256 << 10
"""Bytes that each stream may buffer without a reservation."""

_SMALLEST_BLOCK, _LARGEST_BLOCK = 32 << 10, 256 << 10
"""Bytes of the first buffer of a part, and of the largest ones: each is twice as large as the one before. One buffer
for a whole part would be copied as it grows, and leave holes in memory that nothing else fits into."""


class StreamWriter(BaseItem):
    """Writes one stream to one place. Nothing is stored unless the stream ends well.

    Args:
        context: limits, retries and progress of the call.
        target: where the stream is stored.
        options: what is stored with it.
    """

    def __init__(self, context: TransferContext, target: Place, options: ObjectOptions) -> None:
        super().__init__(context, Place(target.provider, "", "stream"), target)
        self._options = options
        self._own_writes = OwnWrites(context, target) if options.conditional else None
        self._upload: Upload | None = None
        self._receipts: list[PartReceipt] = []
        self._features = target.provider.features  # a stream that was begun keeps its part sizes
        self._ended = False  # whether all of the stream was read
        self._memory: deque[int] = deque()  # what is reserved for the parts that are not being sent yet
        self._in_memory: dict[int, Buffered] = {}
        self._read = 0  # bytes of the stream in parts that are complete

    async def write(self, data: AsyncIterable[bytes]) -> TransferResult:
        """Stores everything that `data` yields.

        Raises:
            UnsupportedError: the stream has more parts than the provider takes; the message has a part size that fits.
            StorageError: the stream could not be stored. Exceptions that `data` raises pass through.
        """
        try:
            stored = await self._write(data)
        except PartLimitError as error:
            await self._clean_up()
            raise self._too_long(error) from error
        except BaseException:
            await self._clean_up()
            raise
        finally:
            for body in self._in_memory.values():
                body.chunks = ()  # whoever keeps the exception keeps the frames of its traceback, and their bodies
        features = self._destination.provider.features
        if (features.checksum or features.verifies_writes) and stored.crc32c is not None:
            if stored.crc32c != self._crc32c:
                raise ChecksumMismatchError(f"write of {self._destination.shown} failed: other bytes were stored")
            self._verified = True
        self._unverified = None if self._verified else "the destination reports no checksum"
        return self.result(None)

    async def _write(self, data: AsyncIterable[bytes]) -> Entry:
        try:
            async with aclosing(self._bodies(data)) as bodies:
                return await self._write_bodies(bodies)
        finally:
            for memory in self._memory:
                self._give(memory)

    async def _write_bodies(self, bodies: AsyncIterator[Buffered]) -> Entry:
        first = await anext(bodies)
        provider, key = self._destination.provider, self._destination.key
        if self._ended and first.size <= largest_write(provider.features):
            body = MeteredBody(first, self._count)
            try:
                stored = await self._try(
                    self._on_condition(lambda: provider.write(key, body, self._options), first.size, first.crc32c),
                    size=body.size,
                )
            except PartLimitError:
                body.forget()  # the provider has learned that it has to go in parts
                self._features = provider.features
            else:
                self._crc32c = first.crc32c
                return stored
        read = deque((first,))
        if self._ended and first.size > (size := self._part_size(1)):
            whole = memoryview(b"".join(first.chunks))
            read = deque(_body(whole[start : start + size]) for start in range(0, first.size, size))
        del first  # else it would stay in memory until the stream ends
        self._upload = upload = await self._try(
            lambda: begin_upload(provider, key, None, self._options, self._context.policy)
        )
        await self._send_all(upload, read, bodies)
        self._receipts.sort(key=lambda receipt: receipt.part.number)
        self._crc32c = combine((receipt.crc32c, receipt.part.size) for receipt in self._receipts)
        size = sum(receipt.part.size for receipt in self._receipts)
        finish = self._on_condition(lambda: upload.finish(self._receipts, self._crc32c), size, self._crc32c)
        stored = await self._try(finish, kind="finish")
        self._upload = None
        return stored

    def _on_condition(
        self, store: Callable[[], Awaitable[Entry]], size: int, crc32c: int | None
    ) -> Callable[[], Awaitable[Entry]]:
        """Returns `store`, or where it has a condition, what also recognizes the stream's own object."""
        own = self._own_writes
        return store if own is None else partial(own.attempt, store, size, crc32c)

    async def _send_all(self, upload: Upload, read: deque[Buffered], bodies: AsyncIterator[Buffered]) -> None:
        number = 0
        async with open_task_group() as group:
            while (body := read.popleft() if read else await anext(bodies, None)) is not None:
                number, offset, self._read = number + 1, self._read, self._read + body.size
                if number > (upload.max_parts or self._destination.provider.features.max_parts):
                    raise self._too_long(None)
                # The pieces of one part that was cut share its memory, which is given back with the last of them.
                memory = self._memory.popleft() if self._memory and not read else 0
                group.start_soon(self._send, upload, Part(number, offset, body.size), body, memory)
                del body

    def _too_long(self, error: PartLimitError | None) -> UnsupportedError:
        """Returns the error for a stream that needs more parts than the provider takes."""
        provider = self._destination.provider
        reason = f"it has more than {provider.features.max_parts} parts" if error is None else str(error)
        return UnsupportedError(
            f"{provider.name} write of {self._destination.shown} failed after {self._read} bytes of a stream: "
            f"{reason}; {part_size_advice(self._read, provider.features)}",
            provider=provider.name,
            operation="write",
            path=self._destination.shown,
            status=None if error is None else error.status,
            code=None if error is None else error.code,
            request_id=None if error is None else error.request_id,
        )

    async def _send(self, upload: Upload, part: Part, body: Buffered, memory: int) -> None:
        metered = MeteredBody(body, self._count)
        try:
            self._receipts.append(await self._try(lambda: upload.write_part(part, metered), size=part.size))
        finally:
            self._in_memory.pop(id(body), None)
            body.chunks = ()
            self._give(memory)

    def _give(self, memory: int) -> None:
        if memory:
            self._context.limits.stream_memory.give(memory)

    def _part_size(self, number: int) -> int:
        context = self._context
        return stream_part_size(number, context.part_size, context.limits.largest_part, self._features)

    async def _bodies(self, data: AsyncIterable[bytes]) -> AsyncGenerator[Buffered, None]:
        """Cuts a stream into parts with their checksums. An empty stream is one empty part."""
        buffer = _Blocks()
        try:
            number, size, reserved = 1, self._part_size(1), False
            async for chunk in data:
                view = memoryview(chunk).cast("B")
                while view:
                    if buffer.size == size:  # it is known only now that more follows
                        if not reserved:
                            self._memory.append(0)
                        yield self._body(buffer)
                        buffer, reserved = _Blocks(), False
                        number += 1
                        size = self._part_size(number)
                    wanted = size - buffer.size
                    if not reserved and buffer.size + len(view) > _UNASKED:
                        self._memory.append(await self._context.limits.stream_memory.take(size))
                        reserved = True
                    buffer.add(view[:wanted])
                    view = view[wanted:]
            self._ended = True
            if not reserved:
                self._memory.append(0)
            yield self._body(buffer)
        finally:
            buffer.clear()
            if isinstance(data, AsyncGenerator):
                await data.aclose()

    def _body(self, buffer: _Blocks) -> Buffered:
        body = buffer.body()
        buffer.clear()
        self._in_memory[id(body)] = body
        return body

    async def _clean_up(self) -> None:
        if self._upload is not None:
            try:
                await clean_up(self._try(self._upload.abort), _ABORT_SECONDS)
            except Exception as error:  # noqa: BLE001 - the reason for the abort is what the caller is to see
                failure_of(error, self.ends, "clean-up")


class _Blocks:
    """The bytes of a part, in buffers that do not grow.

    Attributes:
        size: how many bytes there are.
    """

    def __init__(self) -> None:
        self.size = 0
        self._blocks: list[memoryview] = []
        self._filled = 0  # bytes of the last buffer
        self._crc32c = 0

    def add(self, view: memoryview) -> None:
        """Copies bytes to the end."""
        self._crc32c = crc32c(view, self._crc32c)
        self.size += len(view)
        while view:
            if not self._blocks or self._filled == len(self._blocks[-1]):
                size = min(2 * len(self._blocks[-1]), _LARGEST_BLOCK) if self._blocks else _SMALLEST_BLOCK
                self._blocks.append(memoryview(bytearray(size)))
                self._filled = 0
            piece = view[: len(self._blocks[-1]) - self._filled]
            self._blocks[-1][self._filled : self._filled + len(piece)] = piece
            self._filled += len(piece)
            view = view[len(piece) :]

    def clear(self) -> None:
        """Forgets the bytes."""
        self.size, self._blocks = 0, []

    def body(self) -> Buffered:
        """Returns the bytes as a body."""
        blocks = [*self._blocks[:-1], *(each[: self._filled] for each in self._blocks[-1:])]
        return Buffered(blocks, self.size, self._crc32c)


def _body(buffer: Buffer) -> Buffered:
    return Buffered((buffer,) if buffer else (), len(buffer), crc32c(buffer))
