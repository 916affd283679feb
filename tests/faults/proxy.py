"""A proxy on loopback between a client and an S3 server that does, to some requests, what networks and servers do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Literal
from urllib.parse import urlsplit

__all__ = ["FaultProxy", "Mode", "Request"]

Mode = Literal["reset", "stall", "slow_down", "too_many", "flip", "lost_answer"]

_ANSWERS: dict[str, tuple[str, str, str]] = {
    "slow_down": ("503 Slow Down", "SlowDown", ""),
    "too_many": ("429 Too Many Requests", "TooManyRequests", "Retry-After: 0\r\n"),
    "lost_answer": ("500 Internal Server Error", "InternalError", ""),
}
_PIECE = 64 << 10


@dataclass(frozen=True, slots=True)
class Request:
    """A request's line, and the bytes of its body."""

    method: str
    target: str
    size: int

    @property
    def moves_object(self) -> bool:
        """Whether an object's bytes are in its body, or in the answer's."""
        if self.method == "PUT":
            return self.size > 0
        return self.method == "GET" and "?" not in self.target and self.target.count("/") > 1


class FaultProxy:
    """Forwards HTTP/1.1 requests and lets some fail.

    Args:
        upstream: the server's URL.
        modes: what is done to a request, drawn for each.
        rate: of how many requests in one.
        seed: of the drawing.
        applies: whether anything may be done to a request; by default to those that move objects.
        limit: at most that many faults.

    Attributes:
        faults: how often each mode was done.
        requests: how many there were.
    """

    def __init__(
        self,
        upstream: str,
        modes: tuple[Mode, ...],
        *,
        rate: float = 0.1,
        seed: int = 1,
        applies: Callable[[Request], bool] = lambda request: request.moves_object,
        limit: int = 1_000_000,
    ) -> None:
        url = urlsplit(upstream)
        self._host, self._port = str(url.hostname), int(url.port or 80)
        self._modes = modes
        self._rate = rate
        self._random = Random(seed)
        self._applies = applies
        self._limit = limit
        self._connections: set[asyncio.Task[None]] = set()
        self.endpoint = ""
        self.faults: Counter[str] = Counter()
        self.requests = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FaultProxy]:
        """Listens; at the end every connection is closed."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_PIECE)
        self.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
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
        up_writer: asyncio.StreamWriter | None = None
        try:
            up_reader, up_writer = await asyncio.open_connection(self._host, self._port, limit=_PIECE)
            while await self._exchange(reader, writer, up_reader, up_writer):
                pass
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            for each in filter(None, (writer, up_writer)):
                each.transport.abort()
                with suppress(OSError):
                    await each.wait_closed()

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> bool:
        """One request and its answer; whether another may follow."""
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.decode("latin-1").split(" ", 2)
        request = Request(method, target, _length(head) or 0)
        self.requests += 1
        mode = self._draw(request)
        if mode == "stall":
            await asyncio.Event().wait()
        if mode == "reset" and request.size:
            await reader.readexactly(self._random.randrange(request.size))
            return False
        flips = mode == "flip" and request.size > 0
        if mode in ("slow_down", "too_many"):
            await _relay(reader, None, request.size)
        else:
            up_writer.write(head)
            await _relay(reader, up_writer, request.size, self._random if flips else None)
            answer = await up_reader.readuntil(b"\r\n\r\n")
            discarded = None if mode == "lost_answer" else writer
            if discarded is not None:
                writer.write(answer)
            size = 0 if method == "HEAD" or answer.split(b" ", 2)[1] in (b"204", b"304") else _length(answer)
            if mode == "reset" and size:
                await _relay(up_reader, writer, self._random.randrange(size))
                return False
            if size is None:
                await _relay_chunks(up_reader, discarded)
            else:
                await _relay(up_reader, discarded, size, self._random if mode == "flip" and not flips else None)
        if mode in _ANSWERS:
            status, code, headers = _ANSWERS[mode]
            body = "" if method == "HEAD" else f"<Error><Code>{code}</Code><Message>a fault</Message></Error>"
            writer.write(f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()
        return True

    def _draw(self, request: Request) -> str | None:
        drawn = self._random.random() < self._rate
        if not drawn or self.faults.total() >= self._limit or not self._applies(request):
            return None
        mode = self._random.choice(self._modes)
        self.faults[mode] += 1
        return mode


def _length(head: bytes) -> int | None:
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return None


async def _relay(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None, size: int, flip: Random | None = None
) -> None:
    flipped = flip.randrange(size) if flip is not None and size else -1
    position = 0
    while position < size:
        piece = await reader.read(min(_PIECE, size - position))
        if not piece:
            raise EOFError
        if position <= flipped < position + len(piece):
            changed = bytearray(piece)
            changed[flipped - position] ^= 1
            piece = bytes(changed)
        position += len(piece)
        if writer is not None:
            writer.write(piece)
            await writer.drain()


async def _relay_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None) -> None:
    size = -1
    while size:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        if writer is not None:
            writer.write(line)
        await _relay(reader, writer, size + 2)
