"""The calls on locations that look, read, write and delete, by the location alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any, Literal, Unpack, overload

from dxflow_async.concurrency.item_stream import AsyncItemStream
from dxflow_async.exceptions import NotFoundError
from dxflow_async.glob_patterns import has_magic
from dxflow_async.models import Item, ItemList, TransferReport
from dxflow_async.providers.contract import Encryption, ObjectOptions
from dxflow_async.storage.area import UnitArea
from dxflow_async.storage.area_storage import AsyncAreaStorage
from dxflow_async.storage.files.opening import FileMode, Opening, OpenOptions
from dxflow_async.storage.files.reader import AsyncFileReader
from dxflow_async.storage.files.text import AsyncTextReader, AsyncTextWriter
from dxflow_async.storage.files.writer import AsyncFileWriter
from dxflow_async.storage.resolver import LocationResolver, Written
from dxflow_async.storage.transfer_service import TransferService
from dxflow_async.storage.written_data import WrittenData
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.run_options import CallOptions

__all__ = ["AsyncLocationFiles"]


class AsyncLocationFiles:
    """The part of `AsyncSession` that looks at, reads, writes and deletes what is at a location."""

    _transfers: TransferService
    _resolver: LocationResolver

    async def storage_at(self, location: Written, *, storage_type: str = "private") -> tuple[AsyncAreaStorage, str]:
        """Returns the storage that a location is in, and the path there.

        Of a local path, that is the storage of this machine's disks, and the absolute path.

        Args:
            location: the location.
            storage_type: the area of remotes, `"private"` or `"public"`.

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
        storage: type[AsyncAreaStorage] = AsyncAreaStorage
        if isinstance(area, UnitArea):
            from dxflow_async.compute.storage import AsyncUnitStorage

            storage = AsyncUnitStorage
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

        Example:
            >>> names = [item.name for item in await session.list("aws:/bucket/results/")]
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
        """Yields the items below a directory in the order of their names. It holds two pages in memory.

        Args:
            location: the directory.
            recursive: whether to yield everything below the directory, or only what is directly in it.
            storage_type: the area of remotes.

        Example:
            >>> async with session.scan("aws:/bucket/results/") as items:
            ...     total = sum([item.size async for item in items])
        """
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

        Example:
            >>> item = await session.stat("aws:/bucket/a.csv")
        """
        storage, path = await self.storage_at(location, storage_type=storage_type)
        return await storage.stat(path, version=version, encryption=encryption)

    async def exists(self, location: Written, *, storage_type: str = "private") -> bool:
        """Returns whether there is an object or a directory at a location.

        Args:
            location: the object or the directory.
            storage_type: the area of remotes.

        Example:
            >>> if not await session.exists("aws:/bucket/a.csv"):
            ...     await session.upload("a.csv", "aws:/bucket/")
        """
        storage, path = await self.storage_at(location, storage_type=storage_type)
        return await storage.exists(path)

    async def wait(
        self,
        location: Written,
        *,
        stable: float | str = 30.0,
        timeout: float | str | None = None,  # noqa: ASYNC109 - it is told what was seen
        storage_type: str = "private",
    ) -> Item:
        """Waits until an object, or all of a directory, has not changed for a time, and returns it.

        Args:
            location: the object; a directory with everything in it. What does not exist yet is waited for.
            stable: for how long nothing may change, in seconds or as text: `"30s"`.
            timeout: the longest time to wait, in seconds or as text; None: without a limit.
            storage_type: the area of remotes.

        Raises:
            StallTimeoutError: `timeout` is over.

        Example:
            >>> await session.wait("unit:/Demo/results/", stable="1m", timeout="2h")
        """
        storage, path = await self.storage_at(location, storage_type=storage_type)
        return await storage.wait(path, stable=stable, timeout=timeout)

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
        """Yields the bytes `[start, end)` of one version of an object, as `AsyncAreaStorage.read` does.

        Args:
            location: the object.
            start, end: in bytes; by default its first byte and its end.
            version, encryption: as for `AsyncAreaStorage.stat`.
            storage_type: the area of remotes.

        Example:
            >>> async with session.read("aws:/bucket/results.csv") as chunks:
            ...     size = sum([len(chunk) async for chunk in chunks])
        """
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

        Args:
            location, start, end, version, encryption, storage_type: as for `read`.

        Raises:
            NotFoundError: there is no such object.
            ChecksumMismatchError: a whole object was read, and its checksum is not the provider's.

        Example:
            >>> async def main() -> None:
            ...     async with AsyncSession() as session:
            ...         header = await session.read_bytes("aws:/bucket/results.csv", 0, 100)
        """
        storage, path = await self.storage_at(location, storage_type=storage_type)
        return await storage._read_bytes(path, start, end, version=version, encryption=encryption)

    @overload
    def open(
        self,
        location: Written,
        mode: Literal["rb"] = "rb",
        *,
        storage_type: str = "private",
        **options: Unpack[OpenOptions],
    ) -> Opening[AsyncFileReader]: ...
    @overload
    def open(
        self,
        location: Written,
        mode: Literal["wb", "xb"],
        *,
        storage_type: str = "private",
        **options: Unpack[OpenOptions],
    ) -> Opening[AsyncFileWriter]: ...
    @overload
    def open(
        self, location: Written, mode: Literal["r"], *, storage_type: str = "private", **options: Unpack[OpenOptions]
    ) -> Opening[AsyncTextReader]: ...
    @overload
    def open(
        self,
        location: Written,
        mode: Literal["w", "x"],
        *,
        storage_type: str = "private",
        **options: Unpack[OpenOptions],
    ) -> Opening[AsyncTextWriter]: ...
    def open(
        self, location: Written, mode: FileMode = "rb", *, storage_type: str = "private", **options: Unpack[OpenOptions]
    ) -> Opening[Any]:
        """Opens an object as a file, with `async with` or `await`. See `AsyncAreaStorage.open`.

        Args:
            location: the object.
            mode: `"rb"` or `"r"` to read it, `"wb"` or `"w"` to replace it, `"xb"` or `"x"` to make a new one.
            storage_type: the area of remotes.
            encoding, errors, newline: of text, as for the built-in `open`.
            content_type, metadata, options: stored with a new object.
            if_match: replace only the object with this etag.
            version, encryption: of an object that is read, as for `stat`.

        Raises:
            NotFoundError: the object that is to be read does not exist.
            AlreadyExistsError: the object that is to be new exists.

        Example:
            >>> async def main() -> None:
            ...     async with AsyncSession() as session:
            ...         async with session.open("aws:/bucket/notes.txt", "r") as file:
            ...             print(await file.read())
        """

        async def begin() -> Any:
            storage, path = await self.storage_at(location, storage_type=storage_type)
            return await storage.open(path, mode, **options)

        return Opening(begin)

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
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> int:
        """Deletes an object, several objects, or (a location that ends in a slash) a directory with everything in it.

        Args:
            location: the object, the directory, or several of them.
            if_match, version: of a single object, as for `AsyncAreaStorage.delete`.
            storage_type: the area of remotes.
            on_progress: called with a `Progress` at most ten times a second.
            timeout, on_cancel, processes, executor, credentials, shared: as for `copy`.

        Returns:
            The number of objects whose deletion was requested. An object that does not exist is no error.

        Raises:
            PreconditionFailedError: the object does not have the etag `if_match`; it stays.
            TransferError: some objects could not be deleted; the report has them. The others are gone.

        Example:
            >>> deleted = await session.delete(["aws:/bucket/a.csv", "aws:/bucket/old/"])
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
            count += await storage.delete(alone, if_match=if_match, version=version, on_progress=on_progress, **where)
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

        Example:
            >>> url = await session.presign("aws:/bucket/report.pdf", expires="2h")
        """
        storage, path = await self.storage_at(location, storage_type=storage_type)
        return await storage.presign(path, expires, method=method)

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
