"""A relay on loopback that makes a network long: every byte arrives half a round trip later, none is held back by it.

With a rate, each direction of each connection also carries no more than so many bytes a second, as many services do.
It runs in a process of its own: `python -m benchmarks.delay PORT UPSTREAM_PORT SECONDS [BYTES_PER_SECOND]`.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import uvloop

from tests.servers import Process, free_port

__all__ = ["Delay", "listens"]

MiB = 1 << 20
_PIECE = 256 << 10
# More than any network of these round trips has under way in one direction of a connection.
_UNDER_WAY = 64 * MiB
# Of a capped connection: what the sockets' buffers hold besides.
_CAPPED_UNDER_WAY = MiB


class Delay:
    """The relay's process.

    Attributes:
        url: what to reach the server by.
        pid: of the relay.
    """

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.pid = pid

    @classmethod
    @contextmanager
    def running(
        cls, upstream_port: int, round_trip: float, directory: Path, *, rate: float | None = None
    ) -> Iterator[Self]:
        """Relay to a port of loopback, with this round trip in seconds, and these bytes per second of a connection."""
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.delay", str(port), str(upstream_port), str(round_trip)]
        process = Process(command if rate is None else [*command, str(rate)], directory / f"delay-{port}.log")
        try:
            process.wait_until(lambda: listens(port))
            yield cls(f"http://127.0.0.1:{port}", process.pid)
        finally:
            process.kill()


def listens(port: int) -> bool:
    """Returns whether something listens at a port of loopback."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False


class _Course:
    """One direction of a connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float, rate: float | None
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._delay = delay
        self._rate = rate
        self._free_at = 0.0
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()

    async def run(self, start: float = 0.0) -> None:
        """Relay to the end; nothing arrives before the loop's time `start`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._receive(start))
            group.create_task(self._send())

    async def _receive(self, start: float) -> None:
        now = asyncio.get_running_loop().time
        data = b"-"
        while data:
            data = await self._reader.read(_PIECE)
            self._pieces.append((max(now() + self._delay, start), data))
            self._bytes += len(data)
            self._changed.set()
            while self._bytes > (_UNDER_WAY if self._rate is None else _CAPPED_UNDER_WAY):
                self._changed.clear()
                await self._changed.wait()

    async def _send(self) -> None:
        now = asyncio.get_running_loop().time
        while True:
            while not self._pieces:
                self._changed.clear()
                await self._changed.wait()
            due, data = self._pieces.popleft()
            if self._rate is not None:
                self._free_at = due = max(self._free_at, due) + len(data) / self._rate
            if (left := due - now()) > 0:
                await asyncio.sleep(left)
            if not data:
                self._writer.write_eof()
                return
            self._writer.write(data)
            await self._writer.drain()
            self._bytes -= len(data)
            self._changed.set()


async def _serve(port: int, upstream_port: int, round_trip: float, rate: float | None) -> None:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A connection is open after a round trip.
        start = asyncio.get_running_loop().time() + 1.5 * round_trip
        upstream_writer: asyncio.StreamWriter | None = None
        with suppress(OSError, ExceptionGroup):
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", upstream_port, limit=_PIECE)
            async with asyncio.TaskGroup() as group:
                group.create_task(_Course(reader, upstream_writer, round_trip / 2, rate).run(start))
                group.create_task(_Course(upstream_reader, writer, round_trip / 2, rate).run())
        for each in filter(None, (writer, upstream_writer)):
            each.close()

    server = await asyncio.start_server(relay, "127.0.0.1", port, limit=_PIECE, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    capped = float(sys.argv[4]) if len(sys.argv) > 4 else None
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), capped))
