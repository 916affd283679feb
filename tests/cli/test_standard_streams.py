"""The command without standard streams, and with a reader that goes away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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


def test_the_exit_status_tells_a_failure_without_standard_error(tmp_path: Path) -> None:
    """Messages that nobody can read do not change the exit status."""
    ended = _run(f"{COMMAND} cp missing b 2>&-", tmp_path)
    assert (ended.returncode, ended.stdout) == (3, "")


def test_a_reader_that_ends_early(tmp_path: Path) -> None:
    """The output's reader may stop reading: there is no traceback."""
    ended = _run(f"{COMMAND} --help | head -1", tmp_path)
    assert "Traceback" not in ended.stderr
    assert ended.stdout.startswith("Usage")
