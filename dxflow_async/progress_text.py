"""Progress as text: one line for logs and notebooks, and the lines of a bar that fit a terminal."""

from __future__ import annotations

import textwrap
from typing import NamedTuple

from dxflow_async.models import Progress
from dxflow_async.plurals import counted

__all__ = ["BarLines", "bar_lines", "duration_text", "progress_text"]

_LEAST_BAR, _MOST_BAR = 10, 40


class BarLines(NamedTuple):
    """A bar with its text.

    Attributes:
        before: the text before the bar.
        done, left: the two parts of the bar; empty where there is no room.
        after: the text behind it.
        below: further lines.
    """

    before: str
    done: str
    left: str
    after: str
    below: tuple[str, ...]


def progress_text(progress: Progress) -> str:
    """Formats progress as one line.

    Example:
        >>> progress_text(Progress(3, 10, 2 << 20, 8 << 20, 1, 2, 2.0, 48, rate=(1e6, 1.5)))
        'moving: 3 of 10 files, 2.1 MB of 8.4 MB, 25%, 1.5 files/s, 5 s left, 48 at a time, 2 retries, 1 failed'
    """
    parts = [_files(progress), _sizes(progress), _percent(progress), _rate(progress)]
    if (eta := progress.eta) is not None and progress.phase != "deleting":
        parts.append(f"{duration_text(eta)} left")
    parts += _rest(progress)
    if progress.waiting_for is not None:
        parts.append(f"waits: {progress.waiting_for}")
    return f"{progress.phase}: {', '.join(part for part in parts if part)}"


def bar_lines(progress: Progress, width: int, *, label: str = "moving", ascii_only: bool = False) -> BarLines:
    """Lays out a bar of a terminal.

    Args:
        progress: what to show.
        width: the columns of the terminal. No line is longer than one less.
        label: what the call does while it moves items.
        ascii_only: whether the terminal shows ASCII only.

    Example:
        >>> found = bar_lines(Progress(3, 10, 5 << 20, 20 << 20, 0, 2, 2.0, 48, rate=(1e6, 0.5)), 60, ascii_only=True)
        >>> print(f"{found.before}{found.done}{found.left}{found.after}")
        moving 25% ##-------- 5.2 MB of 21.0 MB  1.0 MB/s  16 s left
        >>> print(found.below[0])
        3 of 10 files, 48 at a time, 2 retries
    """
    room = width - 1
    before = f"{label if progress.phase == 'moving' else progress.phase} {_percent(progress)}".rstrip()
    eta = progress.eta
    left = "" if eta is None or progress.phase == "deleting" else f"{duration_text(eta)} left"
    first, second = _sizes(progress), _files(progress)
    if progress.small_files or not first:
        first, second = second, first
    # What fits, from the longest text to the shortest.
    for parts in ((first, _rate(progress), left), (first, _rate(progress)), (first,), ()):
        after = "  ".join(part for part in parts if part)
        if len(before) + len(after) + 2 <= room:
            break
    space = min(room - len(before) - len(after) - 3, _MOST_BAR)
    done = rest = ""
    if space >= _LEAST_BAR and progress.fraction is not None and progress.phase != "deleting":
        filled = int(space * progress.fraction)
        done, rest = (
            (("#", "-") if ascii_only else ("━", "─"))[0] * filled,
            ("-" if ascii_only else "─") * (space - filled),
        )
        after = f" {after}"
    below = ", ".join(part for part in (second, *_rest(progress)) if part)
    lines = textwrap.wrap(below, room)[:2]
    if progress.waiting_for is not None:
        lines += textwrap.wrap(f"waits: {progress.waiting_for}", room)[:3]
    return BarLines(f"{before} ", done, rest, after[: room - len(before) - 1 - len(done) - len(rest)], tuple(lines))


def duration_text(seconds: float) -> str:
    """Formats a duration.

    Example:
        >>> duration_text(9.4), duration_text(75), duration_text(3 * 3600 + 120), duration_text(200_000)
        ('9 s', '1:15', '3:02:00', '2 d 7 h')
    """
    whole = round(seconds)
    minutes, left = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    if hours:
        return f"{hours}:{minutes:02}:{left:02}"
    return f"{minutes}:{left:02}" if minutes else f"{left} s"


def _files(progress: Progress) -> str:
    if progress.phase == "deleting":
        return f"{progress.deleted or progress.files_done:,} deleted"
    if progress.files_total is None:
        return counted(progress.files_done, "file") if progress.files_done else ""
    return f"{progress.files_done:,} of {counted(progress.files_total, 'file')}"


def _sizes(progress: Progress) -> str:
    from rich.filesize import decimal

    if progress.phase == "deleting" or not (progress.bytes_done or progress.bytes_total):
        return ""
    total = f" of {decimal(progress.bytes_total)}" if progress.bytes_total else ""
    return f"{decimal(progress.bytes_done)}{total}"


def _percent(progress: Progress) -> str:
    fraction = progress.fraction
    return "" if fraction is None or progress.phase == "deleting" else f"{int(100 * fraction)}%"


def _rate(progress: Progress) -> str:
    from rich.filesize import decimal

    size, items = progress.rate
    if progress.small_files or progress.phase == "deleting":
        return f"{items:,.0f} files/s" if items >= 10 else f"{items:.1f} files/s" if items >= 0.05 else ""
    return f"{decimal(int(size))}/s" if size >= 1 else ""


def _rest(progress: Progress) -> list[str]:
    counts = (
        (progress.concurrency, "at a time", "at a time"),
        (progress.retries, "retry", "retries"),
        (progress.failed, "failed", "failed"),
    )
    return [counted(count, *words) for count, *words in counts if count]
