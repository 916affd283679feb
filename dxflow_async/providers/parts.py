"""The parts that large objects are moved in, and what a provider says of those it took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Part", "PartReceipt"]


class Part(NamedTuple):
    """The bytes `[offset, offset + size)` of an object; numbers count from 1."""

    number: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class PartReceipt:
    """What the provider said of a part it took.

    `crc32c` is of the bytes as they were handed over; `verified` says that the provider compared it.
    """

    part: Part
    etag: str | None = None
    crc32c: int | None = None
    verified: bool = False
