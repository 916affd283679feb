"""Counts the files below local directories while they are transferred, so that the totals are known early.

The plan of a call is only a little ahead of its workers, so it knows the totals last. Somebody who watches the progress
wants them first. Counting takes a `scandir` and a `stat` for each file in one worker thread, which competes with the
event loop for the interpreter; without a watcher, and in short calls, nothing is counted. The counts are an estimate,
which the plan replaces when it is complete: links to directories are not followed here.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from anyio import CancelScope

from dxflow_async.transfer.selection import Selection

if TYPE_CHECKING:
    from dxflow_async.concurrency.threads import Threads
    from dxflow_async.transfer.progress import Meter

__all__ = ["early_totals"]

_DELAY = 0.5
"""Seconds until files are counted."""


@asynccontextmanager
async def early_totals(
    threads: Threads, paths: Sequence[str], selection: Selection, meter: Meter
) -> AsyncIterator[None]:
    """Tells `meter` how many files and bytes some paths have while the block runs.

    Args:
        threads: run the counting.
        paths: files and directories; where one of them is a pattern, nothing is told.
        selection: which files below the directories count. No other call uses it.
        meter: gets the counts.
    """
    stopped, loop = threading.Event(), asyncio.get_running_loop()

    async def count() -> None:
        await asyncio.sleep(_DELAY)
        found = None if meter.complete else await threads.run(_count, paths, selection, stopped)
        if found is not None:
            meter.expect(*found)

    counting = loop.create_task(count())
    try:
        yield
    finally:
        stopped.set()
        counting.cancel()
        with CancelScope(shield=True):
            await asyncio.wait({counting})


def _count(paths: Sequence[str], selection: Selection, stopped: threading.Event) -> tuple[int, int] | None:
    """Returns the number and the size of the files; None if it was stopped, or something cannot be read. Blocks."""
    files = size = 0
    try:
        for path in paths:
            if not os.path.isdir(path):
                size += os.stat(path).st_size
                files += 1
                continue
            for name, status in _files_below(path, stopped):
                taken = selection.takes_all or (
                    selection.admits_name(name) and selection.admits_values(status.st_mtime, status.st_size)
                )
                files, size = files + taken, size + (status.st_size if taken else 0)
    except OSError:
        return None
    return None if stopped.is_set() else (files, size)


def _files_below(path: str, stopped: threading.Event) -> Iterator[tuple[str, os.stat_result]]:
    """Yields the files below a directory, with their names relative to it, until it is stopped."""
    left = [(path, "")]
    while left:
        directory, prefix = left.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                if stopped.is_set():
                    return
                if entry.is_dir(follow_symlinks=False):
                    left.append((entry.path, f"{prefix}{entry.name}/"))
                elif entry.is_file():
                    yield f"{prefix}{entry.name}", entry.stat()
