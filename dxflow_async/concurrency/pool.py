"""Bounded concurrency: the one worker pool, and the one rule for which exception of several reaches the caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence, Sized
from contextlib import asynccontextmanager
from typing import TypeVar

from anyio import create_task_group
from anyio.abc import TaskGroup

__all__ = ["first_of", "for_each", "open_task_group", "results_of"]

T = TypeVar("T")


async def for_each(items: Iterable[T] | AsyncIterable[T], work: Callable[[T], Awaitable[None]], workers: int) -> None:
    """Awaits `work` for every item, for at most `workers` items at a time.

    Items are taken one by one, as workers become free.

    Args:
        items: the items; an asynchronous iterable is read ahead by one item.
        work: is called with each item.
        workers: the most items at a time.

    Raises:
        Exception: the first exception of `work` or `items`. The other calls are cancelled.

    Example:
        >>> await for_each(keys, delete_one, workers=16)
    """
    if isinstance(items, AsyncIterable):
        await _for_each_of_stream(items, work, workers)
        return
    waiting = iter(items)

    async def pull() -> None:
        for item in waiting:
            await work(item)

    count = min(workers, len(items)) if isinstance(items, Sized) else workers
    if count == 1:
        await pull()
        return
    async with open_task_group() as group:
        for _ in range(count):
            group.start_soon(pull)


async def _for_each_of_stream(items: AsyncIterable[T], work: Callable[[T], Awaitable[None]], workers: int) -> None:
    free = asyncio.Semaphore(workers)

    async def run(item: T) -> None:
        try:
            await work(item)
        finally:
            free.release()

    async with open_task_group() as group:
        async for item in items:
            await free.acquire()
            group.start_soon(run, item)


async def results_of(operations: Sequence[Callable[[], Awaitable[T]]], workers: int) -> list[T]:
    """Returns the results of several operations in their order, running at most `workers` of them at a time.

    Raises:
        Exception: the first exception of an operation. The others are cancelled.
    """
    results: dict[int, T] = {}

    async def run(number: int) -> None:
        results[number] = await operations[number]()

    await for_each(range(len(operations)), run, workers)
    return [results[number] for number in range(len(operations))]


@asynccontextmanager
async def open_task_group() -> AsyncIterator[TaskGroup]:
    """Opens a task group as anyio does, but raises the first exception itself instead of a group.

    A group that a task raised itself, such as one of the user's, is raised as it is.
    """
    try:
        async with create_task_group() as group:
            yield group
    except BaseExceptionGroup as failures:
        raised = failures.exceptions
        error = next((each for each in raised if not isinstance(each, Exception)), raised[0])
        raise error from error.__cause__  # hides the group, and keeps what caused the exception


def first_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Returns the exception of a group, however deep, that the caller is to see.

    That is the first one; an exception that ends the program, such as KeyboardInterrupt, comes before all others.
    """
    leaves = list(_leaves(failures))
    return next((error for error in leaves if not isinstance(error, Exception)), leaves[0])


def _leaves(failures: BaseExceptionGroup[BaseException]) -> Iterable[BaseException]:
    for error in failures.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
