"""Clients that send or read too slowly, or go away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from dxflow_async import Settings
from dxflow_async.config.settings import S3Settings
from dxflow_async.hub_page import answers, tus
from tests.hub_page.page_client import Browser, running_page


async def test_a_request_that_brings_no_bytes_ends(
    disk_user: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upload stays at the bytes that came."""
    monkeypatch.setattr(tus, "_STALL_SECONDS", 0.2)

    async def slow() -> AsyncIterator[bytes]:
        yield b"abc"
        await asyncio.sleep(30)

    upload = (await disk_user.create(f"local:{tmp_path}/x", 6)).headers["Location"]
    answer = await disk_user.patch(upload, 0, slow())
    assert (answer.status, answer.code) == (408, "stalled")
    assert (await disk_user.patch(upload, 3, b"def")).status == 204
    assert (tmp_path / "x").read_bytes() == b"abcdef"


@pytest.mark.parametrize("path", ["page/file", "page/zip"])
async def test_an_answer_that_nobody_reads_ends(
    disk_user: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """It holds its memory and its source no longer than a minute, and is cut, so that it does not look whole."""
    monkeypatch.setattr(answers, "_SLOW_SECONDS", 0.3)
    (tmp_path / "large").write_bytes(bytes(64 << 20))
    async with disk_user.open("GET", path, location=f"local:{tmp_path}/large") as response:
        await asyncio.sleep(1.5)
        with pytest.raises(aiohttp.ClientError):
            await response.read()


@contextlib.asynccontextmanager
async def silent_server() -> AsyncIterator[tuple[str, asyncio.Event, asyncio.Event]]:
    """A server that accepts and never answers; the events say that somebody has come, and has gone."""
    came, gone = asyncio.Event(), asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        with contextlib.suppress(ConnectionError):
            while await reader.read(1 << 16):
                pass
        gone.set()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", came, gone
    server.close()


@pytest.mark.parametrize("path", ["page/list", "page/size", "page/search", "page/preview", "page/zip"])
async def test_work_ends_when_the_client_is_gone(tmp_path: Path, path: str) -> None:
    """A request to the storage is given up as soon as nobody waits for its answer."""
    async with silent_server() as (endpoint, came, gone):
        aws = S3Settings(endpoint=endpoint, access_key="a", secret_key="b")
        settings = replace(Settings(home=tmp_path), aws=aws)
        async with running_page(settings) as user:
            task = asyncio.create_task(user.get(path, location="aws:/bucket/x/y", text="x"))
            async with asyncio.timeout(60):
                await came.wait()
                task.cancel()
                await gone.wait()
            await asyncio.wait({task})
