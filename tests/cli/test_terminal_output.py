"""Lists and questions of commands whose standard streams are a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pytest

from dxflow_async.blocking.fitting import display_width
from dxflow_async.cli import main
from tests.cli.called_command import Command

OnTerminal = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def on_terminal(home: Path, monkeypatch: pytest.MonkeyPatch) -> OnTerminal:
    """Runs the command in this process, on a pseudo-terminal of its own; returns the status and the lines."""
    assert home
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, columns: int = 80, typed: str = "", encoding: str = "utf-8") -> tuple[int, list[str]]:
        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        os.write(master, typed.encode())
        streams: list[TextIO] = [os.fdopen(os.dup(slave), mode, encoding=encoding) for mode in ("r", "w", "w")]
        with monkeypatch.context() as patch:
            for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
                patch.setattr(f"sys.{name}", stream)
            status = main(arguments)
        for stream in streams:
            stream.close()
        os.set_blocking(master, False)
        shown = bytearray()
        with suppress(BlockingIOError):  # everything was read
            while True:
                shown += os.read(master, 1 << 16)
        os.close(slave)
        os.close(master)
        return status, shown.decode().replace("\r\n", "\n").splitlines()

    return run


_LISTS = {
    "du --depth 1 tree": 0,
    "ls tree": 0,
    "ls -l -h --total tree/*": 0,
    "ls -r tree": 0,
    "stat tree/*": 0,
    "units list": 0,
    "remotes test nas": 0,
    "config test nas:/": 0,
    "cp --progress none odd/ there/": 1,
    "sync --progress none tree/ there": 0,
    "jobs clean": 0,
    "check tree other": 6,
    "remotes list": 0,
    "jobs list": 0,
    "config show": 0,
    "cp -n tree there/": 0,
    "sync -n tree there": 0,
    "rm -r -n tree": 0,
}


@pytest.mark.parametrize("columns", [40, 200])
def test_lists_fit_the_terminal(command: Command, on_terminal: OnTerminal, tmp_path: Path, columns: int) -> None:
    """No line reaches beyond the last column, however long its names are: they are cut, stacked, wrapped at words."""
    name = "a-long-name-with-\u6570\u636e-" * 10
    for directory in ("tree", "other"):
        (tmp_path / directory / f"{name}d").mkdir(parents=True)
    (tmp_path / "tree" / name).write_bytes(b"1")
    (tmp_path / "tree" / f"{name}d" / name).write_bytes(b"2")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / name).symlink_to("nothing")
    long = f"a-remote-with-{'-'.join(['long'] * 8)}"
    for remote in (long, "nas"):
        assert command("remotes", "add", remote, "--type", "local", "--root", f"{tmp_path}/tree/{name}d").status == 0
    assert command("units", "add", "lab", "--engine", f"https://{'lab.' * 8}example.org").status == 0
    (tmp_path / "goal" / name).mkdir(parents=True)
    assert command("cp", "tree/", "goal/").status == 1  # its job is listed
    for line, expected in _LISTS.items():
        status, lines = on_terminal(*line.split(), columns=columns)
        assert (status, bool(lines)) == (expected, True), line
        assert not [row for row in lines if display_width(row) > columns], (line, lines)
        if line == "units list" and columns == 40:  # a table of seven columns would tell nothing
            assert lines[0].startswith("lab: Status UNKNOWN, IP")


def test_lists_in_ascii(on_terminal: OnTerminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the locale, or the encoding of standard output, is not UTF-8, names are cut with three points."""
    (tmp_path / ("a-long-name-" * 20)).write_bytes(b"1")
    commands = ("ls", "."), ("stat", f"./{'a-long-name-' * 20}"), ("du", f"./{'a-long-name-' * 20}")
    assert all("\u2026" in "".join(on_terminal(*each, columns=40)[1]) for each in commands)
    monkeypatch.setenv("LC_ALL", "C")
    for encoding in ("utf-8", "ascii"):
        for each in commands:
            status, lines = on_terminal(*each, columns=40, encoding=encoding)
            text = "".join(lines)
            assert (status, "..." in text, text.isascii()) == (0, True, True), (encoding, each)
        monkeypatch.setenv("LC_ALL", "C.UTF-8")


def test_a_terminal_of_unknown_width(on_terminal: OnTerminal, tmp_path: Path) -> None:
    """Its size is zero, as on some serial lines and in containers: names are whole, as in a file."""
    name = "a-long-name-" * 20
    (tmp_path / name).write_bytes(b"1")
    for arguments in (("ls", "."), ("stat", name), ("config", "test", name)):
        status, lines = on_terminal(*arguments, columns=0)
        assert (status, any(name in line for line in lines)) == (0, True), arguments


def test_a_question_before_many_objects_are_deleted(
    on_terminal: OnTerminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anything but yes deletes nothing; fewer objects, a preview and -f never ask."""
    monkeypatch.setattr("dxflow_async.cli.deleting._MANY", 3)
    for name in "abcd":
        (tmp_path / "tree").mkdir(exist_ok=True)
        (tmp_path / "tree" / name).touch()
    status, lines = on_terminal("rm", "-r", "tree", typed="\n")
    assert (status, lines[-1]) == (1, "nothing was deleted")
    assert any("go on? [y/N]" in line for line in lines)
    assert len([*(tmp_path / "tree").iterdir()]) == 4
    for arguments in (("rm", "-r", "-n", "tree"), ("rm", "tree/a"), ("rm", "-r", "-f", "tree"), ("rm", "-f", "tree")):
        status, lines = on_terminal(*arguments)
        assert (status, [line for line in lines if "go on?" in line]) == (0, []), arguments
    assert not (tmp_path / "tree").exists()
