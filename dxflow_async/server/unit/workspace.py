"""The directory for unfinished files at a volume's top, which no path leads to. All of it blocks.

A finished file moves from there to its name in one step. Where another file system is mounted below the volume, it is
first copied to a temporary name beside its final one, and then renamed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import threading
from collections.abc import Iterator

from dxflow_async.durability import sync_file
from dxflow_async.exceptions import AlreadyExistsError
from dxflow_async.file_systems import set_mode
from dxflow_async.modes import PERMISSIONS, PRIVATE, mode_for
from dxflow_async.security.new_names import rename_new
from dxflow_async.server.common.names import UPLOADS_DIRECTORY, shown
from dxflow_async.server.unit.reflink import copy_file
from dxflow_async.server.unit.volume import Volume

__all__ = ["Workspace"]

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Workspace:
    """The directory `.dx-uploads` of a volume, created when it is first needed.

    Args:
        volume: the volume.
        stopping: set when the server stops; copies in progress fail then.
    """

    def __init__(self, volume: Volume, stopping: threading.Event) -> None:
        self.volume = volume
        self.stopping = stopping

    def exists(self) -> bool:
        """Returns whether it holds anything."""
        with self.volume.parent(UPLOADS_DIRECTORY) as (top, name):
            return os.access(name, os.F_OK, dir_fd=top)

    @contextlib.contextmanager
    def directory(self) -> Iterator[int]:
        """Returns its descriptor. Somebody may have removed it since the last time."""
        with self.volume.parent(UPLOADS_DIRECTORY) as (top, name):
            try:
                directory = os.open(name, _DIRECTORY, dir_fd=top)
            except FileNotFoundError:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=top)
                self.volume.sync_names(UPLOADS_DIRECTORY)
                directory = os.open(name, _DIRECTORY, dir_fd=top)
        try:
            yield directory
        finally:
            os.close(directory)

    def check_target(self, path: str, *, new: bool = False) -> None:
        """Refuses early what `place` would refuse late.

        Raises:
            AlreadyExistsError: the path is a directory, or a part above it is a file; or it exists, and must be `new`.
        """
        try:
            found = self.volume.stat(path)
        except FileNotFoundError:
            return
        except NotADirectoryError as error:
            raise AlreadyExistsError(f"a part of /{shown(path)} is a file, not a directory", path=path) from error
        if found.directory:
            raise AlreadyExistsError(f"/{shown(path)} is a directory; choose another name", path=path)
        if new:
            raise _exists(path)

    @contextlib.contextmanager
    def temporary_file(self, directory: int) -> Iterator[tuple[int, str]]:
        """Gives the descriptor and name of a new file, which is locked, and removed at the end if it is still there."""
        name = f"{secrets.token_hex(12)}.tmp"
        descriptor = os.open(name, _CREATE, PRIVATE, dir_fd=directory)
        try:
            with contextlib.suppress(OSError):  # some file systems have no locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor, name
        finally:
            os.close(descriptor)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)

    def place(
        self,
        directory: int,
        name: str,
        descriptor: int,
        path: str,
        mode: int | None = None,
        *,
        new: bool = False,
        sync_name: bool = True,
    ) -> os.stat_result:
        """Gives a finished file its name in the volume, replacing what has it, with the mode of `mode_for`.

        If the volume is durable, its bytes are on disk before, and its name when this returns.

        Args:
            directory: this directory's descriptor.
            name: the file's name here.
            descriptor: the file.
            path: its new name.
            mode: the permission bits of its source.
            new: nothing is replaced. Of two files that get one name at the same time, one is refused.
            sync_name: False leaves its name to be brought to disk later.

        Returns:
            The file under its new name.

        Raises:
            AlreadyExistsError: a directory has that name, or a part above it is a file; or the name exists, and must be
                `new`.
        """
        with self.volume.parent(path, make=True) as (target, last):
            self._complete(descriptor, mode_for(target, last, mode))
            try:
                _rename(directory, name, target, last, new=new)
            except IsADirectoryError as error:
                raise AlreadyExistsError(f"/{shown(path)} is a directory; choose another name", path=path) from error
            except FileExistsError as error:
                raise _exists(path) from error
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                placed = self._place_copy(descriptor, target, last, new=new)
                os.unlink(name, dir_fd=directory)
            else:
                placed = os.fstat(descriptor)
        if sync_name:
            self.volume.sync_names(path)
        return placed

    def _complete(self, descriptor: int, mode: int) -> None:
        set_mode(descriptor, mode)
        if self.volume.durable:
            sync_file(descriptor)

    def _place_copy(self, source: int, target: int, last: str, *, new: bool) -> os.stat_result:
        with self.temporary_file(target) as (descriptor, beside):
            before = os.fstat(source)
            copy_file(source, descriptor, before, self.stopping)
            self._complete(descriptor, before.st_mode & PERMISSIONS)
            try:
                _rename(target, beside, target, last, new=new)
            except FileExistsError as error:
                raise _exists(last) from error
            return os.fstat(descriptor)


def _rename(directory: int, name: str, target: int, last: str, *, new: bool) -> None:
    if new:
        rename_new(directory, name, last, target_directory=target)
    else:
        os.rename(name, last, src_dir_fd=directory, dst_dir_fd=target)


def _exists(path: str) -> AlreadyExistsError:
    return AlreadyExistsError(f"/{shown(path)} exists, and must not be replaced; choose another name", path=path)
