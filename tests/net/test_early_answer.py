"""Answers that come before the body of their request was sent."""

from __future__ import annotations

import asyncio

import pytest

from dxflow_async.exceptions import NetworkError
from dxflow_async.providers.http import HTTP
from tests.providers.http_requests import CALL, ask
from tests.providers.in_memory_bodies import body
from tests.scripted_server import ScriptedServer, answer

pytestmark = pytest.mark.every_loop

MiB = 1 << 20


async def succeed_early(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reports success with the head of the request only."""
    writer.write(answer(body=b"ok"))
    await writer.drain()
    await asyncio.sleep(2)


async def test_success_before_the_body_was_sent(http: HTTP) -> None:
    """A success that comes before all of the body was sent is a failure that may be retried; the connection ends."""
    async with ScriptedServer(succeed_early, answer(body=b"ok"), early=True) as server:
        with pytest.raises(NetworkError, match="before it had all of the request") as failed:
            await http.send(CALL, "PUT", f"{server.url}/x", {"host": "h"}, body(*(b"x" * MiB for _ in range(64))))
        assert failed.value.retryable
        assert (await ask(http, server.url))[1] == b"ok"
    assert server.connections == 2
