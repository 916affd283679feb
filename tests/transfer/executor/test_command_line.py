"""The command line on several processes, killed and resumed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from pathlib import Path

import pytest

from dxflow_async import ConfigurationError
from dxflow_async.cli.workers import OnWorkers
from tests.faults.killed_processes import Program
from tests.servers import SeaweedFS
from tests.sessions import MiB, part_files, settings_for, unfinished_uploads
from tests.transfer.executor.trees import content, make_files
from tests.waiting import until

pytestmark = pytest.mark.timeout(300)


async def test_processes_of_a_command(weed: SeaweedFS, place: str, tmp_path: Path) -> None:
    """`--processes` runs a transfer on several processes; a wrong number and two places at once are refused."""
    files = make_files(tmp_path / "files", 30)
    program = Program(tmp_path / "home", settings_for(weed, tmp_path).aws)
    output = await program.run("cp", f"{files}/", f"aws:{place}", "--processes", "2", "--json")
    *results, report = [json.loads(line) for line in output.splitlines()]
    assert [each["state"] for each in results] == ["done"] * 30
    assert (report["type"], report["items"], report["failed"]) == ("report", 30, 0)
    for wrong in (OnWorkers(processes="many"), OnWorkers(processes="2", dask="tcp://127.0.0.1:1")):
        with pytest.raises(ConfigurationError, match="processes"):
            async with wrong.options():
                pass


async def test_each_command(weed: SeaweedFS, bucket: str, place: str, tmp_path: Path) -> None:
    """`mv`, `sync` and `rm` take the option as well; `auto` is one process for each processor."""
    files = make_files(tmp_path / "files", 30)
    program = Program(tmp_path / "home", settings_for(weed, tmp_path).aws)
    here, on = f"aws:{place}", ("--processes", "1")
    await program.run("sync", f"{files}/", f"{here}synced/", *on)
    await program.run("mv", f"{here}synced/", f"{here}moved/", *on)
    found = weed.client.list_objects_v2(Bucket=bucket, Prefix=place.split("/", 2)[2])["Contents"]
    assert [each["Key"].partition("/")[2] for each in found] == [f"moved/{name}" for name in content(files)]
    with pytest.raises(AssertionError, match="processes = 0 is not allowed"):
        await program.run("rm", "-r", f"{here}moved/", "--processes", "0")
    assert await program.run("rm", "-r", f"{here}moved/", *on) == "30 deleted\n"
    assert "Contents" not in weed.client.list_objects_v2(Bucket=bucket, Prefix=place.split("/", 2)[2])
    async with OnWorkers(processes="auto").options() as options:
        assert options == {"processes": len(os.sched_getaffinity(0))}


async def kill_and_resume(
    weed: SeaweedFS, bucket: str, place: str, top: Path, rounds: int, chance: random.Random
) -> None:
    """Kills the coordinator of uploads and downloads, and resumes each of them until it is done."""
    files = make_files(top / "files", 1500, 10_000, large=40 * MiB + 1)
    program = Program(top / "home", settings_for(weed, top).aws, part_size=5 * MiB)
    for number in range(rounds):
        target, back = f"aws:{place}{number}/", top / f"back-{number}"
        for command in (["cp", f"{files}/", target], ["cp", target, f"{back}/"]):
            killed = await program.kill(
                *command, "--processes", "2", when=lambda: asyncio.sleep(chance.uniform(0.0, 1.0))
            )
            for job in program.jobs if killed else ():  # there is none if it was killed at its very end
                await program.run("jobs", "resume", job, "--processes", "2")
        assert content(back) == content(files)
        assert not part_files(top)
        assert not unfinished_uploads(weed, bucket)
        assert not program.jobs


@pytest.mark.long
async def test_a_killed_coordinator(weed: SeaweedFS, bucket: str, place: str, tmp_path: Path) -> None:
    """A job whose coordinator was killed goes on with new workers; nothing is lost or left over."""
    await kill_and_resume(weed, bucket, place, tmp_path, 1, random.Random(5))


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_coordinator_killed_in_many_rounds(weed: SeaweedFS, bucket: str, place: str, tmp_path: Path) -> None:
    """The same ten times."""
    await kill_and_resume(weed, bucket, place, tmp_path, 10, random.Random(6))


@pytest.mark.long
async def test_a_command_that_is_stopped_and_goes_on(weed: SeaweedFS, place: str, tmp_path: Path) -> None:
    """After Ctrl-Z and `fg`, minutes later, the workers of a command are where they were: none is taken for lost."""
    files = make_files(tmp_path / "files", 6000)
    program = Program(tmp_path / "home", settings_for(weed, tmp_path).aws, stall_timeout=1)
    process = await program._start("cp", f"{files}/", f"aws:{place}", "--processes", "2", group=True)
    await until(lambda: any((tmp_path / "home/jobs").glob("*.sqlite3")))
    await asyncio.sleep(0.5)
    assert process.returncode is None
    os.killpg(process.pid, signal.SIGSTOP)
    await asyncio.sleep(6)  # a worker that is silent for 5 seconds hangs
    os.kill(process.pid, signal.SIGCONT)
    await asyncio.sleep(0.5)  # the coordinator looks before its workers are back
    os.killpg(process.pid, signal.SIGCONT)
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert b"not heard of" not in errors
    assert not program.jobs


async def test_workers_end_with_their_coordinator(weed: SeaweedFS, place: str, tmp_path: Path) -> None:
    """The workers of a killed coordinator end by themselves."""
    files = make_files(tmp_path / "files", 1500)
    program = Program(tmp_path / "home", settings_for(weed, tmp_path).aws)
    arguments = ("cp", f"{files}/", f"aws:{place}", "--processes", "2")
    if await program.kill(*arguments, when=lambda: asyncio.sleep(0.2)):
        mark = str(tmp_path / "home")
        for _ in range(400):
            if not _processes_with(mark):
                break
            await asyncio.sleep(0.05)
        assert not _processes_with(mark)


def _processes_with(home: str) -> list[str]:
    """The processes whose environment names a home directory."""
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            try:
                environment = (each / "environ").read_bytes()
            except OSError:
                continue
            if f"DXFLOW_HOME={home}".encode() in environment:
                found.append(each.name)
    return found
