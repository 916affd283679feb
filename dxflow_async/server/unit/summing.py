"""Computes checksums that are not stored, when a client asks for them. All of it blocks.

They are remembered in memory, by version. They are not stored with the file: that would change its status, and with it
the version that other clients are reading.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict

from dxflow_async import checksum
from dxflow_async.exceptions import StorageError
from dxflow_async.server.unit import checksums
from dxflow_async.server.unit.volume import Found, etag_of, found_of
from dxflow_async.server.unit.workspace import Workspace

__all__ = ["Sums", "sum_file"]

_REMEMBERED = 10_000
_PIECE = 1 << 20


class Sums:
    """The checksums that were computed last. Any thread may use it."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, str], int] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, status: os.stat_result) -> int | None:
        """Returns the checksum of a file in this version; None if it is not known."""
        with self._lock:
            return self._known.get((status.st_dev, etag_of(status)))

    def add(self, status: os.stat_result, crc: int) -> None:
        """Remembers a checksum, and forgets the oldest one."""
        with self._lock:
            self._known[status.st_dev, etag_of(status)] = crc
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)


def sum_file(workspace: Workspace, sums: Sums, path: str, stopped: threading.Event) -> Found:
    """Returns a file with its checksum, which is computed if it is not known.

    Args:
        workspace: the workspace of the volume.
        sums: the remembered checksums.
        path: the file.
        stopped: set when nobody waits for the checksum any more.

    Raises:
        StorageError: 409, the file was changed meanwhile; 503, `stopped` was set, or the server stops.
        OSError: the file cannot be read.
    """
    descriptor = workspace.volume.open_file(path)
    try:
        status = os.fstat(descriptor)
        crc = checksums.stored(descriptor, status)
        if crc is None:
            crc = sums.get(status)
        if crc is None:
            crc = _computed(workspace, descriptor, stopped)
            if etag_of(os.fstat(descriptor)) != etag_of(status):
                raise StorageError("the file was changed while it was read; try again", status=409, code="changed")
            sums.add(status, crc)
        return found_of(path.rpartition("/")[2], status, crc32c=crc)
    finally:
        os.close(descriptor)


def _computed(workspace: Workspace, descriptor: int, stopped: threading.Event) -> int:
    buffer, crc, position = memoryview(bytearray(_PIECE)), 0, 0
    while count := os.preadv(descriptor, [buffer], position):
        if stopped.is_set() or workspace.stopping.is_set():
            raise StorageError("the server is shutting down; try again", status=503, code="shutting_down")
        crc = checksum.crc32c(buffer[:count], crc)
        position += count
    return crc
