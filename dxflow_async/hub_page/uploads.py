"""Uploads that go straight into storage, and stay open between the requests that bring their bytes.

A stream of `AsyncSession.write` takes the bytes from a short queue, so nothing is kept on the disk of this machine. A
request that breaks off leaves the stream open: a later one goes on where it stopped. A stream that nobody goes on with
is given up, and then nothing of it is stored.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from aiohttp import web

from dxflow_async.hub_page.locations import encode_location
from dxflow_async.server.common.middleware import refusal
from dxflow_async.session import AsyncSession

__all__ = ["EXPIRY_SECONDS", "Upload", "Uploads"]

EXPIRY_SECONDS = 3600.0
"""Seconds without a byte after which an upload ends."""

MAX_UPLOADS = 12
"""The most unfinished uploads of a session. Each may hold a part in memory; all parts together have to fit."""

_BUFFER_SIZE = 512 << 10
"""Bytes that wait for the storage; the next ones wait at the client."""

_MAX_REMEMBERED = 256


class Upload:
    """One upload.

    Attributes:
        id: as its URL has it. Nobody can guess it.
        location: the new object.
        length: its size in bytes.
        offset: how many bytes have come.
        fingerprint: by which the client knows the file again; None without one.
        used: when the last byte came, on the monotonic clock.
    """

    def __init__(
        self,
        session: AsyncSession,
        location: str,
        length: int,
        *,
        fingerprint: str | None = None,
        content_type: str | None = None,
        overwrite: bool = True,
    ) -> None:
        self.id = secrets.token_urlsafe(24)
        self.location = location
        self.length = length
        self.offset = 0
        self.fingerprint = fingerprint
        self.used = time.monotonic()
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._complete = False
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._receiving: asyncio.Task[None] | None = None
        self._writing = asyncio.get_running_loop().create_task(
            _write(session, location, self._data(), content_type, overwrite=overwrite)
        )
        self._writing.add_done_callback(self._ended)

    @property
    def ended(self) -> bool:
        """Whether the object is stored, or never will be."""
        return self._writing.done()

    @property
    def receives(self) -> bool:
        """Whether a request brings bytes now, or the last of them are being stored."""
        return self._receiving is not None or (self._complete and not self.ended)

    async def receive(self, offset: int, receive: Callable[[], Awaitable[None]]) -> None:
        """Runs `receive`, which puts the bytes of a request. A request that was doing so is ended before.

        Raises:
            HTTPConflict: the offset is not that of the next byte, or a later request has taken over.
        """
        if self._receiving is not None:
            self._receiving.cancel()
            await asyncio.wait({self._receiving})
        if offset != self.offset or self._receiving is not None:
            raise refusal(web.HTTPConflict, "wrong_offset", f"the upload is at byte {self.offset}; go on from there")

        async def run() -> None:
            await receive()

        task = self._receiving = asyncio.get_running_loop().create_task(run())
        try:
            await asyncio.wait({task})
        finally:
            if not task.done():  # this request was cancelled
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task
            if self._receiving is task:
                self._receiving = None
        if task.cancelled():
            raise refusal(web.HTTPConflict, "taken_over", "another request goes on with this upload")
        task.result()

    async def put(self, chunk: bytes) -> None:
        """Takes bytes, once there is room for them.

        Raises:
            StorageError: they cannot be stored.
        """
        while self._buffered >= _BUFFER_SIZE and not self.ended:
            self._room.clear()
            await self._room.wait()
        if self.ended:
            self._writing.result()
            return
        self._chunks.append(chunk)
        self._buffered += len(chunk)
        self.offset += len(chunk)
        self.used = time.monotonic()
        self._filled.set()

    async def stored(self) -> None:
        """Waits until all bytes are stored. All of them have come.

        Raises:
            StorageError: they could not be stored.
        """
        self._complete = True
        self.used = time.monotonic()
        self._filled.set()
        await asyncio.shield(self._writing)

    async def abort(self) -> None:
        """Gives the upload up; nothing of it stays."""
        if self._receiving is not None:
            self._receiving.cancel()
        self._writing.cancel()
        await asyncio.wait({self._writing})

    def to_dict(self) -> dict[str, Any]:
        """Returns the upload as plain JSON types."""
        return {
            "id": self.id,
            "location": encode_location(self.location),
            "offset": self.offset,
            "length": self.length,
            "fingerprint": self.fingerprint,
        }

    async def _data(self) -> AsyncIterator[bytes]:
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._buffered -= len(chunk)
                self._room.set()
                yield chunk
            if self._complete:
                return
            self._filled.clear()
            await self._filled.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._room.set()
        self._chunks.clear()
        if not task.cancelled():
            task.exception()  # whoever puts the next bytes is told


class Uploads:
    """The uploads of a session.

    Args:
        session: the session.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._uploads: dict[str, Upload] = {}
        self._stored: OrderedDict[str, int] = OrderedDict()

    @property
    def busy(self) -> bool:
        """Whether there is an unfinished upload."""
        return bool(self._uploads)

    def unfinished(self) -> list[Upload]:
        """Returns the uploads that can be gone on with."""
        return [each for each in self._uploads.values() if not each.ended]

    async def create(self, location: str, length: int, **options: Any) -> Upload:
        """Begins an upload. An unfinished one of the same object is given up: nobody has its URL, or wants it.

        Raises:
            HTTPTooManyRequests: there are too many.
        """
        for each in [each for each in self._uploads.values() if each.location == location or each.ended]:
            await self.abort(each)
        if len(self._uploads) >= MAX_UPLOADS:
            text = f"{MAX_UPLOADS} uploads are unfinished; finish or discard some of them"
            raise refusal(web.HTTPTooManyRequests, "too_many", text, {"Retry-After": "5"})
        upload = Upload(self._session, location, length, **options)
        self._uploads[upload.id] = upload
        await asyncio.sleep(0)  # the stream has begun
        return upload

    def find(self, upload_id: str) -> Upload:
        """Returns an unfinished upload.

        Raises:
            HTTPNotFound: there is no such upload here.
        """
        upload = self._uploads.get(upload_id)
        if upload is None:
            raise refusal(web.HTTPNotFound, "not_found", "there is no such upload; it may have ended")
        return upload

    def length_of_stored(self, upload_id: str) -> int | None:
        """Returns the length of an upload that was stored lately, for clients that missed the answer."""
        return self._stored.get(upload_id)

    async def finish(self, upload: Upload) -> None:
        """Waits until an upload is stored.

        Raises:
            StorageError: it could not be stored.
        """
        await upload.stored()
        self._uploads.pop(upload.id, None)
        self._stored[upload.id] = upload.length
        while len(self._stored) > _MAX_REMEMBERED:
            self._stored.popitem(last=False)

    async def abort(self, upload: Upload) -> None:
        """Gives an upload up."""
        self._uploads.pop(upload.id, None)
        await upload.abort()

    async def sweep(self) -> None:
        """Gives up what nobody goes on with."""
        oldest = time.monotonic() - EXPIRY_SECONDS
        for each in [each for each in self._uploads.values() if each.used < oldest and not each.receives]:
            await self.abort(each)

    async def aclose(self) -> None:
        """Gives all of them up."""
        while self._uploads:
            await self.abort(next(iter(self._uploads.values())))


async def _write(
    session: AsyncSession, location: str, data: AsyncIterator[bytes], content_type: str | None, *, overwrite: bool
) -> None:
    await session.write(location, data, content_type=content_type, overwrite=overwrite)
