"""An S3 that only lists: two million keys, pages rendered beforehand, each answer after a delay.

`python -m benchmarks.listing_server [--count N] [--delay SECONDS]` prints its port and serves until it is killed.
Its buckets are shapes of key spaces: `flat`, `deep`, `hot` and `unicode`. All keys are rendered in memory before the
first request, so that an answer costs the server a search and a copy, wherever a page begins.
"""

from __future__ import annotations

import argparse
import asyncio
from array import array
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit
from xml.sax.saxutils import escape

import uvloop

__all__ = ["SHAPES", "Bucket"]

_PAGE = 1000


def _flat(count: int) -> list[str]:
    return [f"data/file-{number:08}.bin" for number in range(count)]


def _deep(count: int) -> list[str]:
    return [
        f"run-{number // 20_000:03}/step-{number // 500 % 40:02}/rank-{number // 10 % 50}/part-{number % 10}.npy"
        for number in range(count)
    ]


def _hot(count: int) -> list[str]:
    few = count // 100
    hot = [f"projects/ocean-model/output/daily/t{number:09}.nc" for number in range(count - 2 * few)]
    return [f"archive/{number}" for number in range(few)] + hot + [f"scratch/{number}" for number in range(few)]


def _unicode(count: int) -> list[str]:
    letters = [chr(first + offset) for first in (0xE0, 0x430, 0x3B1, 0x4E00, 0xAC00, 0x1F600) for offset in range(20)]
    many = len(letters)
    return [
        "".join(letters[number // many**digit % many] for digit in range(4)) + f"/{number:07}"
        for number in range(count)
    ]


SHAPES: dict[str, Callable[[int], list[str]]] = {"flat": _flat, "deep": _deep, "hot": _hot, "unicode": _unicode}
"""The shapes of key spaces by their names. Each takes the number of keys and returns them in any order."""


class Bucket:
    """The keys of one bucket, rendered one after the other."""

    def __init__(self, name: str, keys: list[str]) -> None:
        self._name = name
        self.keys = sorted(keys)
        self._starts = array("Q", [0])  # of each key in what is rendered, and the end of it
        self._rendered = bytearray()
        for start in range(0, len(self.keys), _PAGE):
            rendered = list(map(_render, self.keys[start : start + _PAGE]))
            self._starts.extend(accumulate(map(len, rendered[1:]), initial=self._starts[-1] + len(rendered[0])))
            self._rendered += b"".join(rendered)

    def page(self, query: dict[str, str]) -> bytes:
        """Returns the page that a query of ListObjectsV2 asks for."""
        start, size = int(query.get("continuation-token", 0)), min(int(query.get("max-keys", _PAGE)), _PAGE)
        if "start-after" in query:
            start = bisect_right(self.keys, query["start-after"])
        end = min(start + size, len(self.keys))
        echo = "".join(
            f"<{tag}>{escape(query[name])}</{tag}>"
            for tag, name in (("StartAfter", "start-after"), ("ContinuationToken", "continuation-token"))
            if name in query
        )
        more = end < len(self.keys)
        head = (
            '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{self._name}</Name><Prefix></Prefix><MaxKeys>{size}</MaxKeys><EncodingType>url</EncodingType>{echo}"
            f"<KeyCount>{end - start}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>"
        )
        if more:
            head += f"<NextContinuationToken>{end}</NextContinuationToken>"
        body = memoryview(self._rendered)[self._starts[start] : self._starts[end]]
        return b"".join((head.encode(), body, b"</ListBucketResult>"))


def _render(key: str) -> bytes:
    return (
        f"<Contents><Key>{quote(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        "<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>4096</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
    ).encode()


class _Connection(asyncio.Protocol):
    def __init__(self, buckets: dict[str, Bucket], delay: float) -> None:
        self._buckets, self._delay, self._head = buckets, delay, b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._head += data
        while (end := self._head.find(b"\r\n\r\n")) >= 0:
            line, self._head = self._head[:end].split(b"\r\n")[0], self._head[end + 4 :]
            asyncio.get_running_loop().call_later(self._delay, self._answer, line.split()[1].decode())

    def _answer(self, target: str) -> None:
        url = urlsplit(target)
        bucket = self._buckets.get(url.path.strip("/"))
        status, body = (404, b"") if bucket is None else (200, bucket.page(dict(parse_qsl(url.query))))
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/xml\r\ncontent-length: {len(body)}\r\n\r\n"
        if not self._transport.is_closing():
            self._transport.write(head.encode() + body)


async def _serve(count: int, delay: float, shapes: list[str]) -> None:
    buckets = {shape: Bucket(shape, SHAPES[shape](count)) for shape in shapes}
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(buckets, delay), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=2_000_000, metavar="N", help="keys of each bucket")
    arguments.add_argument("--delay", type=float, default=0.04, metavar="SECONDS", help="delay of each answer")
    arguments.add_argument("--shape", action="append", choices=SHAPES, help="only this bucket; may be repeated")
    given = arguments.parse_args()
    uvloop.run(_serve(given.count, given.delay, given.shape or list(SHAPES)))
