"""SSH servers and web servers as places of a session: copy, move, sync, jobs and the command line, end to end."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from dxflow_async import AsyncSession, NotFoundError, Settings, TransferError, UnsupportedError
from dxflow_async.config.settings import S3Settings
from tests.providers.http_source.file_server import FileServer
from tests.servers import SeaweedFS
from tests.servers.ssh import SSHServer
from tests.servers.tcp_relay import TCPRelay
from tests.sessions import MiB, part_files

LARGE = os.urandom(24 * MiB)


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHServer]:
    """An SSH server."""
    with SSHServer.start(tmp_path_factory.mktemp("ssh")) as server:
        yield server


@pytest.fixture
def area(ssh: SSHServer) -> Path:
    """A directory of the test's own there."""
    directory = ssh.root / f"area-{uuid4().hex[:8]}"
    directory.mkdir()
    return directory


@pytest.fixture
async def session(ssh: SSHServer, area: Path, weed: SeaweedFS, tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session with the remotes `lab`, at the SSH server, and `store`, at an S3 service."""
    store = S3Settings(
        endpoint=weed.endpoint, region=weed.region, access_key=weed.access_key, secret_key=weed.secret_key
    )
    settings = Settings(
        home=tmp_path / "home",
        part_size=5 * MiB,
        max_attempts=3,
        remotes={"lab": ssh.settings(path=str(area)), "store": store},
    )
    async with AsyncSession(settings=settings) as session:
        yield session


@pytest.fixture
async def web() -> AsyncIterator[FileServer]:
    """A web server."""
    async with FileServer() as server:
        yield server


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files of all kinds."""
    top = tmp_path / "tree"
    (top / "dir/empty").mkdir(parents=True)
    (top / "dir/large").write_bytes(LARGE)
    (top / "dir/ü b.txt").write_bytes(b"small")
    (top / "script.sh").write_bytes(b"#!/bin/sh\n")
    (top / "script.sh").chmod(0o750)
    (top / os.fsdecode(b"caf\xe9")).write_bytes(b"not UTF-8")
    os.utime(top / "script.sh", (1234567890.75, 1234567890.75))
    return top


def content(top: Path) -> dict[str, bytes | None]:
    """All files with their bytes, and the empty directories."""
    found: dict[str, bytes | None] = {}
    for path in top.rglob("*"):
        if path.is_file():
            found[str(path.relative_to(top))] = path.read_bytes()
        elif not any(path.iterdir()):
            found[str(path.relative_to(top))] = None
    return found


async def test_up_and_down(session: AsyncSession, area: Path, tree: Path, tmp_path: Path) -> None:
    """A tree goes to an SSH server and comes back with its names, bytes, times and modes."""
    report = await session.copy(f"{tree}/", "lab:/up/")
    assert not report.failed
    assert content(area / "up") == content(tree)
    status = os.stat(area / "up/script.sh")
    assert (status.st_mtime, status.st_mode & 0o777) == (1234567890, 0o750)
    down = await session.copy("lab:/up/", f"{tmp_path}/down/")
    for each in (report, down):
        assert list(each.unverified) == ["neither side keeps checksums"]
    assert content(tmp_path / "down") == content(tree)
    assert part_files(area) == []


async def test_sync(session: AsyncSession, area: Path, tree: Path, tmp_path: Path) -> None:
    """A second sync copies nothing, though SFTP keeps whole seconds; a change is copied, what is gone is deleted."""
    first = await session.sync(f"{tree}/", "lab:/synced/")
    assert len(first) == len(content(tree))
    again = await session.sync(f"{tree}/", "lab:/synced/")
    assert again.bytes == 0
    (tree / "dir/ü b.txt").write_bytes(b"SMALL")
    (tree / "script.sh").unlink()
    await session.sync(f"{tree}/", "lab:/synced/", delete=True)
    assert content(area / "synced") == content(tree)
    back = tmp_path / "back"
    await session.sync("lab:/synced/", f"{back}/")
    assert content(back) == content(tree)
    assert (await session.sync("lab:/synced/", f"{back}/")).bytes == 0


async def test_move_and_storage(session: AsyncSession, area: Path, tmp_path: Path) -> None:
    """Files move to the server and within it; the documented calls work with the remote's name."""
    (tmp_path / "file").write_bytes(b"content")
    await session.move(tmp_path / "file", "lab:/dir/file")
    assert not (tmp_path / "file").exists()
    await session.move("lab:/dir/", "lab:/other/")
    assert content(area) == {"other/file": b"content"}
    storage = session.get_storage_manager()
    assert [item.path for item in await storage.list("lab", "/other/")] == ["/other/file"]
    await storage.delete("/other/", "lab")
    assert content(area) == {}


async def test_between_s3_and_ssh(session: AsyncSession, bucket: str, area: Path, tree: Path) -> None:
    """Objects go from S3 to an SSH server and back."""
    os.unlink(tree / os.fsdecode(b"caf\xe9"))
    place = f"store:/{bucket}/{uuid4().hex[:8]}/"
    await session.copy(f"{tree}/", place)
    assert (await session.copy(place, "lab:/from-s3/")).verification == "all verified"
    assert content(area / "from-s3") == content(tree)
    await session.copy("lab:/from-s3/dir/large", f"{place}large")
    report = await session.copy(f"{place}large", "lab:/large")
    assert not report.failed
    assert (area / "large").read_bytes() == LARGE


async def test_a_broken_upload_is_resumed(ssh: SSHServer, area: Path, tree: Path, tmp_path: Path) -> None:
    """A job whose server went away is finished by a later session, and nothing is left beside the file."""
    async with TCPRelay(ssh.port) as relay:
        key = ssh.known_hosts.read_text().partition(" ")[2]
        (tmp_path / "relayed").write_text(f"[127.0.0.1]:{relay.port} {key}")
        through = ssh.settings(path=str(area), port=relay.port, known_hosts=tmp_path / "relayed", max_connections=1)
        settings = Settings(home=tmp_path / "home", part_size=5 * MiB, max_attempts=1, remotes={"lab": through})
        async with AsyncSession(settings=settings) as broken:
            relay.cut_after = 13 * MiB
            with pytest.raises(TransferError) as failed:
                await broken.copy(tree / "dir/large", "lab:/large")
        job = failed.value.report.job_id
        assert job is not None
        settings = Settings(home=tmp_path / "home", part_size=5 * MiB, remotes={"lab": through})
        async with AsyncSession(settings=settings) as later:
            report = await later.resume(job)
    assert not report.failed
    assert (area / "large").read_bytes() == LARGE
    assert part_files(area) == []


async def test_a_url_of_an_ssh_server(
    ssh: SSHServer, area: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sftp://` works with what `~/.ssh` has, as a source and as a destination."""
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/known_hosts").write_text(ssh.known_hosts.read_text())
    (tmp_path / ".ssh/id_ed25519").write_bytes((ssh.directory / "client").read_bytes())
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "file").write_bytes(b"content")
    place = f"sftp://me@127.0.0.1:{ssh.port}{area}"
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        report = await session.copy(tmp_path / "file", f"{place}/a%20b")
        assert [each.destination for each in report] == [f"{place}/a b"]
        await session.copy(f"{place}/a%20b", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"content"
    assert os.listdir(area) == ["a b"]


@pytest.mark.parametrize("ranges", [True, False])
async def test_from_the_web(
    session: AsyncSession, web: FileServer, bucket: str, area: Path, tmp_path: Path, *, ranges: bool
) -> None:
    """A large file comes from a web server to a disk, to S3 and to an SSH server, also where it sends no ranges."""
    web.put("/dir/large.bin", LARGE, ranges=ranges)
    source = web.url_of("/dir/large.bin")
    key = uuid4().hex[:8]
    for destination in (str(tmp_path / "large"), f"store:/{bucket}/{key}", "lab:/large"):
        web.sent = 0
        assert not (await session.copy(source, destination)).failed
        assert web.sent < 2.2 * len(LARGE)
    await session.copy(f"store:/{bucket}/{key}", tmp_path / "from-s3")
    for path in (tmp_path / "large", tmp_path / "from-s3", area / "large"):
        assert path.read_bytes() == LARGE


async def test_what_the_web_cannot_do(session: AsyncSession, web: FileServer, tmp_path: Path) -> None:
    """A directory, a destination and a missing file at a web server are errors that say so."""
    (tmp_path / "file").write_bytes(b"x")
    for url in (web.url_of("/dir/"), web.url_of("/dir/*.csv")):
        with pytest.raises((UnsupportedError, NotFoundError)):
            await session.copy(url, f"{tmp_path}/out/")
    with pytest.raises((TransferError, UnsupportedError)) as raised:
        await session.copy(tmp_path / "file", web.url_of("/new"))
    assert "can only be read" in str(raised.value)
    with pytest.raises(NotFoundError) as missing:
        await session.copy(f"{web.url_of('/missing.csv')}?sig=SECRET", tmp_path / "out")
    assert "SECRET" not in str(missing.value)


async def test_a_damaged_file_of_the_web(session: AsyncSession, web: FileServer, tmp_path: Path) -> None:
    """A file that does not have the digest that the server tells does not get its name."""
    web.put("/file.bin", b"damaged", headers={"Digest": "sha-256=" + "A" * 43 + "="})
    with pytest.raises(TransferError, match="SHA256"):
        await session.copy(web.url_of("/file.bin"), tmp_path / "file.bin")
    assert not (tmp_path / "file.bin").exists()
