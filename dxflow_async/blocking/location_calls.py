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
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.session import AsyncSession
from dxflow_async.storage.resolver import Written
from dxflow_async.transfer.context import Symlinks
from dxflow_async.transfer.items.overwriting import Overwrite
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.run_options import CallOptions
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
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Twin: `AsyncLocationCalls.copy`."""
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
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Twin: `AsyncLocationCalls.move`."""
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
        **where: Unpack[CallOptions],
    ) -> TransferReport | SyncPlan:
        """Twin: `AsyncLocationCalls.sync`."""
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
        """Twin: `AsyncLocationCalls.storage_at`."""
        twin, path = self._portal.call(self._session.storage_at, location, storage_type=storage_type)
        if isinstance(twin, AsyncUnitStorage):
            return UnitStorage(self, self._calls, twin), path
        return AreaStorage(self, self._calls, twin), path

    def list(self, location: Written, *, recursive: bool = False, storage_type: str = "private") -> ItemList:
        """Twin: `AsyncLocationCalls.list`."""
        return self._portal.call(self._session.list, location, recursive=recursive, storage_type=storage_type)

    def scan(self, location: Written, *, recursive: bool = True, storage_type: str = "private") -> ItemStream[Item]:
        """Twin: `AsyncLocationCalls.scan`."""
        scan = functools.partial(self._session.scan, location, recursive=recursive, storage_type=storage_type)
        return ItemStream(self._portal.iterate(scan))

    def stat(self, location: Written, *, storage_type: str = "private") -> Item:
        """Twin: `AsyncLocationCalls.stat`."""
        return self._portal.call(self._session.stat, location, storage_type=storage_type)

    def exists(self, location: Written, *, storage_type: str = "private") -> bool:
        """Twin: `AsyncLocationCalls.exists`."""
        return self._portal.call(self._session.exists, location, storage_type=storage_type)

    def read(
        self, location: Written, start: int | None = None, end: int | None = None, *, storage_type: str = "private"
    ) -> ItemStream[bytes]:
        """Twin: `AsyncLocationCalls.read`."""
        chunks = functools.partial(self._session.read, location, start, end, storage_type=storage_type)
        return ItemStream(self._portal.iterate(chunks, limit=BATCH_BYTES, weigh=len))

    def read_bytes(
        self, location: Written, start: int | None = None, end: int | None = None, *, storage_type: str = "private"
    ) -> bytes:
        """Twin: `AsyncLocationCalls.read_bytes`."""
        return self._portal.call(self._session.read_bytes, location, start, end, storage_type=storage_type)

    def write(
        self,
        location: Written,
        data: bytes | BinaryIO | Iterable[bytes],
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        storage_type: str = "private",
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Stores bytes, the rest of an open binary file, or an iterable of bytes (iterated in the calling thread).

        Twin: `AsyncLocationCalls.write`.

        Raises:
            TypeError: text was given; encode it, or open the file in binary mode.
        """
        call = functools.partial(
            self._session.write, location, content_type=content_type, metadata=metadata, storage_type=storage_type
        )
        return self._portal.feed(lambda stream: call(stream, on_progress=on_progress), buffers(data))

    def delete(
        self,
        location: Written | Iterable[Written],
        *,
        storage_type: str = "private",
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> int:
        """Twin: `AsyncLocationCalls.delete`."""
        given = location if isinstance(location, str | os.PathLike) else builtins.list(location)
        call = functools.partial(self._session.delete, given, storage_type=storage_type, **where)
        return self._calls.watch("delete", on_progress, lambda show: call(on_progress=show))

    def presign(
        self, location: Written, *, expires: float = 3600.0, method: str = "GET", storage_type: str = "private"
    ) -> str:
        """Twin: `AsyncLocationCalls.presign`."""
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
    ) -> CheckReport:
        """Twin: `AsyncLocationCalls.check`."""
        return self._portal.call(
            self._session.check,
            a,
            b,
            compare=compare,
            include=include if isinstance(include, str) else tuple(include),
            exclude=exclude if isinstance(exclude, str) else tuple(exclude),
            storage_type=storage_type,
        )
