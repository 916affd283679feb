"""A relay of TCP connections that can break them off, or stop passing bytes on."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

__all__ = ["TCPRelay"]


class TCPRelay:
    """Passes connections on to a port of this machine.

    Args:
        port: where the server listens.

    Attributes:
        connections: how many were made.
        open_connections: how many are open.
        cut_after: the next connection to have passed so many bytes on, either way, is broken off; None: none is.
        passing: while it is not set, no byte is passed on.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self.connections = 0
        self.cut_after: int | None = None
        self.passing = asyncio.Event()
        self.passing.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def open_connections(self) -> int:
        """How many are open."""
        return len(self._tasks)

    async def closed(self) -> None:
        """Returns once no connection is open."""
        async with asyncio.timeout(5):
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Breaks all connections off."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        writers = {writer}
        try:
            with suppress(OSError, asyncio.CancelledError):
                there, back = await asyncio.open_connection("127.0.0.1", self._target)
                writers.add(back)
                self._writers |= writers
                await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        finally:
            self._writers -= writers
            for each in writers:
                each.transport.abort()
            self._tasks.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        while data := await reader.read(1 << 15):
            await self.passing.wait()
            passed += len(data)
            if self.cut_after is not None and passed > self.cut_after:
                self.cut_after = None
                raise ConnectionResetError
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError
