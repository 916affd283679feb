"""Uploads in parts: Azure's blocks, which are sent one by one and committed together.

Source: https://learn.microsoft.com/rest/api/storageservices/put-block-list
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Sequence

from dxflow_async import checksum
from dxflow_async.exceptions import AccessDeniedError, ChecksumMismatchError, StorageError
from dxflow_async.providers.azure.confirm import block_stored, stored
from dxflow_async.providers.azure.headers import checksum_header, condition_headers
from dxflow_async.providers.azure.requests import Requests, compared
from dxflow_async.providers.azure.xml import BlockListParser, block_list
from dxflow_async.providers.common.conditions import refused
from dxflow_async.providers.contract import Body, Buffered, Entry, ObjectOptions, Part, PartReceipt, Upload
from dxflow_async.providers.http import Call

__all__ = ["BlockUpload"]

_log = logging.getLogger("dxflow_async.providers.azure")


class BlockUpload(Upload):
    """Blocks that are committed once. The first request to the service is the first block.

    Args:
        requests, call: send the requests.
        key: the object that they become.
        place: its container and name.
        headers: stored with it.
        options: the condition on which it is stored.
        upload_id: distinguishes this upload from others of the same key.
    """

    def __init__(
        self,
        requests: Requests,
        call: Call,
        key: str,
        place: tuple[str, str],
        headers: dict[str, str],
        options: ObjectOptions,
        upload_id: str,
    ) -> None:
        self.id = upload_id
        self._requests = requests
        self._call = call
        self._key = key
        self._container, self._name = place
        self._headers = headers
        self._options = options

    async def write_part(self, part: Part, body: Body) -> PartReceipt:
        if not part.size:
            return PartReceipt(part, None, 0, verified=True)  # a block cannot be empty
        call = self._call._replace(path=f"{self._call.path} (part {part.number})")
        block_id = self.block_id(part.number)
        query = {"comp": "block", "blockid": block_id}
        response, measured = await self._requests.send_body(call, self._container, self._name, query, {}, body)
        await block_stored(self._requests, call, self._container, self._name, response, (block_id, part.size))
        return PartReceipt(part, None, measured.crc32c, verified=compared(call, response, measured))

    async def confirmed(self, receipts: Sequence[PartReceipt]) -> Sequence[PartReceipt]:
        """Returns those of an earlier session's receipts whose blocks the service still has unchanged.

        Returns none of them where the credentials may not read the list of blocks. Sending a block again is harmless.
        """
        if not receipts:  # a blob without blocks has no list of them
            return []
        query = {"comp": "blocklist", "blocklisttype": "uncommitted"}
        listing = self._requests.listing(self._call, self._container, query, BlockListParser(), self._name)
        try:
            found = dict((await listing).blocks)
        except AccessDeniedError as error:  # the credentials may only write
            _log.info("%s; all parts are sent again", error, extra={"fields": error.fields()})
            return []
        return [each for each in receipts if found.get(self.block_id(each.part.number)) == each.part.size]

    async def finish(self, receipts: Sequence[PartReceipt], crc32c: int | None) -> Entry:
        call, size = self._call, sum(receipt.part.size for receipt in receipts)
        whole = checksum.combine((receipt.crc32c, receipt.part.size) for receipt in receipts)
        if None not in (whole, crc32c) and whole != crc32c:
            raise call.error(ChecksumMismatchError, "the parts do not make the whole; start again")
        headers = dict(self._headers) if whole is None else {**self._headers, **checksum_header(whole)}
        data = block_list(self.block_id(receipt.part.number) for receipt in receipts if receipt.part.size)
        blocks, query = Buffered((data,), len(data)), {"comp": "blocklist"}
        headers |= condition_headers(self._options)
        try:
            response, _ = await self._requests.send_body(call, self._container, self._name, query, headers, blocks)
        except StorageError as error:
            raise refused(call, self._options, error) from error
        etag = await stored(self._requests, call, self._container, self._name, response, size, whole)
        verified = all(receipt.verified for receipt in receipts)
        return Entry(self._key, size, etag=etag, crc32c=whole if verified else None)

    async def abort(self) -> None:
        """Does nothing: the service drops uncommitted blocks a week after the last one."""

    def block_id(self, number: int) -> str:
        """Returns the identifier of a block. All have one length, as Azure requires: 21 bytes, so without padding."""
        return base64.b64encode(f"{self.id}{number:05}".encode()).decode()
