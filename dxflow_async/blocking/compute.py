"""The blocking twin of `dxflow_async.compute`: one delegate a method, plus what it prints."""

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
from dxflow_async.blocking.tables import print_items, print_units
from dxflow_async.compute.manager import AsyncComputeManager
from dxflow_async.compute.storage import AsyncUnitStorage
from dxflow_async.compute.unit import AsyncComputeUnit
from dxflow_async.models import Item, TransferReport, Unit
from dxflow_async.transfer.progress import OnProgress

if TYPE_CHECKING:
    from dxflow_async.blocking.session import Session

__all__ = ["ComputeManager", "ComputeUnit", "UnitStorage"]


class ComputeManager:
    """The account's compute units, from threads without a loop; the twin of `AsyncComputeManager`.

    Made by `Session.get_compute_manager()`.
    """

    def __init__(self, session: Session, portal: Portal, twin: AsyncComputeManager, *, progress: bool = True) -> None:
        self._session = session  # kept: a session nobody holds is closed
        self._portal = portal
        self._twin = twin
        self._progress = progress

    @overload
    def list(self, return_info: Literal[False] = False) -> None: ...
    @overload
    def list(self, return_info: Literal[True]) -> builtins.list[Unit]: ...
    def list(self, return_info: bool = False) -> builtins.list[Unit] | None:
        """Prints a table of the units; with `return_info` returns them instead. Twin: `AsyncComputeManager.list`."""
        units = self._portal.call(self._twin.list, return_info)
        if return_info:
            return units
        print_units(units)
        return None

    def get_unit(self, name: str | None = None, ip_address: str | None = None) -> ComputeUnit:
        """Twin: `AsyncComputeManager.get_unit`."""
        return self._unit(self._portal.call(self._twin.get_unit, name, ip_address))

    def register(
        self,
        name: str,
        url: str,
        *,
        rw_secret: str,
        ro_secret: str,
        cluster_type: str = "local:process",
        cpu: int = 1,
        memory: float = 1,
        disk: float = 1,
    ) -> ComputeUnit:
        """Twin: `AsyncComputeManager.register`."""
        twin = self._portal.call(
            self._twin.register,
            name,
            url,
            rw_secret=rw_secret,
            ro_secret=ro_secret,
            cluster_type=cluster_type,
            cpu=cpu,
            memory=memory,
            disk=disk,
        )
        return self._unit(twin)

    def _unit(self, twin: AsyncComputeUnit) -> ComputeUnit:
        return ComputeUnit(self._session, self._portal, twin, progress=self._progress)


class ComputeUnit:
    """A compute unit of the account; the twin of `AsyncComputeUnit`. `ComputeManager.get_unit` gives it."""

    def __init__(self, session: Session, portal: Portal, twin: AsyncComputeUnit, *, progress: bool = True) -> None:
        self._portal = portal
        self._twin = twin
        self._storage = UnitStorage(session, portal, twin.storage, progress=progress)

    @property
    def name(self) -> str:
        """Twin: `AsyncComputeUnit.name`."""
        return self._twin.name

    @property
    def status(self) -> str:
        """Twin: `AsyncComputeUnit.status`."""
        return self._twin.status

    @property
    def detail(self) -> Unit:
        """Twin: `AsyncComputeUnit.detail`."""
        return self._twin.detail

    @property
    def storage(self) -> UnitStorage:
        """Twin: `AsyncComputeUnit.storage`."""
        return self._storage

    def get_status(self) -> str:
        """Twin: `AsyncComputeUnit.get_status`."""
        return self._portal.call(self._twin.get_status)

    def start(self) -> Unit:
        """Twin: `AsyncComputeUnit.start`."""
        return self._portal.call(self._twin.start)

    def stop(self) -> Unit:
        """Twin: `AsyncComputeUnit.stop`."""
        return self._portal.call(self._twin.stop)

    def troubleshoot(self) -> dict[str, Any]:
        """Twin: `AsyncComputeUnit.troubleshoot`."""
        return self._portal.call(self._twin.troubleshoot)

    def terminate(self) -> Unit:
        """Twin: `AsyncComputeUnit.terminate`."""
        return self._portal.call(self._twin.terminate)

    def __repr__(self) -> str:
        return repr(self._twin).replace("Async", "", 1)


class UnitStorage:
    """What is stored on a compute unit; the twin of `AsyncUnitStorage`.

    Transfers show a progress bar on a terminal, unless `on_progress` is given.
    """

    def __init__(self, session: Session, portal: Portal, twin: AsyncUnitStorage, *, progress: bool = True) -> None:
        self._session = session  # kept: a session nobody holds is closed
        self._portal = portal
        self._twin = twin
        self._progress = progress

    @overload
    def list(self, path: str = "/", recursive: bool = False, return_info: Literal[False] = False) -> None: ...
    @overload
    def list(self, path: str = "/", recursive: bool = False, *, return_info: Literal[True]) -> builtins.list[Item]: ...
    @overload
    def list(self, path: str, recursive: bool, return_info: Literal[True]) -> builtins.list[Item]: ...
    def list(self, path: str = "/", recursive: bool = False, return_info: bool = False) -> builtins.list[Item] | None:
        """Prints what is at a path; with `return_info` returns it instead. Twin: `AsyncUnitStorage.list`."""
        items = self._portal.call(self._twin.list, path, recursive, return_info)
        if return_info:
            return items
        print_items(items, below=path if recursive else None)
        return None

    def ls(self, path: str = "/", recursive: bool = False) -> None:
        """Prints what is at a path. Twin: `AsyncUnitStorage.ls`."""
        self.list(path, recursive)

    def scan(self, path: str = "/", *, recursive: bool = True) -> Iterator[Item]:
        """Twin: `AsyncUnitStorage.scan`."""
        return self._portal.iterate(functools.partial(self._twin.scan, path, recursive=recursive))

    def stat(self, path: str) -> Item:
        """Twin: `AsyncUnitStorage.stat`."""
        return self._portal.call(self._twin.stat, path)

    def exists(self, path: str) -> bool:
        """Twin: `AsyncUnitStorage.exists`."""
        return self._portal.call(self._twin.exists, path)

    def upload(
        self,
        src: str | os.PathLike[str],
        dst: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Twin: `AsyncUnitStorage.upload`."""
        with self._shown("upload", on_progress) as show:
            return self._portal.call(
                self._twin.upload, src, dst, content_type=content_type, metadata=metadata, on_progress=show
            )

    def download(
        self,
        src: str,
        dst: str | os.PathLike[str] | None = None,
        create_dir: bool = True,
        *,
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Twin: `AsyncUnitStorage.download`; `dst` is the current directory of the caller by default."""
        dst = os.getcwd() if dst is None else dst
        with self._shown("download", on_progress) as show:
            return self._portal.call(self._twin.download, src, dst, create_dir, on_progress=show)

    def upload_many(
        self,
        pairs: Iterable[tuple[str, str]],
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Twin: `AsyncUnitStorage.upload_many`; `pairs` is iterated in the calling thread."""
        with self._shown("upload", on_progress) as show:
            return self._portal.feed(
                lambda stream: self._twin.upload_many(
                    stream, content_type=content_type, metadata=metadata, on_progress=show
                ),
                groups(pairs),
            )

    def download_many(
        self, pairs: Iterable[tuple[str, str]], *, on_progress: OnProgress | None = None
    ) -> TransferReport:
        """Twin: `AsyncUnitStorage.download_many`; `pairs` is iterated in the calling thread."""
        with self._shown("download", on_progress) as show:
            return self._portal.feed(lambda stream: self._twin.download_many(stream, on_progress=show), groups(pairs))

    def write(
        self,
        path: str,
        data: bytes | BinaryIO | Iterable[bytes],
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Stores bytes, an open binary file's rest, or what an iterable of bytes yields in the calling thread.

        Twin: `AsyncUnitStorage.write`.

        Raises:
            TypeError: text was given; encode it, or open the file in binary mode.
        """
        return self._portal.feed(
            lambda stream: self._twin.write(
                path, stream, content_type=content_type, metadata=metadata, on_progress=on_progress
            ),
            buffers(data),
        )

    def read(self, path: str, start: int | None = None, end: int | None = None) -> Iterator[bytes]:
        """Twin: `AsyncUnitStorage.read`."""
        return self._portal.iterate(functools.partial(self._twin.read, path, start, end), limit=BATCH_BYTES, weigh=len)

    def mkdir(self, path: str) -> None:
        """Twin: `AsyncUnitStorage.mkdir`."""
        self._portal.call(self._twin.mkdir, path)

    def delete(self, path: str | Iterable[str]) -> int:
        """Twin: `AsyncUnitStorage.delete`."""
        paths = path if isinstance(path, str) else builtins.list(path)
        return self._portal.call(self._twin.delete, paths)

    def copy(self, src: str, dst: str) -> TransferReport:
        """Twin: `AsyncUnitStorage.copy`."""
        return self._portal.call(self._twin.copy, src, dst)

    def move(self, src: str, dst: str) -> TransferReport:
        """Twin: `AsyncUnitStorage.move`."""
        return self._portal.call(self._twin.move, src, dst)

    def _shown(self, label: str, on_progress: OnProgress | None) -> AbstractContextManager[OnProgress | None]:
        return shown(label, on_progress, enabled=self._progress)
