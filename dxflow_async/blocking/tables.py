"""The output of the blocking calls: listings and units, in the documented forms."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TextIO

from dxflow_async.blocking.fitting import (
    display_width,
    fitted_row,
    padded,
    shortened,
    shows_ascii_only,
    terminal_columns,
    wrapped,
)
from dxflow_async.models import Item, Unit
from dxflow_async.security.redaction import printable

__all__ = [
    "difference_line",
    "fitted",
    "format_item",
    "labelled_line",
    "print_items",
    "print_units",
    "write_line",
    "write_text",
]

_UNIT_COLUMNS = ("Name", "Status", "IP", "Cluster Type", "CPU", "Memory(GB)", "Disk")
_NUMBERS = 3
"""The number of columns, at the right, that are right-aligned."""

_LEAST_NAME = 12
"""Columns that a name gets before what is beside it goes to the next line."""

_UNKNOWN_TIME = " " * 19


def print_items(items: Iterable[Item], *, below: str | None = None) -> None:
    """Prints one line for each item, in order; with `below` its path below that directory instead of its name."""
    for item in items:
        write_line(format_item(item, below=below))


def format_item(item: Item, *, below: str | None = None, size: str | None = None, columns: int | None = None) -> str:
    """Formats an item: type, size in bytes, local time (blank if unknown), name; a long one may go to the next line.

    Args:
        item: the item.
        below: a directory; the item's path below it is printed instead of its name.
        size: the size as it is to be printed; by default the number of bytes.
        columns: the columns of the terminal, to which a long name is shortened; None: no limit.

    Example:
        >>> format_item(Item("preview.png", "/data/preview.png", size=137484), below="/")
        '-     137484                     data/preview.png'
    """
    kind = "d" if item.directory else "-"
    name = item.name if below is None else _relative(item, below)
    before = f"{kind} {size or item.size:>10} {_local_time(item.modification)} "
    if columns is not None and columns - len(before) < min(_LEAST_NAME, display_width(printable(name))):
        return f"{before.rstrip()}\n    {fitted(name, columns, 4)}"
    return f"{before}{fitted(name, columns, len(before))}"


def fitted(name: str, columns: int | None, before: int, *, least: int = 5) -> str:
    """Returns a name as it can be printed, shortened to what a line has left.

    Args:
        name: the name.
        columns: the columns of the terminal; None: no limit.
        before: the columns that are taken.
        least: the fewest columns of a name.
    """
    text = printable(name)
    return text if columns is None else shortened(text, max(columns - before, least), ascii_only=shows_ascii_only())


def difference_line(kind: str, size: int, path: str, reason: str, *, kind_columns: int = 10) -> str:
    """Formats a difference or an action: what it is, the size in bytes, the path, and why. It fits the terminal.

    Example:
        >>> difference_line("missing", 3, "a/b", "only in the first")
        'missing               3 a/b (only in the first)'
    """
    before, after = f"{kind:<{kind_columns}} {size:>12} ", f" ({printable(reason)})" if reason else ""
    columns = terminal_columns()
    if after and columns is not None and columns < len(before) + len(after) + _LEAST_NAME:  # the reason goes below
        return f"{before}{fitted(path, columns, len(before))}\n    {fitted(after.strip(), columns, 4)}"
    return f"{before}{fitted(path, columns, len(before) + display_width(after))}{after}"


def labelled_line(label: str, text: str) -> str:
    """Formats a label and a text. Where the terminal is narrow the text goes to the next line, and loses its middle.

    Example:
        >>> labelled_line("etag: ", "49cf731a")
        'etag: 49cf731a'
    """
    columns, shown = terminal_columns(), printable(text)
    if columns is None or len(label) + display_width(shown) <= columns:
        return f"{label}{shown}"
    return f"{fitted(label.rstrip(), columns, 0)}\n    {fitted(text, columns, 4)}"


def print_units(units: Iterable[Unit]) -> None:
    """Prints a table of units, in order; where the terminal is narrow, a sentence for each."""
    rows = [_UNIT_COLUMNS, *(_unit_row(unit) for unit in units)]
    wanted = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
    columns = terminal_columns()
    widths = fitted_row(wanted, columns, fixed=range(len(wanted) - _NUMBERS, len(wanted)))
    if any(width < min(want, _LEAST_NAME) for width, want in zip(widths, wanted, strict=True)):
        for name, *rest in rows[1:]:
            texts = (f"{column} {text}" for column, text in zip(_UNIT_COLUMNS[1:], rest, strict=True))
            write_text(f"{name}: {', '.join(texts)}")
        return
    for row in rows:
        write_line(_table_line(row, widths))


def write_line(line: str, stream: TextIO | None = None) -> None:
    """Prints a line. Characters that the stream's encoding lacks are printed as escapes.

    Args:
        line: the line.
        stream: by default standard output.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed. Part of the line may have been printed; the next one begins a new line.
    """
    stream = sys.stdout if stream is None else stream
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        print(line.encode(encoding, "backslashreplace").decode(encoding), file=stream)
    except KeyboardInterrupt:
        with suppress(OSError):
            stream.write("\n")
        raise


def write_text(text: str) -> None:
    """Prints sentences on standard output; on a terminal, in lines that fit it."""
    columns = terminal_columns()
    for line in text.split("\n"):
        write_line(wrapped(line, columns, ascii_only=shows_ascii_only()))


def _unit_row(unit: Unit) -> tuple[str, ...]:
    texts = (unit.name, unit.status, unit.ip, unit.cluster_type)
    return (*map(printable, texts), f"{unit.cpu:g}", f"{unit.memory:g}", f"{unit.disk:g}")


def _table_line(row: Sequence[str], widths: Sequence[int]) -> str:
    split = len(row) - _NUMBERS
    short = [shortened(cell, width, ascii_only=shows_ascii_only()) for cell, width in zip(row, widths, strict=True)]
    cells = [padded(cell, width) for cell, width in zip(short[:split], widths, strict=False)]
    cells += [padded(cell, width, right=True) for cell, width in zip(short[split:], widths[split:], strict=True)]
    return "  ".join(cells)


def _relative(item: Item, below: str) -> str:
    directory = f"/{below.strip('/')}/" if below.strip("/") else "/"
    return item.path.removeprefix(directory).rstrip("/") or item.name


def _local_time(modification: float) -> str:
    if modification <= 0:
        return _UNKNOWN_TIME
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(modification))
    except (OverflowError, ValueError, OSError):
        return _UNKNOWN_TIME
