"""Requests through a client, and answers that come in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import pairwise

from dxflow_async.net import Client, Response
from dxflow_async.streams import Body
from tests.scripted_server import Answer, answer

__all__ = ["MiB", "OnceBody", "body_of", "fetch", "in_pieces", "slowly"]

MiB = 1 << 20


class OnceBody:
    """A body that can be read once, piece by piece, with a pause before each."""

    def __init__(self, *chunks: bytes, size: int | None = None, pause: float = 0.0) -> None:
        self.size = sum(map(len, chunks)) if size is None else size
        self.crc32c = None
        self._chunks = chunks
        self._pause = pause

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            await asyncio.sleep(self._pause)
            yield chunk

    async def readinto(self, buffer: memoryview) -> int:
        """Its presence says that the body cannot be read twice; these exchanges iterate."""
        raise AssertionError("the body is iterated, not read into a buffer")


async def fetch(
    client: Client, url: str, method: str = "GET", data: Body | bytes | None = None
) -> tuple[Response, bytes]:
    """A response with its whole body."""
    response = await client.send(method, f"{url}/path?query=1", {"host": "127.0.0.1"}, data)
    return response, await body_of(response)


async def body_of(response: Response) -> bytes:
    """The rest of a response's body; the response is closed afterwards."""
    pieces = []
    try:
        while chunk := await response.read():
            pieces.append(bytes(chunk))
    finally:
        response.close()
    return b"".join(pieces)


def in_pieces(data: bytes, cuts: Iterable[int], pause: float = 0.001) -> Answer:
    """An answer that is sent in pieces, with a pause after each."""

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
        for start, end in pairwise(edges):
            writer.write(data[start:end])
            await writer.drain()
            await asyncio.sleep(pause)

    return send


def slowly(data: bytes, *edges: int) -> Answer:
    """An answer that pauses at some bytes of its body."""
    whole = answer(body=data)
    return in_pieces(whole, [len(whole) - len(data) + edge for edge in (0, *edges)], 0.02)
