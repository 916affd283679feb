"""Checksums that are kept with files, as an extended attribute. It takes some microseconds.

The attribute has the size and the time of the file that the checksum is of. A file that another program changed since
has another size or time, so its old checksum counts no more. A rename keeps the attribute; a copy by another program
may keep it too, and is then compared the same way. Where there are no attributes, a database has the checksums.

Source: https://man7.org/linux/man-pages/man7/xattr.7.html
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from dxflow_async import checksum

if TYPE_CHECKING:
    from dxflow_async.providers.local.checksum_database import ChecksumDatabase

__all__ = ["WORKS", "KeptChecksums"]

WORKS = hasattr(os, "setxattr")
"""Whether this platform's Python has extended attributes."""

_NAME = "user.dxflow.crc32c"
_UNSUPPORTED = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


class KeptChecksums:
    """The checksums of the files of one store.

    Args:
        database: keeps those of files that can have no attributes; None: they have no checksum.
    """

    def __init__(self, database: ChecksumDatabase | None = None) -> None:
        self._database = database

    def keep(self, descriptor: int, crc32c: int) -> bool:
        """Keeps the CRC32C of an open file that has its final size and time.

        Returns:
            False if the file can have no attributes: `keep_elsewhere` is to be called once it has its name.
        """
        if WORKS:
            status = os.fstat(descriptor)
            value = f"{status.st_size:x}-{status.st_mtime_ns:x}-{checksum.encode(crc32c)}".encode()
            try:
                os.setxattr(descriptor, _NAME, value)
            except OSError as error:
                return error.errno not in _UNSUPPORTED  # else, there is no room for attributes
            return True
        return False

    def keep_elsewhere(self, path: str, status: os.stat_result, crc32c: int) -> None:
        """Keeps the CRC32C of a file that can have no attributes. Does not block."""
        if self._database is not None:
            self._database.keep(path, status, crc32c)

    def of(self, file: int | str, path: str, status: os.stat_result, *, may_block: bool = True) -> int | None:
        """Returns the CRC32C that is kept with a file; None if there is none of its present content.

        Args:
            file: a descriptor, or the path.
            path: of the file.
            status: of the file.
            may_block: whether the database may be asked.

        Raises:
            BlockingIOError: it would have to be.
        """
        if WORKS:
            try:
                size, modified, value = os.getxattr(file, _NAME).decode("ascii").split("-", 2)
                return checksum.decode(value) if (size, modified) == _version_of(status) else None
            except ValueError:
                return None
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    return None
        if self._database is None:
            return None
        if not may_block:
            raise BlockingIOError(errno.EAGAIN, "its checksum is in a database", path)
        return self._database.kept(path, status)

    def renamed(self, path: str, new_path: str) -> None:
        """Keeps the checksums of a file or a directory that was renamed. Blocks."""
        if self._database is not None and not _has_attributes(new_path):
            self._database.renamed(path, new_path)

    def close(self) -> None:
        """Writes what is not on disk yet. Blocks. The checksums can be used again afterwards."""
        if self._database is not None:
            self._database.close()


def _version_of(status: os.stat_result) -> tuple[str, str]:
    return f"{status.st_size:x}", f"{status.st_mtime_ns:x}"


def _has_attributes(path: str) -> bool:
    if not WORKS:
        return False
    try:
        os.getxattr(path, _NAME)
    except OSError as error:
        return error.errno not in _UNSUPPORTED
    return True
