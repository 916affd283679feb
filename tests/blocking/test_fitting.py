"""Lists fit the terminal that they are printed on, by the columns that characters take there."""

from __future__ import annotations

import pytest

from dxflow_async.blocking.fitting import display_width, fitted_row, shortened, wrapped
from dxflow_async.blocking.tables import format_item
from dxflow_async.models import Item

NAMES = ["a" * 300, "\u6570\u636e" * 60, "e\u0301" * 90, "\U0001f600" * 50, "short", "results-of-the-year-2026.csv"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_line_of_ls_fits(name: str, columns: int) -> None:
    """Long names lose their middle, and stand below where little of them were left; widths are those on the screen."""
    lines = format_item(Item(name, f"/{name}", size=3), columns=columns).split("\n")
    assert max(map(display_width, lines)) <= columns
    assert display_width(lines[-1].split()[-1]) >= min(12, display_width(name)) - 1
    assert format_item(Item(name, f"/{name}", size=3)).endswith(name)  # whole, where nothing limits it


@pytest.mark.parametrize("columns", range(12))
@pytest.mark.parametrize("name", NAMES)
def test_no_character_is_cut(name: str, columns: int) -> None:
    """A mark stays with its letter, at every width."""
    found = shortened(name, columns)
    assert display_width(found) <= columns
    assert not found.partition("\u2026")[2].startswith("\u0301")


def test_sentences_are_wrapped_between_words() -> None:
    """No word is cut but one that is longer than a line, which loses its middle; nothing limits a file."""
    text = f"skipped tree/{'x' * 60}: a symbolic link to nothing"
    assert wrapped(text, 30).splitlines() == [
        "skipped", f"    tree/{'x' * 8}\u2026{'x' * 11}:", "    a symbolic link to nothing"
    ]  # fmt: skip
    assert wrapped(text, 30, ascii_only=True).isascii()
    assert (wrapped(text, None), wrapped(text, 200)) == (text, text)
    assert max(map(display_width, wrapped("\u6570\u636e " * 30, 40).splitlines())) <= 40


def test_tables_shrink_at_their_widest_columns() -> None:
    """Numbers keep their width as long as texts can give way."""
    assert fitted_row([30, 10, 4], 40, fixed=[2]) == [22, 10, 4]
    assert sum(fitted_row([30, 20, 15, 13, 3, 10, 4], 40, fixed=[4, 5, 6])) + 2 * 6 <= 40
    assert fitted_row([30, 10], None) == [30, 10]
