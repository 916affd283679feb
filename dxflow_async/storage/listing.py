"""The listing cache: directories as they were last listed, kept true through what the session itself does."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from time import time

from dxflow_async.models import Item, TransferReport
from dxflow_async.paths import key_of, parent_of
from dxflow_async.storage.area import Area

__all__ = ["ListingCache", "directory_path", "note_moved", "note_stored"]

AreaId = tuple[str, str]
"""A provider's name and a storage type."""


class ListingCache:
    """Listings by area and directory path (which starts and ends in a slash).

    Args:
        max_items: over all listings; those used longest ago go first.
    """

    def __init__(self, max_items: int) -> None:
        self._max_items = max_items
        self._listings: OrderedDict[tuple[AreaId, str], dict[str, Item]] = OrderedDict()
        self._count = 0

    @property
    def empty(self) -> bool:
        """Whether nothing was listed yet."""
        return not self._listings

    def put(self, area: AreaId, path: str, items: Iterable[Item]) -> None:
        """A directory was listed."""
        self.drop(area, path)
        # By path: an object and a directory may have one name.
        listing = {item.path: item for item in items}
        self._listings[area, path] = listing
        self._count += len(listing)
        self._shrink()

    def get(self, area: AreaId, path: str) -> list[Item] | None:
        """What a directory held; None when it was not listed, or too long ago."""
        listing = self._listings.get((area, path))
        if listing is None:
            return None
        self._listings.move_to_end((area, path))
        return list(listing.values())

    def drop(self, area: AreaId, path: str) -> None:
        """Forgets one listing."""
        listing = self._listings.pop((area, path), None)
        self._count -= len(listing or ())

    def drop_below(self, area: AreaId, path: str) -> None:
        """Forgets a directory and all below it."""
        for key in [key for key in self._listings if key[0] == area and key[1].startswith(path)]:
            self.drop(*key)

    def added(self, area: AreaId, item: Item) -> None:
        """Something was stored; directories above it that are listed now have it, or the directory it is in."""
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

    def removed(self, area: AreaId, path: str) -> None:
        """Something was deleted: an object, or (with a trailing slash) a directory and all in it."""
        if path.endswith("/"):
            self.drop_below(area, path)
        parent = parent_of(path)
        listing = self._listings.get((area, parent))
        if listing is not None and listing.pop(path, None) is not None:
            self._count -= 1

    def doubted(self, area: AreaId, path: str) -> None:
        """Whether something is there is not known any more: forgets what says so."""
        self.drop(area, parent_of(path))
        self.drop_below(area, f"{path.rstrip('/')}/")

    def _shrink(self) -> None:
        while self._count > self._max_items and self._listings:
            _, oldest = self._listings.popitem(last=False)
            self._count -= len(oldest)


def directory_path(path: str) -> str:
    """A remote path with one slash at either end."""
    key = key_of(path).rstrip("/")
    return f"/{key}/" if key else "/"


def note_stored(cache: ListingCache, where: Area, storage_type: str, report: TransferReport) -> None:
    """What a transfer has stored is there now, and what it has deleted is not; a renamed directory is another one."""
    if cache.empty:
        return
    now = time()
    area = (where.name, storage_type)
    for result in report:
        if result.error is None and result.skipped is None:
            path = where.path_shown(result.destination)
            if result.deleted:
                cache.removed(area, path)
                continue
            if path.endswith("/") and result.source.endswith("/"):
                cache.drop_below(area, path)
            name = path.rstrip("/").rpartition("/")[2]
            item = Item(name, path, path.endswith("/"), result.bytes, now, checksum=result.checksum)
            cache.added(area, item)


def note_moved(cache: ListingCache, where: Area, storage_type: str, source: str, report: TransferReport) -> None:
    """What was moved away is not there any more."""
    area = (where.name, storage_type)
    for result in report:
        if result.skipped is None:
            cache.removed(area, where.path_shown(result.source))
    if all(result.source != where.shown(source) for result in report):
        cache.removed(area, directory_path(source))
