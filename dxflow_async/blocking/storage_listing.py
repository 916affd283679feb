"""What the blocking storage of all remotes says about objects; the other part of `StorageManager`."""

from __future__ import annotations

import builtins
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
    """Listings and lookups at every remote; the base of `StorageManager`."""

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
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.
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
        """
        return self._at(provider, storage_type).stat(path, version=version, encryption=encryption)

    def exists(self, path: str, provider: str = "AWS", *, storage_type: str = "private") -> bool:
        """Returns whether there is an object or a directory at a path.

        Args:
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.
        """
        return self._at(provider, storage_type).exists(path)

    def update_path_items(self, path: str = "/", storage_type: str = "private", provider: str = "AWS") -> None:
        """Lists a directory into the session's listing cache, and returns the listing.

        Args:
            storage_type: `"private"` or `"public"`.
            provider: the remote's name, in any case.
        """
        self._at(provider, storage_type).update_path_items(path)

    def update_all(self, provider: str = "AWS", path: str = "/") -> None:
        """Lists a directory and all directories below it into the session's listing cache.

        Args:
            provider: the remote's name, in any case.
        """
        self._at(provider, "private").update_all(path)

    def _get_content_from_path(self, provider: str, path: str) -> builtins.list[dict[str, Any]] | None:
        """Returns a directory's content when it was last listed into the cache; None when it never was."""
        return self._portal.call_soon(self._twin._get_content_from_path, provider, path)

    def _at(self, provider: str, storage_type: str) -> AreaStorage:
        return AreaStorage(self._session, self._calls, self._twin.at(provider, storage_type=storage_type))
