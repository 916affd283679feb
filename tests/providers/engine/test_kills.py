"""Clients that are killed while they upload, overwrite and rename, at the engines that lose the most.

Each client is a process of its own; the server kills it at one of its moments, and records at each whether a whole
version of the file is there.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.exceptions import NotFoundError
from dxflow_async.providers.engine.settings import EngineSettings
from tests.python_processes import clean_environment
from tests.servers.engine import EngineServer
from tests.servers.engine_switches import NASTY, Switches
from tests.servers.engine_versions import KeptVersions

OLD, NEW = b"old" * 1000, b"newer" * 40_000

CLIENT = """
import asyncio, sys
from pathlib import Path
from dxflow_async import AsyncSession, Settings
from dxflow_async.providers.engine.settings import EngineSettings

async def main(address, key, home, call, source, target):
    lab = EngineSettings(address=address, key=Path(key))
    async with AsyncSession(settings=Settings(home=Path(home), remotes={"lab": lab})) as session:
        await getattr(session, call)(source, target)

asyncio.run(main(*sys.argv[1:]))
"""

CALLS = {
    "upload": ("copy", "{local}", "lab:/dir/name"),
    "overwrite": ("copy", "{local}", "lab:/dir/name"),
    "rename": ("move", "lab:/dir/from", "lab:/dir/name"),
}


class Killer:
    """Runs a client, and kills it at a moment of the server.

    Args:
        server: the engine.
        folder: for the client.
        operation: one of `CALLS`.
    """

    def __init__(self, server: EngineServer, folder: Path, operation: str) -> None:
        self.server = server
        self.kept = KeptVersions(server)
        self.home = folder / "home"
        self._operation = operation
        self.local = folder / "local"
        self.local.write_bytes(NEW)
        self.key = server.write_key(folder / "key.pem")
        self.call, self.source, self.target = (text.format(local=self.local) for text in CALLS[operation])

    def prepare(self) -> None:
        """Puts the volume into the state before the call."""
        directory = self.server.root / "dir"
        directory.mkdir(exist_ok=True)
        self.kept.forget()
        for path in directory.iterdir():
            path.unlink()
        if self._operation != "upload":
            (directory / "name").write_bytes(OLD)
            self.kept.expect("name", OLD, NEW)
        if self._operation == "rename":
            (directory / "from").write_bytes(NEW)
            self.kept.expect("from", NEW)

    async def run(self, moment: int) -> bool:
        """Runs the client until that moment; returns whether it was killed."""
        arguments = (self.server.url, str(self.key), str(self.home), self.call, self.source, self.target)
        seen = 0
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CLIENT, *arguments),
            env=clean_environment(self.home),
            stderr=asyncio.subprocess.PIPE,
        )

        def look(what: str) -> None:
            nonlocal seen
            seen += 1
            self.kept.look(what)
            if seen == moment:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)

        self.server.moments = look
        _, errors = await process.communicate()
        killed = process.returncode == -signal.SIGKILL
        assert killed or process.returncode == 0, errors.decode()
        await asyncio.sleep(0.1)  # the server ends what it has received
        self.kept.look("after the end of the client")
        self.server.moments = self.kept.look
        return killed

    async def again(self) -> None:
        """Makes the same call in a new session."""
        lab = EngineSettings(address=self.server.url, key=self.key)
        async with AsyncSession(settings=Settings(home=self.home, remotes={"lab": lab})) as session:
            with suppress(NotFoundError):  # it was renamed already
                await getattr(session, self.call)(self.source, self.target)


async def killed_at(nasty: str, operation: str, moments: range, folder: Path) -> int:
    """Kills a client at each of these moments; returns how many were reached."""
    switches = Switches(**NASTY[nasty])
    switches.token_seconds = 0.0  # a sign-in in between would move the moment
    kills = 0
    async with EngineServer(folder / "volume", switches).serve() as server:
        killer = Killer(server, folder, operation)
        for moment in moments:
            killer.prepare()
            killed = await killer.run(moment)
            assert killer.kept.lost == [], (moment, killed)
            await killer.again()
            assert (server.root / "dir" / "name").read_bytes() == NEW, moment
            assert killer.kept.lost == [], moment
            assert operation != "rename" or not (server.root / "dir" / "from").exists()
            if not killed:
                break
            kills += 1
    return kills


@pytest.mark.parametrize(
    ("nasty", "operation", "moment"),
    [
        ("nothing replaced, hidden names lost, volume wiped", "overwrite", 22),
        ("success that is none", "rename", 14),
    ],
)
async def test_a_client_is_killed(nasty: str, operation: str, moment: int, tmp_path: Path) -> None:
    """One whole version is there at every moment, and the next call ends right."""
    assert await killed_at(nasty, operation, range(moment, moment + 1), tmp_path) == 1


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("nasty", NASTY)
async def test_a_client_is_killed_at_every_moment(nasty: str, operation: str, tmp_path: Path) -> None:
    """The same at every moment of a call, until one is not reached."""
    assert await killed_at(nasty, operation, range(5, 400), tmp_path) > 3
