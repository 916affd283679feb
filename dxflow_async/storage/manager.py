"""The account's storage: every documented call, and what bulk users need. Returns data, prints nothing."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any

from dxflow_async.exceptions import NotFoundError, UnsupportedError
from dxflow_async.models import Item, TransferReport
from dxflow_async.paths import provider_name
from dxflow_async.storage.area import Area
from dxflow_async.storage.area_storage import AreaStorage, Pairs
from dxflow_async.storage.listing import directory_path
from dxflow_async.storage.transfer_service import TransferService
from dxflow_async.transfer.failures import translated
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.resources import Resources

__all__ = ["AsyncStorageManager"]

# In the class below, `list` is a method.
Items = list[Item]
Contents = list[dict[str, Any]]


class AsyncStorageManager:
    """The account's storage at every provider.

    Remote paths are written `/first/second/name`; one that ends in a slash is a directory. `provider` is `"AWS"`,
    `"AZURE"` or `"GCP"`, in any case; `storage_type` and `utype` are `"private"` or `"public"`. Everything raises
    `StorageError` when storage failed, `ConfigurationError` for an argument that cannot be, and `SessionClosedError`
    after the session was closed.

    Example:
        >>> async def main() -> None:
        ...     async with AsyncSession() as session:
        ...         storage = session.get_storage_manager()
        ...         report = await storage.upload("results/", "/bucket/results/")
        ...         print(report.bytes, report.goodput)
    """

    def __init__(
        self,
        resources: Callable[[], Resources],
        areas: Callable[[str, str], Awaitable[Area]],
        anywhere: TransferService,
    ) -> None:
        self._resources = resources
        self._areas = areas
        self._transfers = anywhere
        self._cache = anywhere.cache

    # Looking

    async def list(
        self, provider: str = "AWS", path: str = "/", *, storage_type: str = "private", recursive: bool = False
    ) -> Items:
        """The items at a path: a directory's content, or the one object of that name.

        Raises:
            NotFoundError: there is neither.
        """
        return await self._in(provider, storage_type).list(path, recursive=recursive)

    def scan(
        self, provider: str = "AWS", path: str = "/", *, storage_type: str = "private", recursive: bool = True
    ) -> AsyncIterator[Item]:
        """Yields what is below a directory, page by page, in the order of names; memory is that of a page."""
        return self._in(provider, storage_type).scan(path, recursive=recursive)

    async def stat(self, path: str, provider: str = "AWS", *, storage_type: str = "private") -> Item:
        """What is stored at a path: an object with its media type, metadata and checksum, or a directory.

        Raises:
            NotFoundError: nothing is.
        """
        return await self._in(provider, storage_type).stat(path)

    async def exists(self, path: str, provider: str = "AWS", *, storage_type: str = "private") -> bool:
        """Whether there is an object or a directory at a path."""
        return await self._in(provider, storage_type).exists(path)

    # The listing cache

    async def update_path_items(self, path: str = "/", storage_type: str = "private", provider: str = "AWS") -> None:
        """Lists a directory and keeps the listing for `_get_content_from_path`."""
        await self._list_into_cache(provider, directory_path(path), storage_type)

    async def _list_into_cache(self, provider: str, path: str, storage_type: str) -> Items:
        area = await self._areas(provider, storage_type)
        try:
            items = [item async for item in self.scan(provider, path, storage_type=storage_type, recursive=False)]
        except NotFoundError:
            # Where directories are real, one that is not there yet is as empty as a prefix of no key.
            if not area.provider.features.directories:
                raise
            items = []
        self._cache.put((area.name, storage_type), path, items)
        return items

    async def update_all(self, provider: str = "AWS", path: str = "/") -> None:
        """Lists a directory and all directories below it, and keeps the listings."""
        waiting = [directory_path(path)]
        while waiting:
            items = await self._list_into_cache(provider, waiting.pop(), "private")
            waiting += [item.path for item in items if item.directory]

    def _get_content_from_path(self, provider: str, path: str) -> Contents | None:
        """What a directory held when it was last listed; None when it never was."""
        self._resources()
        name = provider_name(provider)
        items = self._cache.get((name, "private"), directory_path(path))
        if items is None:
            items = self._cache.get((name, "public"), directory_path(path))
        return None if items is None else [_content(item) for item in items]

    # Moving

    async def upload(
        self,
        src: str | os.PathLike[str],
        dst: str,
        provider: str = "AWS",
        utype: str = "private",
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Uploads a file, a directory with all that is in it, or what a glob pattern matches.

        Args:
            src: the local path. A directory with a trailing slash stands for its content only.
            dst: with a trailing slash a directory to put it into, else exactly the name to give it.
            provider: where to.
            utype: `"public"` makes the objects publicly readable.
            content_type: media type; by default what each name's ending says.
            metadata: stored with each object.
            on_progress: told at most ten times a second.

        Returns:
            What became of each file.

        Raises:
            TransferError: some file failed; the others are stored.
            UnsupportedError: the provider has no public objects.
        """
        storage = self._in(provider, utype)
        return await storage.upload(src, dst, content_type=content_type, metadata=metadata, on_progress=on_progress)

    async def download(
        self,
        src: str,
        dst: str | os.PathLike[str] | None = None,
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Downloads an object, or a directory with all that is in it, into a local directory.

        Args:
            src: the remote path; with a trailing slash everything under it.
            dst: the local directory, made when missing; by default the current one. When its last component is the
                source's name (and no directory), it is the file itself; where that is a link, the file it leads to is
                replaced.
            provider: where from.
            storage_type: which area.
            on_progress: told at most ten times a second.

        Returns:
            What became of each object.

        Raises:
            NotFoundError: no such object or directory.
            UnsafePathError: the file itself is a pipe, a socket, a device or a link to nothing.
            TransferError: some object failed, since a link or a pipe has its name, say; the others are there.
        """
        return await self._in(provider, storage_type).download(src, dst, on_progress=on_progress)

    async def upload_many(
        self,
        pairs: Pairs,
        provider: str = "AWS",
        utype: str = "private",
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Uploads files under names of their own: `pairs` of local and remote path, read as fast as they are sent.

        Otherwise as `upload`.
        """
        storage = self._in(provider, utype)
        return await storage.upload_many(pairs, content_type=content_type, metadata=metadata, on_progress=on_progress)

    async def download_many(
        self,
        pairs: Pairs,
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Downloads objects to files: `pairs` of remote and local path, read as fast as they are done.

        Otherwise as `download`.
        """
        return await self._in(provider, storage_type).download_many(pairs, on_progress=on_progress)

    async def write(
        self,
        path: str,
        data: AsyncIterable[bytes],
        provider: str = "AWS",
        utype: str = "private",
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Stores a stream of unknown length under a path; memory stays bounded, and a broken stream stores nothing.

        Raises:
            StorageError: it could not be stored. What `data` raises passes through.
        """
        storage = self._in(provider, utype)
        return await storage.write(path, data, content_type=content_type, metadata=metadata, on_progress=on_progress)

    def read(
        self,
        path: str,
        start: int | None = None,
        end: int | None = None,
        provider: str = "AWS",
        *,
        storage_type: str = "private",
    ) -> AsyncIterator[bytes]:
        """Yields the bytes `[start, end)` of an object, all of one version, going on after a broken connection.

        Raises:
            NotFoundError: no such object.
            PreconditionFailedError: it has no byte at `start`, or was replaced while it was read.
        """
        return self._in(provider, storage_type).read(path, start, end)

    async def delete(self, path: str | Iterable[str], provider: str = "AWS", *, storage_type: str = "private") -> int:
        """Deletes an object, several, or (a path that ends in a slash) a directory with all that is in it.

        Returns:
            How many were asked to be deleted; one that is not there is no error. A real directory counts as one.

        Raises:
            TransferError: some could not be deleted, which its report has; the others are gone.
            StorageError: the only one could not be deleted, or none of them was tried.
        """
        return await self._in(provider, storage_type).delete(path)

    async def copy(self, src: str, dst: str, provider: str = "AWS", *, storage_type: str = "private") -> TransferReport:
        """Copies an object, or a directory with all that is in it, within a provider; server-side where it can.

        A `dst` with a trailing slash is a directory to put it into, else exactly the name to give it; of a `src`
        with a trailing slash only the content is meant.
        """
        return await self._in(provider, storage_type).copy(src, dst)

    async def move(self, src: str, dst: str, provider: str = "AWS", *, storage_type: str = "private") -> TransferReport:
        """Moves, with the rules of `copy`; a source is deleted only after its copy is complete."""
        return await self._in(provider, storage_type).move(src, dst)

    async def presign(
        self,
        path: str,
        expires: float = 3600.0,
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        method: str = "GET",
    ) -> str:
        """A URL for one object that works without credentials for `expires` seconds. Treat it as a secret.

        Raises:
            UnsupportedError: the provider has no such URLs.
        """
        area = await self._areas(provider, storage_type)
        if not area.provider.features.presign:
            raise UnsupportedError(
                f"{area.name} presign of {path} failed: {area.provider.name} storage has no URLs; "
                "configure the real provider",
                provider=area.name,
                operation="presign",
                path=path,
            )
        with translated(area.provider):
            return await area.provider.presign(area.key(path), expires, method=method)

    def _in(self, provider: str, storage_type: str) -> AreaStorage:
        return AreaStorage(self._resources, lambda: self._areas(provider, storage_type), self._transfers, storage_type)


def _content(item: Item) -> dict[str, Any]:
    return {
        "name": item.name,
        "path": item.path,
        "directory": item.directory,
        "size": item.size,
        "modification": item.modification,
    }
