"""Texts that fit a terminal: names that are too long lose their middle.

Widths are those on the screen: an ideograph takes two columns, and a combining mark none.
"""

from __future__ import annotations

import locale
import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TextIO

__all__ = [
    "display_width",
    "fitted_row",
    "padded",
    "shortened",
    "shows_ascii_only",
    "terminal_columns",
    "wrapped",
]

_LEAST = 4
"""No cell is shortened to fewer columns."""


def terminal_columns(stream: TextIO | None = None) -> int | None:
    """Returns the columns of the terminal that a stream writes to; None where they are unknown, as of files and pipes.

    Args:
        stream: by default standard output.
    """
    stream = sys.stdout if stream is None else stream
    try:
        if not stream.isatty():
            return None
        columns = os.environ.get("COLUMNS", "")
        if columns.isdecimal() and int(columns):
            return int(columns)
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def shows_ascii_only(stream: TextIO | None = None) -> bool:
    """Returns whether the terminal may show ASCII only: the locale, or the stream's encoding, is not UTF-8.

    Python's own encoding alone does not tell: it is UTF-8 in the locale C as well.

    Args:
        stream: by default standard output.
    """
    encoding = getattr(sys.stdout if stream is None else stream, "encoding", None) or "utf-8"
    if not encoding.lower().replace("utf8", "utf-8").startswith("utf-8"):
        return True
    named = next((value for name in ("LC_ALL", "LC_CTYPE", "LANG") if (value := os.environ.get(name))), "")
    if sys.platform == "darwin" and not named:
        named = locale.getencoding()
    return "utf-8" not in named.lower().replace("utf8", "utf-8")


def display_width(text: str) -> int:
    """Returns the columns that a text takes.

    Example:
        >>> display_width("data"), display_width("\u6570\u636e"), display_width("e\u0301")
        (4, 4, 1)
    """
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return sum(cell_len(each) for each in _clusters(text))


def shortened(text: str, columns: int, *, ascii_only: bool = False) -> str:
    """Returns a text that takes at most so many columns; of a longer one, its beginning and its end.

    Args:
        text: the text.
        columns: the most columns that it may take.
        ascii_only: whether the terminal shows ASCII only.

    Example:
        >>> shortened("results-of-2026.csv", 11), shortened("a.csv", 11), shortened("results.csv", 9, ascii_only=True)
        ('resul\u20266.csv', 'a.csv', 'resu...sv')
    """
    if display_width(text) <= columns:
        return text
    mark = "..." if ascii_only else "\u2026"
    room = columns - len(mark)
    if room < 1:
        return mark[: max(columns, 0)]
    clusters = [*_clusters(text)]
    head = _taken(clusters, (room + 1) // 2)
    tail = _taken(clusters[::-1], room - display_width(head))
    return f"{head}{mark}{''.join([*_clusters(tail)][::-1])}"


def wrapped(text: str, columns: int | None, *, ascii_only: bool = False) -> str:
    r"""Returns a text in lines of whole words, each but the first indented by four spaces.

    Args:
        text: the text, without line ends.
        columns: the columns of the terminal; None: no limit.
        ascii_only: whether the terminal shows ASCII only. A word that is longer than a line loses its middle.

    Example:
        >>> wrapped("2 items, 3 bytes in 0.01 s", 16)
        '2 items, 3 bytes\n    in 0.01 s'
    """
    if columns is None or display_width(text) <= columns:
        return text
    lines: list[str] = []
    for word in text.split():
        if lines and display_width(lines[-1]) + 1 + display_width(word) <= columns:
            lines[-1] += f" {word}"
            continue
        indent = "    " if lines else ""
        lines.append(indent + shortened(word, max(columns - len(indent), _LEAST), ascii_only=ascii_only))
    return "\n".join(lines)


def padded(text: str, columns: int, *, right: bool = False) -> str:
    """Fills a text up with spaces: behind it, or with `right` in front of it."""
    space = " " * max(0, columns - display_width(text))
    return f"{space}{text}" if right else f"{text}{space}"


def fitted_row(widths: Sequence[int], columns: int | None, *, fixed: Sequence[int] = (), gap: int = 2) -> list[int]:
    """Returns the widths of a table's columns that fit a terminal: the widest ones become narrower.

    Args:
        widths: the widths that the cells have.
        columns: the columns of the terminal; None: no limit.
        fixed: the columns that keep their width as long as another one can become narrower.
        gap: the spaces between two columns.
    """
    found = [*widths]
    if columns is None:
        return found
    for candidates in ([each for each in range(len(found)) if each not in fixed], [*fixed]):
        while candidates and sum(found) + gap * (len(found) - 1) > columns:
            widest = max(candidates, key=lambda each: found[each])
            if found[widest] <= _LEAST:
                break
            found[widest] -= 1
    return found


def _taken(clusters: Sequence[str], columns: int) -> str:
    """Returns the first of these characters, as many as fit."""
    found: list[str] = []
    for each in clusters:
        columns -= display_width(each)
        if columns < 0:
            break
        found.append(each)
    return "".join(found)


def _clusters(text: str) -> Iterator[str]:
    """Yields each character with the marks that are drawn onto it."""
    cluster = ""
    for each in text:
        if cluster and not (unicodedata.combining(each) or unicodedata.category(each) in ("Mn", "Me", "Cf")):
            yield cluster
            cluster = ""
        cluster += each
    if cluster:
        yield cluster
