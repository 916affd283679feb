"""The limits of a call are divided among the workers that have shards, and not among those that have none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.storage import shard_worker
from dxflow_async.transfer.executor.channel import Channel
from dxflow_async.transfer.executor.shard import Budget
from dxflow_async.transfer.executor.sizes import Sharers
from tests.dialects.s3_subject import aws_settings
from tests.sessions import MiB
from tests.transfer.executor.holding_server import HoldingServer
from tests.waiting import until

pytestmark = pytest.mark.timeout(60)


def test_the_number_of_sharers() -> None:
    """It grows at once with the shards that are out, and falls when there have been fewer for a second."""
    sharers = Sharers()
    assert not sharers.grow(4, 1)
    assert sharers.count == 4  # more are about to be handed out
    assert not sharers.shrink(4, 1, 10.0)
    assert not sharers.shrink(4, 1, 10.9)
    assert sharers.shrink(4, 1, 11.0)
    assert sharers.count == 1
    assert sharers.grow(4, 2)
    assert sharers.count == 2
    assert not sharers.shrink(4, 1, 12.0)
    assert not sharers.shrink(4, 2, 12.9)  # two again, so that the second begins anew
    assert not sharers.shrink(4, 1, 13.5)
    assert sharers.grow(4, 12)
    assert sharers.count == 4
    assert sharers.grow(8, 12)
    assert sharers.count == 8


class FourWorkers(Executor):
    """Says that it has four workers.

    Attributes:
        budgets: of the shards that were handed out.
    """

    num_workers = 4

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(4)
        self.budgets: list[Budget] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.budgets.append(args[1].opened().budget)
        return self._pool.submit(fn, *args)

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(wait=False)


def busy() -> list[Budget]:
    """The limits of the sessions in this process that have shards."""
    workers = [each for each in shard_worker._process._workers.values() if each.shards]
    limits = [each._resources.limits for each in workers]
    return [Budget(each.max_concurrency, None if each.bandwidth is None else each.bandwidth._rate) for each in limits]


async def test_a_call_of_one_shard(tmp_path: Path) -> None:
    """Its worker gets a share at first, and soon the whole bandwidth and concurrency of the call."""
    async with HoldingServer("source/0", tmp_path / "back") as server:
        server.store("source/0", bytes(4 * MiB))
        settings = Settings(
            home=tmp_path / "home", aws=aws_settings(server), max_concurrency=64, max_bandwidth=400 * MiB
        )
        async with AsyncSession(settings=settings) as session:
            with closing(FourWorkers()) as pool:
                where: Any = {"executor": pool, "credentials": "send"}
                call = asyncio.ensure_future(session.copy("aws:/bucket/source/0", f"{tmp_path}/back/0", **where))
                await server.held.wait()
                await until(lambda: busy() == [Budget(64, 400 * MiB)])
                server.released.set()
                await call
    assert pool.budgets == [Budget(16, 100 * MiB)]


class GrowingPool(FourWorkers):
    """Has one worker more after each shard.

    Attributes:
        numbers: of the shards that were handed out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.numbers: list[int] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.numbers.append(args[1].opened().number)
        self.num_workers = len(self.numbers) + 1
        return super().submit(fn, *args)


async def test_shards_of_a_growing_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each shard has a number of its own, however long it takes to tell the workers that they have become more."""
    divide = Channel.divide

    def slowly(channel: Channel, count: int) -> None:
        time.sleep(0.02)
        divide(channel, count)

    monkeypatch.setattr(Channel, "divide", slowly)
    (tmp_path / "from").mkdir()
    for number in range(2000):
        (tmp_path / f"from/{number}").write_bytes(b"x")
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        with closing(GrowingPool()) as pool:
            report = await session.copy(f"{tmp_path}/from/", f"{tmp_path}/to/", executor=pool)
    assert (len(report), report.failed) == (2000, [])
    assert len(pool.numbers) == len(set(pool.numbers)) > 4
