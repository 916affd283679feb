"""A pool of one worker that sleeps, with shards behind it that do not fit into the pipe to it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import termios
import time
from concurrent.futures import BrokenExecutor, Future
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dxflow_async.transfer.executor.sealed import Sealed
from dxflow_async.transfer.executor.seam import ProcessPool
from tests.transfer.executor.pool_functions import sleep

__all__ = ["call_queue", "full_pool", "kill_workers", "main"]

_LARGER_THAN_A_PIPE = 300 << 10


def full_pool() -> tuple[ProcessPool, list[Future[Any]]]:
    """Returns the pool, while its thread waits for room in the pipe, and the shards."""
    with TemporaryDirectory() as directory:
        begun = Path(directory, "begun")
        pool = ProcessPool(1, sleep, Sealed.opened, Sealed.of(None))  # type: ignore[arg-type]
        shard = Sealed.of((str(begun), bytes(_LARGER_THAN_A_PIPE)))
        futures: list[Future[Any]] = [asyncio.run(pool.submit(shard)) for _ in range(4)]
        deadline = time.monotonic() + 60
        while not (begun.exists() and _in_pipe(pool)) and not futures[0].done() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert begun.exists(), "the worker did not begin"
    assert _in_pipe(pool), "no further shard was written"
    return pool, futures


def call_queue(pool: ProcessPool) -> Any:
    """The queue of shards that the processes take."""
    return pool.executor()._call_queue  # type: ignore[attr-defined]


def kill_workers(pool: ProcessPool) -> None:
    """Kills the processes of a pool."""
    for process in (pool.executor()._processes or {}).values():
        assert process.pid is not None
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


def main() -> None:
    """A program whose pool broke, and was dropped."""
    pool, futures = full_pool()
    kill_workers(pool)
    with suppress(BrokenExecutor):
        futures[0].result(30)
    pool.drop()
    print("dropped")  # noqa: T201 - the test reads it


def _in_pipe(pool: ProcessPool) -> int:
    """How many bytes no worker has read yet."""
    count = bytearray(4)
    fcntl.ioctl(call_queue(pool)._reader, termios.FIONREAD, count)
    return int.from_bytes(count, "little")
