"""Clean-up that ends although its caller is cancelled, once or again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from dxflow_async.concurrency.shielded import clean_up, finish_or_undo


async def cancel_at_each_turn(running: asyncio.Task[Any], turns: int) -> None:
    """Cancels a task at each of the next turns of the loop, and waits for its end."""
    for _ in range(turns):
        running.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize("turns", [1, 2, 7])
async def test_clean_up_outlasts_cancellations(turns: int) -> None:
    """A clean-up that has begun ends, however often its caller is cancelled, and the caller is cancelled then."""
    steps = []

    async def remove() -> None:
        for number in range(20):
            await asyncio.sleep(0)
            steps.append(number)

    running = asyncio.ensure_future(clean_up(remove()))
    await asyncio.sleep(0)
    await cancel_at_each_turn(running, turns)
    assert len(steps) == 20


async def test_clean_up_within_a_cancelled_scope() -> None:
    """A scope of anyio that is cancelled does not interrupt a clean-up either."""
    steps = []

    async def remove() -> None:
        await asyncio.sleep(0.01)
        steps.append("removed")

    with anyio.CancelScope() as scope:
        scope.cancel()
        await clean_up(remove())
    assert steps == ["removed"]


async def test_clean_up_is_bounded() -> None:
    """A clean-up that takes too long is cancelled, with and without a cancellation of its caller; that is no error."""
    ends = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("cancelled")

    await clean_up(hang(), 0.01)
    running = asyncio.ensure_future(clean_up(hang(), 0.01, after_cancellation=True))
    await asyncio.sleep(0.05)
    assert not running.done()
    await cancel_at_each_turn(running, 2)
    assert ends == ["cancelled"] * 2


async def test_errors_of_a_clean_up() -> None:
    """An error of the clean-up reaches its caller; a cancellation goes before it."""

    async def fail() -> None:
        await asyncio.sleep(0)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await clean_up(fail())
    running = asyncio.ensure_future(clean_up(fail()))
    await asyncio.sleep(0)
    await cancel_at_each_turn(running, 1)


@pytest.mark.parametrize("turns", [1, 2, 7])
async def test_a_result_that_comes_late_is_undone(turns: int) -> None:
    """What an operation made is undone, however often its caller is cancelled meanwhile."""
    made = set()

    async def make() -> str:
        for _ in range(10):
            await asyncio.sleep(0)
        made.add("upload")
        return "upload"

    async def undo(name: str) -> None:
        await asyncio.sleep(0)
        made.discard(name)

    running = asyncio.ensure_future(finish_or_undo(make(), undo))
    await asyncio.sleep(0)
    await cancel_at_each_turn(running, turns)
    assert made == set()


async def test_an_operation_without_effect_is_cancelled() -> None:
    """What cannot have had an effect is not waited for."""
    wait: Callable[[], Coroutine[Any, Any, Any]] = asyncio.Event().wait

    async def late(_: object) -> None:
        raise AssertionError

    running = asyncio.ensure_future(finish_or_undo(wait(), late, lambda: False))
    await asyncio.sleep(0)
    await cancel_at_each_turn(running, 1)
