"""`ls`, `cat`, `rm` and `presign`."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Annotated, NamedTuple

from cyclopts import Parameter

from dxflow_async.blocking.tables import format_item, print_items, write_line
from dxflow_async.cli.run import Account, Flag, with_session
from dxflow_async.cli.status import FAILED, NOT_FOUND, report_failure, status_of
from dxflow_async.exceptions import (
    AccessDeniedError,
    ConfigurationError,
    DxflowError,
    NotFoundError,
    StorageError,
    UnitNotFoundError,
)
from dxflow_async.paths import Location, is_local_path, parse_location, unknown_scheme
from dxflow_async.session import AsyncSession
from dxflow_async.storage.area_storage import AreaStorage

__all__ = ["cat", "ls", "presign", "rm"]

_DIRECT = Account()

Recursive = Annotated[Flag, Parameter(name=["--recursive", "-r"])]


def ls(location: str, *, recursive: Recursive = False, public: Flag = False, account: Account = _DIRECT) -> int:
    """List what is at a place: type, bytes, local time of the last change, name.

    Args:
        location: A directory or an object, written aws:/bucket/key or unit:/NAME/path.
        recursive: Everything below it.
        public: In the account's public storage.
    """

    async def show(storage: AreaStorage, path: str) -> None:
        if not (recursive and await _list_below(storage, path)):
            print_items(await storage.list(path))

    _with_storage(account, location, public, show)
    return 0


def cat(location: str, *, public: Flag = False, account: Account = _DIRECT) -> int:
    """Write an object's bytes to standard output.

    Args:
        location: The object, written aws:/bucket/key or unit:/NAME/path.
        public: In the account's public storage.
    """

    async def show(storage: AreaStorage, path: str) -> None:
        async for chunk in storage.read(path):
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()

    _with_storage(account, location, public, show)
    return 0


def rm(
    *locations: str,
    recursive: Recursive = False,
    public: Flag = False,
    quiet: Flag = False,
    account: Account = _DIRECT,
) -> int:
    """Delete objects. One that is not there is an error; the others are deleted all the same.

    Args:
        locations: Objects, written aws:/bucket/key or unit:/NAME/path; with --recursive also directories.
        recursive: Directories may be meant: they go with everything below them.
        public: In the account's public storage.
        quiet: Print nothing but errors.
    """
    if not locations:
        raise ConfigurationError("nothing to delete was named; write aws:/bucket/key")
    for location in locations:
        if _remote(location).path.endswith("/") and not recursive:
            raise _is_directory(location)

    async def delete(session: AsyncSession) -> tuple[int, int]:
        found = [await _look_up(session, location, _area(public), recursive) for location in locations]
        return await _delete_each(found)

    count, status = with_session(account, delete)
    if not quiet:
        write_line(f"{count} deleted")
    return status


def presign(location: str, *, expires: float = 3600.0, public: Flag = False, account: Account = _DIRECT) -> int:
    """Print a URL that downloads an object without an account, for a while.

    Args:
        location: The object, written aws:/bucket/key.
        expires: For how many seconds.
        public: In the account's public storage.
    """
    place, area = _remote(location), _area(public)

    async def make(session: AsyncSession) -> str:
        storage = session.get_storage_manager()
        with suppress(AccessDeniedError):  # who may not look may still sign
            if (await storage.stat(place.path, place.provider, storage_type=area)).directory:
                raise ConfigurationError(f"{location} is a directory; only objects have URLs")
        return await storage.presign(place.path, expires, place.provider, storage_type=area)

    write_line(with_session(account, make))
    return 0


def _with_storage(
    account: Account, location: str, public: bool, call: Callable[[AreaStorage, str], Awaitable[None]]
) -> None:
    _remote(location)

    async def work(session: AsyncSession) -> None:
        await call(*await session._storage_at(location, _area(public)))

    with_session(account, work)


class _Found(NamedTuple):
    """What a location names, looked up before anything is deleted; or the error that says why it cannot be deleted."""

    location: str
    storage: AreaStorage | None
    path: str
    error: DxflowError | None = None


async def _look_up(session: AsyncSession, location: str, area: str, recursive: bool) -> _Found:
    """What is to be deleted.

    Raises:
        ConfigurationError: it is a directory, and directories are not meant.
    """
    try:
        storage, path = await session._storage_at(location, area)
        is_directory = (await storage.stat(path)).directory
    except AccessDeniedError:  # who may not look may still delete
        return _Found(location, storage, path)
    except (StorageError, UnitNotFoundError) as error:
        return _Found(location, None, "", error)
    if is_directory and not recursive:
        raise _is_directory(location)
    if is_directory and not path.endswith("/") and not await _is_bucket(storage, path):
        path += "/"
    return _Found(location, storage, path)


async def _is_bucket(storage: AreaStorage, path: str) -> bool:
    """Whether a path names a whole bucket, which is only emptied where a slash at its end says so."""
    area = await storage._find()
    return area.provider.features.buckets and "/" not in area.key(path)


async def _delete_each(found: Sequence[_Found]) -> tuple[int, int]:
    """Deletes all that is there; how many that were, and the exit status. Each that failed or is not there is told."""
    total = status = 0
    for location, storage, path, error in found:
        try:
            if error is not None:
                raise error
            assert storage is not None
            deletion = await storage._delete(path)
            total += deletion.deleted
            if (failed := deletion.failure()) is not None:
                raise failed
            if not deletion.deleted:
                raise NotFoundError(f"delete of {location} failed: there is nothing in it; check the path")
        except (StorageError, UnitNotFoundError) as failure:
            report_failure(failure, most=None)
            status = FAILED if FAILED in (status, status_of(failure)) else NOT_FOUND
    return total, status


def _is_directory(location: str) -> ConfigurationError:
    return ConfigurationError(f"{location} is a directory; add --recursive to delete all that is in it")


async def _list_below(storage: AreaStorage, path: str) -> bool:
    """Lists everything below a directory as it comes; returns whether there was anything."""
    found = False
    try:
        async for item in storage.scan(path):
            write_line(format_item(item, below=path))
            found = True
    except NotFoundError:
        if found:
            raise
    return found


def _remote(text: str) -> Location:
    if not (unknown_scheme(text) is not None and is_local_path(text, new=False)):
        place = parse_location(text)
        if place.provider != "LOCAL":
            return place
    raise ConfigurationError(f"{text} is a local path; write a remote place as aws:/bucket/key")


def _area(public: bool) -> str:
    return "public" if public else "private"
