"""Work that ends although its caller is cancelled: clean-up, and requests whose answer tells what has to be removed.

A cancel scope of anyio shields against other scopes only. `Task.cancel`, which `asyncio.timeout`, `wait_for` and
`asyncio.run` use, interrupts each await of the task that it is called on, also during a clean-up. So the work runs in a
task of its own, which is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from time import monotonic
from typing import Any, TypeVar

from anyio import CancelScope

__all__ = ["clean_up", "finish_or_undo"]

T = TypeVar("T")

_SECONDS = 10.0
_LAST_SECONDS = 1.0


async def clean_up(
    operation: Coroutine[Any, Any, object], seconds: float = _SECONDS, *, after_cancellation: bool = False
) -> None:
    """Awaits a clean-up to its end; a cancellation that arrives meanwhile is raised afterwards.

    Errors of the clean-up are raised, unless a cancellation takes their place.

    Args:
        operation: the clean-up. It is cancelled if it takes too long, which is not an error.
        seconds: for which it may run.
        after_cancellation: the seconds begin with a cancellation that arrives; without one, they do not.

    Raises:
        Exception: that of the clean-up.

    Example:
        >>> try:
        ...     await upload.finish(receipts, None)
        ... except BaseException:
        ...     await clean_up(upload.abort())
        ...     raise
    """
    running = asyncio.ensure_future(operation)
    cancelled: asyncio.CancelledError | None = None
    deadline = None if after_cancellation else monotonic() + seconds
    with CancelScope(shield=True):
        while not running.done():
            left = None if deadline is None else deadline - monotonic()
            if left is not None and left <= 0:
                await _cancel(running)
                break
            try:
                await asyncio.wait({running}, timeout=left)
            except asyncio.CancelledError as error:
                cancelled = error
                deadline = deadline or monotonic() + seconds
    failure = running.exception() if running.done() and not running.cancelled() else None
    if cancelled is not None:
        raise cancelled
    if failure is not None:
        raise failure


async def _cancel(running: asyncio.Future[object]) -> None:
    """Cancels a task that takes too long, and gives it a moment to end."""
    running.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.wait({running}, timeout=_LAST_SECONDS)


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

    Returns:
        What `operation` returns.

    Raises:
        Exception: that of `operation`.

    Example:
        >>> upload = await finish_or_undo(self.create_upload(key), lambda upload: upload.abort())
    """
    running = asyncio.ensure_future(operation)

    async def undo() -> None:
        with suppress(Exception):
            await asyncio.wait({running})
            if not running.cancelled():
                await late(running.result())

    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        if not matters():
            running.cancel()
        try:
            await clean_up(undo())
        finally:
            running.cancel()
        raise
