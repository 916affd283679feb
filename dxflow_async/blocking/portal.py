"""The thread that runs the event loop of a blocking session.

It is a daemon thread: a session that is never closed does not keep the interpreter from ending. An exit handler closes
it then, and waits for a bounded time.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import functools
import logging
import math
import os
import queue
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any, Generic, ParamSpec, TypeVar

from dxflow_async.concurrency.exit_safe_executor import ExitSafeExecutor
from dxflow_async.exceptions import SessionClosedError

__all__ = ["GRACE", "Portal", "loop_factory"]

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

GRACE = 5.0
"""The seconds that a cancelled call has for cleaning up."""

_BATCH_SECONDS = 0.05
# Threads wait in steps of so many seconds: Ctrl-C is noticed between two steps when another thread gets the signal.
_POLL = 0.2

_log = logging.getLogger("dxflow_async.blocking")


class Portal:
    """Runs coroutines in a thread with an event loop of its own, for threads that wait for them.

    Any number of threads may call at once, also threads that run an event loop. A call costs some 0.15 ms.

    Raises (every method but `close` and `stop`):
        SessionClosedError: the portal is closed, or was closed during the call, or belongs to the parent process.
        RuntimeError: the call was made in the portal's own thread, which would wait for itself.

    Example:
        >>> portal = Portal()
        >>> portal.call(asyncio.sleep, 0, "done")
        'done'
        >>> portal.close()
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._jobs: set[_Job[Any]] = set()
        self._stack = contextlib.AsyncExitStack()
        self._closing = False
        self._stopped = asyncio.Event()
        self._loop = loop_factory()()
        self._thread = threading.Thread(target=self._run, name="dxflow-portal", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    @property
    def closing(self) -> bool:
        """Whether `close` or `stop` was called."""
        return self._closing

    def call(self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns or raises the outcome of `await function(*args, **kwargs)`.

        An exception in the waiting thread, such as KeyboardInterrupt on Ctrl-C, cancels the call, waits at most `GRACE`
        seconds for its clean-up, and is raised.
        """
        job = _Job(functools.partial(function, *args, **kwargs))
        return self._follow(job, functools.partial(_result, job.future))

    def call_soon(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns or raises the outcome of a plain function that is called in the event loop."""

        async def call() -> T:
            return function(*args, **kwargs)

        return self.call(call)

    def enter(self, make: Callable[[], contextlib.AbstractAsyncContextManager[T]]) -> T:
        """Makes a context manager and enters it, in the event loop. It is left when the portal closes."""

        async def enter() -> T:
            return await self._stack.enter_async_context(make())

        return self.call(enter)

    def iterate(
        self,
        make: Callable[[], AsyncIterator[T]],
        *,
        limit: int = 1000,
        weigh: Callable[[T], int] = lambda _: 1,
    ) -> Generator[T, None, None]:
        """Yields the items of an asynchronous iterator, fetched in batches.

        Args:
            make: makes the iterator, in the event loop. Its `aclose` is called at the end, if it has one.
            limit: the weight of a batch. A batch ends sooner when it has taken 50 ms.
            weigh: returns an item's weight.
        """
        iterator = self.call_soon(make)
        try:
            more = True
            while more:
                items, more, error = self.call(_next_batch, iterator, limit, weigh)
                yield from items
                if error is not None:
                    raise error
        finally:
            aclose = getattr(iterator, "aclose", None)
            if aclose is not None:
                self.release(aclose)

    def release(self, function: Callable[[], Awaitable[object]]) -> None:
        """Begins `await function()` without waiting, in any thread, also during garbage collection."""
        if not self._closing and self._pid == os.getpid():
            with contextlib.suppress(SessionClosedError):
                self._submit(_Job(function).start)

    def feed(self, function: Callable[[AsyncIterator[T]], Awaitable[R]], items: Iterable[Sequence[T]]) -> R:
        """Returns or raises the outcome of `await function(stream)`; `stream` yields the elements of `items`.

        `items` is iterated in the calling thread, and only when the stream is read: a generator runs in the thread of
        its owner.
        """
        requests: queue.SimpleQueue[asyncio.Future[Sequence[T] | None] | None] = queue.SimpleQueue()
        job = _Job(lambda: function(_stream(requests)))
        job.future.add_done_callback(lambda _: requests.put(None))

        def serve() -> R:
            batches = iter(items)
            while (request := _get(requests)) is not None:
                self._submit(_answer, request, next(batches, None))
            return job.future.result()

        return self._follow(job, serve)

    def close(self) -> None:
        """Cancels running calls, leaves the entered context managers, and ends the thread. It may be called again."""
        self.stop()
        if self._pid == os.getpid() and not self._inside():
            self._thread.join(2 * GRACE)

    def stop(self) -> None:
        """Closes without waiting. It is safe to call during garbage collection."""
        if self._closing or self._pid != os.getpid():
            return
        self._closing = True
        with contextlib.suppress(SessionClosedError):
            self._submit(self._stopped.set)

    def _inside(self) -> bool:
        return threading.get_ident() == self._thread.ident

    def _check(self) -> None:
        if self._pid != os.getpid():
            raise SessionClosedError(
                f"this session belongs to process {self._pid} and cannot be used in a process forked from it; "
                "make a Session after the fork",
            )
        if self._inside():
            raise RuntimeError(
                "a blocking call was made in the session's own thread (from on_progress, for instance), "
                "where it would wait for itself; make it in another thread",
            )
        if self._closing:
            raise SessionClosedError("the session is closed; make a new one")

    def _submit(self, callback: Callable[..., object], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            raise SessionClosedError("the session is closed; make a new one") from None

    def _follow(self, job: _Job[Any], wait: Callable[[], R]) -> R:
        """Starts a job and waits for it. It returns only after the job has ended, or had its time to clean up."""
        self._check()
        self._jobs.add(job)
        try:
            self._submit(job.start)
            return wait()
        except CancelledError:
            raise SessionClosedError("the session was closed during the call") from None
        except BaseException:
            if not job.future.done():
                self._cancel(job)
            raise
        finally:
            self._jobs.discard(job)
            del job, wait

    def _cancel(self, job: _Job[Any]) -> None:
        with contextlib.suppress(SessionClosedError):
            self._submit(job.cancel)
        deadline = time.monotonic() + GRACE
        while not job.future.done() and (left := deadline - time.monotonic()) > 0:
            try:
                job.future.exception(min(left, _POLL))
            except (TimeoutError, CancelledError):
                continue

    def _run(self) -> None:
        # Not asyncio.Runner: it starts a thread at its end, which an ending interpreter does not allow.
        loop, executor = self._loop, ExitSafeExecutor(thread_name_prefix="dxflow-portal")
        loop.set_default_executor(executor)
        loop.slow_callback_duration = math.inf  # users of debug mode cannot change our callbacks
        try:
            loop.run_until_complete(self._serve())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            executor.shutdown()
            loop.close()
            for job in list(self._jobs):
                job.future.cancel()
            atexit.unregister(self.close)  # until here, an ending interpreter waits for this thread

    async def _serve(self) -> None:
        await self._stopped.wait()
        # Calls end first: they end what they have started, in their own order.
        await _end_tasks({job.task for job in list(self._jobs) if job.task is not None})
        try:
            async with asyncio.timeout(GRACE):
                await self._stack.aclose()
        except Exception:  # noqa: BLE001 - the thread ends whatever happens
            _log.exception("closing the session failed")
        await _end_tasks(asyncio.all_tasks() - {asyncio.current_task()})


class _Job(Generic[T]):
    """A running call. It is made in the caller's thread; everything else happens in the event loop."""

    def __init__(self, function: Callable[[], Awaitable[T]]) -> None:
        self.future: Future[T] = Future()
        self.task: asyncio.Task[T] | None = None
        self._function = function
        self._context = contextvars.copy_context()
        self._cancelled = False

    def start(self) -> None:
        if self._cancelled:
            self.future.cancel()
            return
        self.task = asyncio.get_running_loop().create_task(self._await(), context=self._context)
        self.task.add_done_callback(self._done)

    def cancel(self) -> None:
        self._cancelled = True
        if self.task is not None:
            self.task.cancel()

    async def _await(self) -> T:
        return await self._function()

    def _done(self, task: asyncio.Task[T]) -> None:
        if self.future.done():
            return
        if task.cancelled():
            self.future.cancel()
        elif (error := task.exception()) is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(task.result())


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Returns the function that makes an event loop: uvloop's if it is installed, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop

    class Loop(uvloop.Loop):
        """uvloop's loop without libuv's threads, which resolve names.

        A forked child would wait for them when it ends, and crash, since a child has no threads of its parent's:
        https://github.com/libuv/libuv/blob/v1.x/src/threadpool.c
        """

        async def getaddrinfo(self, host: Any, port: Any, **options: int) -> list[Any]:
            return await self.run_in_executor(None, functools.partial(socket.getaddrinfo, host, port, **options))

        async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
            return await self.run_in_executor(None, socket.getnameinfo, sockaddr, flags)

    return Loop


async def _end_tasks(tasks: Iterable[asyncio.Task[Any] | None]) -> None:
    running = {task for task in tasks if task is not None and not task.done()}
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running, timeout=GRACE)


def _result(future: Future[T]) -> T:
    while True:
        try:
            return future.result(_POLL)
        except TimeoutError:
            if future.done():
                raise


def _get(requests: queue.SimpleQueue[T]) -> T:
    while True:
        try:
            return requests.get(timeout=_POLL)
        except queue.Empty:
            continue


async def _next_batch(
    iterator: AsyncIterator[T],
    limit: int,
    weigh: Callable[[T], int],
) -> tuple[list[T], bool, Exception | None]:
    """Returns items, whether there may be more, and the error that followed them."""
    items: list[T] = []
    weight, deadline = 0, time.monotonic() + _BATCH_SECONDS
    try:
        async for item in iterator:
            items.append(item)
            weight += weigh(item)
            if weight >= limit or time.monotonic() >= deadline:
                return items, True, None
    except Exception as error:  # noqa: BLE001 - raised after the items before it are delivered
        return items, False, error
    return items, False, None


async def _stream(
    requests: queue.SimpleQueue[asyncio.Future[Sequence[T] | None] | None],
) -> AsyncIterator[T]:
    while True:
        request: asyncio.Future[Sequence[T] | None] = asyncio.get_running_loop().create_future()
        requests.put(request)
        batch = await request
        if batch is None:
            return
        for item in batch:
            yield item


def _answer(request: asyncio.Future[T], value: T) -> None:
    if not request.done():
        request.set_result(value)
