"""Requests whose answer must be known even when their caller is cancelled, because it tells what has to be removed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from anyio import CancelScope, move_on_after

__all__ = ["finish_or_undo"]

T = TypeVar("T")

_SECONDS = 10.0


async def finish_or_undo(
    operation: Coroutine[Any, Any, T],
    late: Callable[[T], Awaitable[None]],
    matters: Callable[[], bool] = lambda: True,
) -> T:
    """Awaits `operation` and returns its result. If it is cancelled, its result is handed to `late` within ten seconds.

    Args:
        operation: the request.
        late: undoes the operation, or notes what has to be undone.
        matters: returns whether the operation may have had an effect by now. If not, it is cancelled too.
    """
    running = asyncio.ensure_future(operation)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        if not matters():
            running.cancel()
        with CancelScope(shield=True), move_on_after(_SECONDS), suppress(Exception):
            await asyncio.wait({running})
            if not running.cancelled():
                await late(running.result())
        running.cancel()
        raise
