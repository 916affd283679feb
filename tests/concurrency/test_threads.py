from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from dxflow_async.concurrency.commits import Commits
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import SessionClosedError

pytestmark = pytest.mark.every_loop


async def test_result(threads: Threads) -> None:
    """A call returns what its function returns, run in another thread."""
    assert await threads.run(lambda a, b: a + b, 1, 2) == 3
    assert await threads.run(threading.get_ident) != threading.get_ident()


async def test_exception(threads: Threads) -> None:
    """What the function raises, the caller gets (no coroutine can raise StopIteration); the thread goes on."""
    for error, expected in ((ValueError("no"), ValueError), (StopIteration(), RuntimeError)):
        with pytest.raises(expected):
            await threads.run(_raise, error)
    assert await threads.run(int, "7") == 7


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("call", ["run", "run_short"])
async def test_a_finished_call_keeps_nothing(threads: Threads, call: str) -> None:
    """The function and the arguments of a call are released before its result is there, not with a later call."""

    class Argument:
        pass

    argument = Argument()
    known = weakref.ref(argument)
    run = getattr(threads, call)
    assert await run(lambda given: isinstance(given, Argument), argument)
    del argument
    assert known() is None


async def test_calls_from_many_tasks(threads: Threads) -> None:
    """Thousands of calls from many tasks each get their own result, by no more threads than were asked for."""
    seen = set()

    def work(number: int) -> int:
        seen.add(threading.current_thread().name)
        return number * number

    async def task(start: int) -> list[int]:
        return [await threads.run(work, number) for number in range(start, start + 50)]

    results = await asyncio.gather(*(task(start) for start in range(0, 5000, 50)))
    assert [value for each in results for value in each] == [number * number for number in range(5000)]
    assert len(seen) <= 4


async def test_short_calls_from_many_tasks(threads: Threads) -> None:
    """Short calls that share a thread each get their own result or error, one at a time as well as thousands."""
    assert await threads.run_short(lambda a, b: a + b, 1, 2) == 3
    with pytest.raises(ValueError, match="no"):
        await threads.run_short(_raise, ValueError("no"))

    async def task(start: int) -> list[int]:
        return [await threads.run_short(pow, number, 2) for number in range(start, start + 50)]

    results = await asyncio.gather(*(task(start) for start in range(0, 5000, 50)))
    assert [value for each in results for value in each] == [number * number for number in range(5000)]


async def test_short_calls_share_a_thread(threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of one turn of the loop are handed to one thread together, a limited number of them at a time."""
    handed: list[int] = []
    send = threads._send_gathered

    def count() -> None:
        before = len(threads._gathered)
        send()
        handed.append(before - len(threads._gathered))

    monkeypatch.setattr(threads, "_send_gathered", count)
    await asyncio.gather(*(threads.run_short(int) for _ in range(200)))
    assert handed[0] == max(handed) == 64
    assert len(handed) <= 8


@pytest.mark.parametrize("hangs", [0, 5, 15])
async def test_a_hanging_short_call_holds_up_no_other(hangs: int) -> None:
    """Where one call of a batch hangs, those before and after it end all the same, and so do later ones."""
    threads, release = Threads(4, "test-hang"), threading.Event()

    async def call(number: int) -> object:
        return await (threads.run_short(release.wait, 10) if number == hangs else threads.run_short(int))

    pending = [asyncio.create_task(call(number)) for number in range(16)]
    await asyncio.sleep(0)
    with anyio.fail_after(5):
        await asyncio.gather(*(task for number, task in enumerate(pending) if number != hangs))
        assert await asyncio.gather(*(threads.run_short(int, "7") for _ in range(20))) == [7] * 20
    assert not pending[hangs].done()
    release.set()
    assert await pending[hangs] is True
    threads.close()


async def test_slow_short_calls_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow disk the calls of one batch run side by side in several threads, and the loop goes on."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    threads, seen = Threads(4, "test-slow"), set()

    def work() -> None:
        seen.add(threading.get_ident())
        time.sleep(0.02)

    await asyncio.gather(*(threads.run_short(work) for _ in range(16)))
    assert len(seen) > 1
    threads.close()


async def test_a_cancelled_short_call_has_ended(threads: Threads) -> None:
    """A cancelled short call has ended when its caller goes on, also one that had not begun; the others go on."""
    release = threading.Event()
    ended: list[int] = []
    first = asyncio.create_task(threads.run_short(release.wait, 5))
    others = [asyncio.create_task(threads.run_short(ended.append, number)) for number in range(3)]
    await asyncio.sleep(0.01)
    for task in (first, others[0]):
        task.cancel()
    release.set()
    for task in (first, others[0]):
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.gather(*others[1:])
    assert sorted(ended) == [0, 1, 2]


async def test_close_ends_short_calls() -> None:
    """After `close`, short calls that were made before are done, and new ones are refused."""
    threads = Threads(2, "test-close-short")
    pending = [asyncio.create_task(threads.run_short(time.sleep, 0.001)) for _ in range(20)]
    await asyncio.sleep(0)
    threads.close()
    with anyio.fail_after(5):
        await asyncio.gather(*pending)
    with pytest.raises(SessionClosedError):
        await threads.run_short(int)


@pytest.mark.parametrize("times", [1, 3])
async def test_cancellation_waits_for_the_call(threads: Threads, times: int) -> None:
    """A cancelled call has ended when its caller goes on, however often it is cancelled; its error goes nowhere."""
    release, ended = threading.Event(), threading.Event()
    unseen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))

    def work() -> None:
        release.wait()
        ended.set()
        raise ValueError("nobody is told")

    task = asyncio.create_task(threads.run(work))
    for _ in range(times):
        await asyncio.sleep(0.02)
        task.cancel()
    await asyncio.sleep(0.02)
    assert not task.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    del task
    assert unseen == []


@pytest.mark.parametrize("times", [1, 2])
async def test_what_a_cancelled_call_opened_is_released(threads: Threads, times: int) -> None:
    """What a function opened whose call is cancelled is closed; else it is the caller's."""
    may_end = threading.Event()
    released: list[str] = []

    def opened() -> str:
        may_end.wait()
        return "file"

    running = asyncio.ensure_future(threads.acquire(opened, release=released.append))
    await asyncio.sleep(0.01)
    for _ in range(times):
        running.cancel()
        await asyncio.sleep(0)
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert released == ["file"]
    assert await threads.acquire(opened, release=released.append) == "file"
    assert released == ["file"]


async def test_clean_up_after_the_end() -> None:
    """Clean-up runs in a thread, and after the threads have ended it runs all the same."""
    threads = Threads(1)
    assert await threads.finish(threading.get_ident) != threading.get_ident()
    threads.close()
    assert await threads.finish(threading.get_ident) == threading.get_ident()
    with pytest.raises(SessionClosedError):
        await threads.run(threading.get_ident)


async def test_cancelled_scope_waits_for_the_call(threads: Threads) -> None:
    """The same under anyio, which cancels again and again."""
    ended = threading.Event()

    def work() -> None:
        time.sleep(0.05)
        ended.set()

    with anyio.move_on_after(0.01) as scope:
        await threads.run(work)
    assert scope.cancelled_caught
    assert ended.is_set()


async def test_more_threads_when_calls_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many threads as there are processors; calls that have to wait get more, up to the count, for that time."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    threads, release = Threads(4, "test-more"), threading.Event()
    hanging = [asyncio.create_task(threads.run(release.wait, 5)) for _ in range(3)]
    await asyncio.sleep(0)
    with anyio.fail_after(5):
        assert await threads.run(int, "7") == 7  # though more calls hang than there are processors
    assert len(_running("test-more")) in (3, 4)
    hanging += [asyncio.create_task(threads.run(release.wait, 5)) for _ in range(6)]
    await _until(lambda: len(_running("test-more")) == 4)
    release.set()
    assert all(await asyncio.gather(*hanging))
    for each in _running("test-more")[2:]:
        each.join(5)
    assert len(_running("test-more")) == 2
    threads.close()


async def test_a_quick_disk_keeps_few_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no call waits for long no further thread is started; what was last asked for is not kept."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    threads, started = Threads(4, "test-quick"), []
    start = threads._start

    def noted(number: int, *work: Any) -> bool:
        started.append(number)
        return start(number, *work)

    monkeypatch.setattr(threads, "_start", noted)
    for _ in range(200):
        await threads.run(int)
        await asyncio.sleep(0.0005)
    assert started == [1]
    kept = _Kept()
    gone = weakref.ref(kept)
    await threads.run(id, kept)
    del kept
    await _until(lambda: gone() is None)
    threads.close()


def _hold_up_loop() -> None:
    time.sleep(0.1)


async def test_a_loop_that_was_held_up_says_nothing_of_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer that fires late starts no thread for a call that waits; one that fires in time does."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    threads, release, started = Threads(3, "test-late"), threading.Event(), list[int]()
    start = threads._start

    def noted(number: int, *work: Any) -> bool:
        started.append(number)
        return start(number, *work)

    monkeypatch.setattr(threads, "_start", noted)
    hanging = asyncio.create_task(threads.run(release.wait, 5))
    waiting = asyncio.create_task(threads.run(int, "7"))
    await asyncio.sleep(0)
    _hold_up_loop()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert started == [1]
    assert await waiting == 7
    assert started == [1, 2]
    release.set()
    assert await hanging
    threads.close()


async def test_close_ends_all_threads_that_were_called_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked of them is done before; none takes the end that is meant for another one."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    for _ in range(20):
        threads, release = Threads(3, "test-end"), threading.Event()
        hanging = [asyncio.create_task(threads.run(release.wait, 5)) for _ in range(3)]
        await _until(lambda: len(_running("test-end")) == 3)
        threads.close()
        release.set()
        assert all(await asyncio.gather(*hanging))
        for each in _running("test-end"):
            each.join(5)
            assert not each.is_alive()


class _Kept:
    pass


async def _until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def _running(name: str) -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith(name)]


async def test_close_ends_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """After `close` the threads do what was asked of them and end."""
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    threads = Threads(3, "test-close")
    pending = [asyncio.create_task(threads.run(time.sleep, 0.01)) for _ in range(6)]
    await asyncio.sleep(0)
    running = _running("test-close")
    assert len(running) == 3
    threads.close()
    await asyncio.gather(*pending)
    for each in running:
        each.join(5)
        assert not each.is_alive()


class HeldItem:
    """An item whose name waits until it may be taken."""

    descriptor = device = -1
    directories = ()

    def __init__(self) -> None:
        self.may_go = threading.Event()
        self.named = False

    def take_name(self) -> None:
        self.may_go.wait(10)
        self.named = True

    def close(self) -> None:
        return


async def test_commits_end_with_the_session() -> None:
    """What is being committed is, when the session is closed; what waits its turn, and what comes later, fails."""
    commits, first, second = Commits(), HeldItem(), HeldItem()
    begun = asyncio.ensure_future(commits.commit(first))
    await asyncio.sleep(0)
    waiting = asyncio.ensure_future(commits.commit(second))
    await asyncio.sleep(0)
    commits.close()
    first.may_go.set()
    async with asyncio.timeout(10):
        await begun
        for late in (waiting, commits.commit(HeldItem())):
            with pytest.raises(SessionClosedError):
                await late
    assert (first.named, second.named) == (True, False)


async def test_a_commit_that_ends_as_it_is_cancelled() -> None:
    """A call that is cancelled in the turn of the loop in which its item was committed ends as cancelled."""
    commits, item = Commits(), HeldItem()
    call = asyncio.ensure_future(commits.commit(item))
    await asyncio.sleep(0)
    item.may_go.set()
    time.sleep(0.2)  # noqa: ASYNC251 - the thread has told the loop, which has not looked yet
    call.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await call
    assert item.named
    commits.close()
