"""Which hosts the servers answer for, and whom they take a request to be from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.server.common.addresses import Addresses, address_group, parse_network
from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.hub.app import create_app
from dxflow_async.server.unit.app import create_unit_app
from tests.server.running_hub import SECRETS

ME = {"email": "me@example.org", "password": "correct horse", "namespace": "diphyx"}


@asynccontextmanager
async def served(kind: str, directory: Path, **listening: Any) -> AsyncIterator[int]:
    """The port of a hub or a unit."""
    (directory / "root").mkdir(exist_ok=True)
    app = create_app(directory / "home") if kind == "hub" else create_unit_app(directory / "root", SECRETS)
    server = Server(app, Listening(**listening))
    url = await server.start()
    yield int(url.rpartition(":")[2])
    await server.aclose(1.0)


async def status_for(port: int, *hosts: str) -> int:
    """The status of a request that names these hosts."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    writer.write(f"GET /healthz HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return int(answer.split()[1])


@pytest.mark.parametrize("kind", ["hub", "unit"])
async def test_foreign_hosts_are_refused(kind: str, tmp_path: Path) -> None:
    """On a loopback address a server answers for this machine's names and those it was given, whatever the port."""
    async with served(kind, tmp_path, allow_hosts=("Files.example.org",)) as port:
        for host in ("127.0.0.1", f"localhost:{port}", "LOCALHOST.", "127.8.9.1:1", "[::1]", "files.example.org:443"):
            assert await status_for(port, host) == 200, host
        for host in (
            "evil.example",
            f"evil.example:{port}",
            "10.0.0.1",
            "localhost.evil.example",
            "127.0.0.1.evil",
            "@",
        ):
            assert await status_for(port, host) == 400, host
        assert await status_for(port, "localhost", "evil.example") == 400


async def test_the_refusal_says_what_to_do(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """The refusal is an error like any other, and names the option; nothing was done."""
    async with served("hub", tmp_path) as port:
        url, headers = f"http://127.0.0.1:{port}/auth/login/", {"Host": "evil.example"}
        async with http.post(url, json=ME, headers=headers) as response:
            tree = await response.json()
        assert (response.status, tree["error"]["code"]) == (400, "foreign_host")
        assert "--allow-host" in tree["error"]["message"]
        async with http.post(url, json=ME) as response:
            assert (await response.json())["created"] is True


async def test_other_addresses_answer_for_any_host(tmp_path: Path) -> None:
    """Where others reach a server it does not know its names, unless it is given them."""
    async with served("hub", tmp_path, host="0.0.0.0", insecure_http=True) as port:
        assert await status_for(port, "anything.example") == 200
    async with served("hub", tmp_path, host="0.0.0.0", insecure_http=True, allow_hosts=("a.example",)) as port:
        assert [await status_for(port, host) for host in ("a.example", "b.example")] == [200, 400]


@pytest.mark.parametrize(
    ("remote", "forwarded", "peer"),
    [
        ("10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["9.9.9.9, 1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["9.9.9.9", "1.2.3.4, 10.0.0.7"], "1.2.3.4"),
        ("10.0.0.1", ["1.2.3.4:5678"], "1.2.3.4"),
        ("10.0.0.1", ["[2001:db8::1]:80"], "2001:db8::1"),
        ("10.0.0.1", ["::ffff:1.2.3.4"], "1.2.3.4"),
        ("::ffff:10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["9.9.9.9, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.3"], "10.0.0.3"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [", ".join(["1.1.1.1"] * 5000)], "1.1.1.1"),
        ("8.8.8.8", ["1.2.3.4"], "8.8.8.8"),
        ("fe80::1%eth0", ["1.2.3.4"], "fe80::1%eth0"),
    ],
)
def test_peers_behind_proxies(remote: str, forwarded: list[str], peer: str) -> None:
    """The peer is the nearest address that is no trusted proxy's; nobody else's header is believed."""
    headers = web.Response().headers.copy()
    for line in forwarded:
        headers.add("X-Forwarded-For", line)
    request = make_mocked_request("GET", "/", headers=headers).clone(remote=remote)
    addresses = Addresses(None, [parse_network("10.0.0.0/8")])
    assert addresses.peer(request) == peer
    assert Addresses(None).peer(request) == remote


def test_ipv6_peers_count_by_network() -> None:
    """Who has one IPv6 address has 2^64; IPv4 addresses and what is none count by themselves."""
    assert address_group("2001:db8::1") == address_group("2001:db8::ffff:1") != address_group("2001:db8:0:1::1")
    assert address_group("10.0.0.1") == address_group("::ffff:10.0.0.1") == "10.0.0.1"
    assert address_group("") == ""


def test_addresses_are_checked() -> None:
    """What is no network, and no name, is refused before anything listens."""
    for text in ("nonsense", "10.0.0.0/99", ""):
        with pytest.raises(ConfigurationError, match="trusted proxy"):
            Listening(trusted_proxies=(text,)).addresses()
    for text in ("a b", "http://a", "", "a@b"):
        with pytest.raises(ConfigurationError, match="allow host"):
            Listening(allow_hosts=(text,))


async def test_behind_a_proxy_a_stranger_locks_out_nobody(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """Through a trusted proxy failures count for the address it names; without one its header changes nothing."""
    wrong = {**ME, "password": "wrong"}

    async def status(port: int, body: dict[str, str], peer: str) -> int:
        headers = {"X-Forwarded-For": peer}
        async with http.post(f"http://127.0.0.1:{port}/auth/login/", json=body, headers=headers) as response:
            return response.status

    async with served("hub", tmp_path, trusted_proxies=("127.0.0.1",)) as port:
        assert await status(port, ME, "1.1.1.1") == 200
        assert [await status(port, wrong, "6.6.6.6") for _ in range(6)] == [401] * 5 + [429]
        assert await status(port, ME, "1.1.1.1") == 200
        assert await status(port, ME, "6.6.6.6") == 429
    async with served("hub", tmp_path) as port:
        assert [await status(port, wrong, f"7.7.7.{number}") for number in range(6)] == [401] * 5 + [429]
