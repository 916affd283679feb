"""The event loop that this library needs: asyncio's."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from dxflow_async.exceptions import ConfigurationError

__all__ = ["check_asyncio"]


def check_asyncio() -> None:
    """Checks that the calling task is not one of trio.

    Code that runs under asyncio inside of trio, as with trio-asyncio, passes, and so does code that runs in no loop.

    Raises:
        ConfigurationError: it is a task of trio.
    """
    trio = sys.modules.get("trio")
    if trio is None or not _in_task(trio.lowlevel.current_task) or _in_task(asyncio.current_task):
        return
    raise ConfigurationError(
        "this call was made under trio, and AsyncSession needs asyncio: run it with asyncio.run, or use the blocking "
        "Session, which has a loop of its own, in a thread (trio.to_thread.run_sync)"
    )


def _in_task(current_task: Callable[[], object]) -> bool:
    try:
        return current_task() is not None
    except RuntimeError:  # no loop runs in this thread
        return False
