"""One SSH server as the files of this folder use it: its connections, its directory, and what it was seen to refuse."""

from __future__ import annotations

import logging
import math
import secrets
import stat
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Literal, TypeVar

from dxflow_async.providers import (
    AlreadyExistsError,
    Call,
    Entry,
    NotFoundError,
    StorageError,
    Throttle,
    UnsafePathError,
    UnsupportedError,
    clean_up,
)
from dxflow_async.providers.sftp.connections import Channel, Connections
from dxflow_async.providers.sftp.errors import FULL, is_failure, is_refusal
from dxflow_async.providers.sftp.names import PERMISSIONS, Base, described, entry_of, kind_of

if TYPE_CHECKING:
    import asyncssh

__all__ = ["Server"]

_log = logging.getLogger("dxflow_async.providers.sftp")

T = TypeVar("T")

_BELIEF = 3600.0
"""Seconds for which a refusal of times and modes is believed: the directory may be on another disk by then."""
_USUAL_MODE = 0o644
_COARSEST_TIME = 2
"""Seconds between two times of a file on the coarsest file system (FAT)."""
_RESERVE = 1 << 20
"""Bytes: with less free space than that, a failed write means a full disk."""


class Server:
    """One server.

    Args:
        name: of the remote, as errors show it.
        base: the directory that keys are below.
        connections: to the server.
        owner: returns the eight hexadecimal digits that the name of a new temporary file begins with.
        durable: have written files brought to disk, where the server can.
        throttle: a cap on bytes a second, or None.

    Attributes:
        new_mode: the permission bits of new files there; None: not known yet.
        times_seen: a file was seen to have the time that it was given.
    """

    def __init__(
        self,
        name: str,
        base: Base,
        connections: Connections,
        owner: Callable[[], str],
        *,
        durable: bool,
        throttle: Throttle | None,
    ) -> None:
        self.name = name
        self.base = base
        self.connections = connections
        self._owner = owner
        self.throttle = throttle
        self.new_mode: int | None = None
        self._plain_until = -math.inf
        self.times_seen = False
        self._durable = durable
        self._renames = True
        self._leftovers: set[bytes] = set()

    @property
    def keeps_attributes(self) -> bool:
        """Whether it lets us set times and permission bits: not for an hour after it refused that."""
        return monotonic() >= self._plain_until

    def _keep_none(self) -> None:
        self._plain_until = monotonic() + _BELIEF

    def call(self, operation: str, key: str) -> Call:
        """Returns what errors about a key say."""
        return Call(self.name, operation, f"/{key}")

    async def request(self, call: Call, make: Callable[[asyncssh.SFTPClient], Awaitable[T]]) -> T:
        """Sends one request on any channel, and returns the answer."""
        async with self.connections.channel(call) as channel:
            return await channel.run(call, make, channel.sftp)

    def entry(self, key: str, attributes: asyncssh.SFTPAttrs) -> Entry:
        """Returns what attributes say, without a time of the source where the server keeps none."""
        entry = entry_of(key, attributes)
        if not self.keeps_attributes:
            entry.mtime = None
        return entry

    # What has a name

    async def lstat(self, call: Call, path: bytes, channel: Channel | None = None) -> asyncssh.SFTPAttrs | None:
        """Returns the attributes of what has a path, a link not followed; None where nothing has."""
        try:
            if channel is not None:
                return await channel.run(call, channel.sftp.lstat, path)
            return await self.request(call, lambda sftp: sftp.lstat(path))
        except NotFoundError:
            return None

    async def replaceable(self, call: Call, path: bytes, channel: Channel | None = None) -> int | None:
        """Returns the permission bits of the file that a new one would replace; None where there is none.

        Raises:
            UnsafePathError: a link, a pipe, a socket or a device has the name.
            AlreadyExistsError: a directory has it.
        """
        attributes = await self.lstat(call, path, channel)
        if attributes is None:
            return None
        kind = kind_of(attributes)
        if kind == stat.S_IFDIR:
            raise call.error(AlreadyExistsError, "a directory has that name; choose another name")
        if kind not in (0, stat.S_IFREG):
            what = described(kind)
            text = f"{what} has that name, and is not replaced; remove it, or choose another name"
            raise call.error(UnsafePathError, text)
        return None if attributes.permissions is None else attributes.permissions & PERMISSIONS

    async def real_path(self, call: Call, path: bytes, channel: Channel) -> bytes:
        """Returns the absolute path of what need not be there, links in it resolved."""
        try:
            return bytes(await channel.run(call, channel.sftp.realpath, path))
        except StorageError:
            above, slash, name = path.rstrip(b"/").rpartition(b"/")
            if not name:
                raise
            parent = above or (b"/" if slash else b".")
            return (await self.real_path(call, parent, channel)).rstrip(b"/") + b"/" + name

    async def make_directories(self, call: Call, path: bytes, mode: int | None = None) -> None:
        """Makes a directory, parents included; `mode` has the permission bits of a new one.

        Raises:
            AlreadyExistsError: a file has the name of one of them.
        """
        import asyncssh

        told = mode if self.keeps_attributes else None
        attributes = asyncssh.SFTPAttrs() if told is None else asyncssh.SFTPAttrs(permissions=told)
        try:
            await self.request(call, lambda sftp: sftp.mkdir(path, attributes))
        except NotFoundError:
            above = path.rpartition(b"/")[0]
            if not above or path.strip(b"/.") == b"":
                raise
            await self.make_directories(call, above)
            await self.make_directories(call, path, mode)
            return
        except StorageError as error:
            # Servers answer `FAILURE`, or refuse by the rights of the directory above, where it is there already.
            found = None
            with suppress(StorageError):
                found = await self.request(call, lambda sftp: sftp.stat(path))
            if found is None:
                if told is None or not is_refusal(error):
                    raise
                await self.make_directories(call, path)  # the mode may be what it refuses
                self._keep_none()
                return
            if kind_of(found) not in (0, stat.S_IFDIR):
                text = "a file has the name of a directory on the way; choose another name"
                raise call.error(AlreadyExistsError, text) from error
            return
        if told is not None:  # the mask of new files may have taken bits
            with suppress(StorageError):
                await self.request(call, lambda sftp: sftp.chmod(path, told))

    # Changing names

    async def replace(self, call: Call, source: bytes, target: bytes) -> None:
        """Renames a file or a directory; a file that has the new name is replaced at once, where the server can."""
        if self._renames and await self._replace_at_once(call, source, target):
            return
        aside: bytes | None = None
        try:
            await self.request(call, lambda sftp: sftp.rename(source, target))
        except StorageError:
            if await self.replaceable(call, target) is None and await self.lstat(call, target) is None:
                raise
            aside = target.rpartition(b"/")[0] + b"/" if b"/" in target else b""
            aside += self.temporary_name("old").encode()
        if aside is None:
            return
        old = aside
        await self.request(call, lambda sftp: sftp.rename(target, old))
        try:
            await self.request(call, lambda sftp: sftp.rename(source, target))
        except BaseException:
            await clean_up(self.request(call, lambda sftp: sftp.rename(old, target)))
            raise
        await self.remove(call, old)

    async def _replace_at_once(self, call: Call, source: bytes, target: bytes) -> bool:
        """Renames with `posix-rename`; returns whether the server does that."""
        try:
            await self.request(call, lambda sftp: sftp.posix_rename(source, target))
        except UnsupportedError:
            self._renames = False
            _log.warning("%s cannot rename over an existing file: replaced files are missing for a moment", self.name)
            return False
        except StorageError as error:
            # A server may announce it, and refuse it where something has the new name.
            if not is_failure(error) or await self.lstat(call, source) is None:
                raise
            if await self.replaceable(call, target) is None and await self.lstat(call, target) is None:
                raise
            return False
        return True

    def temporary_name(self, kind: Literal["part", "old"] = "part") -> str:
        """Returns a new name for a file that is being written, or for an old one that is being replaced."""
        return f".{self._owner()}{secrets.token_hex(4)}.dx{kind}"

    async def remove(self, call: Call, path: bytes) -> None:
        """Removes a file that may be gone already; a temporary one that cannot be removed now is removed later."""
        self._leftovers.add(path)
        with suppress(NotFoundError):
            await self.request(call, lambda sftp: sftp.remove(path))
        self._leftovers.discard(path)

    async def sweep(self) -> None:
        """Removes the temporary files whose removal failed, as far as that works now."""
        for path in list(self._leftovers):
            with suppress(StorageError):
                await self.remove(self.call("delete", "temporary file"), path)

    # A written file

    async def free_space(self, call: Call, path: bytes) -> int | None:
        """Returns the bytes that are free where a path is; None where the server does not tell, or has no size."""
        with suppress(StorageError):
            status = await self.request(call, lambda sftp: sftp.statvfs(path))
            unit = status.frsize or status.bsize
            return int(status.bavail * unit) if status.blocks and unit else None
        return None

    async def explained(self, call: Call, error: StorageError, path: bytes) -> StorageError:
        """Returns what a write failed of, where the server gives no reason: usually a full disk."""
        if is_failure(error):
            free = await self.free_space(call, path)
            if free is not None and free < _RESERVE:
                return call.error(StorageError, FULL, code=error.code)
        return error

    async def describe(
        self, call: Call, channel: Channel, file: asyncssh.SFTPClientFile, mode: int | None, modified: int | None
    ) -> None:
        """Gives an open file its permission bits and its time, as far as the server lets us."""
        import asyncssh

        if not self.keeps_attributes:
            return
        wanted: dict[str, int] = {"permissions": _USUAL_MODE if mode is None else mode}
        if modified is not None:
            wanted |= {"atime": modified, "mtime": modified}
        try:
            await channel.run(call, file.setstat, asyncssh.SFTPAttrs(**wanted))
        except StorageError as error:
            if not channel.usable:
                raise
            if self.times_seen:  # then it is this file that it refuses
                _log.info("%s keeps neither the time nor the mode of a file: %s", self.name, error)
            else:
                self._keep_none()
                _log.warning("%s keeps neither the time nor the mode of files: %s", self.name, error)

    async def check_time(self, call: Call, channel: Channel, path: bytes, modified: int | None) -> None:
        """Looks once whether a closed file has the time that it was given: some servers accept it and ignore it."""
        if modified is None or self.times_seen or not self.keeps_attributes:
            return
        found = await self.lstat(call, path, channel)
        if found is None or found.mtime is None or abs(found.mtime - modified) > _COARSEST_TIME:
            self._keep_none()
            _log.warning("%s accepts the time of a file and does not keep it", self.name)
        else:
            self.times_seen = True

    async def sync(self, call: Call, channel: Channel, file: asyncssh.SFTPClientFile) -> None:
        """Has an open file brought to disk, where the server can."""
        if self._durable:
            try:
                await channel.run(call, file.fsync)
            except UnsupportedError:
                self._durable = False
