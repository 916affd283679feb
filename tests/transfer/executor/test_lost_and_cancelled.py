"""Workers that are lost around the moment in which their call is cancelled: nothing is left, and nothing else goes."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from dxflow_async import AsyncSession, SessionClosedError
from dxflow_async.transfer.executor import dispatcher
from dxflow_async.transfer.executor.channel import Channel, ShardCancelledError, WorkerChannel
from dxflow_async.transfer.executor.shard import Shard
from tests.sessions import part_files
from tests.transfer.executor.listed_server import opened

pytestmark = pytest.mark.timeout(60)

_OWNER = "0badcafe"
_STEPS = (None, *range(16), 20, 30, 60)
"""Turns of the event loop between the loss and the cancellation; None: the loss comes after it."""


class DoomedPool(ThreadPoolExecutor):
    """A pool of threads that loses the worker of one shard when the test says so. That worker is none of its threads.

    Args:
        state: what the worker has done when it is lost. `"killed"`: it was writing a file. `"begun"`: it has told of
            itself, and written nothing. `"not begun"`: nothing. `"ended"`: everything, but its receipt is lost, and a
            file of its owner belongs to another call. `"ends late"`: it is killed a moment after the pool is found to
            be broken. `"alive"`: it was only taken for lost, and ends as any other worker does. `"silent"`: it hangs.
        takes: says whether a shard is the one.
        directory: where the worker writes.

    Attributes:
        began: the worker has the shard.
        left: the temporary file of the worker.
        removed: the worker has removed its file itself.
    """

    def __init__(self, state: str, takes: Callable[[Shard], bool], directory: Path) -> None:
        super().__init__(2)
        self._state = state
        self._takes = takes
        self._outcome: Future[Any] | None = None
        self._directory = directory
        self._worker: WorkerChannel
        self.began = asyncio.Event()
        self.left = directory / f".{_OWNER}00000001.dxpart"
        self.removed = False
        self.late: threading.Thread | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        shard: Shard = args[1].opened()
        if self._outcome is not None:
            return super().submit(self._wait_for_end, fn, shard, args)
        if not self._takes(shard):
            return super().submit(fn, *args)
        self._outcome = Future()
        self._outcome.set_running_or_notify_cancel()
        self._begin(shard)
        self.began.set()
        return self._outcome

    def lose(self) -> None:
        """Tells the coordinator that the worker is lost."""
        assert self._outcome is not None
        self._outcome.set_exception(BrokenProcessPool("a process in the pool was terminated"))

    def _begin(self, shard: Shard) -> None:
        self._worker = WorkerChannel(shard.channel, shard.number, _OWNER)
        if self._state == "not begun":
            return
        self._worker.beat(0)
        if self._state == "begun":
            self.let_go()
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        if self._state == "ends late":
            self.late = threading.Thread(target=self._end_late)
            self.late.start()
            return
        self.left.write_bytes(b"half of it")
        if self._state == "killed":
            self.let_go()
        elif self._state == "ended":
            self._worker.close()
        elif self._state == "alive":
            self.late = threading.Thread(target=self._live)
            self.late.start()

    def let_go(self) -> None:
        """Does what the system does when a process is killed."""
        os.close(self._worker._descriptor)

    def _end_late(self) -> None:
        assert self._outcome is not None
        with suppress(BrokenProcessPool):
            self._outcome.result()
        sleep(0.05)
        self.left.write_bytes(b"half of it")
        self.let_go()

    def _live(self) -> None:
        while not self._worker.ended():
            self._worker.beat(0)
            sleep(0.01)
        with suppress(FileNotFoundError):
            self.left.unlink()
            self.removed = True
        self._worker.close()

    def _wait_for_end(self, fn: Callable[..., Any], shard: Shard, args: Any) -> Any:
        """Does no shard after the one of the lost worker until the call has ended."""
        watching = WorkerChannel(shard.channel, shard.number, "f" * 8)
        while watching.visible and not watching.ended():
            sleep(0.002)
        raise ShardCancelledError("the call has ended")


_SHAPES: dict[str, tuple[int, str, Callable[[Shard], bool]]] = {
    "items": (6, "copy", lambda shard: bool(shard.items)),
    "range": (60, "copy", lambda shard: shard.range is not None),
    "piece of a move": (60, "move", lambda shard: shard.range is not None),
}


@pytest.fixture(params=_SHAPES)
def shape(request: pytest.FixtureRequest) -> tuple[int, str, Callable[[Shard], bool]]:
    """How many objects there are, the call, and the shard whose worker is lost."""
    return _SHAPES[request.param]


async def cancelled(
    session: AsyncSession, operation: str, target: Path, pool: DoomedPool, steps: int | None
) -> asyncio.Task[Any]:
    """A call that was cancelled some steps after its worker was lost."""
    transfer = getattr(session, operation)
    call: asyncio.Task[Any] = asyncio.ensure_future(
        transfer("aws:/bucket/source/", f"{target}/", executor=pool, credentials="send")
    )
    await pool.began.wait()
    if steps is None:
        call.cancel()
        await asyncio.sleep(0)
        pool.lose()
    else:
        pool.lose()
        for _ in range(steps):
            await asyncio.sleep(0)
        call.cancel()
    await asyncio.wait([call])
    return call


@pytest.mark.parametrize("state", ["killed", "begun", "not begun", "ended", "ends late", "alive"])
async def test_every_moment(tmp_path: Path, state: str, shape: tuple[int, str, Callable[[Shard], bool]]) -> None:
    """Whatever a lost worker has done, and whenever the call is cancelled, its files go, and no other ones."""
    count, operation, takes = shape
    names = [f"run/{number:03}" for number in range(count)]
    async with opened(tmp_path / "home", names, journal=False) as (server, session):
        for steps in _STEPS if count < 10 and state == "killed" else _STEPS[::4]:
            for name in names:
                server.store(f"source/{name}", name.encode())
            target = tmp_path / f"back-{steps}"
            with DoomedPool(state, takes, target / "run") as pool:
                call = await cancelled(session, operation, target, pool, steps)
                assert call.cancelled()
                await asyncio.to_thread(pool.shutdown)
            if state == "ended":
                assert part_files(target) == [str(pool.left)]
                continue
            if pool.late is not None:
                await asyncio.to_thread(pool.late.join)
            assert pool.removed == (state == "alive"), steps
            assert not part_files(target), steps


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
async def test_a_silent_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: bool) -> None:
    """What a worker that hangs was writing is removed at the end of a cancelled call, also of a closed session."""
    monkeypatch.setattr(dispatcher, "_END_SECONDS", 0.3)
    names, target = [f"run/{number:03}" for number in range(6)], tmp_path / "back"
    async with opened(tmp_path / "home", names, journal=False) as (_, session):
        with DoomedPool("silent", lambda shard: bool(shard.items), target / "run") as pool:
            call = asyncio.ensure_future(
                session.copy("aws:/bucket/source/", f"{target}/", executor=pool, credentials="send")
            )
            await pool.began.wait()
            assert part_files(target)
            call.cancel()
            if closed:
                await asyncio.sleep(0)
                await session.aclose()
            with pytest.raises((asyncio.CancelledError, SessionClosedError)):
                await call
        pool.let_go()
    assert not part_files(target)


def test_a_shard_that_is_begun_anew() -> None:
    """A worker knows whose files may be left of a shard: not its own, nor those of a worker that has ended it."""
    channel = Channel.create("0" * 8, same_machine=True)
    try:
        killed = WorkerChannel(channel.path, 1, "a" * 8)
        assert not channel.is_held(1)
        killed.beat(5)
        assert channel.is_held(1)
        os.close(killed._descriptor)
        assert not channel.is_held(1)
        second = WorkerChannel(channel.path, 1, "b" * 8)
        assert (second.begun, second.earlier) == (True, ("a" * 8,))
        second.beat(3)
        second.close()
        assert not channel.is_held(1)
        told = channel.read([1])[1]
        assert (told.owner_id, told.ended, told.bytes, told.earlier) == ("b" * 8, True, 3, ("a" * 8,))
        third = WorkerChannel(channel.path, 1, "a" * 8)
        assert third.earlier == ()
        third.beat(0)
        told = channel.read([1])[1]
        assert (told.owner_id, told.ended, told.earlier) == ("a" * 8, False, ())
        third.close()
    finally:
        channel.close(abandoned=False)
