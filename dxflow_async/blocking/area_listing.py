"""What the blocking storage of one area says about objects; the other part of `AreaStorage`."""

from __future__ import annotations

import functools
from typing import Literal, overload

from dxflow_async.blocking.item_stream import ItemStream
from dxflow_async.blocking.tables import print_items
from dxflow_async.blocking.transfers import TransferCalls
from dxflow_async.models import Item, ItemList
from dxflow_async.providers.contract import Encryption
from dxflow_async.storage.area_storage import AsyncAreaStorage

__all__ = ["AreaListing"]


class AreaListing:
    """Listings and lookups in one area; the base of `AreaStorage`."""

    def __init__(self, session: object, calls: TransferCalls, twin: AsyncAreaStorage) -> None:
        self._session = session  # a session that nobody holds is closed
        self._calls = calls
        self._portal = calls.portal
        self._twin = twin

    @overload
    def list(
        self, path: str = "/", *, recursive: bool = False, versions: bool = False, return_info: Literal[False] = False
    ) -> None: ...
    @overload
    def list(
        self, path: str = "/", *, recursive: bool = False, versions: bool = False, return_info: Literal[True]
    ) -> ItemList: ...
    def list(
        self, path: str = "/", *, recursive: bool = False, versions: bool = False, return_info: bool = False
    ) -> ItemList | None:
        """Prints the items at a path; with `return_info` returns them instead.

        Args:
            path: the directory or object.
            recursive: whether to list everything below the directory.
            versions: list every version that the bucket keeps, the newest of each name first.
            return_info: return the items, and print nothing.

        Returns:
            The items in the order of their names.

        Raises:
            NotFoundError: there is no such directory or object.

        Example:
            >>> names = [item.name for item in storage.list("/bucket/results/", return_info=True)]
        """
        items = self._portal.call(self._twin.list, path, recursive=recursive, versions=versions)
        if return_info:
            return items
        print_items(items, below=path if recursive else None)
        return None

    def scan(self, path: str = "/", *, recursive: bool = True) -> ItemStream[Item]:
        """Yields the items below a directory in the order of their names. It holds two pages in memory.

        Args:
            path: the directory.
            recursive: whether to yield everything below the directory, or only what is directly in it.

        Example:
            >>> with storage.scan("/bucket/results/") as items:
            ...     total = sum([item.size for item in items])
        """
        return ItemStream(self._portal.iterate(functools.partial(self._twin.scan, path, recursive=recursive)))

    def stat(self, path: str, *, version: str | None = None, encryption: Encryption | None = None) -> Item:
        """Returns an object with its media type, metadata and checksum, or a directory.

        Args:
            path: the object or directory.
            version: the `Item.version` of an older version.
            encryption: the customer's key of the object, from `Encryption.customer`.

        Raises:
            NotFoundError: there is no such object or directory.

        Example:
            >>> item = storage.stat("/bucket/a.csv")
        """
        return self._portal.call(self._twin.stat, path, version=version, encryption=encryption)

    def exists(self, path: str) -> bool:
        """Returns whether there is an object or a directory at a path.

        Args:
            path: the object or directory.

        Example:
            >>> if not storage.exists("/bucket/a.csv"):
            ...     storage.upload("a.csv", "/bucket/")
        """
        return self._portal.call(self._twin.exists, path)

    def wait(self, path: str, *, stable: float | str = 30.0, timeout: float | str | None = None) -> Item:
        """Waits until an object, or all of a directory, has not changed for a time, and returns it.

        What does not exist yet is waited for. The place is looked at again and again, at most every half a second and
        at least every half of `stable`.

        Args:
            path: the object; a directory with everything in it.
            stable: for how long nothing may change, in seconds or as text: `"30s"`.
            timeout: the longest time to wait, in seconds or as text; None: without a limit.

        Raises:
            StallTimeoutError: `timeout` is over.

        Example:
            >>> def results(storage: AreaStorage) -> None:
            ...     storage.wait("/Demo/results/", timeout="2h")
            ...     storage.download("/Demo/results/", "results/")
        """
        return self._portal.call(self._twin.wait, path, stable=stable, timeout=timeout)

    def glob(self, pattern: str) -> ItemStream[Item]:
        """Yields the objects and directories that match a pattern, in the order of their names.

        `*`, `?` and `[a-z]` match within one component of the path, and `**` matches any number of directories. A path
        that exists is itself the only match. On this machine's disks, wildcards do not match a leading dot.

        Args:
            pattern: the pattern, such as `/bucket/run-*/**/*.csv`; with a slash at its end it matches directories only.

        Example:
            >>> def names(storage: AreaStorage) -> list[str]:
            ...     return [item.name for item in storage.glob("/bucket/tables/*.csv")]
        """
        return ItemStream(self._portal.iterate(functools.partial(self._twin.glob, pattern)))

    def is_bucket(self, path: str) -> bool:
        """Returns whether a path names a whole bucket or container; that there is one is not checked.

        Args:
            path: the path to look at, such as `/bucket/`.
        """
        return self._portal.call(self._twin.is_bucket, path)

    def update_path_items(self, path: str = "/") -> ItemList:
        """Lists a directory into the session's listing cache, and returns the listing.

        Args:
            path: the directory.
        """
        return self._portal.call(self._twin.update_path_items, path)

    def update_all(self, path: str = "/") -> None:
        """Lists a directory and all directories below it into the session's listing cache.

        Args:
            path: the directory; by default the whole area.
        """
        self._portal.call(self._twin.update_all, path)
