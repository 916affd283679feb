"""The blocking twins of `dxflow_async.compute`: one delegate for each method."""

from __future__ import annotations

import builtins
import functools
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from dxflow_async.blocking.area_storage import AreaStorage
from dxflow_async.blocking.tables import print_items, print_units
from dxflow_async.blocking.transfers import TransferCalls
from dxflow_async.compute.manager import AsyncComputeManager
from dxflow_async.compute.storage import AsyncUnitStorage
from dxflow_async.compute.unit import AsyncComputeUnit
from dxflow_async.config.working_directory import working_directory
from dxflow_async.models import ItemList, TransferReport, Unit
from dxflow_async.providers.contract import Encryption
from dxflow_async.transfer.context import Symlinks
from dxflow_async.transfer.overwrite import Overwrite
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.run_options import CallOptions

if TYPE_CHECKING:
    from dxflow_async.blocking.session import Session

__all__ = ["ComputeManager", "ComputeUnit", "UnitStorage"]


class ComputeManager:
    """The account's compute units; the blocking twin of `AsyncComputeManager`.

    `Session.get_compute_manager` returns it.
    """

    def __init__(self, session: Session, calls: TransferCalls, twin: AsyncComputeManager) -> None:
        self._session = session  # a session that nobody holds is closed
        self._calls = calls
        self._portal = calls.portal
        self._twin = twin

    @overload
    def list(self, return_info: Literal[False] = False) -> None: ...
    @overload
    def list(self, return_info: Literal[True]) -> builtins.list[Unit]: ...
    def list(self, return_info: bool = False) -> builtins.list[Unit] | None:
        """Prints a table of the units; with `return_info` returns them instead.

        Args:
            return_info: for the blocking twin, which prints the units unless it is set. This method returns them

        Raises:
            NetworkError: the hub cannot be reached.
        """
        units = self._portal.call(self._twin.list, return_info)
        if return_info:
            return units
        print_units(units)
        return None

    def get_unit(self, name: str | None = None, ip_address: str | None = None) -> ComputeUnit:
        """Returns the unit of that name, or at that address; without either, the account's only unit.

        A terminated unit is found only when no other unit matches. An engine that the settings name comes before a
        unit of the account that matches, too; without name and address, it is returned where there is no account.

        Args:
            name: the name that its owner gave it.
            ip_address: its host, with or without the port.

        Raises:
            UnitNotFoundError: no unit matches; the message lists the units that there are.
            ComputeUnitError: several units match; the message lists them.
        """
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
        """Registers a unit that you serve (`dxflow-async unit serve`) with the account's hub.

        Args:
            name: a name of your choice; none of your other units may have it.
            url: the address of the unit's server: `https://host[:port]`.
            rw_secret: the server's secret for reading and writing; `unit serve` names the file that has it.
            ro_secret: the server's secret for reading.
            cluster_type: the kind of machine, as `provider:name`.
            cpu: the number of processors.
            memory: in GB.
            disk: in GB.

        Raises:
            ConfigurationError: the hub does not allow a value; the message names it.
            ComputeUnitError: you have a unit of that name.
        """
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
        return ComputeUnit(self._session, self._calls, twin)


class ComputeUnit:
    """A compute unit of the account; the blocking twin of `AsyncComputeUnit`. `ComputeManager.get_unit` returns it."""

    def __init__(self, session: Session, calls: TransferCalls, twin: AsyncComputeUnit) -> None:
        self._portal = calls.portal
        self._twin = twin
        self._storage = UnitStorage(session, calls, twin.storage)

    @property
    def name(self) -> str:
        """The name that its owner gave it."""
        return self._twin.name

    @property
    def status(self) -> str:
        """Its state when the hub last reported it: `"READY"`, `"STOPPED"`, `"TERMINATED"`. See `get_status`."""
        return self._twin.status

    @property
    def detail(self) -> Unit:
        """The hub's last description of it."""
        return self._twin.detail

    @property
    def storage(self) -> UnitStorage:
        """Its storage."""
        return self._storage

    def get_status(self) -> str:
        """Returns its state now."""
        return self._portal.call(self._twin.get_status)

    def start(self) -> Unit:
        """Starts it; a unit that runs is left alone."""
        return self._portal.call(self._twin.start)

    def stop(self) -> Unit:
        """Stops it: its storage does not answer until it is started again."""
        return self._portal.call(self._twin.stop)

    def troubleshoot(self) -> dict[str, Any]:
        """Returns the hub's diagnosis of it."""
        return self._portal.call(self._twin.troubleshoot)

    def terminate(self) -> Unit:
        """Terminates it, for good."""
        return self._portal.call(self._twin.terminate)

    def __repr__(self) -> str:
        return repr(self._twin).replace("Async", "", 1)


class UnitStorage(AreaStorage):
    """The storage of a compute unit: an `AreaStorage` with a few calls of its own; the twin of `AsyncUnitStorage`."""

    def __init__(self, session: object, calls: TransferCalls, twin: AsyncUnitStorage) -> None:
        super().__init__(session, calls, twin)
        self._unit_twin = twin

    @overload
    def list(
        self, path: str = "/", recursive: bool = False, return_info: Literal[False] = False, *, versions: bool = False
    ) -> None: ...
    @overload
    def list(
        self, path: str = "/", recursive: bool = False, *, return_info: Literal[True], versions: bool = False
    ) -> ItemList: ...
    @overload
    def list(self, path: str, recursive: bool, return_info: Literal[True], *, versions: bool = False) -> ItemList: ...
    def list(
        self, path: str = "/", recursive: bool = False, return_info: bool = False, *, versions: bool = False
    ) -> ItemList | None:
        """Prints the items at a path; with `return_info` returns them instead.

        Args:
            path: the directory or file.
            recursive: whether to list everything below the directory.
            return_info: return the items, and print nothing.
            versions: as for `AreaStorage.list`; units keep none.

        Returns:
            The items; without `recursive` in the order in which the unit sends them.

        Raises:
            NotFoundError: there is no such file or directory.

        Example:
            >>> names = [item.name for item in unit.storage.list("/results/", return_info=True)]
        """
        items = self._portal.call(self._unit_twin.list, path, recursive, return_info, versions=versions)
        if return_info:
            return items
        print_items(items, below=path if recursive else None)
        return None

    def ls(self, path: str = "/", recursive: bool = False) -> None:
        """Prints the items at a path.

        Args:
            path, recursive: as for `list`.
        """
        self.list(path, recursive)

    def download(
        self,
        src: str,
        dst: str | os.PathLike[str] | None = None,
        create_dir: bool = True,
        *,
        overwrite: Overwrite = True,
        version: str | None = None,
        encryption: Encryption | None = None,
        symlinks: Symlinks = "follow",
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Downloads a file, or a directory with everything in it, into a local directory.

        Args:
            src: the path on the unit; with a trailing slash everything under it.
            dst: the local directory; by default the current one. When its last component is the source's name (and not
                a directory), it is the new file itself.
            create_dir: whether to make a directory that is missing.
            overwrite: what happens to files that are there already; as for `AreaStorage.upload`.
            symlinks: as for `AreaStorage.download`.
            version, encryption: as for `AreaStorage.stat`; units have neither.
            on_progress: called with a `Progress` at most ten times a second.
            timeout, on_cancel, processes, executor, credentials, shared: as for `upload`.

        Raises:
            NotFoundError: there is no such file or directory; without `create_dir`, also no such local directory.
            TransferError: some file failed; the others are stored.

        Example:
            >>> unit.storage.download("/results/", "results/")
        """
        path = working_directory() if dst is None else dst
        call = functools.partial(
            self._unit_twin.download,
            src,
            path,
            create_dir,
            overwrite=overwrite,
            symlinks=symlinks,
            version=version,
            encryption=encryption,
            **where,
        )
        return self._calls.run("download", on_progress, lambda show: call(on_progress=show))

    def delete(
        self,
        path: str | Iterable[str],
        *,
        if_match: str | None = None,
        version: str | None = None,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> int:
        """Deletes a file, or a directory with everything in it; of several paths, a directory's ends in a slash.

        Args:
            path: the file, the directory, or several of them.
            if_match: delete a single file only if it has this etag.
            version: as for `AreaStorage.delete`; units keep none.
            on_progress: called with a `Progress` at most ten times a second.
            timeout, on_cancel, processes, executor, credentials, shared: as for `upload`.

        Returns:
            The number of files whose deletion was requested. A file that does not exist is no error. A directory
            counts as one.

        Raises:
            TransferError: some files could not be deleted; the report has them. The others are gone.
            StorageError: the only file could not be deleted.

        Example:
            >>> deleted = unit.storage.delete("/results/old/")
        """
        return super().delete(path, if_match=if_match, version=version, on_progress=on_progress, **where)
