"""A bounded number of things done at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from anyio import create_task_group

__all__ = ["first_of", "for_each"]

T = TypeVar("T")


async def for_each(items: Iterable[T], work: Callable[[T], Awaitable[None]], workers: int) -> None:
    """Does `work` for every item, for at most `workers` at a time.

    Raises:
        Exception: the first that `work` raised; the others are cancelled.
    """
    waiting = iter(items)

    async def pull() -> None:
        for item in waiting:
            await work(item)

    try:
        async with create_task_group() as group:
            for _ in range(workers):
                group.start_soon(pull)
    except BaseExceptionGroup as failures:
        raise first_of(failures) from None


def first_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Returns the first exception of a group, however deep: a group of exceptions never reaches the user."""
    error: BaseException = failures
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
