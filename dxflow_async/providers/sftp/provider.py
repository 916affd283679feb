"""Files at an SSH server, over SFTP.

Sections, in the order every provider keeps: features, the provider. Its reading is in `reader.py`, its writing in
`temporary_file.py` and `upload.py`, listings in `listing.py`. Beside stand `connections.py` and `connector.py`, which
hold the connections, `server.py`, which knows what this server can do, and `errors.py`, the table of errors.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dxflow_async.providers import (
    HTTP,
    AlreadyExistsError,
    Body,
    Call,
    Entry,
    Features,
    NotFoundError,
    ObjectOptions,
    Page,
    PartReceipt,
    PreconditionFailedError,
    Provider,
    Reader,
    StorageError,
    Threads,
    UnsafePathError,
    UnsupportedError,
    Upload,
    check_matching,
    delete_each,
    page_size,
)
from dxflow_async.providers.sftp.connections import Connections
from dxflow_async.providers.sftp.connector import Connector
from dxflow_async.providers.sftp.deletion import delete
from dxflow_async.providers.sftp.errors import is_failure
from dxflow_async.providers.sftp.left_files import LeftFiles
from dxflow_async.providers.sftp.listing import Listing, names_in
from dxflow_async.providers.sftp.names import PERMISSIONS, Base, entry_of, kind_of, name_of
from dxflow_async.providers.sftp.reader import SFTPReader
from dxflow_async.providers.sftp.server import Server
from dxflow_async.providers.sftp.settings import SFTPSettings
from dxflow_async.providers.sftp.temporary_file import TemporaryFile
from dxflow_async.providers.sftp.upload import SFTPUpload

__all__ = ["SFTPProvider"]

_DELETIONS_AT_A_TIME = 16

_FXF_READ = 1
"""asyncssh's `FXF_READ`, which need not be loaded for it."""

# Features

_FEATURES = Features(
    directories=True,
    rename=True,
    modes=True,
    resumable=True,
    mtime=True,
    mtime_listed=True,
    mtime_resolution=1.0,
    ordered=True,
    conditions=True,
    atomic_create=True,
    byte_names=True,
    max_part_size=1 << 62,
    max_size=1 << 62,
)


# The provider


class SFTPProvider(Provider):
    """The files of a user of an SSH server.

    Args:
        settings: the server, and who signs in.
        http: the session's data plane, whose timeouts and throttle hold here, too.
        threads: the session's threads.
        name: as errors show it.
        durable: have written files brought to disk, where the server can.
    """

    def __init__(
        self, settings: SFTPSettings, http: HTTP, threads: Threads, *, name: str = "SFTP", durable: bool = True
    ) -> None:
        self.name = name
        connector = Connector(settings, threads, connect_timeout=http.connect_timeout, stall_timeout=http.stall_timeout)
        connections = Connections(connector, settings.max_connections, http.stall_timeout, http.min_speed)
        self._server = Server(
            name,
            Base(settings.path),
            connections,
            lambda: threads.owner_id,
            durable=durable,
            throttle=http.throttle,
        )
        self._follows = settings.follow_symlinks
        self._features = replace(_FEATURES, endpoint=f"sftp://{connector.host}:{settings.port or 22}")

    @property
    def features(self) -> Features:  # type: ignore[override]
        """What the server can do, as far as it is known."""
        if (keeps := self._server.keeps_attributes) != self._features.mtime:
            self._features = replace(self._features, mtime=keeps, mtime_listed=keeps, modes=keeps)
        return self._features

    @property
    def temporary_files(self) -> LeftFiles:
        return LeftFiles(self._server)

    async def list_page(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
        listing: Listing = cursor or Listing(self._server, prefix, recursive=recursive, follow_symlinks=self._follows)
        size = page_size(recursive=recursive, first=cursor is None)
        entries = await listing.page(size)
        return Page(entries, listing if len(entries) == size else None)

    async def stat(self, key: str) -> Entry:
        call, path = self._server.call("stat", key), self._server.base.path(key)
        return await self._stat(call, key, path)

    async def read(
        self, key: str, start: int = 0, end: int | None = None, *, etag: str | None = None, listed: Entry | None = None
    ) -> Reader:
        call, path = self._server.call("read", key), self._server.base.path(key)
        if etag is None and listed is None:
            # Opening a named pipe would make the server wait for a writer, and every request behind this one, too.
            _check_regular(call, await self._stat(call, key, path))
        connections = self._server.connections
        channel = await connections.acquire(call)
        try:
            file = await channel.open(call, path, _FXF_READ)
            try:
                attributes = await channel.run(call, file.stat)
                if attributes.size is None:  # some servers tell it of names only
                    attributes = await channel.run(call, channel.sftp.stat, path)
                entry = entry_of(key, attributes)
                _check_regular(call, entry)
                if attributes.size is None:
                    raise call.error(UnsupportedError, "the server does not tell its size, so it cannot be read whole")
                if etag is not None and entry.etag != etag:
                    raise call.error(PreconditionFailedError, "the file was changed meanwhile; try again")
                if start >= entry.size and (start or end is not None):
                    text = f"it has no byte at {start}; look at its size again"
                    raise call.error(PreconditionFailedError, text)
            except BaseException:
                await channel.close(call, file)
                raise
        except BaseException:
            connections.release(channel)
            raise
        last = entry.size if end is None else min(end, entry.size)
        return SFTPReader(call, connections, channel, file, entry, start, last, self._server.throttle)

    async def write(self, key: str, body: Body, options: ObjectOptions) -> Entry:
        file = TemporaryFile(self._server, key)
        try:
            async with self._server.connections.channel(file.call) as channel:
                opened = await file.create(channel)
                try:
                    size, crc = await file.write_at(channel, opened, 0, body)
                    if size != body.size or body.crc32c not in (None, crc):
                        raise file.mismatch(size, body.size)
                    await file.complete(channel, opened, size, options)
                except BaseException:
                    await channel.close(file.call, opened)
                    raise
            await file.take_name(options)
        except BaseException:
            await file.discard()
            raise
        return Entry(key, size, crc32c=crc)

    async def start_upload(self, key: str, size: int | None, options: ObjectOptions) -> Upload:
        file = TemporaryFile(self._server, key)
        try:
            async with self._server.connections.channel(file.call) as channel:
                await channel.close(file.call, await file.create(channel))
            if size is not None:
                await file.check_space(size)
        except BaseException:
            await file.discard()
            raise
        return SFTPUpload(self._server, file, options)

    async def resume_upload(
        self, key: str, upload_id: str, receipts: Sequence[PartReceipt], options: ObjectOptions
    ) -> tuple[Upload, Sequence[PartReceipt]]:
        file = TemporaryFile(self._server, key, upload_id)
        await file.look()
        upload = SFTPUpload(self._server, file, options)
        return upload, await upload.verified(receipts)

    async def delete(self, keys: Sequence[str]) -> dict[str, StorageError]:
        return await delete_each(keys, lambda key: delete(self._server, key), _DELETIONS_AT_A_TIME)

    async def delete_matching(self, key: str, etag: str) -> None:
        call = self._server.call("delete", key)
        await check_matching(self, call, key, etag)
        await self.delete_one(key)

    async def rename(self, source: str, key: str) -> None:
        server, call = self._server, self._server.call("move", source)
        old, new = server.base.changeable(source), server.base.changeable(key)
        if not source.endswith("/"):
            await server.replaceable(call, new)
        try:
            await server.replace(call, old, new)
        except NotFoundError:
            above = new.rpartition(b"/")[0]
            if not above or await server.lstat(call, old) is None:
                raise
            await server.make_directories(call, above)
            await server.replace(call, old, new)
        except StorageError as error:
            found = await server.lstat(call, new) if is_failure(error) else None
            if found is not None and kind_of(found) == stat.S_IFDIR:
                text = "a directory that is not empty has that name; choose another name"
                raise call.error(AlreadyExistsError, text) from error
            raise

    async def absolute_path(self, key: str) -> tuple[str, str] | None:
        call = self._server.call("stat", key)
        async with self._server.connections.channel(call) as channel:
            path = await self._server.real_path(call, self._server.base.path(key), channel)
            return channel.host_key or self._features.endpoint or "", name_of(path)

    async def make_directory(self, key: str, mode: int | None = None) -> None:
        call = self._server.call("make directory", key)
        wanted = None if mode is None else (mode | stat.S_IRWXU) & PERMISSIONS
        await self._server.make_directories(call, self._server.base.path(key), wanted)

    async def remove_directory(self, key: str) -> None:
        call, path = self._server.call("delete", key), self._server.base.changeable(key)
        try:
            await self._server.request(call, lambda sftp: sftp.rmdir(path))
        except StorageError as error:
            if is_failure(error):
                async with self._server.connections.channel(call) as channel:
                    if await names_in(call, channel, path):
                        text = "the directory is not empty; delete what is in it first"
                        raise call.error(AlreadyExistsError, text) from error
            raise

    async def aclose(self) -> None:
        await self._server.sweep()
        await self._server.connections.aclose()

    async def _stat(self, call: Call, key: str, path: bytes) -> Entry:
        if self._follows:
            attributes = await self._server.request(call, lambda sftp: sftp.stat(path))
        else:
            attributes = await self._server.request(call, lambda sftp: sftp.lstat(path))
        entry = self._server.entry(key, attributes)
        if key.endswith("/") and not entry.directory:
            raise call.error(NotFoundError, "it is a file, not a directory; check the path")
        return entry


def _check_regular(call: Call, entry: Entry) -> None:
    if entry.directory:
        raise call.error(NotFoundError, "it is a directory; name a file in it")
    if entry.unreadable is not None:
        cls = UnsafePathError if "link" in entry.unreadable else UnsupportedError
        raise call.error(cls, f"it is {entry.unreadable}; leave it out")
