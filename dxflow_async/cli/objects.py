"""The commands `ls`, `cat`, `rm` and `presign`."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Annotated, NamedTuple

from cyclopts import Parameter

from dxflow_async.blocking.tables import format_item, print_items, write_line
from dxflow_async.cli.run import Account, Flag, with_session
from dxflow_async.cli.status import FAILED, NOT_FOUND, report_failure, status_of
from dxflow_async.compute.storage import AsyncUnitStorage
from dxflow_async.exceptions import (
    AccessDeniedError,
    ConfigurationError,
    DxflowError,
    NotFoundError,
    StorageError,
    UnitNotFoundError,
)
from dxflow_async.session import AsyncSession
from dxflow_async.storage.area_storage import AsyncAreaStorage

__all__ = ["cat", "ls", "presign", "rm"]

_DIRECT = Account()

Recursive = Annotated[Flag, Parameter(name=["--recursive", "-r"])]


def ls(location: str, *, recursive: Recursive = False, public: Flag = False, account: Account = _DIRECT) -> int:
    """List a directory or an object: type, bytes, local time of the last change, name.

    Args:
        location: A directory or an object, written aws:/bucket/key or unit:/NAME/path.
        recursive: List everything below the directory.
        public: The location is in the account's public storage.
    """

    async def show(storage: AsyncAreaStorage, path: str) -> None:
        if not (recursive and await _list_below(storage, path)):
            print_items(await storage.list(path))

    _with_storage(account, location, public, show)
    return 0


def cat(location: str, *, public: Flag = False, account: Account = _DIRECT) -> int:
    """Write an object's bytes to standard output.

    Args:
        location: The object, written aws:/bucket/key or unit:/NAME/path.
        public: The location is in the account's public storage.
    """

    async def show(storage: AsyncAreaStorage, path: str) -> None:
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
    """Delete objects. An object that does not exist is an error; the others are deleted all the same.

    Args:
        locations: Objects, written aws:/bucket/key or unit:/NAME/path; with --recursive also directories.
        recursive: Delete directories with everything below them.
        public: The locations are in the account's public storage.
        quiet: Print nothing but errors.
    """
    if not locations:
        raise ConfigurationError("no location was given; write aws:/bucket/key")

    async def delete(session: AsyncSession) -> tuple[int, int]:
        targets = [await _find_target(session, location, _area(public), recursive) for location in locations]
        return await _delete_each(targets)

    count, status = with_session(account, delete)
    if not quiet:
        write_line(f"{count} deleted")
    return status


def presign(location: str, *, expires: float = 3600.0, public: Flag = False, account: Account = _DIRECT) -> int:
    """Print a URL that downloads an object without an account, for a limited time.

    Args:
        location: The object, written aws:/bucket/key.
        expires: How long the URL works, in seconds.
        public: The location is in the account's public storage.
    """

    async def make(storage: AsyncAreaStorage, path: str) -> None:
        if isinstance(storage, AsyncUnitStorage):
            raise ConfigurationError(f"{location} has no URL; only objects in clouds do, such as aws:/bucket/key")
        with suppress(AccessDeniedError):  # signing needs no permission to look
            if (await storage.stat(path)).directory:
                raise ConfigurationError(f"{location} is a directory; only objects have URLs")
        write_line(await storage.presign(path, expires))

    _with_storage(account, location, public, make)
    return 0


def _with_storage(
    account: Account, location: str, public: bool, call: Callable[[AsyncAreaStorage, str], Awaitable[None]]
) -> None:
    async def work(session: AsyncSession) -> None:
        await call(*await session.storage_at(location, storage_type=_area(public)))

    with_session(account, work)


class _Target(NamedTuple):
    """A location to delete, looked up before anything is deleted; or the error that keeps it from being deleted."""

    location: str
    storage: AsyncAreaStorage | None
    path: str
    error: DxflowError | None = None


async def _find_target(session: AsyncSession, location: str, area: str, recursive: bool) -> _Target:
    """Looks up a location.

    Raises:
        ConfigurationError: it is a directory, and `recursive` is not set.
    """
    try:
        storage, path = await session.storage_at(location, storage_type=area)
    except (StorageError, UnitNotFoundError) as error:
        return _Target(location, None, "", error)
    if path.endswith("/") and not recursive:
        raise _is_directory(location)
    try:
        is_directory = (await storage.stat(path)).directory
    except AccessDeniedError:  # deleting needs no permission to look
        return _Target(location, storage, path)
    except (StorageError, UnitNotFoundError) as error:
        return _Target(location, None, "", error)
    if is_directory and not recursive:
        raise _is_directory(location)
    # A whole bucket is emptied only when the user wrote the slash.
    if is_directory and not path.endswith("/") and not await storage.is_bucket(path):
        path += "/"
    return _Target(location, storage, path)


async def _delete_each(targets: Sequence[_Target]) -> tuple[int, int]:
    """Deletes every target, and reports each failure; returns the number of deleted objects, and the exit status."""
    total = status = 0
    for location, storage, path, error in targets:
        try:
            if error is not None:
                raise error
            assert storage is not None
            result = await storage.try_delete(path)
            total += result.deleted
            if result.error is not None:
                raise result.error
            if not result.deleted:
                raise NotFoundError(f"delete of {location} failed: there is nothing in it; check the path")
        except (StorageError, UnitNotFoundError) as failure:
            report_failure(failure, most=None)
            status = FAILED if FAILED in (status, status_of(failure)) else NOT_FOUND
    return total, status


def _is_directory(location: str) -> ConfigurationError:
    return ConfigurationError(f"{location} is a directory; add --recursive to delete everything in it")


async def _list_below(storage: AsyncAreaStorage, path: str) -> bool:
    """Prints everything below a directory page by page; returns whether there was anything."""
    found = False
    try:
        async for item in storage.scan(path):
            write_line(format_item(item, below=path))
            found = True
    except NotFoundError:
        if found:
            raise
    return found


def _area(public: bool) -> str:
    return "public" if public else "private"
