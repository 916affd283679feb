"""Flushes files and directories to disk, so that a power cut loses nothing that was reported as done. It blocks.

The program makes all of its syncs here. A file is synced before it gets its name, then its directory, and each
directory above whose name may be new. One `syncfs` flushes many files for a fraction of the cost of as many `fsync`s.
Since it also writes the data of other programs, it is not used for a while after it was slow.

Each sync raises the audit event `dxflow_async.sync` or `dxflow_async.sync_system` with its descriptor, as the standard
library does for a rename.

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
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from dxflow_async.concurrency.descriptors import patiently

__all__ = ["BatchSync", "SyncedDirectories", "sync_directory", "sync_file", "sync_path"]

_FEW = 4
"""Up to this many files are synced one by one."""

_FEW_DIRECTORIES = 16
"""Up to this many directories are synced one by one: most of them have nothing left to write."""

_SLOW_SECONDS = 1.0
"""A `syncfs` that takes longer wrote the data of other programs."""

_PAUSE_SECONDS = 30.0
"""How long `syncfs` is not used after it was slow."""

_MAX_DIRECTORIES = 20_000

# The errors of file systems that cannot sync directories, or anything.
_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def sync_file(descriptor: int) -> None:
    """Flushes a file to disk, with its size, time and mode.

    Raises:
        OSError: it is not on disk.
    """
    sys.audit("dxflow_async.sync", descriptor)
    if sys.platform == "darwin":  # there, `fsync` leaves the bytes in the cache of the disk
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
    """Flushes the names in a directory to disk.

    Args:
        descriptor: may be opened with `O_PATH`.

    Raises:
        OSError: they are not on disk.
    """
    try:
        opened = patiently(os.open, ".", _DIRECTORY, dir_fd=descriptor)
    except PermissionError:  # it permits writing, but not reading
        return
    try:
        sync_file(opened)
    finally:
        os.close(opened)


def sync_path(path: str | os.PathLike[str]) -> None:
    """Syncs a directory or a file by its path. One that no longer exists needs no sync."""
    try:
        opened = patiently(os.open, path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (PermissionError, FileNotFoundError, NotADirectoryError):
        return
    try:
        sync_file(opened)
    finally:
        os.close(opened)


class SyncedDirectories:
    """Remembers the directories whose own names are on disk, so that the others are synced with their content."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._lock = threading.Lock()
        self._forgotten = 0

    @property
    def moment(self) -> int:
        """Changes when directories are deleted or renamed; read it before any is synced."""
        return self._forgotten

    def to_sync(self, directory: str, top: str = "/") -> list[str]:
        """Returns the directory, and those above it that hold a name which may be new, the nearest first.

        Args:
            directory: a path.
            top: the highest directory to return.
        """
        found = [directory]
        while directory not in (top, "") and directory not in self._known:
            above = os.path.dirname(directory)
            if above == directory:
                break
            found.append(directory := above)
        return found

    def has(self, directory: str) -> bool:
        """Returns whether the directory's name is on disk."""
        return directory in self._known

    def add(self, directories: Iterable[str], moment: int) -> None:
        """Records that these names are on disk, unless directories were deleted or renamed since that moment."""
        with self._lock:
            if moment != self._forgotten:
                return
            if len(self._known) >= _MAX_DIRECTORIES:
                self._known.clear()
            self._known.update(directories)

    def forget(self) -> None:
        """Records that directories were deleted or renamed: others may get their names."""
        with self._lock:
            self._known.clear()
            self._forgotten += 1


class BatchSync:
    """Syncs many files or directories together. One thread at a time may use it."""

    def __init__(self) -> None:
        self._pause_until = 0.0

    def sync_files(self, descriptors: Mapping[int, int]) -> dict[int, OSError]:
        """Flushes files to disk; returns the errors of those that are not.

        Args:
            descriptors: the device of each file, by its descriptor.
        """
        if len(descriptors) > _FEW and self._sync_systems(descriptors):
            return {}
        return {each: error for each in descriptors if (error := _error_of(each)) is not None}

    def sync_directories(self, paths: Sequence[str], descriptors: Mapping[int, int]) -> dict[str, OSError]:
        """Flushes the names in directories to disk; returns the errors of those that are not.

        Args:
            paths: the directories.
            descriptors: of something in each file system that they may be on, with its device.
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

    def _sync_systems(self, descriptors: Mapping[int, int]) -> bool:
        """Returns whether the file systems of these files were flushed to disk."""
        if not _has_syncfs() or time.monotonic() < self._pause_until:
            return False
        started = time.monotonic()
        systems = {device: descriptor for descriptor, device in descriptors.items()}
        for descriptor in systems.values():
            sys.audit("dxflow_async.sync_system", descriptor)
            if _libc().syncfs(descriptor):
                return False  # their own syncs tell whose bytes failed
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
    """Returns whether `syncfs` exists and reports failed writes: since Linux 5.8."""
    version = re.match(r"(\d+)\.(\d+)", os.uname().release) if sys.platform == "linux" else None
    return version is not None and (int(version[1]), int(version[2])) >= (5, 8) and hasattr(_libc(), "syncfs")


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
