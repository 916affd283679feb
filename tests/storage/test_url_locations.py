"""Locations that are URLs of a host: what is copied, shown and kept of them, and which remote's settings they use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from dxflow_async import AsyncSession, ConfigurationError, Settings, TransferError
from dxflow_async.providers.http_source.settings import HTTPSourceSettings
from dxflow_async.providers.sftp.settings import SFTPSettings
from tests.sessions import MiB

DATA = bytes(range(256)) * (12 * MiB // 256)


@dataclass
class Site:
    """A server of one file, under every name below `/data/`.

    Attributes:
        url: the URL of that directory.
        broken: whether the end of the file is missing.
        seen: the query and the authorization of each request.
    """

    url: str = ""
    broken: bool = False
    seen: list[tuple[str, str | None]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        """Sends the file, or a range of it."""
        self.seen.append((request.query_string, request.headers.get("Authorization")))
        start, stop = request.http_range.start or 0, min(request.http_range.stop or len(DATA), len(DATA))
        if self.broken and start:
            return web.Response(status=404)
        headers = {"ETag": '"1"', "Accept-Ranges": "bytes"}
        if "Range" in request.headers:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(DATA)}"
        return web.Response(status=206 if "Range" in request.headers else 200, body=DATA[start:stop], headers=headers)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """The server."""
    site = Site()
    app = web.Application()
    app.router.add_get("/data/{name:.*}", site.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.url = f"http://127.0.0.1:{runner.addresses[0][1]}/data"
    yield site
    await runner.cleanup()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with small parts, so that the file has several."""
    return Settings(home=tmp_path / "home", part_size=5 * MiB)


async def test_a_url_is_a_source(site: Site, settings: Settings, tmp_path: Path) -> None:
    """Its escapes are names; its query is sent with every request and shown nowhere."""
    async with AsyncSession(settings=settings) as session:
        report = await session.copy(f"{site.url}/a%20b.bin?sig=SECRET", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == DATA
    assert [each.source for each in report] == [f"{site.url}/a b.bin"]
    assert {query for query, _ in site.seen} == {"sig=SECRET"}
    assert "SECRET" not in str(report.to_dict())


async def failed_job(session: AsyncSession, site: Site, url: str, destination: Path) -> str:
    """Copies while the end of the file is missing; returns the job."""
    site.broken = True
    with pytest.raises(TransferError) as failed:
        await session.copy(url, destination)
    site.broken = False
    assert "SECRET" not in f"{failed.value} {failed.value.report.to_dict()}"
    assert failed.value.report.job_id is not None
    return failed.value.report.job_id


async def test_a_job_of_a_url_resumes(site: Site, settings: Settings, tmp_path: Path) -> None:
    """A URL without secrets is kept, and a later session goes on with it."""
    async with AsyncSession(settings=settings) as session:
        job = await failed_job(session, site, f"{site.url}/a%20b.bin", tmp_path / "out")
    async with AsyncSession(settings=settings) as session:
        await session.resume(job)
        assert await session.jobs() == []
    assert (tmp_path / "out").read_bytes() == DATA


async def test_a_job_keeps_no_query(site: Site, settings: Settings, tmp_path: Path) -> None:
    """Where the URL has a secret the job file does not have it, and resuming asks for the URL again."""
    async with AsyncSession(settings=settings) as session:
        job = await failed_job(session, site, f"{site.url}/x.bin?sig=SECRET", tmp_path / "out")
        for path in (tmp_path / "home" / "jobs").iterdir():
            assert b"SECRET" not in path.read_bytes()
        with pytest.raises(ConfigurationError, match="give the whole URL again") as raised:
            await session.resume(job)
        assert "SECRET" not in str(raised.value)
        assert [each.id for each in await session.jobs()] == [job]


async def test_a_url_at_a_remote_uses_its_credentials(site: Site, settings: Settings, tmp_path: Path) -> None:
    """The settings of the remote that is there are used, and those of one elsewhere are not."""
    here = HTTPSourceSettings(endpoint=site.url.removesuffix("/data"), token="of-here")
    elsewhere = HTTPSourceSettings(endpoint="https://elsewhere.example.org", token="of-elsewhere")
    for remotes, authorization in (({"aa": elsewhere, "bb": here}, "Bearer of-here"), ({"aa": elsewhere}, None)):
        site.seen.clear()
        async with AsyncSession(settings=settings, remotes=remotes) as session:
            await session.copy(f"{site.url}/x.bin", tmp_path / "out")
        assert {found for _, found in site.seen} == {authorization}
    assert "bb" not in str(tmp_path)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.org/x?sig=SECRET", "plain http"),
        ("https://host:0/x?sig=SECRET", "is not a valid URL"),
        ("https://[::1/x?sig=SECRET", "is not a valid URL"),
        ("ftp://host/x?sig=SECRET", "ftp: is not a known place.*https://, s3://, sftp://"),
        ("sftp://host/x?sig=SECRET", "not valid"),
    ],
)
async def test_urls_that_cannot_be_used(settings: Settings, tmp_path: Path, url: str, words: str) -> None:
    """They are errors before any request, and show no secret."""
    async with AsyncSession(settings=settings) as session:
        with pytest.raises(ConfigurationError, match=words) as raised:
            await session.copy(url, tmp_path / "out")
    assert "SECRET" not in str(raised.value)


async def test_a_name_in_a_url_is_shown_and_a_password_is_not(settings: Settings) -> None:
    """The user of a server is a part of the place; its password is ***, also in the name of the area."""
    remotes = {"lab": SFTPSettings(host="127.0.0.1", port=9, username="me")}
    async with AsyncSession(settings=settings, remotes=remotes) as session:
        resolver = session._transfers.resolver
        for written, shown, kept in (
            ("sftp://me@127.0.0.1:9/a%20b/c", "sftp://me@127.0.0.1:9/a b/c", "sftp://me@127.0.0.1:9/a%20b/c"),
            ("sftp://you:SECRET@127.0.0.1:9/c", "sftp://you:***@127.0.0.1:9/c", "sftp://you:***@127.0.0.1:9/c"),
            ("sftp://you@127.0.0.1:9/~/c", "sftp://you@127.0.0.1:9/~/c", "sftp://you@127.0.0.1:9/~/c"),
        ):
            found = await resolver.resolve(written)
            assert found.area is not None
            assert (found.shown, found.area.id.location) == (shown, kept)
            assert "SECRET" not in repr(found)
        assert (await resolver.resolve("sftp://me@127.0.0.1:9/x")).area is not None


async def test_many_urls_are_not_kept(site: Site, settings: Settings) -> None:
    """A session that copies from URLs without end keeps a bounded number of their settings."""
    async with AsyncSession(settings=settings) as session:
        resolver = session._transfers.resolver
        first = await resolver.resolve(f"{site.url}/first")
        for number in range(300):
            await resolver.resolve(f"{site.url}/{number}?sig={number}")
        assert len(resolver._url_areas) <= 100
        assert (await resolver.resolve(f"{site.url}/first")).area is first.area
