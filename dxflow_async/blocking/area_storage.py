"""The blocking twin of `dxflow_async.storage.area_storage`: one delegate for each method."""

from __future__ import annotations

import builtins
import functools
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO, Literal, Unpack, overload

from dxflow_async.blocking.feeding import BATCH_BYTES, buffers, groups
from dxflow_async.blocking.files import FileWriter, TextWriter, open_file
from dxflow_async.blocking.item_stream import ItemStream
from dxflow_async.blocking.tables import print_items
from dxflow_async.blocking.transfers import TransferCalls
from dxflow_async.config.working_directory import working_directory
from dxflow_async.models import DeleteResult, Item, ItemList, TransferReport
from dxflow_async.providers.contract import Encryption, ObjectOptions
from dxflow_async.storage.area_storage import AsyncAreaStorage
from dxflow_async.storage.files.opening import FileMode, OpenOptions
from dxflow_async.transfer.context import Symlinks
from dxflow_async.transfer.items.overwriting import Overwrite
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.run_options import CallOptions

__all__ = ["AreaStorage"]


class AreaStorage:
    """One storage area; the blocking twin of `AsyncAreaStorage`.

    `StorageManager.at` and `Session.storage_at` return it. Every method takes the arguments of its twin, and raises the
    same errors. Transfers show a progress bar on a terminal, unless `on_progress` is given.
    """

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
        """Prints the items at a path; with `return_info` returns them instead. Twin: `AsyncAreaStorage.list`."""
        items = self._portal.call(self._twin.list, path, recursive=recursive, versions=versions)
        if return_info:
            return items
        print_items(items, below=path if recursive else None)
        return None

    def scan(self, path: str = "/", *, recursive: bool = True) -> ItemStream[Item]:
        """Twin: `AsyncAreaStorage.scan`."""
        return ItemStream(self._portal.iterate(functools.partial(self._twin.scan, path, recursive=recursive)))

    def stat(self, path: str, *, version: str | None = None, encryption: Encryption | None = None) -> Item:
        """Twin: `AsyncAreaStorage.stat`."""
        return self._portal.call(self._twin.stat, path, version=version, encryption=encryption)

    def exists(self, path: str) -> bool:
        """Twin: `AsyncAreaStorage.exists`."""
        return self._portal.call(self._twin.exists, path)

    def glob(self, pattern: str) -> ItemStream[Item]:
        """Twin: `AsyncAreaStorage.glob`."""
        return ItemStream(self._portal.iterate(functools.partial(self._twin.glob, pattern)))

    def is_bucket(self, path: str) -> bool:
        """Twin: `AsyncAreaStorage.is_bucket`."""
        return self._portal.call(self._twin.is_bucket, path)

    def update_path_items(self, path: str = "/") -> ItemList:
        """Twin: `AsyncAreaStorage.update_path_items`."""
        return self._portal.call(self._twin.update_path_items, path)

    def update_all(self, path: str = "/") -> None:
        """Twin: `AsyncAreaStorage.update_all`."""
        self._portal.call(self._twin.update_all, path)

    def upload(
        self,
        src: str | os.PathLike[str],
        dst: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        options: ObjectOptions | None = None,
        overwrite: Overwrite = True,
        if_match: str | None = None,
        symlinks: Symlinks = "follow",
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Twin: `AsyncAreaStorage.upload`."""
        call = functools.partial(
            self._twin.upload,
            src,
            dst,
            content_type=content_type,
            metadata=metadata,
            options=options,
            overwrite=overwrite,
            symlinks=symlinks,
            if_match=if_match,
            **where,
        )
        return self._calls.run("upload", on_progress, lambda show: call(on_progress=show))

    def download(
        self,
        src: str,
        dst: str | os.PathLike[str] | None = None,
        *,
        overwrite: Overwrite = True,
        version: str | None = None,
        encryption: Encryption | None = None,
        symlinks: Symlinks = "follow",
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Twin: `AsyncAreaStorage.download`; by default `dst` is the caller's current directory."""
        path = working_directory() if dst is None else dst
        call = functools.partial(
            self._twin.download,
            src,
            path,
            overwrite=overwrite,
            symlinks=symlinks,
            version=version,
            encryption=encryption,
            **where,
        )
        return self._calls.run("download", on_progress, lambda show: call(on_progress=show))

    def upload_many(
        self,
        pairs: Iterable[tuple[str, str]],
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        options: ObjectOptions | None = None,
        overwrite: Overwrite = True,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Twin: `AsyncAreaStorage.upload_many`; `pairs` is iterated in the calling thread."""
        call = functools.partial(
            self._twin.upload_many,
            content_type=content_type,
            metadata=metadata,
            options=options,
            overwrite=overwrite,
            **where,
        )
        return self._calls.feed(
            "upload", on_progress, lambda stream, show: call(stream, on_progress=show), groups(pairs)
        )

    def download_many(
        self,
        pairs: Iterable[tuple[str, str]],
        *,
        overwrite: Overwrite = True,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Twin: `AsyncAreaStorage.download_many`; `pairs` is iterated in the calling thread."""
        call = functools.partial(self._twin.download_many, overwrite=overwrite, **where)
        return self._calls.feed(
            "download", on_progress, lambda stream, show: call(stream, on_progress=show), groups(pairs)
        )

    def write(
        self,
        path: str,
        data: bytes | BinaryIO | Iterable[bytes],
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        options: ObjectOptions | None = None,
        overwrite: bool | Literal["skip"] = True,
        if_match: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Stores bytes, the rest of an open binary file, or an iterable of bytes (iterated in the calling thread).

        Twin: `AsyncAreaStorage.write`.

        Raises:
            TypeError: text was given; encode it, or open the file in binary mode.
        """
        call = functools.partial(
            self._twin.write,
            path,
            content_type=content_type,
            metadata=metadata,
            options=options,
            overwrite=overwrite,
            if_match=if_match,
        )
        return self._portal.feed(lambda stream: call(stream, on_progress=on_progress), buffers(data))

    def read(
        self,
        path: str,
        start: int | None = None,
        end: int | None = None,
        *,
        version: str | None = None,
        encryption: Encryption | None = None,
    ) -> ItemStream[bytes]:
        """Twin: `AsyncAreaStorage.read`."""
        chunks = functools.partial(self._twin.read, path, start, end, version=version, encryption=encryption)
        return ItemStream(self._portal.iterate(chunks, limit=BATCH_BYTES, weigh=len))

    @overload
    def open(self, path: str, mode: Literal["rb"] = "rb", **options: Unpack[OpenOptions]) -> io.BufferedReader: ...
    @overload
    def open(self, path: str, mode: Literal["wb", "xb"], **options: Unpack[OpenOptions]) -> FileWriter: ...
    @overload
    def open(self, path: str, mode: Literal["r"], **options: Unpack[OpenOptions]) -> io.TextIOWrapper: ...
    @overload
    def open(self, path: str, mode: Literal["w", "x"], **options: Unpack[OpenOptions]) -> TextWriter: ...
    def open(
        self,
        path: str,
        mode: FileMode = "rb",
        *,
        encoding: str = "utf-8",
        errors: str = "strict",
        newline: str | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> io.BufferedReader | FileWriter | io.TextIOWrapper:
        """Opens an object as a file of `io`, which other libraries take. Twin: `AsyncAreaStorage.open`.

        A file that is written is stored when it is closed. When its `with` block raises, or it is garbage collected
        without being closed, nothing is stored.
        """
        options: OpenOptions = {
            "encoding": encoding,
            "errors": errors,
            "newline": newline,
            "content_type": content_type,
            "metadata": metadata,
        }
        return open_file(functools.partial(self._twin.open, path), mode, self._portal, self._session, options)

    def copy(
        self,
        src: str,
        dst: str,
        *,
        options: ObjectOptions | None = None,
        overwrite: Overwrite = True,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Twin: `AsyncAreaStorage.copy`."""
        call = functools.partial(self._twin.copy, src, dst, options=options, overwrite=overwrite, **where)
        return self._calls.run("copy", on_progress, lambda show: call(on_progress=show))

    def move(
        self,
        src: str,
        dst: str,
        *,
        options: ObjectOptions | None = None,
        overwrite: Overwrite = True,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Twin: `AsyncAreaStorage.move`."""
        call = functools.partial(self._twin.move, src, dst, options=options, overwrite=overwrite, **where)
        return self._calls.run("move", on_progress, lambda show: call(on_progress=show))

    def mkdir(self, path: str) -> None:
        """Twin: `AsyncAreaStorage.mkdir`."""
        self._portal.call(self._twin.mkdir, path)

    def delete(
        self,
        path: str | Iterable[str],
        *,
        if_match: str | None = None,
        version: str | None = None,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> int:
        """Twin: `AsyncAreaStorage.delete`."""
        paths = path if isinstance(path, str) else builtins.list(path)
        call = functools.partial(self._twin.delete, paths, if_match=if_match, version=version, **where)
        return self._calls.watch("delete", on_progress, lambda show: call(on_progress=show))

    def try_delete(
        self,
        path: str | Iterable[str],
        *,
        if_match: str | None = None,
        version: str | None = None,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> DeleteResult:
        """Twin: `AsyncAreaStorage.try_delete`."""
        paths = path if isinstance(path, str) else builtins.list(path)
        call = functools.partial(self._twin.try_delete, paths, if_match=if_match, version=version, **where)
        return self._calls.watch("delete", on_progress, lambda show: call(on_progress=show))

    def endpoint_facts(self) -> Sequence[tuple[str, str]]:
        """Twin: `AsyncAreaStorage.endpoint_facts`."""
        return self._portal.call(self._twin.endpoint_facts)

    def presign(self, path: str, expires: float = 3600.0, *, method: str = "GET") -> str:
        """Twin: `AsyncAreaStorage.presign`."""
        return self._portal.call(self._twin.presign, path, expires, method=method)
