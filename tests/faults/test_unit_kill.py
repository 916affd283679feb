"""Large uploads to a unit, in whose midst its server is killed, or the client."""

from __future__ import annotations

import asyncio
import filecmp
import json
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dxflow_async import Settings, TransferResult
from dxflow_async.providers.contract import ObjectOptions, Provider
from dxflow_async.providers.local.provider import LocalProvider
from dxflow_async.providers.unit.provider import UnitProvider
from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.common.unit_secrets import UnitSecrets
from dxflow_async.server.hub.app import create_app
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.copy import CopyItem
from dxflow_async.transfer.journal.records import JobSpec
from dxflow_async.transfer.resources import Resources
from tests.faults.killed_processes import CountingProxy, Program, sign_in
from tests.providers.connected_providers import connect_unit
from tests.providers.unit.started_units import Counter
from tests.server.running_hub import SECRETS, UnitProcess
from tests.servers.foreign_unit import ForeignUnit
from tests.servers.process import Process
from tests.waiting import until

MiB = 1 << 20


class Killed:
    """A unit's server, and a client that uploads to it while it is killed.

    Args:
        directory: for the unit, and for what is uploaded.
        size: bytes of that.
        part_size: bytes.
        workers: requests in flight.
    """

    def __init__(self, directory: Path, size: int, part_size: int, workers: int) -> None:
        self.server = UnitProcess(directory)
        self.source = directory / "source/file"
        self.source.parent.mkdir()
        with self.source.open("wb") as file:
            for start in range(0, size, MiB):
                file.write(random.Random(start).randbytes(MiB))
        self.size = size
        self.again = 2 * part_size * workers
        self._settings = Settings(home=directory / "home", part_size=part_size, max_concurrency=workers)
        self._process: Process | None = None

    async def start(self) -> None:
        """Starts the server."""
        self._process = await asyncio.to_thread(self.server.start)

    def kill(self) -> None:
        """Kills it, as `kill -9` does."""
        if self._process is not None:
            self._process.kill()

    async def upload(self, name: str, kill_at: float) -> tuple[TransferResult, int]:
        """Uploads the file while the server is killed, and started again, after that share of its bytes.

        Returns:
            What became of it, and how many bytes of it were sent.
        """
        async with self._provider() as (resources, unit):
            counter = Counter()
            resources.http.throttle = counter
            uploading = asyncio.ensure_future(self._copy(resources, unit, name))
            await until(lambda: counter.bytes >= kill_at * self.size or uploading.done())
            self.kill()
            await self.start()
            return await uploading, counter.bytes

    @asynccontextmanager
    async def _provider(self) -> AsyncIterator[tuple[Resources, UnitProvider]]:
        resources = Resources(self._settings)
        try:
            yield (
                resources,
                await connect_unit("Demo", self.server.url, SECRETS.rw, resources.http, resources.threads),
            )
        finally:
            await resources.aclose()

    async def _copy(self, resources: Resources, unit: Provider, name: str) -> TransferResult:
        local = LocalProvider(self.source.parent, resources.threads)

        async def plan(route: TransferContext) -> AsyncIterator[TransferItem]:
            source, target = Place(local, self.source.name, str(self.source)), Place(unit, name, f"/{name}")
            yield CopyItem(route, source, target, ObjectOptions())

        call = resources.begin(JobSpec("upload", str(self.source), name), None)
        (result,) = await call.run(plan(call.context))
        return result


async def rounds(killed: Killed, count: int) -> None:
    """Uploads the file that often, with a kill at a random moment of each."""
    chance = random.Random(count)
    try:
        await killed.start()
        for number in range(count):
            result, sent = await killed.upload(f"dir/{number}", chance.uniform(0.02, 0.98))
            assert result.verified
            assert result.attempts > 1
            assert sent <= killed.size + killed.again
            stored = killed.server.root / f"dir/{number}"
            assert await asyncio.to_thread(filecmp.cmp, stored, killed.source, shallow=False)
            stored.unlink()
            assert list(killed.server.root.glob(".dx-uploads/*.data")) == []
    finally:
        killed.kill()


async def test_uploads_outlive_the_server(tmp_path: Path) -> None:
    """Killed at a random moment and started again, it has the file in the end, and little is sent twice."""
    await rounds(Killed(tmp_path, 64 * MiB, 5 * MiB, 2), 3)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_large_uploads_outlive_the_server(tmp_path: Path) -> None:
    """The same with files of 1 GiB, twenty times, with the parts and the requests in flight that are usual."""
    await rounds(Killed(tmp_path, 1024 * MiB, 8 * MiB, 16), 20)


async def killed_clients(directory: Path, size: int, part_size: int, workers: int, kills: int, bandwidth: int) -> None:
    """Uploads a file with a program that is killed at random moments, and goes on each time."""
    chance = random.Random(kills)
    killed, hub = Killed(directory, size, part_size, workers), Server(create_app(directory / "hub"), Listening())
    try:
        await killed.start()
        async with CountingProxy(killed.server.url).serve() as proxy:
            program = Program(
                directory / "client", max_concurrency=workers, part_size=part_size, max_bandwidth=bandwidth
            )
            await sign_in(program, await hub.start(), proxy.endpoint, directory / "secrets.json")
            moments = sorted(chance.uniform(0.05, 0.95) * size for _ in range(kills))
            arguments, alive = ("cp", str(killed.source), "unit:/mine/dir/file"), 0
            for number, moment in enumerate(moments):
                reached = moment + number * part_size

                async def sent(reached: float = reached) -> None:
                    await until(lambda: proxy.sent >= reached)

                if not await program.kill(*arguments, when=sent) or not program.jobs:
                    break
                alive += 1
                (job_id,) = program.jobs
                arguments = ("jobs", "resume", job_id)
            if program.jobs:
                await program.run(*arguments)
            assert alive >= kills // 2
            assert proxy.sent <= size + alive * killed.again + 2 * MiB
        stored = killed.server.root / "dir/file"
        assert await asyncio.to_thread(filecmp.cmp, stored, killed.source, shallow=False)
        assert list(killed.server.root.glob(".dx-uploads/*.data")) == []
    finally:
        killed.kill()
        await hub.aclose()


async def test_uploads_outlive_the_client(tmp_path: Path) -> None:
    """A client that is killed goes on in another process, and sends again at most what its workers had under way."""
    await killed_clients(tmp_path, 64 * MiB, 5 * MiB, 2, 2, 32 * MiB)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_large_uploads_outlive_the_client(tmp_path: Path) -> None:
    """The same with a file of 1 GiB, and twenty kills."""
    await killed_clients(tmp_path, 1024 * MiB, 8 * MiB, 16, 20, 128 * MiB)


async def test_a_stream_outlives_the_client(tmp_path: Path) -> None:
    """Where a server takes one stream only, another process goes on in its midst: what arrived is not sent again."""
    size, foreign, hub = 48 * MiB, ForeignUnit(tmp_path / "foreign"), Server(create_app(tmp_path / "hub"), Listening())
    source, secrets = tmp_path / "file", tmp_path / "secrets.json"
    source.write_bytes(random.Random(size).randbytes(size))
    secrets.write_text(json.dumps(UnitSecrets(foreign.secret, "of-nobody-at-all").to_dict()))
    secrets.chmod(0o600)
    with foreign:
        async with CountingProxy(foreign.url).serve() as proxy:
            program = Program(tmp_path / "client", max_bandwidth=24 * MiB)
            await sign_in(program, await hub.start(), proxy.endpoint, secrets)

            async def half() -> None:
                await until(lambda: proxy.sent >= size // 2)

            assert await program.kill("cp", str(source), "unit:/mine/dir/file", when=half)
            await program.run("jobs", "resume", *program.jobs)
            assert size <= proxy.sent <= size + 4 * MiB
        await hub.aclose()
    assert filecmp.cmp(foreign.root / "dir/file", source, shallow=False)
    assert [name for name in os.listdir(foreign.uploads) if not name.endswith(".json")] == []
