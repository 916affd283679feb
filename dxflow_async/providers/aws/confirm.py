"""Objects and parts of which an answer lacks S3's signs, such as an ETag: they are looked up in another way."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dxflow_async import checksum
from dxflow_async.exceptions import NotFoundError
from dxflow_async.providers.aws.headers import etag_of, has_service_headers
from dxflow_async.providers.common.confirm import contradiction, disagreement, has_body, not_the_service
from dxflow_async.providers.contract import Body, Entry, Part
from dxflow_async.providers.http import Call, Response

if TYPE_CHECKING:
    from dxflow_async.providers.aws.provider import AWSProvider

__all__ = ["Signs", "confirm_part", "confirm_read", "confirm_seen", "confirm_stored"]


class Signs:
    """The signs of the service that the answers of one endpoint bear, as far as was seen.

    Attributes:
        plain: objects were told of without any of the service's own headers, and a second look agreed.
    """

    def __init__(self) -> None:
        self.plain = False
        self._telling: set[str] = set()

    def known(self, headers: Mapping[str, str]) -> bool:
        """Whether an answer about an object bears a sign of the service; some endpoints give none."""
        return has_service_headers(headers) or (self.plain and not _is_text(headers))

    async def confirm(self, response: Response, body: Body, kind: str) -> bool:
        """Whether an answer says by itself that a body was stored: it has no body, and names a version.

        An endpoint that has told the checksum of what it stored, of that `kind`, tells it each time.
        """
        empty, headers = not await has_body(response), response.headers
        told = "x-amz-checksum-crc32c" in headers
        if told:
            self._telling.add(kind)
        # A part that is not there shows when the parts are put together. An object's ETag is the protocol's own sign,
        # with or without AWS's headers; what says that it is a text is more likely somebody else's.
        named = etag_of(headers) is not None and (
            kind == "part" or has_service_headers(headers) or not _is_text(headers)
        )
        return empty and named and (told or kind not in self._telling or body.crc32c is None)


def _is_text(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").startswith("text/")


async def confirm_read(provider: AWSProvider, call: Call, seen: Entry) -> None:
    """Compares an answer that may be anybody's with another one.

    Raises:
        ServiceError: they contradict each other.
    """
    now = await provider.stat(seen.key)
    if (differs := disagreement(now, seen)) is not None:
        raise contradiction(call, differs)


async def confirm_seen(provider: AWSProvider, call: Call, seen: Entry) -> Entry:
    """Looks up in a listing what an answer to HEAD says of an object, without a sign that it is the service's.

    Raises:
        ServiceError: no listing has it so.
    """
    try:
        page = await provider.list_page(seen.key, recursive=True)
    except NotFoundError as error:
        raise not_the_service(call, "it says nothing of an object") from error
    for entry in page.entries[:1]:
        if (entry.key, entry.size) == (seen.key, seen.size):
            return seen
    raise not_the_service(call, "it says nothing of an object, and no listing has it")


async def confirm_stored(provider: AWSProvider, call: Call, key: str, body: Body) -> Entry:
    """Looks up an object that was sent: its checksum, its MD5, or its bytes have to be the same.

    Raises:
        ServiceError: it is not what was sent.
    """
    try:
        found = await provider.stat(key)
    except NotFoundError as error:
        raise not_the_service(call, "nothing is stored under the name") from error
    if found.size != body.size:
        raise not_the_service(call, f"{found.size} bytes are stored, not the {body.size} that were sent")
    if None in (found.crc32c, body.crc32c):
        same = found.etag == (await provider._digest(hashlib.md5(usedforsecurity=False), body)).hex()
        same = same or await _has_bytes_of(provider, found, body)
    else:
        same = found.crc32c == body.crc32c
    if not same:
        raise not_the_service(call, "other bytes are stored than were sent")
    return found


async def _has_bytes_of(provider: AWSProvider, found: Entry, body: Body) -> bool:
    stored = sent = 0
    async for chunk in body:
        sent = checksum.crc32c(chunk, sent)
    async with await provider.read(found.key, etag=found.etag) as reading:
        async for chunk in reading:
            stored = checksum.crc32c(chunk, stored)
    return stored == sent


async def confirm_part(provider: AWSProvider, call: Call, key: str, upload_id: str, part: Part, body: Body) -> str:
    """Looks up a part that was sent, and returns its etag, which has to be its MD5.

    Raises:
        ServiceError: it is not what was sent.
    """
    found, _ = await provider._list_parts(call, key, upload_id)
    etag, size = found.get(part.number, ("", -1))
    digest = await provider._digest(hashlib.md5(usedforsecurity=False), body)
    if (etag, size) != (digest.hex(), part.size):
        raise not_the_service(call, "the part is not stored as it was sent")
    return etag
