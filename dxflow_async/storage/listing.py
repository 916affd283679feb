"""The listing cache: directories as they were last listed, kept true through what the session itself does."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from dxflow_async.models import Item
from dxflow_async.paths import parent_of

__all__ = ["ListingCache"]

Area = tuple[str, str]
"""A provider's name and a storage type."""


class ListingCache:
    """Listings by area and directory path (which starts and ends in a slash).

    Args:
        max_items: over all listings; those used longest ago go first.
    """

    def __init__(self, max_items: int) -> None:
        self._max_items = max_items
        self._listings: OrderedDict[tuple[Area, str], dict[str, Item]] = OrderedDict()
        self._count = 0

    @property
    def empty(self) -> bool:
        """Whether nothing was listed yet."""
        return not self._listings

    def put(self, area: Area, path: str, items: Iterable[Item]) -> None:
        """A directory was listed."""
        self.drop(area, path)
        listing = {item.name: item for item in items}
        self._listings[area, path] = listing
        self._count += len(listing)
        while self._count > self._max_items and self._listings:
            _, oldest = self._listings.popitem(last=False)
            self._count -= len(oldest)

    def get(self, area: Area, path: str) -> list[Item] | None:
        """What a directory held; None when it was not listed, or too long ago."""
        listing = self._listings.get((area, path))
        if listing is None:
            return None
        self._listings.move_to_end((area, path))
        return list(listing.values())

    def drop(self, area: Area, path: str) -> None:
        """Forgets one listing."""
        listing = self._listings.pop((area, path), None)
        self._count -= len(listing or ())

    def drop_below(self, area: Area, path: str) -> None:
        """Forgets a directory and all below it."""
        for key in [key for key in self._listings if key[0] == area and key[1].startswith(path)]:
            self.drop(*key)

    def added(self, area: Area, item: Item) -> None:
        """Something was stored; directories above it that are listed now have it, or the directory it is in."""
        while item.path != "/":
            parent = parent_of(item.path)
            listing = self._listings.get((area, parent))
            if listing is not None:
                known = listing.get(item.name)
                if known is not None and known.directory and item.directory:
                    return
                self._count += known is None
                listing[item.name] = item
            item = Item(parent.rstrip("/").rpartition("/")[2], parent, directory=True)

    def removed(self, area: Area, path: str) -> None:
        """Something was deleted: an object, or (with a trailing slash) a directory and all in it."""
        if path.endswith("/"):
            self.drop_below(area, path)
        parent = parent_of(path)
        listing = self._listings.get((area, parent))
        if listing is not None and listing.pop(path.rstrip("/").rpartition("/")[2], None) is not None:
            self._count -= 1
