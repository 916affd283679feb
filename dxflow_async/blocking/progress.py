"""Showing the progress of calls: a bar on a terminal or in a notebook, else a line now and then."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Literal

from dxflow_async.blocking.fitting import shows_ascii_only
from dxflow_async.blocking.notebook import in_notebook, notebook_bar
from dxflow_async.blocking.tables import write_line
from dxflow_async.models import Progress
from dxflow_async.progress_text import bar_lines, progress_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["ProgressMode", "contained", "end_at_once", "progress_bar", "raising_callbacks", "shown"]

ProgressMode = Literal["auto", "bar", "lines", "none"]
"""`"auto"` is a bar on a terminal, and lines elsewhere."""

_LINE_SECONDS = 30.0
_FRAMES_A_SECOND = 8

_screen = threading.Lock()  # one bar at a time: the bars of several threads would overwrite each other


@contextmanager
def progress_bar(
    label: str, *, enabled: bool = True, mode: ProgressMode = "auto", stays: bool = True, lines: bool = False
) -> Iterator[Callable[[Progress], None] | None]:
    """Shows progress on standard error while the block runs; yields the `on_progress` callback that updates it.

    Yields None when nothing is shown: it is not enabled, there is no terminal, or another thread shows a bar.

    Args:
        label: the text beside the bar.
        enabled: whether anything is shown.
        mode: what is shown.
        stays: whether the bar stays on the screen at the end.
        lines: whether `"auto"` writes lines where there is no terminal.
    """
    if not enabled or mode == "none" or sys.stderr is None:
        yield None
    elif mode == "auto" and in_notebook():
        with notebook_bar(label) as show:
            yield show
    elif mode == "bar" or (mode == "auto" and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"):
        if not _screen.acquire(blocking=False):
            yield None
            return
        try:
            with _bar(label, stays=stays) as show:
                yield show
        finally:
            _screen.release()
    elif mode == "lines" or lines:
        yield _line_writer()
    else:
        yield None


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
        with raising_callbacks():
            yield contained(on_progress)
        return
    with progress_bar(label, enabled=enabled) as show:
        yield show


class _CallbackRaised(Exception):  # noqa: N818 - it carries another exception, and nobody sees it
    """Carries an exception of a callback from the event loop's thread to the thread that waits for the call."""

    def __init__(self, reason: BaseException) -> None:
        super().__init__(str(reason))
        self.reason = reason


def contained(on_progress: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """Returns a callback for the event loop whose exceptions `raising_callbacks` raises in another thread."""

    def call(progress: Progress) -> None:
        try:
            on_progress(progress)
        except BaseException as error:
            raise _CallbackRaised(error) from error

    return call


@contextmanager
def raising_callbacks() -> Iterator[None]:
    """Raises what a callback raised in the event loop, where the block waits for its call."""
    try:
        yield
    except _CallbackRaised as raised:
        raise raised.reason from raised.reason.__cause__


def end_at_once(status: int) -> None:
    """Ends the process without any clean-up but that of the terminal, whose cursor is shown again."""
    stream = sys.__stderr__
    if _screen.locked() and stream is not None and stream.isatty():
        stream.write("\x1b[?25h\n")
        stream.flush()
    os._exit(status)


def _line_writer() -> Callable[[Progress], None]:
    """Returns a callback that writes a line every 30 seconds."""
    told = monotonic()

    def show(progress: Progress) -> None:
        nonlocal told
        if monotonic() - told >= _LINE_SECONDS:
            told = monotonic()
            write_line(f"dxflow-async: {progress_text(progress)}", sys.stderr)

    return show


@contextmanager
def _bar(label: str, *, stays: bool) -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.live import Live

    # Other output on standard error goes above the bar. Standard output is left alone: it may be a file.
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    latest: list[Progress] = []
    ascii_only = shows_ascii_only(sys.stderr)

    def render() -> Text:
        return _rendered(latest[-1], console, label, ascii_only=ascii_only) if latest else _empty()

    def show(progress: Progress) -> None:
        latest[:] = [progress]

    with Live(
        console=console,
        get_renderable=render,
        refresh_per_second=_FRAMES_A_SECOND,
        transient=not stays,
        redirect_stdout=False,
    ):
        yield show


def _rendered(progress: Progress, console: Console, label: str, *, ascii_only: bool) -> Text:
    from rich.text import Text

    found = bar_lines(progress, console.width, label=label, ascii_only=ascii_only)
    text = Text(found.before, no_wrap=True, overflow="crop")
    text.append(found.done, "cyan").append(found.left, "dim").append(found.after)
    for line in found.below:
        text.append(f"\n{line}", "yellow" if line.startswith("waits: ") else "dim")
    return text


def _empty() -> Text:
    from rich.text import Text

    return Text("")
