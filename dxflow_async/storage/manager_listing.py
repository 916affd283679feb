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
        """Lists a directory, or the one object of that name.

        Args:
            path: the directory or object.
            recursive: whether to list everything below the directory.
            versions: list every version that the bucket keeps, the newest of each name first.
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.

        Returns:
            The items in the order of their names.

        Raises:
            NotFoundError: there is no such directory or object.

        Example:
            >>> names = [item.name for item in await storage.list("AWS", "/bucket/results/")]
        """
        return await self._at(provider, storage_type).list(path, recursive=recursive, versions=versions)

    def scan(
        self, provider: str = "AWS", path: str = "/", *, storage_type: str = "private", recursive: bool = True
    ) -> AsyncItemStream[Item]:
        """Yields the items below a directory in the order of their names. It holds two pages in memory.

        Args:
            path: the directory.
            recursive: whether to yield everything below the directory, or only what is directly in it.
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.

        Example:
            >>> async with storage.scan("AWS", "/bucket/results/") as items:
            ...     total = sum([item.size async for item in items])
        """
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
        """Returns an object with its media type, metadata and checksum, or a directory.

        Args:
            path: the object or directory.
            version: the `Item.version` of an older version.
            encryption: the customer's key of the object, from `Encryption.customer`.
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.

        Raises:
            NotFoundError: there is no such object or directory.

        Example:
            >>> item = await storage.stat("/bucket/a.csv")
        """
        return await self._at(provider, storage_type).stat(path, version=version, encryption=encryption)

    async def exists(self, path: str, provider: str = "AWS", *, storage_type: str = "private") -> bool:
        """Returns whether there is an object or a directory at a path.

        Args:
            path: the object or directory.
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.

        Example:
            >>> if not await storage.exists("/bucket/a.csv"):
            ...     await storage.upload("a.csv", "/bucket/")
        """
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
        """Waits until an object, or all of a directory, has not changed for a time, and returns it.

        What does not exist yet is waited for. The place is looked at again and again, at most every half a second and
        at least every half of `stable`.

        Args:
            path: the object; a directory with everything in it.
            stable: for how long nothing may change, in seconds or as text: `"30s"`.
            timeout: the longest time to wait, in seconds or as text; None: without a limit.
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.

        Raises:
            StallTimeoutError: `timeout` is over.

        Example:
            >>> async def results(storage: AsyncStorageManager) -> None:
            ...     await storage.wait("/Demo/results/", timeout="2h")
            ...     await storage.download("/Demo/results/", "results/")
        """
        return await self._at(provider, storage_type).wait(path, stable=stable, timeout=timeout)

    async def update_path_items(self, path: str = "/", storage_type: str = "private", provider: str = "AWS") -> None:
        """Lists a directory into the session's listing cache, and returns the listing.

        Args:
            path: the directory.
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.
        """
        await self._at(provider, storage_type).update_path_items(path)

    async def update_all(self, provider: str = "AWS", path: str = "/") -> None:
        """Lists a directory and all directories below it into the session's listing cache.

        Args:
            path: the directory; by default the whole area.
            provider: the remote's name, in any case.
        """
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
        """Returns what this session learned of the service: pairs of a fact and its value, with the reason.

        They name optional parts of the protocol and limits that the service's answers, its host name or the settings
        told, and how long each is believed. No request is made for them.

        Args:
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.
        """
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
        """Returns a URL of one object that works without credentials. Treat it as a secret.

        Args:
            path: the object.
            expires: how long the URL works, in seconds or as text: `"2h"`, `"7d"`.
            method: the HTTP method that it allows.
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.

        Raises:
            UnsupportedError: the provider has no such URLs.

        Example:
            >>> url = await storage.presign("/bucket/report.pdf", "2h")
        """
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
