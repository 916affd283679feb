"""The programs of `docs/applications.md`."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import dxflow_async
from tests.docs.code_blocks import code_blocks
from tests.sessions import tasks

pytest.importorskip("httpx", reason="the client is httpx")
pytest.importorskip("starlette", reason="the application is one of Starlette")
pytest.importorskip("uvicorn", reason="the server is uvicorn")

import httpx
import uvicorn

DOCUMENT = Path(dxflow_async.__file__).parent / "docs/applications.md"
DATA = os.urandom(1 << 20) * 24


@pytest.fixture
async def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application under uvicorn."""
    monkeypatch.setenv("FILES", str(tmp_path / "files"))
    monkeypatch.setenv("DXFLOW_HOME", str(tmp_path / "home"))
    names: dict[str, Any] = {"__name__": "files"}
    exec(compile(code_blocks(DOCUMENT, "python")[0], "files.py", "exec"), names)
    config = uvicorn.Config(names["app"], port=0, log_level="warning", ws="none", lifespan="on")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110 - the server has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/files/", timeout=30) as client:
        yield client
    server.should_exit = True
    await serving


async def put(client: httpx.AsyncClient, name: str, data: bytes) -> None:
    assert (await client.put(name, content=data)).status_code == 201


async def test_files_come_back(client: httpx.AsyncClient, tmp_path: Path) -> None:
    """A streamed upload is stored as it was sent, and is downloaded with its size, tag and type."""

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(DATA), 100_000):
            yield DATA[start : start + 100_000]

    sent = await client.put("dir/x.csv", content=chunks())
    assert (sent.status_code, sent.json()) == (201, {"size": len(DATA)})
    assert (tmp_path / "files/dir/x.csv").read_bytes() == DATA
    got = await client.get("dir/x.csv")
    assert got.content == DATA
    assert got.headers["content-type"].startswith("text/csv")
    head = await client.head("dir/x.csv")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(DATA)), b"")
    await put(client, "empty", b"")
    assert (await client.get("empty")).content == b""
    assert (await client.get("missing")).status_code == 404
    assert (await client.get("dir")).status_code == 404


@pytest.mark.parametrize("name", ["", "/", "/etc/passwd", "%2Fetc/passwd", "..%2F..%2Fetc/passwd", "a/%2E%2E/%2E%2E/x"])
async def test_names_of_no_file(client: httpx.AsyncClient, name: str, tmp_path: Path) -> None:
    """Whatever a client writes for a name, nothing outside the directory is read or written, and no call breaks."""
    url = f"{client.base_url}{name}"
    assert (await client.get(url)).status_code == 404
    assert (await client.put(url, content=b"x")).status_code in (400, 404)
    assert not (tmp_path / "files").is_file()
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("asked", "status", "start", "end"),
    [
        ("bytes=0-0", 206, 0, 1),
        ("bytes=5-", 206, 5, 1000),
        ("bytes=5-9", 206, 5, 10),
        ("bytes=990-5000", 206, 990, 1000),
        ("bytes=-10", 206, 990, 1000),
        ("bytes=-5000", 206, 0, 1000),
        ("bytes=1000-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=9-5", 200, 0, 1000),
        ("bytes=0-1,5-6", 200, 0, 1000),
        ("lines=1-2", 200, 0, 1000),
        (f"bytes=0-{'9' * 5000}", 200, 0, 1000),
    ],
)
async def test_ranges(client: httpx.AsyncClient, asked: str, status: int, start: int, end: int) -> None:
    """Ranges are those of RFC 9110; one that is not understood is ignored, and so is that of a HEAD."""
    await put(client, "x", DATA[:1000])
    got = await client.get("x", headers={"range": asked})
    assert (got.status_code, got.content) == (status, DATA[start:end])
    if status == 206:
        assert got.headers["content-range"] == f"bytes {start}-{end - 1}/1000"
    if status == 416:
        assert got.headers["content-range"] == "bytes */1000"
    head = await client.head("x", headers={"range": asked})
    assert (head.status_code, head.headers["content-length"]) == (200, "1000")


async def test_tags(client: httpx.AsyncClient) -> None:
    """A known version is 304, also by a weak tag in a list; a range of another version is the whole object."""
    await put(client, "x", DATA[:1000])
    tag = (await client.get("x")).headers["etag"]
    for known in (tag, f'"other", W/{tag}', "*"):
        assert (await client.get("x", headers={"if-none-match": known})).status_code == 304
    assert (await client.get("x", headers={"if-none-match": '"other"'})).status_code == 200
    assert (await client.get("x", headers={"range": "bytes=0-4", "if-range": tag})).status_code == 206
    assert (await client.get("x", headers={"range": "bytes=0-4", "if-range": '"other"'})).status_code == 200


async def test_clients_that_go_away(client: httpx.AsyncClient, tmp_path: Path) -> None:
    """Half an upload is not stored, and half a download leaves nothing running."""
    await put(client, "x", DATA)
    before = tasks()
    async with client.stream("GET", "x") as response:
        async for _ in response.aiter_bytes(1000):
            break

    async def half() -> AsyncIterator[bytes]:
        yield DATA[: 4 << 20]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await client.put("half", content=half())
    assert (await client.get("half")).status_code == 404
    async with asyncio.timeout(10):
        while [each for each in tasks() - before if "dxflow_async" in repr(each)]:  # noqa: ASYNC110 - tasks of others
            await asyncio.sleep(0.01)
    assert os.listdir(tmp_path / "files") == ["x"]


@pytest.mark.parametrize("number", range(1, 4))
def test_other_programs(tmp_path: Path, number: int) -> None:
    """The shorter programs run as they stand."""
    blocks = code_blocks(DOCUMENT, "python")
    assert len(blocks) == 4
    if "tqdm" in blocks[number]:
        pytest.importorskip("tqdm")
    environment = {**os.environ, "DXFLOW_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", blocks[number]]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
