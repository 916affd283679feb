"""The names of a volume on the wire: paths in queries, names in JSON, and which of them are refused.

A path is written `/dir/name`, percent-encoded in a query; `/volume/dir/name` is the same. Its names may hold any bytes
but NUL and `/`. A byte that is not UTF-8 is percent-encoded as it is (`%FF`), and becomes a surrogate in Python
(PEP 383). In JSON such a name is given twice: as `"name"`, with U+FFFD for bytes that cannot be shown, and as `"raw"`,
percent-encoded, which in a query gives the name again, byte for byte.
"""

from __future__ import annotations

import os
import re
from urllib.parse import parse_qsl, quote

from dxflow_async.exceptions import UnsafePathError

__all__ = ["UPLOADS_DIRECTORY", "decoded", "parse_query", "shown", "volume_path"]

UPLOADS_DIRECTORY = ".dx-uploads"
"""The directory of unfinished uploads, at the volume's top. No path leads there, and no listing shows it."""

_VOLUME = "volume"
_MAX_PARAMETERS = 16
_MAX_SIZE = 4095  # PATH_MAX of Linux, without the NUL
_SURROGATES = re.compile("[\ud800-\udfff]")


def parse_query(text: str) -> dict[str, str]:
    """Returns the parameters of a raw query string.

    Raises:
        UnsafePathError: a parameter is given twice, or there are too many.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=_MAX_PARAMETERS)
    except ValueError as error:
        raise UnsafePathError(f"the query has more than {_MAX_PARAMETERS} parameters") from error
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise UnsafePathError("the query gives a parameter twice; give each once")
    return parameters


def volume_path(text: str) -> str:
    """Returns a path as one relative to the volume's top. The top itself is `""`.

    Raises:
        UnsafePathError: the path leads upward, has a NUL, is not valid Unicode, or is the server's own.

    Example:
        >>> volume_path("/volume/results//a.dat"), volume_path("/")
        ('results/a.dat', '')
    """
    names = [name for name in text.split("/") if name]
    if names and names[0] == _VOLUME:
        names = names[1:]
    reason = _fault(names)
    if reason:
        raise UnsafePathError(f"the path {shown(text)!r:.200} is refused: {reason}", path=shown(text))
    return "/".join(names)


def _fault(names: list[str]) -> str | None:
    if "." in names or ".." in names:
        return "it has a '.' or '..' segment"
    if any("\0" in name for name in names):
        return "it has a NUL character"
    try:
        size = len(os.fsencode("/".join(names)))
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    if size > _MAX_SIZE:
        return f"it has more than {_MAX_SIZE} bytes"
    # File systems may ignore the case of a name.
    if names and names[0].casefold() == UPLOADS_DIRECTORY:
        return "the server keeps unfinished uploads there"
    return None


def shown(name: str) -> str:
    """Returns a name for JSON and messages, with U+FFFD for bytes that are not UTF-8."""
    return _SURROGATES.sub("\ufffd", name)


def decoded(name: str) -> dict[str, str]:
    """Returns the name's part of a JSON object: `"name"`, and `"raw"` if `"name"` alone would lose bytes."""
    text = shown(name)
    return {"name": text} if text == name else {"name": text, "raw": quote(os.fsencode(name))}
