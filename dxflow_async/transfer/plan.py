"""How an object is cut into parts. Pure arithmetic; all sizes are in bytes."""

from __future__ import annotations

from collections.abc import Iterator

from dxflow_async.exceptions import UnsupportedError
from dxflow_async.providers.contract import Features, Part

__all__ = [
    "PartPolicy",
    "fits",
    "largest_write",
    "part_size_advice",
    "part_size_at",
    "part_size_for",
    "split",
    "stream_part_size",
]

_MiB = 1 << 20

_STREAM_SIZE = 2 << 20
"""Memory that one streamed part takes."""

_STREAMED_PARTS = 32
"""Parts that an object is cut into, at least, when its parts are streamed: enough to keep many connections busy."""

_PARTS_TO_DISK = 64
"""The same on the way to a disk. Services cap each connection, at 20 MB/s and more, so a part must not take long."""

_LARGEST_STREAMED = 4
"""A streamed part is at most this many times the configured size."""

_SMALL_WHOLE = 2
_LARGE_WHOLE = 8
"""An object of up to this many times the part size moves as one part: the second number holds among many items."""

_MANY_ITEMS = 100
"""With this many items left, every connection is busy anyway, and cutting an object of middle size gains nothing."""

_PARTS_PER_SIZE = 1000

_LONG_STREAM = 256 << 30
"""Bytes of a stream that fit into parts of one size, memory permitting: 10,000 parts of 27 MiB."""


class PartPolicy:
    """Decides how an object becomes parts, from what both sides can do.

    Args:
        source, destination: the features of both providers.
        part_size: the configured part size.

    Attributes:
        streams_parts: a part of an upload is read once, while it is sent; its CRC32C is known afterwards.
        to_disk: bytes go to a local disk as they arrive, and are never held in memory.
        buffers: the CRC32C of a body must be known before the body is sent.
        in_memory: all bytes of a body are held in memory for that.
        unit_size: the part size that all other sizes are multiples of.
    """

    __slots__ = (
        "_destination",
        "_part_size",
        "_source",
        "_whole",
        "_whole_among_many",
        "buffers",
        "in_memory",
        "streams_parts",
        "to_disk",
        "unit_size",
    )

    def __init__(self, source: Features, destination: Features, part_size: int) -> None:
        self._source = source
        self._destination = destination
        self._part_size = part_size
        self.buffers = destination.checksum_first
        self.in_memory = self.buffers and not source.cheap_reread
        self.streams_parts = destination.streams_parts and source.cheap_reread
        self.to_disk = destination.endpoint is None and not self.buffers
        costly = destination.parts_are_objects and self.streams_parts
        self.unit_size = part_size * (_LARGEST_STREAMED if costly else 1)
        self._whole = self._whole_among_many = largest_write(destination)
        if self.buffers or not destination.streams_whole:
            largest = self._whole
            self._whole = min(self.unit_size * _SMALL_WHOLE, largest)
            self._whole_among_many = min(self.unit_size * (_LARGE_WHOLE if self.to_disk else _SMALL_WHOLE), largest)

    def largest_whole(self, items_left: int) -> int:
        """Returns the size up to which an object moves as one part.

        Args:
            items_left: how many items of the call have not ended.
        """
        return self._whole_among_many if items_left >= _MANY_ITEMS else self._whole

    def wanted_size(self, size: int) -> int:
        """Returns the part size for an object of `size` bytes, before the destination's limits are applied.

        A source that cannot read ranges sends everything before a range too, so its objects stay in one part. Streamed
        parts take no more memory when they are larger, and fewer parts cost fewer requests.
        """
        if not self._source.ranges and not self.buffers:
            return min(size, self._destination.max_part_size)
        if self.streams_parts or self.to_disk:
            largest = _LARGEST_STREAMED * self._part_size
            parts = _PARTS_TO_DISK if self.to_disk else _STREAMED_PARTS
            return max(self.unit_size, min(size // parts, largest) // _MiB * _MiB)
        return self.unit_size

    def memory_for(self, size: int) -> int:
        """Returns how much of the memory budget a part of `size` bytes takes while it moves."""
        if self.in_memory:
            return size
        streamed = min(_STREAM_SIZE, size)
        buffered = self._destination.buffered_size
        return streamed + (min(buffered, size))

    @staticmethod
    def stream_memory(size: int) -> int:
        """Returns how much memory `size` bytes take that are streamed, however the part is sent."""
        return min(size, _STREAM_SIZE)


def largest_write(features: Features) -> int:
    """Returns the size of the largest object that one `Provider.write` stores."""
    limit = features.max_size if features.streams_whole else features.max_part_size
    return limit if features.max_write_size is None else min(limit, features.max_write_size)


def part_size_for(size: int, wanted: int, features: Features) -> int:
    """Returns the part size for an object: `wanted`, or more in whole MiB where the provider's limits require it.

    Args:
        size: the size of the object.
        wanted: the part size to use if the limits allow it.
        features: the destination's limits.

    Raises:
        UnsupportedError: no part size makes an object of that size.

    Example:
        >>> part_size_for(100 << 30, 8 << 20, Features(max_parts=10_000)) >> 20
        11
    """
    needed = -(-size // features.max_parts)
    part_size = max(min(wanted, features.max_part_size), features.min_part_size, _in_whole_mib(needed))
    if size > features.max_size or part_size > features.max_part_size:
        raise UnsupportedError(
            f"an object of {size} bytes is too large: it takes a part_size of {needed}, and the limits are "
            f"{features.max_size} bytes in {features.max_parts} parts of up to {features.max_part_size} bytes; "
            "store it in several objects"
        )
    return part_size


def fits(size: int, part_size: int, features: Features) -> bool:
    """Returns whether parts of that size make an object of `size` bytes within the provider's limits."""
    return part_size <= features.max_part_size and -(-size // part_size) <= features.max_parts


def split(size: int, part_size: int) -> Iterator[Part]:
    """Yields the parts of an object in order. An empty object has one empty part.

    Example:
        >>> [part.size for part in split(20, 8)]
        [8, 8, 4]
    """
    yield Part(1, 0, min(size, part_size))
    for number, offset in enumerate(range(part_size, size, part_size), 2):
        yield Part(number, offset, min(part_size, size - offset))


def stream_part_size(number: int, part_size: int, largest: int, features: Features) -> int:
    """Returns the size of one part of a stream of unknown length.

    The sizes grow with the number, so that a long stream fits. Where the service may require parts of one size, they
    grow in the second half of the parts only: a stream of up to 41 GiB has small parts of one size, and one of up to
    318 GiB still fits (with the default settings). Where all parts must have one size, they are larger from the
    beginning: 27 MiB, so that 264 GiB fit. A larger `part_size` makes room for more.

    Args:
        number: the number of the part, from 1.
        part_size: the configured part size.
        largest: the size that no larger part exceeds, so that several parts fit into memory.
        features: the destination's limits.
    """
    if features.uniform_parts:
        size = max(part_size, min(_in_whole_mib(-(-_LONG_STREAM // features.max_parts)), largest))
    elif features.varied_parts_doubtful:
        later = max(number - features.max_parts // 2, 1)
        size = part_size_at(later, part_size, largest, max(features.max_parts // 40, 1))
    else:
        period = min(_PARTS_PER_SIZE, max(features.max_parts // 10, 1))
        size = part_size_at(number, part_size, largest, period)
    return min(size, features.max_part_size)


def part_size_at(number: int, first: int, largest: int, period: int = _PARTS_PER_SIZE) -> int:
    """Returns the size of one part of a stream whose parts may differ in size.

    By default, the size doubles every thousand parts, so that the ten thousand parts that S3 allows hold half a
    tebibyte.

    Args:
        number: the number of the part, from 1.
        first: the size of the first part.
        largest: the size that no later part exceeds.
        period: the number of parts after which the size doubles.

    Example:
        >>> part_size_at(1, 8 << 20, 64 << 20) >> 20, part_size_at(2500, 8 << 20, 64 << 20) >> 20
        (8, 32)
    """
    return min(max(first, largest), first << min((number - 1) // period, 20))


def part_size_advice(sent: int, features: Features) -> str:
    """Returns what to do about a stream that needs more parts than are allowed, after `sent` bytes of it."""
    wanted = min(_in_whole_mib(-(-2 * sent // features.max_parts)), features.max_part_size)
    return (
        f"set part_size to {wanted} or more (DXFLOW_PART_SIZE), and max_memory_bytes to at least twice as much, and "
        "send the stream again"
    )


def _in_whole_mib(size: int) -> int:
    return -(-size // _MiB) * _MiB
