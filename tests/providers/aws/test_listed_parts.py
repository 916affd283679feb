"""Lists of parts that take several pages."""

from __future__ import annotations

from dxflow_async.checksum import crc32c, encode
from dxflow_async.providers.contract import ObjectOptions, Part, PartReceipt
from tests.providers.connected_providers import Connect
from tests.scripted_server import ScriptedServer, answer

PARTS = [b"first", b"second", b"third"]


def page(numbers: list[int], *, last: bool) -> bytes:
    """One page of the list, with the checksums of its parts."""
    head = "<ChecksumAlgorithm>CRC32C</ChecksumAlgorithm><ChecksumType>COMPOSITE</ChecksumType>" if last else ""
    head += "" if last else f"<IsTruncated>true</IsTruncated><NextPartNumberMarker>{numbers[-1]}</NextPartNumberMarker>"
    rows = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>e{number}</ETag><Size>{len(PARTS[number - 1])}</Size>"
        f"<ChecksumCRC32C>{encode(crc32c(PARTS[number - 1]))}</ChecksumCRC32C></Part>"
        for number in numbers
    )
    return answer(body=f"<ListPartsResult>{head}{rows}</ListPartsResult>".encode())


async def test_checksums_of_all_pages_are_used(connect: Connect) -> None:
    """A resumed upload is completed with the checksums that the service told of parts on every page."""
    done = b"<CompleteMultipartUploadResult><ETag>e-3</ETag></CompleteMultipartUploadResult>"
    async with ScriptedServer(page([1, 2], last=False), page([3], last=True), answer(body=done)) as server:
        receipts = [PartReceipt(Part(number, 0, len(data)), f"e{number}") for number, data in enumerate(PARTS, 1)]
        resumed, kept = await connect(server.url).resume_upload("bucket/name", "u1", receipts, ObjectOptions())
        assert [receipt.part.number for receipt in kept] == [1, 2, 3]
        await resumed.finish(kept, None)
    assert "part-number-marker=2" in server.requests[1].target
    sent = server.requests[2].body
    assert all(encode(crc32c(data)).encode() in sent for data in PARTS)
