"""The account's storage: every documented call, and what bulk users need. Returns data, prints nothing."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any

from dxflow_async.exceptions import ConfigurationError, NotFoundError, UnsafePathError, UnsupportedError
from dxflow_async.models import Item, TransferReport
from dxflow_async.paths import key_of, provider_name
from dxflow_async.providers.base import ObjectOptions
from dxflow_async.storage.anywhere import Anywhere, Located
from dxflow_async.storage.area import Area
from dxflow_async.storage.listing import directory_path, note_stored
from dxflow_async.transfer.content_type import content_type_of
from dxflow_async.transfer.download import download, download_to
from dxflow_async.transfer.ends import LocalFiles, RemoteEnd
from dxflow_async.transfer.engine import Job
from dxflow_async.transfer.jobs import job_for
from dxflow_async.transfer.listing import pages, stat
from dxflow_async.transfer.moving import Route, check_target
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.reading import ResumedReading
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.retry import Attempts, retry
from dxflow_async.transfer.stream import StreamWriter
from dxflow_async.transfer.upload import upload

__all__ = ["AsyncStorageManager"]

Pairs = Iterable[tuple[str, str]] | AsyncIterable[tuple[str, str]]

# In the class below, `list` is a method.
Items = list[Item]
Contents = list[dict[str, Any]]
Keys = list[str]

_DELETE_BATCH = 1000


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
        anywhere: Anywhere,
    ) -> None:
        self._resources = resources
        self._areas = areas
        self._anywhere = anywhere
        self._cache = anywhere.cache

    # Looking

    async def list(
        self, provider: str = "AWS", path: str = "/", *, storage_type: str = "private", recursive: bool = False
    ) -> Items:
        """The items at a path: a directory's content, or the one object of that name.

        Raises:
            NotFoundError: there is neither.
        """
        items: Items = []
        try:
            async for item in self.scan(provider, path, storage_type=storage_type, recursive=recursive):
                items.append(item)
        except NotFoundError:
            if path.endswith("/"):
                raise
        if items:
            return items
        found = await self.stat(path, provider, storage_type=storage_type)
        return [] if found.directory else [found]

    async def scan(
        self, provider: str = "AWS", path: str = "/", *, storage_type: str = "private", recursive: bool = True
    ) -> AsyncIterator[Item]:
        """Yields what is below a directory, page by page, in the order of names; memory is that of a page."""
        area = await self._areas(provider, storage_type)
        prefix = area.key(path)
        if prefix and not prefix.endswith("/"):
            prefix += "/"
        resources = self._resources()
        listing = pages(area.provider, prefix, recursive=recursive, limits=resources.limits, policy=resources.policy)
        async for page in listing:
            for entry in page:
                if entry.key != prefix:
                    yield area.item(entry)

    async def stat(self, path: str, provider: str = "AWS", *, storage_type: str = "private") -> Item:
        """What is stored at a path: an object with its media type, metadata and checksum, or a directory.

        Raises:
            NotFoundError: nothing is.
        """
        area = await self._areas(provider, storage_type)
        resources = self._resources()
        found = await stat(area.provider, area.key(path), limits=resources.limits, policy=resources.policy)
        if found is None:
            raise NotFoundError(
                f"{area.name} stat of {path} failed: there is no such object or directory; check the path",
                provider=area.name,
                operation="stat",
                path=path,
            )
        return area.item(found)

    async def exists(self, path: str, provider: str = "AWS", *, storage_type: str = "private") -> bool:
        """Whether there is an object or a directory at a path."""
        try:
            await self.stat(path, provider, storage_type=storage_type)
        except NotFoundError:
            return False
        return True

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
        area = await self._areas(provider, utype)
        options = _options(area, content_type, metadata)
        files, end = self._files(), RemoteEnd(area.place(dst))
        return await self._anywhere.transfer(
            Located(dst, area, utype),
            lambda route: upload(route, files, os.fspath(src), end, options),
            on_progress,
        )

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
                source's name (and no directory), it is the file itself.
            provider: where from.
            storage_type: which area.
            on_progress: told at most ten times a second.

        Returns:
            What became of each object.

        Raises:
            NotFoundError: no such object or directory.
            TransferError: some object failed; the others are there.
        """
        area = await self._areas(provider, storage_type)
        destination = os.getcwd() if dst is None else os.fspath(dst)
        resources = self._resources()
        return await resources.transfer(
            lambda route: download(route, resources.threads, area.place(src), destination), on_progress
        )

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
        area = await self._areas(provider, utype)
        options = _options(area, content_type, metadata)
        files = self._files()

        async def plan(route: Route) -> AsyncIterator[Job]:
            async for source, destination in _each(pairs):
                target = area.place(destination)
                start, end = files.place(source), RemoteEnd(target)
                yield job_for(route, start, end, target, None, options, operation="upload")

        return await self._anywhere.transfer(Located("", area, utype), plan, on_progress)

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
        area = await self._areas(provider, storage_type)
        resources = self._resources()

        async def plan(route: Route) -> AsyncIterator[Job]:
            async for source, destination in _each(pairs):
                yield download_to(route, resources.threads, area.place(source), destination)

        return await resources.transfer(plan, on_progress)

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
        area = await self._areas(provider, utype)
        place = area.place(path)
        check_target(place, "write")
        options = _options(area, content_type or content_type_of(path), metadata)
        route = self._resources().route(on_progress)
        report = TransferReport([await StreamWriter(route, place, options).write(data)], route.meter.seconds)
        note_stored(self._cache, area, utype, report)
        route.meter.close()
        return report

    async def read(
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
        start = start or 0
        if start < 0 or (end is not None and end < start):
            raise ConfigurationError(f"range = [{start}, {end}) is not allowed; it must be 0 <= start <= end")
        area = await self._areas(provider, storage_type)
        resources = self._resources()
        if start == end:
            return
        reading = ResumedReading(area.provider, area.key(path), start, end, None, None, resources.policy, Attempts())
        # Between its chunks the caller may wait for anything, also for another request: no place is held so long.
        async with resources.limits.requests(area.provider) or nullcontext():
            await reading.open()
        try:
            while chunk := await reading.read():
                yield bytes(chunk)
        finally:
            await reading.aclose()

    async def delete(self, path: str | Iterable[str], provider: str = "AWS", *, storage_type: str = "private") -> int:
        """Deletes an object, several, or (a path that ends in a slash) a directory with all that is in it.

        Returns:
            How many were asked to be deleted; one that is not there is no error. A real directory counts as one.
        """
        area = await self._areas(provider, storage_type)
        count = 0
        keys: Keys = []
        paths: Keys = []

        async def flush() -> int:
            deleted = await self._delete(area, keys) if keys else 0
            for each in paths:
                self._cache.removed((area.name, storage_type), each)
            keys.clear()
            paths.clear()
            return deleted

        try:
            for each in (path,) if isinstance(path, str) else path:
                async for key in self._to_delete(area, each):
                    keys.append(key)
                    if len(keys) == _DELETE_BATCH:
                        count += await flush()
                paths.append(f"/{key_of(each)}")
            return count + await flush()
        except BaseException:
            for key in keys:
                self._cache.doubted((area.name, storage_type), area.path(key))
            raise

    async def copy(self, src: str, dst: str, provider: str = "AWS", *, storage_type: str = "private") -> TransferReport:
        """Copies an object, or a directory with all that is in it, within a provider; server-side where it can.

        A `dst` with a trailing slash is a directory to put it into, else exactly the name to give it; of a `src`
        with a trailing slash only the content is meant.
        """
        return await self._relocate(src, dst, provider, storage_type, move=False)

    async def move(self, src: str, dst: str, provider: str = "AWS", *, storage_type: str = "private") -> TransferReport:
        """Moves, with the rules of `copy`; a source is deleted only after its copy is complete."""
        return await self._relocate(src, dst, provider, storage_type, move=True)

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
        return await area.provider.presign(area.key(path), expires, method=method)

    # What they share

    def _files(self) -> LocalFiles:
        return LocalFiles(self._resources().threads)

    async def _relocate(self, src: str, dst: str, provider: str, storage_type: str, *, move: bool) -> TransferReport:
        area = await self._areas(provider, storage_type)
        source, destination = Located(src, area, storage_type), Located(dst, area, storage_type)
        return await self._anywhere.relocate(source, destination, move=move)

    async def _to_delete(self, area: Area, path: str) -> AsyncIterator[str]:
        key = area.key(path)
        if area.provider.features.buckets and "/" not in key:
            raise UnsafePathError(
                f"{area.name} delete of {path} refused: it names a bucket; end it in a slash to delete what is in it",
                provider=area.name,
                operation="delete",
                path=path,
            )
        if not key.endswith("/") or area.provider.features.directories:
            yield key
            return
        resources = self._resources()
        listing = pages(area.provider, key, recursive=True, limits=resources.limits, policy=resources.policy)
        async for page in listing:
            for entry in page:
                yield entry.key

    async def _delete(self, area: Area, keys: Keys) -> int:
        resources = self._resources()

        async def once() -> int:
            async with resources.limits.requests(area.provider) or nullcontext():
                return await area.provider.delete(keys)

        return await retry(once, resources.policy)


def _options(area: Area, content_type: str | None, metadata: Mapping[str, str] | None) -> ObjectOptions:
    return ObjectOptions(content_type, metadata or {}, area.public)


def _content(item: Item) -> dict[str, Any]:
    return {
        "name": item.name,
        "path": item.path,
        "directory": item.directory,
        "size": item.size,
        "modification": item.modification,
    }


async def _each(pairs: Pairs) -> AsyncIterator[tuple[str, str]]:
    if isinstance(pairs, AsyncIterable):
        async for source, destination in pairs:
            yield os.fspath(source), os.fspath(destination)
    else:
        for source, destination in pairs:
            yield os.fspath(source), os.fspath(destination)
