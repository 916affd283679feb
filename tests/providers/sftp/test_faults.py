from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import (
    AccessDeniedError,
    NetworkError,
    StallTimeoutError,
    StorageError,
)
from dxflow_async.providers.contract import Entry, ObjectOptions, Part
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.sftp.provider import SFTPProvider
from tests.providers.in_memory_bodies import body, read
from tests.providers.sftp.connected_sftp import Connect
from tests.servers.ssh import SSHServer
from tests.servers.tcp_relay import TCPRelay
from tests.sessions import part_files, tasks

OPTIONS = ObjectOptions()
MiB = 1 << 20


@contextmanager
def failing(directory: Path, fault: str, **options: Any) -> Iterator[SSHServer]:
    """A server that something goes wrong at."""
    with SSHServer.start(directory / "server", fail=fault, **options) as server:
        yield server


@pytest.fixture
async def relay(ssh: SSHServer) -> AsyncIterator[TCPRelay]:
    """What connections to the server go through."""
    async with TCPRelay(ssh.port) as relay:
        key = ssh.known_hosts.read_text().partition(" ")[2]
        (ssh.directory / "relayed_hosts").write_text(f"[127.0.0.1]:{relay.port} {key}")
        yield relay


@pytest.fixture
def relayed(ssh: SSHServer, relay: TCPRelay, area: Path) -> dict[str, object]:
    """Settings that lead through the relay."""
    return {"port": relay.port, "known_hosts": ssh.directory / "relayed_hosts", "path": str(area)}


async def test_full_disk(tmp_path: Path, connect: Connect) -> None:
    """A disk that is full is said to be, in a write and in a part, and nothing is left."""
    with failing(tmp_path, "full") as server:
        sftp = connect(server.settings())
        await sftp.write("name", body(b"old"), OPTIONS)
        with pytest.raises(StorageError, match="the disk of the server is full; make room"):
            await sftp.write("name", body(bytes(MiB)), OPTIONS)
        upload = await sftp.start_upload("other", None, OPTIONS)
        with pytest.raises(StorageError, match="the disk of the server is full") as raised:
            await upload.write_part(Part(1, 0, MiB), body(bytes(MiB)))
        assert not raised.value.retryable
        await upload.abort()
        assert await read(sftp, "name") == b"old"
        assert os.listdir(server.root) == ["name"]


async def test_a_server_that_hangs(tmp_path: Path, connect: Connect, http: HTTP) -> None:
    """A server that answers no more is given up after the stall timeout; on a new connection, all is well again."""
    with failing(tmp_path, "hang") as server:
        sftp = connect(server.settings())
        http.stall_timeout = 1.0
        impatient = connect(server.settings())
        await impatient.write("name", body(b"old"), OPTIONS)
        with pytest.raises(StallTimeoutError, match=r"did not answer for 1\.0 s") as raised:
            await impatient.write("name", body(bytes(MiB)), OPTIONS)
        assert raised.value.retryable
        assert await read(sftp, "name") == b"old"
        assert part_files(server.root) == []


async def test_a_server_that_trickles(tmp_path: Path, threads: Threads) -> None:
    """A server that answers each read with one byte is given up: too few bytes move over the stall timeout."""
    http = HTTP(threads, stall_timeout=0.5, min_speed=400)
    try:
        with failing(tmp_path, "trickle") as server:
            (server.root / "name").write_bytes(bytes(10_000))
            sftp = SFTPProvider(server.settings(), http, threads)
            with pytest.raises(StallTimeoutError, match=r"only \d+ bytes moved in .*min_speed \(400") as raised:
                await read(sftp, "name")
            assert raised.value.retryable
            assert raised.value.max_attempts is not None
            assert (await sftp.stat("name")).size == 10_000
            await sftp.aclose()
    finally:
        await http.aclose()


async def test_a_network_that_hangs(
    ssh: SSHServer, relay: TCPRelay, relayed: dict[str, object], connect: Connect, http: HTTP
) -> None:
    """So is a connection over which nothing comes."""
    http.stall_timeout = 0.5
    sftp = connect(ssh.settings(**relayed))
    await sftp.write("name", body(b"content"), OPTIONS)
    relay.passing.clear()
    with pytest.raises((StallTimeoutError, NetworkError)) as raised:
        await sftp.stat("name")
    assert raised.value.retryable
    relay.passing.set()
    assert await read(sftp, "name") == b"content"


async def test_a_server_without_attributes(tmp_path: Path, connect: Connect) -> None:
    """Where times and modes cannot be set, files are written all the same, and `Features` says no."""
    with failing(tmp_path, "attributes") as server:
        sftp = connect(server.settings())
        assert sftp.features.mtime
        await sftp.write("name", body(b"content"), ObjectOptions(modified=1e9, mode=0o755))
        assert await read(sftp, "name") == b"content"
        features = sftp.features
        assert {features.mtime, features.mtime_listed, features.modes} == {False}


async def test_a_directory_that_cannot_be_made_says_nothing_of_times(ssh: SSHServer, connect: Connect) -> None:
    """A refusal that has another reason than the mode, which is refused without one too, lowers no features."""
    sftp = connect(ssh.settings())
    await sftp.write("name", body(b"content"), OPTIONS)
    with pytest.raises(StorageError):
        await sftp.make_directory("name/below", 0o755)
    assert sftp.features.modes
    assert sftp.features.mtime


async def test_a_server_that_does_not_rename_over_files(tmp_path: Path, connect: Connect) -> None:
    """Without `posix-rename`, a file is replaced in three steps, and nothing is left beside it."""
    with failing(tmp_path, "rename") as server:
        sftp = connect(server.settings())
        for content in (b"first", b"second", b"third"):
            await sftp.write("dir/name", body(content), OPTIONS)
            assert await read(sftp, "dir/name") == content
        await sftp.rename("dir/", "other/")
        assert os.listdir(server.root / "other") == ["name"]


async def test_what_may_not_be_read(tmp_path: Path, connect: Connect) -> None:
    """What the user may not read is said to be, in a listing too, which goes on with the rest."""
    with failing(tmp_path, "", ordinary=True) as server:
        sftp = connect(server.settings())
        for name in ("closed/file", "open/file"):
            await sftp.write(name, body(b"x"), OPTIONS)
        os.chmod(server.root / "open/file", 0)
        os.chmod(server.root / "closed", 0)
        with pytest.raises(AccessDeniedError, match="permission denied; check its owner and mode"):
            await sftp.read("open/file")
        with pytest.raises(AccessDeniedError):
            await sftp.write("closed/new", body(b"x"), OPTIONS)
        page = await sftp.list_page("", recursive=True)
        assert [(entry.key, entry.read_error) for entry in page.entries] == [("closed/", "EACCES"), ("open/file", None)]
        failed = await sftp.delete(["closed/", "open/file"])
        assert list(failed) == ["closed/"]
        os.chmod(server.root / "closed", 0o755)


async def test_a_connection_that_breaks_while_reading(
    ssh: SSHServer, area: Path, relay: TCPRelay, relayed: dict[str, object], connect: Connect
) -> None:
    """Reading breaks off with a NetworkError that is worth a retry, which goes over a new connection."""
    data = os.urandom(2 * MiB)
    (area / "name").write_bytes(data)
    sftp = connect(ssh.settings(**relayed))
    async with await sftp.read("name") as reading:
        first = bytes(await reading.read())
        relay.cut()
        with pytest.raises(NetworkError) as raised:
            await reading.buffer_or_reopen()
    assert raised.value.retryable
    assert await read(sftp, "name", len(first), etag=reading.entry.etag) == data[len(first) :]
    assert relay.connections == 2


async def test_a_connection_that_breaks_while_writing(
    ssh: SSHServer, area: Path, relay: TCPRelay, relayed: dict[str, object], connect: Connect
) -> None:
    """A write that breaks off leaves the old file, and no temporary one: that is removed over a new connection."""
    sftp = connect(ssh.settings(**relayed))
    await sftp.write("name", body(b"old"), OPTIONS)
    relay.cut_after = MiB
    with pytest.raises(NetworkError):
        await sftp.write("name", body(os.urandom(3 * MiB)), OPTIONS)
    assert await read(sftp, "name") == b"old"
    assert part_files(area) == []


async def test_an_upload_goes_on_over_a_new_connection(
    ssh: SSHServer, area: Path, relay: TCPRelay, relayed: dict[str, object], connect: Connect
) -> None:
    """A part that broke off is written again, the others stay, and the upload is finished."""
    data = os.urandom(3 * MiB)
    sftp = connect(ssh.settings(**relayed))
    upload = await sftp.start_upload("name", len(data), OPTIONS)
    parts = [Part(index + 1, index * MiB, MiB) for index in range(3)]
    pieces = [body(data[part.offset : part.offset + MiB]) for part in parts]
    first = await upload.write_part(parts[0], pieces[0])
    relay.cut_after = MiB // 2
    with pytest.raises(NetworkError):
        await upload.write_part(parts[1], pieces[1])
    others = [await upload.write_part(part, piece) for part, piece in zip(parts[1:], pieces[1:], strict=True)]
    relay.cut()
    with pytest.raises(NetworkError, match="connection to the server was lost"):
        await upload.finish([first, *others], None)
    await upload.finish([first, *others], None)
    assert (area / "name").read_bytes() == data
    assert part_files(area) == []


async def test_a_listing_goes_on_over_a_new_connection(
    ssh: SSHServer, area: Path, relay: TCPRelay, relayed: dict[str, object], connect: Connect
) -> None:
    """A page that could not be had is asked for again, and no name is missing or there twice."""
    names = [f"d{number:03}/file" for number in range(300)]
    for name in names:
        (area / name).parent.mkdir()
        (area / name).write_bytes(b"x")
    sftp = connect(ssh.settings(**relayed))
    found: list[Entry] = []
    page = await sftp.list_page("", recursive=True)
    found += page.entries
    assert page.cursor is not None
    relay.cut()
    broken = 0
    cursor = page.cursor
    while cursor is not None:
        try:
            page = await sftp.list_page("", recursive=True, cursor=cursor)
        except NetworkError:
            broken += 1
        else:
            found += page.entries
            cursor = page.cursor
    assert broken >= 1
    assert [entry.key for entry in found] == names


async def test_cancelled_reads_and_writes_leave_nothing(
    ssh: SSHServer, area: Path, relay: TCPRelay, relayed: dict[str, object], connect: Connect
) -> None:
    """Whenever a call is cancelled, no task and no temporary file is left, and the provider works on."""
    data = os.urandom(MiB)
    (area / "name").write_bytes(data)
    sftp = connect(ssh.settings(**relayed))
    await sftp.stat("name")
    await asyncio.sleep(0.05)
    before = tasks()

    async def both() -> None:
        await sftp.write("new", body(data), OPTIONS)
        await read(sftp, "name")
        upload = await sftp.start_upload("parts", None, OPTIONS)
        try:
            await upload.write_part(Part(1, 0, MiB), body(data))
        finally:
            await upload.abort()

    for number in range(25):
        running = asyncio.create_task(both())
        await asyncio.sleep(number * 0.002)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert part_files(area) == []
    assert await read(sftp, "name") == data
    await asyncio.sleep(0.05)
    assert not [each for each in tasks() - before if "asyncssh" not in repr(each)]
    assert relay.connections <= 4


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8])
async def test_cancelled_removals(ssh: SSHServer, area: Path, connect: Connect, turns: int) -> None:
    """An upload whose removal is cancelled, once or twice, leaves no temporary file."""
    sftp = connect(ssh.settings(path=str(area)))
    upload = await sftp.start_upload("parts", None, OPTIONS)
    assert len(part_files(area)) == 1
    running = asyncio.create_task(upload.abort())
    for _ in range(1 + turns):
        await asyncio.sleep(0)
    for _ in range(2):
        running.cancel()
        await asyncio.sleep(0)
    await asyncio.gather(running, return_exceptions=True)
    assert part_files(area) == []


async def test_cancelled_while_connecting(
    ssh: SSHServer, relay: TCPRelay, relayed: dict[str, object], connect: Connect
) -> None:
    """A call that is cancelled while it connects leaves no connection; the next one makes its own."""
    for number in range(6):
        sftp = connect(ssh.settings(**relayed))
        running = asyncio.create_task(sftp.stat("missing"))
        await asyncio.sleep(number * 0.03)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await sftp.aclose()
    await relay.closed()


async def test_closed_provider(ssh: SSHServer, relay: TCPRelay, relayed: dict[str, object], connect: Connect) -> None:
    """Closing ends the connections."""
    sftp = connect(ssh.settings(**relayed))
    await sftp.write("name", body(b"x"), OPTIONS)
    assert relay.open_connections == 1
    await sftp.aclose()
    await relay.closed()
