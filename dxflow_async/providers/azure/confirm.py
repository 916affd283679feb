"""Confirms that a response is Azure's and that the operation was done, by another request if necessary.

A portal, a proxy or a gateway may answer any request with a page and a successful status. What a response leaves out is
looked up; what it contradicts is a failure that may be retried.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dxflow_async.exceptions import AccessDeniedError, NotFoundError, StorageError
from dxflow_async.providers.azure.errors import REQUEST_ID
from dxflow_async.providers.azure.headers import crc32c_of, etag_of, is_directory
from dxflow_async.providers.azure.xml import BlockListParser
from dxflow_async.providers.common.confirm import contradiction, disagreement, has_body, not_the_service
from dxflow_async.providers.common.etags import same_etag
from dxflow_async.providers.contract import Entry
from dxflow_async.providers.http import Call, Response

if TYPE_CHECKING:
    from dxflow_async.providers.azure.provider import AzureProvider
    from dxflow_async.providers.azure.requests import Requests

__all__ = [
    "block_stored",
    "confirm_read",
    "confirm_seen",
    "deleted",
    "look_up",
    "look_up_container",
    "names_file",
    "not_azures",
    "stored",
]

# Every response of the service to Put Block has at least one of them.
_SIGNS = ("x-ms-version", "x-ms-request-id", "x-ms-content-crc64", "content-md5", "etag")


def not_azures(call: Call, response: Response, seen: str) -> StorageError:
    """Returns the error for a response that is not the service's, and releases its connection."""
    response.close()
    return not_the_service(call, seen, response.status)


async def look_up(requests: Requests, call: Call, container: str, name: str) -> Mapping[str, str]:
    """Returns the headers of a blob or a directory.

    Raises:
        NotFoundError: neither exists.
        ServiceError: the response is not the service's.
    """
    response = await requests.send(call, "HEAD", container, name, accept=(200,))
    response.close()
    headers = response.headers
    if is_directory(headers):
        return headers
    if etag_of(headers) is None:
        raise not_azures(call, response, f"{response.status} without an ETag")
    return headers


async def names_file(
    requests: Requests, call: Call, container: str, name: str, headers: Mapping[str, str], *, flat: bool
) -> bool:
    """Returns whether what was found under a name with a slash at its end is a file without it.

    A hierarchical namespace ignores that slash. Where headers do not tell the type, as in older versions, the name
    without the slash is looked up, too.

    Args:
        requests, call, container, name: the lookup.
        headers: what was found.
        flat: whether the namespace is known to have no directories.
    """
    kind = headers.get("x-ms-resource-type")
    if kind is not None or is_directory(headers) or flat or not name.endswith("/"):
        return kind == "file"
    try:
        other = await look_up(requests, call, container, name.removesuffix("/"))
    except NotFoundError:
        return False
    return etag_of(other) == etag_of(headers)


async def look_up_container(requests: Requests, call: Call, container: str) -> Mapping[str, str]:
    """Returns the headers of a container. Raises the errors of `look_up`."""
    response = await requests.send(call, "HEAD", container, query={"restype": "container"}, accept=(200,))
    response.close()
    if etag_of(response.headers) is None:
        raise not_azures(call, response, f"{response.status} without an ETag")
    return response.headers


async def confirm_seen(provider: AzureProvider, call: Call, seen: Entry, headers: Mapping[str, str]) -> Entry:
    """Confirms the response to a HEAD request, unless it has a mark of the service, by a listing.

    Raises:
        ServiceError: the listing has no such blob of that size and version.
    """
    if _is_marked(headers):
        return seen
    try:
        page = await provider.list_page(seen.key, recursive=True)
    except NotFoundError as error:
        raise not_the_service(call, "the response does not describe a blob") from error
    for entry in page.entries[:1]:
        if entry.key == seen.key and disagreement(entry, seen) is None:
            return seen
    raise not_the_service(call, "the response does not describe a blob, and no listing contains it")


async def confirm_read(provider: AzureProvider, call: Call, seen: Entry, headers: Mapping[str, str]) -> None:
    """Compares a response with bytes, unless it has a mark of the service, with a second lookup.

    Raises:
        ServiceError: the two contradict each other.
    """
    if not _is_marked(headers) and (differs := disagreement(await provider.stat(seen.key), seen)) is not None:
        raise contradiction(call, differs)


def _is_marked(headers: Mapping[str, str]) -> bool:
    """Returns whether a response has a header of the service's, which other pages do not have."""
    return any(name.startswith("x-ms-") for name in headers)


async def stored(
    requests: Requests, call: Call, container: str, name: str, response: Response, size: int, crc32c: int | None
) -> str | None:
    """Returns the ETag of a blob that was just written; if the response has none, compares the stored blob.

    None: the service confirms that the blob is stored, but not its ETag, and the credentials may only write.

    Raises:
        ServiceError: it is not certain that the blob is stored.
    """
    etag = etag_of(response.headers)
    created = not await has_body(response) and response.status == 201
    if created and etag is not None:
        return etag
    odd = not_azures(
        call, response, f"{response.status} {'without' if etag is None else 'with'} an ETag for a new blob"
    )
    try:
        headers = await look_up(requests, call, container, name)
    except NotFoundError as error:
        raise odd from error
    except AccessDeniedError as error:
        if created and "x-ms-request-id" in response.headers:
            return None
        raise odd from error
    now = etag_of(headers)
    same = crc32c is not None and crc32c_of(headers) == crc32c and headers.get("content-length") in (None, str(size))
    if now is None or not same or not same_etag(etag, now):
        raise odd
    return now


async def block_stored(
    requests: Requests, call: Call, container: str, name: str, response: Response, block: tuple[str, int]
) -> None:
    """Checks that a block, given by its identifier and size, is stored.

    Raises:
        ServiceError: it is not.
    """
    if not await has_body(response) and response.status == 201 and any(sign in response.headers for sign in _SIGNS):
        return
    odd = not_azures(call, response, f"{response.status} for a block")
    query = {"comp": "blocklist", "blocklisttype": "uncommitted"}
    try:
        found = await requests.listing(call, container, query, BlockListParser(), name)
    except (NotFoundError, AccessDeniedError) as error:
        raise odd from error
    if block not in found.blocks:
        raise odd


async def deleted(requests: Requests, call: Call, container: str, name: str, response: Response) -> None:
    """Checks that a blob no longer exists.

    Raises:
        ServiceError: it still exists.
    """
    done = not await has_body(response) and response.status == 202
    if done and requests.deletions.believes(REQUEST_ID in response.headers):
        return
    try:
        await look_up(requests, call, container, name)
    except NotFoundError as error:
        if error.code in (None, "BlobNotFound"):
            if done:
                requests.deletions.confirm()
            return
        raise
    except AccessDeniedError:
        if not done:
            raise
        return  # who may not look has only the answer
    raise not_azures(call, response, f"{response.status}, and it is still there")
