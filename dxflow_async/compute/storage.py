"""A compute unit's own storage: the calls of any storage area, and what is a unit's alone."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable

from dxflow_async.exceptions import ConfigurationError, NotFoundError
from dxflow_async.models import Item, TransferReport
from dxflow_async.storage.area import Area
from dxflow_async.storage.area_storage import AreaStorage
from dxflow_async.storage.deletion import Deletion
from dxflow_async.transfer.context import check_target
from dxflow_async.transfer.planning.destination import directory
from dxflow_async.transfer.planning.tree import make_directory
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.request import request

__all__ = ["AsyncUnitStorage"]

# In the class below, `list` is a method.
Items = list[Item]


class AsyncUnitStorage(AreaStorage):
    """What is stored on a compute unit.

    Paths are inside the unit's volume: `/results/x.dat`; one that ends in a slash is a directory. The same transfers
    as everywhere: bounded, in parts, resumed, checked. What is not told here is told by `AsyncStorageManager`, whose
    methods take a provider besides. Everything raises `StorageError` when storage failed, and `SessionClosedError`
    after the session was closed.

    Example:
        >>> async def main() -> None:
        ...     async with AsyncSession(email="you@example.com", password="secret") as session:
        ...         unit = await session.get_compute_manager().get_unit(name="Demo")
        ...         await unit.storage.upload("inputs/", "/inputs/")
    """

    async def list(
        self,
        path: str = "/",
        recursive: bool = False,
        return_info: bool = False,
    ) -> Items:
        """The items at a path, in the order the unit sends them.

        Args:
            path: a directory, or one file.
            recursive: whether to list all that is below.
            return_info: for the blocking twin, which prints without it; here the items are returned either way.

        Raises:
            NotFoundError: there is no such file or directory.
        """
        if recursive:
            return await super().list(path, recursive=True)
        area = await self._find()
        provider, key = area.provider, directory(area.place(path)).key
        resources = self._resources()
        try:
            entries = await request(
                lambda: provider.list_directory(key), provider, limits=resources.limits, policy=resources.policy
            )
            return [area.item(entry) for entry in entries]
        except NotFoundError:
            if not key or path.endswith("/"):
                raise
            return [await self.stat(path)]

    async def ls(self, path: str = "/", recursive: bool = False) -> Items:
        """`list` by its short name."""
        return await self.list(path, recursive)

    async def download(
        self,
        src: str,
        dst: str | os.PathLike[str] | None = None,
        create_dir: bool = True,
        *,
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Downloads a file, or a directory with all that is in it, into a local directory.

        Args:
            src: the path on the unit; with a trailing slash everything under it.
            dst: the local directory; by default the current one. When its last component is the source's name (and no
                directory), it is the file itself.
            create_dir: whether a directory that is missing is made.
            on_progress: told at most ten times a second.

        Raises:
            NotFoundError: no such file or directory; without `create_dir`, also no such local directory.
            TransferError: some file failed; the others are there.
        """
        destination = os.getcwd() if dst is None else os.fspath(dst)
        if not create_dir:
            await self._resources().threads.run(_check_directory, destination, src)
        return await super().download(src, destination, on_progress=on_progress)

    async def delete(self, path: str | Iterable[str]) -> int:
        """Deletes a file, or a directory with all that is in it; of several paths, a directory's ends in a slash.

        Returns:
            How many were asked to be deleted; one that is not there is no error. A directory counts as one.
        """
        return await super().delete(path)

    async def mkdir(self, path: str) -> None:
        """Makes a directory, and those above it; one that is there already is no error."""
        area = await self._find()
        place = directory(area.place(path))
        if not place.key:
            return
        check_target(place, "mkdir", directory=True)
        await make_directory(self._resources().context(None), place)

    async def _is_directory(self, path: str) -> bool:
        try:
            return bool(path) and (await self.stat(path)).directory
        except NotFoundError:
            return False

    async def _delete(self, path: str | Iterable[str]) -> Deletion:
        if isinstance(path, str) and not path.endswith("/") and await self._is_directory(path):
            path = f"{path}/"
        return await super()._delete(path)

    async def _to_delete(self, area: Area, path: str) -> AsyncIterator[str]:
        if not path:
            raise ConfigurationError("path = '' is not allowed; write /name, or / for all that is on the unit")
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
