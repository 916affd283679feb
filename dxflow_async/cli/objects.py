"""`ls`, `cat`, `rm` and `presign`."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from dxflow_async.blocking.tables import format_item, print_items, write_line
from dxflow_async.cli.run import Account, Flag, with_storage
from dxflow_async.exceptions import ConfigurationError, NotFoundError
from dxflow_async.paths import Location, parse_location
from dxflow_async.storage.manager import AsyncStorageManager

__all__ = ["cat", "ls", "presign", "rm"]

_DIRECT = Account()

Recursive = Annotated[Flag, Parameter(name=["--recursive", "-r"])]


def ls(location: str, *, recursive: Recursive = False, public: Flag = False, account: Account = _DIRECT) -> int:
    """List what is at a place: type, bytes, local time of the last change, name.

    Args:
        location: A directory or an object, written aws:/bucket/key.
        recursive: Everything below it.
        public: In the account's public storage.
    """
    place, area = _remote(location), _area(public)

    async def show(storage: AsyncStorageManager) -> None:
        if not (recursive and await _list_below(storage, place, area)):
            print_items(await storage.list(place.provider, place.path, storage_type=area))

    with_storage(account, show)
    return 0


def cat(location: str, *, public: Flag = False, account: Account = _DIRECT) -> int:
    """Write an object's bytes to standard output.

    Args:
        location: The object, written aws:/bucket/key.
        public: In the account's public storage.
    """
    place, area = _remote(location), _area(public)

    async def show(storage: AsyncStorageManager) -> None:
        async for chunk in storage.read(place.path, provider=place.provider, storage_type=area):
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()

    with_storage(account, show)
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
        locations: Objects, written aws:/bucket/key; with --recursive and a slash at their end, directories.
        recursive: Directories may be meant: they go with everything below them.
        public: In the account's public storage.
        quiet: Print nothing but errors.
    """
    places, area = [_remote(location) for location in locations], _area(public)
    if not places:
        raise ConfigurationError("nothing to delete was named; write aws:/bucket/key")
    for place in places:
        if place.path.endswith("/") and not recursive:
            raise ConfigurationError(f"{place} is a directory; add --recursive to delete all that is in it")

    async def delete(storage: AsyncStorageManager) -> int:
        return sum([await storage.delete(place.path, place.provider, storage_type=area) for place in places])

    count = with_storage(account, delete)
    if not quiet:
        write_line(f"{count} deleted")
    return 0


def presign(location: str, *, expires: float = 3600.0, public: Flag = False, account: Account = _DIRECT) -> int:
    """Print a URL that downloads an object without an account, for a while.

    Args:
        location: The object, written aws:/bucket/key.
        expires: For how many seconds.
        public: In the account's public storage.
    """
    place, area = _remote(location), _area(public)
    write_line(
        with_storage(account, lambda storage: storage.presign(place.path, expires, place.provider, storage_type=area))
    )
    return 0


async def _list_below(storage: AsyncStorageManager, place: Location, area: str) -> bool:
    """Lists everything below a directory as it comes; returns whether there was anything."""
    found = False
    try:
        async for item in storage.scan(place.provider, place.path, storage_type=area, recursive=True):
            write_line(format_item(item, below=place.path))
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
