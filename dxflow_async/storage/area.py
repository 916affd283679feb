"""Storage areas: a remote with a prefix, or the volume of a compute unit."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dxflow_async.checksum import label
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.location_path import LocationPath
from dxflow_async.models import Item
from dxflow_async.paths import check_is_path, key_of, parse_location
from dxflow_async.transfer.context import Place
from dxflow_async.transfer.journal.records import AreaId

if TYPE_CHECKING:
    from dxflow_async.providers.contract import Entry, Provider

__all__ = ["Area", "LocalArea", "URLArea", "UnitArea"]

_VOLUME = "volume"
"""The directory in which a unit mounts its volume; paths may start with it or not."""


@dataclass(frozen=True, slots=True)
class Area:
    """A remote with a prefix: the place where remote paths lie.

    Attributes:
        name: the remote's name in capitals, also where a local directory stands in for it.
        provider: the provider that holds the bytes.
        prefix: the prefix of all keys in the area; it ends in a slash, or is empty.
        public: whether new objects are publicly readable.
        location: the beginning of all locations in the area; by default `aws:/` for the name `AWS`.
        storage_type: `"private"` or `"public"`.
        notice: says which service it is, if only the configuration of a cloud's SDK does.
    """

    name: str
    provider: Provider
    prefix: str = ""
    public: bool = False
    location: str = ""
    storage_type: str = "private"
    notice: str | None = None

    @property
    def id(self) -> AreaId:
        """The identity of the area, for job files."""
        return AreaId(self.shown(""), self.storage_type, self.where)

    @property
    def cache_key(self) -> tuple[str, str]:
        """The name and the storage type, by which listings are cached."""
        return self.name, self.storage_type

    @property
    def where(self) -> str:
        """The service's address, a directory of this machine, or a unit; and the prefix there."""
        disk = self.provider.local_disk
        root = disk.root if disk is not None else self.provider.features.endpoint
        return self.location or f"{self.name} at {root}, below /{self.prefix}"

    def key(self, path: str) -> str:
        """Returns the provider's key of a remote path."""
        return self.prefix + key_of(check_is_path(path))

    def path(self, key: str) -> str:
        """Returns the remote path of a provider's key."""
        return f"/{key[len(self.prefix) :]}"

    def shown(self, path: str) -> str:
        """Returns a remote path as a location, as results show it."""
        return (self.location or f"{self.name.lower()}:/") + key_of(path)

    def path_shown(self, shown: str) -> str:
        """Returns the remote path of a location that `shown` returned."""
        return f"/{shown[len(self.shown('')) :]}"

    def path_of(self, written: str | os.PathLike[str]) -> str:
        """Returns the remote path that a caller wrote: a text as it is, or a path of this area.

        Raises:
            ConfigurationError: the path lies elsewhere.
        """
        if not isinstance(written, LocationPath):
            return os.fspath(written)
        shown = str(parse_location(written.text, (self.name.lower(),))) if not written.is_local else written.text
        if not f"{shown}/".startswith(self.shown("")):
            raise ConfigurationError(f"{written!r} does not lie in {self.shown('')}; use the session's copy or move")
        return self.path_shown(shown)

    def place(self, written: str | os.PathLike[str]) -> Place:
        """Returns the place of a remote path. Raises as `path_of`."""
        path = self.path_of(written)
        return Place(self.provider, self.key(path), self.shown(path))

    def item(self, entry: Entry) -> Item:
        """Returns an entry of the provider as users see it."""
        path = self.path(entry.key)
        crc32c = entry.crc32c
        return Item(
            path[path.rfind("/") + 1 :] or path.rstrip("/").rpartition("/")[2],
            path,
            entry.directory,
            entry.size,
            entry.modified,
            entry.etag,
            None if crc32c is None else label(crc32c),
            entry.content_type,
            entry.metadata,
            entry.version,
            entry.latest,
            entry.unreadable,
        )


@dataclass(frozen=True, slots=True, weakref_slot=True)
class URLArea(Area):
    """A place that is known by its URL only.

    Attributes:
        url: a URL there, with `***` for its secrets; from it a later process finds the place again.
    """

    url: str = ""

    @property
    def id(self) -> AreaId:
        """The identity of the area, for job files."""
        return AreaId(self.url, self.storage_type, self.where)

    @property
    def cache_key(self) -> tuple[str, str]:
        """The beginning of all locations in the area, and the storage type."""
        return self.location, self.storage_type


@dataclass(frozen=True, slots=True)
class UnitArea(Area):
    """The volume of a compute unit.

    `/volume/results/x` and `/results/x` are the same file. A directory that is really called `volume` is
    `/volume/volume/`.
    """

    def key(self, path: str) -> str:
        """Returns the provider's key of a path on the unit."""
        key = key_of(check_is_path(path))
        first, _, rest = key.partition("/")
        return key_of(rest) if first == _VOLUME else key

    def path(self, key: str) -> str:
        """Returns the path on the unit of a provider's key."""
        return f"/{_VOLUME}/{key}" if key.partition("/")[0] == _VOLUME else f"/{key}"


@dataclass(frozen=True, slots=True)
class LocalArea(Area):
    """This machine's disks. Paths are absolute, and symbolic links are followed."""

    def shown(self, path: str) -> str:
        """Returns a local path as a location: the path itself."""
        return f"/{key_of(path)}"
