"""The providers that have to keep the contract, each at its real server, on each event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dxflow_async.config import AWSSettings
from dxflow_async.providers.aws import AWSProvider
from dxflow_async.providers.base import Provider
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.local import LocalProvider
from dxflow_async.providers.threads import Threads
from tests.loops import LOOPS, LoopFactory
from tests.servers import SeaweedFS
from tests.sessions import part_files, unfinished_uploads


@dataclass(frozen=True)
class Place:
    """A provider, and a prefix there that is the test's own.

    Attributes:
        leftovers: names the uploads that were begun and neither finished nor aborted.
    """

    provider: Provider
    prefix: str
    leftovers: Callable[[], list[str]]

    def __truediv__(self, name: str) -> str:
        return self.prefix + name


def pytest_asyncio_loop_factories() -> dict[str, LoopFactory]:
    """Every test of this folder runs on each of these loops."""
    return LOOPS


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Place]:
    """A local directory."""
    threads = Threads(4)
    root = tmp_path / "root"
    yield Place(LocalProvider(root, threads), "area/", lambda: part_files(root))
    threads.close()


@pytest.fixture
async def aws(weed: SeaweedFS, bucket: str, prefix: str) -> AsyncIterator[Place]:
    """S3 at SeaweedFS, with signatures."""
    threads = Threads(4)
    http = HTTP(threads)
    settings = AWSSettings(
        endpoint=weed.endpoint, region=weed.region, access_key=weed.access_key, secret_key=weed.secret_key
    )
    name = prefix.partition("/")[2]
    yield Place(
        AWSProvider(settings, http, threads),
        prefix,
        lambda: [key for key in unfinished_uploads(weed, bucket) if key.startswith(name)],
    )
    await http.aclose()
    threads.close()


@pytest.fixture(params=["local", "aws"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each provider: a new one adds its fixture above and its name here."""
    found: Place = request.getfixturevalue(request.param)
    return found
