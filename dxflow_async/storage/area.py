"""Where the account's remote paths lie: which provider, and below which prefix of its keys."""

from __future__ import annotations

from dataclasses import dataclass

from dxflow_async.checksum import label
from dxflow_async.models import Item
from dxflow_async.paths import key_of
from dxflow_async.providers.contract import Entry, Provider
from dxflow_async.transfer.context import Place

__all__ = ["Area"]


@dataclass(frozen=True, slots=True)
class Area:
    """One storage area of the account.

    Attributes:
        name: the provider's name as users write it, also where a local directory stands in for it.
        provider: where the bytes are.
        prefix: of all keys in the area, ending in a slash, or empty.
        public: whether objects are to be publicly readable.
        location: what locations in it start with, by default `aws:/` of the name `AWS`.
    """

    name: str
    provider: Provider
    prefix: str = ""
    public: bool = False
    location: str = ""

    @property
    def where(self) -> str:
        """Which storage it is: the service's address, a directory of this machine, or a unit; and the prefix there."""
        disk = self.provider.local_disk
        root = disk.root if disk is not None else self.provider.features.endpoint
        return self.location or f"{self.name} at {root}, below /{self.prefix}"

    def key(self, path: str) -> str:
        """The provider's key of a remote path."""
        return self.prefix + key_of(path)

    def path(self, key: str) -> str:
        """The remote path of a key."""
        return f"/{key[len(self.prefix) :]}"

    def shown(self, path: str) -> str:
        """A remote path with its provider, as results show it."""
        return (self.location or f"{self.name.lower()}:/") + key_of(path)

    def path_shown(self, shown: str) -> str:
        """The remote path of what `shown` gave."""
        return f"/{shown[len(self.shown('')) :]}"

    def place(self, path: str) -> Place:
        """A remote path as one end of a transfer."""
        return Place(self.provider, self.key(path), self.shown(path))

    def item(self, entry: Entry) -> Item:
        """An entry of the provider as users see it."""
        path = self.path(entry.key)
        return Item(
            path.rstrip("/").rpartition("/")[2],
            path,
            entry.directory,
            entry.size,
            entry.modified,
            entry.etag,
            label(entry.crc32c),
            entry.content_type,
            entry.metadata,
        )
