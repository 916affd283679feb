"""Hubs that begin to answer and do not end."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from dxflow_async.control import request as hub
from dxflow_async.exceptions import StallTimeoutError
from tests.scripted_server import ScriptedServer


async def test_an_answer_that_trickles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that sends its answer a byte at a time is given up after the time of a request."""
    monkeypatch.setattr(hub, "TIMEOUT", 0.5)

    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n{")
        while True:
            await asyncio.sleep(0.05)
            writer.write(b" ")
            await writer.drain()

    async with ScriptedServer(trickle) as server, aiohttp.ClientSession() as http, asyncio.timeout(20):
        with pytest.raises(StallTimeoutError, match="did not end its answer within") as raised:
            await hub.request(http, "GET", server.url, "v1/account")
        assert raised.value.retryable
