"""Many clients at once."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import monotonic, perf_counter

import aiohttp
import pytest

from tests.server.running_hub import RunningUnit, UnitProcess

CLIENTS = 500


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[int, RunningUnit]]:
    """A unit in a process of its own: its id, and how to speak to it, over 500 connections."""
    server = UnitProcess(tmp_path)
    process = await asyncio.to_thread(server.start)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CLIENTS)) as http:
        yield process.pid, RunningUnit(server.url, server.root, http)
    process.kill()


def peak_memory(pid: int) -> int:
    """The most memory that a process had, in bytes."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) << 10


async def test_500_clients(served: tuple[int, RunningUnit]) -> None:
    """500 clients at once, that upload, list and download, are all answered right, in less than 300 MiB."""
    pid, unit = served

    async def client(number: int) -> None:
        content = number.to_bytes(2, "big") * 8192
        for _ in range(3):
            assert (await unit.put(f"dir-{number % 20}/{number}", content)).status == 201
            names = {
                item["name"] for item in (await unit.request("GET", f"/storage/items/?path=/dir-{number % 20}")).tree
            }
            assert str(number) in names
            assert (await unit.get(f"dir-{number % 20}/{number}")).content == content

    await asyncio.gather(*map(client, range(CLIENTS)))
    assert peak_memory(pid) < 300 << 20


@pytest.mark.long
async def test_500_clients_for_30_seconds(
    served: tuple[int, RunningUnit], record_property: Callable[[str, object], None]
) -> None:
    """500 clients that ask once a second each see no error; of 100 lists 99 come within 50 times the median.

    The server stays in less than 300 MiB.
    """
    pid, unit = served
    for number in range(20):
        await unit.put(f"small/{number}", b"content")
    end = monotonic() + 30.0
    seconds: list[float] = []
    asked = 0

    async def client(number: int) -> None:
        nonlocal asked
        await asyncio.sleep(random.random() * 2)
        while monotonic() < end:
            start = perf_counter()
            answer = await unit.request("GET", "/storage/items/?path=/small")
            seconds.append(perf_counter() - start)
            assert len(answer.tree) == 20
            await asyncio.sleep(random.random() * 2)
            assert (await unit.put(f"dir-{number % 20}/{number}", b"x" * 8192)).status == 201
            await asyncio.sleep(random.random() * 2)
            assert (await unit.get(f"dir-{number % 20}/{number}")).content == b"x" * 8192
            await asyncio.sleep(random.random() * 2)
            asked += 3

    await asyncio.gather(*map(client, range(CLIENTS)))
    slowest = statistics.quantiles(seconds, n=100)[-1]
    record_property(
        "load",
        f"{asked} requests, p50 {statistics.median(seconds):.4f} s, p99 {slowest:.4f} s, {peak_memory(pid) >> 20} MiB",
    )
    assert peak_memory(pid) < 300 << 20
    assert slowest < 50 * statistics.median(seconds)


async def test_100_large_uploads_at_once(served: tuple[int, RunningUnit]) -> None:
    """Uploads larger than what the server gathers, many at once, stay in less than 300 MiB."""
    pid, unit = served
    content = bytes(range(256)) * (12 << 10)

    async def upload(number: int) -> None:
        url = (await unit.create(f"{number}", len(content))).headers["Location"]
        assert (await unit.patch(url, 0, content)).status == 204

    await asyncio.gather(*map(upload, range(100)))
    assert {path.read_bytes() == content for path in unit.root.glob("[0-9]*")} == {True}
    assert peak_memory(pid) < 300 << 20
