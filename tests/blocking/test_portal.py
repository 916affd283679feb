"""The portal alone, with small coroutines."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from dxflow_async.blocking import portal as portal_module
from dxflow_async.blocking.portal import Portal
from dxflow_async.exceptions import SessionClosedError

pytestmark = pytest.mark.usefixtures("on_each_loop")


class Worked:
    """A coroutine that hangs until it is cancelled, and tells of it."""

    def __init__(self, cleanup_seconds: float = 0.0) -> None:
        self.started = threading.Event()
        self.cleaned_up = threading.Event()
        self._cleanup_seconds = cleanup_seconds

    async def hang(self) -> None:
        try:
            self.started.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(self._cleanup_seconds)
            self.cleaned_up.set()


async def _count(to: int) -> AsyncIterator[int]:
    for number in range(to):
        yield number


def _interrupt_when(event: threading.Event) -> threading.Thread:
    def interrupt() -> None:
        event.wait()
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


def test_call_returns_what_the_coroutine_returns(portal: Portal) -> None:
    """A call is the awaited call."""
    assert portal.call(asyncio.sleep, 0, result="done") == "done"


def test_call_raises_what_the_coroutine_raises(portal: Portal) -> None:
    """The very error of the coroutine reaches the caller, a TimeoutError too."""

    async def fail(error: Exception) -> None:
        raise error

    for error in (KeyError("mine"), TimeoutError("mine")):
        with pytest.raises(type(error), match="mine") as caught:
            portal.call(fail, error)
        assert caught.value is error


def test_call_sees_the_context_variables_of_its_caller(portal: Portal) -> None:
    """What the caller set in its context is there in the coroutine."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def get() -> str:
        return variable.get()

    variable.set("set by the caller")
    assert portal.call(get) == "set by the caller"


def test_calls_of_16_threads_run_at_once(portal: Portal) -> None:
    """No call waits for that of another thread: all 16 meet at one barrier."""
    waiting = 0
    everyone = asyncio.Event()

    async def meet(number: int) -> int:
        nonlocal waiting
        waiting += 1
        if waiting == 16:
            everyone.set()
        await everyone.wait()
        return number

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(lambda number: portal.call(meet, number), range(16))) == list(range(16))


async def test_call_works_where_a_loop_is_running(portal: Portal) -> None:
    """As in Jupyter: the caller's thread runs a loop, and that is another one."""

    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    assert portal.call(loop) is not asyncio.get_running_loop()


def test_call_from_the_portals_own_thread_is_an_error(portal: Portal) -> None:
    """It would wait for itself; it is told so instead."""

    async def call_again() -> None:
        portal.call(asyncio.sleep, 0)

    with pytest.raises(RuntimeError, match="own thread"):
        portal.call(call_again)


def test_call_after_close_is_an_error(portal: Portal) -> None:
    """Closed is closed; closing again does nothing."""
    portal.close()
    portal.close()
    with pytest.raises(SessionClosedError):
        portal.call(asyncio.sleep, 0)
    with pytest.raises(SessionClosedError):
        list(portal.iterate(partial(_count, 3)))
    with pytest.raises(SessionClosedError):
        portal.feed(lambda _: asyncio.sleep(0), [])


def test_close_ends_the_calls_of_other_threads(portal: Portal) -> None:
    """A call under way is cancelled, cleans up, and raises SessionClosedError."""
    worked = Worked(cleanup_seconds=0.05)
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(portal.call, worked.hang)
        worked.started.wait()
        portal.close()
        assert worked.cleaned_up.is_set()
        with pytest.raises(SessionClosedError):
            call.result()


def test_close_while_threads_keep_calling_hangs_none_of_them() -> None:
    """Each call ends with its result or with SessionClosedError, at whatever moment the portal is closed."""
    portal = Portal()

    def keep_calling() -> int:
        count = 0
        with contextlib.suppress(SessionClosedError):
            while portal.call(asyncio.sleep, 0, result=True):
                count += 1
        return count

    with ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(keep_calling) for _ in range(8)]
        time.sleep(0.2)
        portal.close()
        assert all(call.result(timeout=30) for call in calls)


def test_ctrl_c_cancels_the_work_and_waits_for_its_clean_up(portal: Portal) -> None:
    """KeyboardInterrupt comes after the clean-up, and the portal is as good as before."""
    worked = Worked(cleanup_seconds=0.2)
    interrupter = _interrupt_when(worked.started)
    with pytest.raises(KeyboardInterrupt):
        portal.call(worked.hang)
    assert worked.cleaned_up.is_set()
    interrupter.join()
    assert portal.call(asyncio.sleep, 0, result="alive") == "alive"


@pytest.mark.parametrize("fed", [False, True])
def test_ctrl_c_that_another_thread_gets_is_seen(portal: Portal, fed: bool) -> None:
    """The system may give the signal to any thread, and then the waiting one sleeps on; the work is cancelled still."""
    worked = Worked(cleanup_seconds=0.0)

    def interrupt() -> None:
        worked.started.wait()
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        portal.feed(lambda _: worked.hang(), ()) if fed else portal.call(worked.hang)
    assert worked.cleaned_up.is_set()
    interrupter.join()


def test_ctrl_c_does_not_wait_for_ever(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clean-up that does not end is left alone after its grace."""
    monkeypatch.setattr(portal_module, "GRACE", 0.1)
    worked = Worked(cleanup_seconds=3600)
    interrupter = _interrupt_when(worked.started)
    with pytest.raises(KeyboardInterrupt):
        portal.call(worked.hang)
    assert not worked.cleaned_up.is_set()
    interrupter.join()


def test_iterate_yields_every_item_in_order(portal: Portal) -> None:
    """Batches do not show."""
    assert list(portal.iterate(partial(_count, 2500), limit=100)) == list(range(2500))


def test_iterate_fetches_batches(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 items cost a handful of calls, not 1,000."""
    calls = 0
    call = portal.call

    def counted(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        return call(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(portal, "call", counted)
    assert sum(1 for _ in portal.iterate(partial(_count, 1000), limit=500)) == 1000
    assert calls < 50


def test_iterate_takes_no_more_than_a_batch_ahead(portal: Portal) -> None:
    """What the caller has not asked for is not fetched: the weight of a batch bounds it."""
    fetched = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal fetched
        while True:
            fetched += 1
            yield bytes(100)

    iterator = portal.iterate(chunks, limit=1000, weigh=len)
    next(iterator)
    assert fetched <= 10
    iterator.close()


def test_iterate_closes_what_is_left_early(portal: Portal) -> None:
    """Leaving the loop runs the clean-up of the asynchronous iterator."""
    closed = threading.Event()

    async def items() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.set()

    for _ in portal.iterate(items, limit=1):
        break
    assert closed.wait(30)


def test_iterate_delivers_what_came_before_an_error(portal: Portal) -> None:
    """Items first, then the error."""

    async def items() -> AsyncIterator[int]:
        yield 1
        yield 2
        raise KeyError("mine")

    iterator = portal.iterate(items)
    assert [next(iterator), next(iterator)] == [1, 2]
    with pytest.raises(KeyError, match="mine"):
        next(iterator)


async def _sum(stream: AsyncIterator[int]) -> int:
    total = 0
    async for number in stream:
        total += number
    return total


def test_feed_iterates_in_the_calling_thread(portal: Portal) -> None:
    """The caller's generator runs where the caller is, and may itself call the portal."""
    threads = set()

    def batches() -> Iterator[list[int]]:
        for number in range(100):
            threads.add(threading.get_ident())
            yield [portal.call(asyncio.sleep, 0, result=number)] * 2

    assert portal.feed(_sum, batches()) == 2 * sum(range(100))
    assert threads == {threading.get_ident()}


def test_feed_takes_only_what_is_wanted(portal: Portal) -> None:
    """A function that ends early leaves the rest where it is."""
    taken = []

    def batches() -> Iterator[list[int]]:
        for number in range(100):
            taken.append(number)
            yield [number]

    async def first(stream: AsyncIterator[int]) -> int:
        return await anext(stream)

    assert portal.feed(first, batches()) == 0
    assert taken == [0]


def test_feed_raises_what_the_function_raises(portal: Portal) -> None:
    """Also when nothing was taken."""

    async def fail(_: AsyncIterator[int]) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        portal.feed(fail, [[1]])


def test_feed_cancels_the_function_when_the_callers_generator_fails(portal: Portal) -> None:
    """The generator's own error comes out, after the function has cleaned up."""
    cleaned_up = threading.Event()

    def batches() -> Iterator[list[int]]:
        yield [1]
        raise KeyError("mine")

    async def take(stream: AsyncIterator[int]) -> int:
        try:
            return await _sum(stream)
        finally:
            await asyncio.sleep(0.05)
            cleaned_up.set()

    with pytest.raises(KeyError, match="mine"):
        portal.feed(take, batches())
    assert cleaned_up.is_set()


def test_what_was_entered_is_left_at_close() -> None:
    """In the reverse order, each once; what could not be entered is not left."""
    events = []

    @contextlib.asynccontextmanager
    async def manager(name: str) -> AsyncIterator[str]:
        if name == "fails":
            raise KeyError(name)
        yield name
        events.append(name)

    portal = Portal()
    assert [portal.enter(partial(manager, name)) for name in ("first", "second")] == ["first", "second"]
    with pytest.raises(KeyError):
        portal.enter(partial(manager, "fails"))
    portal.close()
    portal.close()
    assert events == ["second", "first"]


def test_closing_goes_on_after_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """What fails to close is told in the log, and the thread ends all the same."""

    @contextlib.asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        yield
        raise KeyError("mine")

    portal = Portal()
    portal.enter(manager)
    thread = portal._thread
    portal.close()
    assert not thread.is_alive()
    assert "closing the session failed" in caplog.text
