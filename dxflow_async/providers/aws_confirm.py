"""Objects and parts whose PUT was answered without S3's sign, an ETag: they are looked up."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from dxflow_async import checksum
from dxflow_async.exceptions import NotFoundError
from dxflow_async.providers.base import Body, Entry, Part
from dxflow_async.providers.confirm import not_the_service
from dxflow_async.providers.http import Call

if TYPE_CHECKING:
    from dxflow_async.providers.aws import AWSProvider

__all__ = ["confirm_part", "confirm_stored"]


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
