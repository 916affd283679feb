"""Copies bytes from file to file in the kernel, sharing them if the file system can. All of it blocks.

Source: https://man7.org/linux/man-pages/man2/ioctl_ficlone.2.html
Source: https://man7.org/linux/man-pages/man2/copy_file_range.2.html
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading

from dxflow_async.exceptions import StorageError
from dxflow_async.file_systems import set_time
from dxflow_async.server.unit import checksums

__all__ = ["copy_bytes", "copy_file"]

_FICLONERANGE = 0x4020940D
_STEP = 64 << 20
"""Bytes that are copied between two checks of `stopping`."""
_PIECE = 1 << 20
"""Bytes in memory, where the kernel cannot copy."""
_CANNOT = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM)


def copy_file(source: int, target: int, before: os.stat_result, stopping: threading.Event) -> None:
    """Copies a file into an empty one, with its time and its stored checksum.

    Args:
        source, target: descriptors.
        before: the source's status.
        stopping: makes the copy fail when it is set.
    """
    copy_bytes(source, target, before.st_size, 0, stopping)
    set_time(target, ns=before.st_mtime_ns)
    crc = checksums.stored(source, before)
    if crc is not None:
        checksums.keep(target, crc, before.st_size, before.st_mtime_ns)


def copy_bytes(source: int, target: int, size: int, offset: int, stopping: threading.Event) -> None:
    """Copies the first `size` bytes of one file to `offset` of another.

    Args:
        source, target: descriptors.
        size, offset: in bytes.
        stopping: makes the copy fail when it is set.

    Raises:
        StorageError: the source has fewer bytes, or `stopping` was set.
    """
    if _share(source, target, size, offset):
        return
    done, in_kernel = 0, hasattr(os, "copy_file_range")
    while done < size:
        if stopping.is_set():
            raise StorageError("the server is shutting down; try again", status=503, code="shutting_down")
        step = min(_STEP, size - done)
        try:
            count = _copy(source, target, step, done, offset + done) if in_kernel else 0
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            in_kernel = False
        if not in_kernel:
            count = _carry(source, target, step, done, offset + done)
        if not count:
            raise StorageError("a file became shorter while it was copied; try again", status=409, code="changed")
        done += count


def _share(source: int, target: int, size: int, offset: int) -> bool:
    """Shares the source's bytes with the target if the file system and the offset allow it. Returns whether it did."""
    if not size or os.fstat(source).st_size != size:
        return False
    try:
        # struct file_clone_range; a length of 0 means the whole file.
        fcntl.ioctl(target, _FICLONERANGE, struct.pack("qQQQ", source, 0, 0, offset))
    except OSError:
        return False
    return True


def _copy(source: int, target: int, size: int, start: int, offset: int) -> int:
    return os.copy_file_range(source, target, size, start, offset)


def _carry(source: int, target: int, size: int, start: int, offset: int) -> int:
    piece = os.pread(source, min(size, _PIECE), start)
    return os.pwrite(target, piece, offset) if piece else 0
