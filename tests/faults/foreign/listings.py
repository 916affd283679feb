"""Pages of listings that are not what was asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote_plus

from tests.faults.foreign.answers import Changed, ForeignAnswer
from tests.faults.proxy import Dialect
from tests.faults.proxy.exchange import Exchange

__all__ = ["LISTINGS", "MORE", "OUTSIDE", "ForeignListing", "plain_names"]

OUTSIDE = "bystander/precious.bin"
"""A name outside of every prefix that is listed, at which there is an object."""

MORE: Mapping[Dialect, str] = {"AWS": "continuation-token=", "AZURE": "marker=", "GCP": "pageToken="}
"""What is in the target of a request for a further page."""

ForeignListing = Callable[[], ForeignAnswer]
"""Makes an answer for one trial."""


class Repeated(ForeignAnswer):
    """The first page, and the same page with the same token whenever a page is asked for."""

    name = "repeats its token"

    def __init__(self, truncate: Callable[[bytes], bytes]) -> None:
        self._truncate = truncate
        self._page: ForeignAnswer | None = None
        self._message: tuple[str, bytes] = "", b""

    async def give(self, exchange: Exchange) -> bool:
        if self._page is None:
            self._page = Changed(self.name, self._keep)
            return await self._page.give(exchange)
        head, body = self._message
        await exchange.take()
        head = re.sub(r"(?im)^(content-length|transfer-encoding):.*\r\n", "", head)
        await exchange.client.write(f"{head[:-2]}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body)
        return True

    def _keep(self, head: str, body: bytes) -> tuple[str, bytes]:
        self._message = head, self._truncate(body)
        return self._message


def _body(name: str, change: Callable[[bytes], bytes]) -> ForeignListing:
    return lambda: Changed(name, lambda head, body: (head, change(body)))


def _replaced(pattern: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """Replaces what is found once."""
    return lambda body: re.sub(pattern, lambda _: new, body, count=1)


def _document(change: Callable[[Any], Any]) -> Callable[[bytes], bytes]:
    return lambda body: json.dumps(change(json.loads(body))).encode()


def _cut_after(end: bytes) -> Callable[[bytes], bytes]:
    """Ends the page behind its first item."""
    return lambda body: body[: body.index(end) + len(end)] if end in body else body[: len(body) // 2]


_S3_ITEM = (
    f"<Contents><Key>{OUTSIDE}</Key><ETag>&#34;9e8be20518a17990b35608e99585c17f&#34;</ETag><Size>10000</Size>"
    "<LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
).encode()
_AZURE_ITEM = (
    f"<Blob><Name>{OUTSIDE}</Name><Properties><Last-Modified>Thu, 01 Jan 2026 00:00:00 GMT</Last-Modified>"
    "<Etag>0x1</Etag><Content-Length>10000</Content-Length></Properties></Blob>"
).encode()
_GCS_ITEM = {
    "kind": "storage#object",
    "name": OUTSIDE,
    "size": "10000",
    "generation": "1",
    "updated": "2026-01-01T00:00:00Z",
}
_UNIT_ITEM = {"name": f"../{OUTSIDE}", "directory": False, "size": 10_000, "modification": 1.0, "etag": "1"}

_S3_BUCKETS = b"<ListAllMyBucketsResult><Buckets><Bucket><Name>other</Name></Bucket></Buckets></ListAllMyBucketsResult>"
_AZURE_CONTAINERS = (
    b"<EnumerationResults><Containers><Container><Name>other</Name></Container></Containers></EnumerationResults>"
)

LISTINGS: Mapping[Dialect, Mapping[str, ForeignListing]] = {
    "AWS": {
        "another kind": _body("another kind", lambda _: _S3_BUCKETS),
        "ends after an item": _body("ends after an item", _cut_after(b"</Contents>")),
        "name outside": _body("name outside", _replaced(rb"(?=<EncodingType>|</ListBucketResult>)", _S3_ITEM)),
        "repeats its token": lambda: Repeated(
            _replaced(
                rb"<IsTruncated>false</IsTruncated>",
                b"<IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken>",
            )
        ),
        "truncated without a token": _body(
            "truncated without a token",
            _replaced(rb"<IsTruncated>false</IsTruncated>", b"<IsTruncated>true</IsTruncated>"),
        ),
    },
    "AZURE": {
        "another kind": _body("another kind", lambda _: _AZURE_CONTAINERS),
        "ends after an item": _body("ends after an item", _cut_after(b"</Blob>")),
        "name outside": _body("name outside", _replaced(rb"(?=</Blobs>)|(?<=<Blobs)/>", _AZURE_ITEM)),
        "repeats its token": lambda: Repeated(_replaced(rb"<NextMarker */>", b"<NextMarker>again</NextMarker>")),
    },
    "GCP": {
        "another kind": _body(
            "another kind", _document(lambda _: {"kind": "storage#buckets", "items": [{"name": "other"}]})
        ),
        "name outside": _body(
            "name outside", _document(lambda page: {**page, "items": [*page.get("items", ()), _GCS_ITEM]})
        ),
        "repeats its token": lambda: Repeated(_document(lambda page: {**page, "nextPageToken": "again"})),
    },
    "UNIT": {
        "another kind": _body("another kind", _document(lambda items: {"items": items})),
        "ends after an item": _body("ends after an item", _cut_after(b"}")),
        "name outside": _body("name outside", _document(lambda items: [*items, _UNIT_ITEM])),
    },
}
"""Wrong pages, by service and name."""


def plain_names(head: str, body: bytes) -> tuple[str, bytes]:
    """The page of a server that does not know `encoding-type`: keys as they are, and no word of an encoding."""
    text = body.decode().replace("<EncodingType>url</EncodingType>", "")
    return head, re.sub(r"(?<=<Key>)[^<]*|(?<=<Prefix>)[^<]*", lambda key: unquote_plus(key[0]), text).encode()
