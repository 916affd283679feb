"""Computes the checksums of a body before it is sent: CRC32C for this library, and one that Azure compares.

Azure's CRC64 is CRC-64/NVME, lowest byte first. It costs a twentieth of an MD5, which older servers need.
Source: https://learn.microsoft.com/rest/api/storageservices/put-block and the SDKs' StorageCrc64 tests
"""

from __future__ import annotations

import base64
import hashlib
from typing import NamedTuple

from dxflow_async import checksum
from dxflow_async.concurrency.threads import Threads
from dxflow_async.providers.contract import Body, Buffer

__all__ = ["Measured", "measure"]

# For larger ones, a call to a thread costs less than the time of the loop.
_INLINE_CRC_SIZE = 256 << 10
_INLINE_MD5_SIZE = 16 << 10


class Measured(NamedTuple):
    """The CRC32C of a body, and the header with the checksum that the service compares."""

    crc32c: int
    header: str
    value: str


async def measure(body: Body, threads: Threads, *, md5: bool) -> Measured:
    """Reads a body once and returns its CRC32C and its CRC64 or MD5. This reading does not count as progress."""
    sums: _CRCs | _MD5 = _MD5() if md5 else _CRCs()
    async for chunk in getattr(body, "uncounted", body):
        if len(chunk) <= sums.inline_size:
            sums.update(chunk)
        else:
            await threads.run(sums.update, chunk)
    return sums.measured()


class _CRCs:
    inline_size = _INLINE_CRC_SIZE

    def __init__(self) -> None:
        from awscrt import checksums

        self._crc64nvme = checksums.crc64nvme
        self._crc32c = self._crc64 = 0

    def update(self, chunk: Buffer) -> None:
        self._crc32c = checksum.crc32c(chunk, self._crc32c)
        self._crc64 = self._crc64nvme(chunk, self._crc64)

    def measured(self) -> Measured:
        value = base64.b64encode(self._crc64.to_bytes(8, "little")).decode()
        return Measured(self._crc32c, "x-ms-content-crc64", value)


class _MD5:
    inline_size = _INLINE_MD5_SIZE

    def __init__(self) -> None:
        self._crc32c = 0
        self._md5 = hashlib.md5(usedforsecurity=False)

    def update(self, chunk: Buffer) -> None:
        self._crc32c = checksum.crc32c(chunk, self._crc32c)
        self._md5.update(chunk)

    def measured(self) -> Measured:
        return Measured(self._crc32c, "content-md5", base64.b64encode(self._md5.digest()).decode())
