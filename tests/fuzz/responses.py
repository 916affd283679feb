"""What must hold of the fast lane for any bytes that a server sends, however they are cut."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from dxflow_async.net.errors import NetError
from dxflow_async.net.fast.connection import INBOX_SIZE, Connection
from dxflow_async.net.request import Origin, Request, Timeouts, build_head

__all__ = ["ANSWERS", "CUTS", "METHODS", "Outcome", "exchange", "oracle"]

_BODY = st.binary(max_size=60)
_NAMES = st.sampled_from(
    ["ETag", "Content-Length", "Transfer-Encoding", "Connection", "X-A", "Content-Length ", "\u00e9"]
)
_VALUES = st.sampled_from(
    ["5", "0", "-1", "+2", "chunked", "gzip", "close", "keep-alive", "upgrade", "1, 1", "", "a\x00b", "9" * 30]
)
_ENDS = st.sampled_from([b"\r\n", b"\n", b"\r", b""])


@st.composite
def _heads(draw: st.DrawFn) -> bytes:
    status = draw(
        st.sampled_from([b"200 OK", b"204 No", b"304 N", b"100 C", b"103 E", b"101 S", b"404 X", b"abc", b"999 "])
    )
    version = draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9.9", b"ICY"]))
    lines = draw(st.lists(st.tuples(_NAMES, _VALUES), max_size=4))
    end = draw(st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"]))
    head = [version + b" " + status, *(f"{name}: {value}".encode("latin-1") for name, value in lines)]
    return end.join([*head, b"", b""])


@st.composite
def _chunked(draw: st.DrawFn) -> bytes:
    chunks = b""
    for data in draw(st.lists(_BODY, max_size=3)):
        size = draw(st.sampled_from([b"%x" % len(data), b"%X;a=b" % len(data), b"0%x" % len(data), b"zz", b"f" * 20]))
        chunks += size + draw(_ENDS) + data + b"\r\n"
    trailers = draw(st.sampled_from([b"", b"ETag: b\r\n", b"X-Trailer: 1\r\n", b"Content-Length: 3\r\n"]))
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n" + trailers + draw(_ENDS)


@st.composite
def _measured(draw: st.DrawFn) -> bytes:
    body, more = draw(_BODY), draw(st.integers(-2, 2))
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (max(len(body) + more, 0), body)


ANSWERS = st.lists(st.one_of(_heads(), _measured(), _chunked(), _BODY), max_size=4).map(b"".join)
"""Bytes that look like answers, more or less."""
CUTS = st.lists(st.integers(0, 400), max_size=8)
METHODS = st.sampled_from(["GET", "HEAD", "PUT", "DELETE"])

Outcome = tuple[int, dict[str, str], bytes, bool] | None
"""Status, headers and body of the answer, and whether the connection may be used again; None: it was refused."""


class Wire(asyncio.Transport):
    """A transport without a socket: what it receives is fed by hand."""

    unsent_size = 0

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self.protocol = protocol
        self.closing = False
        self.reading = True

    def write(self, data: Any) -> None:
        """Sends it nowhere."""

    def writelines(self, list_of_data: Any) -> None:
        """Sends them nowhere."""

    def get_read_buffer_size(self) -> int:
        """Nothing lies unread."""
        return 0

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        self.end(None)

    def end(self, error: Exception | None) -> None:
        """Ends the connection."""
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, error)

    def feed(self, data: bytes) -> None:
        """Receives bytes."""
        while data and not self.closing:
            buffer = self.protocol.get_buffer(-1)
            size = min(len(buffer), len(data))
            assert size
            buffer[:size] = data[:size]
            self.protocol.buffer_updated(size)
            data = data[size:]


def exchange(method: str, data: bytes, cuts: Sequence[int]) -> Outcome:
    """What a client makes of an answer that comes in these pieces, before the server closes the connection."""
    return asyncio.run(_exchange(method, data, cuts))


async def _exchange(method: str, data: bytes, cuts: Sequence[int]) -> Outcome:
    connection = Connection(memoryview(bytearray(INBOX_SIZE)), Timeouts(stall=5.0), lambda _: None)
    wire = Wire(connection)
    connection._transport = wire  # type: ignore[assignment]
    head = build_head(method, "/", {"host": "h"})
    request = Request(Origin("http", "h", 80), method, "http://h/", {}, head, None, None, None)

    async def feed() -> None:
        edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
        for start, end in pairwise(edges):
            await asyncio.sleep(0)
            wire.feed(data[start:end])
        for _ in range(3):
            await asyncio.sleep(0)
        wire.end(None)

    feeding = asyncio.create_task(feed())
    try:
        async with asyncio.timeout(5):
            response = await connection.request(request)
            body = bytearray()
            while chunk := await response.read():
                body += chunk
            usable = connection.usable
            response.close()
            return response.status, dict(response.headers), bytes(body), usable
    except NetError:
        return None
    finally:
        await feeding
        connection.abort()


def oracle(outcome: Outcome) -> None:
    """Fails where an answer cannot be what it seems.

    Raises:
        AssertionError: the status is interim, the body has another length than announced, or a header is malformed.
    """
    if outcome is None:
        return
    status, headers, body, _ = outcome
    assert status >= 200
    assert "x-trailer" not in headers
    for name, value in headers.items():
        assert name == name.lower()
        assert not set("\r\n\0") & set(name + value)
    if body and "content-length" in headers:
        assert len(body) == int(headers["content-length"])
