"""Locks that show that whoever uses a file is alive: the system lets go of them with the last thread of a process."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["close_in_children", "hold_alone", "hold_shared", "is_free", "release", "try_lock"]

_TRIES = 10

# What file systems without locks answer: NFS without its lock service, Lustre without `flock`, some of user space.
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)

_held: set[tuple[int, int]] = set()
_guard = threading.Lock()


def try_lock(descriptor: int, lock: int) -> bool:
    """Locks a file until it is closed, without waiting. Returns False where its file system has no locks.

    Args:
        descriptor: of the open file.
        lock: `fcntl.LOCK_SH` or `fcntl.LOCK_EX`.

    Raises:
        BlockingIOError: somebody else has locked it.
    """
    try:
        fcntl.flock(descriptor, lock | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
        return False
    return True


@contextmanager
def hold_alone(descriptor: int) -> Iterator[None]:
    """Locks a file for the time of a block; without locks in the file system, in this process only.

    Raises:
        BlockingIOError: somebody else has locked it.
    """
    if try_lock(descriptor, fcntl.LOCK_EX):
        yield
        return
    status = os.fstat(descriptor)
    file = status.st_dev, status.st_ino
    with _guard:
        if file in _held:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        _held.add(file)
    try:
        yield
    finally:
        with _guard:
            _held.discard(file)


_locked: dict[int, os.stat_result] = {}


def close_in_children(descriptor: int) -> None:
    """Has processes that are forked from now on close a descriptor that holds a lock.

    The lock is that of the open file. A child that keeps it open, such as a worker of a pool of forked processes, would
    hold the lock on when this process is killed.

    Args:
        descriptor: of the open file, which `release` closes.
    """
    _locked[descriptor] = os.fstat(descriptor)


def release(descriptor: int) -> None:
    """Closes a descriptor that `close_in_children` got."""
    _locked.pop(descriptor, None)
    os.close(descriptor)


def _forked() -> None:
    for descriptor, status in _locked.items():
        with suppress(OSError):
            if os.path.samestat(status, os.fstat(descriptor)):
                os.close(descriptor)
    _locked.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


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
