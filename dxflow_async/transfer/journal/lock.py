"""Who works on a job: a file that one process holds. The hold ends with the process, however that ends. It blocks."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from dxflow_async.exceptions import JobBusyError

__all__ = ["JobLock"]

_TRIES, _PAUSE = 5, 0.02
"""Whoever looks who holds a lock holds it for a moment."""


class JobLock:
    """A lock file with its holder's process number in it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def take(self, job_id: str) -> None:
        """Holds it.

        Raises:
            JobBusyError: another process does.
        """
        for left in reversed(range(_TRIES)):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            if _locked(descriptor) and self._is_there(descriptor):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, str(os.getpid()).encode(), 0)
                self._descriptor = descriptor
                return
            pid = _pid(descriptor)
            os.close(descriptor)
            if left:
                time.sleep(_PAUSE)
        raise JobBusyError(f"job {job_id} is worked on by process {pid}; wait for it, or end it", pid=pid)

    def give(self) -> None:
        """Lets it go, and removes it."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.unlink(self._path)
            os.close(descriptor)

    def holder(self) -> int | None:
        """The process that holds it; None when none does."""
        try:
            descriptor = os.open(self._path, os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            return None if _locked(descriptor) else _pid(descriptor)
        finally:
            os.close(descriptor)

    def _is_there(self, descriptor: int) -> bool:
        """Whether it has its name still: who held it before may have removed it meanwhile."""
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(descriptor), os.stat(self._path))
        return False


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _pid(descriptor: int) -> int:
    text = os.pread(descriptor, 20, 0)
    return int(text) if text.isdigit() else 0
