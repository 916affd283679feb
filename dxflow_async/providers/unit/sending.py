"""One upload to a unit, which continues from where the server is.

A body is sent in one request while the unit's `BodyLimit` allows it, and else in several. Bytes that the server has are
not sent again: a response, or a `HEAD` after a failure, tells how many these are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import TypeVar

from dxflow_async import checksum
from dxflow_async.concurrency.shielded import finish_or_undo
from dxflow_async.exceptions import ChecksumMismatchError, NotFoundError, ServiceError, StorageError
from dxflow_async.net import ConnectionBrokenError
from dxflow_async.providers.common.confirm import contradiction
from dxflow_async.providers.common.verified_body import VerifiedBody
from dxflow_async.providers.contract import Body, Buffered
from dxflow_async.providers.http import Call
from dxflow_async.providers.unit.body_limit import Pieces, is_proxy_limit
from dxflow_async.providers.unit.headers import stored_headers
from dxflow_async.providers.unit.tus import Tus
from dxflow_async.providers.unit.unanswered import is_unanswered
from dxflow_async.streams import is_streamed

__all__ = ["Sending", "when_unlocked"]

T = TypeVar("T")

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_MAX_RESTARTS = 3
"""Uploads that may disappear at the server before it is an error."""


class Sending:
    """One upload of the protocol: created, written, and continued after a break.

    Args:
        tus, call: send the requests.
        size, metadata, partial: as for `Tus.create`.
        address: of an upload that was created before.
        key: of the file that it becomes; None for a part.
        once: whether `write` is called once only. Until the unit is known to accept bodies, they are sent in pieces
            then, because what it does not accept can be sent again only while it is in memory.

    Attributes:
        address: of the upload; None before it is created.
        complete: whether all of it was sent.
        compared: whether the bytes at the server were compared, there or here.
        headers: of the last response.
        certain: whether that response is known to be the unit's.
        end_unanswered: the last bytes were sent, and this error hides whether they arrived.
    """

    def __init__(
        self,
        tus: Tus,
        call: Call,
        size: int,
        metadata: Mapping[str, str],
        *,
        partial: bool,
        address: str | None = None,
        key: str | None = None,
        once: bool = False,
    ) -> None:
        self.address = address
        self.complete = False
        self.compared = False
        self.headers: Mapping[str, str] = {}
        self.certain = True
        self.end_unanswered: StorageError | None = None
        self._gone = False
        self._key = key
        self._once = once
        self._tus = tus
        self._call = call
        self._new = size, metadata, partial
        self._reached = self._credited = 0
        self._limit_seen = tus.limit.size
        self._restarts = 0
        self._locked_until: float | None = None

    async def begin(self) -> str:
        """Creates the upload. Its address is known afterwards even if the call is cancelled."""
        size, metadata, partial = self._new
        self.address = await finish_or_undo(self._tus.create(self._call, size, metadata, partial=partial), self._note)
        return self.address

    async def _note(self, address: str) -> None:
        self.address = address

    async def write(self, body: Body) -> int:
        """Sends the bytes that the server does not have; returns the CRC32C of the whole body.

        Raises:
            ChecksumMismatchError: the server has different bytes; the next call sends all of them again.
        """
        if self.complete:
            await self.remove()
        once = is_streamed(body)
        while True:
            try:
                return await self._write(body)
            except StorageError as error:
                self._credit(error)
                begins_anew = isinstance(error, NotFoundError) and self._restarts <= _MAX_RESTARTS
                if once or not (error.progressed or begins_anew):
                    raise
                await asyncio.sleep(error.retry_after or 0)

    def _credit(self, error: StorageError) -> None:
        """Marks an error if the server stored bytes, or bodies became smaller, since the last one."""
        moved = self._reached > self._credited or self._tus.limit.size != self._limit_seen
        self._credited, self._limit_seen = max(self._credited, self._reached), self._tus.limit.size
        error.progressed = error.progressed or (moved and error.retryable)

    async def _write(self, body: Body) -> int:
        offset, size = await self._position(), self._new[0]
        checked = VerifiedBody(self._call, body, offset)
        if offset == size:
            async for _ in checked:
                pass
        else:
            try:
                if self._tus.limit.allows(size - offset) and (self._tus.limit.proven or not self._once):
                    await self._send_whole(checked, body.crc32c, offset)
                else:
                    await self._send_pieces(checked, offset)
            except StorageError:
                if checked.crc32c is None or not await self._arrived():
                    raise
        self.complete = True
        if not self._gone:
            self._tus.creation.note(self._new[1], self.headers)
        assert checked.crc32c is not None
        if self._gone:
            await self._find_file(checked.crc32c)
        self._compare(checked.crc32c)
        return checked.crc32c

    async def _arrived(self) -> bool:
        """Returns whether the last bytes arrived although their answer was lost, or the upload is gone since then."""
        if self.end_unanswered is None or self.address is None:
            return False
        address = self.address
        try:
            offset, headers = await when_unlocked(
                lambda: self._tus.offset(self._call, address), self._tus.stall_timeout
            )
        except NotFoundError:
            self._gone = self._key is not None
            return self._gone
        except StorageError:
            return False
        if offset != self._new[0]:
            return False
        self.headers, self.certain, self.end_unanswered = headers, True, None
        self._tus.limit.passed(self._call.path)
        return True

    async def _find_file(self, crc32c: int) -> None:
        """Looks for the file of an upload that is gone: some servers forget an upload once it is a file.

        Raises:
            ServiceError: the file is not what was sent. The next attempt sends it again.
        """
        assert self._key is not None
        assert self.end_unanswered is not None
        self.complete = False
        if not await self._tus.became_file(self._call, self._key, self._new[0], crc32c, self.end_unanswered):
            self.address, self.end_unanswered = None, None
            text = "the server no longer has the upload, and the file is not what was sent; it is sent again"
            raise self._call.error(ServiceError, text)
        self.headers, self.certain, self.complete = {}, False, True

    async def _position(self) -> int:
        """Returns the offset from which to continue; creates the upload if it does not exist.

        It waits while another request holds the upload's lock, such as one whose connection broke.
        """
        address, size = self.address, self._new[0]
        self._gone = False
        if address is None:
            await self.begin()
            return 0

        async def look() -> int:
            offset, self.headers = await self._tus.offset(self._call, address)
            if self.headers.get("upload-length", str(size)) != str(size):
                text = f"an upload of {self.headers['upload-length']:.20} bytes, not of {size}"
                raise contradiction(self._call, text)
            if offset > size:
                text = f"the server is at {offset}, behind the end at {size}; start again"
                raise self._call.error(ServiceError, text)
            if offset < size:
                await self._tus.claim(self._call, address, offset)
            return offset

        try:
            offset = await when_unlocked(look, self._tus.stall_timeout)
        except NotFoundError:
            if self.end_unanswered is not None and self._key is not None:
                self._gone = True
                return size
            await self.begin()
            return 0
        self._reached = max(self._reached, offset)
        return offset

    async def _send_whole(self, checked: VerifiedBody, crc32c: int | None, offset: int) -> None:
        """Sends all bytes from an offset on in one request."""
        size = checked.size
        # A server that compares bodies drops a whole body when it breaks off.
        crc = crc32c if not offset and not self._tus.announced.checks_files else None
        reached = await self._append(offset, checked, crc)
        if reached < offset + size:
            raise self._stored_in_part(offset, reached, size)
        self.compared = crc is not None and self._tus.announced.checks_bodies

    async def _send_pieces(self, checked: VerifiedBody, offset: int) -> None:
        """Sends the bytes from an offset on in several requests, each as large as the unit accepts by now."""
        pieces, end = Pieces(checked), self._new[0]
        compares = self._tus.announced.checks_bodies and not self._tus.announced.checks_files
        self.compared = compares and not offset
        while offset < end:
            size = min(end - offset, self._tus.limit.piece_size)
            piece = await pieces.take(size)
            crc = _crc_of(piece) if compares else None
            try:
                reached = await self._append(offset, Buffered(piece, size, crc), crc)
                if reached < offset + size:
                    raise self._stored_in_part(offset, reached, size)
            except StorageError as error:
                reached = max(self._reached, offset)
                if not (error.progressed and offset <= reached <= offset + size):
                    raise
                self._credited = max(self._credited, reached)
                await asyncio.sleep(error.retry_after or 0)
            pieces.give_back(piece, reached - offset)
            offset = reached
        await pieces.finish()

    async def _append(self, offset: int, body: Body, crc: int | None) -> int:
        """Sends one request; returns the offset that the upload has now.

        Args:
            offset, body, crc: as for `Tus.append`.

        Raises:
            StorageError: `progressed` is set if the next attempt differs from this one.
        """
        assert self.address is not None
        limit, name = self._tus.limit, self._call.path
        self.end_unanswered = None
        try:
            answer, reached = await self._tus.append(self._call, self.address, offset, body, crc)
        except StorageError as error:
            if offset + body.size == self._new[0] and is_unanswered(error):
                self.end_unanswered = error
            if is_proxy_limit(error):
                error.progressed = error.retryable = limit.refused(body.size)
            elif isinstance(error, NotFoundError):
                self._restarts += 1
                error.retryable = self._restarts <= _MAX_RESTARTS  # the next attempt creates another upload
            elif error.status == 423 or (error.status == 409 and (error.retryable or error.code is None)):
                await self._look_after_conflict(error, offset)
            elif isinstance(error.__cause__, ConnectionBrokenError) and error.path == name:
                error.progressed = limit.broken(name, body.size)
            raise
        limit.passed(name)
        self.headers, self.certain = answer
        if reached > self._reached:
            self._restarts = 0
        self._reached = max(self._reached, reached)
        self._locked_until = None
        return reached

    def _stored_in_part(self, offset: int, reached: int, size: int) -> StorageError:
        if reached > offset:
            self._tus.limit.stored_in_part(reached - offset)
        error = self._call.error(ServiceError, f"the server is at {reached}, not at {offset + size}; try again")
        error.progressed = reached > offset
        return error

    async def _look_after_conflict(self, error: StorageError, offset: int) -> None:
        """Finds out whether the upload is at another offset, or locked by another request.

        A lock is waited for until the stall timeout; the attempts meanwhile do not count.
        """
        assert self.address is not None
        error.retryable = True
        address = self.address
        try:
            now, headers = await when_unlocked(lambda: self._tus.offset(self._call, address), self._tus.stall_timeout)
        except NotFoundError:
            return  # the next attempt creates another upload
        if now != offset:
            self.headers = headers
            if now > self._reached:
                self._reached, error.progressed = now, True
            return
        if self._locked_until is None:
            self._locked_until = monotonic() + self._tus.stall_timeout
        left = self._locked_until - monotonic()
        error.progressed = left > 0
        error.retry_after = min(max(error.retry_after or 0.0, _FIRST_PAUSE * 5), max(left, 0.0))

    def _compare(self, crc32c: int) -> None:
        _, told = stored_headers(self.headers)
        if told not in (None, crc32c):
            raise self._call.error(ChecksumMismatchError, "the server has different bytes than were sent; try again")
        self.compared = self.compared or told is not None

    async def confirm(self) -> None:
        """Confirms, like `Tus.confirm`, the file that it became."""
        if self._key is not None:
            await self._tus.confirm(self._call, self._key, self._new[0], certain=self.certain)

    async def is_whole(self, crc32c: int | None) -> bool:
        """Returns whether the server has all bytes and, if it names a checksum, the right ones."""
        if self.address is None or not self.address.startswith("/"):
            return False
        try:
            offset, self.headers = await self._tus.offset(self._call, self.address)
        except NotFoundError:
            return False
        self.complete = offset == self._new[0]
        _, told = stored_headers(self.headers)
        return self.complete and (None in (told, crc32c) or told == crc32c)

    async def remove(self) -> None:
        """Terminates the upload, then forgets it; if that fails, it remains known."""
        if self.address is not None:
            await self._tus.remove(self._call, self.address)
        self.address, self.complete = None, False


def _crc_of(piece: list[memoryview]) -> int:
    crc = 0
    for view in piece:
        crc = checksum.crc32c(view, crc)
    return crc


async def when_unlocked(request: Callable[[], Awaitable[T]], timeout: float) -> T:  # noqa: ASYNC109 - see below
    """Makes a request, and repeats it while the upload is locked (423) or at another offset (409).

    A server notices late that a connection is gone, and holds the upload for it until then. When the timeout ends, the
    error of the last request is raised instead of one of its own.

    Args:
        request: the request.
        timeout: seconds.
    """
    deadline, pause = monotonic() + timeout, _FIRST_PAUSE
    while True:
        try:
            return await request()
        except StorageError as error:
            busy = error.status == 423 or (
                error.status == 409 and error.code in (None, "wrong_offset", "ERR_MISMATCHED_OFFSET")
            )
            wait = max(pause, min(error.retry_after or 0.0, _LONGEST_PAUSE))
            if not busy or monotonic() + wait > deadline:
                raise
        await asyncio.sleep(wait)
        pause = min(2 * pause, _LONGEST_PAUSE)
