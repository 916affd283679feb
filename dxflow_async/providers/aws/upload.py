"""Multipart uploads to S3.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dxflow_async import checksum
from dxflow_async.exceptions import (
    AccessDeniedError,
    ChecksumMismatchError,
    NotFoundError,
    StorageError,
    UnsupportedError,
)
from dxflow_async.providers.aws.bodies import send_body
from dxflow_async.providers.aws.completion import Completion
from dxflow_async.providers.aws.conditions import write_on_condition
from dxflow_async.providers.aws.confirm import confirm_part
from dxflow_async.providers.aws.copies import refuses_copy
from dxflow_async.providers.aws.dialects import Ability
from dxflow_async.providers.aws.headers import (
    FULL_OBJECT,
    checksum_type,
    copy_headers,
    crc32c_of,
    etag_of,
    has_service_headers,
    split_key,
)
from dxflow_async.providers.aws.limits import part_limits
from dxflow_async.providers.aws.listed_parts import ListedParts, list_parts
from dxflow_async.providers.aws.odd_names import confirm_name
from dxflow_async.providers.aws.refusals import Refusal
from dxflow_async.providers.aws.xml import Document
from dxflow_async.providers.common.confirm import check_unchanged, has_body, not_the_service
from dxflow_async.providers.common.etags import parse_etag
from dxflow_async.providers.contract import Body, Entry, ObjectOptions, Part, PartReceipt, Upload
from dxflow_async.providers.http import Call

if TYPE_CHECKING:
    from dxflow_async.providers.aws.provider import AWSProvider

__all__ = ["S3Upload"]


class S3Upload(Upload):
    """A multipart upload.

    Args:
        provider, key, upload_id: what it belongs to.
        options: what is stored with the object, and on which condition.
        checksums: the service took it as one with CRC32C, so parts are sent with theirs.
        full: the service said that it compares the CRC32C of the whole object.
        told: the CRC32C that the service reported of parts, in base64, by number.
    """

    def __init__(
        self,
        provider: AWSProvider,
        key: str,
        upload_id: str,
        options: ObjectOptions,
        *,
        checksums: bool,
        full: bool = False,
        told: Mapping[int, str] | None = None,
    ) -> None:
        self.id = upload_id
        self._provider = provider
        self._requests = provider.requests
        self._key = key
        self._bucket, self._name = split_key(key)
        self._options = options
        self._checksums = checksums
        self._full = full
        self._told = dict(told or {})

    async def write_part(self, part: Part, body: Body) -> PartReceipt:
        call = Call(self._provider.name, "write", f"/{self._key} (part {part.number})")
        query = {"partNumber": str(part.number), "uploadId": self.id}
        response, confirmed = await send_body(
            self._requests,
            call,
            self._bucket,
            self._name,
            query,
            {},
            body,
            ability=Ability.PART_CRC32C if self._checksums else None,
            judge=lambda refusal: self._limit_of(call, refusal, part),
        )
        etag, stored = etag_of(response.headers), checksum.decode(response.headers.get("x-amz-checksum-crc32c"))
        if (kind := checksum_type(response.headers)) is not None:
            self._full = kind == FULL_OBJECT
        self._provider.learned.see_etag(response.headers)
        empty, told = not await has_body(response), crc32c_of(response.headers, body.crc32c)
        if not self._provider.signs.confirm(response.headers, body, "part", told, empty=empty) and not (
            etag is None and self._provider.learned.lacks_etags and "x-amz-checksum-crc32c" not in response.headers
        ):
            etag = await confirm_part(self._provider, call, self._key, self.id, part, body)
        if stored is not None and body.crc32c not in (None, stored):
            raise call.error(ChecksumMismatchError, "the server stored different bytes than were sent")
        return PartReceipt(part, etag, body.crc32c, verified=confirmed or stored == body.crc32c is not None)

    async def copy_part(self, part: Part, source: Entry) -> PartReceipt:
        call = Call(self._provider.name, "copy", f"/{source.key} to /{self._key} (part {part.number})")
        headers = copy_headers(source)
        headers["x-amz-copy-source-range"] = f"bytes={part.offset}-{part.offset + part.size - 1}"
        query = {"partNumber": str(part.number), "uploadId": self.id}

        async def copy() -> Document:
            response = await self._requests.send(
                call,
                "PUT",
                self._bucket,
                self._name,
                headers,
                query=query,
                judge=lambda refusal: self._limit_of(call, refusal, part),
            )
            return await self._requests.document(call, response, "CopyPartResult")

        attempt = self._provider.copy_refusals.attempt
        document = await attempt(self._provider, call, (source, self._key), copy, refuses_copy)
        etag = parse_etag(document.values.get("ETag"))
        if not etag and not self._provider.learned.lacks_etags:
            raise not_the_service(call, "it does not name the part that was copied", 200)
        await check_unchanged(self._provider.origin, call, source)
        if (told := document.values.get("ChecksumCRC32C")) is not None:
            self._told[part.number] = told
        return PartReceipt(part, etag)

    async def finish(self, receipts: Sequence[PartReceipt], crc32c: int | None) -> Entry:
        call = Call(self._provider.name, "write", f"/{self._key}")
        if any(receipt.etag is None for receipt in receipts):
            listed = await list_parts(self._requests, call, self._key, self.id)
            receipts = [_named(call, receipt, listed) for receipt in receipts]
        told = self._told if self._checksums else None
        completion = Completion(self._provider, call, self._key, self.id, receipts, crc32c, full=self._full, told=told)
        try:
            if self._options.conditional:
                entry = await write_on_condition(self._provider, call, self._key, self._options, completion.complete)
            else:
                entry = await completion.complete({})
        except NotFoundError:
            # An earlier attempt may have completed it, and its response was lost.
            entry = await self._provider.stat(self._key)
            if not completion.made(entry):
                raise
            return entry
        await confirm_name(self._provider, call, self._key)
        await self._provider.learned.check_metadata(call, self._key, self._options)
        if self._options.public:
            await self._provider.check_readable(call, self._bucket, self._name)
        return entry

    async def abort(self) -> None:
        call = Call(self._provider.name, "abort", f"/{self._key}")
        try:
            response = await self._requests.send(call, "DELETE", self._bucket, self._name, query={"uploadId": self.id})
        except NotFoundError:
            return
        response.close()
        deletions = self._provider.signs.deletions
        if response.status == 204 and deletions.believes(has_service_headers(response.headers)):
            return
        try:
            await list_parts(self._requests, call, self._key, self.id)
        except NotFoundError as error:
            if error.code == "NoSuchUpload":
                deletions.confirm()
                return
        except (AccessDeniedError, UnsupportedError):
            if response.status == 204:
                return  # who may not look has only the answer
            raise
        raise not_the_service(call, "it does not say that the upload is gone", response.status)

    def _limit_of(self, call: Call, refusal: Refusal, part: Part) -> StorageError | None:
        limits = part_limits(refusal, self._provider.features, part.number, part.size)
        return self._provider.limit_error(call, refusal, limits) if limits else None


def _named(call: Call, receipt: PartReceipt, listed: ListedParts) -> PartReceipt:
    """Returns a receipt with the etag that the list of parts has, where the answer to the part had none.

    Raises:
        ServiceError: the part is not there, or is another one.
    """
    if receipt.etag is not None:
        return receipt
    number = receipt.part.number
    etag, size = listed.parts.get(number, ("", -1))
    told = checksum.decode(listed.checksums.get(number))
    if size != receipt.part.size or (None not in (told, receipt.crc32c) and told != receipt.crc32c):
        raise not_the_service(call, f"the stored part {number} differs from the one that was sent")
    return replace(receipt, etag=etag or None)
