"""Removes trees of any depth from a volume. All of it blocks.

A directory loses its name at once: it is moved into the workspace and taken apart there, level by level, each inner
directory being moved out first. So no path becomes too long and no recursion too deep, and what a killed server left is
removed later.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat

from dxflow_async.modes import is_device
from dxflow_async.server.unit.workspace import Workspace

__all__ = ["TRASH", "empty_trash", "remove"]

TRASH = "trash"
"""The kind of name in the workspace that is being taken apart."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(
    workspace: Workspace,
    path: str,
    recursive: bool = True,  # noqa: FBT002 - given by position
    kind: str | None = None,
) -> None:
    """Removes a file, a link (never its target), or a directory with its content.

    Args:
        workspace: the workspace of the volume.
        path: what is removed.
        recursive: also remove a directory that is not empty.
        kind: `"file"` or `"directory"`: remove only that; None: either.

    Raises:
        OSError: the name does not exist, is of the other kind, or may not be removed.
    """
    with workspace.volume.parent(path) as (above, name):
        mode = os.stat(name, dir_fd=above, follow_symlinks=False).st_mode
        if not stat.S_ISDIR(mode):
            if kind == "directory":
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)
            if is_device(mode):
                raise OSError(errno.ENXIO, "it is a device, which other programs may need", name)
            os.unlink(name, dir_fd=above)
            return
        if kind == "file":
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        workspace.volume.forget_names()
        if not recursive:
            os.rmdir(name, dir_fd=above)
            return
        if _removed_when_empty(name, above):
            return
        with workspace.directory() as directory:
            try:
                moved = _move(name, above, directory)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                shutil.rmtree(name, dir_fd=above)  # it belongs to another file system that is mounted in the volume
            else:
                empty_trash(directory, moved)


def empty_trash(directory: int, name: str) -> None:
    """Takes a directory apart that was moved into the workspace, whose descriptor is given."""
    waiting = [name]
    while waiting:
        try:
            inner = _take_apart(directory, waiting[-1])
        except FileNotFoundError:  # another server takes it apart too
            inner = []
        if inner:
            waiting += inner
        else:
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(waiting[-1], dir_fd=directory)
            waiting.pop()


def _take_apart(directory: int, name: str) -> list[str]:
    """Removes the files in a directory, moves its directories out of it, and returns their new names."""
    opened, moved = os.open(name, _DIRECTORY, dir_fd=directory), []
    try:
        with os.scandir(opened) as entries:
            found = [(each.name, each.is_dir(follow_symlinks=False)) for each in entries]
        for inner, is_directory in found:
            if not is_directory:
                os.unlink(inner, dir_fd=opened)
            elif not _removed_when_empty(inner, opened):
                moved.append(_move(inner, opened, directory))
    finally:
        os.close(opened)
    return moved


def _move(name: str, above: int, directory: int) -> str:
    moved = f"{secrets.token_hex(12)}.{TRASH}"
    os.rename(name, moved, src_dir_fd=above, dst_dir_fd=directory)
    return moved


def _removed_when_empty(name: str, above: int) -> bool:
    try:
        os.rmdir(name, dir_fd=above)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True
