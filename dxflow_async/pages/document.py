"""The parts of pages: escaped text, tiles, cards and tables.

Functions here return markup. Whatever a caller passes as text is escaped; parameters named `markup` are taken as they
are.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

from dxflow_async.pages.style import STYLE
from dxflow_async.security.redaction import printable, redacted

__all__ = ["bytes_text", "card", "duration_text", "name", "number_text", "page", "pairs", "table", "text", "tile"]

# They are not characters, and XML does not allow them.
_NOT_CHARACTERS = {0xFFFE: "\\ufffe", 0xFFFF: "\\uffff"}


def text(value: object) -> str:
    """Returns a value as markup: escaped, without control characters and without the secrets of URLs.

    Example:
        >>> text("<b> & https://me:pw@host/a?sig=abc")
        '&lt;b&gt; &amp; https://***@host/a?***'
    """
    return html.escape(printable(redacted(str(value))).translate(_NOT_CHARACTERS))


def name(value: str) -> str:
    """Returns the name of an item as markup that keeps its own direction of writing."""
    return f"<bdi>{text(value)}</bdi>"


def page(title: str, markup: str) -> str:
    """Returns a whole page."""
    return (
        '<!DOCTYPE html>\n<html lang="en" xmlns="http://www.w3.org/1999/xhtml">\n<head>\n<meta charset="utf-8" />\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1" />\n'
        # It runs nothing and loads nothing, whatever an error in this program lets into it.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\" />\n"
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{markup}\n</main>\n</body>\n"
        "</html>\n"
    )


def tile(label: str, value: str, kind: str = "") -> str:
    """Returns one figure; `kind` is `"bad"`, `"warn"` or empty."""
    return f'<div class="tile {kind}"><b>{text(value)}</b><span class="quiet">{text(label)}</span></div>'


def card(title: str, markup: str, *, note: str = "", width: str = "") -> str:
    """Returns a titled box; `note` stands at its right, and `width` is `"wide"`, `"third"` or empty for a half."""
    head = f'<div class="head"><h2>{text(title)}</h2><span class="quiet">{text(note)}</span></div>'
    return f'<section class="card {width}">{head}{markup}</section>'


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = (), hidden: Sequence[int] = ()
) -> str:
    """Returns a table.

    Args:
        columns: the titles.
        rows: the cells of each row, as markup.
        numbers: the columns that hold numbers.
        hidden: the columns that a phone does not show.
    """

    def kind(place: int) -> str:
        classes = [*(["number"] if place in numbers else []), *(["hide"] if place in hidden else [])]
        return f' class="{" ".join(classes)}"' if classes else ""

    head = "".join(f"<th{kind(place)}>{text(each)}</th>" for place, each in enumerate(columns))
    body = "".join(
        f"<tr>{''.join(f'<td{kind(place)}>{each}</td>' for place, each in enumerate(row))}</tr>" for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def pairs(values: Mapping[str, str]) -> str:
    """Returns a list of names and values."""
    rows = "".join(f"<div><dt>{text(key)}</dt><dd>{text(value)}</dd></div>" for key, value in values.items())
    return f"<dl>{rows}</dl>"


def duration_text(seconds: float) -> str:
    """Returns a time in the unit that fits.

    Example:
        >>> [duration_text(each) for each in (0.0004, 0.25, 7.25, 90, 7260)]
        ['0.4 ms', '250 ms', '7.25 s', '1 min 30 s', '2 h 1 min']
    """
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms" if seconds else "0 s"
    if seconds < 59.995:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def bytes_text(size: float) -> str:
    """Returns a number of bytes with a binary unit and three significant digits.

    Example:
        >>> bytes_text(8 << 20), bytes_text(1500), bytes_text(0)
        ('8 MiB', '1.46 KiB', '0 B')
    """
    unit = 0
    while abs(size) >= 999.5 and unit < 6:
        size, unit = size / 1024, unit + 1
    digits = f"{size:.3g}"
    return f"{digits} B" if unit == 0 else f"{digits} {'KMGTPE'[unit - 1]}iB"


def number_text(value: float) -> str:
    """Returns a number with separators of thousands, and with decimals where it is small.

    Example:
        >>> number_text(1234567), number_text(3.14159), number_text(0)
        ('1,234,567', '3.14', '0')
    """
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
