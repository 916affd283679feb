"""Listings, lookups and links at every remote; the other part of `AsyncStorageManager`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from dxflow_async.concurrency.item_stream import AsyncItemStream
from dxflow_async.models import Item, ItemList
from dxflow_async.providers.contract import Encryption
from dxflow_async.storage.area_storage import AsyncAreaStorage
from dxflow_async.storage.listing import directory_path
from dxflow_async.storage.transfer_service import TransferService

__all__ = ["ManagerListing"]

# In the class below, `list` is a method.
Contents = list[dict[str, Any]]


class ManagerListing:
    """Listings, lookups and links at every remote; the base of `AsyncStorageManager`."""

    def __init__(self, transfers: TransferService) -> None:
        self._transfers = transfers
        self._resolver = transfers.resolver

    def at(self, provider: str = "AWS", *, storage_type: str = "private") -> AsyncAreaStorage:
        """Returns the storage of one remote, without connecting to it yet.

        Args:
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.

        Raises:
            ConfigurationError: there is no such remote or storage type.

        Example:
            >>> async def main() -> None:
            ...     async with AsyncSession() as session:
            ...         azure = session.get_storage_manager().at("azure")
            ...         await azure.download("/container/results/", "results/")
        """
        self._resolver.check_area(provider, storage_type)
        return self._at(provider, storage_type)

    # Listing

    async def list(
        self,
        provider: str = "AWS",
        path: str = "/",
        *,
        storage_type: str = "private",
        recursive: bool = False,
        versions: bool = False,
    ) -> ItemList:
        """Lists a directory, or the one object of that name. See `AsyncAreaStorage.list`."""
        return await self._at(provider, storage_type).list(path, recursive=recursive, versions=versions)

    def scan(
        self, provider: str = "AWS", path: str = "/", *, storage_type: str = "private", recursive: bool = True
    ) -> AsyncItemStream[Item]:
        """Yields the items below a directory. See `AsyncAreaStorage.scan`."""
        return self._at(provider, storage_type).scan(path, recursive=recursive)

    async def stat(
        self,
        path: str,
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        version: str | None = None,
        encryption: Encryption | None = None,
    ) -> Item:
        """Returns an object or a directory. See `AsyncAreaStorage.stat`."""
        return await self._at(provider, storage_type).stat(path, version=version, encryption=encryption)

    async def exists(self, path: str, provider: str = "AWS", *, storage_type: str = "private") -> bool:
        """Returns whether there is an object or a directory at a path. See `AsyncAreaStorage.exists`."""
        return await self._at(provider, storage_type).exists(path)

    async def wait(
        self,
        path: str,
        provider: str = "AWS",
        *,
        stable: float | str = 30.0,
        timeout: float | str | None = None,  # noqa: ASYNC109 - it is told what was seen
        storage_type: str = "private",
    ) -> Item:
        """Waits until an object or a directory stops changing. See `AsyncAreaStorage.wait`."""
        return await self._at(provider, storage_type).wait(path, stable=stable, timeout=timeout)

    async def update_path_items(self, path: str = "/", storage_type: str = "private", provider: str = "AWS") -> None:
        """Lists a directory into the listing cache. See `AsyncAreaStorage.update_path_items`."""
        await self._at(provider, storage_type).update_path_items(path)

    async def update_all(self, provider: str = "AWS", path: str = "/") -> None:
        """Lists a directory and all below it into the listing cache. See `AsyncAreaStorage.update_all`."""
        await self._at(provider, "private").update_all(path)

    def _get_content_from_path(self, provider: str, path: str) -> Contents | None:
        """Returns a directory's content when it was last listed into the cache; None when it never was."""
        self._transfers.resources.check_open()
        name, cache = self._resolver.remote_name(provider), self._transfers.cache
        items = cache.get((name, "private"), directory_path(path))
        if items is None:
            items = cache.get((name, "public"), directory_path(path))
        return None if items is None else [_content(item) for item in items]

    # Sharing

    async def endpoint_facts(
        self, provider: str = "AWS", *, storage_type: str = "private"
    ) -> Sequence[tuple[str, str]]:
        """Returns what this session learned of the service. See `AsyncAreaStorage.endpoint_facts`."""
        return await self._at(provider, storage_type).endpoint_facts()

    async def presign(
        self,
        path: str,
        expires: float | str = 3600.0,
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        method: str = "GET",
    ) -> str:
        """Returns a URL of one object that works without credentials. See `AsyncAreaStorage.presign`."""
        return await self._at(provider, storage_type).presign(path, expires, method=method)

    def _at(self, provider: str, storage_type: str) -> AsyncAreaStorage:
        # Not checked here: `scan` and `read` report a wrong argument when they are iterated.
        return AsyncAreaStorage(self._transfers, partial(self._resolver.area, provider, storage_type))


def _content(item: Item) -> dict[str, Any]:
    return {
        "name": item.name,
        "path": item.path,
        "directory": item.directory,
        "size": item.size,
        "modification": item.modification,
    }
