"""Locks that show that whoever uses a file is alive: the system lets go of them with the last thread of a process."""

from __future__ import annotations

import fcntl
import os
import time

__all__ = ["hold_shared", "is_free"]

_TRIES = 10


def hold_shared(descriptor: int) -> None:
    """Locks a file until it is closed, beside others that do so. Without locks in the file system, it does nothing.

    Args:
        descriptor: of the open file.
    """
    for _ in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:  # somebody tests the lock, which takes a moment
            time.sleep(0.001)
        except OSError:
            return
        else:
            return


def is_free(path: str, lock: int, *, directory: int | None = None) -> bool:
    """Returns whether a file could be locked now. Where the file system has no locks, it could not.

    Args:
        path: of the file.
        lock: `fcntl.LOCK_SH` or `fcntl.LOCK_EX`.
        directory: the descriptor of the directory that a relative path begins at; None for the current one.

    Raises:
        OSError: the file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC, dir_fd=directory)
    try:
        fcntl.flock(descriptor, lock | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
