"""A compute unit's storage: the calls of any storage area, and those that only a unit has."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from typing import Unpack

from dxflow_async.config.working_directory import working_directory
from dxflow_async.exceptions import ConfigurationError, NotFoundError
from dxflow_async.models import DeleteResult, ItemList, TransferReport
from dxflow_async.providers.contract import Encryption
from dxflow_async.storage.area import Area
from dxflow_async.storage.area_storage import AsyncAreaStorage
from dxflow_async.transfer.context import DeletionRest, Symlinks
from dxflow_async.transfer.overwrite import Overwrite
from dxflow_async.transfer.planning.destination import directory
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.request import request
from dxflow_async.transfer.run_options import CallOptions

__all__ = ["AsyncUnitStorage"]


class AsyncUnitStorage(AsyncAreaStorage):
    """The storage of a compute unit: an `AsyncAreaStorage` with a few calls of its own.

    Paths are inside the unit's volume: `/results/x.dat`. A path that ends in a slash is a directory.

    Example:
        >>> async def main() -> None:
        ...     async with AsyncSession(email="you@example.com", password="secret") as session:
        ...         unit = await session.get_compute_manager().get_unit(name="Demo")
        ...         await unit.storage.upload("inputs/", "/inputs/")
    """

    async def list(
        self, path: str = "/", recursive: bool = False, return_info: bool = False, *, versions: bool = False
    ) -> ItemList:
        """Lists a directory, or one file.

        Args:
            path: the directory or file.
            recursive: whether to list everything below the directory.
            return_info: for the blocking twin, which prints the items unless it is set. This method returns them
                either way.
            versions: as for `AsyncAreaStorage.list`; units keep none.

        Returns:
            The items; without `recursive` in the order in which the unit sends them.

        Raises:
            NotFoundError: there is no such file or directory.

        Example:
            >>> names = [item.name for item in await unit.storage.list("/results/")]
        """
        if recursive or versions:
            return await super().list(path, recursive=recursive, versions=versions)
        area = await self._find()
        provider, key = area.provider, directory(area.place(path)).key
        limits, policy = self._resources.limits, self._resources.policy
        try:
            entries = await request(
                lambda: provider.list_directory(key), provider, limits=limits, policy=policy, kind="list"
            )
            return ItemList([area.item(entry) for entry in entries])
        except NotFoundError:
            if not key or path.endswith("/"):
                raise
            return ItemList([await self.stat(path)])

    async def ls(self, path: str = "/", recursive: bool = False) -> ItemList:
        """Lists a directory, or one file: `list` under a short name.

        Args:
            path, recursive: as for `list`.
        """
        return await self.list(path, recursive)

    async def download(
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
            overwrite: what happens to files that are there already; as for `AsyncAreaStorage.upload`.
            symlinks: as for `AsyncAreaStorage.download`.
            version, encryption: as for `AsyncAreaStorage.stat`; units have neither.
            on_progress: called with a `Progress` at most ten times a second.
            timeout, on_cancel, processes, executor, credentials, shared: as for `upload`.

        Raises:
            NotFoundError: there is no such file or directory; without `create_dir`, also no such local directory.
            TransferError: some file failed; the others are stored.

        Example:
            >>> await unit.storage.download("/results/", "results/")
        """
        destination = working_directory() if dst is None else os.fspath(dst)
        if not create_dir:
            self._resources.check_open()
            await self._resources.threads.run(_check_directory, destination, src)
        return await super().download(
            src,
            destination,
            overwrite=overwrite,
            symlinks=symlinks,
            version=version,
            encryption=encryption,
            on_progress=on_progress,
            **where,
        )

    async def delete(
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
            version: as for `AsyncAreaStorage.delete`; units keep none.
            on_progress: called with a `Progress` at most ten times a second.
            timeout, on_cancel, processes, executor, credentials, shared: as for `upload`.

        Returns:
            The number of files whose deletion was requested. A file that does not exist is no error. A directory
            counts as one.

        Raises:
            TransferError: some files could not be deleted; the report has them. The others are gone.
            StorageError: the only file could not be deleted.

        Example:
            >>> deleted = await unit.storage.delete("/results/old/")
        """
        return await super().delete(path, if_match=if_match, version=version, on_progress=on_progress, **where)

    async def try_delete(
        self,
        path: str | Iterable[str],
        *,
        if_match: str | None = None,
        version: str | None = None,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> DeleteResult:
        """Deletes like `delete`, and returns the outcome of a deletion that failed instead of raising its error.

        Args:
            path, if_match, version, on_progress: as for `delete`.
            timeout, on_cancel, processes, executor, credentials, shared: as for `upload`.
        """
        if isinstance(path, str) and not path.endswith("/") and await self._is_directory(path):
            path = f"{path}/"
        return await super().try_delete(path, if_match=if_match, version=version, on_progress=on_progress, **where)

    async def _is_directory(self, path: str) -> bool:
        try:
            return bool(path) and (await self.stat(path)).directory
        except NotFoundError:
            return False

    async def _keys_to_delete(self, area: Area, path: str, *, shared: bool) -> AsyncIterator[str | DeletionRest]:
        if not path:
            raise ConfigurationError("path = '' is not allowed; write /name, or / to delete everything on the unit")
        if area.key(path):
            yield area.key(path)
            return
        for item in await self.list("/"):
            yield area.key(item.path)


def _check_directory(destination: str, source: str) -> None:
    is_name = os.path.basename(destination) == source.rpartition("/")[2] and not os.path.isdir(destination)
    directory = os.path.dirname(destination) or "." if is_name else destination
    if not os.path.isdir(directory):
        raise NotFoundError(
            f"download of {source} failed: there is no local directory {directory}; make it, or leave out create_dir",
            provider="LOCAL",
            operation="download",
            path=directory,
        )
