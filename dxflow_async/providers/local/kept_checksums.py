"""Checksums that are kept with files, as an extended attribute. All of it blocks, for some microseconds.

The attribute has the size and the time of the file that the checksum is of. A file that another program changed since
has another size or time, so its old checksum counts no more. A rename keeps the attribute; a copy by another program
may keep it too, and is then compared the same way. File systems without extended attributes keep no checksums.

Source: https://man7.org/linux/man-pages/man7/xattr.7.html
"""

from __future__ import annotations

import contextlib
import os

from dxflow_async import checksum

__all__ = ["WORKS", "keep_checksum", "kept_checksum"]

WORKS = hasattr(os, "setxattr")
"""Whether this platform's Python has extended attributes."""

_NAME = "user.dxflow.crc32c"


def keep_checksum(descriptor: int, crc32c: int) -> None:
    """Keeps the CRC32C of an open file that has its final size and time; does nothing where that is not possible."""
    status = os.fstat(descriptor)
    value = f"{status.st_size:x}-{status.st_mtime_ns:x}-{checksum.encode(crc32c)}".encode()
    with contextlib.suppress(OSError):  # not supported, or no room for attributes
        os.setxattr(descriptor, _NAME, value)


def kept_checksum(file: int | str, status: os.stat_result) -> int | None:
    """Returns the CRC32C that is kept with a file; None if there is none of its present content.

    Args:
        file: a descriptor or a path.
        status: of the file.
    """
    try:
        size, modified, value = os.getxattr(file, _NAME).decode("ascii").split("-", 2)
    except (OSError, ValueError):
        return None
    if (size, modified) != (f"{status.st_size:x}", f"{status.st_mtime_ns:x}"):
        return None
    return checksum.decode(value)
