"""Commands on a pseudo-terminal, as users see them: progress, prompts, and Ctrl-C once and twice."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest

from dxflow_async.cli import main
from tests.servers.weed import SeaweedFS
from tests.sessions import MiB, unfinished_uploads

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class TerminalCommand:
    """A command that runs on a pseudo-terminal in a session of its own, so that Ctrl-C reaches it alone."""

    def __init__(self, arguments: tuple[str, ...], columns: int, variables: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = {"TERM": "xterm", "LC_ALL": "C.UTF-8", **variables}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")} | environment,
        )
        os.close(slave)
        self._shown = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the end of a terminal, on Linux
            while chunk := os.read(self._master, 4096):
                self._shown += chunk

    @property
    def raw(self) -> str:
        """Everything that was written to the terminal."""
        return self._shown.decode("utf-8", "replace")

    @property
    def lines(self) -> list[str]:
        """The lines that were shown, without control sequences."""
        return [line.rstrip() for line in re.split(r"[\r\n]+", _ESCAPES.sub("", self.raw)) if line.strip()]

    def wait_for(self, pattern: str) -> None:
        """Waits until something is shown."""
        deadline = time.monotonic() + 40
        while not re.search(pattern, _ESCAPES.sub("", self.raw)):
            assert time.monotonic() < deadline, self.raw
            assert self.process.poll() is None, self.raw
            time.sleep(0.05)

    def type(self, text: str) -> None:
        r"""Types something; `\x03` is Ctrl-C."""
        os.write(self._master, text.encode())

    def end(self) -> int:
        """Waits for the command, and returns its exit status."""
        try:
            status = self.process.wait(40)
        finally:
            self.process.kill()
            self.process.wait()
        self._reader.join(5)
        os.close(self._master)
        return status


_PROGRAM = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from dxflow_async.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def tree(home: Path, tmp_path: Path) -> Path:
    """A directory with a large file and a few small ones."""
    assert home
    top = tmp_path / "tree"
    top.mkdir()
    (top / "large").write_bytes(os.urandom(16 * MiB))
    for number in range(20):
        (top / f"small-{number:02}").write_bytes(b"small")
    return top


@pytest.fixture
def bucket(configured: SeaweedFS) -> str:
    """A bucket of its own."""
    name = f"terminal-{os.urandom(4).hex()}"
    configured.client.create_bucket(Bucket=name)
    return name


def run(*arguments: str, columns: int = 80, **variables: str) -> TerminalCommand:
    """Starts the command in the environment that the fixtures have set."""
    return TerminalCommand(arguments, columns, variables)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_bar_fits_the_terminal(tree: Path, bucket: str, columns: int) -> None:
    """Percentage, files, bytes and the number of requests, in lines that are shorter than the terminal."""
    started = run("cp", f"{tree}/", f"aws:/{bucket}/a/", "--bandwidth", "8MiB", columns=columns)
    assert started.end() == 0, started.raw
    frames = [line for line in started.lines if "items," not in line]
    assert max(map(len, frames)) < columns
    assert any(re.match(r"copying \d+%", line) for line in frames)
    assert any("of 16.8 MB" in line for line in frames)
    assert any("at a time" in line for line in frames)
    assert any("of 21 files" in line for line in frames[:6])  # the totals are known early
    assert started.lines[-1].startswith(("21 items", "verified", "retries", "0 retries")) or columns == 40
    assert started.raw.count("\x1b[?25l") == started.raw.count("\x1b[?25h")


@pytest.mark.long
def test_ascii_and_no_color(tree: Path, bucket: str) -> None:
    """The locale C gets ASCII, and NO_COLOR no colors."""
    arguments = "cp", f"{tree}/", f"aws:/{bucket}/a/", "--bandwidth", "16MiB"
    started = run(*arguments, LC_ALL="C", NO_COLOR="1")
    assert started.end() == 0, started.raw
    assert started.raw.isascii()
    assert any("#" in line for line in started.lines)
    assert not re.search(r"\x1b\[3\dm", started.raw)


@pytest.mark.long
def test_a_dumb_terminal_gets_no_bar(tree: Path, bucket: str) -> None:
    """It could not be updated; -v logs a line for each item."""
    started = run("cp", f"{tree}/", f"aws:/{bucket}/a/", "-v", TERM="dumb")
    assert started.end() == 0, started.raw
    assert "\x1b" not in started.raw
    assert sum(" -> " in line for line in started.lines) == 21


def test_log_lines_do_not_break_the_bar(tree: Path, bucket: str) -> None:
    """Each stands in lines of its own, above the bar."""
    started = run("cp", f"{tree}/", f"aws:/{bucket}/a/", "-v", "--bandwidth", "16MiB", columns=200)
    assert started.end() == 0, started.raw
    logged = [line for line in started.lines if " -> " in line]
    assert len(logged) == 21
    assert all(line.startswith("dxflow-async: ") and "copying" not in line for line in logged)


def test_ctrl_c_keeps_finished_parts_and_says_so(tree: Path, bucket: str, configured: SeaweedFS) -> None:
    """`jobs resume` goes on with them."""
    started = run("cp", str(tree / "large"), f"aws:/{bucket}/large", "--bandwidth", "4MiB", "--part-size", "5MiB")
    started.wait_for(r"copying [4-9]\d%")
    started.type("\x03")
    assert started.end() == 130, started.raw
    text = " ".join(started.lines)
    assert unfinished_uploads(configured, bucket) == ["large"]
    job = re.search(r"jobs resume (\S+) continues it", text)
    assert job is not None
    assert f"jobs clean {job[1]} --yes removes it" in text
    assert "interrupted" in started.lines[-1]
    assert main(["jobs", "resume", job[1], "-q"]) == 0
    assert unfinished_uploads(configured, bucket) == []


@pytest.mark.long
def test_discard_removes_them(tree: Path, bucket: str, configured: SeaweedFS) -> None:
    """`--discard` cleans up after Ctrl-C, as a cancelled call does."""
    arguments = "--bandwidth", "4MiB", "--part-size", "5MiB", "--discard"
    started = run("cp", str(tree / "large"), f"aws:/{bucket}/large", *arguments)
    started.wait_for(r"copying [4-9]\d%")
    started.type("\x03")
    assert started.end() == 130, started.raw
    assert unfinished_uploads(configured, bucket) == []


def test_a_second_ctrl_c_ends_at_once(tree: Path, bucket: str) -> None:
    """The process does not finish its clean-up, and the cursor is back."""
    started = run("cp", f"{tree}/", f"aws:/{bucket}/a/", "--bandwidth", "2MiB")
    started.wait_for(r"copying \d+%")
    started.type("\x03")
    started.type("\x03")
    assert started.end() in (130, -2), started.raw
    assert started.raw.rfind("\x1b[?25h") > started.raw.rfind("\x1b[?25l")


def test_a_refused_endpoint_is_shown_and_waited_for_once(tree: Path, bucket: str) -> None:
    """Twenty items wait for one moment; with four attempts they take seconds, not a wait each."""
    assert bucket
    began = time.monotonic()
    variables: dict[str, str] = {"DXFLOW_AWS_ENDPOINT": "http://127.0.0.1:9", "DXFLOW_MAX_ATTEMPTS": "7"}
    started = TerminalCommand(("cp", f"{tree}/", f"aws:/{bucket}/a/"), 80, variables)
    assert started.end() == 5, started.raw
    assert "waits: 127.0.0.1:9 refuses; try" in started.raw.replace("\r\n", " ")
    assert time.monotonic() - began < 30


@pytest.mark.long
def test_rm_asks_and_shows_its_progress(tree: Path, bucket: str) -> None:
    """More than a thousand objects are deleted after a question; no is an answer."""
    for number in range(1001):
        (tree / f"many-{number}").touch()
    assert main(["cp", "-q", f"{tree}/", f"aws:/{bucket}/many/"]) == 0
    started = run("rm", "-r", f"aws:/{bucket}/many/")
    started.wait_for(r"go on\? \[y/N\]")
    started.type("n\n")
    assert started.end() == 1
    assert "nothing was deleted" in started.lines[-1]
    started = run("rm", "-r", f"aws:/{bucket}/many/")
    started.wait_for(r"go on\? \[y/N\]")
    started.type("y\n")
    assert started.end() == 0, started.raw
    assert any("deleted" in line and "deleting" in line for line in started.lines)
    assert started.lines[-1] == "1022 deleted"


def test_a_line_now_and_then_where_there_is_no_terminal(
    tree: Path, bucket: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """`--progress lines` and output into a file get whole lines; `none` and `-q` nothing."""
    monkeypatch.setattr("dxflow_async.blocking.progress._LINE_SECONDS", 0.2)
    arguments = "cp", f"{tree}/", f"aws:/{bucket}/a/", "--bandwidth", "16MiB"
    for options, expected in ((("--progress", "lines"), True), ((), True), (("--progress", "none"), False)):
        capfd.readouterr()
        assert main([*arguments, *options]) == 0
        error = capfd.readouterr().err
        assert bool(re.search(r"dxflow-async: moving: \d+ of 21 files, .* MB of 16.8 MB, \d+%", error)) is expected
        assert "\x1b" not in error
