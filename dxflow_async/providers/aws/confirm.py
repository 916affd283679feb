"""Confirms results whose responses lack the marks of S3, such as an ETag.

A response with status 200 may come from a proxy or a sign-in page. If a response does not show that it is S3's, the
object or part is looked up by another request before anything relies on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dxflow_async import checksum
from dxflow_async.exceptions import NotFoundError, PreconditionFailedError
from dxflow_async.providers.aws.headers import (
    describes_object,
    etag_of,
    has_service_headers,
    range_headers,
    split_key,
)
from dxflow_async.providers.aws.listed_parts import list_parts
from dxflow_async.providers.common.bare_success import BareSuccess
from dxflow_async.providers.common.confirm import contradiction, disagreement, not_the_service
from dxflow_async.providers.common.etags import opaque_tag, same_etag
from dxflow_async.providers.contract import Body, Entry, Part
from dxflow_async.providers.http import Call

if TYPE_CHECKING:
    from dxflow_async.providers.aws.provider import AWSProvider

__all__ = ["Signs", "confirm_part", "confirm_read", "confirm_seen", "confirm_stored", "look_by_read"]


class Signs:
    """Remembers which marks of S3 the responses of one endpoint carry.

    Attributes:
        plain: this endpoint sends none of S3's own headers, and a second lookup agreed with the first.
        deletions: whether a deletion is believed that has none of them.
    """

    def __init__(self) -> None:
        self.plain = False
        self.deletions = BareSuccess()
        self._telling: set[str] = set()

    def known(self, headers: Mapping[str, str]) -> bool:
        """Returns whether a response about an object carries a mark of S3, or its endpoint is known to send none."""
        return has_service_headers(headers) or (self.plain and not _is_text(headers))

    def confirm(self, headers: Mapping[str, str], body: Body, kind: str, stored: int | None, *, empty: bool) -> bool:
        """Returns whether the response alone proves that a body was stored: it is empty and names a version.

        An endpoint that returned a checksum for one `kind` ("object" or "part") is expected to do so each time.
        `stored` is the CRC32C of the response, as `crc32c_of` returns it.
        """
        told = "x-amz-checksum-crc32c" in headers
        if told:
            self._telling.add(kind)
            if empty and stored is not None and stored == body.crc32c and has_service_headers(headers):
                return True  # also without an ETag, which some proxies remove
        # A missing part is noticed when the upload is completed. An ETag marks an object even without AWS's headers,
        # but a response of type text/... probably comes from something else.
        named = etag_of(headers) is not None and (
            kind == "part" or has_service_headers(headers) or not _is_text(headers)
        )
        return empty and named and (told or kind not in self._telling or body.crc32c is None)


def _is_text(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").startswith("text/")


async def confirm_read(provider: AWSProvider, call: Call, seen: Entry) -> None:
    """Compares a response that may not be S3's with a second lookup.

    Raises:
        ServiceError: the two contradict each other.
    """
    now = await provider.stat(seen.key)
    if (differs := disagreement(now, seen)) is not None:
        raise contradiction(call, differs)


async def confirm_seen(provider: AWSProvider, call: Call, seen: Entry) -> Entry:
    """Confirms the response to a HEAD request, which lacks the marks of S3, by a listing.

    Raises:
        ServiceError: the listing has no such object of that size.
    """
    try:
        page = await provider.list_page(seen.key, recursive=True)
    except NotFoundError as error:
        raise not_the_service(call, "the response does not describe an object") from error
    for entry in page.entries[:1]:
        if (entry.key, entry.size) == (seen.key, seen.size):
            return seen
    raise not_the_service(call, "the response does not describe an object, and no listing contains it")


async def look_by_read(provider: AWSProvider, call: Call, key: str) -> Entry:
    """Looks up an object by a request for its first byte, where HEAD is refused or does not tell the size.

    Raises:
        ServiceError: neither this request nor a listing tells the size.
    """
    bucket, name = split_key(key)
    headers = {**range_headers(0, None, None), "range": "bytes=0-0"}
    try:
        response = await provider.requests.send(call, "GET", bucket, name, headers)
    except PreconditionFailedError:
        response = await provider.requests.send(call, "GET", bucket, name, range_headers(0, None, None))  # it is empty
    response.close()
    told = response.headers.get("content-range", "").rpartition("/")[2]
    if response.status == 200:
        told = response.headers.get("content-length", "")
    headers = response.headers
    size = int(told) if told.isdecimal() else await _listed_size(provider, call, key, etag_of(headers))
    entry = provider.described(key, headers, size, etag_of(headers))
    entry.directory = not entry.size and key.endswith("/")
    return entry if describes_object(response.headers) else await confirm_seen(provider, call, entry)


async def _listed_size(provider: AWSProvider, call: Call, key: str, etag: str | None) -> int:
    """Returns the size that a listing reports for a version.

    Raises:
        ServiceError: no listing has it.
    """
    page = await provider.list_page(key, recursive=True)
    for entry in page.entries[:1]:
        if entry.key == key and same_etag(entry.etag, etag):
            return entry.size
    raise not_the_service(call, "it does not tell the object's size, and no listing contains it")


async def confirm_stored(provider: AWSProvider, call: Call, key: str, body: Body) -> Entry:
    """Looks up an object that was sent and compares its checksum, its MD5 or its bytes.

    Raises:
        ServiceError: the stored object differs from what was sent.
    """
    try:
        found = await provider.stat(key)
    except NotFoundError as error:
        raise not_the_service(call, "nothing is stored under that name") from error
    if found.size != body.size:
        raise not_the_service(call, f"{found.size} bytes are stored instead of the {body.size} that were sent")
    if None in (found.crc32c, body.crc32c):
        same = (
            opaque_tag(found.etag or "")
            == (await provider.requests.digest(hashlib.md5(usedforsecurity=False), body)).hex()
        )
        same = same or await _has_bytes_of(provider, found, body)
    else:
        same = found.crc32c == body.crc32c
    if not same:
        raise not_the_service(call, "the stored bytes differ from those that were sent")
    return found


async def _has_bytes_of(provider: AWSProvider, found: Entry, body: Body) -> bool:
    stored = sent = 0
    async for chunk in body:
        sent = checksum.crc32c(chunk, sent)
    async with await provider.read(found.key, etag=found.etag) as reading:
        async for chunk in reading:
            stored = checksum.crc32c(chunk, stored)
    return stored == sent


async def confirm_part(
    provider: AWSProvider, call: Call, key: str, upload_id: str, part: Part, body: Body
) -> str | None:
    """Looks up a part that was sent and returns its etag, which must be its MD5; None if the service tells none.

    Raises:
        ServiceError: the stored part differs from what was sent.
    """
    listed = await list_parts(provider.requests, call, key, upload_id)
    etag, size = listed.parts.get(part.number, ("", -1))
    if not etag and size == part.size and provider.learned.lacks_etags:
        return None
    digest = await provider.requests.digest(hashlib.md5(usedforsecurity=False), body)
    if (opaque_tag(etag), size) != (digest.hex(), part.size):
        raise not_the_service(call, "the stored part differs from the one that was sent")
    return etag
