"""Finds an object's checksum: the one in its entry, else one that the provider computes, else one of its bytes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from dxflow_async.checksum import combine, crc32c
from dxflow_async.concurrency.threads import Threads
from dxflow_async.digests import ExpectedDigest
from dxflow_async.exceptions import ChecksumMismatchError
from dxflow_async.presumed_digests import PresumedDigest
from dxflow_async.providers.contract import Entry, Provider
from dxflow_async.providers.http import Call
from dxflow_async.transfer.items.resumed_reader import ResumedReader
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.plan import split
from dxflow_async.transfer.request import request
from dxflow_async.transfer.retry import Attempts, RetryPolicy, retry

__all__ = ["checksum_of", "digest_of_object", "has_md5", "stored_checksum"]

Attempt = Callable[[Callable[[], Awaitable[int | None]]], Awaitable[int | None]]
"""Makes a request, as often as its caller's retry policy allows."""

_MD5 = re.compile(r"[0-9a-f]{32}")

_STEP = 1 << 20

_PIECE_SIZE = 32 << 20
"""Bytes of a local file that a thread reads in one go: few enough to wait for when the call is cancelled."""


async def stored_checksum(provider: Provider, entry: Entry, attempt: Attempt) -> int | None:
    """Returns the CRC32C of an object without reading it: the one in its entry, or one that the provider computes.

    Args:
        provider, entry: the object.
        attempt: makes the request, with the retries and limits of the caller. It may take minutes.

    Raises:
        StorageError: the request failed.
    """
    if entry.crc32c is not None or not provider.features.checksum_told:
        return entry.crc32c
    return await attempt(lambda: provider.tell_checksum(entry))


async def checksum_of(provider: Provider, entry: Entry, *, limits: Limits, policy: RetryPolicy) -> int:
    """Returns the CRC32C of an object in the version of `entry`, reading its bytes if nothing else tells it.

    Raises:
        StorageError: the object could not be read, or was replaced.
    """
    if not entry.size:
        return 0
    if provider.features.cheap_reread:
        return await _of_file(provider, entry)
    told = await stored_checksum(provider, entry, lambda ask: request(ask, provider, limits=limits, policy=policy))
    if told is not None:
        return told
    limit, attempts = limits.requests(provider), Attempts()

    async def read() -> int:
        crc = 0
        reading = ResumedReader(provider, entry.key, 0, None, entry.etag, limit, policy, attempts, entry)
        await reading.open()
        async with reading:
            while chunk := await reading.read():
                crc = crc32c(chunk, crc)
        if reading.crc32c not in (None, crc):
            call = Call(provider.name, "read", f"/{entry.key}")
            raise call.error(
                ChecksumMismatchError, "the bytes that arrived have another checksum than the object; try again"
            )
        return crc

    return await retry(read, policy, attempts)


async def digest_of_object(
    provider: Provider,
    entry: Entry,
    digest: ExpectedDigest | PresumedDigest,
    *,
    limits: Limits,
    policy: RetryPolicy,
    threads: Threads,
) -> bytes:
    """Reads an object in the version of `entry`, and returns its digest of the kind of another one.

    Raises:
        StorageError: the object could not be read, or was replaced.
    """
    limit, attempts = limits.requests(provider), Attempts()

    async def read() -> bytes:
        running, buffer = digest.running(), memoryview(bytearray(_STEP))
        reading = ResumedReader(provider, entry.key, 0, None, entry.etag, limit, policy, attempts, entry)
        await reading.open()
        async with reading:
            while await reading.stream_to(buffer, running.update, threads.run):
                pass
        return running.value

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
    """Returns whether a small local file has the MD5 that an object's etag is. Blocks for some 30 microseconds.

    S3 uses the MD5 as the etag of an object that was stored in one request, and listings report it. Comparing it costs
    a tenth of a request for the object's time. Only files in the page cache are read: a disk would take longer.

    Args:
        provider, entry: the file.
        etag: the object's etag.
    """
    disk = provider.local_disk
    return disk is not None and bool(etag and _MD5.fullmatch(etag)) and disk.cached_md5(entry) == etag
