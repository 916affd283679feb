"""Reads one object for a caller: in one version, resumed after breaks, and compared with its checksum."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from dxflow_async.checksum import crc32c
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.storage.area import Area
from dxflow_async.storage.filling import fill, open_reader
from dxflow_async.storage.large_reads import fill_large, is_cut, read_ended, wrong_checksum
from dxflow_async.streams import Memory, WritableBytes
from dxflow_async.transfer.items.checksums import stored_checksum
from dxflow_async.transfer.items.ordered_digest import whole_digest
from dxflow_async.transfer.items.resumed_reader import ResumedReader
from dxflow_async.transfer.request import request
from dxflow_async.transfer.resources import Resources

__all__ = ["read_bytes", "read_object", "read_whole"]


async def read_object(
    resources: Resources, find: Callable[[], Awaitable[Area]], path: str, start: int | None, end: int | None
) -> AsyncGenerator[Sequence[bytes], None]:
    """Yields the bytes `[start, end)` of an object; see `AsyncAreaStorage.read`."""
    start = _checked(start, end)
    area = await find()
    if start == end:
        return
    reader, limit = await open_reader(resources, area, area.key(path), start, end)
    crc, sums = 0, _sums(area, reader)
    try:
        while chunk := await (reader.read() if limit is None else limit.run(reader.read, kind="bytes")):
            crc = crc32c(chunk, crc) if sums or reader.crc32c is not None else 0
            yield (bytes(chunk),)
    finally:
        await reader.aclose()
    await _compare(resources, area, reader, crc if sums or reader.crc32c is not None else None)


async def read_bytes(
    resources: Resources,
    find: Callable[[], Awaitable[Area]],
    path: str,
    start: int | None,
    end: int | None,
) -> bytes:
    """Returns the bytes `[start, end)` of an object at once; see `AsyncAreaStorage.read`."""
    made = WritableBytes(0)

    def memory(size: int) -> memoryview:
        nonlocal made
        made = WritableBytes(size)
        return made.view

    await read_whole(resources, find, path, start, end, memory)
    return made.finish()


async def read_whole(
    resources: Resources,
    find: Callable[[], Awaitable[Area]],
    path: str,
    start: int | None,
    end: int | None,
    memory: Memory,
) -> bytearray | memoryview:
    """Returns the bytes `[start, end)` of an object at once; see `AsyncAreaStorage.read`.

    The bytes are put into what `memory` returns for their number, and stay there. `read_object` copies each piece, and
    its stream reads each in a task of its own. Large ranges are read over several connections.
    """
    start = _checked(start, end)
    area = await find()
    if start == end:
        return memory(0)
    reader, limit = await open_reader(resources, area, area.key(path), start, end)
    sums = _sums(area, reader) or reader.crc32c is not None
    try:
        data = memory(reader.size)
        with memoryview(data) as view:
            if is_cut(area, reader.entry, reader.size):
                whole = sums or whole_digest(reader.entry) is not None
                crc = await fill_large(resources, area, reader.entry, start, view, first=reader, sums=whole)
            else:
                filled, crc = await fill(view, reader, limit, resources.threads.run, sums=sums)
                if filled < len(view):
                    raise read_ended(area, reader.entry.key, filled, len(view))
    finally:
        await reader.aclose()
    await _compare(resources, area, reader, crc if sums else None)
    return data


def _checked(start: int | None, end: int | None) -> int:
    """Returns where a read begins.

    Raises:
        ConfigurationError: there is no such range.
    """
    for name, value in (("start", start), ("end", end)):
        if value is not None and not isinstance(value, int):
            text = "it must be a number of bytes; name the arguments, as in read(path, provider=...)"
            raise ConfigurationError(f"{name} = {value!r:.100} is not allowed; {text}")
    start = start or 0
    if start < 0 or (end is not None and end < start):
        raise ConfigurationError(f"range = [{start}, {end}) is not allowed; it must be 0 <= start <= end")
    return start


def _sums(area: Area, reader: ResumedReader) -> bool:
    """Returns whether all bytes are read of an object whose checksum can be looked up."""
    return area.provider.features.checksum_told and reader.size == reader.entry.size


async def _compare(resources: Resources, area: Area, reader: ResumedReader, crc: int | None) -> None:
    """Compares the checksum of all bytes with that of the object; None: the bytes were not summed.

    Raises:
        ChecksumMismatchError: they differ.
    """
    if _sums(area, reader) and reader.crc32c is None:
        limits, policy = resources.limits, resources.policy
        reader.crc32c = await stored_checksum(
            area.provider, reader.entry, lambda ask: request(ask, area.provider, limits=limits, policy=policy)
        )
    if crc is not None and reader.crc32c not in (None, crc):
        raise wrong_checksum(area, reader.entry.key)
