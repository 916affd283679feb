"""Copies within units that take longer than the stall timeout, or whose answers are lost."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from dxflow_async import Settings
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import NotFoundError, PreconditionFailedError, StorageError, TransferError
from dxflow_async.models import TransferReport
from dxflow_async.providers.contract import Entry, ObjectOptions
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.unit.provider import UnitProvider
from dxflow_async.server.unit.reflink import copy_file
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.server_copy import ServerCopyItem
from dxflow_async.transfer.journal.records import JobSpec
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.retry import RetryPolicy
from tests.providers.connected_providers import connect_unit
from tests.providers.in_memory_bodies import body
from tests.providers.unit.started_units import own_unit
from tests.server.running_hub import SECRETS
from tests.servers.plain_unit import PlainUnit, plain_unit
from tests.waiting import until

OPTIONS = ObjectOptions()
STALL = 0.4
DATA = bytes(range(256)) * 8


@pytest.fixture
async def resources(tmp_path: Path) -> AsyncIterator[Resources]:
    """What a session owns; it tries three times, and connections stall early."""
    resources = Resources(Settings(home=tmp_path / "home", stall_timeout=STALL))
    resources.policy = RetryPolicy(max_attempts=3, first_wait=0.01)
    yield resources
    await resources.aclose()


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Makes copies of our server take three stall timeouts; when each of them began."""
    begun: list[float] = []

    def slow(*arguments: Any) -> None:
        begun.append(time.monotonic())
        time.sleep(3 * STALL)
        copy_file(*arguments)

    monkeypatch.setattr("dxflow_async.server.unit.copying.copy_file", slow)
    return begun


async def copy(resources: Resources, unit: UnitProvider, *, move: bool = False) -> TransferReport:
    """Copies `a` to `b` by the engine.

    Raises:
        StorageError: the item's error.
    """
    entry = await unit.stat("a")

    async def plan(context: TransferContext) -> AsyncIterator[TransferItem]:
        yield ServerCopyItem(context, Place(unit, "a", "a"), Place(unit, "b", "b"), entry, OPTIONS, delete_source=move)

    call = resources.begin(JobSpec("copy", "a", "b"), None)
    try:
        return await call.run(plan(call.context))
    except TransferError as error:
        (failed,) = error.report
        assert failed.error is not None
        raise failed.error from error


async def connect(resources: Resources, url: str) -> UnitProvider:
    """A provider of a unit."""
    return await connect_unit("Demo", url, SECRETS.rw, resources.http, resources.threads)


async def test_slow_copies(resources: Resources, copies: list[float], tmp_path: Path) -> None:
    """A copy that takes longer than the stall timeout is made once, and is no failure."""
    async with own_unit(tmp_path / "unit") as url:
        unit = await connect(resources, url)
        await unit.write("a", body(DATA), OPTIONS)
        (result,) = await copy(resources, unit)
        assert (result.attempts, len(copies)) == (1, 1)
        assert (tmp_path / "unit/b").read_bytes() == DATA


async def test_slow_copies_that_fail(resources: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure after the answer has begun is a failure with its code, and nothing is stored."""

    def fails(*_: Any) -> None:
        time.sleep(2 * STALL)
        raise PreconditionFailedError("it was changed meanwhile")

    monkeypatch.setattr("dxflow_async.server.unit.copying.copy_file", fails)
    async with own_unit(tmp_path / "unit") as url:
        unit = await connect(resources, url)
        await unit.write("a", body(DATA), OPTIONS)
        with pytest.raises(PreconditionFailedError, match="changed meanwhile") as raised:
            await copy(resources, unit)
        assert (raised.value.status, raised.value.code) == (412, "precondition_failed")
        assert not (tmp_path / "unit/b").exists()


async def test_repeated_copies_are_joined(http: HTTP, threads: Threads, copies: list[float], tmp_path: Path) -> None:
    """A request whose client left is repeated: it joins the copy, and later gets the result of it."""
    async with own_unit(tmp_path / "unit") as url:
        unit = await connect_unit("Demo", url, SECRETS.rw, http, threads)
        source = await unit.write("a", body(DATA), OPTIONS)
        first = asyncio.create_task(unit.copy(source, "b", OPTIONS))
        await until(lambda: bool(copies))
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        stored = await unit.copy(source, "b", OPTIONS)
        assert (await unit.copy(source, "b", OPTIONS)).etag == stored.etag
        assert len(copies) == 1
        (tmp_path / "unit/b").write_bytes(b"somebody else's")
        await unit.copy(source, "b", OPTIONS)
        assert len(copies) == 2
        assert (tmp_path / "unit/b").read_bytes() == DATA


@pytest.mark.parametrize("hidden", [False, True])
async def test_foreign_copies_are_waited_for(resources: Resources, hidden: bool) -> None:
    """A server that answers only at the end is watched while the copy grows, and is asked once."""
    async with plain_unit(PlainUnit(copy_steps=14, hidden=hidden)) as server:
        server.put("a", DATA)
        unit = await connect(resources, server.url)
        await copy(resources, unit)
        assert server.files["b"] == DATA
        assert server.written_together == 1
        assert server.count("PUT transfer") == 1


async def test_foreign_copies_that_are_given_up(resources: Resources) -> None:
    """A copy that no longer grows is made again, and not while it grows."""
    async with plain_unit(PlainUnit(copy_steps=12, stops_after=10, stopping=1)) as server:
        server.put("a", DATA)
        unit = await connect(resources, server.url)
        await copy(resources, unit)
        assert server.files["b"] == DATA
        assert (server.written_together, server.count("PUT transfer")) == (1, 2)


@pytest.mark.parametrize("move", [False, True])
async def test_lost_answers_to_foreign_copies(resources: Resources, move: bool) -> None:
    """A copy that was made is not made again, also as the first half of a move, whose deletion is confirmed too."""
    async with plain_unit(PlainUnit(loses=2 if move else 1)) as server:
        server.put("a", DATA)
        unit = await connect(resources, server.url)
        await copy(resources, unit, move=move)
        assert server.files["b"] == DATA
        assert ("a" in server.files) is not move
        assert server.count("PUT transfer") == 1


async def test_another_file_of_the_same_size(resources: Resources) -> None:
    """After a lost answer, a file of the right size with other bytes is not taken for the copy."""
    async with plain_unit(PlainUnit(stops_after=0, stopping=1, copy_steps=1)) as server:
        server.put("a", DATA)
        server.put("b", bytes(len(DATA)))
        unit = await connect(resources, server.url)
        await copy(resources, unit)
        assert server.files["b"] == DATA
        assert server.count("PUT transfer") == 2


async def test_repeats_look_first(http: HTTP, threads: Threads) -> None:
    """Where the destination cannot be looked at after a lost answer, the next attempt looks before it copies."""
    http.stall_timeout = STALL
    async with plain_unit(PlainUnit(loses=1)) as server:
        server.put("a", DATA)
        unit = await connect_unit("Plain", server.url, SECRETS.rw, http, threads)
        entry = await unit.stat("a")
        server.lists = False
        with pytest.raises(StorageError):
            await unit.copy(entry, "b", OPTIONS)
        server.lists = True
        await unit.copy(entry, "b", OPTIONS)
        assert server.count("PUT transfer") == 1
        await unit.copy(entry, "b", OPTIONS)
        assert server.count("PUT transfer") == 2


async def test_copies_that_were_not_made(resources: Resources) -> None:
    """A 200 alone is no copy: one that is not there is requested again, and is an error if it never is."""
    async with plain_unit(PlainUnit(ignores_copies=1)) as server:
        server.put("a", DATA)
        unit = await connect(resources, server.url)
        await copy(resources, unit)
        assert server.files["b"] == DATA
        del server.files["b"]
        server.ignores_copies = 1000
        with pytest.raises(StorageError, match="nothing is stored"):
            await copy(resources, unit)


@pytest.mark.parametrize("said", [{"code": "disk_full", "message": "no room"}, "no room"])
async def test_foreign_answers_with_an_error(http: HTTP, threads: Threads, said: object) -> None:
    """An error in the body of a begun 200 is an error."""
    http.stall_timeout = STALL
    async with plain_unit(PlainUnit(copy_steps=10, late_words=json.dumps({"error": said}).encode())) as server:
        server.put("a", DATA)
        unit = await connect_unit("Plain", server.url, SECRETS.rw, http, threads)
        with pytest.raises(StorageError, match="no room"):
            await unit.copy(Entry("a", len(DATA) + 1), "b", OPTIONS)


async def test_foreign_answers_that_break_off(resources: Resources) -> None:
    """A begun 200 that breaks off is no success: the destination is looked at."""
    async with plain_unit(PlainUnit(copy_steps=10, late_words=b"{}", breaks_off=True)) as server:
        server.put("a", DATA)
        unit = await connect(resources, server.url)
        await copy(resources, unit)
        assert server.files["b"] == DATA
        assert server.count("PUT transfer") == 1


async def test_lost_answers_to_deletions(http: HTTP, threads: Threads) -> None:
    """A deletion is repeated after a lost answer, and success only if the name is gone."""
    async with plain_unit(PlainUnit(loses=2)) as server:  # the first one over a connection that may have been idle
        server.put("dir/a", DATA)
        unit = await connect_unit("Plain", server.url, SECRETS.rw, http, threads)
        with pytest.raises(StorageError):
            await unit.delete_one("dir/a")
        await unit.delete_one("dir/a")
        assert server.files == {}
        await unit.remove_directory("dir/")
        with pytest.raises(NotFoundError):
            await unit.stat("dir/a")


async def test_concurrent_deletions_share_listings(http: HTTP, threads: Threads) -> None:
    """Deletions in one directory at the same time are confirmed by a few listings of it."""
    http.connect_timeout = http.stall_timeout = 60.0
    async with plain_unit(PlainUnit()) as server:
        for number in range(200):
            server.put(f"dir/{number}", b"x")
        unit = await connect_unit("Plain", server.url, SECRETS.rw, http, threads)
        await asyncio.gather(*(unit.delete_one(f"dir/{number}") for number in range(200)))
        assert server.files == {}
        assert server.count("DELETE items") == 200
        assert server.count("GET items") <= 40


async def test_other_clients_get_late_answers(copies: list[float], tmp_path: Path) -> None:
    """A client that would not look for an error in the body gets its answer at the end, with the status that fits."""
    async with own_unit(tmp_path / "unit") as url, ClientSession(url, headers={"X-SECRET-KEY": SECRETS.rw}) as session:
        (tmp_path / "unit/a").write_bytes(DATA)
        (tmp_path / "unit/b").mkdir()
        for destination, status in (("/c", 200), ("/b", 409)):
            query = {"path": "/a", "destination": destination}
            async with session.put("/storage/transfer/", params=query) as response:
                assert response.status == status
                assert "Content-Length" in response.headers
        assert len(copies) == 1


async def test_signs_of_life_follow_the_stall_timeout(copies: list[float], tmp_path: Path) -> None:
    """A client that waits for a short time gets white space more often, before the item that was stored."""
    headers = {"X-SECRET-KEY": SECRETS.rw, "Dx-Request": "1", "Dx-Stall-Timeout": "0.2"}
    async with own_unit(tmp_path / "unit") as url, ClientSession(url, headers=headers) as session:
        (tmp_path / "unit/a").write_bytes(DATA)
        query = {"path": "/a", "destination": "/c"}
        async with session.put("/storage/transfer/", params=query) as response:
            text = await response.text()
        assert text.startswith(" " * 5)
        assert json.loads(text)["size"] == len(DATA)
        assert len(copies) == 1
