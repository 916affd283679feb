"""Uploads whose last answer is lost, at servers that forget an upload once it is a file."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from dxflow_async import Settings
from dxflow_async.exceptions import StorageError
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.retry import RetryPolicy
from tests.providers.connected_providers import connect_unit
from tests.providers.in_memory_bodies import body
from tests.providers.unit.sending_client import Client
from tests.servers.odd_tus import OddTus, odd_tus

KiB, MiB = 1 << 10, 1 << 20
DATA = random.Random(6).randbytes(11 * MiB + 5)
SIZES = [100 * KiB, len(DATA)]
KINDS = ["creation,termination", "creation,concatenation,termination"]

Connected = Callable[[OddTus], AbstractAsyncContextManager[Client]]


@pytest.fixture
def connected(tmp_path: Path) -> Connected:
    """Runs a server and connects to it; three attempts, parts of 5 MiB, and connections that stall early."""

    @asynccontextmanager
    async def run(server: OddTus) -> AsyncIterator[Client]:
        resources = Resources(Settings(home=tmp_path / "home", part_size=5 * MiB, stall_timeout=1.0))
        resources.policy = RetryPolicy(max_attempts=3, first_wait=0.01)
        try:
            async with odd_tus(server):
                unit = await connect_unit("Odd", server.url, "s" * 32, resources.http, resources.threads)
                yield Client(resources, unit, tmp_path / "source")
        finally:
            await resources.aclose()

    return run


@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize("extensions", KINDS)
@pytest.mark.parametrize("size", SIZES)
async def test_lost_last_answers(connected: Connected, extensions: str, size: int, drops: bool) -> None:
    """A file whose last answer was lost is found at the server, and its bytes are not sent again."""
    server = OddTus(extensions=extensions, loses=1, drops_finished=drops)
    async with connected(server) as client:
        await client.send(DATA[:size])
        assert server.files["file"] == DATA[:size]
        assert sum(sent for _, sent in server.requests) == size


@pytest.mark.parametrize("extensions", KINDS)
@pytest.mark.parametrize("size", SIZES)
async def test_other_files_are_not_believed(connected: Connected, extensions: str, size: int) -> None:
    """Where the upload is gone and a file of the same size has other bytes, the upload is not taken for done."""
    server = OddTus(extensions=extensions, loses=1, drops_finished=True, replaces=1)
    async with connected(server) as client:
        try:
            await client.send(DATA[:size])
        except StorageError:
            assert "concatenation" in extensions  # the parts are gone, and only another call sends them again
            await client.send(DATA[:size])
        assert server.files["file"] == DATA[:size]


@pytest.mark.parametrize("drops", [False, True])
async def test_answers_without_an_offset(connected: Connected, drops: bool) -> None:
    """An answer with status 200 and no offset is looked at, also where the upload became a file and is gone."""
    server = OddTus(offset_unsaid=True, drops_finished=drops)
    async with connected(server) as client:
        await client.send(DATA)
        await client.unit.write("memory", body(DATA), ObjectOptions())
        assert server.files == {"file": DATA, "memory": DATA}
        assert sum(sent for _, sent in server.requests) == 2 * len(DATA)
