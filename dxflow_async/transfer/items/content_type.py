"""Media types by the endings of names."""

from __future__ import annotations

import mimetypes

__all__ = ["content_type_of"]


def content_type_of(name: str) -> str:
    """The media type that a name's ending says, else `application/octet-stream`.

    Example:
        >>> content_type_of("a/table.CSV"), content_type_of("a.tar.gz")
        ('text/csv', 'application/gzip')
    """
    stem, _, ending = name[name.rfind("/") + 1 :].lstrip(".").rpartition(".")
    return (stem and _TYPES.get(ending.lower())) or "application/octet-stream"


# The same on every machine: the system's own tables are not read.
_TYPES = {ending.removeprefix("."): kind for ending, kind in mimetypes.MimeTypes(filenames=()).types_map[True].items()}
_TYPES |= {"gz": "application/gzip", "bz2": "application/x-bzip2", "xz": "application/x-xz", "zst": "application/zstd"}
