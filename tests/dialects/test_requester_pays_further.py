"""Where the requester pays: handles, workers, versions, signed URLs, parts that are given up; and who does not pay."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

import pytest

from dxflow_async import (
    AccessDeniedError,
    AsyncSession,
    AWSSettings,
    GCPSettings,
    ObjectOptions,
    Settings,
    StorageError,
    TransferError,
)
from dxflow_async.concurrency.threads import Threads
from dxflow_async.providers.contract import Buffered, Part
from tests.dialects.google_server import GoogleServer
from tests.dialects.paying import PAYER, PayingFront, opened
from tests.dialects.s3_server import S3Server
from tests.servers import GCSServer
from tests.servers.moto import MotoServer
from tests.sessions import MiB

REMOTES = ["aws", "gcp"]
SETTING = {"aws": r"AWS\.requester_pays = true", "gcp": r"GCP\.user_project"}


def names(server: S3Server | GoogleServer) -> list[str]:
    return sorted(server.objects()) if isinstance(server, S3Server) else server.names


def put(server: S3Server | GoogleServer, name: str, data: bytes) -> None:
    (server.store if isinstance(server, S3Server) else server.put)(name, data)


@pytest.mark.parametrize("remote", REMOTES)
async def test_handles_and_workers(tmp_path: Path, remote: str) -> None:
    """Calls that are started, and calls on processes of this machine: small objects, ones in parts, and deletions."""
    (tmp_path / "tree").mkdir()
    for name, size in (("large", 11 * MiB), ("a", 10), ("b", 0)):
        (tmp_path / "tree" / name).write_bytes(bytes(size))
    top = f"{remote}:/bucket/top"
    async with opened(remote, tmp_path / "home") as (session, server):
        object.__setattr__(session.settings, "part_size", 5 * MiB)  # workers take no smaller ones
        assert len(await session.start.copy(f"{tmp_path}/tree/", f"{top}/started/")) == 3
        assert len(await session.start.sync(f"{top}/started/", f"{top}/synced/")) == 3
        assert len(await session.copy(f"{tmp_path}/tree/", f"{top}/up/", processes=2)) == 3
        assert len(await session.copy(f"{top}/up/", f"{top}/again/", processes=2)) == 3
        assert len(await session.move(f"{top}/again/", f"{tmp_path}/down/", processes=2)) == 3
        assert (tmp_path / "down/large").read_bytes() == bytes(11 * MiB)
        assert [name.rpartition("/")[0] for name in names(server)] == ["top/started"] * 3 + ["top/synced"] * 3 + [
            "top/up"
        ] * 3


@pytest.mark.parametrize("remote", REMOTES)
async def test_parts_that_are_given_up(tmp_path: Path, remote: str) -> None:
    """Parts are listed, taken up and removed, and so is what is left of an upload that fails at its end."""
    quirks: dict[str, Any] = {"denied": frozenset({"CompleteMultipartUpload"})} if remote == "aws" else {}
    async with opened(remote, tmp_path / "home", **quirks) as (session, server):
        provider = (await session._resolver.area(remote.upper())).provider
        upload = await provider.start_upload("bucket/x", None, ObjectOptions())
        receipt = await upload.write_part(Part(1, 0, MiB), Buffered((bytes(MiB),), MiB))
        again, kept = await provider.resume_upload("bucket/x", upload.id, [receipt], ObjectOptions())
        assert [each.part.number for each in kept] == [1]
        await again.abort()
        if isinstance(server, S3Server):
            assert await provider.unfinished_uploads("bucket/x") == []
            (tmp_path / "file").write_bytes(bytes(3 * MiB))
            with pytest.raises(TransferError):
                await session.copy(str(tmp_path / "file"), "aws:/bucket/y")
            asked = server.operations()
            assert {"ListParts", "ListMultipartUploads", "AbortMultipartUpload", "UploadPart"} <= asked.keys()
            assert asked["AbortMultipartUpload"] >= 2
            assert server.unfinished() == []
            assert {each.operation for each in server.refused()} == {"CompleteMultipartUpload"}
        assert names(server) == []


async def _use_versions(session: AsyncSession, top: str, directory: Path, *, deletes: bool) -> None:
    storage, path = await session.storage_at(top)
    for data in (b"one", b"second"):
        await storage.write(f"{path}/x", data)
    newest, oldest = await storage.list(f"{path}/x", versions=True)
    assert (newest.size, oldest.size) == (6, 3)
    assert len(await storage.list(f"{path}/", recursive=True, versions=True)) == 2
    assert b"".join([chunk async for chunk in storage.read(f"{path}/x", 1, 3, version=oldest.version)]) == b"ne"
    async with storage.open(f"{path}/x", version=oldest.version) as file:
        assert await file.read() == b"one"
    assert (await storage.stat(f"{path}/x", version=oldest.version)).size == 3
    await storage.download(f"{path}/x", str(directory / "x"), version=oldest.version)
    assert (directory / "x").read_bytes() == b"one"
    if deletes:
        assert await storage.delete(f"{path}/x", version=oldest.version) == 1
        assert len(await storage.list(f"{path}/x", versions=True)) == 1


async def test_versions_of_s3(tmp_path: Path) -> None:
    """Versions are listed, read, looked up, downloaded and deleted; no request goes without the agreement."""
    with MotoServer.start(tmp_path / "moto") as server:
        server.create_bucket("kept")
        server.client.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
        async with PayingFront(server.endpoint) as front:
            aws = AWSSettings(
                endpoint=front.url,
                region=server.region,
                access_key=server.access_key,
                secret_key=server.secret_key,
                requester_pays=True,
            )
            async with AsyncSession(settings=Settings(home=tmp_path / "home", aws=aws)) as session:
                await _use_versions(session, "aws:/kept/top", tmp_path, deletes=True)
            assert front.refused == []
            assert any("versions" in line for line in front.passed)


async def test_versions_of_google(gcs: GCSServer, tmp_path: Path) -> None:
    """The same at Google's emulator, which cannot delete one version."""
    gcs.ask("POST", "/storage/v1/b?project=test", {"name": "paid-versions", "versioning": {"enabled": True}})
    async with PayingFront(gcs.endpoint) as front:
        gcp = GCPSettings(endpoint=front.url, user_project=PAYER)
        async with AsyncSession(settings=Settings(home=tmp_path / "home", gcp=gcp)) as session:
            await _use_versions(session, "gcp:/paid-versions/top", tmp_path, deletes=False)
        assert front.refused == []
        assert any("versions=true" in line for line in front.passed)


def _ask(request: Request) -> tuple[int, bytes]:
    """Returns the status and the body of an answer."""
    try:
        with urlopen(request) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        with error:
            return error.code, b""


@pytest.mark.parametrize("remote", REMOTES)
async def test_signed_urls(tmp_path: Path, remote: str, threads: Threads) -> None:
    """A URL names who pays, and its signature covers that: without it the URL is worth nothing."""
    async with opened(remote, tmp_path / "home") as (session, server):
        storage = session.get_storage_manager().at(remote)
        put(server, "x", b"bytes")
        url = await storage.presign("/bucket/x")
        query = parse_qs(urlsplit(url).query)
        name, value = ("x-amz-request-payer", "requester") if remote == "aws" else ("userProject", PAYER)
        assert query[name] == [value]
        assert await threads.run(_ask, Request(url)) == (200, b"bytes")
        bare = url.replace(f"&{name}={value}", "").replace(f"{name}={value}&", "")
        assert name not in bare
        assert (await threads.run(_ask, Request(bare)))[0] in (400, 403)
        target = await storage.presign("/bucket/y", method="PUT")
        request = Request(target, b"sent", {"Content-Type": "application/octet-stream"}, method="PUT")
        assert (await threads.run(_ask, request))[0] == 200
        assert names(server) == ["x", "y"]


@pytest.mark.parametrize("remote", REMOTES)
async def test_who_does_not_pay(tmp_path: Path, remote: str) -> None:
    """Each verb is refused with advice that names the setting; nothing is deleted, moved or made, here or there."""
    async with opened(remote, tmp_path / "home", pays=False) as (session, server):
        for name in ("top/a", "top/b"):
            put(server, name, b"data")
        (tmp_path / "tree").mkdir()
        (tmp_path / "tree/a").write_bytes(b"other")
        (tmp_path / "gone").mkdir()
        storage, there, here = session.get_storage_manager().at(remote), f"{remote}:/bucket/top", f"{tmp_path}/tree"

        async def read() -> None:
            async for _ in storage.read("/bucket/top/a"):
                raise AssertionError("something was read")

        async def read_range() -> None:
            async with storage.open("/bucket/top/a") as file:
                await file.read(2)

        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "stat": lambda: storage.stat("/bucket/top/a"),
            "exists": lambda: storage.exists("/bucket/top/a"),
            "list": lambda: storage.list("/bucket/top/"),
            "list versions": lambda: storage.list("/bucket/top/", versions=True),
            "read": read,
            "read a range": read_range,
            "write": lambda: storage.write("/bucket/top/c", b"x"),
            "upload": lambda: session.copy(f"{here}/", f"{there}/c/"),
            "download": lambda: session.copy(f"{there}/", f"{tmp_path}/down/"),
            "copy": lambda: session.copy(f"{there}/a", f"{there}/c"),
            "move there": lambda: session.move(f"{there}/a", f"{there}/c"),
            "move up": lambda: session.move(f"{here}/a", f"{there}/c"),
            "move down": lambda: session.move(f"{there}/", f"{tmp_path}/down/"),
            "sync up": lambda: session.sync(f"{tmp_path}/gone/", f"{there}/", delete=True),
            "sync down": lambda: session.sync(f"{there}/", here, delete=True),
            "delete": lambda: storage.delete("/bucket/top/a"),
            "delete two": lambda: storage.delete(["/bucket/top/a", "/bucket/top/b"]),
            "delete all": lambda: storage.delete("/bucket/top/"),
            "started": lambda: session.start.copy(f"{here}/", f"{there}/c/"),
        }
        for verb, call in calls.items():
            with pytest.raises(StorageError, match=SETTING[remote]) as raised:
                await call()
            error = raised.value
            if isinstance(error, TransferError) and error.report.failed:
                error = error.report.failed[0].error or error
            assert isinstance(error, AccessDeniedError), verb
            assert names(server) == ["top/a", "top/b"], verb
            assert (tmp_path / "tree/a").read_bytes() == b"other", verb
        down = tmp_path / "down"
        assert not [path for path in down.rglob("*") if path.is_file()]
