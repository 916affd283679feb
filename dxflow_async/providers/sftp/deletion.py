"""Deleting files and whole directories."""

from __future__ import annotations

import stat
from contextlib import suppress

from dxflow_async.providers import AlreadyExistsError, Call, NotFoundError, StorageError, for_each
from dxflow_async.providers.sftp.errors import is_failure
from dxflow_async.providers.sftp.listing import names_in
from dxflow_async.providers.sftp.names import kind_of
from dxflow_async.providers.sftp.server import Server

__all__ = ["delete"]

_AT_A_TIME = 16


async def delete(server: Server, key: str) -> None:
    """Deletes a file, or a directory with its content; a link is removed and not followed. A missing one is no error.

    Raises:
        AlreadyExistsError: the key is that of a file, and a directory has the name.
        StorageError: it, or something in it, could not be deleted; what could be is.
    """
    call, path = server.call("delete", key), server.base.changeable(key)
    if key.endswith("/"):
        found = await server.lstat(call, path)
        if found is None:
            return
        if kind_of(found) == stat.S_IFDIR:
            await _delete_tree(server, call, path)
            return
        if kind_of(found) != stat.S_IFLNK:
            raise call.error(NotFoundError, "it is a file, not a directory; check the path")
    await _remove(server, call, path)


async def _remove(server: Server, call: Call, path: bytes) -> None:
    try:
        await server.request(call, lambda sftp: sftp.remove(path))
    except NotFoundError:
        return
    except StorageError as error:
        found = await server.lstat(call, path) if is_failure(error) else None
        if found is not None and kind_of(found) == stat.S_IFDIR:
            raise call.error(AlreadyExistsError, "a directory has that name; add a slash to delete it") from error
        raise


async def _delete_tree(server: Server, call: Call, top: bytes) -> None:
    """Deletes all files first, then the directories, each after those in it."""
    errors: list[StorageError] = []

    async def attempt(path: bytes) -> None:
        try:
            await _remove(server, call, path)
        except StorageError as error:
            errors.append(error)

    directories, number = [top], 0
    while number < len(directories):
        path = directories[number]
        number += 1
        try:
            async with server.connections.channel(call) as channel:
                names = await names_in(call, channel, path)
        except NotFoundError:
            continue
        below = [(path + b"/" + name.encode("utf-8", "surrogateescape"), kind_of(each)) for name, each in names]
        directories += [each for each, kind in below if kind == stat.S_IFDIR]
        await for_each([each for each, kind in below if kind != stat.S_IFDIR], attempt, _AT_A_TIME)
    for path in reversed(directories):
        try:
            with suppress(NotFoundError):
                await server.request(call, lambda sftp, path=path: sftp.rmdir(path))  # type: ignore[misc]
        except StorageError as error:
            errors.append(error)
    if errors:
        raise errors[0]
