"""One request on its way to a server, and its answer on its way back."""

from __future__ import annotations

import asyncio
from random import Random

from tests.faults.proxy.listener import Stream
from tests.faults.proxy.relay import joined, length_of, relay, relay_chunks
from tests.faults.proxy.request import Request

__all__ = ["Exchange"]


class Exchange:
    """Passes both on, whole or not.

    Args:
        head: the request's.
        client, server: the two sides.

    Attributes:
        size: of the answer's body, once its head is here; None where it comes in chunks.
        settled: set but while the server has the request, or some of it, and has not begun to answer.
    """

    def __init__(self, head: bytes, client: Stream, server: Stream) -> None:
        self.request = Request.of(head)
        self.client = client
        self.server = server
        self.size: int | None = 0
        self.settled = asyncio.Event()
        self.settled.set()
        self._head = head
        self._answer = b""

    async def take(self, size: int | None = None) -> None:
        """Receives the request's body, or so many bytes of it, for nothing."""
        await relay(self.client.reader, None, self.request.size if size is None else size)

    async def send(self, size: int | None = None, flip: Random | None = None) -> None:
        """Passes the request on; of its body only so many bytes, or with one bit changed."""
        self.settled.clear()
        size = self.request.size if size is None else size
        try:
            await self.server.write(self._head)
            await relay(self.client.reader, self.server, size, flip, margins=self.request.margins)
        except BaseException:
            self.settled.set()
            raise

    async def await_answer(self) -> None:
        """The server has begun to answer."""
        try:
            self._answer = await self.server.reader.readuntil(b"\r\n\r\n")
        finally:
            self.settled.set()
        empty = self.request.method == "HEAD" or self._answer.split(b" ", 2)[1] in (b"204", b"304")
        self.size = 0 if empty else length_of(self._answer)

    @property
    def tells_body(self) -> bool:
        """Whether the answer has a body, or tells the length of one to a HEAD."""
        return self.size is None or bool(length_of(self._answer))

    async def answer(self, size: int | None = None, flip: Random | None = None) -> None:
        """Passes the answer on; of its body only so many bytes, or with one bit changed."""
        await self.client.write(self._answer)
        if size is not None:
            await relay(self.server.reader, self.client, size)
        else:
            await self._receive(self.client, flip)

    async def answer_twice(self) -> None:
        """Passes the answer on two times, with nothing between."""
        kept = bytearray(self._answer)
        await self._receive(None, keep=kept)
        await self.client.write(bytes(kept + kept))

    async def receive(self) -> tuple[str, bytes]:
        """The answer's head and whole body; one that comes in chunks is put together, and its length told."""
        kept, head = bytearray(), self._answer.decode("latin-1")
        await self._receive(None, keep=kept)
        if self.size is not None:
            return head, bytes(kept)
        body = joined(kept)
        lines = [line for line in head.split("\r\n") if not line.lower().startswith("transfer-encoding:")]
        return "\r\n".join([*lines[:-2], f"Content-Length: {len(body)}", "", ""]), body

    async def lose(self) -> None:
        """Receives the answer for nothing."""
        await self._receive(None)

    async def _receive(self, to: Stream | None, flip: Random | None = None, keep: bytearray | None = None) -> None:
        if self.size is None:
            await relay_chunks(self.server.reader, to, keep)
        else:
            await relay(self.server.reader, to, self.size, flip, keep)
