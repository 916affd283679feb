"""How an object is cut into parts: pure arithmetic, all sizes in bytes."""

from __future__ import annotations

from collections.abc import Iterator

from dxflow_async.exceptions import UnsupportedError
from dxflow_async.providers.contract import Features, Part

__all__ = ["part_size_for", "split"]

_MiB = 1 << 20


def part_size_for(size: int, wanted: int, features: Features) -> int:
    """The size of an object's parts: `wanted`, or as much more as the provider's limits demand, in whole MiB.

    Raises:
        UnsupportedError: no part size makes an object of that size.

    Example:
        >>> part_size_for(100 << 30, 8 << 20, Features(max_parts=10_000)) >> 20
        11
    """
    needed = -(-size // features.max_parts)
    part_size = max(wanted, features.min_part_size, -(-needed // _MiB) * _MiB)
    if size > features.max_size or part_size > features.max_part_size:
        raise UnsupportedError(
            f"an object of {size} bytes is too large: the limits are {features.max_size} bytes, and "
            f"{features.max_parts} parts of {features.max_part_size} bytes; store it in several objects"
        )
    return part_size


def split(size: int, part_size: int) -> Iterator[Part]:
    """The parts of an object, in order; an empty object has one empty part.

    Example:
        >>> [part.size for part in split(20, 8)]
        [8, 8, 4]
    """
    yield Part(1, 0, min(size, part_size))
    for number, offset in enumerate(range(part_size, size, part_size), 2):
        yield Part(number, offset, min(part_size, size - offset))
