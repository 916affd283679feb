"""A Dask worker that sees no more of this machine than one on another machine would: a directory is hidden from it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dxflow_async import AWSSettings

__all__ = ["can_hide", "environment_of", "other_machine", "shards_in_progress"]

_UNSHARE = ("unshare", "--mount", "--map-root-user")
_HIDE = 'mount -t tmpfs none "$0" && exec "$@"'


def can_hide() -> bool:
    """Whether this machine lets a process have mounts of its own."""
    try:
        return subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def environment_of(aws: AWSSettings) -> dict[str, str]:
    """The variables by which a worker finds these settings."""
    names = ("endpoint", "region", "access_key", "secret_key")
    return {f"DXFLOW_AWS_{name.upper()}": str(getattr(aws, name)) for name in names}


@contextmanager
def other_machine(scheduler: str, hidden: Path, variables: dict[str, str]) -> Iterator[None]:
    """Runs the worker.

    Args:
        scheduler: the address of the scheduler.
        hidden: the directory that it does not see.
        variables: of its environment.
    """
    worker = (sys.executable, "-m", "distributed.cli.dask_worker", scheduler)
    options = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--name", "other")
    process = subprocess.Popen(
        [*_UNSHARE, "sh", "-c", _HIDE, str(hidden), *worker, *options],
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def shards_in_progress() -> int:
    """How many shards this process works on. A worker calls it."""
    from dxflow_async.storage.shard_worker import _process

    return sum(worker.shards for worker in _process._workers.values())
