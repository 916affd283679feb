"""Uploads to tus servers, and through proxies, that are not like ours: limits, locks, lost uploads, odd addresses."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from dxflow_async import Settings
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import NotFoundError, StorageError
from dxflow_async.providers.contract import ObjectOptions, Part
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.unit.provider import UnitProvider
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.retry import RetryPolicy
from tests.providers.connected_providers import connect_unit
from tests.providers.in_memory_bodies import body
from tests.providers.unit.sending_client import Client
from tests.scripted_server import ScriptedServer, answer
from tests.servers.odd_tus import OddTus, odd_tus

KiB, MiB = 1 << 10, 1 << 20
DATA = random.Random(5).randbytes(11 * MiB + 3)
SECRET = "s" * 32
PARTS = "creation,concatenation,termination"
WHOLE = "creation,creation-with-upload,termination"


@pytest.fixture
async def resources(tmp_path: Path) -> AsyncIterator[Resources]:
    """What a session owns; it tries three times, and parts are of 5 MiB."""
    resources = Resources(Settings(home=tmp_path / "home", part_size=5 * MiB))
    resources.policy = RetryPolicy(max_attempts=3, first_wait=0.01)
    yield resources
    await resources.aclose()


Connected = Callable[[OddTus], AbstractAsyncContextManager[Client]]


@pytest.fixture
def connected(resources: Resources, tmp_path: Path) -> Connected:
    """Runs a server and connects to it."""

    @asynccontextmanager
    async def run(server: OddTus) -> AsyncIterator[Client]:
        async with odd_tus(server):
            unit = await connect_unit("Odd", server.url, SECRET, resources.http, resources.threads)
            yield Client(resources, unit, tmp_path / "source")

    return run


@pytest.mark.parametrize("extensions", ["creation,termination", PARTS, WHOLE])
@pytest.mark.parametrize("size", [3 * MiB, len(DATA)])
async def test_bodies_that_are_stored_in_part(connected: Connected, extensions: str, size: int) -> None:
    """A body of which a server stores the first bytes is continued from there, and later bodies are not larger."""
    server = OddTus(extensions=extensions, stores=MiB)
    async with connected(server) as client:
        await client.send(DATA[:size])
        assert server.files["file"] == DATA[:size]
        server.requests.clear()
        await client.send(DATA[:size], "again")
        assert server.files["again"] == DATA[:size]
        assert sum(sent for _, sent in server.requests) == size
        assert len(server.uploads) <= 8


@pytest.mark.parametrize("switch", ["limit", "resets"])
@pytest.mark.parametrize("extensions", ["creation,termination", PARTS, WHOLE])
@pytest.mark.parametrize("size", [200 * KiB, len(DATA)])
async def test_bodies_that_a_proxy_refuses(connected: Connected, switch: str, extensions: str, size: int) -> None:
    """After a 413, or connections that break in a body, bodies become smaller, and the limit is remembered."""
    server = OddTus(extensions=extensions)
    setattr(server, switch, 150 * KiB)
    async with connected(server) as client:
        await client.send(DATA[:size])
        assert server.files["file"] == DATA[:size]
        server.requests.clear()
        await client.send(DATA[:size], "again")
        assert server.files["again"] == DATA[:size]
        assert max(sent for _, sent in server.requests) <= 150 * KiB


@pytest.mark.parametrize("extensions", ["creation,termination", PARTS, WHOLE])
async def test_a_limit_below_the_smallest_body(connected: Connected, extensions: str) -> None:
    """Where even the smallest body is refused, the error names the proxy and the size, and comes at once."""
    server = OddTus(extensions=extensions, limit=KiB)
    async with connected(server) as client:
        with pytest.raises(StorageError, match=r"proxy .*nginx/1.25.3.* 65,536 bytes .*client_max_body_size") as raised:
            await client.send(DATA)
        assert raised.value.status == 413
        assert not raised.value.retryable
        assert "<" not in str(raised.value)
        assert len(server.requests) < 60


async def test_files_that_are_larger_than_the_server_takes(http: HTTP, threads: Threads) -> None:
    """A 413 to a creation without a body is about the file, and no smaller body is tried."""
    async with ScriptedServer(answer("413 Too Large")) as server:
        with pytest.raises(StorageError, match="takes nothing of that size"):
            await UnitProvider("Odd", server.url, SECRET, http, threads).write("a", body(b"abc"), ObjectOptions())
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [423, 409])
async def test_locked_uploads_are_waited_for(connected: Connected, resources: Resources, status: int) -> None:
    """An upload that stays locked for more requests than there are attempts is waited for and continued."""
    server = OddTus(extensions="creation", locked=4, lock_status=status)
    resources.http.stall_timeout = 5.0
    async with connected(server) as client:
        await client.send(DATA[: 100 * KiB])
        assert server.files["file"] == DATA[: 100 * KiB]
        resources.http.stall_timeout = 0.4
        server.locked = 1000
        with pytest.raises(StorageError) as raised:
            await client.send(DATA[: 100 * KiB], "never")
        assert raised.value.status == status
        assert "never" not in server.files


async def test_uploads_that_the_server_forgets(connected: Connected) -> None:
    """An upload that is gone when its bytes arrive is begun anew; one that is gone each time is an error."""
    server = OddTus(forgets=2)
    async with connected(server) as client:
        await client.send(DATA[: 100 * KiB])
        assert server.files["file"] == DATA[: 100 * KiB]
        server.forgets = 1
        await client.unit.write("memory", body(DATA), ObjectOptions())
        assert server.files["memory"] == DATA
        server.forgets = 1000
        with pytest.raises(StorageError) as raised:
            await client.send(DATA[: 100 * KiB], "never")
        assert raised.value.status == 410
        assert 1000 - server.forgets < 20


@pytest.mark.parametrize("offset", ["99999999", "", "-5", "1e3"])
async def test_offsets_that_cannot_be(connected: Connected, offset: str) -> None:
    """A server that reports an offset which cannot be is an error that says so, though it stored the file."""
    server = OddTus(wrong_offset=offset)
    async with connected(server) as client:
        with pytest.raises(StorageError, match=r"behind|does not say"):
            await client.unit.write("a", body(b"12345"), ObjectOptions())


async def test_an_offset_that_goes_back(connected: Connected) -> None:
    """A server that reports a smaller offset than before is an error that says so."""
    async with connected(OddTus(stores=MiB, wrong_offset="5", wrong_after=1)) as client:
        with pytest.raises(StorageError, match="went back to 5"):
            await client.unit.write("a", body(DATA), ObjectOptions())


@pytest.mark.parametrize(
    ("prefix", "location"),
    [
        ("", "http://10.0.0.5:1080{path}{id}"),
        ("", "//other.example.com{path}{id}"),
        ("", "https://{host}:8443{path}{id}"),
        ("", "http://internal/files/{id}"),
        ("/units/one", "http://10.0.0.5{path}{id}"),
        ("/units/one", "{path}{id}"),
        ("/units/one", "http://internal/files/{id}"),
        ("/units/one", "{id}"),
    ],
)
async def test_addresses_of_servers_behind_proxies(connected: Connected, prefix: str, location: str) -> None:
    """An upload whose address has the server's inner host, port or path is found at the unit's own address."""
    server = OddTus(prefix=prefix, location=location)
    async with connected(server) as client:
        for name in ("one", "two"):
            await client.send(DATA[: 100 * KiB], name)
            assert server.files[name] == DATA[: 100 * KiB]
        assert server.methods().count("POST") == 2
        assert server.methods().count("HEAD") <= 4  # only the first upload is looked for


async def test_addresses_elsewhere_are_refused_once(connected: Connected) -> None:
    """An upload that is not at the unit's own address is an error at once, and no other host is asked."""
    async with ScriptedServer(answer()) as other:
        server = OddTus(location=f"{other.url}/files/x")
        async with connected(server) as client:
            with pytest.raises(StorageError, match=r"Location") as raised:
                await client.send(b"abc")
            assert not raised.value.retryable
            assert str(other.port) in str(raised.value)
            assert "behind-proxy" in str(raised.value)
            assert server.methods().count("POST") == 1
        assert other.requests == []


async def test_an_upload_elsewhere_is_removed(connected: Connected) -> None:
    """An upload that cannot be confirmed at the unit's own address is removed there."""
    server = OddTus(location="http://10.0.0.5:1080{path}{id}", hidden=1)
    async with connected(server) as client:
        with pytest.raises(StorageError, match=r"10\.0\.0\.5:1080"):
            await client.send(b"abc")
        assert server.methods() == ["POST", "HEAD", "DELETE"]
        assert server.uploads == {}


async def test_an_upload_elsewhere_is_removed_unasked(connected: Connected) -> None:
    """So is one of a server that does not advertise it, by one upload that is refused."""
    server = OddTus(extensions="creation", location="http://10.0.0.5:1080{path}{id}", hidden=1)
    async with connected(server) as client:
        with pytest.raises(StorageError, match=r"10\.0\.0\.5:1080"):
            await client.send(DATA[: 100 * KiB])
    assert server.numbers == 1
    assert server.uploads == {}


@pytest.mark.parametrize("location", ["http://{host}/elsewhere/", "/storage/items/?path=/{id}", "/elsewhere/"])
async def test_addresses_at_the_unit_that_are_none(connected: Connected, location: str) -> None:
    """An upload that is at the unit's own host, but not at the address that it tells, is an error at once."""
    server = OddTus(location=location)
    async with connected(server) as client:
        with pytest.raises(StorageError, match="Location"):
            await client.send(b"abc")
        assert set(server.methods()) <= {"POST", "HEAD"}
        assert server.numbers == 1


async def test_another_address_at_the_unit(connected: Connected) -> None:
    """One that is found at its usual address is sent to that."""
    server = OddTus(location="http://{host}/elsewhere/{id}")
    async with connected(server) as client:
        for name in ("one", "two"):
            await client.send(b"abc", name)
        assert server.files == {"one": b"abc", "two": b"abc"}
        assert server.methods().count("POST") == 2
        assert server.methods().count("HEAD") == 2  # of the first upload only


async def test_uploads_that_are_always_gone(connected: Connected) -> None:
    """A server that forgets each upload gets a few of them, and then it is an error."""
    server = OddTus(forgets=1000)
    async with connected(server) as client:
        with pytest.raises(NotFoundError):
            await client.send(b"abc")
        assert server.numbers <= 5


@pytest.mark.parametrize("size", [MiB // 2, 3 * MiB, 5 * MiB])
async def test_small_files_that_are_stored_in_part(connected: Connected, size: int) -> None:
    """A small file, too, goes on where the server got to, in one upload."""
    server = OddTus(stores=300 * KiB)
    async with connected(server) as client:
        await client.send(DATA[:size])
        assert server.files["file"] == DATA[:size]
        assert server.numbers == 1


@pytest.mark.parametrize("refused", [{"PATCH"}, {"HEAD"}, {"DELETE"}, {"PATCH", "HEAD", "DELETE"}])
@pytest.mark.parametrize("extensions", ["creation,termination", PARTS])
async def test_methods_that_a_proxy_refuses(connected: Connected, refused: set[str], extensions: str) -> None:
    """A method that gets 405 is sent as POST with X-HTTP-Method-Override from then on."""
    server = OddTus(extensions=extensions, refuses=frozenset(refused))
    async with connected(server) as client:
        for name in ("one", "two"):
            await client.send(DATA, name)
            assert server.files[name] == DATA
        upload = await client.unit.start_upload("aborted", 5, ObjectOptions())
        await upload.write_part(Part(1, 0, 5), body(b"12345"))
        left = len(server.uploads)
        await upload.abort()
        assert len(server.uploads) == left - 1
        assert all(server.methods().count(method) <= 4 for method in refused)  # of parts that are sent at once


async def test_methods_that_nobody_replaces(connected: Connected) -> None:
    """Where the replacement is refused too, the error comes at once."""
    server = OddTus(refuses=frozenset({"PATCH"}), overrides=False)
    async with connected(server) as client:
        with pytest.raises(StorageError, match="does not support") as raised:
            await client.send(b"abc")
        assert raised.value.status == 405
        assert server.methods().count("PATCH") == 1
