"""Copies files and directories within a volume. All of it blocks."""

from __future__ import annotations

import errno
import os

from dxflow_async.exceptions import AlreadyExistsError, PreconditionFailedError
from dxflow_async.server.common.names import shown
from dxflow_async.server.unit.listing import list_tree
from dxflow_async.server.unit.reflink import copy_file
from dxflow_async.server.unit.volume import Found, Volume, etag_of
from dxflow_async.server.unit.workspace import Workspace

__all__ = ["copy"]


def copy(workspace: Workspace, path: str, destination: str, etag: str | None = None, *, new: bool = False) -> Found:
    """Copies a file, or a directory with its content. Existing files are replaced, each of them atomically.

    Args:
        workspace: the workspace of the volume.
        path: what is copied, with its time and checksum.
        destination: the path of the copy. Missing directories above it are created.
        etag: the version of a file to copy.
        new: the copy of a file replaces nothing.

    Raises:
        AlreadyExistsError: a directory is in the place of a file or a file in the place of a directory, or the copy
            would lie within its source; or a file exists, and the copy must be `new`.
        PreconditionFailedError: the source has another version, or was changed meanwhile.
    """
    volume = workspace.volume
    if not volume.stat(path).directory:
        _copy_file(workspace, path, destination, etag, new=new)
        return volume.stat(destination)
    if not path or f"{destination}/".startswith(f"{path}/"):
        raise AlreadyExistsError(f"/{shown(path)} cannot be copied into itself; choose another place", path=path)
    volume.make_directory(destination, volume.mode_of(path))
    made = _Directories(volume, path, destination)
    for each in list_tree(volume, path):
        source, target = f"{path}/{each.name}", f"{destination}/{each.name}"
        if each.unreadable:
            raise OSError(errno.ENXIO, each.unreadable, source)
        if each.directory:
            made.make(each.name)
        else:
            made.make(each.name.rpartition("/")[0])
            _copy_file(workspace, source, target, None, sync_name=False)
    made.sync()
    return volume.stat(destination)


class _Directories:
    """Creates a copy's directories with the modes of their sources, and syncs one when the copy leaves it."""

    def __init__(self, volume: Volume, path: str, destination: str) -> None:
        self._volume = volume
        self._path = path
        self._destination = destination
        self._current = ""

    def make(self, name: str) -> None:
        """Creates a directory of the copy, and those above it."""
        if name == self._current:
            return
        self.sync()
        names = name.split("/")
        for number in range(1, len(names) + 1 if name else 0):
            inner = "/".join(names[:number])
            self._volume.make_directory(f"{self._destination}/{inner}", self._volume.mode_of(f"{self._path}/{inner}"))
        self._current = name

    def sync(self) -> None:
        """Brings the names in the current directory to disk."""
        self._volume.sync_names(f"{self._destination}/{self._current}/".rstrip("/") + "/any name")


def _copy_file(
    workspace: Workspace, path: str, destination: str, etag: str | None, *, new: bool = False, sync_name: bool = True
) -> None:
    source = workspace.volume.open_file(path)
    try:
        before = os.fstat(source)
        if etag not in (None, etag_of(before)):
            raise PreconditionFailedError(f"/{shown(path)} no longer has that version; look again", path=path)
        workspace.check_target(destination, new=new)
        with workspace.directory() as directory, workspace.temporary_file(directory) as (target, name):
            copy_file(source, target, before, workspace.stopping)
            if etag_of(os.fstat(source)) != etag_of(before):
                raise PreconditionFailedError(f"/{shown(path)} was changed meanwhile; try again", path=path)
            workspace.place(directory, name, target, destination, before.st_mode, new=new, sync_name=sync_name)
    finally:
        os.close(source)
