"""The command without standard streams, and with a reader that goes away."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.called_command import check_json_lines
from tests.python_processes import clean_environment

COMMAND = f"{sys.executable} -m dxflow_async.cli"


def _run(line: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    (tmp_path / "a").write_text("bytes")
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        check=False,
        cwd=tmp_path,
        env=clean_environment(tmp_path / "home"),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_nothing(tmp_path: Path, closed: str) -> None:
    """A copy works without standard streams."""
    ended = _run(f"{COMMAND} cp a b {closed}", tmp_path)
    assert ended.returncode == 0
    assert (tmp_path / "b").read_text() == "bytes"
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("line", ["cat a", "tail a", "cp a -", "cat a --json"])
def test_bytes_that_nobody_receives_are_a_failure(tmp_path: Path, line: str) -> None:
    """Commands that print the bytes of objects need a standard output."""
    ended = _run(f"{COMMAND} {line} >&-", tmp_path)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "standard output" in ended.stderr
    assert "it is closed" in ended.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("line", ["cat a", "tail a", "cp a -", "ls .", "du .", "stat a", "cp a b --json"])
def test_a_full_disk_is_told_of_standard_output(tmp_path: Path, line: str) -> None:
    """The message names standard output, and has no number of the system's."""
    ended = _run(f"{COMMAND} {line} >/dev/full", tmp_path)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "standard output" in ended.stderr
    assert "[Errno" not in ended.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_messages_that_cannot_be_written_change_nothing(tmp_path: Path) -> None:
    """A full disk behind standard error does not end a copy."""
    ended = _run(f"{COMMAND} cp -v a b --progress lines 2>/dev/full", tmp_path)
    assert (ended.returncode, (tmp_path / "b").read_text()) == (0, "bytes")


def test_the_exit_status_tells_a_failure_without_standard_error(tmp_path: Path) -> None:
    """Messages that nobody can read do not change the exit status."""
    ended = _run(f"{COMMAND} cp missing b 2>&-", tmp_path)
    assert (ended.returncode, ended.stdout) == (3, "")


def test_a_reader_that_ends_early(tmp_path: Path) -> None:
    """The output's reader may stop reading: there is no traceback."""
    ended = _run(f"{COMMAND} --help | head -1", tmp_path)
    assert "Traceback" not in ended.stderr
    assert ended.stdout.startswith("Usage")


@pytest.mark.parametrize(
    ("line", "status", "both"),
    [
        ("ls a", 1, False),
        ("ls .", 1, False),
        ("lss --json", 2, False),
        ("rm missing --json", 1, False),
        ("cp missing b --json", 3, True),
        ("cp -v a b", 1, True),
    ],
)
def test_a_reader_that_is_gone(tmp_path: Path, line: str, status: int, both: bool) -> None:
    """Whatever was to be printed, also an error: there is no traceback, and a failure keeps its status."""
    (tmp_path / "a").write_text("bytes")
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [sys.executable, "-m", "dxflow_async.cli", *line.split()],
        check=False,
        cwd=tmp_path,
        env=clean_environment(tmp_path / "home"),
        stdout=write,
        stderr=write if both else subprocess.PIPE,
        timeout=60,
    )
    os.close(write)
    assert ended.returncode == status
    assert b"Traceback" not in (ended.stderr or b"")
    assert b"Exception ignored" not in (ended.stderr or b"")


def test_ctrl_c_in_the_middle_of_a_line(tmp_path: Path) -> None:
    """The line that the reader did not take is cut; the last one is whole, and says why the command ended."""
    (tmp_path / "tree").mkdir()
    for number in range(1000):
        (tmp_path / "tree" / f"file-{number}").touch()
    read, write = os.pipe()
    with (
        os.fdopen(read, "rb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "dxflow_async.cli", "sync", "tree", "there", "-n", "--json"],
            cwd=tmp_path,
            env=clean_environment(tmp_path / "home"),
            stdout=write,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        try:
            end = time.monotonic() + 60
            while select.select([], [write], [], 0)[1]:  # until the pipe is full
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
        except BaseException:
            process.kill()
            raise
        finally:
            os.close(write)
        *_, last = output.read().decode().splitlines()
        assert process.wait(60) == 130
    check_json_lines(last)
    assert (json.loads(last)["type"], json.loads(last)["status"]) == ("error", 130)
