"""Makes symbolic links that cannot lead out of a directory. All of it blocks."""

from __future__ import annotations

import errno
import os
import stat

from dxflow_async.exceptions import AlreadyExistsError, UnsafePathError
from dxflow_async.providers.common.conditions import EXISTS
from dxflow_async.providers.local.root import Root, error_of
from dxflow_async.providers.local.temporary_files import temporary_name

__all__ = ["make_link"]


def make_link(root: Root, key: str, target: str, mark: str, *, if_absent: bool) -> None:
    """Makes a symbolic link; see `LocalDisk.make_link`.

    Args:
        root: the directory that the link and its target are below.
        key, target, if_absent: as for `LocalDisk.make_link`.
        mark: the owner id of the session, for a temporary name.
    """
    directory, name = root.open_parent(key, make=True)
    try:
        _check(root, key, target, directory)
        if if_absent:
            try:
                os.symlink(target, name, dir_fd=directory)
            except FileExistsError as error:
                raise error_of("link", root.resolve(key), AlreadyExistsError, EXISTS) from error
            return
        try:
            if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), root.resolve(key))
        except FileNotFoundError:
            pass
        beside = temporary_name(mark)
        os.symlink(target, beside, dir_fd=directory)
        try:
            os.replace(beside, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            os.unlink(beside, dir_fd=directory)
            raise
    finally:
        os.close(directory)


def _check(root: Root, key: str, target: str, directory: int) -> None:
    """Checks that a link leads to a place below the root.

    `..` may only come first: after another name, what it means depends on where that name leads later. The directory of
    the link is the real one, since a link above it may have moved it.

    Raises:
        UnsafePathError: it does not.
    """
    rest = [each for each in target.split("/") if each not in ("", ".")]
    while rest and rest[0] == "..":
        rest.pop(0)
    inside = bool(target) and not os.path.isabs(target) and "\0" not in target and ".." not in rest
    if not (inside and _is_inside(root, key, target, directory)):
        text = f"the link leads to {target!r:.200}, which is not below {root.path}; it is not made"
        raise error_of("link", root.resolve(key), UnsafePathError, text)


def _is_inside(root: Root, key: str, target: str, directory: int) -> bool:
    above, top = os.path.realpath(f"/proc/self/fd/{directory}"), os.path.realpath(root.path)
    if not os.path.isdir(above):  # the system has no such file system
        above = os.path.realpath(os.path.dirname(root.resolve(key)))
    real = os.path.realpath(os.path.join(above, target))
    return real == top or real.startswith(os.path.join(top, ""))
