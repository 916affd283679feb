"""The storage calls: everything that can be done in one storage area, a remote's or a compute unit's."""

from __future__ import annotations

import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from functools import partial
from typing import Unpack

from dxflow_async.checksum import crc32c
from dxflow_async.concurrency.item_stream import AsyncItemStream
from dxflow_async.config.working_directory import working_directory
from dxflow_async.exceptions import (
    ChecksumMismatchError,
    ConfigurationError,
    NotFoundError,
    UnsupportedError,
)
from dxflow_async.models import DeleteResult, Item, ItemList, TransferReport
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.storage.area import Area, LocalArea
from dxflow_async.storage.area_files import AreaFiles
from dxflow_async.storage.deletion import Deletion, keys_to_delete
from dxflow_async.storage.files.object_ranges import open_reader
from dxflow_async.storage.listing import directory_path
from dxflow_async.storage.resolver import ResolvedLocation
from dxflow_async.storage.transfer_service import Pairs, TransferService
from dxflow_async.storage.written_data import WrittenData, chunks_of_data
from dxflow_async.transfer.executor.options import ExecutorOptions, Workers
from dxflow_async.transfer.failures import translated
from dxflow_async.transfer.items.checksums import stored_checksum
from dxflow_async.transfer.items.object_options import content_type_of
from dxflow_async.transfer.items.stream_writer import StreamWriter
from dxflow_async.transfer.planning.destination import directory
from dxflow_async.transfer.planning.directories import make_directory
from dxflow_async.transfer.planning.globbing import matching
from dxflow_async.transfer.planning.listing import pages, stat
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.request import request

__all__ = ["AsyncAreaStorage"]


class AsyncAreaStorage(AreaFiles):
    """One storage area. `AsyncStorageManager.at` and `AsyncSession.storage_at` return it.

    Paths are written `/first/second/name`; a path that ends in a slash is a directory. Every call raises
    `StorageError` when storage failed, `ConfigurationError` for an invalid argument, and `SessionClosedError` after the
    session was closed.

    Example:
        >>> async def main() -> None:
        ...     async with AsyncSession() as session:
        ...         storage = session.get_storage_manager().at("gcp")
        ...         await storage.upload("results/", "/bucket/results/")
        ...         print([item.name for item in await storage.list("/bucket/results/")])
    """

    def __init__(self, transfers: TransferService, find: Callable[[], Awaitable[Area]]) -> None:
        # Each call finds the area anew: the first one signs in, and a unit may move to another address.
        super().__init__(transfers.resources, find)
        self._transfers = transfers

    # Listing

    async def list(self, path: str = "/", *, recursive: bool = False) -> ItemList:
        """Lists a directory, or the one object of that name.

        Args:
            path: the directory or object.
            recursive: whether to list everything below the directory.

        Returns:
            The items in the order of their names.

        Raises:
            NotFoundError: there is no such directory or object.
        """
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
        """Yields the items below a directory in the order of their names. It holds two pages in memory."""
        return AsyncItemStream(self._scan(path, recursive=recursive), self._resources.owner)

    async def _scan(self, path: str, *, recursive: bool) -> AsyncGenerator[Sequence[Item], None]:
        area = await self._find()
        prefix = area.key(path)
        if prefix and not prefix.endswith("/"):
            prefix += "/"
        limits, policy = self._resources.limits, self._resources.policy
        async for page in pages(area.provider, prefix, recursive=recursive, limits=limits, policy=policy):
            yield [area.item(entry) for entry in page if entry.key != prefix]

    async def stat(self, path: str) -> Item:
        """Returns an object with its media type, metadata and checksum, or a directory.

        Raises:
            NotFoundError: there is no such object or directory.
        """
        area = await self._find()
        limits, policy = self._resources.limits, self._resources.policy
        found = await stat(area.provider, area.key(path), limits=limits, policy=policy)
        if found is None:
            raise NotFoundError(
                f"{area.name} stat of {path} failed: there is no such object or directory; check the path",
                provider=area.name,
                operation="stat",
                path=path,
            )
        return area.item(found)

    async def exists(self, path: str) -> bool:
        """Returns whether there is an object or a directory at a path."""
        try:
            await self.stat(path)
        except NotFoundError:
            return False
        return True

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
        """Returns whether a path names a whole bucket or container; that there is one is not checked."""
        area = await self._find()
        key = area.key(path).removesuffix("/")
        return bool(key) and area.provider.features.buckets and "/" not in key

    async def update_path_items(self, path: str = "/") -> ItemList:
        """Lists a directory into the session's listing cache, and returns the listing."""
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
        """Lists a directory and all directories below it into the session's listing cache."""
        waiting = [directory_path(path)]
        while waiting:
            items = await self.update_path_items(waiting.pop())
            waiting += [item.path for item in items if item.directory]

    # Transferring

    async def upload(
        self,
        src: str | os.PathLike[str],
        dst: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
        **where: Unpack[ExecutorOptions],
    ) -> TransferReport:
        """Uploads a file, a directory with everything in it, or the files that match a glob pattern.

        Args:
            src: the local path. Of a directory with a trailing slash only the content is uploaded.
            dst: with a trailing slash the directory to upload into, else exactly the name of the new object.
            content_type: the media type; by default each name's ending decides.
            metadata: stored with each object.
            on_progress: called with a `Progress` at most ten times a second.
            processes, executor, credentials, shared: run the call on several processes or machines; see
                `ExecutorOptions`.

        Returns:
            The result of each file.

        Raises:
            NotFoundError: there is no such file, and nothing matches.
            TransferError: some file failed; the others are stored.
            UnsupportedError: the area is public, and the provider has no public objects.
        """
        workers, area = Workers.of(**where), await self._find()
        arguments = {"content_type": content_type, "metadata": dict(metadata or {})}
        source, destination = ResolvedLocation(os.fspath(src)), ResolvedLocation(area.path_of(dst), area)
        return await self._transfers.run("upload", source, destination, arguments, on_progress, workers)

    async def download(
        self,
        src: str,
        dst: str | os.PathLike[str] | None = None,
        *,
        on_progress: OnProgress | None = None,
        **where: Unpack[ExecutorOptions],
    ) -> TransferReport:
        """Downloads an object, or a directory with everything in it, into a local directory.

        Args:
            src: the remote path; with a trailing slash everything under it.
            dst: the local directory, which is made when it is missing; by default the current one. When its last
                component is the source's name (and not a directory), it is the new file itself; where that is a
                symbolic link, the file that the link leads to is replaced.
            on_progress: called with a `Progress` at most ten times a second.
            processes, executor, credentials, shared: as for `upload`.

        Returns:
            The result of each object.

        Raises:
            NotFoundError: there is no such object or directory.
            UnsafePathError: the new file itself is a pipe, a socket, a device or a link to nothing.
            TransferError: some object failed, for example because a link or a pipe has its name; the others are
                stored.
        """
        workers, area = Workers.of(**where), await self._find()
        destination = ResolvedLocation(working_directory() if dst is None else os.fspath(dst))
        source = ResolvedLocation(area.path_of(src), area)
        return await self._transfers.run("download", source, destination, {}, on_progress, workers)

    async def upload_many(
        self,
        pairs: Pairs,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
        **where: Unpack[ExecutorOptions],
    ) -> TransferReport:
        """Uploads files under names of their own. Otherwise like `upload`.

        Args:
            pairs: pairs of a local and a remote path; read as fast as the files are sent.
            content_type: as for `upload`.
            metadata: as for `upload`.
            on_progress: as for `upload`.
            processes, executor, credentials, shared: as for `upload`.
        """
        workers, area = Workers.of(**where), await self._find()
        arguments = {"content_type": content_type, "metadata": dict(metadata or {})}
        source, destination = ResolvedLocation(""), ResolvedLocation("", area)
        run = self._transfers.run
        return await run("upload_many", source, destination, arguments, on_progress, workers, pairs=pairs)

    async def download_many(
        self, pairs: Pairs, *, on_progress: OnProgress | None = None, **where: Unpack[ExecutorOptions]
    ) -> TransferReport:
        """Downloads objects to files. Otherwise like `download`.

        Args:
            pairs: pairs of a remote and a local path; read as fast as the objects arrive.
            on_progress: as for `download`.
            processes, executor, credentials, shared: as for `upload`.
        """
        workers, area = Workers.of(**where), await self._find()
        source, destination = ResolvedLocation("", area), ResolvedLocation("")
        return await self._transfers.run("download_many", source, destination, {}, on_progress, workers, pairs=pairs)

    async def write(
        self,
        path: str,
        data: WrittenData,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Stores a stream of unknown length under a path. Memory stays bounded; a broken stream stores nothing.

        Args:
            path: the new object.
            data: bytes, an open binary file, or an iterable of bytes, asynchronous or not. An exception that it raises
                passes through.
            content_type: the media type; by default the name's ending decides.
            metadata: stored with the object.
            on_progress: called with a `Progress` at most ten times a second.

        Raises:
            StorageError: the object could not be stored.
        """
        area = await self._find()
        place = area.place(path)
        place.check_target("write")
        options = ObjectOptions(content_type or content_type_of(path), metadata or {}, area.public)
        context = self._resources.context(on_progress)
        chunks = data if isinstance(data, AsyncIterable) else chunks_of_data(data, self._resources.threads)
        report = TransferReport([await StreamWriter(context, place, options).write(chunks)], context.meter.seconds)
        self._transfers.cache.note_stored(area, report)
        context.meter.close()
        return report

    def read(self, path: str, start: int | None = None, end: int | None = None) -> AsyncItemStream[bytes]:
        r"""Yields the bytes `[start, end)` of one version of an object; a broken connection is resumed.

        Where not all of them are read, use `async with`, which gives the connection back.

        Raises:
            NotFoundError: there is no such object.
            PreconditionFailedError: the object has no byte at `start`, or was replaced while it was read.
            ChecksumMismatchError: a whole object was read, and its checksum is not the provider's; raised after the
                last bytes.

        Example:
            >>> async def first_line(storage: AsyncAreaStorage) -> bytes:
            ...     async with storage.read("/bucket/results.csv") as chunks:
            ...         return (await anext(chunks, b"")).partition(b"\n")[0]
        """
        return AsyncItemStream(self._read(path, start, end), self._resources.owner)

    async def _read(self, path: str, start: int | None, end: int | None) -> AsyncGenerator[Sequence[bytes], None]:
        for name, value in (("start", start), ("end", end)):
            if value is not None and not isinstance(value, int):
                text = "it must be a number of bytes; name the arguments, as in read(path, provider=...)"
                raise ConfigurationError(f"{name} = {value!r:.100} is not allowed; {text}")
        start = start or 0
        if start < 0 or (end is not None and end < start):
            raise ConfigurationError(f"range = [{start}, {end}) is not allowed; it must be 0 <= start <= end")
        area = await self._find()
        if start == end:
            return
        reader, step = await open_reader(self._resources, area, area.key(path), start, end)
        crc, comparable = 0, area.provider.features.checksum_told and reader.size == reader.entry.size
        try:
            while chunk := await step(reader.read):
                crc = crc32c(chunk, crc) if comparable or reader.crc32c is not None else 0
                yield (bytes(chunk),)
        finally:
            await reader.aclose()
        limits, policy = self._resources.limits, self._resources.policy
        if comparable and reader.crc32c is None:
            reader.crc32c = await stored_checksum(
                area.provider, reader.entry, lambda ask: request(ask, area.provider, limits=limits, policy=policy)
            )
        if reader.crc32c not in (None, crc):
            raise ChecksumMismatchError(
                f"{area.name} read of {path} failed: the bytes that arrived have another checksum than the object; "
                "do not use them, and read it again",
                provider=area.name,
                operation="read",
                path=path,
            )

    async def copy(self, src: str, dst: str, **where: Unpack[ExecutorOptions]) -> TransferReport:
        """Copies an object, or a directory with everything in it, within the area. The provider copies if it can.

        Args:
            src: the source. Of a directory with a trailing slash only the content is copied.
            dst: with a trailing slash the directory to copy into, else exactly the new name.
            processes, executor, credentials, shared: as for `upload`.
        """
        workers, area = Workers.of(**where), await self._find()
        source, destination = (ResolvedLocation(area.path_of(path), area) for path in (src, dst))
        return await self._transfers.relocate(source, destination, None, workers)

    async def move(self, src: str, dst: str, **where: Unpack[ExecutorOptions]) -> TransferReport:
        """Moves, with the rules of `copy`. A source is deleted only after its copy is complete."""
        workers, area = Workers.of(**where), await self._find()
        source, destination = (ResolvedLocation(area.path_of(path), area) for path in (src, dst))
        return await self._transfers.relocate(source, destination, None, workers, move=True)

    async def mkdir(self, path: str) -> None:
        """Makes a directory, and those above it, where directories are real. One that exists already is no error.

        Raises:
            UnsupportedError: directories are not real there: a directory is what names of objects begin with.
        """
        area = await self._find()
        place = directory(area.place(path))
        if not place.key:
            return
        place.check_target("mkdir", directory=True)
        if not area.provider.real_directories:
            raise UnsupportedError(
                f"{area.name} mkdir of {path} failed: directories are not real there; write an object below it",
                provider=area.name,
                operation="mkdir",
                path=path,
            )
        await make_directory(self._resources.context(None), place)

    # Deleting

    async def delete(self, path: str | Iterable[str], **where: Unpack[ExecutorOptions]) -> int:
        """Deletes an object, several objects, or (a path that ends in a slash) a directory with everything in it.

        Returns:
            The number of objects whose deletion was requested. An object that does not exist is no error. A real
            directory counts as one.

        Raises:
            TransferError: some objects could not be deleted; the report has them. The others are gone.
            StorageError: the only object could not be deleted, or the objects could not be listed.
        """
        result = await self.try_delete(path, **where)
        if result.error is not None:
            raise result.error
        return result.asked

    async def try_delete(self, path: str | Iterable[str], **where: Unpack[ExecutorOptions]) -> DeleteResult:
        """Deletes like `delete`, and returns the outcome of a deletion that failed instead of raising its error."""
        workers, area = Workers.of(**where), await self._find()
        keys_of, coordinator = partial(self._keys_to_delete, area), self._transfers.deleter(area, workers)
        deletion = Deletion(self._resources, self._transfers.cache, area, keys_of, coordinator)
        return await deletion.run((path,) if isinstance(path, str) else path)

    def _keys_to_delete(self, area: Area, path: str) -> AsyncIterator[str]:
        return keys_to_delete(self._resources, area, path)

    # Sharing

    async def endpoint_facts(self) -> Sequence[tuple[str, str]]:
        """Returns what this session learned of the service: pairs of a fact and its value, with the reason.

        They name optional parts of the protocol and limits that the service's answers, its host name or the settings
        told, and how long each is believed. No request is made for them.
        """
        return (await self._find()).provider.endpoint_facts()

    async def presign(self, path: str, expires: float = 3600.0, *, method: str = "GET") -> str:
        """Returns a URL of one object that works without credentials. Treat it as a secret.

        Args:
            path: the object.
            expires: how long the URL works, in seconds.
            method: the HTTP method that it allows.

        Raises:
            UnsupportedError: the provider has no such URLs.
        """
        area = await self._find()
        if not area.provider.features.presign:
            stands_in = area.provider.name != area.name
            advice = "configure the real provider" if stands_in else "copy the object to a cloud, and sign it there"
            raise UnsupportedError(
                f"{area.name} presign of {path} failed: {area.provider.name} storage has no URLs; {advice}",
                provider=area.name,
                operation="presign",
                path=path,
            )
        with translated(area.provider):
            return await area.provider.presign(area.key(path), expires, method=method)
