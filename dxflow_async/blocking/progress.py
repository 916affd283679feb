"""The progress bar, which is shown on a terminal only."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dxflow_async.models import Progress

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["progress_bar", "progress_line", "shown"]

_screen = threading.Lock()  # one bar at a time: the bars of several threads would overwrite each other


@contextmanager
def progress_bar(label: str, *, enabled: bool = True) -> Iterator[Callable[[Progress], None] | None]:
    """Shows a bar on standard error while the block runs; yields the `on_progress` callback that updates it.

    Yields None when no bar is shown: it is not enabled, there is no terminal, or another thread shows one.
    """
    if not (enabled and sys.stderr is not None and sys.stderr.isatty() and _screen.acquire(blocking=False)):
        yield None
        return
    try:
        from rich.console import Console

        with _rich_bar(label, Console(stderr=True)) as show:
            yield show
    finally:
        _screen.release()


@contextmanager
def shown(
    label: str, on_progress: Callable[[Progress], None] | None, *, enabled: bool
) -> Iterator[Callable[[Progress], None] | None]:
    """Yields the caller's own callback, or else the callback of a bar.

    Raises:
        BaseException: the callback raised it. The event loop, in which it is called, goes on even after
            KeyboardInterrupt, and CancelledError is not mistaken for a closed session.
    """
    if on_progress is not None:
        try:
            yield _contained(on_progress)
        except _CallbackRaised as raised:
            raise raised.reason from raised.reason.__cause__
        return
    with progress_bar(label, enabled=enabled) as show:
        yield show


class _CallbackRaised(Exception):  # noqa: N818 - it carries another exception, and nobody sees it
    """Carries an exception of a callback from the event loop's thread to the thread that waits for the call."""

    def __init__(self, reason: BaseException) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _contained(on_progress: Callable[[Progress], None]) -> Callable[[Progress], None]:
    def call(progress: Progress) -> None:
        try:
            on_progress(progress)
        except BaseException as error:
            raise _CallbackRaised(error) from error

    return call


def progress_line(progress: Progress) -> str:
    """Formats a snapshot as text.

    Example:
        >>> progress_line(Progress(3, 10, 2048, None, 1, 0, 2.0))
        '3/10 files, 2.0 kB, 1.0 kB/s, 1 failed'
        >>> progress_line(Progress(3, 10, 2048, None, 0, 0, 2.0, 96))
        '3/10 files, 2.0 kB, 1.0 kB/s, 96 at a time'
    """
    from rich.filesize import decimal

    files = f"{progress.files_done}/{progress.files_total or '?'} files"
    size = decimal(progress.bytes_done)
    if progress.bytes_total:
        size += f" of {decimal(progress.bytes_total)}"
    parts = [files, size, f"{decimal(int(progress.goodput))}/s"]
    if progress.concurrency:
        parts.append(f"{progress.concurrency} at a time")
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if progress.retries:
        parts.append(f"{progress.retries} retries")
    return ", ".join(parts)


@contextmanager
def _rich_bar(label: str, console: Console) -> Iterator[Callable[[Progress], None]]:
    from rich import progress

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.TextColumn("{task.fields[line]}"),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console) as bar:
        task = bar.add_task(label, total=None, line="")

        def show(event: Progress) -> None:
            # Empty files have no bytes: their number measures the progress.
            total = event.bytes_total or event.files_total
            done = event.bytes_done if event.bytes_total else event.files_done
            bar.update(task, completed=done, total=total, line=progress_line(event))

        yield show
