"""The blocking twin of `dxflow_async.storage`: one delegate a method, plus what it prints."""

from __future__ import annotations

import builtins
import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, overload

from dxflow_async.blocking.feeding import BATCH_BYTES, buffers, groups
from dxflow_async.blocking.portal import Portal
from dxflow_async.blocking.progress import shown
from dxflow_async.blocking.tables import print_items
from dxflow_async.models import Item, TransferReport
from dxflow_async.storage.manager import AsyncStorageManager
from dxflow_async.transfer.progress import OnProgress

if TYPE_CHECKING:
    from dxflow_async.blocking.session import Session

__all__ = ["StorageManager"]


class StorageManager:
    """The account's storage, from threads without a loop; the twin of `AsyncStorageManager`.

    Made by `Session.get_storage_manager()`. Every method takes what its twin takes, and raises what that raises.
    Transfers show a progress bar on a terminal, unless `on_progress` is given.
    """

    def __init__(self, session: Session, portal: Portal, twin: AsyncStorageManager, *, progress: bool = True) -> None:
        self._session = session  # kept: a session nobody holds is closed
        self._portal = portal
        self._twin = twin
        self._progress = progress

    @overload
    def list(
        self,
        provider: str = "AWS",
        path: str = "/",
        *,
        storage_type: str = "private",
        recursive: bool = False,
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
        return_info: Literal[True],
    ) -> builtins.list[Item]: ...
    def list(
        self,
        provider: str = "AWS",
        path: str = "/",
        *,
        storage_type: str = "private",
        recursive: bool = False,
        return_info: bool = False,
    ) -> builtins.list[Item] | None:
        """Prints what is at a path; with `return_info` returns it instead. Twin: `AsyncStorageManager.list`."""
        items = self._portal.call(self._twin.list, provider, path, storage_type=storage_type, recursive=recursive)
        if return_info:
            return items
        print_items(items, below=path if recursive else None)
        return None

    def scan(
        self,
        provider: str = "AWS",
        path: str = "/",
        *,
        storage_type: str = "private",
        recursive: bool = True,
    ) -> Iterator[Item]:
        """Twin: `AsyncStorageManager.scan`."""
        return self._portal.iterate(
            functools.partial(self._twin.scan, provider, path, storage_type=storage_type, recursive=recursive),
        )

    def stat(self, path: str, provider: str = "AWS", *, storage_type: str = "private") -> Item:
        """Twin: `AsyncStorageManager.stat`."""
        return self._portal.call(self._twin.stat, path, provider, storage_type=storage_type)

    def exists(self, path: str, provider: str = "AWS", *, storage_type: str = "private") -> bool:
        """Twin: `AsyncStorageManager.exists`."""
        return self._portal.call(self._twin.exists, path, provider, storage_type=storage_type)

    def update_path_items(self, path: str = "/", storage_type: str = "private", provider: str = "AWS") -> None:
        """Twin: `AsyncStorageManager.update_path_items`."""
        self._portal.call(self._twin.update_path_items, path, storage_type, provider)

    def update_all(self, provider: str = "AWS", path: str = "/") -> None:
        """Twin: `AsyncStorageManager.update_all`."""
        self._portal.call(self._twin.update_all, provider, path)

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
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Twin: `AsyncStorageManager.upload`."""
        with self._shown("upload", on_progress) as show:
            return self._portal.call(
                self._twin.upload,
                src,
                dst,
                provider,
                utype,
                content_type=content_type,
                metadata=metadata,
                on_progress=show,
            )

    def download(
        self,
        src: str,
        dst: str | os.PathLike[str] | None = None,
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Twin: `AsyncStorageManager.download`; `dst` is the current directory of the caller by default."""
        dst = os.getcwd() if dst is None else dst
        with self._shown("download", on_progress) as show:
            return self._portal.call(
                self._twin.download,
                src,
                dst,
                provider,
                storage_type=storage_type,
                on_progress=show,
            )

    def upload_many(
        self,
        pairs: Iterable[tuple[str, str]],
        provider: str = "AWS",
        utype: str = "private",
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Twin: `AsyncStorageManager.upload_many`; `pairs` is iterated in the calling thread."""
        with self._shown("upload", on_progress) as show:
            return self._portal.feed(
                lambda stream: self._twin.upload_many(
                    stream,
                    provider,
                    utype,
                    content_type=content_type,
                    metadata=metadata,
                    on_progress=show,
                ),
                groups(pairs),
            )

    def download_many(
        self,
        pairs: Iterable[tuple[str, str]],
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Twin: `AsyncStorageManager.download_many`; `pairs` is iterated in the calling thread."""
        with self._shown("download", on_progress) as show:
            return self._portal.feed(
                lambda stream: self._twin.download_many(stream, provider, storage_type=storage_type, on_progress=show),
                groups(pairs),
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
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Stores bytes, an open binary file's rest, or what an iterable of bytes yields in the calling thread.

        Twin: `AsyncStorageManager.write`.

        Raises:
            TypeError: text was given; encode it, or open the file in binary mode.
        """
        return self._portal.feed(
            lambda stream: self._twin.write(
                path,
                stream,
                provider,
                utype,
                content_type=content_type,
                metadata=metadata,
                on_progress=on_progress,
            ),
            buffers(data),
        )

    def read(
        self,
        path: str,
        start: int | None = None,
        end: int | None = None,
        provider: str = "AWS",
        *,
        storage_type: str = "private",
    ) -> Iterator[bytes]:
        """Twin: `AsyncStorageManager.read`."""
        return self._portal.iterate(
            functools.partial(self._twin.read, path, start, end, provider, storage_type=storage_type),
            limit=BATCH_BYTES,
            weigh=len,
        )

    def delete(self, path: str | Iterable[str], provider: str = "AWS", *, storage_type: str = "private") -> int:
        """Twin: `AsyncStorageManager.delete`."""
        paths = path if isinstance(path, str) else builtins.list(path)
        return self._portal.call(self._twin.delete, paths, provider, storage_type=storage_type)

    def copy(self, src: str, dst: str, provider: str = "AWS", *, storage_type: str = "private") -> TransferReport:
        """Twin: `AsyncStorageManager.copy`."""
        return self._portal.call(self._twin.copy, src, dst, provider, storage_type=storage_type)

    def move(self, src: str, dst: str, provider: str = "AWS", *, storage_type: str = "private") -> TransferReport:
        """Twin: `AsyncStorageManager.move`."""
        return self._portal.call(self._twin.move, src, dst, provider, storage_type=storage_type)

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
        return self._portal.call(self._twin.presign, path, expires, provider, storage_type=storage_type, method=method)

    def _shown(self, label: str, on_progress: OnProgress | None) -> AbstractContextManager[OnProgress | None]:
        return shown(label, on_progress, enabled=self._progress)
