"""Services whose listings tell other ETags than HEAD and GET.

OpenStack Swift lists copies of objects in parts so, and gateways that compute ETags of listings in another way. Such an
ETag is refused as a condition. What HEAD tells is used in its place if a listing that is made after it still has the
ETag in question, with the size and the time that HEAD told: both are then about one version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dxflow_async.exceptions import AccessDeniedError, NotFoundError, PreconditionFailedError, UnsupportedError
from dxflow_async.providers.aws.dialects import Ability
from dxflow_async.providers.aws.headers import range_headers, split_key
from dxflow_async.providers.common.etags import same_etag
from dxflow_async.providers.contract import Entry
from dxflow_async.providers.http import Call, Response

if TYPE_CHECKING:
    from dxflow_async.providers.aws.provider import AWSProvider

__all__ = ["etag_to_send", "get_version", "same_version", "told_by_head"]


async def same_version(provider: AWSProvider, etag: str, seen: Entry) -> bool:
    """Returns whether an etag is that of an object that was just looked up; see `Provider.same_version`."""
    if seen.etag is None or same_etag(seen.etag, etag):
        return True
    if provider.dialect.amazon or provider.version is not None:
        return False
    try:
        page = await provider.origin.list_page(seen.key, recursive=True)
    except (AccessDeniedError, UnsupportedError):
        return False  # without rights to list nobody has an ETag of a listing
    listed = next((entry for entry in page.entries[:1] if entry.key == seen.key), None)
    if listed is None or listed.etag is None or not same_etag(listed.etag, etag):
        return False
    if (listed.size, int(listed.modified)) != (seen.size, int(seen.modified)):
        return False
    provider.requests.refused(Ability.LISTED_ETAGS, "others in listings", "sources of copies are looked up first")
    return True


async def etag_to_send(provider: AWSProvider, key: str, etag: str) -> str:
    """Returns the etag by which the service knows a version; `etag` itself if HEAD tells no other one of it."""
    if provider.dialect.amazon:
        return etag
    try:
        now = await provider.stat(key)
    except NotFoundError:
        return etag
    return now.etag if now.etag is not None and await same_version(provider, etag, now) else etag


async def told_by_head(provider: AWSProvider, source: Entry) -> bool:
    """Gives a listed object the etag by which the service knows it; returns whether that is another one."""
    if source.etag is None:
        return False
    sent, source.etag = source.etag, await etag_to_send(provider, source.key, source.etag)
    return not same_etag(sent, source.etag)


async def get_version(
    provider: AWSProvider, call: Call, key: str, span: tuple[int, int | None], etag: str
) -> tuple[Response, str]:
    """Requests the bytes `[start, end)` of a version.

    Returns:
        The response, and the etag by which the service knows the version.

    Raises:
        PreconditionFailedError: the object was replaced, or is shorter.
    """
    requests, name = provider.requests, split_key(key)
    try:
        return await requests.send(call, "GET", *name, range_headers(*span, etag)), etag
    except PreconditionFailedError as error:
        told = None if error.status != 412 else await etag_to_send(provider, key, etag)
        if told is None or same_etag(told, etag):
            raise
    return await requests.send(call, "GET", *name, range_headers(*span, told)), told
