"""Objects that other programs stored with checksums of their own."""

from __future__ import annotations

import base64
import hashlib
import os
import zlib
from pathlib import Path

import pytest
from awscrt import checksums

from dxflow_async import AsyncSession, AWSSettings, Settings
from dxflow_async.digests import ExpectedDigest, s3_expected
from dxflow_async.exceptions import ChecksumMismatchError, TransferError
from dxflow_async.providers.aws import headers as aws_headers
from dxflow_async.providers.azure import headers as azure_headers
from dxflow_async.providers.common.confirm import disagreement
from dxflow_async.providers.contract import Entry
from tests.providers.connected_providers import Connect
from tests.providers.in_memory_bodies import read
from tests.scripted_server import ScriptedServer, answer

DATA = bytes(range(256)) * 1000
WRONG = DATA[:-1] + b"x"
DIGESTS = {
    "crc32": zlib.crc32(DATA).to_bytes(4, "big"),
    "crc64nvme": checksums.crc64nvme(DATA).to_bytes(8, "big"),
    "sha1": hashlib.sha1(DATA).digest(),
    "sha256": hashlib.sha256(DATA).digest(),
}


def stored(algorithm: str, data: bytes) -> bytes:
    """S3's answer about an object that is said to be `DATA`."""
    told = base64.b64encode(DIGESTS[algorithm]).decode()
    return answer(body=data, ETag='"1"', x_amz_request_id="1", **{f"x_amz_checksum_{algorithm}": told})


@pytest.mark.parametrize("algorithm", DIGESTS)
async def test_whole_reads_are_compared(connect: Connect, algorithm: str) -> None:
    """Whatever checksum the service tells of a whole object, other bytes are an error."""
    async with ScriptedServer(stored(algorithm, DATA), stored(algorithm, WRONG)) as server:
        aws = connect(server.url)
        assert await read(aws, "bkt/name") == DATA
        with pytest.raises(ChecksumMismatchError, match=algorithm.upper()):
            await read(aws, "bkt/name")


@pytest.mark.parametrize("algorithm", ["crc32", "sha256"])
async def test_downloads_are_verified(algorithm: str, tmp_path: Path) -> None:
    """A download says that it was verified by another program's checksum; other bytes become no file."""
    head = stored(algorithm, DATA).removesuffix(DATA)
    for data, name in ((DATA, "right"), (WRONG, "wrong")):
        async with ScriptedServer(head, stored(algorithm, data)) as server:
            aws = AWSSettings(endpoint=server.url, access_key="AK", secret_key="SK")
            async with AsyncSession(settings=Settings(home=tmp_path / "home", aws=aws, max_attempts=2)) as session:
                download = session.get_storage_manager().download("/bkt/name", tmp_path / name)
                if data is DATA:
                    assert (await download).verified == 1
                    assert (tmp_path / name / "name").read_bytes() == DATA
                else:
                    with pytest.raises(TransferError, match="another"):
                        await download
                    assert "wrong" not in os.listdir(tmp_path)


@pytest.mark.parametrize("text", ["AAAAAA==-3", "not base64", "AAAA", ""])
def test_digests_that_are_none(text: str) -> None:
    """The checksum of parts' checksums, and what is none, are not compared with a whole."""
    assert s3_expected({"x-amz-checksum-crc32": text}) is None


def test_the_digest_of_a_range_is_no_whole_ones() -> None:
    """Beside a range, a digest may be that of the range; Azure has another header for the whole there."""
    md5, crc32 = base64.b64encode(bytes(16)).decode(), base64.b64encode(bytes(4)).decode()
    ranged = {"content-range": "bytes 0-9/20", "content-md5": md5, "x-amz-checksum-crc32": crc32}
    assert azure_headers.entry_of("c/name", ranged, 20).digest is None
    assert aws_headers.entry_of("b/name", ranged, 20, None).digest is None
    assert azure_headers.entry_of("c/name", {**ranged, "x-ms-blob-content-md5": md5}, 20).digest == ("md5", bytes(16))


def test_another_digest_is_a_disagreement() -> None:
    """Two answers that tell one kind of digest tell the same one; of two kinds none contradicts the other."""
    entries = [Entry("name", 1, digest=ExpectedDigest(kind, bytes(4))) for kind in ("crc32", "other")]
    wrong = Entry("name", 1, digest=ExpectedDigest("crc32", b"1234"))
    assert disagreement(entries[0], wrong) == "another checksum"
    assert disagreement(*entries) is None


def test_composite_digests_are_none() -> None:
    """What is told to be composed of parts' checksums is no whole's, though it may look so."""
    headers = {"x-amz-checksum-sha256": base64.b64encode(bytes(32)).decode()}
    assert s3_expected(headers | {"x-amz-checksum-type": "FULL_OBJECT"}) == ("sha256", bytes(32))
    assert s3_expected(headers | {"x-amz-checksum-type": "COMPOSITE"}) is None
