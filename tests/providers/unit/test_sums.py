"""Files of a unit that no checksum is kept of: its server tells it when it is asked, and what is moved is compared."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from dxflow_async import Settings
from dxflow_async.account_connection import AccountConnection
from dxflow_async.checksum import crc32c
from dxflow_async.exceptions import ChecksumMismatchError, PreconditionFailedError, TransferError
from dxflow_async.models import TransferReport
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.providers.local.provider import LocalProvider
from dxflow_async.providers.unit.provider import UnitProvider
from dxflow_async.server.unit.summing import Sums
from dxflow_async.storage.area import Area
from dxflow_async.storage.area_storage import AsyncAreaStorage
from dxflow_async.storage.listing import ListingCache
from dxflow_async.storage.resolver import LocationResolver
from dxflow_async.storage.transfer_service import TransferService
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.copy import CopyItem
from dxflow_async.transfer.journal.records import JobSpec
from dxflow_async.transfer.resources import Resources
from tests.providers.connected_providers import connect_unit
from tests.providers.in_memory_bodies import body
from tests.providers.unit.started_units import own_unit
from tests.server.running_hub import SECRETS
from tests.sessions import part_files

MiB = 1 << 20
DATA = random.Random(5).randbytes(11 * MiB + 3)
SIZES = [1, 300_000, len(DATA)]  # sent with the answer's head; in one; in parts


@pytest.fixture
async def resources(tmp_path: Path) -> AsyncIterator[Resources]:
    """What a session owns; parts are of 5 MiB, and nothing is tried twice."""
    resources = Resources(Settings(home=tmp_path / "home", part_size=5 * MiB, max_attempts=1))
    yield resources
    await resources.aclose()


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """A unit of ours, into whose directory somebody else put files."""
    (tmp_path / "unit").mkdir()
    for size in SIZES:
        (tmp_path / "unit" / str(size)).write_bytes(DATA[:size])
    async with own_unit(tmp_path / "unit") as url:
        yield url


@asynccontextmanager
async def flipping(url: str) -> AsyncIterator[str]:
    """Stands before a unit, and flips the last byte of each download that tells no checksum."""

    async def handle(request: web.Request) -> web.Response:
        async with ClientSession(url, auto_decompress=False) as session:
            sent = {name: value for name, value in request.headers.items() if name != "Host"}
            async with session.request(request.method, str(request.rel_url), headers=sent) as response:
                content = await response.read()
                headers = {k: v for k, v in response.headers.items() if k not in ("Content-Length", "Date")}
                if "/download/" in request.path and "Repr-Digest" not in headers:
                    content = content[:-1] + bytes([content[-1] ^ 1])
                return web.Response(status=response.status, body=content or None, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def download(resources: Resources, url: str, key: str, target: Path) -> TransferReport:
    """Downloads a file by the engine."""
    unit = await connect_unit("Demo", url, SECRETS.ro, resources.http, resources.threads)
    local = LocalProvider(target, resources.threads)

    async def plan(route: TransferContext) -> AsyncIterator[TransferItem]:
        yield CopyItem(route, Place(unit, key, key), Place(local, key, key), ObjectOptions())

    call = resources.begin(JobSpec("download", key, key), None)
    return await call.run(plan(call.context))


@pytest.mark.parametrize("size", SIZES)
async def test_downloads_are_verified(resources: Resources, url: str, tmp_path: Path, size: int) -> None:
    """A file that no checksum is kept of is compared with the one that the server computes."""
    (result,) = await download(resources, url, str(size), tmp_path / "to")
    assert result.verified
    assert (tmp_path / "to" / str(size)).read_bytes() == DATA[:size]


@pytest.mark.parametrize("size", SIZES[1:])
async def test_flipped_bytes_are_found(resources: Resources, url: str, tmp_path: Path, size: int) -> None:
    """A byte that was flipped on the way is found, and nothing is stored."""
    async with flipping(url) as between:
        with pytest.raises((ChecksumMismatchError, TransferError)):
            await download(resources, between, str(size), tmp_path / "to")
    assert not (tmp_path / "to" / str(size)).exists()
    assert part_files(tmp_path / "to") == []


async def test_read_is_verified(resources: Resources, url: str) -> None:
    """`read` of a whole file ends in an error when its bytes are not those that the server has; a range is read."""
    for base, wrong in ((url, False), ("", True)):
        async with flipping(url) as between:
            unit = await connect_unit("Demo", base or between, SECRETS.rw, resources.http, resources.threads)

            async def find(unit: UnitProvider = unit) -> Area:
                return Area("UNIT", unit)

            resolver = LocationResolver(resources, AccountConnection(resources))
            storage = AsyncAreaStorage(TransferService(resources, resolver, ListingCache(100)), find)
            for size in SIZES[1:]:
                with pytest.raises(ChecksumMismatchError, match="read it again") if wrong else nullcontext():
                    assert b"".join([chunk async for chunk in storage.read(f"/{size}")]) == DATA[:size]
            assert len(b"".join([chunk async for chunk in storage.read("/300000", 5, 10)])) == 5


async def test_checksum_is_of_the_version(resources: Resources, url: str, tmp_path: Path) -> None:
    """A checksum is told of the version that was seen; telling it changes nothing about the file."""
    unit = await connect_unit("Demo", url, SECRETS.rw, resources.http, resources.threads)
    entry = await unit.stat("300000")
    assert entry.crc32c is None
    for _ in range(2):
        assert await unit.tell_checksum(entry) == crc32c(DATA[:300_000])
    assert (await unit.stat("300000")).etag == entry.etag
    (tmp_path / "unit/300000").write_bytes(b"another")
    with pytest.raises(PreconditionFailedError, match="replaced"):
        await unit.tell_checksum(entry)
    stored = await unit.write("kept", body(b"bytes"), ObjectOptions())
    assert await unit.tell_checksum(stored) == crc32c(b"bytes")


async def test_signs_of_life(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a checksum is computed white space comes, so that nobody takes the connection for stalled."""
    monkeypatch.setattr("dxflow_async.server.unit.slow_answers._PATIENCE_SECONDS", 0.001)
    with (tmp_path / "unit/sparse").open("wb") as file:
        file.truncate(256 * MiB)
    headers = {"X-SECRET-KEY": SECRETS.ro}
    path = f"{url}/storage/stat/?path=/sparse&checksum=true"
    async with ClientSession(headers=headers) as session, session.get(path) as response:
        text = await response.text()
        assert (await response.json())["checksum"].startswith("crc32c:")
    assert text.startswith("  ")


def test_sums_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the checksums that were computed only the last ones are remembered, each for its version only."""
    monkeypatch.setattr("dxflow_async.server.unit.summing._REMEMBERED", 2)
    sums, seen = Sums(), []
    for number in range(3):
        (tmp_path / str(number)).write_bytes(b"x")
        seen.append(os.stat(tmp_path / str(number)))
        sums.add(seen[-1], number)
    assert [sums.get(status) for status in seen] == [None, 1, 2]
    os.utime(tmp_path / "2", (1, 1))
    assert sums.get(os.stat(tmp_path / "2")) is None
