"""What killed calls of pairs, and calls into the embedded hub, have left: `clean_jobs` finds it, and removes it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession, Settings
from tests.python_processes import clean_environment, run_script
from tests.servers import SeaweedFS
from tests.sessions import MiB, part_files, settings_for, unfinished_uploads

# Which loop looks at what was left makes no difference.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

PART = 5 * MiB
LARGE = 16 * MiB

# It is killed in the midst of its second part, as soon as that is counted.
KILLED = """
import asyncio, json, os, signal
from dxflow_async import AsyncSession
from dxflow_async.transfer import progress

progress._INTERVAL = 0.0
account, call, arguments = json.loads(os.environ["ASKED"])

def show(state):
    if state.bytes_done >= 12 << 20:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with AsyncSession(*account) as session:
        await getattr(session.get_storage_manager(), call)(*arguments, on_progress=show)

asyncio.run(main())
"""
ACCOUNT = ("you@example.com", "password")


async def killed(home: Path, account: Sequence[str], call: str, *arguments: Any, **variables: str) -> str:
    """Kills a call in its midst; the mark of its session."""
    asked = json.dumps([account, call, arguments])
    given = {"DXFLOW_PART_SIZE": str(PART), "DXFLOW_MAX_CONCURRENCY": "2", "ASKED": asked, **variables}
    outcome = await asyncio.to_thread(run_script, KILLED, clean_environment(home, **given))
    assert outcome.status == -signal.SIGKILL, outcome.stderr
    (path,) = (home / "jobs").glob("*.sqlite3")
    with closing(sqlite3.connect(path)) as database:
        (mark,) = database.execute("SELECT mark FROM runs").fetchone()
    return str(mark)


async def cleaned(session: AsyncSession) -> list[tuple[str, str]]:
    """What is found, and then removed, which is the same; no job is there afterwards."""
    found = await session.clean_jobs()
    assert found == await session.clean_jobs(), "nothing is removed that was only asked for"
    assert await session.clean_jobs(dry_run=False) == found
    assert await session.jobs() == []
    return [(each.kind, each.place) for each in sorted(found, key=lambda each: (each.kind, each.place))]


def plant(directory: Path, mark: str) -> tuple[Path, Path]:
    """What a killed session was writing in a directory, and what another one writes."""
    ours, theirs = directory / f".{mark}00000000.dxpart", directory / ".0123456789abcdef.dxpart"
    ours.write_bytes(b"half")
    theirs.write_bytes(b"another's")
    return ours, theirs


@pytest.fixture
def large(tmp_path: Path) -> list[str]:
    """Files that move in parts."""
    (tmp_path / "tree").mkdir()
    paths = [tmp_path / "tree" / name for name in ("one", "two", "three")]
    for path in paths:
        path.write_bytes(os.urandom(LARGE))
    return [str(path) for path in paths]


def aws_variables(weed: SeaweedFS) -> dict[str, str]:
    """How a program reaches SeaweedFS."""
    values = {
        "ENDPOINT": weed.endpoint,
        "REGION": weed.region,
        "ACCESS_KEY": weed.access_key,
        "SECRET_KEY": weed.secret_key,
    }
    return {f"DXFLOW_AWS_{name}": value for name, value in values.items()}


async def test_pairs_that_were_uploaded(
    weed: SeaweedFS, bucket: str, prefix: str, tmp_path: Path, large: list[str]
) -> None:
    """Of `upload_many` each upload in parts is listed under its object's name, and removed."""
    pairs = [(path, f"/{prefix}{number}/{Path(path).name}") for number, path in enumerate(large)]
    await killed(tmp_path / "home", (), "upload_many", pairs, **aws_variables(weed))
    names = [key for key in unfinished_uploads(weed, bucket) if f"{bucket}/{key}".startswith(prefix)]
    assert names
    async with AsyncSession(settings=settings_for(weed, tmp_path / "home")) as session:
        found = await cleaned(session)
    assert [place for kind, place in found if kind == "upload"] == sorted(f"aws:/{bucket}/{name}" for name in names)
    assert [kind for kind, _ in found if kind != "upload"] == ["job"]
    assert [key for key in unfinished_uploads(weed, bucket) if key in names] == []


async def test_pairs_that_were_downloaded(weed: SeaweedFS, prefix: str, tmp_path: Path, large: list[str]) -> None:
    """Of `download_many` the temporary files are found in each of the directories, and nobody else's."""
    async with AsyncSession(settings=settings_for(weed, tmp_path / "other")) as session:
        await session.get_storage_manager().upload(f"{tmp_path}/tree/", f"/{prefix}")
    goals = [tmp_path / f"back/{number}/{Path(path).name}" for number, path in enumerate(large)]
    pairs = [(f"/{prefix}{goal.name}", str(goal)) for goal in goals]
    mark = await killed(tmp_path / "home", (), "download_many", pairs, **aws_variables(weed))
    assert part_files(tmp_path / "back")
    ours, theirs = plant(goals[0].parent, mark)
    async with AsyncSession(settings=settings_for(weed, tmp_path / "home")) as session:
        found = await cleaned(session)
    uploads = [place for kind, place in found if kind == "upload"]
    assert uploads
    assert set(uploads) <= {str(goal) for goal in goals}
    assert ("file", str(ours)) in found
    assert part_files(tmp_path / "back") == [str(theirs)]


@pytest.mark.parametrize("resumed", [False, True])
async def test_what_was_written_behind_a_link(
    weed: SeaweedFS, prefix: str, tmp_path: Path, large: list[str], *, resumed: bool
) -> None:
    """Of a download to a link the bytes lie beside the file it leads to: they are found there, or gone on with."""
    async with AsyncSession(settings=settings_for(weed, tmp_path / "other")) as session:
        await session.get_storage_manager().upload(large[0], f"/{prefix}one")
    for name in ("back", "far"):
        (tmp_path / name).mkdir()
    (tmp_path / "far/target").write_text("old")
    link = tmp_path / "back/one"
    link.symlink_to("../far/target")
    mark = await killed(tmp_path / "home", (), "download", f"/{prefix}one", str(link), **aws_variables(weed))
    assert part_files(tmp_path / "far")
    ours, theirs = plant(tmp_path / "far", mark)
    async with AsyncSession(settings=settings_for(weed, tmp_path / "home")) as session:
        if resumed:
            (job,) = await session.jobs()
            await session.resume(job.id)
            assert (tmp_path / "far/target").read_bytes() == (tmp_path / "tree/one").read_bytes()
        else:
            assert ("file", str(ours)) in await cleaned(session)
            assert (tmp_path / "far/target").read_text() == "old"
    assert link.readlink() == Path("../far/target")
    assert part_files(tmp_path) == [str(theirs)]


@pytest.mark.parametrize("call", ["upload", "upload_many"])
async def test_in_the_storage_of_the_embedded_hub(call: str, tmp_path: Path, large: list[str]) -> None:
    """What a directory took that stands in for a provider is found there, of pairs and of trees."""
    home = tmp_path / "home"
    top = Settings(home=home).storage_home / "aws/private/bucket"
    pairs = [(path, f"/bucket/tree/{Path(path).name}") for path in large]
    arguments = (f"{tmp_path}/tree/", "/bucket/tree/") if call == "upload" else (pairs,)
    mark = await killed(home, ACCOUNT, call, *arguments)
    assert part_files(top)
    ours, theirs = plant(top / "tree", mark)
    async with AsyncSession(*ACCOUNT, settings=Settings(home=home)) as session:
        found = await cleaned(session)
    uploads = [place for kind, place in found if kind == "upload"]
    assert uploads
    assert set(uploads) <= {f"aws:{goal}" for _, goal in pairs}
    assert ("file", str(ours)) in found
    assert part_files(top) == [str(theirs)]
