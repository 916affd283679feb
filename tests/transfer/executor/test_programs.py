"""Programs that make calls on processes, however they are started: the call works, or the error says what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.python_processes import clean_environment

pytestmark = pytest.mark.timeout(120)

_PROGRAM = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from dxflow_async import Session

print("main", flush=True)
with Session(progress=False) as session:
    print(len(session.copy("source/", "copy/", OPTIONS)), flush=True)
"""
_OWN = _PROGRAM.replace("OPTIONS", "processes=1")
_USERS = _PROGRAM.replace("OPTIONS", 'executor=ProcessPoolExecutor(1, get_context("spawn")), credentials="send"')


def run(top: Path, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs an interpreter beside a directory of one file."""
    (top / "source").mkdir()
    (top / "source/file").write_text("file")
    return subprocess.run(
        [sys.executable, *arguments],
        input=given,
        env=clean_environment(top / "home"),
        cwd=top,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.mark.parametrize("program", [_OWN, _USERS], ids=["processes=", "ProcessPoolExecutor"])
def test_a_program_that_is_not_protected(tmp_path: Path, program: str) -> None:
    """Its processes make the call again as they start: they are refused, and the call ends after two attempts."""
    (tmp_path / "program.py").write_text(program)
    done = run(tmp_path, "program.py")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "ExecutorError" in last
    assert 'protect the beginning of the program with if __name__ == "__main__":' in last
    assert 2 <= done.stdout.count("main") <= 3  # one process of each attempt
    if program is _OWN:
        assert "processes= is not allowed while a worker process starts" in done.stderr
    assert not list(tmp_path.glob("copy/*"))


def test_a_program_from_standard_input(tmp_path: Path) -> None:
    """It is no file that new processes can import: the call is refused before any is started."""
    done = run(tmp_path, "-", given=_OWN)
    assert (done.returncode, done.stdout) == (1, "main\n")
    assert "<stdin>, because new processes import it: save it as a file" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("program", [_OWN, _USERS], ids=["processes=", "ProcessPoolExecutor"])
def test_a_program_on_the_command_line(tmp_path: Path, program: str) -> None:
    """`python -c` has no main module that processes would have to import, so the call works."""
    done = run(tmp_path, "-c", program)
    assert (done.returncode, done.stdout) == (0, "main\n1\n"), done.stderr
    assert (tmp_path / "copy/file").read_text() == "file"
