"""Keys as the paths of URLs."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from dxflow_async.exceptions import UnsafePathError
from dxflow_async.providers.http import Call

__all__ = ["all_start_with", "has_odd_segment", "url_path"]

_SAFE = "/-._~"


def url_path(call: Call, key: str) -> str:
    """Returns a key as the path of a URL, escaped as it is sent, without a slash at its beginning.

    A key of bytes that are not UTF-8 (`Features.byte_names`) keeps its bytes. A slash at the end stays.

    Args:
        call: the storage call, for errors.
        key: the key.

    Returns:
        The path in ASCII; an empty one for an empty key.

    Raises:
        UnsafePathError: a segment is empty, `.` or `..`, which servers resolve, so that the path names something else;
            or the key has a NUL, or is not valid Unicode.

    Example:
        >>> url_path(Call("DAV", "read", "/"), "a b/ü")
        'a%20b/%C3%BC'
    """
    name = key.removesuffix("/")
    if key and not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise call.error(UnsafePathError, "servers do not keep '//', '.' and '..' in names; remove them")
    if "\0" in name:
        raise call.error(UnsafePathError, "the name has a NUL in it; rename it")
    try:
        return quote(key.encode("utf-8", "surrogateescape"), safe=_SAFE)
    except UnicodeEncodeError as error:
        raise call.error(UnsafePathError, "the name is not valid Unicode; rename it") from error


def all_start_with(prefix: str, keys: Sequence[str]) -> bool:
    """Returns whether all keys start with a prefix, whatever their order is.

    Args:
        prefix: the beginning.
        keys: of a page.

    Example:
        >>> all_start_with("a/", ["a/c", "a/b"]), all_start_with("a/", ["a/b", "b/a"])
        (True, False)
    """
    # All that lies between two keys with one beginning has it, too.
    return not prefix or not keys or (min(keys).startswith(prefix) and max(keys).startswith(prefix))


def has_odd_segment(name: str) -> bool:
    """Returns whether a key has an empty, `.` or `..` segment, which not every service keeps.

    Example:
        >>> has_odd_segment("a/b/"), has_odd_segment("a//b"), has_odd_segment("./a"), has_odd_segment(".a/b.")
        (False, True, True, False)
    """
    if "//" in name or name.startswith("/"):
        return True
    # Most names with a dot have it in an extension.
    return ("/." in name or name.startswith(".")) and not {".", ".."}.isdisjoint(name.split("/"))
