"""The asynchronous iterators that calls return."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from anyio import CancelScope

from dxflow_async.concurrency.ownership import Owner

__all__ = ["AsyncItemStream"]

T_co = TypeVar("T_co", covariant=True)

_Step = tuple[Sequence[T_co] | None, Exception | None]


class AsyncItemStream(AsyncGenerator[T_co, None]):
    """Yields the items of a call, such as the chunks of an object.

    A stream that is not read to its end holds a connection until it is closed: with `aclose`, at the end of
    `async with`, or when it is garbage collected.

    Cancelling `anext` loses nothing: the next one gets the item. So a timeout around it may be followed by another try.

    Args:
        batches: the generator that yields the items, several at a time.
        owner: where the items may be read.

    Example:
        >>> async def first_chunk(storage: "AsyncStorageManager") -> bytes:
        ...     async with storage.read("/bucket/object") as chunks:
        ...         return await anext(chunks, b"")
    """

    def __init__(self, batches: AsyncGenerator[Sequence[T_co], None], owner: Owner) -> None:
        self._batches = batches
        self._owner = owner
        self._batch: Iterator[T_co] = iter(())
        # A step of the generator is a task of its own: cancelling the one who waits for it does not cancel the step.
        self._step: asyncio.Task[_Step[T_co]] | None = None
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T_co:
        owner = self._owner
        if owner.forked or owner.loop is not asyncio._get_running_loop():
            owner.check()
        while True:
            for item in self._batch:
                return item
            if self._ended:
                raise StopAsyncIteration
            await self._next_batch()

    async def batches(self) -> AsyncGenerator[Sequence[T_co], None]:
        """Yields the items that are left several at a time, as they arrive."""
        self._owner.check()
        while not self._ended:
            if left := [*self._batch]:
                yield left
            await self._next_batch()
        if left := [*self._batch]:
            yield left

    async def asend(self, value: None) -> T_co:
        """Returns the next item, as `anext` does.

        Args:
            value: has no effect.
        """
        return await anext(self)

    async def athrow(self, *error: Any) -> T_co:
        """Raises an error where the stream stands, and ends the stream.

        Args:
            error: the error, as for `athrow` of an asynchronous generator.
        """
        self._owner.check()
        await self._end()
        await self._batches.athrow(*error)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Ends the stream, and gives its connection back. A second call does nothing."""
        if self._owner.forked:
            return  # the connection is the parent's
        self._owner.check_place()
        await self._end()
        await self._batches.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        step = self._step
        if step is not None and not step.done() and not self._owner.forked:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and with it the connection
                step.get_loop().call_soon_threadsafe(step.cancel)

    async def _next_batch(self) -> None:
        """Waits for the step that runs, or begins one; several callers may wait for one step."""
        if self._step is None:
            self._step = asyncio.create_task(_next_step(self._batches))
        step = self._step
        await asyncio.wait((step,))
        if self._step is not step:
            return  # another caller has taken its items
        self._step = None
        if step.cancelled():
            self._ended = True
            raise asyncio.CancelledError
        batch, error = step.result()
        if batch is not None:
            self._batch = iter(batch)
            return
        self._ended = True
        if error is not None:
            raise error

    async def _end(self) -> None:
        """Cancels the step that runs, and waits until it has cleaned up."""
        self._batch, self._ended = iter(()), True
        step, self._step = self._step, None
        if step is not None and not step.done():
            step.cancel()
            with CancelScope(shield=True):
                await asyncio.wait((step,))


async def _next_step(batches: AsyncGenerator[Sequence[T_co], None]) -> _Step[T_co]:
    """Returns the next items, None at the end, or the error in its place: nobody may wait for it any more."""
    try:
        return await anext(batches, None), None
    except Exception as error:  # noqa: BLE001 - raised where the item is waited for
        return None, error
