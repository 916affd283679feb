"""Media types by the endings of names."""

from __future__ import annotations

import mimetypes
import os

__all__ = ["content_type_of"]


def content_type_of(name: str) -> str:
    """The media type that a name's ending says, else `application/octet-stream`.

    Example:
        >>> content_type_of("a/table.CSV"), content_type_of("a.tar.gz")
        ('text/csv', 'application/gzip')
    """
    ending = os.path.splitext(name)[1].lower()
    return _COMPRESSED.get(ending) or _TYPES.get(ending) or "application/octet-stream"


# The same on every machine: the system's own tables are not read.
_TYPES = mimetypes.MimeTypes(filenames=()).types_map[True]
_COMPRESSED = {
    ".gz": "application/gzip",
    ".bz2": "application/x-bzip2",
    ".xz": "application/x-xz",
    ".zst": "application/zstd",
}
