"""Waits until a file or a directory stops changing: the results of a workflow are written step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, NamedTuple, TypeVar

from dxflow_async.exceptions import StorageError

__all__ = ["Seen", "wait_until_stable"]

T = TypeVar("T")

_FIRST_SECONDS = 0.5
_MAX_SECONDS = 30.0
_GROWTH = 1.5


class Seen(NamedTuple, Generic[T]):
    """What one look saw.

    Attributes:
        state: changes whenever the content changes; None while there is nothing.
        value: what `wait_until_stable` returns.
    """

    state: object
    value: T | None


async def wait_until_stable(
    look: Callable[[], Awaitable[Seen[T]]],
    *,
    stable: float,
    within: float | None,
    failed: Callable[[str], StorageError],
) -> T:
    """Looks again and again until the same state was seen for a time, and returns what was seen.

    The looks are half a second apart at first, and at most 30 seconds, or half of `stable`, later.

    Args:
        look: makes one look. What it raises is raised.
        stable: the seconds for which nothing may change.
        within: the most seconds to wait in all; None: without a limit.
        failed: makes the error for a text.

    Raises:
        StallTimeoutError: `within` is over.
    """
    began = monotonic()
    longest = min(_MAX_SECONDS, max(stable / 2, 0.05))
    pause = min(_FIRST_SECONDS, longest)
    seen, since = await look(), monotonic()
    while True:
        now = monotonic()
        if seen.state is not None and seen.value is not None and now - since >= stable:
            return seen.value
        left = None if within is None else began + within - now
        if left is not None and left <= 0:
            what = "it does not exist" if seen.state is None else f"it changed {now - since:.0f} s ago"
            raise failed(f"it was not stable for {stable:g} s within {within:g} s: {what}")
        wait = min(pause, longest if left is None else max(left, 0.01))
        if seen.state is not None:
            wait = min(wait, max(since + stable - now, 0.01))
        await asyncio.sleep(wait)
        pause = min(pause * _GROWTH, longest)
        again = await look()
        if again.state != seen.state:
            pause, since = min(_FIRST_SECONDS, longest), monotonic()
        seen = again
