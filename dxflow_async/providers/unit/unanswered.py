"""What to believe after an answer was lost: the request may have been carried out, or be carried out still.

A repeat must not write into a file that an earlier request is still writing, and must not take another file for its
own. So the destination is looked at until it no longer changes, and its bytes are compared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

from dxflow_async.exceptions import NotFoundError, StallTimeoutError, StorageError, ThrottledError
from dxflow_async.net import ConnectionBrokenError, NetError, StalledError
from dxflow_async.providers.contract import Entry

__all__ = ["is_unanswered", "settled"]

_REFUSED = (501, 507)
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_STILL_SECONDS = 2.0
"""Seconds without a change after which a file of the right size is compared. Times may be whole seconds."""
_MAX_STALLS = 1440
"""Stall timeouts after which a file that still changes is given up: a day, by the default of 60 s."""


def is_unanswered(error: StorageError) -> bool:
    """Returns whether the request that failed may have been carried out. Only a refusal says that it was not."""
    if isinstance(error.__cause__, NetError):
        return isinstance(error.__cause__, StalledError | ConnectionBrokenError)
    if error.status is None:
        return error.retryable
    refused = 400 <= error.status < 500 or error.status in _REFUSED or isinstance(error, ThrottledError)
    return not refused


async def settled(
    look: Callable[[], Awaitable[Entry]],
    size: int,
    is_wanted: Callable[[Entry], Awaitable[bool]],
    error: StorageError,
    stall_timeout: float,
) -> Entry | None:
    """Waits until a destination no longer changes; returns it if it is what the request was to store.

    A file that grows is waited for. One that is missing or too small, and does not change for the stall timeout, is not
    being written. If the connection broke, and the server so noticed that nobody waits, less time has to pass.

    Args:
        look: looks the destination up.
        size: of the file that the request was to store, in bytes.
        is_wanted: compares the bytes of a file of that size.
        error: says how the answer was lost.
        stall_timeout: seconds.

    Raises:
        StorageError: it cannot be looked at.
    """
    still = min(_STILL_SECONDS, stall_timeout)
    patience = stall_timeout if isinstance(error, StallTimeoutError) else still
    begun = since = monotonic()
    seen, pause = await _state(look), _FIRST_PAUSE
    while monotonic() - begun < _MAX_STALLS * stall_timeout:
        await asyncio.sleep(min(pause, still / 2))
        pause = min(2 * pause, _LONGEST_PAUSE)
        now, last = await _state(look), seen
        seen = now
        if _changed(last, now, size):
            since, pause = monotonic(), _FIRST_PAUSE
            patience = stall_timeout  # somebody writes
            continue
        unchanged = monotonic() - since
        if now is not None and now.size == size and not now.directory and unchanged >= still:
            if await is_wanted(now):
                return now
            if not _changed(now, await _state(look), size):
                return None
            since = monotonic()
        elif unchanged >= patience:
            return None
    return None


async def _state(look: Callable[[], Awaitable[Entry]]) -> Entry | None:
    try:
        return await look()
    except NotFoundError:
        return None


def _changed(before: Entry | None, after: Entry | None, size: int) -> bool:
    """Returns whether somebody seems to write a file of up to `size` bytes between two looks."""
    if before is None or after is None:
        return before is not after
    if after.directory or after.size > size:
        return False
    return (before.size, before.modified, before.etag) != (after.size, after.modified, after.etag)
