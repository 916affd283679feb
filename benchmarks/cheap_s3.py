"""An S3 that costs next to nothing: it forgets what is put, and gives the same bytes for whatever is got.

`python -m benchmarks.cheap_s3 [--delay SECONDS] [--rate BYTES] [--count N] [CERTIFICATE KEY]` prints its port and
serves until it is killed. It can answer after a delay, as over a long network, and send and receive so many bytes a
second on each connection, as large services do. It understands just enough for an upload and a download of many small
objects or a large one. The bucket `small` lists 10,000 objects of 16 KiB (or `--count`) below
`data/`, the bucket `big` one of 1 GiB; anything may be put anywhere, and every other bucket lists what was put there.
`POST /` takes the sizes of further objects by their paths, as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys
from typing import Any
from urllib.parse import parse_qsl, unquote

import uvloop

from dxflow_async import checksum

__all__ = ["BIG_SIZE", "COUNT", "SMALL_SIZE", "small_name"]

KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30
COUNT, SMALL_SIZE, BIG_SIZE = 10_000, 16 * KiB, GiB
_PIECE = 256 * KiB
_SHORTEST_WAIT = 0.001
_PATTERN = bytes(range(251)) * (MiB // 251 + 1)
_BLOCK = memoryview(_PATTERN[:MiB] * 2)
"""A megabyte twice: any quarter of a megabyte, wherever it begins, is one slice of it."""
_DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


def small_name(number: int) -> str:
    """The path of a small object below `data/`."""
    return f"{number // 100:03}/{number:05}.bin"


def _crc_of(size: int) -> str:
    crc, left = 0, size
    while left:
        piece = _BLOCK[: min(left, MiB)]
        crc, left = checksum.crc32c(piece, crc), left - len(piece)
    return checksum.encode(crc)


_CRCS = {size: _crc_of(size) for size in (SMALL_SIZE, BIG_SIZE)}
_stored: dict[str, int] = {}
"""Bytes of each object that was put, by its path: a client may look it up afterwards."""


class Connection(asyncio.BufferedProtocol):
    """Serves one connection.

    Args:
        delay: seconds before each answer.
        rate: the bytes per second in each direction; None for no limit.
        count: the objects of the bucket `small`.
    """

    def __init__(self, delay: float = 0.0, rate: float | None = None, count: int = COUNT) -> None:
        self._count = count
        self._delay = delay
        self._rate = rate
        self._free_at = 0.0
        self._timed = False
        self._buffer = memoryview(bytearray(_PIECE))
        self._head = bytearray()
        self._left = 0
        self._request: tuple[str, str, dict[str, str], dict[str, str]] | None = None
        self._sending = (0, 0)
        self._paused = False
        self._told: bytearray | None = None
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.set_write_buffer_limits(high=2 * _PIECE)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        received = self._buffer[:nbytes]
        while received:
            if self._request is None:
                self._head += received
                end = self._head.find(b"\r\n\r\n")
                if end < 0:
                    return
                rest = len(self._head) - end - 4
                self._begin(self._head[:end].decode("latin-1"))
                self._head.clear()
                received = received[len(received) - rest :]
            taken = min(self._left, len(received))
            self._left -= taken
            received = received[taken:]
            if self._told is not None:
                self._told += self._buffer[nbytes - len(received) - taken : nbytes - len(received)]
            if self._rate is not None and taken and (wait := self._reserve(taken)) > _SHORTEST_WAIT:
                self._transport.pause_reading()
                asyncio.get_running_loop().call_later(wait, self._transport.resume_reading)
            if not self._left:
                asyncio.get_running_loop().call_later(self._delay, self._answer) if self._delay else self._answer()

    def _reserve(self, size: int) -> float:
        """Returns the seconds until so many bytes have passed."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now) + size / (self._rate or 1.0)
        return self._free_at - now

    def _begin(self, head: str) -> None:
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ")
        path, _, query = target.partition("?")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        self._request = method, unquote(path), dict(parse_qsl(query, keep_blank_values=True)), headers
        self._left = int(headers.get("content-length", 0))
        self._told = bytearray() if method == "POST" and path == "/" else None

    def _answer(self) -> None:
        assert self._request is not None
        (method, path, query, headers), self._request = self._request, None
        if method == "PUT":
            self._stored(path, query, headers)
        elif self._told is not None:
            _stored.update(json.loads(self._told))
            self._reply("200 OK")
        elif method == "POST":
            self._multipart(path, query)
        elif "list-type" in query:
            self._list(path.strip("/"), query)
        elif method in ("GET", "HEAD"):
            self._get(method, path, headers)
        else:
            self._reply("204 No Content")

    def _stored(self, path: str, query: dict[str, str], headers: dict[str, str]) -> None:
        upload = query.get("uploadId", path)
        size = int(headers.get("content-length", 0))
        _stored[upload] = _stored.get(upload, 0) + size if "uploadId" in query else size
        crc = headers.get("x-amz-checksum-crc32c")
        self._reply("200 OK", 'ETag: "1"', "x-amz-request-id: 1", *([f"x-amz-checksum-crc32c: {crc}"] if crc else []))

    def _multipart(self, path: str, query: dict[str, str]) -> None:
        if "uploads" in query:
            name, found = "InitiateMultipartUploadResult", f"<UploadId>upload{len(_stored)}</UploadId>"
        else:
            name, found = "CompleteMultipartUploadResult", "<ETag>&quot;1-1&quot;</ETag>"
            _stored[path] = _stored.pop(query["uploadId"], 0)
        self._reply("200 OK", body=f"<{name}>{found}</{name}>")

    def _list(self, bucket: str, query: dict[str, str]) -> None:
        names = [small_name(number) for number in range(self._count)] if bucket == "small" else []
        size = SMALL_SIZE
        if bucket == "big":
            names, size = ["000/00000.bin"], BIG_SIZE
        prefix = query.get("prefix", "")
        sizes = {f"data/{name}": size for name in names if f"data/{name}".startswith(prefix)}
        if bucket not in ("small", "big"):
            above = f"/{bucket}/"
            sizes = {key[len(above) :]: put for key, put in _stored.items() if key.startswith(above + prefix)}
        keys = sorted(sizes)
        start = int(query.get("continuation-token", 0))
        end = min(start + 1000, len(keys))
        items = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;1&quot;</ETag><Size>{sizes[key]}</Size></Contents>"
            for key in keys[start:end]
        )
        more = f"<NextContinuationToken>{end}</NextContinuationToken>" if end < len(keys) else ""
        truncated = "true" if more else "false"
        self._reply(
            "200 OK",
            body=f"<ListBucketResult><Name>{bucket}</Name><Prefix>{prefix}</Prefix>"
            f"<EncodingType>url</EncodingType><IsTruncated>{truncated}</IsTruncated>{more}{items}</ListBucketResult>",
        )

    def _get(self, method: str, path: str, headers: dict[str, str]) -> None:
        size = _stored.get(path)
        if size is None and path.endswith(".bin"):
            size = {"/small": SMALL_SIZE, "/big": BIG_SIZE}.get(path[: path.index("/", 1)])
        if size is None:
            self._reply("404 Not Found", "x-amz-request-id: 1", length=0)
            return
        common = ('ETag: "1"', f"Last-Modified: {_DATE}", "x-amz-request-id: 1", "Accept-Ranges: bytes")
        if "range" in headers:
            first, _, last = headers["range"].removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or size - 1) + 1, size)
            status, extra = "206 Partial Content", [f"Content-Range: bytes {start}-{end - 1}/{size}"]
        else:
            start, end = 0, size
            crc = _CRCS.get(size)
            status, extra = (
                "200 OK",
                [f"x-amz-checksum-crc32c: {crc}", "x-amz-checksum-type: FULL_OBJECT"] if crc else [],
            )
        self._reply(status, *common, *extra, length=end - start)
        if method == "GET":
            self._sending = start, end
            self._send()

    def _reply(self, status: str, *headers: str, body: str = "", length: int | None = None) -> None:
        length = len(body) if length is None else length
        lines = (f"HTTP/1.1 {status}", f"Content-Length: {length}", "Content-Type: application/xml", *headers)
        self._transport.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())

    def _send(self) -> None:
        start, end = self._sending
        while start < end and not self._paused:
            offset, size = start % MiB, min(_PIECE, end - start)
            if self._rate is not None and self._timed:
                break
            self._transport.write(_BLOCK[offset : offset + size])
            start += size
            if self._rate is not None and (wait := self._reserve(size)) > _SHORTEST_WAIT:
                self._timed = True
                asyncio.get_running_loop().call_later(wait, self._go_on)
        self._sending = start, end

    def _go_on(self) -> None:
        self._timed = False
        if not self._transport.is_closing():
            self._send()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._send()


async def _serve(options: argparse.Namespace) -> None:
    context = None
    if options.files:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*options.files)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(options.delay, options.rate, options.count), "127.0.0.1", 0, ssl=context, backlog=1024
    )
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("files", nargs="*")
    uvloop.run(_serve(parser.parse_args()))
