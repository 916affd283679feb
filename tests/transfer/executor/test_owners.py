"""Each call owns its temporary files: those of other calls stay, and those of lost workers are found on any machine."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession, Settings, TransferError
from dxflow_async.transfer.executor.sealed import Sealed
from dxflow_async.transfer.executor.shard import Shard
from tests.dialects.s3_subject import aws_settings
from tests.sessions import MiB, part_files
from tests.transfer.executor.holding_server import HoldingServer
from tests.transfer.executor.trees import content
from tests.waiting import until

pytestmark = pytest.mark.timeout(60)

_HELD = "source/held"


@pytest.mark.parametrize("cleans", [False, True], ids=["resumed", "cleaned"])
@pytest.mark.parametrize("where", [{}, {"processes": 1}], ids=["here", "processes"])
async def test_a_session_that_is_alive(tmp_path: Path, where: dict[str, Any], *, cleans: bool) -> None:
    """A job that goes on, or is cleaned up, elsewhere leaves alone what the session that began it is writing now."""
    back = tmp_path / "back"
    async with HoldingServer(_HELD, back) as server:
        settings = Settings(home=tmp_path / "home", aws=aws_settings(server))
        server.store("source/0", b"0")
        server.store(_HELD, bytes(4 * MiB))
        pairs = [(f"/bucket/source/{name}", f"{back}/{name}") for name in ("0", "1")]
        async with AsyncSession(settings=settings) as session, AsyncSession(settings=settings) as other:
            with pytest.raises(TransferError) as failed:
                await session.get_storage_manager().at("aws").download_many(pairs, **where)
            job_id = failed.value.report.job_id
            assert job_id is not None
            call = asyncio.ensure_future(session.copy(f"aws:/bucket/{_HELD}", f"{back}/held", **where))
            await server.held.wait()
            (writing,) = part_files(back)
            server.store("source/1", b"1")
            if cleans:
                assert [each.kind for each in await other.clean_jobs(job_id, dry_run=False)] == ["job"]
            else:
                assert len(await other.resume(job_id)) == 1
            assert part_files(back) == [writing]
            server.released.set()
            await call
    assert content(back).keys() == ({"0", "held"} if cleans else {"0", "1", "held"})


class FarPool(Executor):
    """Workers that do not see the channel of a call, as on another machine. One of them is killed at its first shard.

    Args:
        directory: where it writes then; None: nobody is killed.
        redoes: the pool does its work again by itself, and nobody learns of it.

    Attributes:
        seen: the shards that were handed out.
    """

    num_workers = 2

    def __init__(self, directory: Path | None, *, redoes: bool = False) -> None:
        self._pool = ThreadPoolExecutor(self.num_workers)
        self._directory = directory
        self._redoes = redoes
        self.seen: list[Shard] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        shard = replace(args[1].opened(), channel="/nowhere")
        self.seen.append(shard)
        return self._pool.submit(self._run, fn, shard, args)

    def _run(self, fn: Callable[..., Any], shard: Shard, args: Any) -> Any:
        directory, self._directory = self._directory, None
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
            (directory / f".{shard.owner_id}00000001.dxpart").write_bytes(b"half of it")
            if not self._redoes:
                raise ConnectionResetError("the worker is gone")
        return fn(args[0], Sealed.of(shard), args[2])

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(wait=False)


@pytest.mark.parametrize("redoes", [False, True], ids=["noticed", "unnoticed"])
async def test_a_worker_of_another_machine(tmp_path: Path, *, redoes: bool) -> None:
    """What it was writing when it was killed is removed at the end of the call, also if the executor hid its loss."""
    back = tmp_path / "back"
    async with HoldingServer("none", back) as server:
        for name in "0123":
            server.store(f"source/{name}", name.encode())
        settings = Settings(home=tmp_path / "home", aws=aws_settings(server))
        async with AsyncSession(settings=settings) as session:
            with closing(FarPool(back, redoes=redoes)) as pool:
                where: Any = {"executor": pool, "credentials": "send", "shared": [tmp_path]}
                report = await session.copy("aws:/bucket/source/", f"{back}/", **where)
    assert (len(report), report.failed) == (4, [])
    assert sorted(content(back)) == list("0123")


def owners_in(jobs: Path) -> set[str]:
    """The owners that the files of jobs name."""
    found: set[str] = set()
    for path in jobs.glob("*.sqlite3"):
        with closing(sqlite3.connect(path)) as database:
            found |= {mark for (mark,) in database.execute("SELECT mark FROM runs")}
    return found


async def test_a_job_knows_workers_of_other_machines(tmp_path: Path) -> None:
    """They write under an owner that the job's file names, so whoever cleans up after a kill finds their files."""
    back = tmp_path / "back"
    async with HoldingServer("source/3", back) as server:
        for name in "0123":
            server.store(f"source/{name}", name.encode() * MiB * 4)
        settings = Settings(home=tmp_path / "home", aws=aws_settings(server))
        async with AsyncSession(settings=settings) as session:
            with closing(FarPool(None)) as pool:
                where: Any = {"executor": pool, "credentials": "send", "shared": [tmp_path]}
                call = asyncio.ensure_future(session.copy("aws:/bucket/source/", f"{back}/", **where))
                await server.held.wait()
                (owner_id,) = {shard.owner_id for shard in pool.seen}
                await until(lambda: owner_id in owners_in(tmp_path / "home/jobs"))
                assert {Path(each).name[1:9] for each in part_files(back)} == {owner_id}
                call.cancel()
                server.released.set()
                with pytest.raises(asyncio.CancelledError):
                    await call
    assert not part_files(back)
