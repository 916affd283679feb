"""Large objects of which their service tells another checksum than a CRC32C."""

from __future__ import annotations

import hashlib
import os
import random
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from awscrt import checksums
from azure.storage.blob import ContentSettings

from dxflow_async import AsyncSession, AWSSettings, Settings
from dxflow_async.config.settings import AzureSettings, GCPSettings
from dxflow_async.exceptions import TransferError
from tests.faults.killed_processes import Program
from tests.servers import Azurite, GCSServer
from tests.servers.summed_store import SummedStore
from tests.sessions import MiB
from tests.waiting import until

DATA = random.Random(9).randbytes(20 * MiB + 3)
PARTS = 5
DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "crc64nvme": lambda data: checksums.crc64nvme(data).to_bytes(8, "big"),
    "sha1": lambda data: hashlib.sha1(data).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
}
Connected = tuple[SummedStore, AsyncSession]
Connect = Callable[..., AbstractAsyncContextManager[Connected]]


def settings_of(store: SummedStore) -> AWSSettings:
    """How it is reached."""
    return AWSSettings(endpoint=store.endpoint, region="us-east-1", access_key="AK", secret_key="SK")


@pytest.fixture
def connect(tmp_path: Path, gcs: GCSServer) -> Connect:
    """A store whose object has a digest of a kind, and a session that works with it in parts of 5 MiB."""

    @asynccontextmanager
    async def connected(algorithm: str, data: bytes = DATA) -> AsyncIterator[Connected]:
        async with SummedStore.running(data, algorithm, DIGESTS[algorithm](data)) as store:
            aws = settings_of(store)
            gcp = GCPSettings(endpoint=gcs.endpoint)
            settings = Settings(home=tmp_path / "home", aws=aws, gcp=gcp, part_size=5 * MiB, max_attempts=3)
            async with AsyncSession(settings=settings) as session:
                yield store, session

    return connected


@pytest.mark.parametrize("wrong", [0, 1])
@pytest.mark.parametrize("algorithm", ["crc32", "crc64nvme"])
async def test_parts_are_compared(connect: Connect, tmp_path: Path, algorithm: str, wrong: int) -> None:
    """The parts' checksums make that of the whole; one that came wrong is found by a second look, and done again."""
    async with connect(algorithm) as (store, session):
        store.wrong = wrong
        (result,) = await session.copy("aws:/bkt/name", tmp_path / "to")
        assert store.ranges == (2 * PARTS + 1 if wrong else PARTS)
    assert (result.verified, result.attempts) == (True, 1 + wrong)
    assert (tmp_path / "to").read_bytes() == DATA


@pytest.mark.parametrize("wrong", [0, 1])
async def test_parts_from_cloud_to_cloud_are_compared(
    connect: Connect, gcs: GCSServer, gcs_bucket: str, wrong: int
) -> None:
    """On its way to another cloud, too, an object is compared before it gets its name."""
    async with connect("crc32") as (store, session):
        store.wrong = wrong
        (result,) = await session.copy("aws:/bkt/name", f"gcp:/{gcs_bucket}/to")
        assert result.verified
        store.wrong = 1 << 30
        with pytest.raises(TransferError, match="checksum"):
            await session.move("aws:/bkt/name", f"gcp:/{gcs_bucket}/bad")
        assert not store.deleted
    assert gcs.names(gcs_bucket, "") == ["to"]


@pytest.mark.parametrize("algorithm", DIGESTS)
async def test_moves_are_compared(connect: Connect, tmp_path: Path, algorithm: str) -> None:
    """Nothing is deleted whose bytes did not arrive, whatever digest tells it; what was wrong once is done again."""
    (tmp_path / "to").write_bytes(b"old")
    async with connect(algorithm) as (store, session):
        store.wrong = 1 << 30
        with pytest.raises(TransferError, match="checksum"):
            await session.move("aws:/bkt/name", tmp_path / "to")
        assert not store.deleted
        assert (tmp_path / "to").read_bytes() == b"old"
        assert sorted(os.listdir(tmp_path)) == ["home", "to"]
        store.wrong = 1
        (result,) = await session.move("aws:/bkt/name", tmp_path / "to")
        assert (store.deleted, result.verified) == (True, True)
    assert (tmp_path / "to").read_bytes() == DATA


@pytest.mark.parametrize("wrong", [0, 1])
@pytest.mark.parametrize("algorithm", DIGESTS)
async def test_a_whole_that_broke_off_is_compared(connect: Connect, tmp_path: Path, algorithm: str, wrong: int) -> None:
    """The rest of an object that is read as one is compared together with what came before the connection broke."""
    data = DATA[: 9 * MiB]
    async with connect(algorithm, data) as (store, session):
        store.breaks_off, store.wrong = 1, wrong
        (result,) = await session.copy("aws:/bkt/name", tmp_path / "to")
        assert store.ranges == 1
    assert result.verified
    assert (tmp_path / "to").read_bytes() == data


@pytest.mark.parametrize("algorithm", ["crc32", "sha256"])
@pytest.mark.parametrize("wrong", [0, 1])
async def test_parts_of_a_killed_process_are_compared(
    connect: Connect, tmp_path: Path, wrong: int, algorithm: str
) -> None:
    """What an earlier process wrote is read again before the file gets its name; wrong bytes of it are not kept."""
    async with connect(algorithm) as (store, session):
        store.wrong = wrong
        program = Program(
            tmp_path / "home", settings_of(store), part_size=5 * MiB, max_concurrency=1, max_bandwidth=10 * MiB
        )

        async def at_the_fourth_part() -> None:
            await until(lambda: store.ranges >= PARTS - 1)

        assert await program.kill("cp", "aws:/bkt/name", str(tmp_path / "to"), when=at_the_fourth_part)
        asked = store.ranges
        (job_id,) = program.jobs
        (result,) = await session.resume(job_id)
        assert store.ranges - asked < PARTS or wrong
    assert result.verified
    assert (tmp_path / "to").read_bytes() == DATA


@pytest.mark.parametrize("told", [DATA, b"other bytes"], ids=["right", "wrong"])
async def test_moves_from_azure_are_compared(azurite: Azurite, container: str, tmp_path: Path, told: bytes) -> None:
    """The MD5 of a large blob is compared with the file before that gets its name and the blob is deleted."""
    blob = azurite.client.get_blob_client(container, "name")
    blob.upload_blob(DATA)
    blob.set_http_headers(ContentSettings(content_md5=bytearray(hashlib.md5(told).digest())))
    azure = AzureSettings(endpoint=azurite.endpoint, account=azurite.account, account_key=azurite.account_key)
    async with AsyncSession(settings=Settings(home=tmp_path / "home", azure=azure, part_size=5 * MiB)) as session:
        move = session.move(f"azure:/{container}/name", tmp_path / "to")
        if told is DATA:
            (result,) = await move
            assert result.verified
            assert (tmp_path / "to").read_bytes() == DATA
        else:
            with pytest.raises(TransferError, match="checksum"):
                await move
            assert os.listdir(tmp_path) == ["home"]
    assert blob.exists() is (told is not DATA)
