"""A server that answers as it is told, byte for byte, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

__all__ = ["Answer", "Request", "ScriptedServer", "answer", "hang_up"]


@dataclass(frozen=True)
class Request:
    """What arrived; `connection` counts from 1."""

    connection: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes = field(repr=False)


Answer = bytes | Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Closes the connection without a word."""
    writer.close()


def answer(status: str = "200 OK", body: bytes = b"", **headers: str) -> bytes:
    """A response with its length; `_` in a header's name stands for `-`."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class ScriptedServer:
    """Gives its answers in their order, whatever the connection; the last one again and again.

    Args:
        answers: bytes to send, or a coroutine function that does as it likes with the connection.
        early: answer as soon as the head is there, and leave the request's body unread.
        tls: to be spoken to over TLS.
    """

    def __init__(self, *answers: Answer, early: bool = False, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.open_connections = 0
        self._answers = list(answers)
        self._early = early
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def reply(self, *answers: Answer) -> None:
        """From now on, gives these answers."""
        self._answers = list(answers)

    async def closed(self) -> None:
        """Returns once no connection is open."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(lambda: not self.open_connections)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for _ in range(3):  # connections that were just accepted become tasks in the loop's next turns
            await asyncio.sleep(0)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open_connections += 1
        number = self.connections
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while not writer.is_closing():
                    await self._one(number, reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()
            async with self._changed:
                self.open_connections -= 1
                self._changed.notify_all()

    async def _one(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = b"" if self._early else await reader.readexactly(int(headers.get("content-length", 0)))
        self.requests.append(Request(number, method, target, headers, body))
        reply = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        if isinstance(reply, bytes):
            writer.write(reply)
            await writer.drain()
        else:
            await reply(reader, writer)
