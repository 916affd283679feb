"""The temporary files that killed processes have left at the server."""

from __future__ import annotations

import stat
from collections.abc import Collection, Sequence

from dxflow_async.providers import Call, StorageError, TemporaryFiles, delete_each, for_each
from dxflow_async.providers.sftp.listing import names_in
from dxflow_async.providers.sftp.names import is_temporary, kind_of
from dxflow_async.providers.sftp.server import Server

__all__ = ["LeftFiles"]

_AT_A_TIME = 16


class LeftFiles(TemporaryFiles):
    """The files at one server.

    Args:
        server: the server.
    """

    __slots__ = ("_server",)

    def __init__(self, server: Server) -> None:
        self._server = server

    async def find(
        self, directory: str, owner_ids: Collection[str], kept: Collection[str] = (), *, recursive: bool = False
    ) -> Sequence[str]:
        call, found, level = self._server.call("list", directory), list[str](), [directory]

        async def look(key: str) -> None:
            try:
                files, directories = await self._look(call, key)
            except StorageError:
                if key == directory:
                    raise
                return
            found.extend(key + name for name in files if is_temporary(name, owner_ids) and name not in kept)
            if recursive:
                below.extend(f"{key}{name}/" for name in directories)

        while level:
            below: list[str] = []
            await for_each(level, look, _AT_A_TIME)
            level = below
        return sorted(found)

    async def remove(self, keys: Sequence[str]) -> None:
        async def remove(key: str) -> None:
            await self._server.remove(self._server.call("delete", key), self._server.base.changeable(key))

        for error in (await delete_each(keys, remove, _AT_A_TIME)).values():
            raise error

    async def _look(self, call: Call, directory: str) -> tuple[list[str], list[str]]:
        """Returns the names in a directory: those of files, and those of directories."""
        async with self._server.connections.channel(call) as channel:
            names = await names_in(call, channel, self._server.base.path(directory))
        directories = [name for name, attributes in names if kind_of(attributes) == stat.S_IFDIR]
        return [name for name, attributes in names if kind_of(attributes) in (0, stat.S_IFREG)], directories
