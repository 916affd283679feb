"""Multipart uploads to S3.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dxflow_async import checksum
from dxflow_async.exceptions import ChecksumMismatchError, NotFoundError
from dxflow_async.providers.aws import xml as s3xml
from dxflow_async.providers.aws.confirm import confirm_part
from dxflow_async.providers.aws.headers import copy_headers, crc32c_of, etag_of, multipart_etag, split_key
from dxflow_async.providers.common.confirm import check_unchanged, not_the_service
from dxflow_async.providers.common.etags import opaque_tag, parse_etag
from dxflow_async.providers.contract import Body, Entry, Part, PartReceipt, Upload
from dxflow_async.providers.http import Call

if TYPE_CHECKING:
    from dxflow_async.providers.aws.provider import AWSProvider

__all__ = ["S3Upload"]


class S3Upload(Upload):
    """A multipart upload."""

    def __init__(self, provider: AWSProvider, key: str, upload_id: str, *, public: bool, checksums: bool) -> None:
        self.id = upload_id
        self._provider = provider
        self._requests = provider._requests
        self._key = key
        self._bucket, self._name = split_key(key)
        self._public = public
        self._checksums = checksums

    async def write_part(self, part: Part, body: Body) -> PartReceipt:
        call = Call(self._provider.name, "write", f"/{self._key} (part {part.number})")
        query = {"partNumber": str(part.number), "uploadId": self.id}
        response = await self._requests.send_body(call, self._bucket, self._name, query, {}, body)
        etag, stored = etag_of(response.headers), crc32c_of(response.headers)
        if not await self._provider._signs.confirm(response, body, "part"):
            etag = await confirm_part(self._provider, call, self._key, self.id, part, body)
        if stored is not None and body.crc32c not in (None, stored):
            raise call.error(ChecksumMismatchError, "the server stored different bytes than were sent")
        return PartReceipt(part, etag, body.crc32c, verified=stored == body.crc32c is not None)

    async def copy_part(self, part: Part, source: Entry) -> PartReceipt:
        call = Call(self._provider.name, "copy", f"/{source.key} to /{self._key} (part {part.number})")
        headers = copy_headers(source)
        headers["x-amz-copy-source-range"] = f"bytes={part.offset}-{part.offset + part.size - 1}"
        query = {"partNumber": str(part.number), "uploadId": self.id}
        response = await self._requests.send(call, "PUT", self._bucket, self._name, headers, query=query)
        document = await self._requests.document(call, response, "CopyPartResult")
        etag = parse_etag(document.values.get("ETag"))
        if not etag:
            raise not_the_service(call, "it does not name the part that was copied", response.status)
        await check_unchanged(self._provider, call, source)
        return PartReceipt(part, etag)

    async def finish(self, receipts: Sequence[PartReceipt], crc32c: int | None) -> Entry:
        call = Call(self._provider.name, "write", f"/{self._key}")
        verified = self._checksums and all(receipt.verified for receipt in receipts)
        headers = {}
        if verified and crc32c is not None:
            headers = {"x-amz-checksum-crc32c": checksum.encode(crc32c), "x-amz-checksum-type": "FULL_OBJECT"}
        body = s3xml.complete_body(
            (r.part.number, r.etag or "", checksum.encode(r.crc32c) if verified and r.crc32c is not None else None)
            for r in receipts
        )
        size = sum(receipt.part.size for receipt in receipts)
        try:
            response = await self._requests.send(
                call, "POST", self._bucket, self._name, headers, query={"uploadId": self.id}, body=body
            )
            document = await self._requests.document(call, response, "CompleteMultipartUploadResult")
        except NotFoundError:
            # An earlier attempt may have completed it, and its response was lost.
            entry = await self._provider.stat(self._key)
            if opaque_tag(entry.etag or "") != multipart_etag(receipts) and (crc32c is None or entry.crc32c != crc32c):
                raise
            return entry
        if self._public:
            await self._provider._check_readable(call, self._bucket, self._name)
        etag = parse_etag(document.values.get("ETag"))
        if not etag:
            raise not_the_service(call, "it does not name the object that was put together")
        return Entry(self._key, size, etag=etag, crc32c=checksum.decode(document.values.get("ChecksumCRC32C")))

    async def abort(self) -> None:
        call = Call(self._provider.name, "abort", f"/{self._key}")
        try:
            response = await self._requests.send(call, "DELETE", self._bucket, self._name, query={"uploadId": self.id})
        except NotFoundError:
            return
        response.close()
        if response.status == 204:
            return
        try:
            await self._provider._list_parts(call, self._key, self.id)
        except NotFoundError as error:
            if error.code == "NoSuchUpload":
                return
        raise not_the_service(call, "it does not say that the upload is gone", response.status)
