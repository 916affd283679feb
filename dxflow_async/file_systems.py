"""What some file systems cannot do, or do not tell: free space, permission bits and times of files. It blocks.

Network file systems, those of user space (FUSE) and FAT refuse the bits and the times of a file that they store all the
same. A file without them is better than none.
Source: https://man7.org/linux/man-pages/man2/fchmod.2.html, https://man7.org/linux/man-pages/man3/statvfs.3.html
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable
from functools import partial

__all__ = ["free_space", "set_mode", "set_time"]

_log = logging.getLogger("dxflow_async.file_systems")

_CANNOT = frozenset({errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})
_told: set[tuple[int, str]] = set()
_lock = threading.Lock()


def free_space(descriptor: int) -> int | None:
    """Returns the bytes that are free in the file system of a file; None where it has no size or does not tell it.

    Memory without a limit (`ramfs`, `tmpfs` with `size=0`) and many file systems of user space have no blocks at all.
    """
    try:
        status = os.fstatvfs(descriptor)
    except OSError as error:
        if error.errno in _CANNOT:
            return None
        raise
    return status.f_bavail * (status.f_frsize or status.f_bsize) if status.f_blocks else None


def set_mode(descriptor: int, mode: int) -> None:
    """Sets the permission bits of an open file of this process, where its file system has any."""
    _attempt(descriptor, "permission bits", partial(os.fchmod, descriptor, mode))


def set_time(descriptor: int, modified: float | None = None, *, ns: int | None = None) -> None:
    """Sets the modification time of an open file of this process, where its file system lets it.

    Args:
        descriptor: of the file.
        modified: seconds since the epoch; None: `ns` has nanoseconds.
        ns: nanoseconds since the epoch.
    """
    if ns is not None:
        _attempt(descriptor, "times", partial(os.utime, descriptor, ns=(ns, ns)))
    elif modified is not None:
        _attempt(descriptor, "times", partial(os.utime, descriptor, (modified, modified)))


def _attempt(descriptor: int, what: str, change: Callable[[], None]) -> None:
    try:
        change()
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        device = os.fstat(descriptor).st_dev
        with _lock:
            known = (device, what) in _told
            _told.add((device, what))
        if not known:
            _log.warning("the file system of device %d keeps no %s of files: %s", device, what, error.strerror)
