"""The requests of tus 1.0.0, and one upload of it that goes on where the server got to.

Source: https://tus.io/protocols/resumable-upload
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress

from dxflow_async.concurrency.shielded import finish_or_undo
from dxflow_async.exceptions import ChecksumMismatchError, NotFoundError, ServiceError, StorageError
from dxflow_async.modes import format_mode
from dxflow_async.providers.common.confirm import contradiction, not_the_service
from dxflow_async.providers.common.mtime import format_mtime
from dxflow_async.providers.common.verified_body import VerifiedBody
from dxflow_async.providers.contract import Body, Buffered, ObjectOptions
from dxflow_async.providers.http import Call
from dxflow_async.providers.unit.headers import stored_headers
from dxflow_async.providers.unit.protocol import Announced, checksum_text, file_metadata, metadata_header
from dxflow_async.providers.unit.requests import Requests, TusAnswer
from dxflow_async.providers.unit.stat import confirm_stored
from dxflow_async.security.redaction import Secret

__all__ = ["Sending", "Tus"]

_BYTES = {"content-type": "application/offset+octet-stream"}
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between tries to remove what the server believes is still written to."""


class Tus:
    """The protocol's requests for one provider."""

    def __init__(self, requests: Requests, announced: Announced) -> None:
        self.announced = announced
        self._requests = requests

    def metadata(self, call: Call, key: str, options: ObjectOptions, crc32c: int | None = None) -> dict[str, str]:
        """What the server is told of a file: with its time, mode and checksum, where it knows what they are."""
        pairs = file_metadata(call, key)
        if options.modified is not None and "mtime" in self.announced.ours:
            pairs["mtime"] = format_mtime(options.modified)
        if options.mode is not None and "mode" in self.announced.ours:
            pairs["mode"] = format_mode(options.mode)
        if crc32c is not None and self.announced.checks_files:
            pairs["checksum"] = checksum_text(crc32c)
        return pairs

    async def create(self, call: Call, size: int, metadata: Mapping[str, str], *, partial: bool = False) -> str:
        """A new upload's address."""
        headers = {"upload-length": str(size)}
        if metadata:
            headers["upload-metadata"] = metadata_header(metadata)
        if partial:
            headers["upload-concat"] = "partial"
        # One that was created and is not known of expires.
        answer = await self._requests.tus(call, "POST", None, headers, repeatable=True)
        address = self._requests.endpoint.address(call, Secret(answer.headers.get("location", "")))
        if not answer.certain and (await self.offset(call, address))[0]:
            raise not_the_service(call, "there is no new upload at the address it tells")
        return address

    async def store(
        self, call: Call, metadata: Mapping[str, str], body: Body, crc32c: int | None
    ) -> tuple[TusAnswer, int | None]:
        """A whole file in one request; the answer, and the CRC32C of what was sent."""
        headers = {**_BYTES, "upload-length": str(body.size), "upload-metadata": metadata_header(metadata)}
        given = self._sum(crc32c)
        checked = None if given else VerifiedBody(call, body)
        # Twice the same is the same file.
        again = bool(given) or None
        answer = await self._requests.tus(call, "POST", None, headers | given, checked or body, repeatable=again)
        offset = _offset(call, answer.headers)
        if offset != body.size:
            raise call.error(ServiceError, f"the server took {offset} of {body.size} bytes; try again")
        return answer, crc32c if checked is None else checked.crc32c

    async def offset(self, call: Call, address: str) -> tuple[int, Mapping[str, str]]:
        """Where an upload is, and what else is said of it.

        Raises:
            NotFoundError: there is no such upload any more.
        """
        answer = await self._requests.tus(call, "HEAD", address, {})
        if not answer.certain:
            raise not_the_service(call, "it does not say where the upload is")
        return _offset(call, answer.headers), answer.headers

    async def claim(self, call: Call, address: str, offset: int) -> None:
        """Asks for the right to go on at an offset, so that no bytes are sent for nothing.

        Raises:
            StorageError: 423, the server has not seen yet that the connection before is gone; 409, it got further.
        """
        if self.announced.ours:
            await self.append(call, address, offset, Buffered((), 0, 0), None)

    async def append(self, call: Call, address: str, offset: int, body: Body, crc32c: int | None) -> TusAnswer:
        """Sends a body, which has to be the rest of the upload; asks where it is when the answer is not certain."""
        headers = {**_BYTES, "upload-offset": str(offset), **self._sum(crc32c)}
        # After a break it is asked first where the upload is.
        try:
            answer = await self._requests.tus(call, "PATCH", address, headers, body, repeatable=False)
        except StorageError as error:
            if error.status == 409 and error.code is None:
                error.retryable = True  # of this request it says that the offset is another one
            raise
        reached = None
        if answer.certain and "upload-offset" in answer.headers:
            reached = _offset(call, answer.headers)
        else:
            with suppress(NotFoundError):
                reached, _ = await self.offset(call, address)
        if reached != offset + body.size:
            raise call.error(ServiceError, f"the server is at {reached}, not at {offset + body.size}; try again")
        return answer

    async def concatenate(self, call: Call, parts: Sequence[str], metadata: Mapping[str, str]) -> TusAnswer:
        """A file made of partial uploads."""
        headers = {"upload-concat": f"final;{' '.join(parts)}", "upload-metadata": metadata_header(metadata)}
        return await self._requests.tus(call, "POST", None, headers)

    async def confirm(self, call: Call, key: str, size: int, *, certain: bool) -> None:
        """Looks up a file that was stored, unless the answer to that was certain.

        Raises:
            ServiceError: it is not there, or of another size.
        """
        if not certain:
            await confirm_stored(self._requests, self.announced, call, key, size)

    async def remove(self, call: Call, address: str) -> None:
        """Has an upload forgotten, where the server can; one that is gone already is fine."""
        if "termination" not in self.announced.tus:
            return
        with suppress(NotFoundError):
            for pause in (*_PAUSES, None):
                try:
                    answer = await self._requests.tus(call, "DELETE", address, {})
                    if not answer.certain:
                        await self.offset(call, address)
                        raise not_the_service(call, "the upload is there still")
                except StorageError as error:
                    # It may not have seen yet that our connection is gone (423), or another server has answered.
                    if pause is None or not error.retryable:
                        raise
                    await asyncio.sleep(pause)
                else:
                    return

    def _sum(self, crc32c: int | None) -> dict[str, str]:
        if crc32c is None or not self.announced.checks_bodies:
            return {}
        return {"upload-checksum": checksum_text(crc32c)}


def _offset(call: Call, headers: Mapping[str, str]) -> int:
    text = headers.get("upload-offset", "")
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise call.error(ServiceError, "the server does not say where the upload is")
    return int(text)


class Sending:
    """One upload of the protocol on its way: created, written, and gone on with after a break.

    Args:
        tus, call: who asks, and what for.
        size, metadata, partial: as `Tus.create` has them.
        address: of one that was begun already.

    Attributes:
        address: where it is; None: not begun.
        complete: all of it was sent.
        compared: what the server has of it was compared, there or here.
        headers: of the last answer.
        certain: that answer is known to be the unit's.
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
        """Creates it. Also when it is cancelled meanwhile, its address is known afterwards."""
        size, metadata, partial = self._new
        self.address = await finish_or_undo(self._tus.create(self._call, size, metadata, partial=partial), self._note)
        return self.address

    async def _note(self, address: str) -> None:
        self.address = address

    async def write(self, body: Body) -> int:
        """Sends what the server does not have yet; returns the CRC32C of the whole body.

        Raises:
            ChecksumMismatchError: the server has other bytes; the next call sends all of them again.
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
            # A server that compares what it is sent drops it all when it breaks off.
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
            raise self._call.error(ChecksumMismatchError, "the server has other bytes than were sent; try again")
        self.compared = self.compared or told is not None

    async def confirm(self, key: str) -> None:
        """As `Tus.confirm`, of the file it became."""
        await self._tus.confirm(self._call, key, self._new[0], certain=self.certain)

    async def is_whole(self, crc32c: int | None) -> bool:
        """Whether the server has all of it; with a checksum, also whether it is that, where the server tells it."""
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
        """Forgets it, there and then here: where it fails, it is known still."""
        if self.address is not None:
            await self._tus.remove(self._call, self.address)
        self.address, self.complete = None, False
