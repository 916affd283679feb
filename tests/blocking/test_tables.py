"""What the facade prints, to the letter."""

from __future__ import annotations

import io
import re
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxflow_async.blocking.tables import format_item, print_items, write_line
from dxflow_async.models import Item
from dxflow_async.security.redaction import printable

_DOCUMENT = Path(__file__).parent.parent / "docs" / "documented.md"


def _documented_lines() -> list[str]:
    (block,) = re.findall(r"^```markdown\n(.*?)^```", _DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return str(block).splitlines()


def _item_of(line: str) -> Item:
    kind, size, day, clock, name = line.split(maxsplit=4)
    modified = time.mktime(time.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M:%S"))
    return Item(name, f"/{name}", kind == "d", int(size), modified)


@pytest.mark.parametrize("line", _documented_lines())
def test_the_documented_lines_come_out_to_the_letter(line: str) -> None:
    """Every line of the documentation's listing, in local time."""
    assert format_item(_item_of(line)) == line


def test_items_are_printed_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    """No sorting: the documented listing comes out whole."""
    lines = _documented_lines()
    print_items(map(_item_of, lines))
    assert capsys.readouterr().out.splitlines() == lines


@pytest.mark.parametrize("modification", [0.0, -1.0, 1e300])
def test_an_unknown_time_leaves_its_column_blank(modification: float) -> None:
    """The name stands where it stands in every line."""
    known, unknown = (format_item(Item("name", "/name", modification=each)) for each in (1.7e9, modification))
    assert known.index("name") == unknown.index("name")
    assert unknown == "-          0                     name"


def test_a_size_wider_than_its_column_is_not_cut() -> None:
    """Ten digits are the documented width, not the limit."""
    assert format_item(Item("a", "/a", size=12_345_678_901)).startswith("- 12345678901 ")


@pytest.mark.parametrize(
    ("below", "shown"), [(None, "c"), ("/", "a/b/c"), ("/a", "b/c"), ("/a/", "b/c"), ("/a/b/c", "c"), ("/x/", "/a/b/c")]
)
def test_names_below_a_directory(below: str | None, shown: str) -> None:
    """A recursive listing shows paths below what was listed."""
    assert format_item(Item("c", "/a/b/c/", directory=True), below=below).endswith(f" {shown}")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b]0;title\x07\x1b[2J", "\\x1b]0;title\\x07\\x1b[2J"),
        ("line\nbreak\r\t\x00\x7f", "line\\nbreak\\r\\t\\x00\\x7f"),
        ("\x9b2J", "\\x9b2J"),
        ("cod\u202egpj.exe", "cod\\u202egpj.exe"),
        ("\u2028\udcff", "\\u2028\\udcff"),
        ("äöü 数据 👩‍💻 e\u0301", "äöü 数据 👩‍💻 e\u0301"),
    ],
)
def test_a_hostile_name_commands_no_terminal(name: str, shown: str) -> None:
    """Controls and reversals of direction are escaped, letters of every language are not."""
    assert format_item(Item(name, f"/{name}")).endswith(f" {shown}")


@given(st.text())
def test_no_name_brings_a_control_character(name: str) -> None:
    """Whatever the name, what is printed is one line without controls."""
    shown = printable(name)
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cs", "Zl", "Zp"}


@given(st.text(st.characters(categories=["L", "N", "P", "S", "M", "Zs"])))
def test_harmless_names_are_left_as_they_are(name: str) -> None:
    """Nothing is escaped that need not be."""
    assert printable(name) == name


def test_a_stream_that_lacks_a_letter_gets_its_escape() -> None:
    """Printing does not fail because the terminal's encoding is poor."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, "ascii", newline="\n")
    write_line("prefix ä", stream)
    stream.flush()
    assert raw.getvalue() == b"prefix \\xe4\n"
