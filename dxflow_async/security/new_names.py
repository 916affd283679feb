"""Renames files and directories: to a name that nothing has yet, so that of two writers one fails, and to any name.

Linux can rename without replacing in one step. Where the file system cannot, a second name (a hard link) does the same,
and where there are no links either, an empty file claims the name first and is then replaced. All of it blocks.
A rename to another link of the same file succeeds and does nothing: the old name stays, unless it is removed.
Source: https://man7.org/linux/man-pages/man2/rename.2.html
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from functools import cache
from typing import Any

__all__ = ["rename", "rename_new"]

_RENAME_NOREPLACE = 1
_UNABLE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EMLINK}


def rename(directory: int, name: str, target: str, *, target_directory: int) -> None:
    """Renames a file or a directory; a file with the new name is replaced, also by another link of the same file.

    Args:
        directory: the directory's descriptor.
        name: the old name.
        target: the new name.
        target_directory: the descriptor of the directory that it moves to.

    Raises:
        OSError: as `os.replace`.
    """
    os.replace(name, target, src_dir_fd=directory, dst_dir_fd=target_directory)
    with contextlib.suppress(FileNotFoundError):
        left = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISREG(left.st_mode) or left.st_nlink == 1:
            return
        stored = os.stat(target, dir_fd=target_directory, follow_symlinks=False)
        if os.path.samestat(left, stored) and not _is_one_name(directory, name, target_directory, target):
            os.unlink(name, dir_fd=directory)


def _is_one_name(directory: int, name: str, target_directory: int, target: str) -> bool:
    """Returns whether two names are one entry of a directory: the same name, or one to a disk that ignores case."""
    if not os.path.samestat(os.fstat(directory), os.fstat(target_directory)):
        return False
    if name == target:
        return True
    readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return not {name, target}.issubset(os.listdir(readable))
    finally:
        os.close(readable)


def rename_new(directory: int, name: str, target: str, *, target_directory: int | None = None) -> None:
    """Renames a file to a name that nothing has.

    Args:
        directory: the directory's descriptor.
        name: the file's old name.
        target: its new name.
        target_directory: the descriptor of the directory that it moves to; by default the same one.

    Raises:
        FileExistsError: something has that name; it stays.
    """
    to = directory if target_directory is None else target_directory
    if _rename_without_replacing(directory, name, to, target):
        return
    try:
        os.link(name, target, src_dir_fd=directory, dst_dir_fd=to, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=to))
        try:
            os.replace(name, target, src_dir_fd=directory, dst_dir_fd=to)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(target, dir_fd=to)
            raise
    else:
        os.unlink(name, dir_fd=directory)


def _rename_without_replacing(directory: int, name: str, to: int, target: str) -> bool:
    """Renames in one step; returns False where the system or the file system cannot."""
    function = _renameat2()
    if function is None:
        return False
    if not function(directory, os.fsencode(name), to, os.fsencode(target), _RENAME_NOREPLACE):
        return True
    number = ctypes.get_errno()
    if number in _UNABLE:
        return False
    raise OSError(number, os.strerror(number), target)


@cache
def _renameat2() -> Any:
    """Returns the C library's `renameat2`; None where it has none."""
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    function.restype = ctypes.c_int
    return function
