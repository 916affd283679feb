"""Counts the files below local directories while they are transferred, so that the totals are known early.

The plan of a call is only a little ahead of its workers, so it knows the totals last. Somebody who watches the progress
wants them first. Counting takes a `scandir` and a `stat` for each file in one worker thread; without a watcher nothing
is counted. The counts are an estimate, which the plan replaces when it is complete: links to directories are not
followed here.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from anyio import CancelScope

from dxflow_async.concurrency.threads import Threads
from dxflow_async.transfer.progress import Meter

__all__ = ["early_totals"]


@asynccontextmanager
async def early_totals(threads: Threads, directories: Sequence[str], meter: Meter) -> AsyncIterator[None]:
    """Tells `meter` how many files and bytes are below some directories while the block runs."""
    stopped, loop = threading.Event(), asyncio.get_running_loop()

    async def count() -> None:
        found = await threads.run(_count, directories, stopped)
        if found is not None:
            meter.expect(*found)

    counting = loop.create_task(count())
    try:
        yield
    finally:
        stopped.set()
        with CancelScope(shield=True):
            await asyncio.wait({counting})


def _count(directories: Sequence[str], stopped: threading.Event) -> tuple[int, int] | None:
    """Returns the number and the size of the files; None if it was stopped, or a directory cannot be read. Blocks."""
    files = size = 0
    left = list(directories)
    while left:
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
                    elif entry.is_file():
                        files += 1
                        size += entry.stat().st_size
                    if stopped.is_set():
                        return None
        except OSError:
            return None
    return files, size
