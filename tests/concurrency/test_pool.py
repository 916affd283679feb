from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from dxflow_async.concurrency.pool import first_of, for_each, open_task_group, results_of
from dxflow_async.exceptions import NetworkError


async def stream(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("workers", [1, 4, 100])
async def test_every_item_is_worked_on_within_the_bound(workers: int, *, asynchronous: bool) -> None:
    """Each item is worked on once, and never more at a time than there are workers."""
    running = most = 0
    seen: list[int] = []

    async def work(item: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        seen.append(item)
        running -= 1

    await for_each(stream(20) if asynchronous else iter(range(20)), work, workers)
    assert sorted(seen) == list(range(20))
    assert most == min(workers, 20)


async def test_items_are_taken_as_workers_become_free() -> None:
    """An endless source is read no further than the workers have got."""
    taken = 0

    async def endless() -> AsyncIterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    async def work(item: int) -> None:
        await asyncio.sleep(0)
        if item == 50:
            raise NetworkError("gone")

    with pytest.raises(NetworkError):
        await for_each(endless(), work, 4)
    assert taken <= 60


async def test_the_first_exception_keeps_its_cause() -> None:
    """A failure of several reaches the caller alone, with what caused it; the others are cancelled."""
    cancelled = []

    async def work(item: int) -> None:
        if item == 3:
            raise NetworkError("broke") from OSError("reset")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise

    with pytest.raises(NetworkError) as raised:
        await for_each(range(8), work, 8)
    assert isinstance(raised.value.__cause__, OSError)
    assert raised.value.__suppress_context__
    assert sorted(cancelled) == [0, 1, 2, 4, 5, 6, 7]


@pytest.mark.parametrize("workers", [1, 3])
async def test_results_come_in_order(workers: int) -> None:
    """Results stand in the order of the operations, whichever ends first."""

    def operation(number: int) -> object:
        async def run() -> int:
            for _ in range(5 - number):
                await asyncio.sleep(0)
            return number

        return run

    operations = [operation(number) for number in range(5)]
    assert await results_of(operations, workers) == [0, 1, 2, 3, 4]  # type: ignore[arg-type]


async def test_cancellation_is_not_wrapped() -> None:
    """Who is cancelled inside a task group sees the cancellation itself."""

    async def wait() -> None:
        async with open_task_group() as group:
            group.start_soon(asyncio.sleep, 60)
            await asyncio.sleep(60)

    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_the_end_of_the_program_comes_before_a_failure() -> None:
    """Of a group, however deep, an exception that ends the program is raised before a failure."""
    group = BaseExceptionGroup("", [ValueError(), BaseExceptionGroup("", [OSError(), KeyboardInterrupt()])])
    assert isinstance(first_of(group), KeyboardInterrupt)
    assert isinstance(first_of(ExceptionGroup("", [ExceptionGroup("", [OSError(), ValueError()])])), OSError)
