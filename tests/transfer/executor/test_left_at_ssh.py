"""What killed processes leave at an SSH server, whose temporary files are removed as those of a local disk are."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession, Settings, TransferError
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import aws_settings
from tests.faults.killed_processes import Program
from tests.servers.ssh import SSHServer
from tests.sessions import MiB, part_files
from tests.transfer.executor.halfway_servers import KillingServer
from tests.transfer.executor.holding_server import HoldingServer
from tests.transfer.executor.told_channels import first_worker
from tests.transfer.executor.trees import content
from tests.waiting import until

pytestmark = pytest.mark.timeout(120)

_NAMES = [f"run-{number // 10}/{number:03}" for number in range(60)]
_KILLED = "run-5/053"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHServer]:
    """An SSH server."""
    with SSHServer.start(tmp_path_factory.mktemp("ssh")) as found:
        yield found


@pytest.fixture
def top(server: SSHServer, tmp_path: Path) -> Path:
    """A directory of the test's own on the server."""
    directory = server.root / tmp_path.name
    directory.mkdir()
    return directory


def remotes(server: SSHServer, top: Path) -> Any:
    """The server as a remote."""
    return {"lab": server.settings(path=str(top))}


def program(home: Path, source: S3Server, server: SSHServer, top: Path, **settings: object) -> Program:
    """The program, which knows both servers."""
    lab = {"type": "sftp", "host": "127.0.0.1", "port": server.port, "username": "me", "path": top}
    lab |= {"key_files": server.directory / "client", "known_hosts": server.known_hosts}
    lab |= {"ssh_config": "false", "agent": "false"}
    return Program(
        home, aws_settings(source), **{f"remote_lab_{name}": value for name, value in lab.items()}, **settings
    )


async def test_a_killed_worker(server: SSHServer, top: Path, tmp_path: Path) -> None:
    """What a worker was writing when it was killed is removed once its work is done again."""
    async with KillingServer(_KILLED, top) as source:
        for name in _NAMES:
            source.store(f"source/{name}", name.encode())
        source.store(f"source/{_KILLED}", bytes(4 * MiB))
        settings = Settings(home=tmp_path / "home", aws=aws_settings(source))
        async with AsyncSession(settings=settings, remotes=remotes(server, top)) as session:
            report = await session.copy("aws:/bucket/source/", "lab:/back/", processes=1)
            assert source.left
            assert not part_files(top)
    assert (len(report), report.failed) == (60, [])
    assert sorted(content(top / "back")) == _NAMES


@pytest.mark.parametrize("then", ["refused", "held", "answered"])
async def test_a_call_that_fails(server: SSHServer, top: Path, tmp_path: Path, then: str) -> None:
    """It is removed as well where the rest cannot be listed any more, or the call is cancelled."""
    async with KillingServer(_KILLED, top, then) as source:
        for name in _NAMES:
            source.store(f"source/{name}", name.encode())
        source.store(f"source/{_KILLED}", bytes(4 * MiB))
        settings = Settings(home=tmp_path / "home", aws=aws_settings(source), journal=False)
        async with AsyncSession(settings=settings, remotes=remotes(server, top)) as session:
            call = asyncio.ensure_future(session.copy("aws:/bucket/source/", "lab:/back/", processes=1))
            if then != "refused":
                await (source.holds if then == "held" else source.killed).wait()
                call.cancel()
            with pytest.raises(TransferError if then == "refused" else asyncio.CancelledError):
                await call
            source.released.set()
            assert source.left
            assert not part_files(top)


async def killed(program: Program, source: HoldingServer, top: Path, *options: str) -> str:
    """Kills the program, and its worker, while it writes a file; returns the job."""
    for name in "0123":
        source.store(f"source/{name}", name.encode() * MiB * 4)
    process = await program._start("cp", "aws:/bucket/source/", "lab:/back/", *options)
    await source.held.wait()
    await until(lambda: bool(program.jobs))
    if options:
        os.kill(first_worker(Path(tempfile.gettempdir())), signal.SIGKILL)
    process.kill()
    await process.wait()
    source.released.set()
    assert part_files(top)
    (job,) = program.jobs
    return job


@pytest.mark.parametrize("options", [(), ("--processes", "1")])
@pytest.mark.usefixtures("channels")
async def test_a_resumed_job(server: SSHServer, top: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    """It removes what the killed process and its worker have left, and nothing of others."""
    async with HoldingServer("source/3", top) as source:
        client = program(tmp_path / "home", source, server, top)
        job = await killed(client, source, top, *options)
        others = top / "back/.0123456789abcdef.dxpart"
        others.write_bytes(b"another's")
        await client.run("jobs", "resume", job, *options)
    assert part_files(top) == [str(others)]
    assert (await asyncio.to_thread(content, top / "back")).keys() >= set("0123")


@pytest.mark.parametrize("options", [(), ("--processes", "1")])
@pytest.mark.usefixtures("channels")
async def test_cleaning(server: SSHServer, top: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    """`jobs clean` names what they have left, and removes it. An old file that was being replaced stays."""
    async with HoldingServer("source/3", top) as source:
        client = program(tmp_path / "home", source, server, top)
        await killed(client, source, top, *options)
        left = [Path(path).name for path in part_files(top)]
        old = top / "back" / left[0].replace(".dxpart", ".dxold")
        old.write_bytes(b"the only copy")
        shown = await client.run("jobs", "clean")
        assert [f"lab:/back/{name}" in shown for name in left] == [True] * len(left)
        assert part_files(top)
        await client.run("jobs", "clean", "--yes")
    assert not part_files(top)
    assert old.read_bytes() == b"the only copy"
    assert not client.jobs


async def test_a_server_that_is_away(tmp_path: Path) -> None:
    """What cannot be removed now stays known: the job is kept until its files are gone."""
    with SSHServer.start(tmp_path / "ssh") as server:
        async with HoldingServer("source/3", server.root) as source:
            client = program(tmp_path / "home", source, server, server.root, max_attempts=1)
            await killed(client, source, server.root)
        server.process.kill()
        with pytest.raises(AssertionError, match="refused the connection"):
            await client.run("jobs", "clean", "--yes")
        assert client.jobs
    with SSHServer.start(tmp_path / "ssh", port=server.port):
        await client.run("jobs", "clean", "--yes")
    assert not part_files(tmp_path)
    assert not client.jobs


@pytest.mark.parametrize("resumed", [False, True])
async def test_a_large_file(server: SSHServer, top: Path, tmp_path: Path, *, resumed: bool) -> None:
    """The file of an upload in parts is known to the job: it is gone on with, or removed."""
    async with HoldingServer("source/large", top) as source:
        client = program(tmp_path / "home", source, server, top)
        with (tmp_path / "large").open("wb") as file:
            file.truncate(64 * MiB)
        slow = program(tmp_path / "home", source, server, top, max_bandwidth=16 * MiB)

        async def written() -> None:
            await until(lambda: any(os.path.getsize(path) > 20 * MiB for path in part_files(top)))

        assert await slow.kill("cp", str(tmp_path / "large"), "lab:/back/large", when=written)
        (job,) = client.jobs
        assert len(part_files(top)) == 1
        await client.run("jobs", *(("resume", job) if resumed else ("clean", "--yes")))
    assert not part_files(top)
    assert (top / "back/large").exists() == resumed
