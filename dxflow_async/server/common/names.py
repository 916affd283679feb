"""The names of a volume on the wire: paths in queries, names in JSON, and which of them are refused.

A path is written `/dir/name`, percent-encoded in a query; `/volume/dir/name` is the same. Its names may be any bytes
but NUL and `/`: a byte that is no UTF-8 is percent-encoded as it is (`%FF`), and in Python stands as a surrogate
(PEP 383). In JSON such a name is given twice: `"name"` with U+FFFD where it cannot be shown, and `"raw"`,
percent-encoded, which in a query is the name again, byte for byte.
"""

from __future__ import annotations

import os
import re
from urllib.parse import parse_qsl, quote

from dxflow_async.exceptions import UnsafePathError

__all__ = ["UPLOADS_DIRECTORY", "decoded", "parse_query", "shown", "volume_path"]

UPLOADS_DIRECTORY = ".dx-uploads"
"""At the volume's top: uploads that are not finished. No path leads there, and no listing shows it."""

_VOLUME = "volume"
_MAX_PARAMETERS = 16
_MAX_SIZE = 4095  # PATH_MAX of Linux, without the NUL
_SURROGATES = re.compile("[\ud800-\udfff]")


def parse_query(text: str) -> dict[str, str]:
    """The parameters of a raw query string.

    Raises:
        UnsafePathError: a parameter that is given twice, or too many.
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
    """A path of the wire as one relative to the volume's top, which itself is `""`.

    Raises:
        UnsafePathError: it climbs, has a NUL, is no Unicode, or is the server's own.

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
    # Whatever a file system does with capitals.
    if names and names[0].casefold() == UPLOADS_DIRECTORY:
        return "the server keeps unfinished uploads there"
    return None


def shown(name: str) -> str:
    """A name fit for JSON and for messages: U+FFFD stands for bytes that are no UTF-8."""
    return _SURROGATES.sub("\ufffd", name)


def decoded(name: str) -> dict[str, str]:
    """The name's part of a JSON object: `"name"`, and `"raw"` where that alone would lose bytes."""
    text = shown(name)
    return {"name": text} if text == name else {"name": text, "raw": quote(os.fsencode(name))}
