"""A pool whose workers are gone while shards wait in the pipe to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, Future
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import pytest

from dxflow_async.transfer.executor import seam
from dxflow_async.transfer.executor.sealed import Sealed
from dxflow_async.transfer.executor.seam import ProcessPool

_LARGER_THAN_A_PIPE = 300 << 10


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has a pool that is closed wait only shortly for workers that hang."""
    monkeypatch.setattr(seam, "_CLOSE_SECONDS", 0.5)


@pytest.fixture(autouse=True)
def importable_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the worker processes import this module, also where pytest keeps its folder out of `sys.path`."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))


def initialize(setup: Sealed) -> None:
    """What a worker does at its start: it makes a file, which tells that it has started."""
    name = setup.opened()
    assert isinstance(name, str)
    Path(name).touch()


def sleep(_version: str, _shard: Sealed, _setup: Sealed | None) -> None:
    """A shard that does not end by itself."""
    time.sleep(600)


def full_pool() -> tuple[ProcessPool, list[Future[object]]]:
    """A pool of one worker that sleeps, with shards behind it that do not fit into the pipe."""
    with TemporaryDirectory() as directory:
        started = Path(directory, "started")
        pool = ProcessPool(1, sleep, initialize, Sealed.of(str(started)))  # type: ignore[arg-type]
        shard = Sealed.of(bytes(_LARGER_THAN_A_PIPE))
        futures: list[Future[object]] = [pool.submit(shard) for _ in range(4)]  # type: ignore[misc]
        deadline = time.monotonic() + 60
        while not started.exists() and not futures[0].done() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        assert started.exists(), "the worker did not start"
    return pool, futures


def kill_workers(pool: ProcessPool) -> None:
    """Kills the processes of a pool."""
    for process in (pool.executor()._processes or {}).values():
        assert process.pid is not None
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


def feeder(pool: ProcessPool) -> Thread:
    """The thread that writes shards into the pipe to the workers."""
    thread = pool.executor()._call_queue._thread  # type: ignore[attr-defined]
    assert isinstance(thread, Thread)
    assert thread.is_alive()
    return thread


@pytest.mark.timeout(120)
@pytest.mark.parametrize("end", ["killed and given up", "killed and closed", "closed while they hang"])
def test_a_pool_ends(end: str) -> None:
    """The thread that feeds it, which waits for room in a pipe that nobody reads, ends; shards that waited are told."""
    pool, futures = full_pool()
    thread = feeder(pool)
    if "killed" in end:
        kill_workers(pool)
    if "closed" in end:
        pool.close()
        assert all(future.done() for future in futures)
    else:
        pool.drop()
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.timeout(120)
def test_a_broken_pool_is_given_up(tmp_path: Path) -> None:
    """A program whose pool broke, and was dropped for another one, ends."""
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[3])!r})\n"
        "from tests.transfer.executor.test_full_queue import main\n"
        "if __name__ == '__main__':\n"
        "    main()\n"
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stdout) == (0, "dropped\n"), done.stderr


def main() -> None:
    """What the program does."""
    pool, futures = full_pool()
    kill_workers(pool)
    with suppress(BrokenExecutor):
        futures[0].result(30)
    pool.drop()
    print("dropped")  # noqa: T201 - the test reads it
