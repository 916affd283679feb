"""Names on the server: paths as bytes, and what the attributes of a file say of it."""

from __future__ import annotations

import re
import stat
from collections.abc import Collection
from typing import TYPE_CHECKING

from dxflow_async.providers import Entry, UnsafePathError

if TYPE_CHECKING:
    import asyncssh

__all__ = [
    "PERMISSIONS",
    "PRIVATE",
    "Base",
    "described",
    "entry_of",
    "etag_of",
    "failed_entry",
    "is_described",
    "is_hidden",
    "is_temporary",
    "kind_of",
    "name_of",
    "with_type",
]

PERMISSIONS = 0o777
"""The bits of a mode that are kept."""

PRIVATE = 0o600
"""The mode of a file that is not complete: nobody else reads it."""

_MAX_NAME_SIZE = 255

_TEMPORARY = re.compile(r"\.([0-9a-f]{8})[0-9a-f]{8}\.dx(part|old)")

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_TYPES = {1: stat.S_IFREG, 2: stat.S_IFDIR, 3: stat.S_IFLNK, 4: 0, 6: stat.S_IFSOCK, 7: stat.S_IFCHR}
_TYPES |= {8: stat.S_IFBLK, 9: stat.S_IFIFO}
_LETTERS = {"-": 1, "d": 2, "l": 3, "s": 6, "c": 7, "b": 8, "p": 9}
_LINE = re.compile(r"[-dlscbp][-rwxsStT]{9}")


class Base:
    """The directory that keys are below.

    Args:
        path: as the settings have it; `~` is the directory that the server starts in.
    """

    def __init__(self, path: str) -> None:
        home = path == "~" or path.startswith("~/")
        text = path[1:].lstrip("/") if home else path
        self._prefix = text.rstrip("/").encode("utf-8", "surrogateescape")
        if self._prefix or path.startswith("/"):
            self._prefix += b"/"

    def path(self, key: str) -> bytes:
        """Returns the path of a key.

        Raises:
            UnsafePathError: the key is no name below the directory.
        """
        name = key.removesuffix("/")
        if not name:
            return self._prefix.rstrip(b"/") or (b"/" if self._prefix else b".")
        segments = name.split("/")
        if "\0" in name or not {"", ".", ".."}.isdisjoint(segments):
            raise UnsafePathError(f"{key!r} is not a name on the server; remove '//', '.' and '..'", path=key)
        try:
            encoded = name.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise UnsafePathError(f"{key!r} is not valid Unicode; rename it", path=repr(key)) from error
        if len(encoded) > _MAX_NAME_SIZE and max(map(len, encoded.split(b"/"))) > _MAX_NAME_SIZE:
            raise UnsafePathError(f"{key!r} has a part of over {_MAX_NAME_SIZE} bytes; choose a shorter name", path=key)
        return self._prefix + encoded

    def changeable(self, key: str) -> bytes:
        """Returns the path of what is to be changed, which is never the directory itself. Raises as `path`."""
        if not key.strip("/"):
            raise UnsafePathError("the directory that the remote starts at stays; name what is in it", path=key)
        return self.path(key)


def name_of(path: bytes) -> str:
    """Returns a name as a part of a key: bytes that are not UTF-8 are kept."""
    return path.decode("utf-8", "surrogateescape")


def is_hidden(name: str) -> bool:
    """Returns whether a name is that of a file which is being written, or of one that is being replaced.

    Listings leave such files out, whoever writes them: a sync must not delete what another machine is uploading.
    """
    return _TEMPORARY.fullmatch(name) is not None


def is_temporary(name: str, owner_ids: Collection[str] | None = None) -> bool:
    """Returns whether a name is that of a file which is being written, by one of these owners if they are given.

    A file that is being replaced is none: where the server cannot replace it at once, and the process was killed
    meanwhile, it is all that is left of the old version.
    """
    found = _TEMPORARY.fullmatch(name)
    return found is not None and found[2] == "part" and (owner_ids is None or found[1] in owner_ids)


def kind_of(attributes: asyncssh.SFTPAttrs) -> int:
    """Returns the file type, as `stat.S_IFMT` does; 0 where the server does not tell it."""
    mode = attributes.permissions or 0
    return stat.S_IFMT(mode) or _TYPES.get(attributes.type, 0)


def is_described(attributes: asyncssh.SFTPAttrs) -> bool:
    """Returns whether attributes say what something is and, of a file, how large."""
    kind = kind_of(attributes)
    return kind != 0 and (kind != stat.S_IFREG or attributes.size is not None)


def with_type(attributes: asyncssh.SFTPAttrs, line: bytes | str | None) -> asyncssh.SFTPAttrs:
    """Returns attributes whose type is that of the line which a listing has for a name, if they tell none.

    The line is as `ls -l` writes it: the protocol recommends its form and does not define it.
    Source: https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02#section-7
    """
    if not kind_of(attributes) and line:
        text = line if isinstance(line, str) else line.decode("latin-1")
        if _LINE.match(text):
            attributes.type = _LETTERS[text[0]]
    return attributes


def described(kind: int) -> str:
    """Returns what a file of that type is called."""
    return _KINDS.get(kind, "a special file")


def etag_of(attributes: asyncssh.SFTPAttrs) -> str:
    """Returns what names a version of a file: its size and its time, which SFTP tells in whole seconds."""
    return f"{attributes.size or 0:x}-{attributes.mtime or 0:x}-{attributes.mtime_ns or 0:x}"


def entry_of(key: str, attributes: asyncssh.SFTPAttrs) -> Entry:
    """Returns what the attributes of a file or a directory say of it."""
    kind = kind_of(attributes)
    mode = None if attributes.permissions is None else attributes.permissions & PERMISSIONS
    modified = float(attributes.mtime or 0) + (attributes.mtime_ns or 0) / 1e9
    if kind == stat.S_IFDIR:
        return Entry(key.removesuffix("/") + "/", modified=modified, directory=True, mode=mode)
    unreadable = None
    if kind == stat.S_IFLNK:
        unreadable = "a symbolic link, which is not followed"
    elif kind not in (0, stat.S_IFREG):
        unreadable = "not a regular file"
    mtime = None if attributes.mtime is None else modified
    return Entry(
        key, attributes.size or 0, modified, etag=etag_of(attributes), unreadable=unreadable, mtime=mtime, mode=mode
    )


def failed_entry(key: str, reason: str, code: str) -> Entry:
    """Returns an entry for what could not be looked at."""
    return Entry(key, directory=key.endswith("/"), unreadable=reason, read_error=code)
