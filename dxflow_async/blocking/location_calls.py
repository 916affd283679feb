"""The blocking twin of `dxflow_async.location_calls`: one delegate for each method."""

from __future__ import annotations

import builtins
import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO, Literal, Unpack, overload

from dxflow_async.blocking.area_storage import AreaStorage
from dxflow_async.blocking.compute import UnitStorage
from dxflow_async.blocking.feeding import BATCH_BYTES, buffers
from dxflow_async.blocking.item_stream import ItemStream
from dxflow_async.blocking.portal import Portal
from dxflow_async.blocking.transfers import TransferCalls
from dxflow_async.compute.storage import AsyncUnitStorage
from dxflow_async.models import Item, ItemList, SyncPlan, TransferReport
from dxflow_async.providers.contract import Encryption, ObjectOptions
from dxflow_async.session import AsyncSession
from dxflow_async.storage.resolver import Written
from dxflow_async.transfer.context import Symlinks
from dxflow_async.transfer.items.overwriting import Overwrite
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.selection import SelectionOptions
from dxflow_async.transfer.sync.check_report import CheckReport
from dxflow_async.transfer.sync.compare import Compare
from dxflow_async.transfer.sync.sync import SyncOptions

__all__ = ["LocationCalls"]


class LocationCalls:
    """The part of `Session` whose calls are given locations; the blocking twin of `AsyncLocationCalls`."""

    _session: AsyncSession
    _portal: Portal
    _calls: TransferCalls

    def copy(
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
            overwrite, symlinks: as for `AreaStorage.upload` and `download`.
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
            >>> def main() -> None:
            ...     with Session() as session:
            ...         session.copy("aws:/bucket/results/", "gcp:/other-bucket/results/")
        """
        call = functools.partial(
            self._session.copy,
            src,
            dst,
            storage_type=storage_type,
            options=options,
            overwrite=overwrite,
            symlinks=symlinks,
            include=include if isinstance(include, str) else tuple(include),
            exclude=exclude if isinstance(exclude, str) else tuple(exclude),
            **where,
        )
        return self._calls.run("copy", on_progress, lambda show: call(on_progress=show))

    def move(
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
        call = functools.partial(
            self._session.move,
            src,
            dst,
            storage_type=storage_type,
            options=options,
            overwrite=overwrite,
            symlinks=symlinks,
            include=include if isinstance(include, str) else tuple(include),
            exclude=exclude if isinstance(exclude, str) else tuple(exclude),
            **where,
        )
        return self._calls.run("move", on_progress, lambda show: call(on_progress=show))

    @overload
    def sync(
        self, src: Written, dst: Written, *, dry_run: Literal[False] = False, **options: Unpack[SyncOptions]
    ) -> TransferReport: ...
    @overload
    def sync(
        self, src: Written, dst: Written, *, dry_run: Literal[True], **options: Unpack[SyncOptions]
    ) -> SyncPlan: ...
    def sync(
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
        call = functools.partial(
            self._session.sync,
            src,
            dst,
            delete=delete,
            compare=compare,
            include=include if isinstance(include, str) else tuple(include),
            exclude=exclude if isinstance(exclude, str) else tuple(exclude),
            storage_type=storage_type,
            **where,
        )
        if dry_run:
            return self._portal.call(call, dry_run=True)
        return self._calls.run("sync", on_progress, lambda show: call(on_progress=show))

    def storage_at(self, location: Written, *, storage_type: str = "private") -> tuple[AreaStorage, str]:
        """Returns the storage that a location is in, and the path there.

        Of a local path, that is the storage of this machine's disks, and the absolute path.

        Raises:
            ConfigurationError: the text is not a location.
            UnitNotFoundError: there is no such compute unit.

        Example:
            >>> def main() -> None:
            ...     with Session() as session:
            ...         storage, path = session.storage_at("gcp:/bucket/results/")
            ...         print([item.name for item in storage.list(path)])
        """
        twin, path = self._portal.call(self._session.storage_at, location, storage_type=storage_type)
        if isinstance(twin, AsyncUnitStorage):
            return UnitStorage(self, self._calls, twin), path
        return AreaStorage(self, self._calls, twin), path

    def list(
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
        return self._portal.call(
            self._session.list, location, recursive=recursive, versions=versions, storage_type=storage_type
        )

    def scan(self, location: Written, *, recursive: bool = True, storage_type: str = "private") -> ItemStream[Item]:
        """Yields the items below a directory in the order of their names. It holds two pages in memory."""
        scan = functools.partial(self._session.scan, location, recursive=recursive, storage_type=storage_type)
        return ItemStream(self._portal.iterate(scan))

    def stat(
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
            version, encryption: as for `AreaStorage.stat`.
            storage_type: the area of remotes.

        Raises:
            NotFoundError: there is no such object or directory.
        """
        return self._portal.call(
            self._session.stat, location, version=version, encryption=encryption, storage_type=storage_type
        )

    def exists(self, location: Written, *, storage_type: str = "private") -> bool:
        """Returns whether there is an object or a directory at a location."""
        return self._portal.call(self._session.exists, location, storage_type=storage_type)

    def read(
        self,
        location: Written,
        start: int | None = None,
        end: int | None = None,
        *,
        version: str | None = None,
        encryption: Encryption | None = None,
        storage_type: str = "private",
    ) -> ItemStream[bytes]:
        """Yields the bytes `[start, end)` of one version of an object, as `AreaStorage.read` does."""
        chunks = functools.partial(
            self._session.read,
            location,
            start,
            end,
            version=version,
            encryption=encryption,
            storage_type=storage_type,
        )
        return ItemStream(self._portal.iterate(chunks, limit=BATCH_BYTES, weigh=len))

    def read_bytes(
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
            >>> def main() -> None:
            ...     with Session() as session:
            ...         header = session.read_bytes("aws:/bucket/results.csv", 0, 100)
        """
        return self._portal.call(
            self._session.read_bytes,
            location,
            start,
            end,
            version=version,
            encryption=encryption,
            storage_type=storage_type,
        )

    def write(
        self,
        location: Written,
        data: bytes | BinaryIO | Iterable[bytes],
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        options: ObjectOptions | None = None,
        overwrite: bool | Literal["skip"] = True,
        if_match: str | None = None,
        storage_type: str = "private",
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Stores bytes, the rest of an open binary file, or an iterable of bytes (iterated in the calling thread).

        Args:
            location: the new object.
            data: bytes, an open binary file, or an iterable of bytes, which the calling thread iterates.
            content_type: the media type; by default the name's ending decides.
            metadata: stored with the object.
            options, overwrite, if_match: as for `AreaStorage.write`.
            storage_type: the area of remotes.
            on_progress: called with a `Progress` at most ten times a second.

        Raises:
            TypeError: text was given; encode it, or open the file in binary mode.
            StorageError: the object could not be stored.

        Example:
            >>> def main() -> None:
            ...     with Session() as session:
            ...         session.write("aws:/bucket/hello.txt", b"hello")
        """
        call = functools.partial(
            self._session.write,
            location,
            content_type=content_type,
            metadata=metadata,
            options=options,
            overwrite=overwrite,
            if_match=if_match,
            storage_type=storage_type,
        )
        return self._portal.feed(lambda stream: call(stream, on_progress=on_progress), buffers(data))

    def delete(
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
            if_match, version: of a single object, as for `AreaStorage.delete`.
            storage_type: the area of remotes.

        Returns:
            The number of objects whose deletion was requested. An object that does not exist is no error.

        Raises:
            PreconditionFailedError: the object does not have the etag `if_match`; it stays.
            TransferError: some objects could not be deleted; the report has them. The others are gone.
        """
        given = location if isinstance(location, str | os.PathLike) else builtins.list(location)
        return self._portal.call(
            self._session.delete, given, if_match=if_match, version=version, storage_type=storage_type
        )

    def presign(
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
        return self._portal.call(
            self._session.presign, location, expires=expires, method=method, storage_type=storage_type
        )

    def check(
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
            >>> def main() -> None:
            ...     with Session() as session:
            ...         report = session.check("results/", "aws:/bucket/results/")
            ...         print(report.ok, report.differing, report.missing, report.extra)
        """
        return self._portal.call(
            self._session.check,
            a,
            b,
            compare=compare,
            include=include if isinstance(include, str) else tuple(include),
            exclude=exclude if isinstance(exclude, str) else tuple(exclude),
            storage_type=storage_type,
            **conditions,
        )
