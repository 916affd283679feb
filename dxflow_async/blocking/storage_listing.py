"""Listings, lookups and links at every remote; the other part of `StorageManager`."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from dxflow_async.blocking.area_storage import AreaStorage
from dxflow_async.blocking.item_stream import ItemStream
from dxflow_async.blocking.transfers import TransferCalls
from dxflow_async.models import Item, ItemList
from dxflow_async.providers.contract import Encryption
from dxflow_async.storage.manager import AsyncStorageManager

if TYPE_CHECKING:
    from dxflow_async.blocking.session import Session

__all__ = ["StorageListing"]


class StorageListing:
    """Listings, lookups and links at every remote; the base of `StorageManager`."""

    def __init__(self, session: Session, calls: TransferCalls, twin: AsyncStorageManager) -> None:
        self._session = session  # a session that nobody holds is closed
        self._calls = calls
        self._portal = calls.portal
        self._twin = twin

    def at(self, provider: str = "AWS", *, storage_type: str = "private") -> AreaStorage:
        """Returns the storage of one remote, without connecting to it yet.

        Args:
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.

        Raises:
            ConfigurationError: there is no such remote or storage type.

        Example:
            >>> def main() -> None:
            ...     with Session() as session:
            ...         azure = session.get_storage_manager().at("azure")
            ...         azure.download("/container/results/", "results/")
        """
        twin = self._portal.call_soon(self._twin.at, provider, storage_type=storage_type)
        return AreaStorage(self._session, self._calls, twin)

    @overload
    def list(
        self,
        provider: str = "AWS",
        path: str = "/",
        *,
        storage_type: str = "private",
        recursive: bool = False,
        versions: bool = False,
        return_info: Literal[False] = False,
    ) -> None: ...
    @overload
    def list(
        self,
        provider: str = "AWS",
        path: str = "/",
        *,
        storage_type: str = "private",
        recursive: bool = False,
        versions: bool = False,
        return_info: Literal[True],
    ) -> ItemList: ...
    def list(
        self,
        provider: str = "AWS",
        path: str = "/",
        *,
        storage_type: str = "private",
        recursive: bool = False,
        versions: bool = False,
        return_info: bool = False,
    ) -> ItemList | None:
        """Prints the items at a path; with `return_info` returns them instead.

        Args:
            path: the directory or object.
            recursive: whether to list everything below the directory.
            versions: list every version that the bucket keeps, the newest of each name first.
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.
            return_info: return the items, and print nothing.

        Returns:
            The items in the order of their names.

        Raises:
            NotFoundError: there is no such directory or object.

        Example:
            >>> names = [item.name for item in storage.list("AWS", "/bucket/results/", return_info=True)]
        """
        storage = self._at(provider, storage_type)
        if return_info:
            return storage.list(path, recursive=recursive, versions=versions, return_info=True)
        storage.list(path, recursive=recursive, versions=versions)
        return None

    def scan(
        self,
        provider: str = "AWS",
        path: str = "/",
        *,
        storage_type: str = "private",
        recursive: bool = True,
    ) -> ItemStream[Item]:
        """Yields the items below a directory in the order of their names. It holds two pages in memory.

        Args:
            path: the directory.
            recursive: whether to yield everything below the directory, or only what is directly in it.
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.

        Example:
            >>> with storage.scan("AWS", "/bucket/results/") as items:
            ...     total = sum([item.size for item in items])
        """
        return self._at(provider, storage_type).scan(path, recursive=recursive)

    def stat(
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
            >>> item = storage.stat("/bucket/a.csv")
        """
        return self._at(provider, storage_type).stat(path, version=version, encryption=encryption)

    def exists(self, path: str, provider: str = "AWS", *, storage_type: str = "private") -> bool:
        """Returns whether there is an object or a directory at a path.

        Args:
            path: the object or directory.
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.

        Example:
            >>> if not storage.exists("/bucket/a.csv"):
            ...     storage.upload("a.csv", "/bucket/")
        """
        return self._at(provider, storage_type).exists(path)

    def wait(
        self,
        path: str,
        provider: str = "AWS",
        *,
        stable: float | str = 30.0,
        timeout: float | str | None = None,
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
            >>> def results(storage: StorageManager) -> None:
            ...     storage.wait("/Demo/results/", timeout="2h")
            ...     storage.download("/Demo/results/", "results/")
        """
        return self._at(provider, storage_type).wait(path, stable=stable, timeout=timeout)

    def update_path_items(self, path: str = "/", storage_type: str = "private", provider: str = "AWS") -> None:
        """Lists a directory into the session's listing cache, and returns the listing.

        Args:
            path: the directory.
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.
        """
        self._at(provider, storage_type).update_path_items(path)

    def update_all(self, provider: str = "AWS", path: str = "/") -> None:
        """Lists a directory and all directories below it into the session's listing cache.

        Args:
            path: the directory; by default the whole area.
            provider: the remote's name, in any case.
        """
        self._at(provider, "private").update_all(path)

    def endpoint_facts(self, provider: str = "AWS", *, storage_type: str = "private") -> Sequence[tuple[str, str]]:
        """Returns what this session learned of the service: pairs of a fact and its value, with the reason.

        They name optional parts of the protocol and limits that the service's answers, its host name or the settings
        told, and how long each is believed. No request is made for them.

        Args:
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.
        """
        return self._at(provider, storage_type).endpoint_facts()

    def presign(
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
            >>> url = storage.presign("/bucket/report.pdf", "2h")
        """
        return self._at(provider, storage_type).presign(path, expires, method=method)

    def _get_content_from_path(self, provider: str, path: str) -> builtins.list[dict[str, Any]] | None:
        """Returns a directory's content when it was last listed into the cache; None when it never was."""
        return self._portal.call_soon(self._twin._get_content_from_path, provider, path)

    def _at(self, provider: str, storage_type: str) -> AreaStorage:
        return AreaStorage(self._session, self._calls, self._twin.at(provider, storage_type=storage_type))
