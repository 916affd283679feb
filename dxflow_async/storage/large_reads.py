"""Large ranges of one version of an object, read in pieces over several connections into one memory.

Services limit the speed of each connection, so one of them is slower than a download, which uses many. Each piece is
received where it stays. A CRC32C is combined from those of the pieces; another digest has to be computed in the order
of the bytes, and is, from the pieces that are complete, while others still arrive.
"""

from __future__ import annotations

from dxflow_async.checksum import combine
from dxflow_async.concurrency.pool import for_each
from dxflow_async.exceptions import ChecksumMismatchError, ServiceError
from dxflow_async.providers.contract import Entry, RangeIgnoredError
from dxflow_async.storage.area import Area
from dxflow_async.storage.filling import fill, open_reader
from dxflow_async.streams import Run
from dxflow_async.transfer.items.ordered_digest import whole_digest
from dxflow_async.transfer.items.resumed_reader import ResumedReader
from dxflow_async.transfer.resources import Resources

__all__ = ["fill_large", "is_cut", "read_ended", "wrong_checksum"]

_PIECE_SIZE = 8 << 20
"""The bytes of a piece. Smaller ranges are read in one."""

_PIECES = 32
"""How many pieces of one range are read at a time, at most; the endpoint's limit says how many are good for it."""


def is_cut(area: Area, entry: Entry, size: int) -> bool:
    """Returns whether pieces of a range are worth their requests, and sure to be of one version.

    Args:
        area: where the object is.
        entry: the version.
        size: of the range, in bytes.
    """
    features = area.provider.features
    return size > 2 * _PIECE_SIZE and features.ranges and features.endpoint is not None and entry.etag is not None


async def fill_large(
    resources: Resources,
    area: Area,
    entry: Entry,
    start: int,
    memory: memoryview,
    *,
    first: ResumedReader | None = None,
    sums: bool = False,
) -> int:
    """Fills memory with the bytes of a version from `start` on, in several pieces at a time.

    Args:
        resources: the session's resources.
        area: where the object is.
        entry: the version.
        start: the first byte.
        memory: for all bytes that are wanted; they must lie within the object.
        first: an open read of these bytes. It reads the first piece and is closed.
        sums: whether the bytes are summed, and compared with the other digests of the object if all are read.

    Returns:
        Their CRC32C; 0 without `sums`.

    Raises:
        ChecksumMismatchError: the object has another digest.
        StorageError: the object could not be read, or was replaced.
    """
    run = resources.threads.run
    checksums = _Checksums(entry if sums and len(memory) == entry.size else None, memory, run)

    async def piece(offset: int) -> None:
        begin, view = start + offset, memory[offset : offset + _PIECE_SIZE]
        is_part = first is None or offset > 0
        reader, limit = first, resources.limits.requests(area.provider)
        if reader is None or is_part:
            reader, limit = await open_reader(resources, area, entry.key, begin, begin + len(view), entry, is_part=True)
        try:
            filled, crc = await fill(view, reader, limit, run, sums=sums, is_part=is_part)
        finally:
            await reader.aclose()
        if filled < len(view):
            raise read_ended(area, entry.key, filled, len(view))
        await checksums.add(offset, len(view), crc)

    try:
        await for_each(range(0, len(memory), _PIECE_SIZE), piece, _PIECES)
    except RangeIgnoredError:  # the provider knows it now, and passes over the bytes before `start`
        end = start + len(memory)
        reader, limit = await open_reader(resources, area, entry.key, start, None if end == entry.size else end, entry)
        try:
            filled, crc = await fill(memory, reader, limit, run, sums=sums)
        finally:
            await reader.aclose()
        if filled < len(memory):
            raise read_ended(area, entry.key, filled, len(memory)) from None
        return crc
    if not checksums.agree():
        raise wrong_checksum(area, entry.key)
    return checksums.crc32c


class _Checksums:
    """The checksums of pieces that arrive in any order.

    Args:
        whole: the object, if all of it is read and compared.
        memory: where the pieces are.
        run: executes blocking calls in a thread.
    """

    def __init__(self, whole: Entry | None, memory: memoryview, run: Run) -> None:
        self._expected = None if whole is None else whole_digest(whole)
        self._running = None if self._expected is None else self._expected.running()
        self._key = "" if whole is None else whole.key
        self._memory = memory
        self._run = run
        self._pieces: dict[int, tuple[int, int]] = {}
        self._end = 0
        self._busy = False

    @property
    def crc32c(self) -> int:
        """Of all pieces."""
        return combine([self._pieces[offset] for offset in sorted(self._pieces)]) or 0

    async def add(self, offset: int, size: int, crc: int) -> None:
        """Adds a piece, and hashes all that now follow each other if nobody does."""
        self._pieces[offset] = crc, size
        if self._running is None or self._busy:
            return
        self._busy = True
        while self._end in self._pieces:
            end = self._end + self._pieces[self._end][1]
            await self._run(self._running.update, self._memory[self._end : end])
            self._end = end
        self._busy = False

    def agree(self) -> bool:
        """Returns whether all bytes have the digest that is expected."""
        if self._expected is None or self._running is None:
            return True
        return self._expected.judge(self._key, self._running.value) is not False


def read_ended(area: Area, key: str, filled: int, size: int) -> ServiceError:
    """Returns the error of a read that ended too early.

    Args:
        area, key: the object.
        filled: how many bytes there were.
        size: how many there should be.
    """
    path = area.path(key)
    return ServiceError(
        f"{area.name} read of {path} failed: it ended after {filled} of {size} bytes; read it again",
        provider=area.name,
        operation="read",
        path=path,
    )


def wrong_checksum(area: Area, key: str) -> ChecksumMismatchError:
    """Returns the error of bytes that have another checksum than their object.

    Args:
        area, key: the object.
    """
    path = area.path(key)
    return ChecksumMismatchError(
        f"{area.name} read of {path} failed: the bytes that arrived have another checksum than the object; "
        "do not use them, and read it again",
        provider=area.name,
        operation="read",
        path=path,
    )
