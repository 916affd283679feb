"""The session's storage at every remote: the documented calls, each routed to one storage area."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Iterable, Mapping
from typing import Any, Literal, Unpack, overload

from dxflow_async.concurrency.item_stream import AsyncItemStream
from dxflow_async.models import TransferReport
from dxflow_async.providers.contract import Encryption, ObjectOptions
from dxflow_async.storage.files.opening import FileMode, Opening, OpenOptions
from dxflow_async.storage.files.reader import AsyncFileReader
from dxflow_async.storage.files.text import AsyncTextReader, AsyncTextWriter
from dxflow_async.storage.files.writer import AsyncFileWriter
from dxflow_async.storage.manager_listing import ManagerListing
from dxflow_async.storage.transfer_service import Pairs
from dxflow_async.transfer.context import Symlinks
from dxflow_async.transfer.overwrite import Overwrite
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.run_options import CallOptions

__all__ = ["AsyncStorageManager"]


class AsyncStorageManager(ManagerListing):
    """The session's storage at every remote.

    `at` returns the storage of one remote. Every other method is the method of `AsyncAreaStorage` with the same name,
    which documents it, at the remote that its `provider` names, in any case: `"AWS"`, `"AZURE"`, `"GCP"`, or one of the
    settings. `storage_type` and `utype` are `"private"` or `"public"`. `AsyncSession.get_storage_manager` returns it.

    Example:
        >>> async def main() -> None:
        ...     async with AsyncSession() as session:
        ...         storage = session.get_storage_manager()
        ...         report = await storage.upload("results/", "/bucket/results/")
        ...         print(report.bytes, report.goodput)
    """

    # Transferring

    async def upload(
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
        """Uploads a file, a directory, or the files that match a pattern. See `AsyncAreaStorage.upload`."""
        storage = self._at(provider, utype)
        return await storage.upload(
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

    async def download(
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
        """Downloads an object or a directory. See `AsyncAreaStorage.download`."""
        return await self._at(provider, storage_type).download(
            src,
            dst,
            overwrite=overwrite,
            symlinks=symlinks,
            version=version,
            encryption=encryption,
            on_progress=on_progress,
            **where,
        )

    async def upload_many(
        self,
        pairs: Pairs,
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
        """Uploads files under names of their own. See `AsyncAreaStorage.upload_many`."""
        storage = self._at(provider, utype)
        return await storage.upload_many(
            pairs,
            content_type=content_type,
            metadata=metadata,
            options=options,
            overwrite=overwrite,
            on_progress=on_progress,
            **where,
        )

    async def download_many(
        self,
        pairs: Pairs,
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        overwrite: Overwrite = True,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Downloads objects to files. See `AsyncAreaStorage.download_many`."""
        return await self._at(provider, storage_type).download_many(
            pairs, overwrite=overwrite, on_progress=on_progress, **where
        )

    async def write(
        self,
        path: str,
        data: AsyncIterable[bytes],
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
        """Stores a stream of unknown length under a path. See `AsyncAreaStorage.write`."""
        storage = self._at(provider, utype)
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
    ) -> AsyncItemStream[bytes]:
        """Yields the bytes `[start, end)` of an object. See `AsyncAreaStorage.read`."""
        return self._at(provider, storage_type).read(path, start, end, version=version, encryption=encryption)

    async def copy(
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
        """Copies an object or a directory within an area. See `AsyncAreaStorage.copy`."""
        return await self._at(provider, storage_type).copy(
            src, dst, options=options, overwrite=overwrite, on_progress=on_progress, **where
        )

    async def move(
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
        """Moves an object or a directory within an area. See `AsyncAreaStorage.move`."""
        return await self._at(provider, storage_type).move(
            src, dst, options=options, overwrite=overwrite, on_progress=on_progress, **where
        )

    # Opening, deleting

    @overload
    def open(
        self,
        path: str,
        mode: Literal["rb"] = "rb",
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        **options: Unpack[OpenOptions],
    ) -> Opening[AsyncFileReader]: ...
    @overload
    def open(
        self,
        path: str,
        mode: Literal["wb", "xb"],
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        **options: Unpack[OpenOptions],
    ) -> Opening[AsyncFileWriter]: ...
    @overload
    def open(
        self,
        path: str,
        mode: Literal["r"],
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        **options: Unpack[OpenOptions],
    ) -> Opening[AsyncTextReader]: ...
    @overload
    def open(
        self,
        path: str,
        mode: Literal["w", "x"],
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        **options: Unpack[OpenOptions],
    ) -> Opening[AsyncTextWriter]: ...
    def open(
        self,
        path: str,
        mode: FileMode = "rb",
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        **options: Unpack[OpenOptions],
    ) -> Opening[Any]:
        """Opens an object as a file. See `AsyncAreaStorage.open`."""
        return self._at(provider, storage_type).open(path, mode, **options)

    async def delete(
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
        """Deletes objects or a directory. See `AsyncAreaStorage.delete`."""
        return await self._at(provider, storage_type).delete(
            path, if_match=if_match, version=version, on_progress=on_progress, **where
        )
