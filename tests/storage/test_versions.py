"""Older versions of objects, where a bucket keeps them: listed, read, looked up, downloaded and deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from dxflow_async import (
    AsyncAreaStorage,
    AsyncSession,
    AzureSettings,
    GCPSettings,
    NotFoundError,
    Settings,
    UnsupportedError,
)
from tests.servers import GCSServer
from tests.servers.moto import MotoServer
from tests.sessions import settings_for


async def _stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _read(storage: AsyncAreaStorage, path: str, version: str | None = None) -> bytes:
    return b"".join([chunk async for chunk in storage.read(path, version=version)])


async def _check(storage: AsyncAreaStorage, top: str, directory: Path, *, deletes: bool = True) -> None:
    """Writes three versions of an object and one of another, and uses each verb."""
    for data in (b"one", b"second", b"the third"):
        await storage.write(f"{top}/dir/a b", _stream(data))
    await storage.write(f"{top}/dir/a b c", _stream(b"other"))
    found = await storage.list(f"{top}/dir/a b", versions=True)
    assert [(item.path, item.size, item.latest) for item in found] == [
        (f"{top}/dir/a b", 9, True),
        (f"{top}/dir/a b", 6, False),
        (f"{top}/dir/a b", 3, False),
    ]
    ids = [item.version for item in found]
    assert len({*ids}) == 3
    assert None not in ids
    everything = await storage.list(f"{top}/", recursive=True, versions=True)
    assert [item.name for item in everything] == ["a b", "a b", "a b", "a b c"]
    assert [item.path for item in await storage.list(f"{top}/", versions=True)] == [f"{top}/dir/"]
    assert [await _read(storage, f"{top}/dir/a b", each) for each in ids] == [b"the third", b"second", b"one"]
    assert (await storage.stat(f"{top}/dir/a b", version=ids[2])).size == 3
    (result,) = await storage.download(f"{top}/dir/a b", str(directory / "a b"), version=ids[1])
    assert result.bytes == 6
    assert (directory / "a b").read_bytes() == b"second"
    with pytest.raises(NotFoundError):
        await storage.list(f"{top}/missing", versions=True)
    if not deletes:
        return
    assert await storage.delete(f"{top}/dir/a b", version=ids[2]) == 1
    assert await _read(storage, f"{top}/dir/a b") == b"the third"
    assert [item.version for item in await storage.list(f"{top}/dir/a b", versions=True)] == ids[:2]
    await storage.delete(f"{top}/dir/a b")
    assert not await storage.exists(f"{top}/dir/a b")
    assert await _read(storage, f"{top}/dir/a b", ids[1]) == b"second"
    left = await storage.list(f"{top}/dir/a b", versions=True)
    assert [(item.version, item.latest) for item in left] == [(ids[0], False), (ids[1], False)]


async def test_s3(tmp_path: Path) -> None:
    """A versioned bucket at moto."""
    with MotoServer.start(tmp_path / "moto") as server:
        server.create_bucket("kept")
        server.client.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
        async with AsyncSession(settings=settings_for(server, tmp_path / "home")) as session:
            storage = session.get_storage_manager().at("aws")
            await _check(storage, "/kept/top", tmp_path)
            await _check_markers(storage, server)


async def _check_markers(storage: AsyncAreaStorage, server: MotoServer) -> None:
    """Uses the versions of an object whose name ends in a slash, and deletes the mark of a deletion."""
    for _ in range(2):
        server.client.put_object(Bucket="kept", Key="marked/", Body=b"")
    await storage.write("/kept/marked/x", b"x")
    markers = [
        item for item in await storage.list("/kept/", recursive=True, versions=True) if item.path[-7:] == "marked/"
    ]
    assert len(markers) == 2
    assert (await storage.stat("/kept/marked/", version=markers[1].version)).version == markers[1].version
    for path in ("/kept/marked", "/kept/marked/"):
        with pytest.raises(NotFoundError):  # a directory has no versions
            await storage.stat(path, version="00000000-0000-4000-8000-000000000000")
    assert await storage.delete("/kept/marked/", version=markers[1].version) == 1
    left = server.client.list_object_versions(Bucket="kept", Prefix="marked/")["Versions"]
    assert sorted(each["Key"] for each in left) == ["marked/", "marked/x"]
    deletion = server.client.delete_object(Bucket="kept", Key="marked/x")["VersionId"]
    for read in (storage.stat("/kept/marked/x", version=deletion), _read(storage, "/kept/marked/x", deletion)):
        with pytest.raises(NotFoundError):
            await read
    assert await storage.delete("/kept/marked/x", version=deletion) == 1
    assert await _read(storage, "/kept/marked/x") == b"x"


async def test_google(gcs: GCSServer, tmp_path: Path) -> None:
    """A versioned bucket at the emulator, which deletes the newest version whichever one is named."""
    gcs.ask("POST", "/storage/v1/b?project=test", {"name": "kept-versions", "versioning": {"enabled": True}})
    settings = Settings(home=tmp_path / "home", gcp=GCPSettings(endpoint=gcs.endpoint))
    async with AsyncSession(settings=settings) as session:
        await _check(session.get_storage_manager().at("gcp"), "/kept-versions/top", tmp_path, deletes=False)


class _Azure:
    """A container that keeps versions, as Azure does: a deletion leaves only earlier ones."""

    def __init__(self) -> None:
        self.blobs: dict[str, list[tuple[str, bytes, web.BaseRequest]]] = {}
        self.current: set[str] = set()
        self.count = 0

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        name, query = request.path.removeprefix("/account/kept").removeprefix("/"), request.query
        common = {"x-ms-version": request.headers["x-ms-version"], "x-ms-request-id": "1"}
        if not name:
            return web.Response(text=self._list(query), content_type="application/xml", headers=common)
        if request.method == "PUT":
            self.count += 1
            version = f"2026-01-01T00:00:{self.count:02}.0000000Z"
            self.blobs.setdefault(name, []).append((version, await request.read(), request))
            self.current.add(name)
            return web.Response(status=201, headers={**common, "ETag": f'"{version}"', "x-ms-version-id": version})
        versions = self.blobs.get(name, [])
        wanted = query.get("versionid")
        kept = [each for each in versions if each[0] == wanted] if wanted else versions[-1:]
        if not kept or (wanted is None and name not in self.current):
            return web.Response(status=404, headers={**common, "x-ms-error-code": "BlobNotFound"})
        version, data, put = kept[0]
        if request.method == "DELETE":
            if wanted:
                was_last = versions[-1] is kept[0]
                versions.remove(kept[0])
                if was_last and not versions:
                    self.current.discard(name)
            else:
                self.current.discard(name)
            return web.Response(status=202, headers=common)
        headers = {key: value for key, value in put.headers.items() if key.lower().startswith("x-ms-meta-")}
        headers |= {**common, "ETag": f'"{version}"', "x-ms-version-id": version, "x-ms-blob-type": "BlockBlob"}
        if request.method == "HEAD":
            return web.Response(headers={**headers, "Content-Length": str(len(data))})
        return web.Response(body=data, headers=headers)

    def _list(self, query: object) -> str:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")  # type: ignore[attr-defined]
        versions = query.get("include") == "versions"  # type: ignore[attr-defined]
        rows, prefixes = list[str](), set[str]()
        for name in sorted(self.blobs):
            if not name.startswith(prefix):
                continue
            inner = name[len(prefix) :].partition("/")
            if delimiter and inner[1]:
                prefixes.add(prefix + inner[0] + "/")
                continue
            for version, data, _ in self.blobs[name]:
                is_current = name in self.current and version == self.blobs[name][-1][0]
                if versions or is_current:
                    told = f"<VersionId>{version}</VersionId>" if versions else ""
                    told += "<IsCurrentVersion>true</IsCurrentVersion>" if versions and is_current else ""
                    rows.append(
                        f"<Blob><Name>{name}</Name>{told}<Properties><Etag>{version}</Etag>"
                        f"<Content-Length>{len(data)}</Content-Length></Properties></Blob>"
                    )
        rows += [f"<BlobPrefix><Name>{each}</Name></BlobPrefix>" for each in sorted(prefixes)]
        return (
            '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="kept">'
            f"<Prefix>{prefix}</Prefix><Blobs>{''.join(rows)}</Blobs><NextMarker/></EnumerationResults>"
        )


async def test_azure(tmp_path: Path) -> None:
    """A container with versions, at a small server."""
    runner = web.ServerRunner(web.Server(_Azure().serve), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        endpoint = "http://{}:{}/account".format(*runner.addresses[0])
        azure = AzureSettings(endpoint=endpoint, account="account", account_key="a2V5")
        async with AsyncSession(settings=Settings(home=tmp_path / "home", azure=azure)) as session:
            await _check(session.get_storage_manager().at("azure"), "/kept/top", tmp_path)
    finally:
        await runner.cleanup()


async def test_storage_without_versions(tmp_path: Path) -> None:
    """Every verb says that there are none."""
    async with AsyncSession("you@example.com", "password", settings=Settings(home=tmp_path)) as session:
        storage = session.get_storage_manager().at("aws")
        await storage.write("/bucket/x", _stream(b"x"))
        with pytest.raises(UnsupportedError, match="keeps no versions"):
            await storage.list("/bucket/", versions=True)
        for attempt in (storage.stat("/bucket/x", version="1"), storage.delete("/bucket/x", version="1")):
            with pytest.raises(UnsupportedError, match="keeps no versions"):
                await attempt
        with pytest.raises(UnsupportedError, match="keeps no versions"):
            await _read(storage, "/bucket/x", "1")
        with pytest.raises(UnsupportedError, match="keeps no versions"):
            await storage.download("/bucket/x", str(tmp_path / "y"), version="1")
