"""Completes a multipart upload, and finds out what the service compared.

Services differ in the checksums that they take at this point. Amazon compares the CRC32C of the whole object
(`FULL_OBJECT`). MinIO until 2025 and Garage know the checksum of the parts' checksums only (`COMPOSITE`), and refuse
any other. Some refuse the parts' checksums, too. A request of the first form that may be right is sent, and a less
demanding one after a refusal that may be about checksums; the form that was taken is remembered for the endpoint.

The parts' CRC32Cs prove the whole where the service compared each of them and shows by a composite checksum or by the
ETag that it joined these parts.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING

from dxflow_async import checksum
from dxflow_async.exceptions import ChecksumMismatchError, NotFoundError, StorageError
from dxflow_async.providers.aws import xml as s3xml
from dxflow_async.providers.aws.dialects import Ability
from dxflow_async.providers.aws.errors import UNKNOWN_HEADER_CODES
from dxflow_async.providers.aws.headers import FULL_OBJECT, multipart_etag, split_key
from dxflow_async.providers.aws.limits import finish_limits
from dxflow_async.providers.aws.refusals import Refusal
from dxflow_async.providers.common.confirm import not_the_service
from dxflow_async.providers.common.etags import opaque_tag, parse_etag
from dxflow_async.providers.contract import Entry, PartLimitError, PartReceipt
from dxflow_async.providers.http import Call

if TYPE_CHECKING:
    from dxflow_async.providers.aws.provider import AWSProvider

__all__ = ["Completion"]

_CHECKSUM_CODES = UNKNOWN_HEADER_CODES | {
    "BadDigest",
    "InvalidDigest",
    "InvalidPart",
    "MalformedXML",
    "XAmzContentChecksumMismatch",
}
"""Codes of refusals that may be about a checksum: MinIO calls a wrong one of a part `InvalidPart`."""


class _Form(Enum):
    """The checksums of a completing request; each value is the ability that it needs."""

    FULL = Ability.FINISH_FULL
    PARTS = Ability.FINISH_PARTS
    PLAIN = None


class Completion:
    """The completion of one upload.

    Args:
        provider, call, key, upload_id: the upload, and the call for errors.
        receipts: of all parts, ordered by number.
        crc32c: of the whole object, if it is known.
        full: the service said that it compares the CRC32C of the whole object.
        told: the parts' CRC32Cs in base64 that the service reported itself, by number; None if the upload is one
            without checksums.
    """

    def __init__(
        self,
        provider: AWSProvider,
        call: Call,
        key: str,
        upload_id: str,
        receipts: Sequence[PartReceipt],
        crc32c: int | None,
        *,
        full: bool,
        told: Mapping[int, str] | None,
    ) -> None:
        self._provider = provider
        self._call = call
        self._key = key
        self._upload_id = upload_id
        self._receipts = receipts
        self._crc32c = crc32c
        self._full = full
        self._told = told
        self._verified = all(receipt.verified for receipt in receipts)

    async def complete(self, headers: Mapping[str, str]) -> Entry:
        """Completes the upload and returns what is stored.

        Args:
            headers: those of a condition.

        Raises:
            ChecksumMismatchError: the parts do not have the CRC32C of the whole, or the service joined other bytes.
            PartLimitError: the service refuses the number or the sizes of the parts.
            NotFoundError: there is no such upload.
        """
        dialect, refused = self._provider.dialect, dict[_Form, StorageError]()
        self._check_parts()
        for form in self._forms():
            try:
                document = await self._send(form, headers)
            except StorageError as error:
                if not self._is_about_checksums(error, form):
                    raise
                refused[form] = error
                continue
            for other, refusal in refused.items():
                if other.value is not None:
                    self._remember(other.value, refusal)
            if form.value is not None:
                dialect.accept(form.value)
            return await self._stored(document, look=bool(refused) and form is _Form.PLAIN)
        raise list(refused.values())[-1]

    def made(self, entry: Entry) -> bool:
        """Returns whether an object is what these parts make."""
        same = self._crc32c is not None and entry.crc32c == self._crc32c
        return same or opaque_tag(entry.etag or "") == multipart_etag(self._receipts)

    def _forms(self) -> Iterator[_Form]:
        """Yields the forms to try, the most demanding first."""
        allows = self._provider.dialect.allows
        if self._full and self._verified and self._crc32c is not None and allows(Ability.FINISH_FULL):
            yield _Form.FULL
        listed = self._told is not None and all(self._checksum_of(each) is not None for each in self._receipts)
        if listed and allows(Ability.FINISH_PARTS):
            yield _Form.PARTS
            yield _Form.PLAIN
            return
        yield _Form.PLAIN
        if not listed and all(receipt.crc32c is not None for receipt in self._receipts):
            yield _Form.PARTS  # "The complete request must include the checksum for each part"

    def _checksum_of(self, receipt: PartReceipt) -> str | None:
        """Returns the CRC32C of a part that the service compared or reported, in base64."""
        if receipt.verified and receipt.crc32c is not None:
            return checksum.encode(receipt.crc32c)
        return None if self._told is None else self._told.get(receipt.part.number)

    async def _send(self, form: _Form, condition: Mapping[str, str]) -> s3xml.Document:
        requests, headers = self._provider.requests, dict(condition)
        if form is _Form.FULL and self._crc32c is not None:
            headers |= {"x-amz-checksum-crc32c": checksum.encode(self._crc32c), "x-amz-checksum-type": FULL_OBJECT}
        body = s3xml.complete_body((r.part.number, r.etag or "", self._sent(r, form)) for r in self._receipts)
        bucket, name = split_key(self._key)
        query = {"uploadId": self._upload_id}
        try:
            response = await requests.send(
                self._call, "POST", bucket, name, headers, query=query, body=body, judge=self._limit_of
            )
            return await requests.document(self._call, response, "CompleteMultipartUploadResult")
        except StorageError as error:
            if error.status != 200 or isinstance(error, PartLimitError):
                raise
            # S3 also reports failures after it has sent status 200.
            limit = self._limit_of(Refusal(200, {}, error.code or "", str(error), b""))
            raise limit or error from error

    def _sent(self, receipt: PartReceipt, form: _Form) -> str | None:
        """Returns the checksum of a part in the request."""
        if form is _Form.PLAIN:
            return None
        known = self._checksum_of(receipt)
        return checksum.encode(receipt.crc32c) if known is None and receipt.crc32c is not None else known

    def _limit_of(self, refusal: Refusal) -> StorageError | None:
        limits = finish_limits(refusal, self._provider.features, self._receipts)
        return self._provider.limit_error(self._call, refusal, limits) if limits else None

    def _is_about_checksums(self, error: StorageError, form: _Form) -> bool:
        """Returns whether another form may succeed where this one was refused."""
        if isinstance(error, PartLimitError | NotFoundError):
            return False
        if form.value is not None and self._provider.dialect.has(form.value):
            return False
        told = error.status == 501 or error.code in _CHECKSUM_CODES
        return told or (error.status in (200, 400) and "checksum" in str(error).lower())

    def _remember(self, ability: Ability, error: StorageError) -> None:
        reason = f"{error.status or ''} {error.code or ''}".strip()
        self._provider.requests.refused(ability, reason, "uploads are completed without it")

    def _check_parts(self) -> None:
        """Compares the checksum of the whole with those of the parts: a service may not, although it takes it.

        Raises:
            ChecksumMismatchError: they differ.
        """
        parts = checksum.combine((receipt.crc32c, receipt.part.size) for receipt in self._receipts)
        if None not in (parts, self._crc32c) and parts != self._crc32c:
            raise self._call.error(ChecksumMismatchError, "the parts do not have the checksum of the whole object")

    async def _stored(self, document: s3xml.Document, *, look: bool) -> Entry:
        """Returns what is stored, with the CRC32C of the whole if the service's answer proves it.

        Args:
            document: the answer.
            look: compare the size of the object if the answer proves nothing.
        """
        etag, learned = parse_etag(document.values.get("ETag")), self._provider.learned
        if not etag:
            learned.miss_etag()
        if not etag and not learned.lacks_etags:
            raise not_the_service(self._call, "it does not name the object that was put together")
        entry = Entry(self._key, sum(receipt.part.size for receipt in self._receipts), etag=etag)
        told, kind = document.values.get("ChecksumCRC32C", ""), document.values.get("ChecksumType", "").upper()
        value = checksum.decode(told)
        if value is not None and (kind == FULL_OBJECT or value == self._crc32c):
            entry.crc32c = value
            return entry
        joined = opaque_tag(etag or "") == multipart_etag(self._receipts)
        if told and (composite := self._composite()) is not None:
            same = checksum.decode(told.partition("-")[0]) == composite
            if not same and (kind == "COMPOSITE" or "-" in told):
                raise self._call.error(ChecksumMismatchError, "the service joined different parts than were sent")
            joined = joined or same
        if joined and self._verified:
            entry.crc32c = self._crc32c
        if not joined and (look or etag is None):
            await self._look(entry)
        return entry

    def _composite(self) -> int | None:
        """Returns the CRC32C of the parts' CRC32Cs; None if one is not known."""
        values = [receipt.crc32c for receipt in self._receipts if receipt.crc32c is not None]
        if len(values) != len(self._receipts):
            return None
        return checksum.crc32c(b"".join([value.to_bytes(4, "big") for value in values]))

    async def _look(self, entry: Entry) -> None:
        """Compares the size of an object that no checksum confirms.

        Raises:
            ServiceError: the object has another size than its parts.
        """
        found = await self._provider.stat(self._key)
        if found.size != entry.size:
            raise not_the_service(self._call, f"{found.size} bytes are stored instead of {entry.size}")
