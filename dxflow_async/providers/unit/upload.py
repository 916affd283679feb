"""Uploads to a unit: in parts, in one stream, or through a temporary file, as its server allows.

A server that concatenates partial uploads receives each part as one, and a broken part continues from where the server
is. If the server supports *groups*, the parts of a group are written to their places in one file from the start.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence

from dxflow_async import checksum
from dxflow_async.concurrency.pool import for_each
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import ChecksumMismatchError, StorageError, UnsupportedError
from dxflow_async.providers.common.spooled_upload import SpooledUpload
from dxflow_async.providers.contract import Body, Entry, ObjectOptions, Part, PartReceipt, Upload
from dxflow_async.providers.http import Call
from dxflow_async.providers.unit.headers import stored_headers
from dxflow_async.providers.unit.protocol import file_metadata
from dxflow_async.providers.unit.sending import Sending
from dxflow_async.providers.unit.tus import Tus
from dxflow_async.providers.unit.unanswered import is_unanswered

__all__ = ["FEW_PARTS", "MAX_PARTS", "PartsUpload", "StreamUpload", "StreamedAtEnd"]

MAX_PARTS = 1500
"""The most parts whose addresses fit into one header; a server of this library accepts 2,000."""

FEW_PARTS = 64
"""The same for other servers, many of which accept headers of 8 KiB."""

_ABORTERS = 8


class PartsUpload(Upload):
    """Partial uploads that are concatenated at the end.

    A receipt's `etag` is the address of its partial upload; `id` is the name of the group, if there is one.

    Args:
        tus, call: send the requests.
        key, options: as for `Provider.start_upload`.
        max_parts: the most parts.
        upload_id: of an upload that began before; None: a new one.
    """

    def __init__(
        self, tus: Tus, call: Call, key: str, options: ObjectOptions, max_parts: int, *, upload_id: str | None = None
    ) -> None:
        self.id = secrets.token_hex(8) if upload_id is None else upload_id
        self._tus = tus
        self._call = call
        self._key = key
        self._options = options
        self._max_parts = max_parts
        self._parts: dict[int, Sending] = {}
        self._replaced: dict[int, Sending] = {}  # holding other bytes: sent again
        self._unanswered: StorageError | None = None  # how the answer that finishes the upload was lost
        file_metadata(call, key)

    async def go_on(self, receipts: Sequence[PartReceipt]) -> list[PartReceipt]:
        """Continues an upload of another process; returns the receipts of parts that are stored as they were sent."""
        kept = []
        for receipt in receipts:
            sending = self._sending(receipt.part, receipt.etag)
            if await sending.is_whole(receipt.crc32c):
                self._parts[receipt.part.number] = sending
                kept.append(receipt)
            elif sending.address is not None and sending.address.startswith("/"):
                self._replaced[receipt.part.number] = sending
        return kept

    async def write_part(self, part: Part, body: Body) -> PartReceipt:
        if part.number > self._max_parts:
            text = f"it has more than {self._max_parts} parts, which the server does not put together; use larger ones"
            raise self._call.error(UnsupportedError, text)
        sending = self._parts.get(part.number)
        if sending is None:
            sending = self._parts[part.number] = self._sending(part)
        crc = await sending.write(body)
        return PartReceipt(part, sending.address, crc, verified=sending.compared)

    def _sending(self, part: Part, address: str | None = None) -> Sending:
        metadata = {"group": self.id, "start": str(part.offset)} if "group" in self._tus.announced.ours else {}
        call = self._call._replace(path=f"{self._call.path} (part {part.number})")
        return Sending(self._tus, call, part.size, metadata, partial=True, address=address)

    async def finish(self, receipts: Sequence[PartReceipt], crc32c: int | None) -> Entry:
        whole = checksum.combine((receipt.crc32c, receipt.part.size) for receipt in receipts)
        if None not in (whole, crc32c) and whole != crc32c:
            raise self._call.error(ChecksumMismatchError, "the parts do not make the whole; start again")
        metadata = self._tus.metadata(self._call, self._key, self._options, whole)
        addresses = [receipt.etag for receipt in receipts if receipt.etag is not None]
        size = sum(receipt.part.size for receipt in receipts)
        lost = self._unanswered
        if lost is not None and await self._tus.became_file(self._call, self._key, size, whole, lost):
            return Entry(self._key, size, crc32c=whole)
        try:
            answer = await self._tus.concatenate(self._call, addresses, metadata)
        except StorageError as error:
            if not self._tus.repeats_safely and is_unanswered(error):
                self._unanswered = error
            raise
        etag, told = stored_headers(answer.headers)
        await self._tus.confirm(self._call, self._key, size, certain=answer.certain)
        return Entry(self._key, size, etag=etag, crc32c=whole if "checksum" in metadata else told)

    async def abort(self) -> None:
        if "groups-removed" in self._tus.announced.ours:
            # Also the parts of other processes, and those whose address was lost with the answer to their creation.
            known = [each.address for parts in (self._parts, self._replaced) for each in parts.values() if each.address]
            await self._tus.remove_group(self._call, self.id, known[0] if known else None)
            self._parts.clear()
            self._replaced.clear()
            return

        async def remove(part: tuple[dict[int, Sending], int]) -> None:
            known, number = part
            await known[number].remove()
            known.pop(number)

        # Where one removal fails, another call removes the remaining parts.
        left = [(known, number) for known in (self._parts, self._replaced) for number in known]
        await for_each(left, remove, _ABORTERS)


class StreamUpload(Upload):
    """A file as one upload, whose only part is the whole; `id` is its address.

    Args:
        call, key: the operation.
        sending: the upload, created.
        size: bytes.
    """

    def __init__(self, call: Call, key: str, sending: Sending, size: int) -> None:
        assert sending.address is not None
        self.id = sending.address
        self._call = call
        self._key = key
        self._sending = sending
        self._size = size

    async def write_part(self, part: Part, body: Body) -> PartReceipt:
        if (part.offset, part.size) != (0, self._size):
            raise self._call.error(UnsupportedError, "this server takes a file in one stream only, not in parts")
        crc = await self._sending.write(body)
        return PartReceipt(part, crc32c=crc, verified=self._sending.compared)

    async def finish(self, receipts: Sequence[PartReceipt], crc32c: int | None) -> Entry:
        await self._sending.confirm()
        etag, told = stored_headers(self._sending.headers)
        return Entry(self._key, self._size, etag=etag, crc32c=told)

    async def abort(self) -> None:
        await self._sending.remove()


class StreamedAtEnd(SpooledUpload):
    """An upload of unknown length to a server that needs it: spooled to disk, and streamed when it is finished.

    Args:
        call: the upload, for errors.
        threads: run the work of the disk.
        start: starts the stream of the whole, given its size in bytes.
    """

    def __init__(self, call: Call, threads: Threads, start: Callable[[int], Awaitable[Upload]]) -> None:
        super().__init__(call, threads, self._stream)
        self._start = start
        self._upload: Upload | None = None

    async def _stream(self, body: Body) -> Entry:
        # If it fails and is called again, the same stream continues where it was.
        if self._upload is None:
            self._upload = await self._start(body.size)
        receipt = await self._upload.write_part(Part(1, 0, body.size), body)
        stored = await self._upload.finish([receipt], receipt.crc32c)
        self._upload = None
        return stored

    async def abort(self) -> None:
        try:
            if self._upload is not None:
                await self._upload.abort()
                self._upload = None
        finally:
            await super().abort()
