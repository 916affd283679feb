"""The program in a process of its own, which is killed and started again until its job is done."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from dxflow_async import AWSSettings
from tests.waiting import until

__all__ = ["CountingProxy", "Program", "sign_in"]

_PIECE = 256 << 10


class Program:
    """`dxflow-async` with a home directory and settings of its own.

    Args:
        home: the home directory.
        aws: how it reaches S3.
        settings: others, by the names of their variables without `DXFLOW_`.
    """

    def __init__(self, home: Path, aws: AWSSettings | None = None, **settings: object) -> None:
        self._home = home
        variables = {f"DXFLOW_{name.upper()}": str(value) for name, value in settings.items()}
        if aws is not None:
            values = {"endpoint": aws.endpoint, "region": aws.region, "access_key": aws.access_key}
            variables |= {f"DXFLOW_AWS_{name.upper()}": str(value) for name, value in values.items()}
            variables["DXFLOW_AWS_SECRET_KEY"] = str(aws.secret_key)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DXFLOW_")}
        self._environment = {**kept, **variables, "DXFLOW_HOME": str(home)}

    @property
    def jobs(self) -> list[str]:
        """The jobs that have not come to their end."""
        return sorted(path.stem for path in (self._home / "jobs").glob("*.sqlite3"))

    async def run(self, *arguments: str, given: str = "") -> str:
        """What it prints, when it ends well; `given` is its standard input."""
        process = await self._start(*arguments)
        output, errors = await process.communicate(given.encode())
        assert process.returncode == 0, errors.decode()
        return output.decode()

    async def kill(self, *arguments: str, when: Callable[[], Awaitable[None]]) -> bool:
        """Starts it, waits until it works on a job and then for `when`, and kills it; whether it had not ended."""
        process = await self._start(*arguments)
        moment = asyncio.ensure_future(self._works_then(when))
        end = asyncio.ensure_future(process.wait())
        await asyncio.wait([moment, end], return_when=asyncio.FIRST_COMPLETED)
        moment.cancel()
        alive = process.returncode is None
        if alive:
            process.send_signal(signal.SIGKILL)
        _, errors = await process.communicate()
        await end
        assert alive or process.returncode == 0, errors.decode()
        return alive

    async def _works_then(self, when: Callable[[], Awaitable[None]]) -> None:
        await until(lambda: bool(self.jobs) and any((self._home / "jobs").glob("*.lock")))
        await when()

    async def _start(self, *arguments: str, group: bool = False) -> asyncio.subprocess.Process:
        # What a killed process held does not count.
        for lock in (self._home / "jobs").glob("*.lock"):
            lock.unlink()
        command = (sys.executable, "-m", "dxflow_async.cli", *arguments)
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *command, env=self._environment, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=group
        )


async def sign_in(program: Program, hub: str, url: str, secrets: Path) -> None:
    """Signs a program in, and makes a unit known to it as `mine`."""
    await program.run("login", "your@email.com", "--hub", hub, given="your_password\n")
    await program.run("units", "register", "mine", url, "--secrets", str(secrets))


class CountingProxy:
    """Passes bytes on, both ways, and counts them.

    Attributes:
        sent, received: bytes of the client and of the server.
        endpoint: its URL.
    """

    def __init__(self, upstream: str) -> None:
        url = urlsplit(upstream)
        self._host, self._port = str(url.hostname), int(url.port or 80)
        self._tasks: set[asyncio.Task[None]] = set()
        self.sent = self.received = 0
        self.endpoint = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[CountingProxy]:
        """Listens, while in it."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            up_reader, up_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.transport.abort()
            return
        try:
            await asyncio.gather(self._pump(reader, up_writer, up=True), self._pump(up_reader, writer, up=False))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            up_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool) -> None:
        while piece := await reader.read(_PIECE):
            self.sent += len(piece) if up else 0
            self.received += 0 if up else len(piece)
            writer.write(piece)
            await writer.drain()
        writer.write_eof()
