"""Compares two entries of one name. Pure rules; they also say what has to be looked up first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers.common.mtime import changed_at, kept_with
from dxflow_async.providers.contract import Entry, Features

__all__ = ["TOLERANCE", "Compare", "Comparison", "Seen"]

Compare = Literal["size+mtime", "checksum", "size"]

TOLERANCE = 1e-5
"""Seconds by which two times of one file may differ. Times are kept to the microsecond, and a float is off by up to a
quarter of one; disks that keep whole microseconds cut off up to one more. Two changes of a file are further apart.
"""

CLOSE = 2.0
"""Seconds within which one of two times may be a rounded one. FAT keeps every other second, HTTP and many disks whole
ones, and the clocks of two machines differ. Times this close decide nothing, and the bytes are compared.
"""


@dataclass(slots=True)
class Seen:
    """One side of a pair.

    Attributes:
        features: of the side's provider.
        listed: the entry as the listing described it.
        stat: the entry as `stat` described it, once it was asked.
        crc32c: the checksum of the bytes, once it is known.
    """

    features: Features
    listed: Entry
    stat: Entry | None = None
    crc32c: int | None = None

    def __post_init__(self) -> None:
        self.crc32c = self.listed.crc32c

    def looked_up(self, entry: Entry) -> None:
        """Takes the answer of `stat`."""
        self.stat = entry
        self.crc32c = entry.crc32c

    @property
    def size(self) -> int:
        """The size in bytes."""
        return (self.stat or self.listed).size

    @property
    def timed(self) -> bool:
        """Whether everything that can be known of its time is known."""
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
        """When it was stored, by its provider's clock; 0.0 if that is not known. A listing may tell it more exactly."""
        return max(self.listed.modified, self.stat.modified if self.stat is not None else 0.0)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the two sides of a pair are compared.

    `"size"` compares sizes only. `"size+mtime"` also compares the times at which the sources were changed, which are
    kept with each object. Where both checksums are known at no cost, they decide instead. Where no time is kept with
    the
    destination, its age decides: it is unchanged if it was stored after the source was changed. `"checksum"` compares
    CRC32Cs: the stored ones, or else those of the bytes, which are read.

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
        """Returns why the source has to be copied; None if, as far as is known, both sides are the same."""
        if source.size != destination.size:
            return "size differs"
        if self.by == "size":
            return None
        if None not in (source.crc32c, destination.crc32c):
            return None if source.crc32c == destination.crc32c else "checksum differs"
        return "checksum not known" if self.by == "checksum" else _time_difference(source, destination)

    def by_age(self, source: Seen, destination: Seen) -> bool:
        """Returns whether age decides, for two entries of one size of which everything is known."""
        return self.by == "size+mtime" and None in (source.crc32c, destination.crc32c) and destination.kept is None

    def is_close(self, source: Seen, destination: Seen) -> bool:
        """Returns whether times do not decide, for two entries of one size: one may be rounded, or is not known."""
        if self.by != "size+mtime" or None not in (source.crc32c, destination.crc32c):
            return False
        time, kept = source.time, destination.kept
        if time is None or (kept is None and not destination.stored):
            return True
        if kept is None:
            return 0 < time - destination.stored <= CLOSE
        return TOLERANCE < abs(time - kept) <= CLOSE and (kept.is_integer() or time.is_integer())

    def decided(self, source: Seen, destination: Seen) -> bool:
        """Returns whether everything is known that `difference` needs."""
        if self.by == "size" or source.size != destination.size:
            return True
        if None not in (source.crc32c, destination.crc32c):
            return True
        return self.by == "size+mtime" and source.timed and destination.timed


def _time_difference(source: Seen, destination: Seen) -> str | None:
    if source.time is not None and destination.kept is not None:
        here, there = source.features.mtime_resolution, destination.features.mtime_resolution
        time, kept = source.time, destination.kept
        # Either place may have cut the time that it got from the other one.
        pairs = (time, kept), (_cut(time, there), kept), (time, _cut(kept, here))
        is_same = any(abs(one - other) <= TOLERANCE for one, other in pairs)
        return None if is_same else "time differs"
    if source.time is None or not destination.stored:
        return "time not known"
    return None if source.time <= destination.stored else "the source is newer"


def _cut(seconds: float, step: float) -> float:
    return seconds // step * step if step else seconds
