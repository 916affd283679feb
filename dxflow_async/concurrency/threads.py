"""Threads for blocking work, made for many short calls.

`loop.run_in_executor` wakes the loop once per call, which takes some 60 µs of CPU: more than the work on a small file.
Here, finished calls are handed back together: while the loop is busy, any number of them cost one wake-up. No more
threads run than there are processors, because more of them would only compete for the interpreter. When calls have to
wait, the disk is slow or a call hangs; then more threads are started.

A thread that is woken takes the interpreter away from the loop, which costs more than opening a file. So short calls
go to one thread together (`run_short`): those that are made in one turn of the loop, or while the thread is busy with
others. A second thread would only take the interpreter away from the first one. On a slow disk, where a call takes
long, the rest of its batch is handed out call by call to any free thread.

On a machine whose processors are taken by others, everything takes long, and more threads only make it worse. So a
thread that was interrupted, and a timer that fires late, get more patience: eight times as much.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, TypeVar, TypeVarTuple

from anyio import CancelScope

if sys.platform == "linux":
    import resource

from dxflow_async.concurrency.commits import Commits
from dxflow_async.concurrency.owners import current_owner, forget_owner, new_owner_id, owned_by
from dxflow_async.exceptions import SessionClosedError

__all__ = ["Threads"]

_PATIENCE = 0.03
"""Seconds that a call waits before another thread is started. On a fast disk the longest calls take a third of it."""

_BATCH = 64
"""The most short calls that a thread takes at a time: their callers wait until all of them are made."""

_SLOW = 0.02
"""Seconds after which a thread gives up the rest of its batch. A fast disk takes a twentieth of it for a whole
batch, but a busy event loop keeps the interpreter for some milliseconds at a time."""

_LATE = 0.01
"""Seconds by which a timer is late if the loop waits for a processor, or for its own callbacks."""

_EXCUSES = 8
"""How many times the usual patience a busy machine gets."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Threads:
    """Daemon threads that run calls for one event loop. The first call starts them, and `close` ends them.

    Args:
        count: the most threads.
        name: the beginning of the threads' names.
        durable: files must be on disk before they count as written.

    Attributes:
        commits: brings written files to disk; None if that is left to the operating system.
    """

    def __init__(self, count: int, name: str = "dxflow-disk", *, durable: bool = True) -> None:
        self._owner_id = new_owner_id()
        self._owners = {self._owner_id}
        self.commits = Commits() if durable else None
        self._name = name
        self._calls: SimpleQueue[_Call | deque[_Call] | None] = SimpleQueue()
        self._finished: deque[_Call | deque[_Call]] = deque()
        self._waking = False
        self._gathered: deque[_Call] = deque()
        self._gathering = False
        self._batches: dict[int, deque[_Call]] = {}
        self._usual = min(count, os.cpu_count() or 1)
        self._started = 0
        self._more = count > self._usual
        self._spare = deque(range(self._usual + 1, count + 1))
        self._waiting = 0
        self._latest: _Call | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._excused = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Runs `function(*args)` in a thread and returns its result.

        A cancelled call waits for the function to end and drops its result, so that the caller can clean up safely.

        Args:
            function: it may block.
            args: its arguments.

        Returns:
            What the function returns.

        Raises:
            SessionClosedError: after `close`.
            Exception: that of the function.
        """
        call = self._new_call(function, args)
        self._calls.put(call)
        if self._more:
            self._watch(call)
        try:
            return await call.future  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            await self._outlast(call)
            raise
        finally:
            self._waiting -= 1

    async def acquire(self, function: Callable[[*Ts], T], *args: *Ts, release: Callable[[T], object]) -> T:
        """Like `run`, for a function that opens something.

        Args:
            function, args: as for `run`.
            release: closes the result again, in the same thread, if the call is cancelled.

        Returns:
            What the function returns.
        """
        opened: list[T] = []

        def call() -> None:
            opened.append(function(*args))

        try:
            await self.run(call)
        except asyncio.CancelledError:
            for each in opened:
                await self.finish(release, each)
            raise
        return opened[0]

    async def finish(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Like `run`, for clean-up. After `close` there is no thread, and the function runs here.

        Args:
            function, args: as for `run`.

        Returns:
            What the function returns.
        """
        return function(*args) if self._closed else await self.run(function, *args)

    async def run_short(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Like `run`, for a call that takes some microseconds unless the disk is slow. Others share its thread.

        Args:
            function, args: as for `run`.

        Returns:
            What the function returns.
        """
        call = self._new_call(function, args)
        gathered = self._gathered
        gathered.append(call)
        if not self._batches and not self._gathering:
            self._gathering = True
            call.future.get_loop().call_soon(self._end_turn)
        self._watch(call)
        try:
            return await call.future  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            await self._outlast(call)
            raise
        finally:
            self._waiting -= 1

    def _new_call(self, function: Callable[..., Any], args: tuple[Any, ...]) -> _Call:
        if self._closed:
            raise SessionClosedError("the session is closed; create a new one")
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        self._waiting += 1
        if self._started < min(self._waiting, self._usual):
            if self._start(self._started + 1, self._work):
                self._started += 1
            elif not self._started:
                self._waiting -= 1
                raise MemoryError("no thread can be started: this process has no memory left, or too many threads")
        return _Call(function, args, loop.create_future())

    async def _outlast(self, call: _Call) -> None:
        """Waits until a call whose caller is cancelled has ended."""
        assert self._loop is not None
        with CancelScope(shield=True):
            while not call.handed_back:
                call.future = self._loop.create_future()
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([call.future])
        if call.future.done() and not call.future.cancelled():
            call.future.exception()  # nobody is left to see it

    @property
    def owner_id(self) -> str:
        """Eight digits in the names of the temporary files that are written now: those of the current call."""
        return current_owner() or self._owner_id

    @contextlib.contextmanager
    def owning(self) -> Iterator[None]:
        """Has a call own the files that it writes within the block.

        What is left of a call that fails is hidden by listings until the threads are closed.
        """
        owner_id = new_owner_id()
        self._owners.add(owner_id)
        with owned_by(owner_id):
            yield
        self._owners.discard(owner_id)
        forget_owner(owner_id)

    def close(self) -> None:
        """Ends the threads once they have finished their calls."""
        self._closed = True
        for owner_id in self._owners:
            forget_owner(owner_id)
        if self.commits is not None:
            self.commits.close()
        if self._timer is not None:
            self._timer.cancel()
        self._scatter()
        for _ in range(self._started):
            self._calls.put(None)
        self._started = 0

    def _start(self, number: int, work: Callable[..., None], *args: int) -> bool:
        """Starts a thread. Returns whether it could: without memory, those that run have to do."""
        try:
            threading.Thread(target=work, args=args, name=f"{self._name}-{number}", daemon=True).start()
        except RuntimeError:
            return False
        return True

    def _end_turn(self) -> None:
        self._gathering = False
        if self._gathered:
            self._send_gathered()

    def _send_gathered(self) -> None:
        """Hands the gathered calls to a thread."""
        gathered = self._gathered
        if len(gathered) <= _BATCH:
            batch, self._gathered = gathered, deque()
        else:
            batch = deque([gathered.popleft() for _ in range(_BATCH)])
        self._batches[id(batch)] = batch
        self._calls.put(batch)

    def _scatter(self) -> None:
        """Hands out each short call that has not begun by itself."""
        for batch in (*self._batches.values(), self._gathered):
            with contextlib.suppress(IndexError):  # the batch's thread takes calls from it, too
                while True:
                    self._calls.put(batch.popleft())

    def _watch(self, call: _Call) -> None:
        """Looks whether a call waits for long."""
        self._latest = call
        if self._timer is None:
            self._due = monotonic() + _PATIENCE
            self._timer = call.future.get_loop().call_later(_PATIENCE, self._look, call)

    def _look(self, call: _Call) -> None:
        """Starts another thread if a call waited since the timer was set; sets the timer for the latest call.

        Where a batch hangs, the results that it has so far are handed back, and other threads take the rest of it.
        """
        late, self._timer = monotonic() - self._due > _LATE, None
        if self._batches:
            self._hand_back()
        if call.begun:
            self._excused = 0
        elif late and self._excused < _EXCUSES:
            self._excused += 1
            if self._latest is None or self._latest.begun:
                self._latest = call
        else:
            self._excused = 0
            self._scatter()
            if self._spare:
                number = self._spare.popleft()
                if not self._start(number, self._help, number):
                    self._spare.append(number)
        latest, self._latest = self._latest, None
        if latest is not None and (self._batches or not latest.begun):
            self._watch(latest)

    def _work(self) -> None:
        while self._do(self._calls.get()):
            pass

    def _help(self, number: int) -> None:
        """Works until no call waits."""
        with contextlib.suppress(Empty):
            while self._do(self._calls.get_nowait()):
                pass
            self._calls.put(None)  # that one was meant to end another thread
        self._spare.append(number)

    def _do(self, calls: _Call | deque[_Call] | None) -> bool:
        """Makes one or several calls, and returns whether to go on with others."""
        if calls is None:
            return False
        if isinstance(calls, _Call):
            self._make(calls)
        else:
            self._make_each(calls)
        self._finished.append(calls)
        if not self._waking:
            self._waking = True
            try:
                assert self._loop is not None
                self._loop.call_soon_threadsafe(self._hand_back)
            except RuntimeError:  # the loop was closed meanwhile: nobody waits any more
                return False
        return True

    def _make_each(self, batch: deque[_Call]) -> None:
        began, interruptions = monotonic(), _count_interruptions()
        patience = _SLOW
        with contextlib.suppress(IndexError):  # the loop takes calls from a batch whose thread hangs
            while True:
                call = batch.popleft()
                self._make(call)
                self._finished.append(call)
                if monotonic() - began > patience:
                    if patience == _SLOW and _count_interruptions() > interruptions:
                        patience *= _EXCUSES
                        continue
                    while True:
                        self._calls.put(batch.popleft())

    def _make(self, call: _Call) -> None:
        call.begun = True
        try:
            call.result = call.function(*call.args)
        except StopIteration as error:  # no future can hold this exception
            call.error = RuntimeError(f"{call.function!r} raised StopIteration")
            call.error.__cause__ = error
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
            call.error = error
        # The timer, or the thread, may know the call for long; the memory that it worked on is the caller's.
        call.function, call.args = _ended, ()

    def _hand_back(self) -> None:
        self._waking = False
        while self._finished:
            call = self._finished.popleft()
            if isinstance(call, deque):
                del self._batches[id(call)]
                continue
            call.handed_back = True
            if call.future.done():
                continue
            if call.error is not None:
                call.future.set_exception(call.error)
            else:
                call.future.set_result(call.result)
        if self._gathered and not self._batches:
            self._send_gathered()


def _count_interruptions() -> int:
    """Returns how often this thread has lost its processor to others; 0 where the system does not count that.

    Source: https://man7.org/linux/man-pages/man2/getrusage.2.html (ru_nivcsw)
    """
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw if sys.platform == "linux" else 0


def _ended() -> None:
    """Takes the place of a function that was called."""


class _Call:
    __slots__ = ("args", "begun", "error", "function", "future", "handed_back", "result")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], future: asyncio.Future[Any]) -> None:
        self.function = function
        self.args = args
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None
        self.begun = False
        self.handed_back = False
