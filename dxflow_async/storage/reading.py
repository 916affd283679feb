"""Reads one object for a caller: in one version, resumed after breaks, and compared with its checksum."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from dxflow_async.checksum import crc32c
from dxflow_async.exceptions import ChecksumMismatchError, ConfigurationError
from dxflow_async.storage.area import Area
from dxflow_async.transfer.failures import translated
from dxflow_async.transfer.items.checksums import stored_checksum
from dxflow_async.transfer.items.resumed_reader import ResumedReader
from dxflow_async.transfer.request import request
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.retry import Attempts

__all__ = ["read_object", "read_whole"]


async def read_object(
    resources: Resources, find: Callable[[], Awaitable[Area]], path: str, start: int | None, end: int | None
) -> AsyncGenerator[Sequence[bytes], None]:
    """Yields the bytes `[start, end)` of an object; see `AsyncAreaStorage.read`."""
    for name, value in (("start", start), ("end", end)):
        if value is not None and not isinstance(value, int):
            text = "it must be a number of bytes; name the arguments, as in read(path, provider=...)"
            raise ConfigurationError(f"{name} = {value!r:.100} is not allowed; {text}")
    start = start or 0
    if start < 0 or (end is not None and end < start):
        raise ConfigurationError(f"range = [{start}, {end}) is not allowed; it must be 0 <= start <= end")
    area = await find()
    if start == end:
        return
    limits, policy = resources.limits, resources.policy
    reader = ResumedReader(area.provider, area.key(path), start, end, None, None, policy, Attempts())
    # A place is held while bytes are waited for, not while the caller uses them: it may wait for another request.
    limit = limits.requests(area.provider)
    with translated(area.provider):
        await (reader.open() if limit is None else limit.run(reader.open, kind="read"))
    crc, comparable = 0, area.provider.features.checksum_told and reader.size == reader.entry.size
    try:
        while chunk := await (reader.read() if limit is None else limit.run(reader.read, kind="bytes")):
            crc = crc32c(chunk, crc) if comparable or reader.crc32c is not None else 0
            yield (bytes(chunk),)
    finally:
        await reader.aclose()
    if comparable and reader.crc32c is None:
        reader.crc32c = await stored_checksum(
            area.provider, reader.entry, lambda ask: request(ask, area.provider, limits=limits, policy=policy)
        )
    if reader.crc32c not in (None, crc):
        raise ChecksumMismatchError(
            f"{area.name} read of {path} failed: the bytes that arrived have another checksum than the object; "
            "do not use them, and read it again",
            provider=area.name,
            operation="read",
            path=path,
        )


async def read_whole(
    resources: Resources,
    find: Callable[[], Awaitable[Area]],
    path: str,
    start: int | None = None,
    end: int | None = None,
) -> bytes:
    """Returns the bytes `[start, end)` of an object at once; see `AsyncAreaStorage.read`.

    For small objects this takes half the time of the stream, which reads each piece in a task of its own.
    """
    chunks: list[bytes] = []
    async with aclosing(read_object(resources, find, path, start, end)) as batches:
        async for batch in batches:
            chunks += batch
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
