"""The blocking twin of `dxflow_async.location_files`: one delegate for each method."""

from __future__ import annotations

import builtins
import functools
import io
import os
from collections.abc import Iterable, Mapping
from typing import BinaryIO, Literal, Unpack, overload

from dxflow_async.blocking.area_storage import AreaStorage
from dxflow_async.blocking.compute import UnitStorage
from dxflow_async.blocking.feeding import BATCH_BYTES, buffers
from dxflow_async.blocking.files import FileWriter, TextWriter, open_file
from dxflow_async.blocking.item_stream import ItemStream
from dxflow_async.blocking.portal import Portal
from dxflow_async.blocking.transfers import TransferCalls
from dxflow_async.compute.storage import AsyncUnitStorage
from dxflow_async.models import Item, ItemList, TransferReport
from dxflow_async.providers.contract import Encryption, ObjectOptions
from dxflow_async.session import AsyncSession
from dxflow_async.storage.files.opening import FileMode, OpenOptions
from dxflow_async.storage.resolver import Written
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.run_options import CallOptions

__all__ = ["LocationFiles"]


class LocationFiles:
    """The part of `Session` that looks at, reads, writes and deletes; the blocking twin of `AsyncLocationFiles`."""

    _session: AsyncSession
    _portal: Portal
    _calls: TransferCalls

    def storage_at(self, location: Written, *, storage_type: str = "private") -> tuple[AreaStorage, str]:
        """Returns the storage that a location is in, and the path there.

        Of a local path, that is the storage of this machine's disks, and the absolute path.

        Args:
            location: the location.
            storage_type: the area of remotes, `"private"` or `"public"`.

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

        Example:
            >>> names = [item.name for item in session.list("aws:/bucket/results/")]
        """
        return self._portal.call(
            self._session.list, location, recursive=recursive, versions=versions, storage_type=storage_type
        )

    def scan(self, location: Written, *, recursive: bool = True, storage_type: str = "private") -> ItemStream[Item]:
        """Yields the items below a directory in the order of their names. It holds two pages in memory.

        Args:
            location: the directory.
            recursive: whether to yield everything below the directory, or only what is directly in it.
            storage_type: the area of remotes.

        Example:
            >>> with session.scan("aws:/bucket/results/") as items:
            ...     total = sum([item.size for item in items])
        """
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

        Example:
            >>> item = session.stat("aws:/bucket/a.csv")
        """
        return self._portal.call(
            self._session.stat, location, version=version, encryption=encryption, storage_type=storage_type
        )

    def exists(self, location: Written, *, storage_type: str = "private") -> bool:
        """Returns whether there is an object or a directory at a location.

        Args:
            location: the object or the directory.
            storage_type: the area of remotes.

        Example:
            >>> if not session.exists("aws:/bucket/a.csv"):
            ...     session.upload("a.csv", "aws:/bucket/")
        """
        return self._portal.call(self._session.exists, location, storage_type=storage_type)

    def wait(
        self,
        location: Written,
        *,
        stable: float | str = 30.0,
        timeout: float | str | None = None,
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
            >>> session.wait("unit:/Demo/results/", stable="1m", timeout="2h")
        """
        return self._portal.call(
            self._session.wait, location, stable=stable, timeout=timeout, storage_type=storage_type
        )

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
        """Yields the bytes `[start, end)` of one version of an object, as `AreaStorage.read` does.

        Args:
            location: the object.
            start, end: in bytes; by default its first byte and its end.
            version, encryption: as for `AreaStorage.stat`.
            storage_type: the area of remotes.

        Example:
            >>> with session.read("aws:/bucket/results.csv") as chunks:
            ...     size = sum([len(chunk) for chunk in chunks])
        """
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

        Args:
            location, start, end, version, encryption, storage_type: as for `read`.

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

    @overload
    def open(
        self,
        location: Written,
        mode: Literal["rb"] = "rb",
        *,
        storage_type: str = "private",
        **options: Unpack[OpenOptions],
    ) -> io.BufferedReader: ...
    @overload
    def open(
        self,
        location: Written,
        mode: Literal["wb", "xb"],
        *,
        storage_type: str = "private",
        **options: Unpack[OpenOptions],
    ) -> FileWriter: ...
    @overload
    def open(
        self, location: Written, mode: Literal["r"], *, storage_type: str = "private", **options: Unpack[OpenOptions]
    ) -> io.TextIOWrapper: ...
    @overload
    def open(
        self,
        location: Written,
        mode: Literal["w", "x"],
        *,
        storage_type: str = "private",
        **options: Unpack[OpenOptions],
    ) -> TextWriter: ...
    def open(
        self, location: Written, mode: FileMode = "rb", *, storage_type: str = "private", **options: Unpack[OpenOptions]
    ) -> io.BufferedReader | FileWriter | io.TextIOWrapper:
        """Opens an object as a file of `io`, with `with`. See `AreaStorage.open`.

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
            >>> def main() -> None:
            ...     with Session() as session:
            ...         with session.open("aws:/bucket/notes.txt", "r") as file:
            ...             print(file.read())
        """
        twin = functools.partial(self._session.open, location, storage_type=storage_type)
        return open_file(twin, mode, self._portal, self, options)

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
        """Stores bytes, a file or a stream of unknown length. Memory stays bounded; a broken stream stores nothing.

        Args:
            location: the new object.
            data: bytes, an open binary file, or an iterable of bytes, asynchronous or not.
            content_type: the media type; by default the name's ending decides.
            metadata: stored with the object.
            options: everything that is stored with the object; the two arguments above win.
            overwrite: as for `AreaStorage.write`: `True`, `False` or `"skip"`.
            if_match: replace only the object with this etag.
            storage_type: the area of remotes.
            on_progress: called with a `Progress` at most ten times a second.

        Raises:
            AlreadyExistsError, PreconditionFailedError: the object must not be replaced; it stays.
            StorageError: the object could not be stored.

        Example:
            >>> def main() -> None:
            ...     with Session() as session:
            ...         session.write("aws:/bucket/hello.txt", b"hello", overwrite=False)
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
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> int:
        """Deletes an object, several objects, or (a location that ends in a slash) a directory with everything in it.

        Args:
            location: the object, the directory, or several of them.
            if_match, version: of a single object, as for `AreaStorage.delete`.
            storage_type: the area of remotes.
            on_progress: called with a `Progress` at most ten times a second.
            timeout, on_cancel, processes, executor, credentials, shared: as for `copy`.

        Returns:
            The number of objects whose deletion was requested. An object that does not exist is no error.

        Raises:
            PreconditionFailedError: the object does not have the etag `if_match`; it stays.
            TransferError: some objects could not be deleted; the report has them. The others are gone.

        Example:
            >>> deleted = session.delete(["aws:/bucket/a.csv", "aws:/bucket/old/"])
        """
        given = location if isinstance(location, str | os.PathLike) else builtins.list(location)
        call = functools.partial(
            self._session.delete, given, if_match=if_match, version=version, storage_type=storage_type, **where
        )
        return self._calls.watch("delete", on_progress, lambda show: call(on_progress=show))

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

        Example:
            >>> url = session.presign("aws:/bucket/report.pdf", expires="2h")
        """
        return self._portal.call(
            self._session.presign, location, expires=expires, method=method, storage_type=storage_type
        )
