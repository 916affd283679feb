"""Hosts that are not reached, or not trusted, on both lanes."""

from __future__ import annotations

import asyncio
import pickle
import socket
import ssl
from pathlib import Path

import pytest

from dxflow_async.net import (
    CertificateError,
    Client,
    ConnectionRefusedByHostError,
    HostNotFoundError,
    NetError,
    TLSError,
    TLSOptions,
    errors,
)
from tests.net.exchanges import fetch
from tests.net.made_clients import MakeClient
from tests.scripted_server import ScriptedServer, answer


async def test_nobody_listens(client: Client) -> None:
    """A refused connection is told apart from a name that does not exist."""
    async with ScriptedServer(answer()) as server:
        url = server.url
    with pytest.raises(ConnectionRefusedByHostError) as raised:
        await fetch(client, url)
    assert raised.value.retryable
    with pytest.raises(HostNotFoundError, match=r"could not find the host no-such-host\.invalid \("):
        await fetch(client, "http://no-such-host.invalid")


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Has the loop find these addresses for any name."""

    async def resolve(_: object, port: int, **__: object) -> list[tuple[object, ...]]:
        streams = (socket.SOCK_STREAM, 6, "")
        return [
            (socket.AF_INET6, *streams, (each, port, 0, 0)) if ":" in each else (socket.AF_INET, *streams, (each, port))
            for each in addresses
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)


async def test_the_next_address_is_tried(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host is reached over the first of its addresses that answers."""
    resolve_to(monkeypatch, "2001:db8::1", "127.0.0.2", "127.0.0.1")
    async with ScriptedServer(answer(body=b"ok")) as server:
        assert (await fetch(client, f"http://three.example:{server.port}"))[1] == b"ok"


async def test_untrusted_certificate(make_client: MakeClient, certified: tuple[ssl.SSLContext, Path]) -> None:
    """A certificate of nobody we know is refused for good."""
    client = make_client(tls=TLSOptions())
    async with ScriptedServer(answer(), tls=certified[0]) as server:
        with pytest.raises(CertificateError) as raised:
            await fetch(client, server.url)
        await server.closed()
    assert not raised.value.retryable
    assert server.requests == []


async def test_certificate_of_another_host(
    client: Client, certified: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate of another host is refused for good."""
    resolve_to(monkeypatch, "127.0.0.1")
    async with ScriptedServer(answer(), tls=certified[0]) as server:
        with pytest.raises(CertificateError, match=r"other\.example"):
            await fetch(client, f"https://other.example:{server.port}")


async def test_plain_server_behind_https(client: Client) -> None:
    """A server that does not speak TLS is an error of TLS."""

    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    with pytest.raises(TLSError) as raised:
        await fetch(client, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert not isinstance(raised.value, CertificateError)
    server.close()


def test_errors_are_one_tree() -> None:
    """Every error of the data plane is a `NetError` and an `OSError`, shows its message alone, and can be pickled."""
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, NetError)]
    assert len(classes) == len(errors.__all__) - 3  # the rest are functions
    for cls in classes:
        error = cls("the reason")
        assert isinstance(error, NetError)
        assert isinstance(error, OSError)
        assert str(error) == str(pickle.loads(pickle.dumps(error))) == "the reason"
