"""The body of a request, as aiohttp takes it: an async iterator that knows how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from time import monotonic

from dxflow_async.net.request import SEND_SIZE, Throttle, check_body_size
from dxflow_async.streams import Body, Buffer

__all__ = ["SentBody"]


class SentBody:
    """Gives a body's bytes to aiohttp, in pieces of `SEND_SIZE`.

    aiohttp takes the pieces in a task of its own, and turns what the body raises into errors of its own. Here the
    original error is kept, and `settle` waits until the task has left the body.

    Args:
        body: what is sent.
        throttle: a cap on the bytes a second, or None.
        on_complete: called once all pieces were taken.

    Attributes:
        complete: all pieces were taken.
        error: what the body raised.
        inside: the next piece is being fetched.
        moved_at: when a piece was last taken, by the monotonic clock.
        waited: seconds that the body and the throttle took to give the pieces.
    """

    def __init__(self, body: Body, throttle: Throttle | None, on_complete: Callable[[], None]) -> None:
        self.complete = False
        self.error: BaseException | None = None
        self.inside = False
        self.moved_at = monotonic()
        self.waited = 0.0
        self._body = body
        self._throttle = throttle
        self._on_complete = on_complete
        self._chunks: AsyncIterator[Buffer] = aiter(body)
        self._rest = memoryview(b"")
        self._size = 0
        self._stopped = False
        self._left: asyncio.Future[None] | None = None

    @property
    def taken(self) -> int:
        """Bytes that aiohttp has taken."""
        return self._size - len(self._rest)

    def __aiter__(self) -> AsyncIterator[Buffer]:
        return self

    async def __anext__(self) -> Buffer:
        if self._stopped:
            # An error would stop aiohttp from timing out the response; it cancels its task once that is closed.
            await asyncio.get_running_loop().create_future()
        self.inside, began_at = True, monotonic()
        try:
            piece = await self._next()
        except StopAsyncIteration:
            self.complete = True
            self._on_complete()
            raise
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.inside = False
            self.moved_at = monotonic()
            self.waited += self.moved_at - began_at
            if self._left is not None and not self._left.done():
                self._left.set_result(None)
        return piece

    async def _next(self) -> Buffer:
        while not self._rest:
            try:
                chunk = await anext(self._chunks)
            except StopAsyncIteration:
                check_body_size(self._body, self._size, ended=True)
                raise
            self._rest = memoryview(chunk)
            self._size += len(self._rest)
            check_body_size(self._body, self._size, ended=False)
        piece, self._rest = self._rest[:SEND_SIZE], self._rest[SEND_SIZE:]
        if self._throttle is not None:
            await self._throttle.take(len(piece))
        return piece

    async def settle(self) -> None:
        """Returns once nobody reads the body any more, even when cancelled meanwhile; no piece is taken afterwards."""
        self._stopped = True
        cancelled = False
        while self.inside:
            self._left = asyncio.get_running_loop().create_future()
            try:
                await asyncio.wait([self._left])
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError
        with suppress(Exception):
            close = getattr(self._chunks, "aclose", None)
            if close is not None:
                await close()
