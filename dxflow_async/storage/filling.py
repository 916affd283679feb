"""Open reads, and memory that is filled with their bytes, with as few copies as possible."""

from __future__ import annotations

from functools import partial

from dxflow_async.checksum import crc32c
from dxflow_async.providers.contract import Entry, Reader
from dxflow_async.storage.area import Area
from dxflow_async.streams import Run
from dxflow_async.transfer.adaptive_limit import AdaptiveLimit
from dxflow_async.transfer.failures import translated
from dxflow_async.transfer.items.resumed_reader import ResumedReader
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.retry import Attempts

__all__ = ["fill", "open_reader"]

_LARGE = 1 << 20
"""So many bytes are received by a thread, which waits for many at a time; the loop wakes for any."""

_BLOCK = 256 << 10
"""How much a thread receives before it is summed and put into place, while it is still in the processor's cache."""


async def open_reader(
    resources: Resources,
    area: Area,
    key: str,
    start: int,
    end: int | None,
    entry: Entry | None = None,
    *,
    is_part: bool = False,
) -> tuple[ResumedReader, AdaptiveLimit | None]:
    """Opens a read of `[start, end)`, which survives broken connections.

    Args:
        resources: the session's resources.
        area, key: the object.
        start, end: the range; with `end=None` up to the object's end.
        entry: the version to read; None for the one that is there now.
        is_part: the read is one of several at a time, whose bytes nobody waits for in between: it holds its place
            until its last byte. See also `ResumedReader`.

    Returns:
        The open read, and the limit within which its bytes are waited for.

    Raises:
        RangeIgnoredError: the read is a part, and the whole object came.
        StorageError: it could not be opened.
    """
    resources.check_open()
    provider, etag = area.provider, None if entry is None else entry.etag
    limit, policy = resources.limits.requests(provider), resources.policy
    held = limit if is_part else None
    reader = ResumedReader(provider, key, start, end, etag, held, policy, Attempts(), entry, is_part=is_part)
    # Else a place is held while bytes are waited for, not while the caller uses them: it may wait for another request.
    with translated(provider):
        await (reader.open() if limit is None or is_part else limit.run(reader.open, kind="read"))
    return reader, limit


async def fill(
    memory: memoryview,
    reader: Reader,
    limit: AdaptiveLimit | None,
    run: Run,
    *,
    sums: bool,
    is_part: bool = False,
) -> tuple[int, int]:
    """Fills memory with the next bytes of a read.

    Args:
        memory: for all bytes that are wanted.
        reader, limit: the open read, and the limit within which its bytes are waited for.
        run: executes blocking calls in a thread.
        sums: whether the bytes are summed.
        is_part: as of `open_reader`.

    Returns:
        How many bytes there were, fewer than fit only where the read ended, and their CRC32C, or 0.

    Raises:
        StorageError: it broke off.
    """
    filled = crc = 0

    def take(piece: memoryview) -> None:
        nonlocal crc, filled
        piece = piece[: len(view) - filled]  # the read may have more
        crc = crc32c(piece, crc) if sums else 0
        view[filled : filled + len(piece)] = piece
        filled += len(piece)

    with memoryview(memory) as view:  # `WritableBytes` would copy what there still is a view of
        block = memoryview(bytearray(_BLOCK)) if limit is not None and len(view) >= _LARGE else None
        while filled < len(view):
            if block is not None:
                receive = partial(reader.stream_to, block, take, run)
            else:
                receive = partial(reader.readinto, view[filled:])
            got = await (receive() if limit is None or is_part else limit.run(receive, kind="bytes"))
            if not got:
                break
            if block is None:
                crc = crc32c(view[filled : filled + got], crc) if sums else 0
                filled += got
    return filled, crc
