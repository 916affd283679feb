"""Bringing files and directories to disk, so that a loss of power takes nothing that was reported as done. It blocks.

All of the program's syncs are made here. A file is synced before it gets its name; then its directory is synced, and
each directory above it whose name may be new. Many files are brought to disk by one `syncfs`, which costs a fraction
of as many `fsync`s. It also writes what other programs have in memory, so it is left out for a while when it was slow.

Each sync raises the audit event `dxflow_async.sync`, or `dxflow_async.sync_system`, with its descriptor, as the
standard library raises one for a rename.

Source: https://man7.org/linux/man-pages/man2/fsync.2.html
Source: https://man7.org/linux/man-pages/man2/syncfs.2.html
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import re
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

__all__ = ["BatchSync", "SyncedDirectories", "sync_directory", "sync_file", "sync_path"]

_FEW = 4
"""Files that are synced one by one."""

_FEW_DIRECTORIES = 16
"""Directories that are synced one by one: nothing is left to be written of most of them."""

_SLOW_SECONDS = 1.0
"""A `syncfs` that takes longer than that wrote what others had in memory."""

_PAUSE_SECONDS = 30.0
"""For how long no other one is made then."""

_MAX_DIRECTORIES = 20_000

# What file systems answer that cannot sync a directory, or anything.
_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def sync_file(descriptor: int) -> None:
    """Brings a file's bytes to disk, with its size, time and mode.

    Raises:
        OSError: they are not on disk.
    """
    sys.audit("dxflow_async.sync", descriptor)
    if sys.platform == "darwin":  # where `fsync` leaves them in the disk's cache
        import fcntl

        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise


def sync_directory(descriptor: int) -> None:
    """Brings the names in a directory to disk.

    Args:
        descriptor: may be one that was opened with `O_PATH`.

    Raises:
        OSError: they are not on disk.
    """
    try:
        opened = os.open(".", _DIRECTORY, dir_fd=descriptor)
    except PermissionError:  # it may be written to, but not read
        return
    try:
        sync_file(opened)
    finally:
        os.close(opened)


def sync_path(path: str | os.PathLike[str]) -> None:
    """Syncs a directory, or a file, by its path; one that is not there any more has nothing to be synced."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (PermissionError, FileNotFoundError, NotADirectoryError):
        return
    try:
        sync_file(opened)
    finally:
        os.close(opened)


class SyncedDirectories:
    """Which directories have names that are on disk: the names of all others are synced with what is in them."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._lock = threading.Lock()
        self._forgotten = 0

    @property
    def moment(self) -> int:
        """Changes when directories are removed or renamed; to be asked for before any is synced."""
        return self._forgotten

    def to_sync(self, directory: str, top: str = "/") -> list[str]:
        """The directory itself, and those above it that hold a name which may be new, the nearest first.

        Args:
            directory: a path.
            top: no directory above this one is asked for.
        """
        found = [directory]
        while directory not in (top, "") and directory not in self._known:
            above = os.path.dirname(directory)
            if above == directory:
                break
            found.append(directory := above)
        return found

    def has(self, directory: str) -> bool:
        """Whether the directory's name is on disk."""
        return directory in self._known

    def add(self, directories: Iterable[str], moment: int) -> None:
        """Their names are on disk now, unless some were removed or renamed since that moment."""
        with self._lock:
            if moment != self._forgotten:
                return
            if len(self._known) >= _MAX_DIRECTORIES:
                self._known.clear()
            self._known.update(directories)

    def forget(self) -> None:
        """Directories were removed or renamed: others may get their names."""
        with self._lock:
            self._known.clear()
            self._forgotten += 1


class BatchSync:
    """Syncs many files, or directories, together; for one thread at a time."""

    def __init__(self) -> None:
        self._pause_until = 0.0

    def sync_files(self, descriptors: Sequence[int]) -> dict[int, OSError]:
        """Brings files to disk; the errors of those that are not there."""
        if len(descriptors) > _FEW and self._sync_systems(descriptors):
            return {}
        return {each: error for each in descriptors if (error := _error_of(each)) is not None}

    def sync_directories(self, paths: Sequence[str], descriptors: Sequence[int]) -> dict[str, OSError]:
        """Brings the names in directories to disk; the errors of those that are not there.

        Args:
            paths: the directories.
            descriptors: of something in each of the file systems that they may be on.
        """
        if len(paths) > _FEW_DIRECTORIES and descriptors and self._sync_systems(descriptors):
            return {}
        errors = {}
        for path in paths:
            try:
                sync_path(path)
            except OSError as error:
                errors[path] = error
        return errors

    def _sync_systems(self, descriptors: Sequence[int]) -> bool:
        """Whether all that is on these files' systems was brought to disk."""
        if not _has_syncfs() or time.monotonic() < self._pause_until:
            return False
        started = time.monotonic()
        systems = {os.fstat(each).st_dev: each for each in descriptors}
        for descriptor in systems.values():
            sys.audit("dxflow_async.sync_system", descriptor)
            if _libc().syncfs(descriptor):
                return False  # whose bytes it was is told by their own sync
        if time.monotonic() - started > _SLOW_SECONDS:
            self._pause_until = time.monotonic() + _PAUSE_SECONDS
        return True


def _error_of(descriptor: int) -> OSError | None:
    try:
        sync_file(descriptor)
    except OSError as error:
        return error
    return None


@functools.cache
def _has_syncfs() -> bool:
    """Whether there is a `syncfs` that tells of bytes which could not be written: since Linux 5.8."""
    version = re.match(r"(\d+)\.(\d+)", os.uname().release) if sys.platform == "linux" else None
    return version is not None and (int(version[1]), int(version[2])) >= (5, 8) and hasattr(_libc(), "syncfs")


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
