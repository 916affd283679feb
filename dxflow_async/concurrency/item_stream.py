"""The asynchronous iterators that calls return."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from dxflow_async.concurrency.ownership import Owner

__all__ = ["AsyncItemStream"]

T_co = TypeVar("T_co", covariant=True)


class AsyncItemStream(AsyncGenerator[T_co, None]):
    """Yields the items of a call, such as the chunks of an object.

    A stream that is not read to its end holds a connection until it is closed: with `aclose`, at the end of
    `async with`, or when it is garbage collected.

    Args:
        items: the generator that yields the items.
        owner: where the items may be read.

    Example:
        >>> async def first_chunk(storage: "AsyncStorageManager") -> bytes:
        ...     async with storage.read("/bucket/object") as chunks:
        ...         return await anext(chunks, b"")
    """

    def __init__(self, items: AsyncGenerator[T_co, None], owner: Owner) -> None:
        self._items = items
        self._owner = owner

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Coroutine[Any, Any, T_co]:
        owner = self._owner
        if owner.forked or owner.loop is not asyncio._get_running_loop():
            owner.check()
        return self._items.__anext__()

    def asend(self, value: None) -> Coroutine[Any, Any, T_co]:
        self._owner.check()
        return self._items.asend(value)

    def athrow(self, *error: Any) -> Coroutine[Any, Any, T_co]:
        self._owner.check()
        return self._items.athrow(*error)

    async def aclose(self) -> None:
        """Ends the stream, and gives its connection back. A second call does nothing."""
        if self._owner.forked:
            return  # the connection is the parent's
        self._owner.check_place()
        await self._items.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
