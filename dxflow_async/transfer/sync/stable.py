"""Which entries of a source have not changed for a time: those that two listings show alike.

The results of a workflow grow while it runs, and few places tell when a file is complete. The first listing is kept as
a number of eight bytes for each entry, so a million of them take eight megabytes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from hashlib import blake2b

from dxflow_async.providers.contract import Entry

__all__ = ["StableEntries"]


class StableEntries:
    """The entries of an earlier listing.

    Example:
        >>> stable = StableEntries()
        >>> stable.add([Entry("a", size=1), Entry("b", size=1)])
        >>> stable.admits(Entry("a", size=1)), stable.admits(Entry("b", size=2)), stable.admits(Entry("c", size=1))
        (True, False, False)
    """

    def __init__(self) -> None:
        self._seen = array("Q")
        self._sorted = False

    async def add_all(self, pages: AsyncIterator[Sequence[Entry]]) -> None:
        """Adds a whole listing."""
        async for page in pages:
            self.add(page)

    def add(self, entries: Sequence[Entry]) -> None:
        """Adds entries of the listing."""
        self._seen.extend(map(_number, entries))
        self._sorted = False

    def admits(self, entry: Entry) -> bool:
        """Returns whether an entry is as it was. Directories and what cannot be read are always admitted."""
        if entry.directory or entry.unreadable is not None:
            return True
        if not self._sorted:
            self._seen = array("Q", sorted(self._seen))
            self._sorted = True
        number = _number(entry)
        place = bisect_left(self._seen, number)
        return place < len(self._seen) and self._seen[place] == number


def _number(entry: Entry) -> int:
    """Returns a number for a version of an entry; another version has another one, but for one in 2**64."""
    text = f"{entry.size} {entry.modified!r} {entry.mtime!r} {entry.etag} {entry.key}"
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
