"""A process that is killed at any moment, and started again: nothing is lost, little is repeated, nothing is left."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from tests.faults.killed_processes import CountingProxy, Program
from tests.servers import SeaweedFS
from tests.sessions import MiB, part_files, settings_for, unfinished_uploads
from tests.waiting import until

_log = logging.getLogger(__name__)

SEED = random.SystemRandom().randrange(1 << 30)


def make_tree(directory: Path, files: int, size: int, big: int) -> None:
    """Files of made-up bytes in directories, and before them one that moves in parts: so there is a job at once."""
    chance = random.Random(files)
    for number in range(files):
        path = directory / f"{number % 7}" / f"file {number:05}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(chance.randrange(size)))
    (directory / "0" / "big").write_bytes(chance.randbytes(big))


def content(directory: Path) -> dict[str, str]:
    """The hash of each file below a directory."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def stored(server: SeaweedFS, bucket: str, prefix: str) -> dict[str, str]:
    """The hash of each object below a prefix."""
    pages = server.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
    bodies = {key: server.client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
    return {key.removeprefix(prefix): hashlib.sha256(data).hexdigest() for key, data in bodies.items()}


async def kill_and_go_on(program: Program, kills: int, longest: float, *command: str) -> int:
    """Kills a command that many times, at random moments, and lets it come to its end; how often it was alive."""
    _log.warning("seed %d", SEED)
    chance = random.Random(SEED)
    killed = 0
    arguments = command
    while killed < kills:

        async def moment() -> None:
            await asyncio.sleep(chance.uniform(0, longest))

        # A process lives on for a moment when its job has ended: it is too late then.
        if not await program.kill(*arguments, when=moment) or not program.jobs:
            break
        killed += 1
        (job_id,) = program.jobs
        arguments = ("jobs", "resume", job_id)
    if program.jobs:
        await program.run(*arguments)
    assert program.jobs == []
    return killed


Case = Callable[[Path, int, int, int, float], Awaitable[None]]


@pytest.fixture
def upload(weed: SeaweedFS, bucket: str, tmp_path: Path) -> Case:
    """Kills an upload to SeaweedFS."""

    async def case(tree: Path, kills: int, least: int, bandwidth: int, longest: float) -> None:
        prefix = f"{uuid4().hex[:8]}/"
        aws = settings_for(weed, tmp_path / "home").aws
        program = Program(tmp_path / "home", aws, max_bandwidth=bandwidth, part_size=5 * MiB)
        killed = await kill_and_go_on(program, kills, longest, "cp", f"{tree}/", f"aws:/{bucket}/{prefix}")
        assert killed >= least
        assert stored(weed, bucket, prefix) == content(tree)
        assert [key for key in unfinished_uploads(weed, bucket) if key.startswith(prefix)] == []

    return case


@pytest.fixture
def download(weed: SeaweedFS, bucket: str, tmp_path: Path) -> Case:
    """Kills a download from SeaweedFS."""

    async def case(tree: Path, kills: int, least: int, bandwidth: int, longest: float) -> None:
        prefix = f"{uuid4().hex[:8]}/"
        aws, target = settings_for(weed, tmp_path / "home").aws, tmp_path / "target"
        await Program(tmp_path / "other", aws).run("cp", f"{tree}/", f"aws:/{bucket}/{prefix}")
        program = Program(tmp_path / "home", aws, max_bandwidth=bandwidth, part_size=5 * MiB)
        killed = await kill_and_go_on(program, kills, longest, "cp", f"aws:/{bucket}/{prefix}", f"{target}/")
        assert killed >= least
        assert content(target) == content(tree)
        assert part_files(target) == []

    return case


@pytest.fixture
def local(tmp_path: Path) -> Case:
    """Kills a copy from directory to directory."""

    async def case(tree: Path, kills: int, least: int, bandwidth: int, longest: float) -> None:
        target = tmp_path / "target"
        program = Program(tmp_path / "home", max_bandwidth=bandwidth, part_size=5 * MiB)
        killed = await kill_and_go_on(program, kills, longest / 4, "cp", f"{tree}/", f"{target}/")
        assert killed >= least
        assert content(target) == content(tree)
        assert part_files(target) == []

    return case


@pytest.mark.parametrize("place", ["upload", "download", "local"])
async def test_killed_and_resumed(place: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """However often the program is killed: resumed each time, what is there in the end is exactly the source."""
    case: Case = request.getfixturevalue(place)
    # Nothing slows a disk down: there has to be more to do, and how often it is killed before the end differs.
    files, least = (5000, 1) if place == "local" else (600, 3)
    make_tree(tmp_path / "tree", files, 20_000, 24 * MiB)
    await case(tmp_path / "tree", 6, least, 16 * MiB, 0.4)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("place", ["upload", "download", "local"])
async def test_killed_a_hundred_times(place: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """As above, with 5,000 files and a hundred kills; on a disk, which nothing slows down, as many as it lasts."""
    case: Case = request.getfixturevalue(place)
    make_tree(tmp_path / "tree", 5000, 32_000, 64 * MiB)
    await case(tmp_path / "tree", 100, 5 if place == "local" else 100, 4 * MiB, 0.4)


PART, WORKERS, SIZE = 5 * MiB, 4, 96 * MiB


@pytest.mark.parametrize("way", ["up", "down"])
async def test_finished_parts_are_not_sent_again(way: str, weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """Of one large file, a kill costs at most what its workers had under way."""
    (tmp_path / "big").write_bytes(random.Random(1).randbytes(SIZE))
    there, back = f"aws:/{bucket}/{uuid4().hex[:8]}", tmp_path / "back"
    direct = settings_for(weed, tmp_path / "home").aws
    if way == "down":
        await Program(tmp_path / "other", direct).run("cp", str(tmp_path / "big"), there)
    async with CountingProxy(weed.endpoint).serve() as proxy:
        aws = replace(direct, endpoint=proxy.endpoint)
        program = Program(tmp_path / "home", aws, max_concurrency=WORKERS, part_size=PART, max_bandwidth=32 * MiB)
        ends = (str(tmp_path / "big"), there) if way == "up" else (there, str(back))

        async def moved_up_to(moved: int) -> None:
            await until(lambda: (proxy.sent if way == "up" else proxy.received) >= moved)

        assert await program.kill("cp", *ends, when=lambda: moved_up_to(SIZE * 4 // 10))
        (job_id,) = program.jobs
        assert await program.kill("jobs", "resume", job_id, when=lambda: moved_up_to(SIZE * 9 // 10))
        await program.run("jobs", "resume", job_id)
        moved = proxy.sent if way == "up" else proxy.received
        # Half a part more for each: what its connection had read ahead. Without the journal, it would be 86 MiB more.
        assert SIZE <= moved < SIZE + 2 * WORKERS * PART * 3 // 2 + 2 * MiB
    if way == "up":
        await Program(tmp_path / "other", direct).run("cp", there, str(back))
    assert content(tmp_path)["back"] == content(tmp_path)["big"]
    assert program.jobs == []
    assert unfinished_uploads(weed, bucket) == []
    assert part_files(tmp_path) == []
