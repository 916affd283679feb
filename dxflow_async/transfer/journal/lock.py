"""The lock of a job: a file that one process holds. The lock ends with the process, however it ends. Blocks."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from dxflow_async.concurrency.file_locks import close_in_children, release, try_lock
from dxflow_async.exceptions import JobBusyError

__all__ = ["JobLock"]

_TRIES, _PAUSE = 5, 0.02
"""Reading who holds a lock takes the lock for a moment, so a failed attempt is repeated."""


class JobLock:
    """A lock file that holds the number of the process that locked it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def take(self, job_id: str) -> None:
        """Takes the lock.

        Raises:
            JobBusyError: another process holds it.
            OSError: the file cannot be opened or locked.
        """
        for left in reversed(range(_TRIES)):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            close_in_children(descriptor)
            try:
                if _locked(descriptor) and self._is_there(descriptor):
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
                    self._descriptor = descriptor
                    return
                pid = _pid(descriptor)
            finally:
                if self._descriptor != descriptor:
                    release(descriptor)
            if left:
                time.sleep(_PAUSE)
        raise JobBusyError(f"process {pid} works on job {job_id}; wait for it, or end it", pid=pid)

    def give(self) -> None:
        """Releases the lock and removes its file."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.unlink(self._path)
            release(descriptor)

    def holder(self) -> int | None:
        """Returns the number of the process that holds the lock; None if no process does."""
        try:
            descriptor = os.open(self._path, os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            return None if _locked(descriptor) else _pid(descriptor)
        except OSError:  # the file system has no locks
            return None
        finally:
            os.close(descriptor)

    def _is_there(self, descriptor: int) -> bool:
        """Returns whether the file still has its name: the process that held it may have removed it meanwhile."""
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(descriptor), os.stat(self._path))
        return False


def _locked(descriptor: int) -> bool:
    """Locks a file. Where its file system has no locks, a running process that it names counts as its holder."""
    try:
        return try_lock(descriptor, fcntl.LOCK_EX) or not _is_running(_pid(descriptor))
    except BlockingIOError:
        return False


def _is_running(pid: int) -> bool:
    if not pid:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _pid(descriptor: int) -> int:
    text = os.pread(descriptor, 20, 0)
    return int(text) if text.isdigit() else 0
