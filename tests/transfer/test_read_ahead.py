"""How many parts are read ahead of their writes, at modelled endpoints on a clock of their own."""

from __future__ import annotations

import asyncio
import heapq
from contextlib import suppress
from itertools import count

import pytest

from dxflow_async.checksum import crc32c
from dxflow_async.exceptions import NetworkError, StorageError
from dxflow_async.providers.contract import Body, Buffered
from dxflow_async.transfer.adaptive_limit import AdaptiveLimit
from dxflow_async.transfer.read_ahead import ReadAhead
from dxflow_async.transfer.retry import Attempts, RetryPolicy

SIZE = 8 << 20
BODY = Buffered((b"body",), 4, crc32c(b"body"))
PLACES = 6


class World:
    """A source and a destination of six places each, which take so many seconds for each part.

    Attributes:
        in_memory: how many parts are in memory.
        most: the most of them at a time, so far.
    """

    def __init__(self, read_seconds: float, write_seconds: float) -> None:
        self.now = 0.0
        self.in_memory = self.most = 0
        self._read_seconds, self._write_seconds = read_seconds, write_seconds
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()
        clock = lambda: self.now  # noqa: E731
        self.source, self.destination = (AdaptiveLimit(PLACES, PLACES, clock=clock) for _ in range(2))
        self.ahead = ReadAhead(self.source, self.destination, clock)

    async def copy(self, parts: int) -> float:
        """Copies so many parts, and returns the seconds that it took."""
        tasks = [asyncio.ensure_future(self._part()) for _ in range(parts)]
        while not all(task.done() for task in tasks):
            await settle()
            if self._sleepers:
                self.now, _, sleeper = heapq.heappop(self._sleepers)
                sleeper.set_result(None)
        await asyncio.gather(*tasks)
        return self.now

    async def _part(self) -> None:
        held = await self.ahead.enter()
        held.begins()
        async with self.source.place(SIZE):
            self.in_memory += 1
            self.most = max(self.most, self.in_memory)
            await self._sleep(self._read_seconds)
        held.ends()
        await self.destination.run(lambda: held.write(self._write, BODY), SIZE)
        held.leave()
        self.in_memory -= 1

    async def _write(self, _: Body) -> None:
        await self._sleep(self._write_seconds)

    async def _sleep(self, seconds: float) -> None:
        sleeper = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._numbers), sleeper))
        await sleeper


async def settle() -> None:
    """Lets every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("read_seconds", "write_seconds", "most"),
    [(0.01, 0.5, 14), (0.1, 0.5, 14), (0.5, 0.5, 2 * PLACES), (0.5, 0.1, 2 * PLACES), (0.5, 0.01, 2 * PLACES)],
)
async def test_parts_are_read_when_they_are_needed(read_seconds: float, write_seconds: float, most: int) -> None:
    """The slower side is at work all the time, and what it does not need yet is not read into memory."""
    world = World(read_seconds, write_seconds)
    taken = await world.copy(120)
    slower, quicker = max(read_seconds, write_seconds), min(read_seconds, write_seconds)
    assert taken <= 120 / PLACES * slower * 1.02 + quicker
    assert world.most <= most
    assert world.ahead.ahead == 0


async def test_a_quick_source_is_only_a_little_ahead() -> None:
    """Once both times are known, a source that is 50 times as quick as the writes is three parts ahead of them."""
    world = World(0.01, 0.5)
    await world.copy(60)
    world.most = 0
    await world.copy(60)
    assert world.most <= PLACES + 3


async def test_reads_that_fail_hold_up_no_others() -> None:
    """A part that waits for a retry is not ahead of its write, so that another one is read meanwhile."""
    world, asleep = World(1.0, 1.0), asyncio.Event()

    async def sleep(_: float) -> None:
        await asleep.wait()

    async def failing() -> None:
        held = await world.ahead.enter()
        held.begins()
        attempts = Attempts()
        attempts.on_failure = held.failed
        await attempts.failed(NetworkError("the connection broke"), RetryPolicy(sleep=sleep))
        held.ends()
        await world.destination.run(lambda: held.write(world._write, BODY), SIZE)
        held.leave()

    failed = [asyncio.ensure_future(failing()) for _ in range(3 * PLACES)]
    await settle()
    assert world.ahead.ahead == 0
    await world.copy(1)
    asleep.set()
    await world.copy(3 * PLACES)
    await asyncio.gather(*failed)
    assert world.ahead.ahead == 0


@pytest.mark.parametrize("step", ["enters", "is read", "is in memory", "is written"])
async def test_a_part_that_is_cancelled_gives_its_place_back(step: str) -> None:
    """Wherever a part is cancelled or fails, the next ones are read."""
    world, forever = World(1.0, 1.0), asyncio.Event()

    async def broken(_: Body) -> None:
        raise NetworkError("the connection broke")

    async def part() -> None:
        held = await world.ahead.enter()
        try:
            held.begins()
            if step == "is read":
                await forever.wait()
            held.ends()
            if step == "is in memory":
                await forever.wait()
            with suppress(StorageError):
                await held.write(broken, BODY)
            await forever.wait()
        finally:
            held.leave()

    others = [await world.ahead.enter() for _ in range(world.ahead.limit)] if step == "enters" else []
    task = asyncio.ensure_future(part())
    await settle()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    for held in others:
        held.leave()
    assert world.ahead.ahead == 0
    await world.copy(2)


async def test_a_limit_that_rises_lets_parts_in() -> None:
    """More parts are read as soon as more reads are allowed, and not when the next one ends."""
    source, destination = AdaptiveLimit(PLACES), AdaptiveLimit(PLACES)
    ahead = ReadAhead(source, destination)
    held = [await ahead.enter() for _ in range(PLACES + 1)]
    more = asyncio.ensure_future(ahead.enter())
    await settle()
    assert not more.done()
    source._reads.gate.capacity += 1
    ahead.admit()
    held.append(await more)
    for each in held:
        each.leave()
    assert ahead.ahead == 0
