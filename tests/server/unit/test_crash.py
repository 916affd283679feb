"""A unit's server that is killed, or told to end, while bytes arrive."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.server.running_hub import BYTES, SECRETS, TUS, RunningUnit, UnitProcess, metadata
from tests.servers.process import Process
from tests.waiting import until

PIECE = 1 << 20
PART = 4 << 20
BUFFERED = 12 << 20
"""Bytes on their way: Linux lets sockets hold 4 MiB to be sent and 6 MiB to be received, and the server two pieces."""
CONTENT = random.Random(5).randbytes(48 << 20)


@pytest.fixture
async def killable(tmp_path: Path) -> AsyncIterator[tuple[UnitProcess, RunningUnit]]:
    """How to start a unit, and how to speak to it; it is not running yet."""
    server = UnitProcess(tmp_path)
    # A connection of its own for each request: none is left from before a kill.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
        yield server, RunningUnit(server.url, server.root, http)


class Counted:
    """A body in pieces, slow enough to be caught in the middle, that knows how much of it was taken.

    Attributes:
        taken: bytes.
        got_further: more was taken than the buffers of sockets hold.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.taken = 0
        self.got_further = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._content), PIECE):
            piece = self._content[start : start + PIECE]
            yield piece
            self.taken += len(piece)
            if self.taken >= BUFFERED + 4 * PIECE:
                self.got_further.set()
            await asyncio.sleep(0.005)


async def killed_at_a_random_moment(
    process: Process, patching: asyncio.Task[object], chance: random.Random, got_further: asyncio.Event
) -> None:
    """Kill the server at some moment after the upload got further, however slow the machine is, or is done."""
    waiting = asyncio.ensure_future(got_further.wait())
    await asyncio.wait([waiting, patching], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    await asyncio.wait([patching], timeout=chance.uniform(0.0, 0.1))
    process.kill()
    await asyncio.wait([patching])
    patching.exception()


async def test_killed_servers_go_on(killable: tuple[UnitProcess, RunningUnit]) -> None:
    """Killed again and again at random moments, an upload goes on at an offset that holds, and little is sent twice."""
    server, unit = killable
    chance, again, kills = random.Random(6), 0, 0
    process = await asyncio.to_thread(server.start)
    try:
        url = (await unit.create("deep/a", len(CONTENT))).headers["Location"]
        while (offset := await unit.offset(url)) < len(CONTENT):
            body = Counted(CONTENT[offset:])
            patching: asyncio.Task[object] = asyncio.create_task(unit.patch(url, offset, body.__aiter__()))
            await killed_at_a_random_moment(process, patching, chance, body.got_further)
            kills += 1
            process = await asyncio.to_thread(server.start)
            now = await unit.offset(url)
            assert offset <= now <= offset + body.taken + PIECE
            again += max(0, offset + body.taken - now)
        assert kills >= 2
        assert again <= kills * BUFFERED
        assert (server.root / "deep/a").read_bytes() == CONTENT
    finally:
        process.kill()


async def test_killed_servers_keep_compared_parts(killable: tuple[UnitProcess, RunningUnit]) -> None:
    """With a checksum for each part a killed server is at the end of a part that was compared, never within one."""
    server, unit = killable
    chance = random.Random(7)
    process = await asyncio.to_thread(server.start)
    try:
        url = (await unit.create("a", len(CONTENT))).headers["Location"]

        async def parts_from(offset: int, finished: asyncio.Event) -> None:
            for start in range(offset, len(CONTENT), PART):
                part = CONTENT[start : start + PART]
                digest = base64.b64encode(hashlib.sha1(part).digest()).decode()
                answer = await unit.patch(url, start, part, **{"Upload-Checksum": f"sha1 {digest}"})
                assert answer.status == 204
                finished.set()

        while (offset := await unit.offset(url)) < len(CONTENT):
            assert offset % PART == 0
            finished = asyncio.Event()
            patching: asyncio.Task[object] = asyncio.create_task(parts_from(offset, finished))
            await killed_at_a_random_moment(process, patching, chance, finished)
            process = await asyncio.to_thread(server.start)
        assert (server.root / "a").read_bytes() == CONTENT
    finally:
        process.kill()


async def test_killed_servers_keep_the_parts_of_a_group(killable: tuple[UnitProcess, RunningUnit]) -> None:
    """Parts that were written before a kill, at their places in one file, are put together after it."""
    server, unit = killable
    process = await asyncio.to_thread(server.start)
    try:
        urls = []
        for start in range(0, len(CONTENT), 12 << 20):
            given = metadata(group="g" * 16, start=str(start))
            headers = {**TUS, "Upload-Concat": "partial", "Upload-Length": str(12 << 20), "Upload-Metadata": given}
            url = (await unit.request("POST", "/storage/upload/", headers=headers)).headers["Location"]
            urls.append(url)
            await unit.patch(url, 0, CONTENT[start : start + (6 << 20)])
        process.kill()
        process = await asyncio.to_thread(server.start)
        for number, url in enumerate(urls):
            middle = (number * 12 << 20) + (6 << 20)
            assert await unit.offset(url) == 6 << 20
            await unit.patch(url, 6 << 20, CONTENT[middle : middle + (6 << 20)])
        process.kill()
        process = await asyncio.to_thread(server.start)
        headers = {**TUS, "Upload-Concat": f"final;{' '.join(urls)}", "Upload-Metadata": metadata(name="a")}
        assert (await unit.request("POST", "/storage/upload/", headers=headers)).status == 201
        assert (server.root / "a").read_bytes() == CONTENT
    finally:
        process.kill()


async def test_a_server_that_is_told_to_end_lets_uploads_finish(killable: tuple[UnitProcess, RunningUnit]) -> None:
    """After SIGTERM nobody new gets in, an upload under way is finished and answered, and the process ends."""
    server, unit = killable
    process = await asyncio.to_thread(server.start)
    try:
        url = (await unit.create("a", len(CONTENT))).headers["Location"]
        body = Counted(CONTENT)
        patching = asyncio.create_task(unit.patch(url, 0, body.__aiter__()))
        while body.taken < 4 << 20:
            await asyncio.wait([patching], timeout=0.01)
        os.kill(process.pid, signal.SIGTERM)
        await until(lambda: not server.answers())
        with pytest.raises(aiohttp.ClientConnectionError):
            await unit.offset(url)
        assert not patching.done()
        answer = await patching
        assert (answer.status, answer.headers["Upload-Offset"]) == (204, str(len(CONTENT)))
        assert (server.root / "a").read_bytes() == CONTENT
        assert await asyncio.to_thread(_ended, process.pid, 5.0)
    finally:
        process.kill()


async def test_the_log_is_json_without_secrets(killable: tuple[UnitProcess, RunningUnit]) -> None:
    """Each request is a line of JSON on standard error; no secret, no header and no query is in it."""
    server, unit = killable
    process = await asyncio.to_thread(server.start)
    try:
        headers = {
            **BYTES,
            "Upload-Length": "1",
            "Upload-Metadata": metadata(name="hidden-name"),
            "X-Request-ID": "abc",
        }
        await unit.request("POST", "/storage/upload/", headers=headers, data=b"1")
        await unit.request("GET", "/storage/items/?path=/hidden-query", secret="wrong-secret")
    finally:
        process.kill()
    text = server.log.read_text()
    assert '"request_id": "abc", "method": "POST", "path": "/storage/upload/", "status": 201' in text
    assert '"path": "/storage/items/", "status": 401' in text
    for hidden in (SECRETS.rw, SECRETS.ro, "wrong-secret", "hidden"):
        assert hidden not in text


def _ended(pid: int, seconds: float) -> bool:
    """Whether a child ends in that time; it is not waited for, so it stays a zombie."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False
