"""Local files that are read in pieces. All of it blocks."""

from __future__ import annotations

import errno
import os
import stat
from time import monotonic

from dxflow_async.checksum import crc32c
from dxflow_async.exceptions import PreconditionFailedError, SourceChangedError, UnsupportedError
from dxflow_async.modes import PERMISSIONS
from dxflow_async.providers.contract import Buffer, Entry
from dxflow_async.providers.local.root import Root, error_of, etag_of

__all__ = ["CACHED_SIZE", "CHANGED", "READ_SIZE", "SCAN_SIZE", "ReadableFile"]

READ_SIZE = 512 << 10
"""Bytes of one read: large compared to the cost of a call, small compared to a cache."""

SCAN_SIZE = 256 << 10
"""Bytes of one step of a checksum: they stay in the processor's cache."""

CACHED_SIZE = 64 << 10
"""The largest file that is read in the event loop if its bytes are in memory anyway: that takes 10 microseconds."""

CHANGED = "the file was changed meanwhile; try again"


class ReadableFile:
    """The bytes `[start, end)` of a file, read in pieces; all methods block.

    Attributes:
        entry: describes the file, once it is open.
        crc32c: of the first piece. Callers compute that of the others.
    """

    entry: Entry

    def __init__(self, root: Root, key: str, start: int, end: int | None) -> None:
        self._root = root
        self._key = key
        self._range = start, end
        self._position = self._end = start
        self._descriptor = -1
        self.crc32c = 0

    @property
    def path(self) -> str:
        """The path of the file."""
        return self._root.resolve(self._key)

    def open(self) -> Buffer:
        """Opens the file, sets `entry`, and returns the first piece. Closes the file if that is all.

        Raises:
            UnsupportedError: the file has no known size.
            OSError: it cannot be opened, or is not a regular file.
        """
        began = monotonic()
        if not self._open().st_size and os.pread(self._descriptor, 1, 0):
            text = "its size is not known, as that of the files in /proc; copy it with cat first"
            raise error_of("read", self.path, UnsupportedError, text)
        first = self.read()
        self._root.cached_reads.took_in_thread(monotonic() - began)
        self.crc32c = crc32c(first)
        return first

    def open_cached(self) -> Buffer | None:
        """Returns a small file that was just listed, if that needs no wait for a disk, else None; closes it."""
        buffer: bytearray | None = None
        cached_reads = self._root.cached_reads
        if not cached_reads.allowed:
            return None
        waits, began = cached_reads.waits(), monotonic()
        try:
            flags = cached_reads.flags(self._open(may_block=False).st_dev)
            size = self._end - self._position
            if flags is not None and size <= CACHED_SIZE:
                wanted = bytearray(size)
                if not size or os.preadv(self._descriptor, [wanted], self._position, flags) == size:
                    buffer = wanted
                    self._position = self._end
                    self.crc32c = crc32c(buffer)
        except OSError:
            pass  # a thread finds out why
        self.close()
        cached_reads.took(monotonic() - began, waits)
        return buffer

    def _open(self, *, may_block: bool = True) -> os.stat_result:
        # Opening a named pipe would wait for a writer.
        self._descriptor = self._root.open_file(self._key, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            if stat.S_ISDIR(status.st_mode):
                raise FileNotFoundError(errno.ENOENT, "it is a directory", self.path)
            raise OSError(errno.ENXIO, "it is not a regular file", self.path)
        modified = status.st_mtime
        mode = status.st_mode & PERMISSIONS
        self.entry = Entry(self._key, status.st_size, modified, etag=etag_of(status), mtime=modified, mode=mode)
        if (kept := self._root.kept_checksums) is not None:
            self.entry.crc32c = kept.of(self._descriptor, self.path, status, may_block=may_block)
        start, end = self._range
        self._end = status.st_size if end is None else min(end, status.st_size)
        self._position = start
        if start >= status.st_size and (start or end is not None):
            text = f"it has no byte at {start}; look at its size again"
            raise error_of("read", self.path, PreconditionFailedError, text)
        return status

    @property
    def remaining(self) -> int:
        """Bytes not yet read."""
        return self._end - self._position

    def read(self) -> bytes:
        """Returns the next piece; closes the file after the last one.

        Raises:
            SourceChangedError: the file changed since it was opened.
        """
        if not self.remaining:
            self.close()
            return b""
        data = os.pread(self._descriptor, min(READ_SIZE, self.remaining), self._position)
        self._position += len(data)
        if not data or not self.remaining:
            changed = not data or etag_of(os.fstat(self._descriptor)) != self.entry.etag
            self.close()
            if changed:
                raise error_of("read", self.path, SourceChangedError, CHANGED)
        return data

    def scan(self, crc: int) -> int:
        """Returns the CRC32C of the bytes before (`crc`) and all bytes that are left, without consuming them."""
        buffer = memoryview(bytearray(min(SCAN_SIZE, self.remaining)))
        position = self._position
        while position < self._end:
            size = os.preadv(self._descriptor, [buffer[: self._end - position]], position)
            if not size:
                raise error_of("read", self.path, SourceChangedError, CHANGED)
            crc = crc32c(buffer[:size], crc)
            position += size
        return crc

    def close(self) -> None:
        """Closes the file, if it is open."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)
