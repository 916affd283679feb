"""The thread that runs the loop of a blocking session.

It is a daemon, so a session that is never closed does not hold the interpreter up; what is open then is closed
by an exit handler that waits for a bounded time.
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
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, Generic, ParamSpec, TypeVar

from dxflow_async.exceptions import SessionClosedError

__all__ = ["GRACE", "Portal", "loop_factory"]

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

GRACE = 5.0
"""How long work that is cancelled may take to clean up, in seconds."""

_BATCH_SECONDS = 0.05
# Ctrl-C is seen between two waits: on Windows, and wherever another thread than the waiting one gets the signal.
_POLL = 0.2

_log = logging.getLogger("dxflow_async.blocking")


class Portal:
    """Runs coroutines for threads that wait for them, in a loop and a thread of its own.

    Any number of threads may call at once, also threads that run a loop themselves. A call costs some 0.15 ms.

    Raises (every method but `close` and `stop`):
        SessionClosedError: the portal is closed, was closed meanwhile, or belongs to the process forked from.
        RuntimeError: called from the portal's own thread, which would wait for itself.

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
        """What `await function(*args, **kwargs)` returns or raises.

        An exception that arrives while waiting, as KeyboardInterrupt on Ctrl-C, cancels the work, waits for its
        clean-up for at most `GRACE` seconds, and goes on.
        """
        job = _Job(functools.partial(function, *args, **kwargs))
        return self._follow(job, functools.partial(_result, job.future))

    def call_soon(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """What the plain function returns or raises when it is called in the loop."""

        async def call() -> T:
            return function(*args, **kwargs)

        return self.call(call)

    def enter(self, make: Callable[[], contextlib.AbstractAsyncContextManager[T]]) -> T:
        """Makes a context manager and enters it, in the loop; it is left when the portal closes."""

        async def enter() -> T:
            return await self._stack.enter_async_context(make())

        return self.call(enter)

    def iterate(
        self,
        make: Callable[[], AsyncIterator[T]],
        *,
        limit: int = 1000,
        weigh: Callable[[T], int] = lambda _: 1,
    ) -> Iterator[T]:
        """The items of an asynchronous iterator, fetched in batches.

        Args:
            make: makes the iterator, in the loop; an `aclose` it has is called at the end.
            limit: the weight of a batch; one ends sooner when it has taken 50 ms.
            weigh: an item's weight.
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
            self._discard(iterator)

    def feed(self, function: Callable[[AsyncIterator[T]], Awaitable[R]], items: Iterable[Sequence[T]]) -> R:
        """What `await function(stream)` returns; `stream` yields what is in `items`, which this thread iterates.

        So a generator runs in the thread of its owner, and only when more is wanted.
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
        """Cancels what is running, leaves what was entered, and ends the thread; may be called again."""
        self.stop()
        if self._pid == os.getpid() and not self._inside():
            self._thread.join(2 * GRACE)

    def stop(self) -> None:
        """As `close`, without waiting; safe wherever garbage is collected."""
        if self._closing or self._pid != os.getpid():
            return
        self._closing = True
        atexit.unregister(self.close)
        with contextlib.suppress(SessionClosedError):
            self._submit(self._stopped.set)

    def _inside(self) -> bool:
        return threading.get_ident() == self._thread.ident

    def _check(self) -> None:
        if self._pid != os.getpid():
            raise SessionClosedError(
                f"this session belongs to process {self._pid} and cannot be used in one forked from it; "
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
        """Starts a job and waits for it, and never leaves before it has ended or had its time to."""
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

    def _discard(self, iterator: AsyncIterator[Any]) -> None:
        """Closes an iterator, without waiting: this may run in any thread, wherever garbage is collected."""
        aclose = getattr(iterator, "aclose", None)
        if aclose is not None and not self._closing and self._pid == os.getpid():
            with contextlib.suppress(SessionClosedError):
                self._submit(_Job(aclose).start)

    def _run(self) -> None:
        # Not asyncio.Runner: it ends by starting a thread, which no interpreter that is ending allows.
        loop, executor = self._loop, _Executor(thread_name_prefix="dxflow-portal")
        loop.set_default_executor(executor)
        loop.slow_callback_duration = math.inf  # in debug mode told to who runs the program, who cannot help it
        try:
            loop.run_until_complete(self._serve())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            executor.shutdown()
            loop.close()
            for job in list(self._jobs):
                job.future.cancel()

    async def _serve(self) -> None:
        await self._stopped.wait()
        # What they have started ends with them, in their own order.
        await _end_tasks({job.task for job in list(self._jobs) if job.task is not None})
        try:
            async with asyncio.timeout(GRACE):
                await self._stack.aclose()
        except Exception:  # noqa: BLE001 - whatever it is, the thread is to end
            _log.exception("closing the session failed")
        await _end_tasks(asyncio.all_tasks() - {asyncio.current_task()})


class _Job(Generic[T]):
    """A call on its way: made in the caller's thread, everything else happens in the loop."""

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


class _Executor(ThreadPoolExecutor):
    """Threads that take work also while the interpreter ends, when there are no new ones: then it is done at once."""

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        try:
            return super().submit(function, *args, **kwargs)
        except RuntimeError:
            future: Future[T] = Future()
            try:
                future.set_result(function(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 - handed to who waits
                future.set_exception(error)
            return future


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes a loop: uvloop where it is installed, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


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
    """Items, whether there may be more, and the error that came after them."""
    items: list[T] = []
    weight, deadline = 0, time.monotonic() + _BATCH_SECONDS
    try:
        async for item in iterator:
            items.append(item)
            weight += weigh(item)
            if weight >= limit or time.monotonic() >= deadline:
                return items, True, None
    except Exception as error:  # noqa: BLE001 - raised once what came before it is delivered
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
