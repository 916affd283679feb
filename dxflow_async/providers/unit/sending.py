"""One upload to a unit, which continues from where the server is."""

from __future__ import annotations

from collections.abc import Mapping

from dxflow_async.concurrency.shielded import finish_or_undo
from dxflow_async.exceptions import ChecksumMismatchError, NotFoundError, ServiceError
from dxflow_async.providers.common.confirm import contradiction
from dxflow_async.providers.common.verified_body import VerifiedBody
from dxflow_async.providers.contract import Body
from dxflow_async.providers.http import Call
from dxflow_async.providers.unit.headers import stored_headers
from dxflow_async.providers.unit.tus import Tus

__all__ = ["Sending"]


class Sending:
    """One upload of the protocol: created, written, and continued after a break.

    Args:
        tus, call: send the requests.
        size, metadata, partial: as for `Tus.create`.
        address: of an upload that was created before.

    Attributes:
        address: of the upload; None before it is created.
        complete: whether all of it was sent.
        compared: whether the bytes at the server were compared, there or here.
        headers: of the last response.
        certain: whether that response is known to be the unit's.
    """

    def __init__(
        self, tus: Tus, call: Call, size: int, metadata: Mapping[str, str], *, partial: bool, address: str | None = None
    ) -> None:
        self.address = address
        self.complete = False
        self.compared = False
        self.headers: Mapping[str, str] = {}
        self.certain = True
        self._tus = tus
        self._call = call
        self._new = size, metadata, partial

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
        offset = 0
        try:
            if self.address is None:
                await self.begin()
            else:
                offset, self.headers = await self._tus.offset(self._call, self.address)
                if offset < self._new[0]:
                    await self._tus.claim(self._call, self.address, offset)
        except NotFoundError:
            offset, _ = 0, await self.begin()
        size = self._new[0]
        if self.headers.get("upload-length", str(size)) != str(size):
            raise contradiction(self._call, f"an upload of {self.headers['upload-length']:.20} bytes, not of {size}")
        if offset > size:
            raise self._call.error(ServiceError, f"the server is at {offset}, behind the end at {size}; start again")
        checked = VerifiedBody(self._call, body, offset)
        assert self.address is not None
        if offset < size:
            # A server that compares bodies drops a whole body when it breaks off.
            crc = body.crc32c if not offset and not self._tus.announced.checks_files else None
            self.headers, self.certain = await self._tus.append(self._call, self.address, offset, checked, crc)
            self.compared = crc is not None and self._tus.announced.checks_bodies
        else:
            async for _ in checked:
                pass
        self.complete = True
        assert checked.crc32c is not None
        self._compare(checked.crc32c)
        return checked.crc32c

    def _compare(self, crc32c: int) -> None:
        _, told = stored_headers(self.headers)
        if told not in (None, crc32c):
            raise self._call.error(ChecksumMismatchError, "the server has different bytes than were sent; try again")
        self.compared = self.compared or told is not None

    async def confirm(self, key: str) -> None:
        """Confirms, like `Tus.confirm`, the file that it became."""
        await self._tus.confirm(self._call, key, self._new[0], certain=self.certain)

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
