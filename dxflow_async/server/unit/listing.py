"""Listings of a volume, read piece by piece: a directory of any size is sent while it is read. All of it blocks."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from itertools import islice

from dxflow_async.server.common.names import UPLOADS_DIRECTORY
from dxflow_async.server.unit.volume import Found, Volume

__all__ = ["list_directory", "list_tree"]

_BATCH = 512
"""Names that are looked at while a directory is held open. Between two batches it is closed."""


def list_directory(volume: Volume, path: str, *, by_key: bool = False) -> Iterator[Found]:
    """Lists a directory.

    Args:
        volume: the volume.
        path: the directory.
        by_key: order by the keys' bytes, where a directory's key ends in a slash; otherwise directories come first.

    Raises:
        OSError: raised by the first step if the path is not a directory or cannot be read.
    """
    names = _names(volume, path)
    if not by_key:
        names.sort(key=lambda name: not name.endswith("/"))
    yield from _looked_at(volume, path, names)


def list_tree(volume: Volume, path: str) -> Iterator[Found]:
    """Lists everything below a directory, with relative names, in the order of the keys' bytes.

    A directory comes before its content. A directory that cannot be read is listed as unreadable. Links to directories
    are not followed, and are listed as such.
    """
    levels = [("", _looked_at(volume, path, _names(volume, path)))]
    while levels:
        above, level = levels[-1]
        found = next(level, None)
        if found is None:
            levels.pop()
            continue
        name = above + found.name
        inner: list[str] = []
        unreadable, code = found.unreadable, found.error
        if found.directory:
            try:
                inner = _names(volume, _join(path, name), follow=False)
            except FileNotFoundError:
                continue  # it was removed meanwhile
            except OSError as error:
                # A link to a directory is not followed here. That is no error.
                unreadable = error.strerror or str(error)
                code = None if error.errno in (errno.ELOOP, errno.ENOTDIR) else errno.errorcode.get(error.errno or 0)
        etag, mode = found.etag, found.mode
        yield Found(name, found.directory, found.size, found.modification, etag, unreadable, error=code, mode=mode)
        if inner:
            levels.append((f"{name}/", _looked_at(volume, _join(path, name), inner)))


def _names(volume: Volume, path: str, *, follow: bool = True) -> list[str]:
    """Returns the names in a directory in the order of their bytes, those of directories with a slash."""
    directory = volume.open_directory(path) if follow else volume.open_real_directory(path)
    try:
        with os.scandir(directory) as entries:
            names = [f"{each.name}/" if _is_directory(volume, path, each) else each.name for each in entries]
    finally:
        os.close(directory)
    if not path:
        names = [name for name in names if name.removesuffix("/") != UPLOADS_DIRECTORY]
    names.sort(key=os.fsencode)
    return names


def _is_directory(volume: Volume, path: str, entry: os.DirEntry[str]) -> bool:
    """Returns whether a listing shows a directory: also for a link to a directory inside the volume."""
    if not entry.is_symlink():
        return entry.is_dir(follow_symlinks=False)
    try:
        return volume.stat(_join(path, entry.name)).directory
    except OSError:
        return False


def _looked_at(volume: Volume, path: str, names: list[str]) -> Iterator[Found]:
    rest = iter(names)
    while batch := list(islice(rest, _BATCH)):
        try:
            directory = volume.open_directory(path)
        except (FileNotFoundError, NotADirectoryError):
            return  # it was removed meanwhile
        try:
            plain = [name.removesuffix("/") for name in batch]
            looked_at = [volume.look(directory, name, _join(path, name)) for name in plain]
        finally:
            os.close(directory)
        yield from (found for found in looked_at if found is not None)


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
