"""Opens a path below a directory so that nothing outside it can be reached, even while names are being changed.

Where the kernel has `openat2` (Linux 5.6), it resolves the whole path. Links that stay inside are followed; everything
that leads out, including absolute links, is refused with `EXDEV`. On other systems the path is walked name by name,
from one directory's descriptor to the next, and no link is followed (`ELOOP`).

Source: https://man7.org/linux/man-pages/man2/openat2.2.html
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import stat
import sys

__all__ = ["O_PATH", "chmod_file", "has_openat2", "make_beneath", "open_beneath", "reopen_beneath", "walk_beneath"]

O_PATH = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK)
"""Opens a name without touching the file, where the system can."""

_DESCRIPTORS = "/proc/self/fd"
"""Has the open files of this process, on Linux."""

_SYS_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS, _RESOLVE_BENEATH = 0x02, 0x08
# The kernel asks for another attempt when something was renamed meanwhile. An attacker may rename for ever.
_MAX_TRIES = 64
# The kernel takes no longer paths. A walk could go on for ever, and create directories that no program can remove.
_PATH_MAX = 4096


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_beneath(root: int, path: str, flags: int, mode: int = 0) -> int:
    """Opens `path` below the directory `root` and returns its descriptor. Blocks.

    Args:
        root: a directory's descriptor.
        path: a relative path; `""` is the directory itself.
        flags: as for `os.open`. The descriptor is not inherited.
        mode: permissions of a file that is created.

    Raises:
        OSError: as `os.open`; `EXDEV` or `ELOOP` if the path leads out.
    """
    opened = _openat2 if has_openat2() else walk_beneath
    return opened(root, path, flags | os.O_CLOEXEC, mode)


def reopen_beneath(root: int, path: str, seen: int) -> int:
    """Opens a regular file for reading that was opened with `O_PATH`, and returns its descriptor. Blocks.

    It is opened by its descriptor, since the name may stand for a pipe by now. Where there is no `/proc`, it is opened
    by its name, without waiting, and must be the same file.

    Args:
        root: the descriptor of the directory.
        path: the file's path below it.
        seen: its descriptor.

    Raises:
        OSError: as `open_beneath`; `ENXIO` if the name stands for another file by now.
    """
    try:
        return os.open(f"{_DESCRIPTORS}/{seen}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        opened = open_beneath(root, path, os.O_RDONLY | os.O_NONBLOCK)
    if not os.path.sameopenfile(seen, opened):
        os.close(opened)
        raise OSError(errno.ENXIO, "the file was replaced meanwhile", path)
    return opened


def chmod_file(directory: int, name: str, mode: int) -> None:
    """Sets the mode of a regular file that this process may not be able to open. Blocks.

    Args:
        directory: the descriptor of the directory that has the file.
        name: the file's name in it.
        mode: the permissions.

    Raises:
        OSError: as `os.chmod`; `ELOOP` if the name is a link.
    """
    if os.path.isdir(_DESCRIPTORS):
        seen = os.open(name, O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            os.chmod(f"{_DESCRIPTORS}/{seen}", mode)
        finally:
            os.close(seen)
        return
    if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
    os.chmod(name, mode, dir_fd=directory, follow_symlinks=os.chmod not in os.supports_follow_symlinks)


def make_beneath(root: int, path: str) -> int:
    """Opens the directory `path` below `root` and returns its descriptor. Missing directories are created. Blocks.

    Raises:
        OSError: as `open_beneath`.
    """
    with contextlib.suppress(FileNotFoundError):
        return open_beneath(root, path, O_PATH | os.O_DIRECTORY)
    names = path.split("/")
    current = open_beneath(root, "", O_PATH | os.O_DIRECTORY)
    for number, name in enumerate(names, 1):
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=current)
        finally:
            os.close(current)
        # Each directory is opened from the top: a link on the way may lead up, as long as it stays inside.
        current = open_beneath(root, "/".join(names[:number]), O_PATH | os.O_DIRECTORY)
    return current


@functools.cache
def has_openat2() -> bool:
    """Returns whether the kernel has `openat2` and lets this process call it."""
    if sys.platform != "linux":
        return False
    root = os.open("/", O_PATH | os.O_CLOEXEC)
    try:
        os.close(_openat2(root, "", O_PATH | os.O_CLOEXEC, 0))
    except OSError:
        return False  # ENOSYS, or EPERM from an old container's filter of system calls
    finally:
        os.close(root)
    return True


def _openat2(root: int, path: str, flags: int, mode: int) -> int:
    how = _OpenHow(flags, mode if flags & os.O_CREAT else 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    name = os.fsencode(path or ".")
    for _ in range(_MAX_TRIES):
        descriptor = _libc().syscall(_SYS_OPENAT2, root, name, ctypes.byref(how), ctypes.sizeof(how))
        if descriptor >= 0:
            return int(descriptor)
        number = ctypes.get_errno()
        if number not in (errno.EAGAIN, errno.EINTR):
            raise OSError(number, os.strerror(number), path)
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    libc.syscall.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t]
    return libc


def walk_beneath(root: int, path: str, flags: int, mode: int = 0) -> int:
    """As `open_beneath`, without `openat2`: links are refused wherever they lead."""
    if len(os.fsencode(path)) >= _PATH_MAX:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
    names = path.split("/") if path else ["."]
    current = os.dup(root)
    for number, name in enumerate(names, 1):
        wanted = flags if number == len(names) else O_PATH | os.O_DIRECTORY
        try:
            inner = os.open(name, wanted | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=current)
        except NotADirectoryError as error:
            raise _link_or(error, current, name) from None
        finally:
            os.close(current)
        current = inner
    if stat.S_ISLNK(os.fstat(current).st_mode):
        os.close(current)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    return current


def _link_or(error: OSError, directory: int, name: str) -> OSError:
    """Returns the error for a link where ENOTDIR was raised: a link is not a directory either."""
    try:
        is_link = stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except OSError:
        return error
    return OSError(errno.ELOOP, os.strerror(errno.ELOOP), name) if is_link else error
