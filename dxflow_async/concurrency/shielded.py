"""Requests whose answer has to be known, also by who is cancelled meanwhile: it tells what there is to remove."""

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
    """What `operation` returns. When it is cancelled, `late` is given what comes, within ten seconds.

    Args:
        operation: what is asked for.
        late: undoes it, or notes what is to be undone.
        matters: whether it may have done anything by now; else it is cancelled, too.
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
