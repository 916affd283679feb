"""Threads for blocking work, made for many short calls.

`loop.run_in_executor` wakes the loop once a call: some 60 µs of CPU, more than the work on a small file. Here
finished calls are handed back together: while the loop is busy, any number of them cost one wake-up.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar, TypeVarTuple

from anyio import CancelScope

from dxflow_async.exceptions import SessionClosedError

__all__ = ["Threads"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Threads:
    """A few daemon threads that run calls for one event loop; started by the first call, ended by `close`.

    Args:
        count: how many threads.
        name: their name's beginning.

    Attributes:
        mark: eight digits that name them, for what they leave on a disk while they work.
    """

    def __init__(self, count: int, name: str = "dxflow-disk") -> None:
        self.mark = secrets.token_hex(4)
        self._count = count
        self._name = name
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._finished: deque[_Call] = deque()
        self._waking = False
        self._started = 0
        self._waiting = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """What `function(*args)` returns, run in a thread.

        When cancelled, waits for the call to end (its result is lost): what the caller cleans up next is at rest.
        """
        if self._closed:
            raise SessionClosedError("the session was closed; make a new one")
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        call = _Call(function, args, loop.create_future())
        self._waiting += 1
        if self._started < min(self._waiting, self._count):
            self._started += 1
            threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        self._calls.put(call)
        try:
            return await call.future  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            with CancelScope(shield=True):
                while not call.handed_back:
                    call.future = loop.create_future()
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.wait([call.future])
            if call.future.done() and not call.future.cancelled():
                call.future.exception()  # nobody is left to be told
            raise
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Lets the threads end once they have done what was asked of them."""
        self._closed = True
        for _ in range(self._started):
            self._calls.put(None)
        self._started = 0

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call.result = call.function(*call.args)
            except StopIteration as error:  # which no future can hold
                call.error = RuntimeError(f"{call.function!r} raised StopIteration")
                call.error.__cause__ = error
            except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
                call.error = error
            self._finished.append(call)
            if not self._waking:
                self._waking = True
                try:
                    assert self._loop is not None
                    self._loop.call_soon_threadsafe(self._hand_back)
                except RuntimeError:  # the loop was closed under us: nobody waits any more
                    return
            del call

    def _hand_back(self) -> None:
        self._waking = False
        while self._finished:
            call = self._finished.popleft()
            call.handed_back = True
            if call.future.done():
                continue
            if call.error is not None:
                call.future.set_exception(call.error)
            else:
                call.future.set_result(call.result)


class _Call:
    __slots__ = ("args", "error", "function", "future", "handed_back", "result")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], future: asyncio.Future[Any]) -> None:
        self.function = function
        self.args = args
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None
        self.handed_back = False
