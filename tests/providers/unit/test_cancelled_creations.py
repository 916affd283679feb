"""Uploads that are created with their bytes, and cancelled in the middle of them, leave nothing at the unit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.providers.http import HTTP
from tests.contract.unit_leftovers import unit_leftovers
from tests.providers.connected_providers import connect_unit
from tests.providers.unit.started_units import own_unit
from tests.server.running_hub import SECRETS
from tests.servers.odd_tus import OddTus, odd_tus

KiB, MiB = 1 << 10, 1 << 20
WHOLE = "creation,creation-with-upload,termination"


class EndlessBody:
    """A body of which the last byte never comes. `came` is set when all others were asked for."""

    crc32c = None

    def __init__(self, size: int) -> None:
        self.size = size
        self.came = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self.size - 1
        while left:
            yield bytes(min(left, 64 * KiB))
            left -= min(left, 64 * KiB)
        self.came.set()
        await asyncio.Event().wait()


async def cancelled_in_mid_body(write: Coroutine[Any, Any, object], body: EndlessBody) -> None:
    """Cancels a write once the unit has had time to receive what there is."""
    running = asyncio.ensure_future(write)
    await asyncio.wait_for(body.came.wait(), 30)
    await asyncio.sleep(0.2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def none_left(server: OddTus) -> bool:
    """Whether the server comes to have no upload."""
    for _ in range(100):
        if not server.uploads:
            return True
        await asyncio.sleep(0.02)
    return False


@pytest.mark.parametrize("size", [10 * KiB, 900 * KiB, 5 * MiB])
async def test_our_own_units(tmp_path: Path, http: HTTP, threads: Threads, size: int) -> None:
    """A unit of this library removes an upload whose address no client was told."""
    root = tmp_path / "unit"
    async with own_unit(root) as url:
        unit = await connect_unit("Own", url, SECRETS.rw, http, threads)
        body = EndlessBody(size)
        await cancelled_in_mid_body(unit.write("file", body, ObjectOptions()), body)
        assert await threads.run(unit_leftovers, root) == []
        assert await threads.run(lambda: list(root.glob(".dx-uploads/*.info"))) == []
        assert not (root / "file").exists()


@pytest.mark.parametrize("size", [200 * KiB, 5 * MiB])
async def test_other_tus_servers(http: HTTP, threads: Threads, size: int) -> None:
    """At a server that keeps what arrived, the address is known before the bytes are sent; the upload is removed."""
    async with odd_tus(OddTus(extensions=WHOLE)) as server:
        unit = await connect_unit("Odd", server.url, "s" * 32, http, threads)
        body = EndlessBody(size)
        await cancelled_in_mid_body(unit.write("file", body, ObjectOptions()), body)
        assert await none_left(server)
        assert server.files == {}


async def test_small_files_take_one_request(http: HTTP, threads: Threads) -> None:
    """A small file is created with its bytes at any server that announces it."""
    async with odd_tus(OddTus(extensions=WHOLE)) as server:
        unit = await connect_unit("Odd", server.url, "s" * 32, http, threads)

        class Body:
            size, crc32c = 10 * KiB, None

            async def __aiter__(self) -> AsyncIterator[bytes]:
                yield bytes(10 * KiB)

        await unit.write("file", Body(), ObjectOptions())
        assert [method for method in server.methods() if method in ("POST", "PATCH")] == ["POST"]
        assert server.files["file"] == bytes(10 * KiB)
