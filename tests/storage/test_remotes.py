"""Named remotes at real servers: two services and two accounts of one cloud in one call, jobs, and URLs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import pytest

from dxflow_async import (
    AsyncSession,
    AzureSettings,
    ConfigurationError,
    NotFoundError,
    S3Settings,
    Session,
    Settings,
    TransferError,
    UnsafePathError,
)
from dxflow_async.providers.local.kind import LocalSettings
from tests.servers import Azurite, SeaweedFS
from tests.sessions import MiB, settings_for

PAIR = ("you@example.com", "password")


@dataclass(frozen=True)
class Stores:
    """A session with two S3 services, each with other keys, and a bucket at each of them."""

    session: AsyncSession
    aws: SeaweedFS
    minio: SeaweedFS
    bucket: str
    minio_bucket: str


def s3_settings(server: SeaweedFS, private: str | None = None) -> S3Settings:
    """The settings of a remote at a server."""
    return S3Settings(
        endpoint=server.endpoint,
        region=server.region,
        access_key=server.access_key,
        secret_key=server.secret_key,
        private=private,
    )


@contextlib.asynccontextmanager
async def other_address(endpoint: str) -> AsyncIterator[str]:
    """Another port that leads to a service."""
    host, _, port = endpoint.partition("://")[2].partition(":")

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection(host, int(port))
        await asyncio.gather(_pass_on(reader, requests), _pass_on(answers, writer))

    async with await asyncio.start_server(forward, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


def names(server: SeaweedFS, bucket: str) -> list[str]:
    """The keys in a bucket, as the server's own client sees them."""
    return [each["Key"] for each in server.client.list_objects_v2(Bucket=bucket).get("Contents", ())]


@pytest.fixture
async def stores(weed: SeaweedFS, other_weed: SeaweedFS, tmp_path: Path) -> AsyncIterator[Stores]:
    """Both services; the second one is the remote `minio`."""
    buckets = [f"bucket-{uuid4().hex[:12]}" for _ in range(2)]
    weed.create_bucket(buckets[0])
    other_weed.create_bucket(buckets[1])
    settings = settings_for(weed, tmp_path / "home", part_size=5 * MiB)
    async with AsyncSession(settings=settings, remotes={"MinIO": s3_settings(other_weed)}) as session:
        yield Stores(session, weed, other_weed, *buckets)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with a small file, an odd name and a file of several parts."""
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "a.txt").write_bytes(b"aaa")
    (tree / "sub" / "ü %20?.txt").write_bytes(b"bb")
    (tree / "large").write_bytes(bytes(range(256)) * (11 * MiB // 256))
    return tree


async def test_from_s3_to_another_service(stores: Stores, tree: Path, tmp_path: Path) -> None:
    """A tree goes up to one service, over to the other one, and down from there: the same bytes, in one session."""
    session, there = stores.session, f"minio:/{stores.minio_bucket}/copy/"
    await session.copy(f"{tree}/", f"aws:/{stores.bucket}/tree/")
    report = await session.copy(f"aws:/{stores.bucket}/tree/", there)
    assert (len(report), report.verified) == (3, 3)
    assert {each.destination for each in report} == {f"{there}a.txt", f"{there}large", f"{there}sub/ü %20?.txt"}
    assert names(stores.minio, stores.minio_bucket) == ["copy/a.txt", "copy/large", "copy/sub/ü %20?.txt"]
    await session.copy(f"MINIO:/{stores.minio_bucket}/copy/", tmp_path / "back")
    for path in ("a.txt", "large", "sub/ü %20?.txt"):
        assert (tmp_path / "back" / path).read_bytes() == (tree / path).read_bytes()


async def test_moves_and_syncs(stores: Stores, tree: Path) -> None:
    """A move empties the source at one service; a sync brings the other one to the same state, deletions included."""
    session = stores.session
    await session.copy(f"{tree}/", f"minio:/{stores.minio_bucket}/in/")
    await session.move(f"minio:/{stores.minio_bucket}/in/", f"s3://{stores.bucket}/out/")
    assert names(stores.minio, stores.minio_bucket) == []
    assert names(stores.aws, stores.bucket) == ["out/a.txt", "out/large", "out/sub/ü %20?.txt"]
    await session.sync(f"aws:/{stores.bucket}/out", f"minio:/{stores.minio_bucket}/twin")
    stores.aws.client.delete_object(Bucket=stores.bucket, Key="out/a.txt")
    plan = await session.sync(
        f"aws:/{stores.bucket}/out", f"minio:/{stores.minio_bucket}/twin", delete=True, dry_run=True
    )
    assert [(each.kind, each.path) for each in plan] == [("delete", "a.txt")]
    report = await session.sync(f"aws:/{stores.bucket}/out", f"minio:/{stores.minio_bucket}/twin", delete=True)
    assert [each.destination for each in report.deleted] == [f"minio:/{stores.minio_bucket}/twin/a.txt"]
    assert names(stores.minio, stores.minio_bucket) == ["twin/large", "twin/sub/ü %20?.txt"]


async def test_documented_calls_take_a_remotes_name(stores: Stores, tree: Path, tmp_path: Path) -> None:
    """`provider=` is the name of any remote, in any case."""
    storage, top = stores.session.get_storage_manager(), f"/{stores.minio_bucket}"
    await storage.upload(f"{tree}/", f"{top}/up/", provider="minio")
    assert [item.name for item in await storage.list("MinIO", f"{top}/up/")] == ["a.txt", "large", "sub"]
    assert (await storage.stat(f"{top}/up/a.txt", "MINIO")).size == 3
    assert await storage.exists(f"{top}/up/a.txt", "minio")
    assert not await storage.exists(f"{top}/up/none", "minio")
    assert b"".join([chunk async for chunk in storage.read(f"{top}/up/a.txt", provider="minio")]) == b"aaa"
    await storage.copy(f"{top}/up/a.txt", f"{top}/up/b.txt", "minio")
    await storage.move(f"{top}/up/b.txt", f"{top}/up/c.txt", "minio")
    await storage.update_path_items(f"{top}/up/", provider="minio")
    contents = storage._get_content_from_path("minio", f"{top}/up/")
    assert contents is not None
    assert [each["name"] for each in contents] == ["a.txt", "c.txt", "large", "sub"]
    await storage.download(f"{top}/up/c.txt", tmp_path / "down", "minio")
    assert (tmp_path / "down" / "c.txt").read_bytes() == b"aaa"
    assert (await storage.presign(f"{top}/up/a.txt", 60, "minio")).startswith(stores.minio.endpoint)
    assert await storage.delete(f"{top}/up/", "minio") == 4
    assert names(stores.minio, stores.minio_bucket) == []
    with pytest.raises(ConfigurationError, match="AWS, AZURE, GCP, MINIO"):
        await storage.list("mino")


async def test_errors_name_the_remote(stores: Stores) -> None:
    """What fails at a remote is told with the remote's name."""
    with pytest.raises(NotFoundError, match=r"^MINIO ") as raised:
        await stores.session.get_storage_manager().stat(f"/{stores.minio_bucket}/none", "minio")
    assert raised.value.provider == "MINIO"
    with pytest.raises(ConfigurationError, match="minio:") as unknown:
        await stores.session.copy("mino:/bucket/x", "y")
    assert "write minio:/bucket/x" in str(unknown.value)


async def test_two_accounts_of_one_service(weed: SeaweedFS, tmp_path: Path) -> None:
    """Each remote signs with its own keys: with the other's the service refuses them."""
    bucket = weed.create_bucket(f"bucket-{uuid4().hex[:12]}")
    right, wrong = s3_settings(weed), replace(s3_settings(weed), secret_key="not-the-secret")
    (tmp_path / "file").write_bytes(b"x")
    async with AsyncSession(
        settings=Settings(home=tmp_path / "home", max_attempts=1), remotes={"one": right, "two": wrong}
    ) as session:
        await session.copy(tmp_path / "file", f"one:/{bucket}/x")
        with pytest.raises(TransferError, match="TWO") as refused:
            await session.copy(f"one:/{bucket}/x", f"two:/{bucket}/y")
        assert "check remotes.two.secret_key" in str(refused.value)
        await session.copy(f"one:/{bucket}/x", f"ONE:/{bucket}/z")
    assert names(weed, bucket) == ["x", "z"]


async def test_a_remote_may_have_areas(stores: Stores, tmp_path: Path) -> None:
    """`private` of a remote's settings is where its paths begin, as it is for `aws`."""
    (tmp_path / "file").write_bytes(b"x")
    settings = s3_settings(stores.minio, private=f"{stores.minio_bucket}/area")
    async with AsyncSession(settings=stores.session.settings, remotes={"minio": settings}) as session:
        await session.copy(tmp_path / "file", "minio:/x")
        assert await session.get_storage_manager().exists("/x", "minio")
    assert names(stores.minio, stores.minio_bucket) == ["area/x"]


async def test_a_directory_as_a_remote(stores: Stores, tmp_path: Path) -> None:
    """A remote of the type `local` is a directory that nothing leaves."""
    (tmp_path / "file").write_bytes(b"x")
    root = tmp_path / "root"
    async with AsyncSession(settings=stores.session.settings, remotes={"disk": LocalSettings(root=root)}) as session:
        await session.copy(tmp_path / "file", "disk:/sub/x")
        assert (root / "sub" / "x").read_bytes() == b"x"
        await session.copy("disk:/sub/", f"aws:/{stores.bucket}/from-disk/")
        with pytest.raises((ConfigurationError, TransferError, NotFoundError, ValueError)):
            await session.copy("disk:/../file", tmp_path / "stolen")
    assert names(stores.aws, stores.bucket) == ["from-disk/x"]
    assert not (tmp_path / "stolen").exists()


def test_blocking_sessions_know_remotes(weed: SeaweedFS, other_weed: SeaweedFS, tmp_path: Path) -> None:
    """The same from code without a loop."""
    bucket = other_weed.create_bucket(f"bucket-{uuid4().hex[:12]}")
    (tmp_path / "file").write_bytes(b"x")
    settings = settings_for(weed, tmp_path / "home")
    with Session(settings=settings, remotes={"minio": s3_settings(other_weed)}, progress=False) as session:
        session.copy(tmp_path / "file", f"minio:/{bucket}/x")
        assert session.get_storage_manager().exists(f"/{bucket}/x", "minio")


async def test_remotes_beside_an_account(other_weed: SeaweedFS, tmp_path: Path) -> None:
    """At the embedded hub a named remote is the real service, while `aws` is a local directory."""
    bucket = other_weed.create_bucket(f"bucket-{uuid4().hex[:12]}")
    (tmp_path / "file").write_bytes(b"x")
    async with AsyncSession(
        *PAIR, settings=Settings(home=tmp_path / "home"), remotes={"minio": s3_settings(other_weed)}
    ) as session:
        await session.copy(tmp_path / "file", "aws:/bucket/x")
        await session.copy("aws:/bucket/x", f"minio:/{bucket}/y")
    assert names(other_weed, bucket) == ["y"]


@pytest.mark.parametrize("alias", ["same", "localhost", "proxied"])
async def test_one_service_under_two_names(stores: Stores, tree: Path, alias: str) -> None:
    """What is moved or synced onto itself by another remote's name is refused before anything is lost."""
    port = stores.minio.endpoint.rpartition(":")[2]
    async with contextlib.AsyncExitStack() as stack:
        endpoint = stores.minio.endpoint
        if alias == "localhost":
            endpoint = f"http://localhost:{port}"
        elif alias == "proxied":  # another port leads to the same service
            endpoint = await stack.enter_async_context(other_address(stores.minio.endpoint))
        twin = replace(s3_settings(stores.minio), endpoint=endpoint)
        session = await stack.enter_async_context(
            AsyncSession(settings=stores.session.settings, remotes={"twin": twin})
        )
        top = f"/{stores.minio_bucket}/dir"
        await session.copy(f"{tree}/", f"minio:{top}/")
        for source, destination in ((f"{top}/a.txt", f"{top}/a.txt"), (f"{top}/", f"{top}/")):
            for call in (session.move, session.copy):
                with pytest.raises(UnsafePathError, match="the destination is the source"):
                    await call(f"minio:{source}", f"twin:{destination}")
        with pytest.raises(UnsafePathError, match="one of them is the other"):
            await session.sync(f"minio:{top}", f"twin:{top}", delete=True)
        await session.move(f"minio:{top}/a.txt", f"twin:{top}/b.txt")
    assert names(stores.minio, stores.minio_bucket) == ["dir/b.txt", "dir/large", "dir/sub/ü %20?.txt"]


async def test_equal_names_at_two_services(weed: SeaweedFS, other_weed: SeaweedFS, tmp_path: Path) -> None:
    """Buckets and keys of the same name at two services are two objects: a move goes through, also a second one."""
    bucket = f"bucket-{uuid4().hex[:12]}"
    for server in (weed, other_weed):
        server.create_bucket(bucket)
    (tmp_path / "file").write_bytes(b"x")
    settings = settings_for(weed, tmp_path / "home")
    async with AsyncSession(settings=settings, remotes={"minio": s3_settings(other_weed)}) as session:
        for _ in range(2):
            await session.copy(tmp_path / "file", f"aws:/{bucket}/dir/file")
            await session.move(f"aws:/{bucket}/dir/", f"minio:/{bucket}/dir/")
            await asyncio.sleep(1.1)  # S3 tells whole seconds, and equal bytes of one second might be one object
    assert (names(weed, bucket), names(other_weed, bucket)) == ([], ["dir/file"])


# Jobs


async def broken_off(session: AsyncSession, tree: Path, destination: str) -> str:
    """Begins an upload that fails for one item; returns its job."""
    (tree / "gone").symlink_to("nowhere")
    pairs = [(str(path), f"{destination}/{path.name}") for path in (tree / "a.txt", tree / "large", tree / "gone")]
    with pytest.raises(TransferError) as failed:
        await session.get_storage_manager().upload_many(pairs, "minio")
    assert failed.value.report.job_id is not None
    return failed.value.report.job_id


async def test_jobs_resume_at_the_remote(stores: Stores, tree: Path) -> None:
    """A later session with the same remote goes on; only what is missing is sent."""
    job = await broken_off(stores.session, tree, f"/{stores.minio_bucket}/job")
    (tree / "gone").unlink()
    (tree / "gone").write_bytes(b"here")
    async with AsyncSession(settings=stores.session.settings) as later:
        report = await later.resume(job)
    assert [each.destination for each in report] == [f"minio:/{stores.minio_bucket}/job/gone"]
    assert names(stores.minio, stores.minio_bucket) == ["job/a.txt", "job/gone", "job/large"]


async def test_jobs_do_not_resume_elsewhere(stores: Stores, tree: Path) -> None:
    """Where the remote's name means another place, or no place any more, the job is an error and stays."""
    job = await broken_off(stores.session, tree, f"/{stores.minio_bucket}/job")
    elsewhere = s3_settings(stores.aws)
    async with AsyncSession(settings=stores.session.settings, remotes={"minio": elsewhere}) as session:
        with pytest.raises(ConfigurationError, match="the job was begun with MINIO at") as raised:
            await session.resume(job)
        assert stores.minio.endpoint in str(raised.value)
        assert stores.aws.endpoint in str(raised.value)
    async with AsyncSession(settings=replace(stores.session.settings, remotes={})) as session:
        with pytest.raises(ConfigurationError, match="minio"):
            await session.resume(job)
        assert [each.id for each in await session.jobs()] == [job]


async def test_job_files_hold_no_key(stores: Stores, tree: Path, tmp_path: Path) -> None:
    """Neither the keys of the remote nor those of others are in what is kept of a job."""
    await broken_off(stores.session, tree, f"/{stores.minio_bucket}/job")
    kept = b"".join(path.read_bytes() for path in (tmp_path / "home" / "jobs").iterdir() if path.is_file())
    assert b"minio" in kept.lower()
    for server in (stores.aws, stores.minio):
        assert server.secret_key.encode() not in kept


# Two accounts of Azure, and URLs


@pytest.fixture(scope="module")
def other_azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """A second account, at a server of its own."""
    with Azurite.start(tmp_path_factory.mktemp("other-azurite")) as server:
        yield server


def azure_settings(server: Azurite) -> AzureSettings:
    """The settings of a remote at an Azurite."""
    return AzureSettings(endpoint=server.endpoint, account=server.account, account_key=server.account_key)


async def test_between_two_azure_accounts(azurite: Azurite, other_azurite: Azurite, tmp_path: Path) -> None:
    """The bytes come by here, each account with its own key; the URL of a blob is the remote whose account it is."""
    one, two = (f"container-{uuid4().hex[:12]}" for _ in range(2))
    azurite.create_container(one)
    other_azurite.create_container(two)
    (tmp_path / "file").write_bytes(b"bytes")
    settings = Settings(home=tmp_path / "home", azure=azure_settings(azurite))
    async with AsyncSession(settings=settings, remotes={"archive": azure_settings(other_azurite)}) as session:
        await session.copy(tmp_path / "file", f"az://{one}/dir/a b")
        await session.copy(f"azure:/{one}/dir/", f"archive:/{two}/copied/")
        url = f"{other_azurite.endpoint}/{two}/copied/a%20b"
        report = await session.copy(f"{url}?sv=1&sig=SECRET", f"{azurite.endpoint}/{one}/again")
        assert [(each.source, each.destination) for each in report] == [
            (f"archive:/{two}/copied/a b", f"azure:/{one}/again")
        ]
        for query in ("snapshot=2024", "versionId=2024"):
            with pytest.raises(ConfigurationError, match="snapshot or a version"):
                await session.copy(f"{url}?{query}", tmp_path / "x")
    client = azurite.client.get_container_client(one)
    assert [blob.name for blob in client.list_blobs()] == ["again", "dir/a b"]
    assert client.download_blob("again").readall() == b"bytes"


@pytest.mark.parametrize(
    "written", ["https://other.blob.core.windows.net/box/x?sig=SECRET", "https://other.dfs.core.windows.net/box/x"]
)
async def test_the_url_of_an_account_that_no_remote_is(tmp_path: Path, written: str) -> None:
    """It is an error that says how to define one; no signature is shown, and nothing is asked of anybody."""
    settings = Settings(home=tmp_path / "home", azure=AzureSettings(account="mine"))
    async with AsyncSession(settings=settings) as session:
        with pytest.raises(ConfigurationError, match="no remote is the storage account 'other'") as raised:
            await session.copy(written, tmp_path / "x")
    assert "SECRET" not in str(raised.value)


async def test_urls_of_local_files(tmp_path: Path) -> None:
    """`file://` is this machine's disk, with escapes."""
    (tmp_path / "a b").write_bytes(b"x")
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        await session.copy(f"{tmp_path.as_uri()}/a%20b", f"{tmp_path.as_uri()}/c%25d")
    assert (tmp_path / "c%d").read_bytes() == b"x"
