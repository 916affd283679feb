"""Checksums that have to be found out: of an object that none is stored with, its bytes are read for it."""

from __future__ import annotations

import re

from dxflow_async.checksum import combine, crc32c
from dxflow_async.exceptions import ChecksumMismatchError
from dxflow_async.providers.contract import Entry, Provider
from dxflow_async.providers.http import Call
from dxflow_async.transfer.items.resumed_reader import ResumedReader
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.plan import split
from dxflow_async.transfer.request import request
from dxflow_async.transfer.retry import Attempts, RetryPolicy, retry

__all__ = ["checksum_of", "has_md5"]

_MD5 = re.compile(r"[0-9a-f]{32}")

_PIECE_SIZE = 32 << 20
"""Bytes of a local file that a thread reads in one go: short enough to be waited for when the call is cancelled."""


async def checksum_of(provider: Provider, entry: Entry, *, limits: Limits, policy: RetryPolicy) -> int:
    """The CRC32C of an object, in the version that was seen.

    Raises:
        StorageError: it could not be read, or is another one by now.
    """
    if not entry.size:
        return 0
    if provider.features.cheap_reread:
        return await _of_file(provider, entry)
    limit, attempts = limits.requests(provider), Attempts()
    if provider.features.checksum_told:
        told = await request(lambda: provider.tell_checksum(entry), provider, limits=limits, policy=policy)
        if told is not None:
            return told

    async def read() -> int:
        crc = 0
        reading = ResumedReader(provider, entry.key, 0, None, entry.etag, limit, policy, attempts, entry)
        await reading.open()
        async with reading:
            while chunk := await reading.read():
                crc = crc32c(chunk, crc)
        if reading.crc32c not in (None, crc):
            call = Call(provider.name, "read", f"/{entry.key}")
            raise call.error(ChecksumMismatchError, "the bytes that arrived have another checksum than the object")
        return crc

    return await retry(read, policy, attempts)


async def _of_file(provider: Provider, entry: Entry) -> int:
    parts: list[tuple[int | None, int]] = []
    for part in split(entry.size, _PIECE_SIZE):
        async with await provider.read(entry.key, part.offset, part.offset + part.size, etag=entry.etag) as reading:
            parts.append(((await reading.buffer_or_reopen()).crc32c, part.size))
    whole = combine(parts)
    assert whole is not None
    return whole


def has_md5(provider: Provider, entry: Entry, etag: str | None) -> bool:
    """Whether a small local file is known to have the MD5 that an object's etag is; blocks for some 30 microseconds.

    S3 gives an object that was stored in one go its MD5 as etag, in listings, too: a tenth of the cost of a request
    for its time. Only bytes that are in memory anyway are looked at: waiting for a disk would cost more.
    """
    disk = provider.local_disk
    return disk is not None and bool(etag and _MD5.fullmatch(etag)) and disk.cached_md5(entry) == etag
