"""Whether two entries of one name are the same: pure rules, and what has to be looked up for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers.common.mtime import changed_at, kept_with
from dxflow_async.providers.contract import Entry, Features

__all__ = ["TOLERANCE", "Compare", "Comparison", "Seen"]

Compare = Literal["size+mtime", "checksum", "size"]

TOLERANCE = 1e-5
"""Seconds by which two times of one file may differ: kept to the microsecond, and a float holds a quarter of one;
disks that keep whole microseconds cut off up to one more. Two changes of a file are further apart than ten."""

CLOSE = 2.0
"""Seconds within which a time may be a rounded one: FAT keeps every other second, HTTP and many disks whole ones, and
the clocks of two machines differ. Times so close decide nothing, and the bytes are compared."""


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

    @property
    def kept(self) -> float | None:
        """The time of its source that is kept with it."""
        return kept_with(self.features, self.listed, self.stat)

    @property
    def stored(self) -> float:
        """When it was stored, by the clock of its provider; 0.0: not told. A listing may tell it more exactly."""
        return max(self.listed.modified, self.stat.modified if self.stat is not None else 0.0)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the two sides of a pair are compared.

    `"size"` looks at sizes only. `"size+mtime"` also at the time the source was changed, which is kept with each
    object; where a checksum of both sides costs nothing, that decides instead. With an object that no time is kept
    with, age decides: it is the same when it was not stored before the source was changed. `"checksum"` compares
    CRC32C: the one that is stored with an object, else that of the bytes, which are read for it.

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
        return "checksum not known" if self.by == "checksum" else _time_difference(source, destination)

    def by_age(self, source: Seen, destination: Seen) -> bool:
        """Whether age decides, of two of one size of which all is known that can be."""
        return self.by == "size+mtime" and None in (source.crc32c, destination.crc32c) and destination.kept is None

    def is_close(self, source: Seen, destination: Seen) -> bool:
        """Whether times do not decide, of two of one size: one is a rounded one, perhaps, or not known."""
        if self.by != "size+mtime" or None not in (source.crc32c, destination.crc32c):
            return False
        time, kept = source.time, destination.kept
        if time is None or (kept is None and not destination.stored):
            return True
        if kept is None:
            return 0 < time - destination.stored <= CLOSE
        return TOLERANCE < abs(time - kept) <= CLOSE and kept.is_integer()

    def decided(self, source: Seen, destination: Seen) -> bool:
        """Whether all is known that `difference` needs."""
        if self.by == "size" or source.size != destination.size:
            return True
        if None not in (source.crc32c, destination.crc32c):
            return True
        return self.by == "size+mtime" and source.timed and destination.timed


def _time_difference(source: Seen, destination: Seen) -> str | None:
    if source.time is not None and destination.kept is not None:
        return None if abs(source.time - destination.kept) <= TOLERANCE else "time differs"
    if source.time is None or not destination.stored:
        return "time not known"
    return None if source.time <= destination.stored else "the source is newer"
