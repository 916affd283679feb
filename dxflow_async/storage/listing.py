"""The listing cache: directories as they were last listed, updated by everything that the session itself does."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from time import time

from dxflow_async.models import Item, TransferReport
from dxflow_async.paths import key_of, parent_of
from dxflow_async.storage.area import Area

__all__ = ["AreaKey", "ListingCache", "directory_path"]

AreaKey = tuple[str, str]
"""A remote's name and a storage type."""


class ListingCache:
    """Listings by area and directory path. A directory path starts and ends in a slash.

    Args:
        max_items: the limit of items over all listings. The least recently used listings are dropped first.
    """

    def __init__(self, max_items: int) -> None:
        self._max_items = max_items
        self._listings: OrderedDict[tuple[AreaKey, str], dict[str, Item]] = OrderedDict()
        self._count = 0

    @property
    def empty(self) -> bool:
        """Whether the cache has no listing."""
        return not self._listings

    def put(self, area: AreaKey, path: str, items: Iterable[Item]) -> None:
        """Stores the listing of a directory."""
        self.drop(area, path)
        # By path: an object and a directory may have one name.
        listing = {item.path: item for item in items}
        self._listings[area, path] = listing
        self._count += len(listing)
        self._shrink()

    def get(self, area: AreaKey, path: str) -> list[Item] | None:
        """Returns the listing of a directory; None when it was never listed, or dropped since."""
        listing = self._listings.get((area, path))
        if listing is None:
            return None
        self._listings.move_to_end((area, path))
        return list(listing.values())

    def drop(self, area: AreaKey, path: str) -> None:
        """Drops one listing."""
        listing = self._listings.pop((area, path), None)
        self._count -= len(listing or ())

    def drop_below(self, area: AreaKey, path: str) -> None:
        """Drops the listings of a directory and of all directories below it."""
        for key in [key for key in self._listings if key[0] == area and key[1].startswith(path)]:
            self.drop(*key)

    def added(self, area: AreaKey, item: Item) -> None:
        """Adds a new item to its directory's listing, and its directories to those above, where these are cached."""
        while item.path != "/":
            parent = parent_of(item.path)
            listing = self._listings.get((area, parent))
            if listing is not None:
                known = listing.get(item.path)
                if known is not None and item.directory:
                    break
                self._count += known is None
                listing[item.path] = item
            item = Item(parent.rstrip("/").rpartition("/")[2], parent, directory=True)
        self._shrink()

    def removed(self, area: AreaKey, path: str) -> None:
        """Removes a deleted object, or (with a trailing slash) a deleted directory and everything in it."""
        if path.endswith("/"):
            self.drop_below(area, path)
        parent = parent_of(path)
        listing = self._listings.get((area, parent))
        if listing is not None and listing.pop(path, None) is not None:
            self._count -= 1

    def doubted(self, area: AreaKey, path: str) -> None:
        """Drops every listing that says whether a path exists, because nobody knows any more."""
        self.drop(area, parent_of(path))
        self.drop_below(area, f"{path.rstrip('/')}/")

    def note_stored(self, area: Area, report: TransferReport) -> None:
        """Adds the items that a transfer stored in an area, and removes those that it deleted there."""
        if self.empty:
            return
        now, key = time(), area.cache_key
        for result in report:
            if result.error is None and result.skipped is None:
                path = area.path_shown(result.destination)
                if result.deleted:
                    self.removed(key, path)
                    continue
                if path.endswith("/") and result.source.endswith("/"):
                    self.drop_below(key, path)  # a renamed directory replaces what the listings say
                name = path.rstrip("/").rpartition("/")[2]
                item = Item(name, path, path.endswith("/"), result.bytes, now, checksum=result.checksum)
                self.added(key, item)

    def note_moved(self, area: Area, source: str, report: TransferReport) -> None:
        """Removes the items that a transfer moved away from the path `source` of an area."""
        key = area.cache_key
        for result in report:
            if result.skipped is None:
                self.removed(key, area.path_shown(result.source))
        if all(result.source != area.shown(source) for result in report):
            self.removed(key, directory_path(source))

    def _shrink(self) -> None:
        while self._count > self._max_items and self._listings:
            _, oldest = self._listings.popitem(last=False)
            self._count -= len(oldest)


def directory_path(path: str) -> str:
    """Returns a remote path with one slash at either end.

    Example:
        >>> directory_path("bucket/data"), directory_path("/")
        ('/bucket/data/', '/')
    """
    key = key_of(path).rstrip("/")
    return f"/{key}/" if key else "/"
