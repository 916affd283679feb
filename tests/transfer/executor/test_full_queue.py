"""A pool whose workers are gone while shards wait in the pipe to them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from dxflow_async.transfer.executor import seam
from tests.transfer.executor.full_pool import call_queue, full_pool, kill_workers

_TOP = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has a pool that is closed wait only shortly for workers that hang."""
    monkeypatch.setattr(seam, "_CLOSE_SECONDS", 0.2)


@pytest.fixture(autouse=True)
def importable_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the worker processes import this folder, also where pytest keeps it out of `sys.path`."""
    monkeypatch.syspath_prepend(str(_TOP))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("end", ["killed and given up", "killed and closed", "closed while they hang"])
def test_a_pool_ends(end: str) -> None:
    """The thread that feeds it, which waits for room in a pipe that nobody reads, ends; shards that waited are told."""
    pool, futures = full_pool()
    feeder = call_queue(pool)._thread
    assert isinstance(feeder, Thread)
    assert feeder.is_alive()
    if "killed" in end:
        kill_workers(pool)
    if "closed" in end:
        pool.close()
        assert all(future.done() for future in futures)
    else:
        pool.drop()
    feeder.join(30)
    assert not feeder.is_alive()


@pytest.mark.timeout(120)
def test_a_broken_pool_is_given_up(tmp_path: Path) -> None:
    """A program whose pool broke, and was dropped for another one, ends."""
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(_TOP)!r})\n"
        "from tests.transfer.executor.full_pool import main\n"
        "if __name__ == '__main__':\n"
        "    main()\n"
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stdout) == (0, "dropped\n"), done.stderr
