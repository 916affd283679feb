"""Work that callers share, each of whom needs a result that is no older than its call."""

from __future__ import annotations

import asyncio

import pytest

from dxflow_async.concurrency.shared_rounds import SharedRounds


class Listing:
    """Work that takes until `ended` is set, and counts."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0
        self.ended = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        try:
            await self.ended.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return number


async def test_no_result_is_older_than_its_call() -> None:
    """Callers at the same moment share one piece of work; those who come while it runs share the next one."""
    rounds: SharedRounds[int] = SharedRounds()
    work = Listing()
    first = [asyncio.create_task(rounds.run("a", work)) for _ in range(10)]
    await asyncio.sleep(0.01)
    later = [asyncio.create_task(rounds.run("a", work)) for _ in range(10)]
    other = asyncio.create_task(rounds.run("b", work))
    await asyncio.sleep(0.01)
    assert work.begun == 2
    work.ended.set()
    assert await asyncio.gather(*first) == [1] * 10
    assert await asyncio.gather(*later) == [3] * 10
    assert await other == 2
    assert await rounds.run("a", work) == 4


async def test_work_that_nobody_waits_for_is_cancelled() -> None:
    """One caller that leaves takes the result from nobody; when the last one leaves, the work ends."""
    rounds: SharedRounds[int] = SharedRounds()
    work = Listing()
    first, second = (asyncio.create_task(rounds.run("a", work)) for _ in range(2))
    await asyncio.sleep(0.01)
    waiting = asyncio.create_task(rounds.run("a", work))
    await asyncio.sleep(0.01)
    first.cancel()
    waiting.cancel()
    await asyncio.sleep(0.01)
    assert work.cancelled == 0
    second.cancel()
    await asyncio.sleep(0.01)
    assert (work.begun, work.cancelled) == (1, 1)
    work.ended.set()
    assert await rounds.run("a", work) == 2


async def test_failures_reach_all_who_wait() -> None:
    """An exception is that of each caller, and the next call begins anew."""
    rounds: SharedRounds[int] = SharedRounds()

    async def fails() -> int:
        raise OSError("failed")

    results = await asyncio.gather(*(rounds.run("a", fails) for _ in range(3)), return_exceptions=True)
    assert [str(each) for each in results] == ["failed"] * 3
    with pytest.raises(OSError, match="failed"):
        await rounds.run("a", fails)
