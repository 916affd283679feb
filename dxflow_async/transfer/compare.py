"""Whether two entries of one name are the same: pure rules, and what has to be looked up for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers.base import Entry, Features
from dxflow_async.providers.mtime import changed_at

__all__ = ["TOLERANCE", "Compare", "Comparison", "Seen"]

Compare = Literal["size+mtime", "checksum", "size"]

TOLERANCE = 1e-5
"""Seconds by which two times of one file may differ: kept to the microsecond, and a float holds a quarter of one;
disks that keep whole microseconds cut off up to one more. Two changes of a file are further apart than ten."""


@dataclass(slots=True)
class Seen:
    """One side of a pair.

    Attributes:
        features: of its provider.
        listed: what the listing said.
        stat: what `stat` said, where it was asked.
        crc32c: of its bytes, where it is known.
    """

    features: Features
    listed: Entry
    stat: Entry | None = None
    crc32c: int | None = None

    def __post_init__(self) -> None:
        self.crc32c = self.listed.crc32c

    def looked_up(self, entry: Entry) -> None:
        """`stat` was asked."""
        self.stat = entry
        self.crc32c = entry.crc32c

    @property
    def size(self) -> int:
        """Bytes."""
        return (self.stat or self.listed).size

    @property
    def timed(self) -> bool:
        """Whether all is known of its time that can be."""
        return self.stat is not None or not self.features.mtime or self.features.mtime_listed

    @property
    def time(self) -> float | None:
        """When its source was changed."""
        return changed_at(self.features, self.listed, self.stat)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the two sides of a pair are compared.

    `"size"` looks at sizes only. `"size+mtime"` also at the time the source was changed, which is kept with each
    object; where a checksum of both sides costs nothing, that decides instead. `"checksum"` compares CRC32C: the one
    that is stored with an object, else that of the bytes, which are read for it.

    Raises:
        ConfigurationError: there is no such comparison.
    """

    by: Compare

    def __post_init__(self) -> None:
        if self.by not in get_args(Compare):
            raise ConfigurationError(
                f"compare = {self.by!r} is not allowed; it must be one of {', '.join(get_args(Compare))}"
            )

    def difference(self, source: Seen, destination: Seen) -> str | None:
        """Why the source is to be copied; None when it is the same, as far as is known."""
        if source.size != destination.size:
            return "size differs"
        if self.by == "size":
            return None
        if None not in (source.crc32c, destination.crc32c):
            return None if source.crc32c == destination.crc32c else "checksum differs"
        if self.by == "checksum":
            return "checksum not known"
        if source.time is None or destination.time is None:
            return "time not known"
        return None if abs(source.time - destination.time) <= TOLERANCE else "time differs"

    def decided(self, source: Seen, destination: Seen) -> bool:
        """Whether all is known that `difference` needs."""
        if self.by == "size" or source.size != destination.size:
            return True
        if None not in (source.crc32c, destination.crc32c):
            return True
        return self.by == "size+mtime" and source.timed and destination.timed
