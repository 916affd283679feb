"""The output of the blocking calls: listings and units, in the documented forms."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import TextIO

from dxflow_async.models import Item, Unit
from dxflow_async.security.redaction import printable

__all__ = ["format_item", "print_items", "print_units", "write_line"]

_UNIT_COLUMNS = ("Name", "Status", "IP", "Cluster Type", "CPU", "Memory(GB)", "Disk")
_NUMBERS = 3
"""The number of columns, at the right, that are right-aligned."""

_UNKNOWN_TIME = " " * 19


def print_items(items: Iterable[Item], *, below: str | None = None) -> None:
    """Prints one line for each item, in order; with `below` its path below that directory instead of its name."""
    for item in items:
        write_line(format_item(item, below=below))


def format_item(item: Item, *, below: str | None = None, size: str | None = None) -> str:
    """Formats an item: type, size in bytes, local time (blank if unknown), name.

    Args:
        item: the item.
        below: a directory; the item's path below it is printed instead of its name.
        size: the size as it is to be printed; by default the number of bytes.

    Example:
        >>> format_item(Item("preview.png", "/data/preview.png", size=137484), below="/")
        '-     137484                     data/preview.png'
    """
    kind = "d" if item.directory else "-"
    name = item.name if below is None else _relative(item, below)
    return f"{kind} {size or item.size:>10} {_local_time(item.modification)} {printable(name)}"


def print_units(units: Iterable[Unit]) -> None:
    """Prints a table of units, in order."""
    rows = [_UNIT_COLUMNS, *(_unit_row(unit) for unit in units)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        write_line(_table_line(row, widths))


def write_line(line: str, stream: TextIO | None = None) -> None:
    """Prints a line. Characters that the stream's encoding lacks are printed as escapes.

    Args:
        line: the line.
        stream: by default standard output.
    """
    stream = sys.stdout if stream is None else stream
    encoding = getattr(stream, "encoding", None) or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), file=stream)


def _unit_row(unit: Unit) -> tuple[str, ...]:
    texts = (unit.name, unit.status, unit.ip, unit.cluster_type)
    return (*map(printable, texts), f"{unit.cpu:g}", f"{unit.memory:g}", f"{unit.disk:g}")


def _table_line(row: Sequence[str], widths: Sequence[int]) -> str:
    split = len(row) - _NUMBERS
    cells = [cell.ljust(width) for cell, width in zip(row[:split], widths, strict=False)]
    cells += [cell.rjust(width) for cell, width in zip(row[split:], widths[split:], strict=True)]
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
