"""Lists the parts that an unfinished upload has.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dxflow_async import checksum
from dxflow_async.providers.aws.headers import split_key
from dxflow_async.providers.aws.requests import Requests
from dxflow_async.providers.common.confirm import contradiction, not_the_service
from dxflow_async.providers.common.etags import opaque_tag
from dxflow_async.providers.contract import PartReceipt
from dxflow_async.providers.http import Call

__all__ = ["ListedParts", "list_parts"]


@dataclass(slots=True)
class ListedParts:
    """What a service reports about an unfinished upload.

    Attributes:
        parts: the etag and the size of each part, by number.
        checksums: the CRC32C of each part that the service has one of, in base64, by number.
        algorithm: the upload's checksum algorithm, in capitals; empty if none is reported.
        checksum_type: `FULL_OBJECT`, `COMPOSITE`, or empty if it is not reported.
    """

    parts: dict[int, tuple[str, int]] = field(default_factory=dict)
    checksums: dict[int, str] = field(default_factory=dict)
    algorithm: str = ""
    checksum_type: str = ""

    def has(self, receipt: PartReceipt) -> bool:
        """Returns whether a part is stored as it was written."""
        part = receipt.part
        if receipt.etag is None:
            told = checksum.decode(self.checksums.get(part.number))
            return told is not None and (told, part.size) == (receipt.crc32c, self.parts.get(part.number, ("", -1))[1])
        return self.parts.get(part.number) == (opaque_tag(receipt.etag or ""), part.size)


async def list_parts(requests: Requests, call: Call, key: str, upload_id: str) -> ListedParts:
    """Returns all parts of an upload, from as many pages as the listing has.

    Raises:
        NotFoundError: there is no such upload.
        ServiceError: the listing is malformed, or goes on without saying where.
    """
    query, listed = {"uploadId": upload_id}, ListedParts()
    while True:
        response = await requests.send(call, "GET", *split_key(key), query=query)
        document = await requests.document(call, response, "ListPartsResult", "ListPartsResponse")  # moto's name
        listed.algorithm = document.values.get("ChecksumAlgorithm", "").upper() or listed.algorithm
        listed.checksum_type = document.values.get("ChecksumType", "").upper() or listed.checksum_type
        for row in document.rows.get("Part", ()):
            try:
                number, size = int(row["PartNumber"]), int(row["Size"])
            except (KeyError, ValueError) as error:
                raise not_the_service(call, f"a part without a number or a size ({error})") from error
            listed.parts[number] = opaque_tag(row.get("ETag", "")), size
            if row.get("ChecksumCRC32C"):
                listed.checksums[number] = row["ChecksumCRC32C"]
        if document.values.get("IsTruncated", "").strip().lower() != "true":
            return listed
        marker = document.values.get("NextPartNumberMarker", "")
        if marker in ("", query.get("part-number-marker")):
            raise contradiction(call, "the list of parts goes on without saying where")
        query["part-number-marker"] = marker
