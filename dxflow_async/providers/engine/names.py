"""Names at an engine, and what its listings say of them."""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import blake2b
from secrets import token_hex
from typing import Any, NamedTuple

from dxflow_async.providers import Call, Entry, UnsafePathError

__all__ = [
    "Found",
    "changeable",
    "etag_of",
    "found_in",
    "has_glob",
    "hidden_names",
    "old_beside",
    "part_beside",
    "path_of",
]

_TEMPORARY = re.compile(r"\.?dxflow-async-([0-9a-f]{16})\.(part|old)")
_GLOB = re.compile(r"[*?\[\]{}\\!]")
_OCTAL = re.compile(r"0o?[0-7]{5,12}|[0-7]{5,12}")

# The bits of Go's FileMode, as it prints them in octal, and those of POSIX.
_GO_DIRECTORY, _GO_LINK, _GO_OTHERS = 1 << 31, 1 << 27, 0b101111 << 24 & ~(1 << 27) | 1 << 21 | 1 << 19

_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""Times from so large a number on are in nanoseconds, microseconds, and milliseconds."""

_KINDS = {"p": "a named pipe", "s": "a socket", "S": "a socket", "D": "a device", "b": "a device", "c": "a device"}
_KINDS["l"] = _KINDS["L"] = "a symbolic link, which is not followed"


class Found(NamedTuple):
    """One name in a listing of a directory.

    Attributes:
        name: without a slash.
        entry: what the engine says of it.
    """

    name: str
    entry: Entry


def path_of(call: Call, key: str) -> str:
    """Returns the identity of a key: its path, clean and relative.

    Raises:
        UnsafePathError: the key is no name below the volume, or one that JSON cannot hold.
    """
    name = key.removesuffix("/")
    if not name:
        return "."
    if "\0" in name or not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise call.error(UnsafePathError, "engines do not keep '//', '.' and '..' in names; remove them")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise call.error(UnsafePathError, "engines take only names that are valid Unicode; rename it") from error
    return name


def changeable(call: Call, key: str) -> str:
    """Returns the identity of what is to be changed, which is never the volume itself. Raises as `path_of`."""
    if not key.strip("/"):
        raise call.error(UnsafePathError, "the engine's volume itself stays; name what is in it")
    return path_of(call, key)


def part_beside(path: str, *, dotted: bool) -> str:
    """Returns a new name in the directory of a path, for a file that is not complete."""
    return _beside(path, f"{token_hex(8)}.part", dotted=dotted)


def old_beside(path: str, *, dotted: bool) -> str:
    """Returns the name, in the directory of a path, of a file that is being replaced there.

    It tells which file it was: a listing can show it if that file is missing, as after a process was killed.
    """
    return _beside(path, f"{_digest(path.rpartition('/')[2])}.old", dotted=dotted)


def hidden_names(names: Iterable[str]) -> set[str]:
    """Returns those of a directory's names that listings leave out, whoever writes them.

    These are files that are not complete, and replaced ones whose new version is there.
    """
    every = list(names)
    temporary = {name: match for name in every if (match := _TEMPORARY.fullmatch(name)) is not None}
    if any(match[2] == "old" for match in temporary.values()):
        there = {_digest(name) for name in every}
        return {name for name, match in temporary.items() if match[2] == "part" or match[1] in there}
    return set(temporary)


def _beside(path: str, name: str, *, dotted: bool) -> str:
    directory, slash, _ = path.rpartition("/")
    return f"{directory}{slash}{'.' if dotted else ''}dxflow-async-{name}"


def _digest(name: str) -> str:
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def has_glob(name: str) -> bool:
    """Returns whether a name means something else as a pattern."""
    return _GLOB.search(name) is not None


def etag_of(size: int, modified: float) -> str:
    """Returns what names a version of a file: its size and its time, which engines tell in whole seconds."""
    return f"{size:x}-{modified:.6f}"


def found_in(directory: str, payload: Any, volume: str | None) -> Found | None:
    """Returns what one entity of a listing stands for; None for the directory itself.

    The path is built from the directory that was listed and the name; the identity has too many forms.

    Args:
        directory: the key of the directory, `""` or with a slash at its end.
        payload: the entity.
        volume: the engine's own path of its volume, where it is known.

    Raises:
        ValueError: the entity is not one of a listing.
    """
    name = payload.get("name") if isinstance(payload, dict) else None
    if name is None or not isinstance(name, str):
        raise ValueError("an entry without a name")
    name = name.removesuffix("/")
    if _is_directory_itself(directory, payload.get("identity"), name, volume):
        return None
    if not name or "/" in name or "\0" in name or "\ufffd" in name or name in (".", ".."):
        reason = "the engine cannot tell its name" if "\ufffd" in name else "its name is not a valid one"
        shown = re.sub(r"[/\0]", "\ufffd", name) or "\ufffd"
        shown = shown if shown not in (".", "..") else f"{shown}\ufffd"
        return Found(name, Entry(f"{directory}{shown}", unreadable=reason, read_error="EILSEQ"))
    return Found(name, _entry(directory + name, payload))


def _entry(key: str, payload: dict[str, Any]) -> Entry:
    kind = _kind_of(payload.get("permission"))
    modified = _time_of(payload.get("modified_at"))
    if kind == "d":
        return Entry(f"{key}/", modified=modified, directory=True)
    size = payload.get("size")
    if kind != "-":
        return Entry(key, modified=modified, unreadable=_KINDS.get(kind, "a special file"))
    if type(size) is not int or size < 0:
        raise ValueError(f"a file without a size ({key[:100]})")
    return Entry(key, size, modified, etag=etag_of(size, modified))


def _kind_of(permission: Any) -> str:
    """Returns the letter of a file type: `d`, `-` for a regular file, `l`, `p`, ..., or `?`.

    Raises:
        ValueError: the permission does not tell it.
    """
    if isinstance(permission, int) and not isinstance(permission, bool):
        return _kind_of_mode(permission)
    if not isinstance(permission, str) or not permission:
        raise ValueError("an entry without a permission")
    if _OCTAL.fullmatch(permission):
        return _kind_of_mode(int(permission.removeprefix("0o"), 8))
    # Go prints the letters of all bits that apply before the nine of the permissions: `dtrwxrwxrwx`.
    first = permission[0]
    if first in "aTugt":
        return "-"
    return first if first in "-d" or first in _KINDS else "?"


def _kind_of_mode(mode: int) -> str:
    if mode >= 1 << 17:
        if mode & _GO_DIRECTORY:
            return "d"
        return "l" if mode & _GO_LINK else ("?" if mode & _GO_OTHERS else "-")
    kind = stat.S_IFMT(mode)
    if kind == 0:
        raise ValueError("a permission that does not tell what a name is")
    letters = {stat.S_IFDIR: "d", stat.S_IFREG: "-", stat.S_IFLNK: "l", stat.S_IFIFO: "p", stat.S_IFSOCK: "s"}
    return letters.get(kind, "c")


def _time_of(value: Any) -> float:
    """Returns a time in seconds since the epoch; 0 where the engine tells none."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return float(value) / next((unit for least, unit in _UNITS if value >= least), 1.0)
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value))
        except ValueError:
            return 0.0
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return 0.0


def _is_directory_itself(directory: str, identity: Any, name: str, volume: str | None) -> bool:
    """Returns whether an entity is the listed directory: some listings have it."""
    if not isinstance(identity, str):
        return False
    path, own = _clean(identity), directory.removesuffix("/")
    if not own:
        return path == "" or name in (".", "", "/") or (volume is not None and path == _clean(volume))
    child = f"{own}/{name}"
    if path == child or path.endswith(f"/{child}"):
        return False
    return (path == own or path.endswith(f"/{own}")) and name in (own.rpartition("/")[2], ".", "")


def _clean(identity: str) -> str:
    parts = [each for each in identity.split("/") if each not in ("", ".")]
    return "/".join(parts)
