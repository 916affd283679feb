"""Listing and looking up the objects of a storage area."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from hashlib import blake2b

from dxflow_async.concurrency.item_stream import AsyncItemStream
from dxflow_async.config.quantities import to_seconds
from dxflow_async.exceptions import NotFoundError, StallTimeoutError, StorageError
from dxflow_async.models import Item, ItemList
from dxflow_async.providers.contract import Encryption
from dxflow_async.storage.area import Area, LocalArea
from dxflow_async.storage.listing import directory_path
from dxflow_async.storage.object_views import list_versions, reading_area
from dxflow_async.storage.transfer_service import TransferService
from dxflow_async.storage.waiting import Seen, wait_until_stable
from dxflow_async.transfer.planning.globbing import matching
from dxflow_async.transfer.planning.listing import pages, stat
from dxflow_async.transfer.request import request

__all__ = ["AreaListing"]


class AreaListing:
    """The part of `AsyncAreaStorage` that lists and looks up.

    Args:
        transfers: the session's transfers.
        find: finds the area. Each call finds it anew: the first one signs in, and a unit may move to another address.
    """

    def __init__(self, transfers: TransferService, find: Callable[[], Awaitable[Area]]) -> None:
        self._transfers = transfers
        self._resources = transfers.resources
        self._find = find

    async def list(self, path: str = "/", *, recursive: bool = False, versions: bool = False) -> ItemList:
        """Lists a directory, or the one object of that name.

        Args:
            path: the directory or object.
            recursive: whether to list everything below the directory.
            versions: list every version that the bucket keeps, the newest of each name first.

        Returns:
            The items in the order of their names.

        Raises:
            NotFoundError: there is no such directory or object.

        Example:
            >>> names = [item.name for item in await storage.list("/bucket/results/")]
        """
        if versions:
            return ItemList(await list_versions(self._resources, await self._find(), path, recursive=recursive))
        items = ItemList()
        try:
            async for item in self.scan(path, recursive=recursive):
                items.append(item)
        except NotFoundError:
            if path.endswith("/"):
                raise
        if items:
            return items
        found = await self.stat(path)
        return ItemList(() if found.directory else (found,))

    def scan(self, path: str = "/", *, recursive: bool = True) -> AsyncItemStream[Item]:
        """Yields the items below a directory in the order of their names. It holds two pages in memory.

        Args:
            path: the directory.
            recursive: whether to yield everything below the directory, or only what is directly in it.

        Example:
            >>> async with storage.scan("/bucket/results/") as items:
            ...     total = sum([item.size async for item in items])
        """
        return AsyncItemStream(self._scan(path, recursive=recursive), self._resources.owner)

    async def _scan(self, path: str, *, recursive: bool) -> AsyncGenerator[Sequence[Item], None]:
        area = await self._find()
        prefix = area.key(path)
        if prefix and not prefix.endswith("/"):
            prefix += "/"
        limits, policy = self._resources.limits, self._resources.policy
        async for page in pages(area.provider, prefix, recursive=recursive, limits=limits, policy=policy):
            yield [area.item(entry) for entry in page if entry.key != prefix]

    async def stat(self, path: str, *, version: str | None = None, encryption: Encryption | None = None) -> Item:
        """Returns an object with its media type, metadata and checksum, or a directory.

        Args:
            path: the object or directory.
            version: the `Item.version` of an older version.
            encryption: the customer's key of the object, from `Encryption.customer`.

        Raises:
            NotFoundError: there is no such object or directory.

        Example:
            >>> item = await storage.stat("/bucket/a.csv")
        """
        area = reading_area(await self._find(), path, version, encryption)
        limits, policy = self._resources.limits, self._resources.policy
        provider, key = area.provider, area.key(path)
        if version is not None:  # a directory has none
            return area.item(await request(partial(provider.stat, key), provider, limits=limits, policy=policy))
        found = await stat(provider, key, limits=limits, policy=policy)
        if found is None:
            raise NotFoundError(
                f"{area.name} stat of {path} failed: there is no such object or directory; check the path",
                provider=area.name,
                operation="stat",
                path=path,
            )
        return area.item(found)

    async def exists(self, path: str) -> bool:
        """Returns whether there is an object or a directory at a path.

        Args:
            path: the object or directory.

        Example:
            >>> if not await storage.exists("/bucket/a.csv"):
            ...     await storage.upload("a.csv", "/bucket/")
        """
        try:
            await self.stat(path)
        except NotFoundError:
            return False
        return True

    async def wait(self, path: str, *, stable: float | str = 30.0, timeout: float | str | None = None) -> Item:  # noqa: ASYNC109
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
            >>> async def results(storage: AsyncAreaStorage) -> None:
            ...     await storage.wait("/Demo/results/", timeout="2h")
            ...     await storage.download("/Demo/results/", "results/")
        """
        longest = None if timeout is None else to_seconds("timeout", timeout)
        area = await self._find()

        def failed(text: str) -> StorageError:
            said = f"{area.name} wait for {path} failed: {text}"
            return StallTimeoutError(said, provider=area.name, operation="wait", path=path, retryable=False)

        return await wait_until_stable(
            lambda: self._look(path), stable=to_seconds("stable", stable), within=longest, failed=failed
        )

    async def _look(self, path: str) -> Seen[Item]:
        """Looks at an object, or at a directory with everything in it."""
        try:
            item = await self.stat(path)
        except NotFoundError:
            return Seen(None, None)
        if not item.directory:
            return Seen((item.size, item.modification, item.etag), item)
        digest = blake2b(digest_size=16)
        try:
            async with aclosing(self._scan(path, recursive=True)) as pages:
                async for page in pages:
                    for each in page:
                        digest.update(repr((each.path, each.size, each.modification, each.etag)).encode())
        except NotFoundError:
            return Seen(None, None)
        return Seen(digest.digest(), item)

    def glob(self, pattern: str) -> AsyncItemStream[Item]:
        """Yields the objects and directories that match a pattern, in the order of their names.

        `*`, `?` and `[a-z]` match within one component of the path, and `**` matches any number of directories. A path
        that exists is itself the only match. On this machine's disks, wildcards do not match a leading dot.

        Args:
            pattern: the pattern, such as `/bucket/run-*/**/*.csv`; with a slash at its end it matches directories only.

        Example:
            >>> async def names(storage: AsyncAreaStorage) -> list[str]:
            ...     return [item.name async for item in storage.glob("/bucket/tables/*.csv")]
        """
        return AsyncItemStream(self._glob(pattern), self._resources.owner)

    async def _glob(self, pattern: str) -> AsyncGenerator[Sequence[Item], None]:
        area = await self._find()
        hidden = not isinstance(area, LocalArea)
        limits, policy = self._resources.limits, self._resources.policy
        async for entry in matching(area.provider, area.key(pattern), hidden=hidden, limits=limits, policy=policy):
            yield (area.item(entry),)

    async def is_bucket(self, path: str) -> bool:
        """Returns whether a path names a whole bucket or container; that there is one is not checked.

        Args:
            path: the path to look at, such as `/bucket/`.
        """
        area = await self._find()
        key = area.key(path).removesuffix("/")
        return bool(key) and area.provider.features.buckets and "/" not in key

    async def update_path_items(self, path: str = "/") -> ItemList:
        """Lists a directory into the session's listing cache, and returns the listing.

        Args:
            path: the directory.
        """
        area, path = await self._find(), directory_path(path)
        try:
            items = ItemList([item async for item in self.scan(path, recursive=False)])
        except NotFoundError:
            # Where directories are real, one that is missing is as empty as a prefix without keys.
            if not area.provider.features.directories:
                raise
            items = ItemList()
        self._transfers.cache.put(area.cache_key, path, items)
        return items

    async def update_all(self, path: str = "/") -> None:
        """Lists a directory and all directories below it into the session's listing cache.

        Args:
            path: the directory; by default the whole area.
        """
        waiting = [directory_path(path)]
        while waiting:
            items = await self.update_path_items(waiting.pop())
            waiting += [item.path for item in items if item.directory]
