"""Reading ranges of one version of an object."""

from __future__ import annotations

from dxflow_async.checksum import crc32c
from dxflow_async.providers.contract import Entry
from dxflow_async.storage.area import Area
from dxflow_async.storage.filling import fill, open_reader
from dxflow_async.storage.large_reads import fill_large, is_cut, read_ended, wrong_checksum
from dxflow_async.streams import Buffer, WritableBytes
from dxflow_async.transfer.items.checksums import stored_checksum
from dxflow_async.transfer.request import request
from dxflow_async.transfer.resources import Resources

__all__ = ["ObjectRanges"]

_SUMMED_HERE = 1 << 20
"""Larger buffers are summed in a worker thread."""


class ObjectRanges:
    """Ranges of one version of an object.

    Args:
        resources: the session's resources.
        area: where the object is.
        entry: the version, as `stat` described it.
    """

    def __init__(self, resources: Resources, area: Area, entry: Entry) -> None:
        self._resources = resources
        self._area = area
        self._entry = entry

    @property
    def entry(self) -> Entry:
        """The version, as `stat` described it."""
        return self._entry

    @property
    def size(self) -> int:
        """The object's size in bytes."""
        return self._entry.size

    @property
    def etag(self) -> str | None:
        """The version's tag, unquoted; None where the provider has none."""
        return self._entry.etag

    @property
    def comparable(self) -> bool:
        """Whether `compare` can compare the bytes with anything."""
        known = self._entry.crc32c is not None or self._area.provider.features.checksum_told
        return known and self._entry.size > 0

    async def sum(self, data: Buffer, crc: int) -> int:
        """Returns the CRC32C of the bytes before `data`, whose checksum is `crc`, and of `data`."""
        if len(data) <= _SUMMED_HERE:
            return crc32c(data, crc)
        return await self._resources.threads.run(crc32c, data, crc)

    async def compare(self, crc: int) -> None:
        """Compares the checksum of all bytes with that of the object.

        Raises:
            ChecksumMismatchError: they differ.
            StorageError: the object's checksum could not be looked up.
        """
        provider, limits, policy = self._area.provider, self._resources.limits, self._resources.policy
        told = await stored_checksum(
            provider, self._entry, lambda ask: request(ask, provider, limits=limits, policy=policy)
        )
        if told not in (None, crc):
            raise wrong_checksum(self._area, self._entry.key)

    async def read(self, start: int, end: int) -> bytearray:
        """Returns the bytes `[start, end)`, which must lie within the object.

        Raises:
            PreconditionFailedError: the object was replaced.
            StorageError: it could not be read.
        """
        buffer = bytearray(end - start)
        await self.readinto(start, memoryview(buffer))
        return buffer

    async def read_bytes(self, start: int, end: int) -> bytes:
        """Returns the bytes `[start, end)` as `bytes`. Raises as `read`."""
        memory = WritableBytes(end - start)
        await self.readinto(start, memory.view)
        return memory.finish()

    async def readinto(self, start: int, buffer: memoryview) -> None:
        """Fills the buffer with the bytes from `start` on. Raises as `read`."""
        resources, size = self._resources, len(buffer)
        if is_cut(self._area, self._entry, size):
            await fill_large(resources, self._area, self._entry, start, buffer)
            return
        reader, limit = await open_reader(resources, self._area, self._entry.key, start, start + size, self._entry)
        try:
            filled, _ = await fill(buffer, reader, limit, resources.threads.run, sums=False)
        finally:
            await reader.aclose()
        if filled < size:
            raise read_ended(self._area, self._entry.key, filled, size)
