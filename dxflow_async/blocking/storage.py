"""The blocking twin of `dxflow_async.storage.manager`: one delegate for each method."""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Unpack, overload

from dxflow_async.blocking.area_storage import AreaStorage
from dxflow_async.blocking.files import FileWriter, TextWriter
from dxflow_async.blocking.item_stream import ItemStream
from dxflow_async.blocking.transfers import TransferCalls
from dxflow_async.models import Item, ItemList, TransferReport
from dxflow_async.providers.contract import Encryption, ObjectOptions
from dxflow_async.storage.files.opening import FileMode, OpenOptions
from dxflow_async.storage.manager import AsyncStorageManager
from dxflow_async.transfer.context import Symlinks
from dxflow_async.transfer.items.overwriting import Overwrite
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.run_options import CallOptions

if TYPE_CHECKING:
    from dxflow_async.blocking.session import Session

__all__ = ["StorageManager"]


class StorageManager:
    """The session's storage at every remote; the blocking twin of `AsyncStorageManager`.

    `Session.get_storage_manager` returns it. `at` returns the storage of one remote. Every other method takes the
    arguments of its twin, and raises the same errors. Transfers show a progress bar on a terminal, unless `on_progress`
    is given.
    """

    def __init__(self, session: Session, calls: TransferCalls, twin: AsyncStorageManager) -> None:
        self._session = session  # a session that nobody holds is closed
        self._calls = calls
        self._portal = calls.portal
        self._twin = twin

    def at(self, provider: str = "AWS", *, storage_type: str = "private") -> AreaStorage:
        """Twin: `AsyncStorageManager.at`."""
        twin = self._portal.call_soon(self._twin.at, provider, storage_type=storage_type)
        return AreaStorage(self._session, self._calls, twin)

    @overload
    def list(
        self,
        provider: str = "AWS",
        path: str = "/",
        *,
        storage_type: str = "private",
        recursive: bool = False,
        versions: bool = False,
        return_info: Literal[False] = False,
    ) -> None: ...
    @overload
    def list(
        self,
        provider: str = "AWS",
        path: str = "/",
        *,
        storage_type: str = "private",
        recursive: bool = False,
        versions: bool = False,
        return_info: Literal[True],
    ) -> ItemList: ...
    def list(
        self,
        provider: str = "AWS",
        path: str = "/",
        *,
        storage_type: str = "private",
        recursive: bool = False,
        versions: bool = False,
        return_info: bool = False,
    ) -> ItemList | None:
        """Prints the items at a path; with `return_info` returns them instead. Twin: `AsyncStorageManager.list`."""
        storage = self._at(provider, storage_type)
        if return_info:
            return storage.list(path, recursive=recursive, versions=versions, return_info=True)
        storage.list(path, recursive=recursive, versions=versions)
        return None

    def scan(
        self,
        provider: str = "AWS",
        path: str = "/",
        *,
        storage_type: str = "private",
        recursive: bool = True,
    ) -> ItemStream[Item]:
        """Twin: `AsyncStorageManager.scan`."""
        return self._at(provider, storage_type).scan(path, recursive=recursive)

    def stat(
        self,
        path: str,
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        version: str | None = None,
        encryption: Encryption | None = None,
    ) -> Item:
        """Twin: `AsyncStorageManager.stat`."""
        return self._at(provider, storage_type).stat(path, version=version, encryption=encryption)

    def exists(self, path: str, provider: str = "AWS", *, storage_type: str = "private") -> bool:
        """Twin: `AsyncStorageManager.exists`."""
        return self._at(provider, storage_type).exists(path)

    def update_path_items(self, path: str = "/", storage_type: str = "private", provider: str = "AWS") -> None:
        """Twin: `AsyncStorageManager.update_path_items`."""
        self._at(provider, storage_type).update_path_items(path)

    def update_all(self, provider: str = "AWS", path: str = "/") -> None:
        """Twin: `AsyncStorageManager.update_all`."""
        self._at(provider, "private").update_all(path)

    def _get_content_from_path(self, provider: str, path: str) -> builtins.list[dict[str, Any]] | None:
        """Twin: `AsyncStorageManager._get_content_from_path`."""
        return self._portal.call_soon(self._twin._get_content_from_path, provider, path)

    def upload(
        self,
        src: str | os.PathLike[str],
        dst: str,
        provider: str = "AWS",
        utype: str = "private",
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
        """Twin: `AsyncStorageManager.upload`."""
        storage = self._at(provider, utype)
        return storage.upload(
            src,
            dst,
            content_type=content_type,
            metadata=metadata,
            options=options,
            overwrite=overwrite,
            symlinks=symlinks,
            if_match=if_match,
            on_progress=on_progress,
            **where,
        )

    def download(
        self,
        src: str,
        dst: str | os.PathLike[str] | None = None,
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        overwrite: Overwrite = True,
        version: str | None = None,
        encryption: Encryption | None = None,
        symlinks: Symlinks = "follow",
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Twin: `AsyncStorageManager.download`; `dst` is the current directory of the caller by default."""
        return self._at(provider, storage_type).download(
            src,
            dst,
            overwrite=overwrite,
            symlinks=symlinks,
            version=version,
            encryption=encryption,
            on_progress=on_progress,
            **where,
        )

    def upload_many(
        self,
        pairs: Iterable[tuple[str, str]],
        provider: str = "AWS",
        utype: str = "private",
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        options: ObjectOptions | None = None,
        overwrite: Overwrite = True,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Twin: `AsyncStorageManager.upload_many`; `pairs` is iterated in the calling thread."""
        storage = self._at(provider, utype)
        return storage.upload_many(
            pairs,
            content_type=content_type,
            metadata=metadata,
            options=options,
            overwrite=overwrite,
            on_progress=on_progress,
            **where,
        )

    def download_many(
        self,
        pairs: Iterable[tuple[str, str]],
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        overwrite: Overwrite = True,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Twin: `AsyncStorageManager.download_many`; `pairs` is iterated in the calling thread."""
        return self._at(provider, storage_type).download_many(
            pairs, overwrite=overwrite, on_progress=on_progress, **where
        )

    def write(
        self,
        path: str,
        data: bytes | BinaryIO | Iterable[bytes],
        provider: str = "AWS",
        utype: str = "private",
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        options: ObjectOptions | None = None,
        overwrite: bool | Literal["skip"] = True,
        if_match: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Stores bytes, an open binary file's rest, or what an iterable of bytes yields in the calling thread.

        Twin: `AsyncStorageManager.write`.

        Raises:
            TypeError: text was given; encode it, or open the file in binary mode.
        """
        storage = self._at(provider, utype)
        return storage.write(
            path,
            data,
            content_type=content_type,
            metadata=metadata,
            options=options,
            overwrite=overwrite,
            if_match=if_match,
            on_progress=on_progress,
        )

    def read(
        self,
        path: str,
        start: int | None = None,
        end: int | None = None,
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        version: str | None = None,
        encryption: Encryption | None = None,
    ) -> ItemStream[bytes]:
        """Twin: `AsyncStorageManager.read`."""
        return self._at(provider, storage_type).read(path, start, end, version=version, encryption=encryption)

    @overload
    def open(
        self,
        path: str,
        mode: Literal["rb"] = "rb",
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        **options: Unpack[OpenOptions],
    ) -> io.BufferedReader: ...
    @overload
    def open(
        self,
        path: str,
        mode: Literal["wb", "xb"],
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        **options: Unpack[OpenOptions],
    ) -> FileWriter: ...
    @overload
    def open(
        self,
        path: str,
        mode: Literal["r"],
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        **options: Unpack[OpenOptions],
    ) -> io.TextIOWrapper: ...
    @overload
    def open(
        self,
        path: str,
        mode: Literal["w", "x"],
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        **options: Unpack[OpenOptions],
    ) -> TextWriter: ...
    def open(
        self,
        path: str,
        mode: FileMode = "rb",
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        encoding: str = "utf-8",
        errors: str = "strict",
        newline: str | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> io.BufferedReader | FileWriter | io.TextIOWrapper:
        """Twin: `AsyncStorageManager.open`."""
        return self._at(provider, storage_type).open(
            path,
            mode,
            encoding=encoding,
            errors=errors,
            newline=newline,
            content_type=content_type,
            metadata=metadata,
        )

    def delete(
        self,
        path: str | Iterable[str],
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        if_match: str | None = None,
        version: str | None = None,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> int:
        """Twin: `AsyncStorageManager.delete`."""
        return self._at(provider, storage_type).delete(
            path, if_match=if_match, version=version, on_progress=on_progress, **where
        )

    def copy(
        self,
        src: str,
        dst: str,
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        options: ObjectOptions | None = None,
        overwrite: Overwrite = True,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Twin: `AsyncStorageManager.copy`."""
        return self._at(provider, storage_type).copy(
            src, dst, options=options, overwrite=overwrite, on_progress=on_progress, **where
        )

    def move(
        self,
        src: str,
        dst: str,
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        options: ObjectOptions | None = None,
        overwrite: Overwrite = True,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Twin: `AsyncStorageManager.move`."""
        return self._at(provider, storage_type).move(
            src, dst, options=options, overwrite=overwrite, on_progress=on_progress, **where
        )

    def endpoint_facts(self, provider: str = "AWS", *, storage_type: str = "private") -> Sequence[tuple[str, str]]:
        """Twin: `AsyncStorageManager.endpoint_facts`."""
        return self._at(provider, storage_type).endpoint_facts()

    def presign(
        self,
        path: str,
        expires: float = 3600.0,
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        method: str = "GET",
    ) -> str:
        """Twin: `AsyncStorageManager.presign`."""
        return self._at(provider, storage_type).presign(path, expires, method=method)

    def _at(self, provider: str, storage_type: str) -> AreaStorage:
        return AreaStorage(self._session, self._calls, self._twin.at(provider, storage_type=storage_type))
