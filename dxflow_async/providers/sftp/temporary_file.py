"""A file that is written under a temporary name beside its target, and renamed to it when it is complete."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from anyio import CancelScope

from dxflow_async.providers import (
    EXISTS,
    REPLACED,
    AlreadyExistsError,
    Body,
    ChecksumMismatchError,
    NotFoundError,
    ObjectOptions,
    PreconditionFailedError,
    StorageError,
    clean_up,
    crc32c,
    same_etag,
)
from dxflow_async.providers.sftp.connections import Channel
from dxflow_async.providers.sftp.errors import FULL, is_failure, is_refusal
from dxflow_async.providers.sftp.names import PERMISSIONS, PRIVATE, entry_of, is_temporary
from dxflow_async.providers.sftp.server import Server

if TYPE_CHECKING:
    import asyncssh

__all__ = ["TemporaryFile"]

_MAX_OUTSTANDING_SIZE = 2 << 20
_DISCARD_SECONDS = 10.0
_LARGEST_TIME = 1 << 32
_UNSETTLED_SECONDS = 2.0


class TemporaryFile:
    """The bytes that are to be a file. To be completed and named, or discarded.

    Args:
        server: where it is.
        key: the target.
        name: of the temporary file; None for a new one.

    Attributes:
        name: which identifies it beside its target.
        path: where the bytes are.

    Raises:
        UnsafePathError: the key is no name below the server's directory.
        AlreadyExistsError: it is that of a directory.
        NotFoundError: `name` is not that of a temporary file.
    """

    def __init__(self, server: Server, key: str, name: str | None = None) -> None:
        self.key = key
        self.call = server.call("write", key)
        self._server = server
        self._target = server.base.changeable(key)
        if key.endswith("/"):
            raise self.call.error(AlreadyExistsError, "a file's name has no slash at its end")
        self.name = name or server.temporary_name()
        if not is_temporary(self.name):
            raise self.call.error(NotFoundError, "it is no upload to this name")
        above, slash, _ = self._target.rpartition(b"/")
        self._directory = above + slash
        self.path = self._directory + self.name.encode()
        self._replaced: int | None = None
        self._exists = name is not None
        self._began = time.time()

    async def create(self, channel: Channel) -> asyncssh.SFTPClientFile:
        """Makes the file, and the directories above it that are missing.

        Raises:
            UnsafePathError, AlreadyExistsError: what has the target's name is not replaced.
        """
        import asyncssh

        server = self._server
        learns = server.new_mode is None and server.keeps_attributes
        plain = asyncssh.SFTPAttrs()
        attributes = asyncssh.SFTPAttrs(permissions=PRIVATE) if server.keeps_attributes and not learns else plain
        flags = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | asyncssh.FXF_EXCL
        self._exists = True
        looking = asyncio.ensure_future(server.replaceable(self.call, self._target, channel))
        opened = None
        try:
            try:
                opened = await self.open(channel, flags, attributes)
            except StorageError as error:
                self._replaced = await looking  # its refusal is the clearer one
                if isinstance(error, NotFoundError):
                    await server.make_directories(self.call, self._directory.rstrip(b"/") or b"/")
                elif attributes is plain or not is_refusal(error):
                    raise
                else:
                    attributes = plain  # the mode may be what it refuses
                opened = await self.open(channel, flags, attributes)
            else:
                self._replaced = await looking
            if learns:
                await self._learn_mode(channel, opened)
        except BaseException:
            looking.cancel()
            if opened is not None:
                await channel.close(self.call, opened)
            await asyncio.gather(looking, return_exceptions=True)
            raise
        return opened

    async def open(
        self, channel: Channel, flags: int, attributes: asyncssh.SFTPAttrs | None = None
    ) -> asyncssh.SFTPClientFile:
        """Opens the file. Raises NotFoundError where it is gone."""
        return await channel.open(self.call, self.path, flags, attributes)

    async def _learn_mode(self, channel: Channel, file: asyncssh.SFTPClientFile) -> None:
        """Learns the permission bits of new files on this server, and hides this one from others."""
        status = await channel.run(self.call, file.stat)
        if status.permissions is not None:
            self._server.new_mode = status.permissions & PERMISSIONS
        await self._server.describe(self.call, channel, file, PRIVATE, None)

    async def look(self) -> None:
        """Looks at a file that another process created, and at what has the target's name.

        Raises:
            NotFoundError: it is gone.
            UnsafePathError, AlreadyExistsError: what has the target's name is not replaced.
        """
        if await self._server.lstat(self.call, self.path) is None:
            raise self.call.error(NotFoundError, "the upload was finished or removed; start it again")
        self._replaced = await self._server.replaceable(self.call, self._target)

    async def check_space(self, size: int) -> None:
        """Raises StorageError where so many bytes do not fit on the server's disk."""
        free = await self._server.free_space(self.call, self.path)
        if free is not None and free < size:
            raise self.call.error(StorageError, FULL)

    async def write_at(
        self, channel: Channel, file: asyncssh.SFTPClientFile, offset: int, body: Body
    ) -> tuple[int, int]:
        """Writes a body at an offset, several requests at a time; returns its size and its CRC32C."""
        pending: deque[asyncio.Task[int]] = deque()
        window = max(2, _MAX_OUTSTANDING_SIZE // channel.write_size)
        position, crc = offset, 0
        try:
            async for chunk in body:
                crc = crc32c(chunk, crc)
                view = memoryview(chunk).cast("B")
                if self._server.throttle is not None and view:
                    await self._server.throttle.take(len(view))
                for start in range(0, len(view), channel.write_size):
                    if len(pending) >= window:
                        await asyncio.shield(pending[0])
                        pending.popleft()
                    block = bytes(view[start : start + channel.write_size])
                    request = channel.run(self.call, file.write, block, position)
                    pending.append(asyncio.ensure_future(request))
                    position += len(block)
            while pending:
                await asyncio.shield(pending[0])
                pending.popleft()
        except StorageError as error:
            raise await self._server.explained(self.call, error, self._directory or b".") from error
        finally:
            for task in pending:
                task.cancel()
            if pending:
                with CancelScope(shield=True):
                    await asyncio.gather(*pending, return_exceptions=True)
        return position - offset, crc

    async def complete(
        self, channel: Channel, file: asyncssh.SFTPClientFile, size: int, options: ObjectOptions
    ) -> None:
        """Gives the file its mode and its time, has it brought to disk, and closes it.

        Raises:
            ChecksumMismatchError: the server has another number of bytes.
        """
        server = self._server
        mode = self._replaced if self._replaced is not None else options.mode
        mode = server.new_mode if mode is None else mode & PERMISSIONS
        modified = None if options.modified is None else self._whole_seconds(options.modified)
        if modified is not None and not 0 <= modified < _LARGEST_TIME:
            modified = None  # SFTP has no such times
        status = await channel.run(self.call, file.stat)
        if status.size is not None and status.size != size:
            raise self.mismatch(status.size, size)
        await server.sync(self.call, channel, file)
        await server.describe(self.call, channel, file, mode, modified)
        await channel.run(self.call, file.close)
        await server.check_time(self.call, channel, self.path, modified)

    def _whole_seconds(self, modified: float) -> int:
        """Returns a time as it is kept: cut to a second, and a second earlier where that second was not over.

        A source that was changed in the second in which it was read may change again in it, which its time in whole
        seconds would not show. The earlier time is nobody's, so that a later sync compares the bytes.
        """
        seconds = math.floor(modified)
        return seconds - 1 if modified > self._began - _UNSETTLED_SECONDS else seconds

    def mismatch(self, arrived: int, size: int) -> StorageError:
        """Returns the error for bytes that are not those that were announced."""
        text = f"{arrived} bytes arrived of {size}, or with another checksum than the source's; try again"
        return self.call.error(ChecksumMismatchError, text)

    async def take_name(self, options: ObjectOptions) -> None:
        """Gives the file its name; what had it before is replaced, if the options' condition holds.

        Raises:
            AlreadyExistsError, PreconditionFailedError: it does not.
        """
        if options.conditional:
            await self._check(options)
        if options.if_absent:
            await self._take_new_name()
        else:
            await self._server.replace(self.call, self.path, self._target)
        self._exists = False

    async def _check(self, options: ObjectOptions) -> None:
        found = await self._server.lstat(self.call, self._target)
        if options.if_absent and found is not None:
            raise self.call.error(AlreadyExistsError, EXISTS)
        etag = None if found is None else entry_of(self.key, found).etag
        if not options.if_absent and (etag is None or not same_etag(etag, options.if_match)):
            raise self.call.error(PreconditionFailedError, REPLACED)

    async def _take_new_name(self) -> None:
        """Renames as the protocol defines it: a file that has the name makes it fail."""
        try:
            await self._server.request(self.call, lambda sftp: sftp.rename(self.path, self._target))
        except StorageError as error:
            if isinstance(error, AlreadyExistsError) or (
                is_failure(error) and await self._server.lstat(self.call, self._target) is not None
            ):
                raise self.call.error(AlreadyExistsError, EXISTS) from error
            raise

    async def discard(self) -> None:
        """Removes the file, also while a cancellation is under way; nothing happens to one that has its name."""
        if self._exists:
            self._exists = False
            with suppress(StorageError):  # `Server.sweep` tries again
                await clean_up(self._server.remove(self.call, self.path), _DISCARD_SECONDS)
