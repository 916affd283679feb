"""`ls` of a local directory takes a shorter way, and prints the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dxflow_async.cli.quick_listing import list_quickly
from tests.cli.called_command import Command


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with everything that a directory may have."""
    tree = tmp_path / "tree"
    (tree / "sub" / "deep").mkdir(parents=True)
    for name in ("a.csv", "B", "\u00e9", "e\u0301", "two\nlines", "\x1b[31m", "sub/b.txt", "sub/deep/c"):
        (tree / name).write_bytes(b"x" * len(name))
    (tree / "empty").mkdir()
    (tree / os.fsdecode(b"not-utf8-\xe9")).write_bytes(b"")
    os.mkfifo(tree / "pipe")
    (tree / "link").symlink_to("a.csv")
    (tree / "to-directory").symlink_to("sub")
    (tree / "broken").symlink_to("nowhere")
    (tree / "loop").symlink_to("loop")
    os.utime(tree / "a.csv", (0, 0))
    return tree


@pytest.mark.parametrize(
    "options", ["", "-h", "--total", "-h --total", "--json", "--json --total", "-l", "-r", "-r -h"]
)
@pytest.mark.parametrize("place", ["tree", "tree/", "./tree/sub", "tree/to-directory", "tree/../tree", ""])
def test_both_ways_print_the_same(
    command: Command, tree: Path, monkeypatch: pytest.MonkeyPatch, options: str, place: str
) -> None:
    """To the letter, as text and as JSON, whatever is in the directory."""
    assert tree.exists()
    arguments = ["ls", *options.split(), *([place] if place else [])]
    quick = command(*arguments)
    monkeypatch.setattr("dxflow_async.cli.list_quickly", lambda _: None)
    assert quick == command(*arguments)
    assert quick.status == 0


def test_what_it_does_not_know_is_left_to_the_command(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Other options, other places, patterns, several places, and everything that would be an error."""
    monkeypatch.chdir(tree.parent)
    for line in (
        "ls --include *.csv tree", "ls aws:/b/", "ls tree/*.csv", "ls tree tree", "ls none", "ls tree/a.csv", "ls -x .",
        "ls tree/empty", "ls --profile x .", "ls https://host/", "ls C:", "du tree", "ls -", "ls -- .", "ls -lh .",
    ):  # fmt: skip
        assert list_quickly(line.split()) is None, line
    assert capfd.readouterr().out == ""
