"""Clients that may not connect to every address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dxflow_async.net import AddressRefusedError, ProxyRules
from tests.net.made_clients import MakeClient


@asynccontextmanager
async def counting_server() -> AsyncIterator[tuple[int, list[str]]]:
    """A server on this machine: its port, and the first line of each request."""
    lines: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append("connected")
        lines[-1] = (await reader.readuntil(b"\r\n\r\n")).decode().partition("\r\n")[0]
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], lines


def elsewhere(address: str) -> bool:
    """Allows what is not this machine."""
    return not address.startswith("127.")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_a_refused_address_is_not_connected_to(make_client: MakeClient, host: str) -> None:
    """Neither as a name nor as a number: the error names it, is not tried again, and the server hears of nothing."""
    async with counting_server() as (port, lines):
        client = make_client(rule=lambda address: "127." not in address and address != "::1")
        with pytest.raises(AddressRefusedError, match=r"127\.0\.0\.1|::1") as raised:
            await client.send("GET", f"http://{host}:{port}/", {"host": host})
    assert lines == []
    assert not raised.value.retryable


async def test_the_address_counts_that_a_name_has_at_the_connection(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that was allowed and then gets another address is refused at the next connection."""
    look_up, answers = socket.getaddrinfo, ["127.0.0.2"]

    def changing(host: Any, *rest: Any, **options: Any) -> Any:
        return look_up(answers[0] if host in ("changing.test", b"changing.test") else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    async with await asyncio.start_server(_answer, "127.0.0.2", 0) as server, counting_server() as (port, lines):
        allowed = server.sockets[0].getsockname()[1]
        client = make_client(rule=lambda address: address != "127.0.0.1")
        response = await client.send("GET", f"http://changing.test:{allowed}/", {"host": "changing.test"})
        assert (response.status, response.abort()) == (204, None)
        answers[0] = "127.0.0.1"
        with pytest.raises(AddressRefusedError, match=r"changing\.test is at the address 127\.0\.0\.1"):
            await client.send("GET", f"http://changing.test:{port}/", {"host": "changing.test"})
    assert lines == []


async def test_a_proxy_may_have_any_address(make_client: MakeClient, transport: str) -> None:
    """It is the user's own choice, and looks up the hosts of requests itself."""
    async with counting_server() as (port, lines):
        rules = ProxyRules.from_environment({"HTTP_PROXY": f"http://127.0.0.1:{port}"})
        lane = "auto" if transport == "fast" else transport
        client = make_client(transport=lane, proxies=rules, rule=elsewhere)
        response = await client.send("GET", "http://198.51.100.7/x", {"host": "198.51.100.7"})
        response.abort()
    assert lines == ["GET http://198.51.100.7/x HTTP/1.1"]


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    await writer.drain()
    writer.close()
