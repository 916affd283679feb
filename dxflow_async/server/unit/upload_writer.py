"""Writes to one upload: bytes count once they are written and compared. All of it blocks."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from dxflow_async.checksum import joined
from dxflow_async.durability import sync_file
from dxflow_async.exceptions import StorageError
from dxflow_async.server.unit import checksums
from dxflow_async.server.unit.checksums import Buffer, Expected, Hashing
from dxflow_async.server.unit.upload_state import Status, mismatch, write_progress
from dxflow_async.server.unit.volume import Found

__all__ = ["Writer", "write_at"]

_SYNC_SECONDS = 1.0
"""Seconds between two syncs of a body that is arriving. After a crash, bytes since the last one are read again."""

_MAX_BUFFERS = 1024  # IOV_MAX of Linux, and at least that of other systems


class Writer:
    """Takes the next bytes of one upload. `Uploads.writer` creates it; it must be closed.

    Args:
        status: how far the upload is.
        info, data: the descriptors of its state and its bytes.
        expected: what all bytes of this writer are compared with.
        finish: gives the file its name, given the checksum of the whole.
        stack: what is closed at the end.
        durable: bytes are on disk before they count.
    """

    def __init__(
        self,
        status: Status,
        info: int,
        data: int,
        expected: Expected | None,
        finish: Callable[[int], Found | None],
        stack: contextlib.ExitStack,
        *,
        durable: bool,
    ) -> None:
        self.upload = status.upload
        self.offset = status.offset
        self._status = status
        self._info, self._data = info, data
        self._finish = finish
        self._expected = expected
        self._hashing = Hashing(expected)
        self._stack = stack
        self._crc_before = status.crc32c
        self._crc = self._received = 0
        self._durable = durable
        self._synced = status.synced
        self._next_sync = time.monotonic() + _SYNC_SECONDS

    @property
    def room(self) -> int:
        """Bytes that are still to come."""
        return self.upload.length - self.offset - self._received

    def write(self, chunks: Sequence[Buffer]) -> None:
        """Writes the next bytes. Without anything to compare them with, they count at once.

        Raises:
            StorageError: 413, they exceed the upload's length; none of them is written.
        """
        size = sum(map(len, chunks))
        if size > self.room:
            raise StorageError(f"the upload ends at {self.upload.length}", status=413, code="too_long")
        write_at(self._data, chunks, self.upload.start + self.offset + self._received)
        self._crc = checksums.crc32c(chunks, self._crc)
        self._hashing.update(chunks)
        self._received += size
        if self._expected is None:
            self._advance(sync=time.monotonic() >= self._next_sync)

    def complete(self) -> Status:
        """Compares the bytes, counts them, and at the end of the upload gives the file its name.

        Raises:
            ChecksumMismatchError: 460, other bytes arrived. They are dropped.
        """
        if not self._hashing.agrees(self._crc):
            if not self.upload.group:
                os.ftruncate(self._data, self.offset)
            raise mismatch(self.upload.path)
        self._advance(sync=True)
        if self._durable:
            sync_file(self._info)
        found = self._finish(self._crc_before) if self.offset == self.upload.length else None
        return replace(self._status, offset=self.offset, crc32c=self._crc_before, found=found)

    def close(self) -> None:
        """Lets others write. A second call does nothing."""
        self._stack.close()

    def _advance(self, *, sync: bool) -> None:
        self._crc_before = joined(self._crc_before, self._crc, self._received)
        self.offset += self._received
        self._crc = self._received = 0
        if sync and self._durable:
            sync_file(self._data)
            self._next_sync = time.monotonic() + _SYNC_SECONDS
        if self._synced is not None and (sync or not self._durable):
            self._synced = self.offset, self._crc_before
        write_progress(self._info, self.offset, self._crc_before, self._synced)


def write_at(descriptor: int, chunks: Sequence[Buffer], offset: int) -> None:
    """Writes all of the chunks, even if the system stops in between."""
    views = [memoryview(chunk) for chunk in chunks]
    while views:
        written = os.pwritev(descriptor, views[:_MAX_BUFFERS], offset)
        offset += written
        while views and written >= len(views[0]):
            written -= len(views.pop(0))
        if written:
            views[0] = views[0][written:]
