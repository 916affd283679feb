"""The calls of fsspec for directories and buckets.

Directories are real on disks, at units and at SFTP servers. In a cloud, a directory is there with its first object, so
nothing is made; but its bucket has to exist, and buckets are not created here.
"""

from __future__ import annotations

from typing import Any

from fsspec.asyn import sync_wrapper

from dxflow_async.compute.storage import AsyncUnitStorage
from dxflow_async.doors.fsspec_bulk import is_top
from dxflow_async.doors.fsspec_reads import ReadCalls
from dxflow_async.exceptions import AccessDeniedError, AlreadyExistsError, NotFoundError, UnsupportedError
from dxflow_async.storage.deletion import remove_empty_directory

__all__ = ["DirectoryCalls"]


class DirectoryCalls(ReadCalls):
    """The part of the file system that makes and removes directories."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._buckets = set[str]()  # those that were seen

    async def _mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:  # noqa: FBT002
        path = self._strip_protocol(path)
        if not await self._has_directories(path):
            await self._check_bucket("mkdir", path, exist_ok=False)
            return
        if await self._exists(path):
            raise _exists_already("mkdir", path)
        parent = path.rpartition("/")[0]
        if not create_parents and not await self._isdir(parent):
            raise NotFoundError(f"mkdir of {path} failed: there is no directory {parent}; make it", operation="mkdir")
        await self._make(path)

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:  # noqa: FBT002
        path = self._strip_protocol(path)
        if not await self._has_directories(path):
            await self._check_bucket("makedirs", path, exist_ok=exist_ok)
            return
        if not exist_ok and await self._exists(path):
            raise _exists_already("makedirs", path)
        await self._make(path)

    async def _check_bucket(self, verb: str, path: str, *, exist_ok: bool) -> None:
        """Checks that a directory can be there with its first object: its bucket exists.

        Raises:
            AlreadyExistsError: the path is a bucket, or a remote, and `exist_ok` is not set.
            NotFoundError: there is no such bucket.
            UnsupportedError: the path is that of a bucket, and it does not exist.
        """
        bucket = "/".join(path.split("/")[:2])
        if not is_top(path) and bucket not in self._buckets:
            try:
                await self._info(bucket)
            except AccessDeniedError:
                pass  # who may write need not be allowed to look
            except NotFoundError:
                make = "create it with the tools of its service"
                if path == bucket:
                    raise UnsupportedError(
                        f"{verb} of {path} failed: buckets are not created here; {make}", operation=verb, path=path
                    ) from None
                raise NotFoundError(
                    f"{verb} of {path} failed: there is no bucket {bucket}; {make}", operation=verb, path=path
                ) from None
            self._buckets.add(bucket)
        if path == bucket and not exist_ok:
            raise _exists_already(verb, path)

    async def _rmdir(self, path: str) -> None:
        path = self._strip_protocol(path)
        if is_top(path) or (path.count("/") == 1 and not await self._has_directories(path)):
            raise UnsupportedError(
                f"rmdir of {path} failed: buckets and remotes are not deleted here", operation="rmdir", path=path
            )
        try:
            found = await self._ls(path, detail=False)
        except NotFoundError:
            if await self._has_directories(path):
                raise
            return  # it has gone with its last object
        if found == [path]:
            raise NotADirectoryError(f"rmdir of {path} failed: it is a file; delete it with rm")
        not_empty = f"rmdir of {path} failed: the directory is not empty; rm with recursive=True deletes it"
        if found:
            raise OSError(not_empty)
        storage, inner = await self._at(path)
        try:
            await remove_empty_directory(storage._resources, storage._transfers.cache, await storage._find(), inner)
        except AlreadyExistsError as error:
            raise OSError(not_empty) from error

    rmdir = sync_wrapper(_rmdir)

    async def _has_directories(self, path: str) -> bool:
        if is_top(path):
            return False
        storage, _ = await self._at(path)
        return bool((await storage._find()).provider.features.directories)

    async def _make(self, path: str) -> None:
        storage, inner = await self._at(path)
        await AsyncUnitStorage(storage._transfers, storage._find).mkdir(inner)


def _exists_already(verb: str, path: str) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"{verb} of {path} failed: it exists; choose another name, or set exist_ok", operation=verb, path=path
    )
