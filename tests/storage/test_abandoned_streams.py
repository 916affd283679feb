"""Streams that nobody ends, at every kind of place: reads, listings and open files."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, AzureSettings, GCPSettings, Settings
from tests.dialects.azure_server import AzureServer
from tests.dialects.google_server import GoogleServer
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import aws_settings
from tests.providers.http_source.file_server import FileServer
from tests.servers.ssh import SSHServer
from tests.sessions import open_files, tasks
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

DATA = os.urandom(2 << 20)
PLACES = ["AWS", "AZURE", "GCP", "SFTP", "UNIT", "LOCAL", "HTTPS"]


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHServer]:
    """An SSH server with a large file."""
    with SSHServer.start(tmp_path_factory.mktemp("ssh")) as server:
        (server.root / "top").mkdir()
        (server.root / "top/large").write_bytes(DATA)
        yield server


@pytest.fixture
async def tops(tmp_path: Path) -> AsyncIterator[dict[str, object]]:
    """Where the large file is at each place, and the settings of a session that reaches it."""
    (tmp_path / "top").mkdir()
    (tmp_path / "top/large").write_bytes(DATA)
    async with S3Server() as s3, AzureServer() as azure, GoogleServer(anonymous=True) as google, FileServer() as web:
        s3.store("top/large", DATA)
        azure.put("top/large", DATA)
        google.put("top/large", DATA)
        web.put("/top/large", DATA)
        yield {
            "AWS": "aws:/bucket/top",
            "AZURE": "azure:/container/top",
            "GCP": "gcp:/bucket/top",
            "SFTP": "lab:/top",
            "UNIT": "unit:/Demo/top",
            "LOCAL": str(tmp_path / "top"),
            "HTTPS": f"{web.url}/top",
            "settings": Settings(
                home=tmp_path / "home",
                aws=aws_settings(s3),
                azure=AzureSettings(endpoint=azure.url, account="account1", account_key="a2V5"),
                gcp=GCPSettings(endpoint=google.url),
            ),
        }


async def abandon(session: AsyncSession, top: str) -> None:
    """Begins streams, and drops them: a read, a listing, an open file, and one that is in the midst of a step."""
    async for chunk in session.read(f"{top}/large"):
        assert chunk
        break
    reading = aiter(session.read(f"{top}/large"))
    step = asyncio.ensure_future(anext(reading))
    await asyncio.sleep(0.001)
    step.cancel()
    await asyncio.gather(step, return_exceptions=True)
    if not top.startswith("http"):
        async for item in session.scan(f"{top}/"):
            assert item.path.endswith("large")
            break
    file = await session.path(f"{top}/large").open("rb")
    assert await file.read(10) == DATA[:10]


@pytest.mark.parametrize("place", PLACES)
async def test_abandoned_streams(tops: dict[str, object], ssh: SSHServer, tmp_path: Path, place: str) -> None:
    """Their connections are free again while the session is open; afterwards no task, thread or descriptor is left."""
    top, settings = tops[place], tops["settings"]
    assert isinstance(top, str)
    assert isinstance(settings, Settings)
    before, threads = tasks(), set(threading.enumerate())
    async with AsyncSession(
        "me@example.com", "pass word", settings=settings, remotes={"lab": ssh.settings()}
    ) as session:
        if place == "UNIT":
            await session.copy(str(tmp_path / "top/large"), f"{top}/large")
        for _ in range(2):
            await abandon(session, top)
        gc.collect()
        client = session._resources.http.client
        limits = session._resources.limits.endpoints.values()

        def busy() -> bool:
            return client.open_connections > client.idle_connections or any(each.in_flight for each in limits)

        await until(lambda: not busy())
        assert sum([len(chunk) async for chunk in session.read(f"{top}/large")]) == len(DATA)
        assert [path for path in open_files(tmp_path) if path.endswith("/large")] == []
    foreign = ("aiohttp", "asyncssh")
    await until(lambda: all(any(name in repr(task) for name in foreign) for task in tasks() - before))
    await until(lambda: not {each for each in set(threading.enumerate()) - threads if "dxflow" in each.name})
