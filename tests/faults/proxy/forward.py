"""A plain HTTP proxy: absolute targets are passed on, CONNECT opens a tunnel."""

from __future__ import annotations

import asyncio
import base64
from urllib.parse import urlsplit

from tests.faults.proxy.listener import PIECE, Listener, Stream

__all__ = ["ForwardProxy"]


class ForwardProxy(Listener):
    """A proxy that remembers what it was asked for.

    Args:
        user, password: what it wants to be told, or nothing.
    """

    def __init__(self, user: str = "", password: str = "") -> None:
        super().__init__()
        self.targets: list[str] = []
        self._wanted = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}" if user else None

    async def _serve(self, client: Stream) -> None:
        head = (await client.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, target, _ = head.split(" ", 2)
        self.targets.append(f"{method} {target}")
        headers = dict(line.lower().split(": ", 1) for line in head.strip().split("\r\n")[1:])
        if self._wanted is not None and headers.get("proxy-authorization") != self._wanted.lower():
            await client.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        url = urlsplit(f"//{target}" if method == "CONNECT" else target)
        server = await Stream.open(str(url.hostname), int(url.port or 80))
        try:
            if method == "CONNECT":
                await client.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                await server.write(head.replace(target, target.split(url.netloc, 1)[1], 1).encode())
            await asyncio.gather(_copy(client, server), _copy(server, client))
        finally:
            server.writer.transport.abort()


async def _copy(source: Stream, target: Stream) -> None:
    while data := await source.reader.read(PIECE):
        await target.write(data)
    target.writer.close()
