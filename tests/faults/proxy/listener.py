"""What both proxies are: a server of connections, none of which outlives it."""

from __future__ import annotations

import asyncio
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self

__all__ = ["PIECE", "Listener", "Stream"]

PIECE = 64 << 10
"""Bytes that are passed on at a time."""


class Stream:
    """Both directions of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, host: str, port: int) -> Self:
        """Connects."""
        return cls(*await asyncio.open_connection(host, port, limit=PIECE))

    async def write(self, data: bytes) -> None:
        """Sends, and waits while the other side is slow."""
        self.writer.write(data)
        await self.writer.drain()

    async def finish(self) -> None:
        """Ends it as servers do, after what was written is sent."""
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    def reset(self) -> None:
        """Ends it as a crash does: the other side is told that the connection is no more."""
        descriptor = self.writer.get_extra_info("socket").fileno()
        if descriptor >= 0:
            own = socket.socket(fileno=descriptor)
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            own.detach()
        self.writer.transport.abort()


class Listener(ABC):
    """Listens on a port of its own while `running`."""

    def __init__(self) -> None:
        self._connections: set[asyncio.Task[None]] = set()
        self.address = ""

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://{self.address}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Listens; at the end every connection is closed."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=PIECE)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            await server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(OSError, EOFError, asyncio.CancelledError):
                await self._serve(Stream(reader, writer))
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    @abstractmethod
    async def _serve(self, client: Stream) -> None:
        """Everything about one connection; what it raises as `OSError` or `EOFError` ends it."""
