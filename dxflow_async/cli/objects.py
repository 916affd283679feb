"""`ls`, `cat`, `rm` and `presign`."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Annotated

from cyclopts import Parameter

from dxflow_async.blocking.tables import format_item, print_items, write_line
from dxflow_async.cli.run import Account, Flag, with_session
from dxflow_async.cli.status import FAILED, report_failure
from dxflow_async.compute.storage import AsyncUnitStorage
from dxflow_async.exceptions import ConfigurationError, NotFoundError, StorageError
from dxflow_async.paths import Location, parse_location
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
    """Delete objects.

    Args:
        locations: Objects, written aws:/bucket/key or unit:/NAME/path; with --recursive and a slash at their end,
            directories.
        recursive: Directories may be meant: they go with everything below them.
        public: In the account's public storage.
        quiet: Print nothing but errors.
    """
    if not locations:
        raise ConfigurationError("nothing to delete was named; write aws:/bucket/key")
    for location in locations:
        if _remote(location).path.endswith("/") and not recursive:
            raise ConfigurationError(f"{location} is a directory; add --recursive to delete all that is in it")

    failures: list[StorageError] = []

    async def delete(session: AsyncSession) -> int:
        count = 0
        for location in locations:
            storage, path = await session._storage_at(location, _area(public))
            if isinstance(storage, AsyncUnitStorage) and not recursive and (await storage.stat(path)).directory:
                raise ConfigurationError(f"{location} is a directory; add --recursive to delete all that is in it")
            deletion = await storage._delete(path)
            count += deletion.deleted
            failure = deletion.failure()
            if failure is not None:
                failures.append(failure)
        return count

    count = with_session(account, delete)
    if not quiet:
        write_line(f"{count} deleted")
    for error in failures:
        report_failure(error, most=None)
    return FAILED if failures else 0


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
    place = parse_location(text)
    if place.provider == "LOCAL":
        raise ConfigurationError(f"{text} is a local path; write a remote place as aws:/bucket/key")
    return place


def _area(public: bool) -> str:
    return "public" if public else "private"
