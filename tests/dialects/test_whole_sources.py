"""Large objects at servers that know no ranges and tell no length: downloads, copies to clouds, and interruptions."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from dxflow_async import AsyncSession, BearerToken, GCPSettings, Settings
from tests.dialects.google_quirks import GoogleQuirks
from tests.dialects.google_server import TOKEN, GoogleServer
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import aws_settings
from tests.providers.http_source.file_server import FileServer
from tests.python_processes import clean_environment, run_script
from tests.sessions import MiB, part_files, retry_soon

LARGE = os.urandom(41 * MiB)
"""More than eight parts, so that it moves in parts wherever it can."""

SOURCES = ["aws", "gcp", "http"]


class BreakingServer(FileServer):
    """A web server whose connection breaks once.

    Attributes:
        gets: how many GET requests have come.
        cut_at: which of them is broken off.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gets = self.cut_at = 0

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.gets += request.method == "GET"
        for file in self.files.values():
            file.cut = 20 * MiB if self.gets == self.cut_at else None
        return await super()._answer(request)


class Servers:
    """A server of each kind that sends `LARGE` whole, and an S3 and a Google server without such habits."""

    def __init__(self) -> None:
        self.aws = S3Server(Quirks(get_without_length=True, head_without_length=True, ignores_range=True))
        self.gcp = GoogleServer(GoogleQuirks(sends_whole=True))
        self.http = BreakingServer()
        self.plain_aws, self.plain_gcp = S3Server(), GoogleServer()

    def fill(self, data: bytes) -> None:
        """Stores an object at each of the odd servers."""
        self.aws.store("large", data)
        self.gcp.put("large", data)
        self.http.put("/large", data, ranges=False, length=False)

    def location(self, source: str) -> str:
        """Returns the location of the object."""
        return self.http.url_of("/large") if source == "http" else f"{source}:/bucket/large"


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    """The servers, with the object."""
    servers = Servers()
    async with AsyncExitStack() as stack:
        for each in (servers.aws, servers.gcp, servers.http, servers.plain_aws, servers.plain_gcp):
            await stack.enter_async_context(each)
        servers.fill(LARGE)
        yield servers


@pytest.fixture
async def session(servers: Servers, tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session with all of them."""

    async def token() -> BearerToken:
        return BearerToken(TOKEN)

    gcp = GCPSettings(endpoint=servers.gcp.url, credentials=token)
    remotes: dict[str, Any] = {
        "plain-aws": aws_settings(servers.plain_aws),
        "plain-gcp": replace(gcp, endpoint=servers.plain_gcp.url),
    }
    settings = Settings(
        home=tmp_path / "home", aws=aws_settings(servers.aws), gcp=gcp, remotes=remotes, part_size=5 * MiB
    )
    async with AsyncSession(settings=settings) as session:
        retry_soon(session)
        yield session


@pytest.mark.parametrize("source", SOURCES)
async def test_download(servers: Servers, session: AsyncSession, tmp_path: Path, source: str) -> None:
    """The file has the bytes of the object, and no temporary file is left."""
    await session.copy(servers.location(source), f"{tmp_path}/here")
    assert (tmp_path / "here").read_bytes() == LARGE
    assert part_files(tmp_path) == []


_DAILY_COPIES = {("http", "plain-aws"), ("gcp", "plain-gcp")}
_COPIES = [
    pytest.param(*pair, marks=() if pair in _DAILY_COPIES else pytest.mark.long)
    for pair in product(SOURCES, ["plain-aws", "plain-gcp"])
]


@pytest.mark.parametrize(("source", "target"), _COPIES)
async def test_copy_to_a_cloud(servers: Servers, session: AsyncSession, source: str, target: str) -> None:
    """The object arrives whole at another cloud, in parts or not, and leaves no upload and no part."""
    await session.copy(servers.location(source), f"{target}:/bucket/copy")
    aws, gcp = servers.plain_aws, servers.plain_gcp
    assert (aws.objects() | {name: each.data for name, each in gcp.objects.items()}) == {"copy": LARGE}
    assert (aws.unfinished(), gcp.parts, [each for each in gcp.sessions.values() if not each.finished]) == ([], [], [])


async def test_download_that_breaks(servers: Servers, session: AsyncSession, tmp_path: Path) -> None:
    """A connection that breaks in the middle of a body without a length is no end of the file."""
    servers.http.cut_at = 2  # the first one counts the bytes
    await session.copy(servers.location("http"), f"{tmp_path}/here")
    assert servers.http.gets > 2
    assert (tmp_path / "here").read_bytes() == LARGE
    assert part_files(tmp_path) == []


_DOWNLOAD = """
import asyncio, resource
from dxflow_async import AsyncSession, Settings

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

async def main():
    async with AsyncSession(settings=Settings(home="{target}-home", part_size=5 << 20)) as session:
        await session.copy("{small}", "{target}-small")
        before = peak()
        await session.copy("{large}", "{target}")
        print(peak() - before)

asyncio.run(main())
"""


@pytest.mark.long
async def test_memory_of_a_download(servers: Servers, tmp_path: Path) -> None:
    """A download from a server without ranges and lengths keeps a fraction of the object in memory."""
    servers.http.put("/large", LARGE * 3, ranges=False, length=False)
    servers.http.put("/small", LARGE[:MiB], ranges=False, length=False)
    small, large = servers.http.url_of("/small"), servers.http.url_of("/large")
    script = _DOWNLOAD.format(small=small, large=large, target=tmp_path / "here")
    outcome = await asyncio.to_thread(run_script, script, clean_environment(tmp_path / "home"))
    assert outcome.status == 0, outcome.stderr
    assert (tmp_path / "here").stat().st_size == 3 * len(LARGE)
    assert int(outcome.stdout) < 3 * len(LARGE) / MiB / 2
