"""The calls on locations: every verb, at any remote, unit, URL or local path, by the location alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from itertools import groupby
from typing import Any, Literal, Unpack, overload

from dxflow_async.compute.storage import AsyncUnitStorage
from dxflow_async.concurrency.item_stream import AsyncItemStream
from dxflow_async.exceptions import ConfigurationError, NotFoundError
from dxflow_async.models import Item, ItemList, SyncPlan, TransferReport
from dxflow_async.providers.contract import Encryption, ObjectOptions
from dxflow_async.storage.area import UnitArea
from dxflow_async.storage.area_storage import AsyncAreaStorage
from dxflow_async.storage.resolver import LocationResolver, Written
from dxflow_async.storage.transfer_service import TransferService
from dxflow_async.storage.write_rules import WriteRules
from dxflow_async.storage.written_data import WrittenData
from dxflow_async.transfer.context import Symlinks
from dxflow_async.transfer.executor.options import Workers
from dxflow_async.transfer.items.overwriting import Overwrite
from dxflow_async.transfer.planning.globbing import has_magic
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.selection import Selection, SelectionOptions, split_options
from dxflow_async.transfer.sync.check_report import CheckReport
from dxflow_async.transfer.sync.compare import Compare
from dxflow_async.transfer.sync.sync import Rules, SyncOptions

__all__ = ["AsyncLocationCalls"]


class AsyncLocationCalls:
    """The part of `AsyncSession` whose calls are given locations.

    A location is written `aws:/bucket/key`, with the name of any remote, `unit:/Demo/dir/file`, as a URL such as
    `s3://bucket/key`, or as a local path. `storage_type` is the area of remotes, `"private"` or `"public"`. Every call
    raises `ConfigurationError` for a text that is not a location, `StorageError` when storage failed, and
    `SessionClosedError` after the session was closed.
    """

    _transfers: TransferService
    _resolver: LocationResolver

    async def copy(
        self,
        src: Written | Sequence[Written],
        dst: Written,
        *,
        include: str | Iterable[str] = (),
        exclude: str | Iterable[str] = (),
        storage_type: str = "private",
        options: ObjectOptions | None = None,
        overwrite: Overwrite = True,
        symlinks: Symlinks = "follow",
        on_progress: OnProgress | None = None,
        **where: Unpack[SelectionOptions],
    ) -> TransferReport:
        """Copies a file, an object, or a directory with everything in it, between any two locations.

        Locations are written `aws:/bucket/key`, with the name of any remote, `unit:/Demo/dir/file`, as a URL such as
        `s3://bucket/key`, or as a local path. Within a provider the provider copies; between two of them the bytes
        stream through memory, large objects in parallel parts, and are compared with the checksums of both sides.

        Args:
            src: the source, which may be a glob pattern, or several sources in one place. Of a directory with a
                trailing slash only the content is copied.
            dst: with a trailing slash (or an existing local directory) the directory to copy into, else exactly the new
                name.
            include, exclude: which names are copied, as for `sync`.
            storage_type: the area of remotes, `"private"` or `"public"`.
            options: what is stored with each copy, instead of what is stored with its source.
            overwrite, symlinks: as for `AsyncAreaStorage.upload` and `download`.
            on_progress: called with a `Progress` at most ten times a second.
            files, newer, older, larger, smaller: which items are copied, by a list of names, by age and by size; see
                `SelectionOptions`.
            processes, executor, credentials, shared: run the call on several processes or machines; see
                `ExecutorOptions`.

        Raises:
            ExecutorError: the workers cannot go on.
            ConfigurationError: `src` or `dst` is not a location.
            NotFoundError: there is no such source.
            UnsupportedError: the source is a pipe, a socket or a device.
            UnsafePathError: the destination is the source, or lies in it, or is a pipe, a socket, a device or a broken
                link. A link to a file stays, and that file is replaced.
            TransferError: some item failed; the others are stored.

        Example:
            >>> async def main() -> None:
            ...     async with AsyncSession() as session:
            ...         await session.copy("aws:/bucket/results/", "gcp:/other-bucket/results/")
        """
        rules = WriteRules.of(options, overwrite=overwrite, symlinks=symlinks)
        selection, workers = _selected(include, exclude, where)
        return await self._transfers.copy(
            src, dst, storage_type, on_progress, workers, rules=rules, selection=selection
        )

    async def move(
        self,
        src: Written | Sequence[Written],
        dst: Written,
        *,
        include: str | Iterable[str] = (),
        exclude: str | Iterable[str] = (),
        storage_type: str = "private",
        options: ObjectOptions | None = None,
        overwrite: Overwrite = True,
        symlinks: Symlinks = "follow",
        on_progress: OnProgress | None = None,
        **where: Unpack[SelectionOptions],
    ) -> TransferReport:
        """Moves, with the rules of `copy`. Each source is deleted once its copy is known to be stored.

        On one local disk a move is a rename. Local directories that the move has emptied are removed, except for a
        source with a trailing slash. Files behind a symbolic link are copied, and stay.
        """
        rules = WriteRules.of(options, overwrite=overwrite, symlinks=symlinks)
        selection, workers = _selected(include, exclude, where)
        return await self._transfers.copy(
            src, dst, storage_type, on_progress, workers, move=True, rules=rules, selection=selection
        )

    @overload
    async def sync(
        self, src: Written, dst: Written, *, dry_run: Literal[False] = False, **options: Unpack[SyncOptions]
    ) -> TransferReport: ...
    @overload
    async def sync(
        self, src: Written, dst: Written, *, dry_run: Literal[True], **options: Unpack[SyncOptions]
    ) -> SyncPlan: ...
    async def sync(
        self,
        src: Written,
        dst: Written,
        *,
        delete: bool = False,
        compare: Compare = "size+mtime",
        include: str | Iterable[str] = (),
        exclude: str | Iterable[str] = (),
        dry_run: bool = False,
        storage_type: str = "private",
        on_progress: OnProgress | None = None,
        **where: Unpack[SelectionOptions],
    ) -> TransferReport | SyncPlan:
        """Syncs a directory: copies everything that is new or changed at `src` to `dst`.

        Both are directories, with or without a trailing slash; a `dst` that does not exist is made. Memory does not
        grow with the directories.

        Args:
            src: the directory to read, as for `copy`.
            dst: the directory to change.
            delete, compare, include, exclude, storage_type, on_progress: see `SyncOptions`.
            dry_run: whether only to return the plan, which this process makes.
            processes, executor, credentials, shared: as for `copy`.

        Returns:
            The copied and the deleted items; with `dry_run` the plan.

        Raises:
            ConfigurationError: a pattern or a comparison is invalid.
            NotFoundError: there is no such source; nothing is deleted.
            UnsafePathError: one of the directories lies in the other one.
            TransferError: an item could not be copied, and nothing was deleted; or an item could not be read at `src`
                or deleted at `dst`, and everything else was done.
        """
        chosen, places = split_options(where)
        rules, workers = Rules.of(compare, include, exclude, delete=delete, **chosen), Workers.of(**places)
        if dry_run:
            return await self._transfers.plan_sync(src, dst, rules, storage_type)
        return await self._transfers.sync(src, dst, rules, storage_type, on_progress, workers)

    async def storage_at(self, location: Written, *, storage_type: str = "private") -> tuple[AsyncAreaStorage, str]:
        """Returns the storage that a location is in, and the path there.

        Of a local path, that is the storage of this machine's disks, and the absolute path.

        Raises:
            ConfigurationError: the text is not a location.
            UnitNotFoundError: there is no such compute unit.

        Example:
            >>> async def main() -> None:
            ...     async with AsyncSession() as session:
            ...         storage, path = await session.storage_at("gcp:/bucket/results/")
            ...         print([item.name for item in await storage.list(path)])
        """
        area, path = await self._resolver.area_and_path(location, storage_type)
        storage = AsyncUnitStorage if isinstance(area, UnitArea) else AsyncAreaStorage
        return storage(self._transfers, partial(self._resolver.area_of, location, storage_type)), path

    async def list(
        self, location: Written, *, recursive: bool = False, versions: bool = False, storage_type: str = "private"
    ) -> ItemList:
        """Lists a directory, the one object of that name, or the objects and directories that match a pattern.

        Args:
            location: the directory, the object, or a pattern such as `aws:/bucket/run-*/**/*.csv`.
            recursive: whether to list everything below the directory.
            versions: list every version that the bucket keeps, the newest of each name first.
            storage_type: the area of remotes.

        Returns:
            The items in the order of their names.

        Raises:
            NotFoundError: there is no such directory or object, or nothing matches.
        """
        storage, path = await self.storage_at(location, storage_type=storage_type)
        if versions or not has_magic(path):
            return await storage.list(path, recursive=recursive, versions=versions)
        found = ItemList([item async for item in storage.glob(path)])
        if not found:
            raise NotFoundError(
                f"list of {location} failed: nothing matches; check the pattern", operation="list", path=path
            )
        return found

    def scan(
        self, location: Written, *, recursive: bool = True, storage_type: str = "private"
    ) -> AsyncItemStream[Item]:
        """Yields the items below a directory in the order of their names. It holds two pages in memory."""
        return AsyncItemStream(self._scan(location, recursive, storage_type), self._transfers.resources.owner)

    async def stat(
        self,
        location: Written,
        *,
        version: str | None = None,
        encryption: Encryption | None = None,
        storage_type: str = "private",
    ) -> Item:
        """Returns an object with its media type, metadata and checksum, or a directory.

        Args:
            location: the object or the directory.
            version, encryption: as for `AsyncAreaStorage.stat`.
            storage_type: the area of remotes.

        Raises:
            NotFoundError: there is no such object or directory.
        """
        storage, path = await self.storage_at(location, storage_type=storage_type)
        return await storage.stat(path, version=version, encryption=encryption)

    async def exists(self, location: Written, *, storage_type: str = "private") -> bool:
        """Returns whether there is an object or a directory at a location."""
        storage, path = await self.storage_at(location, storage_type=storage_type)
        return await storage.exists(path)

    def read(
        self,
        location: Written,
        start: int | None = None,
        end: int | None = None,
        *,
        version: str | None = None,
        encryption: Encryption | None = None,
        storage_type: str = "private",
    ) -> AsyncItemStream[bytes]:
        """Yields the bytes `[start, end)` of one version of an object, as `AsyncAreaStorage.read` does."""
        options = {"version": version, "encryption": encryption}
        chunks = self._read(location, (start, end), storage_type, options)
        return AsyncItemStream(chunks, self._transfers.resources.owner)

    async def read_bytes(
        self,
        location: Written,
        start: int | None = None,
        end: int | None = None,
        *,
        version: str | None = None,
        encryption: Encryption | None = None,
        storage_type: str = "private",
    ) -> bytes:
        """Returns the bytes `[start, end)` of an object, by default all of them. They have to fit into memory.

        Raises:
            NotFoundError: there is no such object.
            ChecksumMismatchError: a whole object was read, and its checksum is not the provider's.

        Example:
            >>> async def main() -> None:
            ...     async with AsyncSession() as session:
            ...         header = await session.read_bytes("aws:/bucket/results.csv", 0, 100)
        """
        options = {"version": version, "encryption": encryption}
        async with aclosing(self._read(location, (start, end), storage_type, options)) as batches:
            return b"".join([chunk async for batch in batches for chunk in batch])

    async def write(
        self,
        location: Written,
        data: WrittenData,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        options: ObjectOptions | None = None,
        overwrite: bool | Literal["skip"] = True,
        if_match: str | None = None,
        storage_type: str = "private",
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Stores bytes, a file or a stream of unknown length. Memory stays bounded; a broken stream stores nothing.

        Args:
            location: the new object.
            data: bytes, an open binary file, or an iterable of bytes, asynchronous or not.
            content_type: the media type; by default the name's ending decides.
            metadata: stored with the object.
            options: everything that is stored with the object; the two arguments above win.
            overwrite: as for `AsyncAreaStorage.write`: `True`, `False` or `"skip"`.
            if_match: replace only the object with this etag.
            storage_type: the area of remotes.
            on_progress: called with a `Progress` at most ten times a second.

        Raises:
            AlreadyExistsError, PreconditionFailedError: the object must not be replaced; it stays.
            StorageError: the object could not be stored.

        Example:
            >>> async def main() -> None:
            ...     async with AsyncSession() as session:
            ...         await session.write("aws:/bucket/hello.txt", b"hello", overwrite=False)
        """
        storage, path = await self.storage_at(location, storage_type=storage_type)
        return await storage.write(
            path,
            data,
            content_type=content_type,
            metadata=metadata,
            options=options,
            overwrite=overwrite,
            if_match=if_match,
            on_progress=on_progress,
        )

    async def delete(
        self,
        location: Written | Iterable[Written],
        *,
        if_match: str | None = None,
        version: str | None = None,
        storage_type: str = "private",
    ) -> int:
        """Deletes an object, several objects, or (a location that ends in a slash) a directory with everything in it.

        Args:
            location: the object, the directory, or several of them.
            if_match, version: of a single object, as for `AsyncAreaStorage.delete`.
            storage_type: the area of remotes.

        Returns:
            The number of objects whose deletion was requested. An object that does not exist is no error.

        Raises:
            PreconditionFailedError: the object does not have the etag `if_match`; it stays.
            TransferError: some objects could not be deleted; the report has them. The others are gone.
        """
        single = isinstance(location, str) or hasattr(location, "__fspath__")
        given: Iterable[Written] = (location,) if single else location  # type: ignore[assignment]
        found = [(*await self._resolver.area_and_path(each, storage_type), each) for each in given]
        count = 0
        for _, group in groupby(found, key=lambda each: each[0].id):
            members = [*group]
            storage, _ = await self.storage_at(members[0][2], storage_type=storage_type)
            paths = [path for _, path, _ in members]
            alone = paths[0] if len(found) == 1 else paths
            count += await storage.delete(alone, if_match=if_match, version=version)
        return count

    async def presign(
        self, location: Written, *, expires: float | str = 3600.0, method: str = "GET", storage_type: str = "private"
    ) -> str:
        """Returns a URL of one object that works without credentials. Treat it as a secret.

        Args:
            location: the object.
            expires: how long the URL works, in seconds or as text: `"2h"`, `"7d"`.
            method: the HTTP method that it allows.
            storage_type: the area of remotes.

        Raises:
            UnsupportedError: the provider has no such URLs.
        """
        storage, path = await self.storage_at(location, storage_type=storage_type)
        return await storage.presign(path, expires, method=method)

    async def check(
        self,
        a: Written,
        b: Written,
        *,
        compare: Compare = "checksum",
        include: str | Iterable[str] = (),
        exclude: str | Iterable[str] = (),
        storage_type: str = "private",
        **conditions: Unpack[SelectionOptions],
    ) -> CheckReport:
        """Compares two directories, and changes nothing.

        Args:
            a: a directory, as for `sync`.
            b: the other one.
            compare, include, exclude, storage_type: see `SyncOptions`; by default checksums are compared.
            files, newer, older, larger, smaller: which items of `a` are compared; see `SelectionOptions`.

        Raises:
            NotFoundError: one of the directories does not exist.

        Example:
            >>> async def main() -> None:
            ...     async with AsyncSession() as session:
            ...         report = await session.check("results/", "aws:/bucket/results/")
            ...         print(report.ok, report.differing, report.missing, report.extra)
        """
        chosen, where = split_options(conditions)
        if where:
            raise ConfigurationError(f"check has no option {', '.join(where)}; leave it out")
        rules = Rules.of(compare, include, exclude, delete=True, **chosen)
        return await self._transfers.check(a, b, rules, storage_type)

    async def _scan(
        self, location: Written, recursive: bool, storage_type: str
    ) -> AsyncGenerator[Sequence[Item], None]:
        storage, path = await self.storage_at(location, storage_type=storage_type)
        async with storage.scan(path, recursive=recursive) as items:
            async for batch in items.batches():
                yield batch

    async def _read(
        self,
        location: Written,
        span: tuple[int | None, int | None],
        storage_type: str,
        options: Mapping[str, Any],
    ) -> AsyncGenerator[Sequence[bytes], None]:
        storage, path = await self.storage_at(location, storage_type=storage_type)
        async with storage.read(path, *span, **options) as chunks:
            async for batch in chunks.batches():
                yield batch


def _selected(
    include: str | Iterable[str], exclude: str | Iterable[str], options: SelectionOptions
) -> tuple[Selection | None, Workers | None]:
    """Returns which items a call takes (None: all), and where it runs."""
    chosen, where = split_options(options)
    selection = Selection.of(include, exclude, **chosen)
    return None if selection.takes_all else selection, Workers.of(**where)
