"""Heads and bodies that are slow, cut, or no HTTP: bounded, answered, and in no log."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dxflow_async.server.common import connections
from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.hub.app import create_app
from dxflow_async.server.unit import receiving
from dxflow_async.server.unit.app import CONNECTION_OPTIONS, create_unit_app
from tests.server.running_hub import SECRETS, RunningUnit, metadata
from tests.servers.certificate import make_certificate

HEAD = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@asynccontextmanager
async def served(kind: str, directory: Path, **listening: Any) -> AsyncIterator[int]:
    """The port of a hub or a unit."""
    (directory / "root").mkdir(exist_ok=True)
    is_hub = kind == "hub"
    app = create_app(directory / "home") if is_hub else create_unit_app(directory / "root", SECRETS)
    server = Server(app, Listening(**listening), None if is_hub else CONNECTION_OPTIONS)
    yield int((await server.start()).rpartition(":")[2])
    await server.aclose(1.0)


async def exchange(port: int, content: bytes) -> bytes:
    """All that is answered to some bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(content)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, letters: str) -> float:
    """Seconds until a server gives up somebody who sends a letter now and then."""
    started = time.monotonic()
    try:
        for letter in letters:
            writer.write(letter.encode())
            await writer.drain()
            async with asyncio.timeout(0.05):
                assert await reader.read(1) == b""
                return time.monotonic() - started
    except TimeoutError:
        return await drip(reader, writer, letters[1:])
    except ConnectionError:
        return time.monotonic() - started
    raise AssertionError("nobody gave it up")


@pytest.mark.parametrize("kind", ["hub", "unit"])
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("kept", [False, True])
async def test_slow_heads(kind: str, tls: bool, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that comes letter by letter ends its connection in time: a new one, one that was kept, with TLS or not."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.4)
    certificate, key, authority = make_certificate(tmp_path)
    listening = {"tls_cert": certificate, "tls_key": key} if tls else {}
    context = ssl.create_default_context(cafile=str(authority)) if tls else None
    async with served(kind, tmp_path, **listening) as port:
        reader, writer = await asyncio.open_connection("localhost" if tls else "127.0.0.1", port, ssl=context)
        if kept:
            writer.write(f"{HEAD}\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len('{"status": "ok"}'))
            assert head.startswith(b"HTTP/1.1 200")
        assert await drip(reader, writer, HEAD + "X-Filling: " + "x" * 200) < 5
        writer.close()


async def test_a_silent_connection_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection on which nothing comes ends, too; one that is kept for the next request lives on for longer."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    async with served("hub", tmp_path) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(f"{HEAD}\r\n".encode())
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            await reader.readexactly(len('{"status": "ok"}'))
            await asyncio.sleep(0.4)
        writer.close()


async def test_slow_bodies(unit: RunningUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that hardly moves is given up, what came of it counts; one that makes progress is not cut."""
    monkeypatch.setattr(receiving, "STALL_SECONDS", 0.5)
    monkeypatch.setattr(receiving, "_MIN_PROGRESS", 100)

    async def body(piece: bytes, times: int) -> AsyncIterator[bytes]:
        for _ in range(times):
            yield piece
            await asyncio.sleep(0.1)

    slow = await unit.create("slow", 1000)
    answer = await unit.patch(slow.headers["Location"], 0, body(b"x", 40))
    assert (answer.status, answer.code) == (408, "stalled")
    assert 0 < await unit.offset(slow.headers["Location"]) < 30
    steady = await unit.create("steady", 1200)
    assert (await unit.patch(steady.headers["Location"], 0, body(b"x" * 100, 12))).status == 204


async def test_an_answer_that_nobody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks and does not read is given up, and holds nothing."""
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.3)
    server = Server(create_app(tmp_path / "home"), Listening())
    port = int((await server.start()).rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"

    async def flood() -> None:
        while True:
            writer.write(asked * 10)
            await writer.drain()
            await asyncio.sleep(0)

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(flood(), 20)
    writer.close()
    await server.aclose(1.0)


@pytest.mark.parametrize("kind", ["hub", "unit"])
async def test_heads_that_are_refused_show_nowhere(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no HTTP is a 400 as JSON, or the connection's end; no secret in it reaches the log or the answer."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    caplog.set_level(logging.DEBUG)
    secret = SECRETS.rw
    lines = f"GET /storage/items/?path=/ HTTP/1.1\r\nHost: localhost\r\nX-SECRET-KEY: {secret}"
    heads = [
        f"{lines}\x01\r\n\r\n",
        f"{lines}\r\nX-Odd: a\x00b\r\n\r\n",
        f"{lines}\r\nno colon {secret}\r\n\r\n",
        f"{lines}\r\nContent-Length: {secret}\r\n\r\n",
        f"{lines}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        f"{lines}\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        f"{lines}\r\nX-Filling: {'x' * 300_000}\r\n\r\n",
        f"{secret} / HTTP/1.1\r\n\r\n",
        f"GET /{secret} HTTP/9.9\r\n\r\n",
        f"GET http://[::1/{secret} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        f"GET //[::1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-SECRET-KEY: {secret}\r\n\r\n",
        f"\x16\x03\x01{secret}",
    ]
    async with served(kind, tmp_path) as port:
        for head in heads:
            answer = await exchange(port, head.encode("latin-1"))
            assert not answer or int(answer.split()[1]) in (400, 401, 404, 431), (head[:200], answer)
            assert secret.encode() not in answer
            if answer:
                assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"].keys() == {"code", "message"}
    assert secret not in caplog.text
    assert "Traceback" not in caplog.text


HOSTILE = st.one_of(
    st.sampled_from(
        [
            "final;http://[::1/x",
            "final;/storage/upload/[",
            "final; http://a:b:c/ //[",
            "bytes=0-0,1-1",
            "bytes=\u0661-",
            '"unclosed',
            "W/",
            "1e999",
            "-1",
            "9" * 30,
            "a;b=c;;=",
            "text/plain; charset=\x80",
            "crc32c",
            "sha1 ====",
            "path \x80,name eA==",
            "Thu, 99 Foo 2026",
            "0" * 5000,
        ]
    ),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=40),
)
HEADERS = [
    "Upload-Concat",
    "Upload-Length",
    "Upload-Offset",
    "Upload-Metadata",
    "Upload-Checksum",
    "Tus-Resumable",
    "X-HTTP-Method-Override",
    "Content-Type",
    "Content-Encoding",
    "Range",
    "If-Range",
    "If-Match",
    "If-None-Match",
    "If-Modified-Since",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Request-ID",
    "Cookie",
    "Accept",
    "Authorization",
    "Expect",
]
PATHS = [
    "/storage/upload/",
    "/storage/upload/x",
    "/storage/items/",
    "/storage/download/",
    "/storage/transfer/",
    "/users/x/",
    "/users/x/compute/units/",
    "/users/x/providers/AWS/",
    "/compute/units/x/",
    "/auth/login/",
    "/healthz",
]
QUERIES = st.one_of(
    st.sampled_from(
        ["", "path=/a", "path=/&path=/", "path=%00", "path=%FF", "path=/..", "path=/&recursive=x&limit=-1"]
    ),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    path=st.sampled_from(PATHS),
    query=QUERIES,
    headers=st.dictionaries(st.sampled_from(HEADERS), HOSTILE, max_size=4),
    body=st.sampled_from([b"", b"x", b"{}", b"[" * 3000, b'{"a": 1e999}', b'{"src": ["/a"], "path": 1}']),
)
async def test_no_request_makes_a_server_fail(
    two_ports: tuple[int, int], method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    """Whatever a request's head and body say, it is answered, and never with a 500."""
    given_headers = {"Content-Type": "application/json", "Upload-Length": "1", **headers}
    if path == "/storage/upload/" and "Upload-Metadata" not in headers:
        given_headers["Upload-Metadata"] = metadata(path="/d", name="n")
    lines = "".join(f"{name}: {value.strip()}\r\n" for name, value in given_headers.items())
    start = (
        f"{method} {path}?{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-SECRET-KEY: {SECRETS.rw}\r\n"
    )
    head = f"{start}{lines}Content-Length: {len(body)}\r\n\r\n".encode("latin-1", "replace")
    for port in two_ports:
        answer = await exchange(port, head + body)
        assert answer, head
        statuses = [int(line.split()[1]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.")]
        assert all(status < 500 or status == 507 for status in statuses), (head, answer[:500])


@pytest.fixture
async def two_ports(tmp_path: Path) -> AsyncIterator[tuple[int, int]]:
    """Those of a hub and of a unit."""
    async with served("hub", tmp_path) as hub, served("unit", tmp_path) as unit:
        yield hub, unit
