"""Copies within an account: starts a copy, polls until it ends, and undoes it if the call ends first."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence

from dxflow_async.concurrency.shielded import clean_up
from dxflow_async.exceptions import (
    AccessDeniedError,
    PreconditionFailedError,
    ServiceError,
    StorageError,
    UnsupportedError,
)
from dxflow_async.providers.azure.confirm import look_up, not_azures
from dxflow_async.providers.azure.errors import UNKNOWN_HEADER_CODES
from dxflow_async.providers.azure.headers import condition_headers, copied_metadata, etag_of, tags_header
from dxflow_async.providers.azure.requests import Requests
from dxflow_async.providers.azure.xml import TagsParser
from dxflow_async.providers.common.etags import if_match
from dxflow_async.providers.contract import Entry, ObjectOptions
from dxflow_async.providers.http import Call, Response

__all__ = ["copy_blob", "refuses_copy", "stored_tags"]

_log = logging.getLogger("dxflow_async.providers.azure")

_UNDO_SECONDS = 10.0
_UNDO_TRIES = 3
_FIRST_LOOK, _LONGEST_LOOK = 0.1, 5.0

_REFUSALS = ("CannotVerifyCopySource", "CopyAcrossAccountsNotSupported", *UNKNOWN_HEADER_CODES)
_SOURCE_REFUSED = re.compile(r"(400|401|403|404|409)\b")
"""How the description of a copy begins that failed because the service could not read the source."""

_STATES = ("pending", "success", "failed", "aborted")


async def copy_blob(
    requests: Requests,
    call: Call,
    source: Entry,
    origin: tuple[str, str],
    target: tuple[str, str],
    options: ObjectOptions,
) -> str | None:
    """Copies a blob with everything that is stored with it, and returns the ETag of the copy.

    Args:
        requests, call: send the requests.
        source: the blob as it was looked up.
        origin, target: container and name of each.
        options: `modified` is stored as the source's time if the source stores none; the access tier, and the condition
            of the copy.

    Raises:
        PreconditionFailedError: the source or the target was replaced in the meantime.
        ServiceError: the copy does not exist.
    """
    container, name = target
    headers = {"x-ms-copy-source": await requests.url(*origin)}
    if (condition := if_match(source.etag)) is not None:
        headers["x-ms-source-if-match"] = condition
    if options.modified is not None and source.mtime is None:
        headers |= copied_metadata(source, options.modified)
    if source.tag_count and (tags := await stored_tags(requests, call, origin)):
        headers |= tags_header(tags)
    if options.storage_class is not None:
        headers["x-ms-access-tier"] = options.storage_class
    headers |= condition_headers(options)
    response = await requests.send(call, "PUT", container, name, headers)
    begun = _begun(call, response)
    return etag_of(await _finish(requests, call, container, name, begun))


async def stored_tags(requests: Requests, call: Call, origin: tuple[str, str]) -> Sequence[tuple[str, str]]:
    """Returns the index tags of a blob, which no copy takes over by itself.

    Many roles that read and write blobs may not read tags. Then the copy has none.
    Source: https://learn.microsoft.com/azure/storage/blobs/storage-manage-find-blobs
    """
    container, name = origin
    try:
        found = await requests.listing(call, container, {"comp": "tags"}, TagsParser(), name)
    except (AccessDeniedError, UnsupportedError) as error:
        _log.warning("%s; the copy has no index tags", error, extra={"fields": error.fields()})
        return ()
    return found.tags


def refuses_copy(error: StorageError) -> bool:
    """Returns whether the service may refuse to copy, rather than this copy: it could not read the source itself."""
    return error.code in _REFUSALS or error.status in (405, 501)


def _begun(call: Call, response: Response) -> Mapping[str, str]:
    """Returns the headers of the response to Copy Blob.

    Raises:
        ServiceError: the response is not the service's.
    """
    response.close()
    headers = response.headers
    if response.status not in (201, 202):
        raise not_azures(call, response, f"status {response.status} for a copy")
    if not headers.get("x-ms-copy-id") or headers.get("x-ms-copy-status") not in _STATES:
        raise not_azures(call, response, f"{response.status} without a copy's identifier and status")
    return headers


async def _finish(
    requests: Requests, call: Call, container: str, name: str, begun: Mapping[str, str]
) -> Mapping[str, str]:
    """Returns the headers of a finished copy; undoes a copy that does not finish."""
    headers, pause, copy_id = begun, _FIRST_LOOK, begun["x-ms-copy-id"]
    try:
        while (status := headers.get("x-ms-copy-status")) == "pending":
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK)
            headers = await look_up(requests, call, container, name)
            if headers.get("x-ms-copy-id") != copy_id:
                raise call.error(PreconditionFailedError, "the target was replaced in the meantime; start again")
    except BaseException:
        await clean_up(_undo(requests, call, container, name, copy_id), _UNDO_SECONDS)
        raise
    if status == "success" and etag_of(headers) is None:
        headers = await look_up(requests, call, container, name)
        status = headers.get("x-ms-copy-status") if headers.get("x-ms-copy-id") == copy_id else "replaced"
    if status != "success":
        reason = headers.get("x-ms-copy-status-description", "no reason given")
        if status == "failed" and (found := _SOURCE_REFUSED.match(reason)) is not None:
            told = f"the service could not read the source ({reason})"
            raise call.error(StorageError, told, status=int(found[1]), code=_REFUSALS[0])
        raise call.error(ServiceError, f"the service gave up ({status}: {reason}); try again")
    return headers


async def _undo(requests: Requests, call: Call, container: str, name: str, copy_id: str) -> None:
    """Aborts a pending copy and deletes the empty blob that it leaves. A finished copy stays."""
    query, abort = {"comp": "copy", "copyid": copy_id}, {"x-ms-copy-action": "abort"}
    for attempt in range(_UNDO_TRIES):
        await asyncio.sleep(attempt * _FIRST_LOOK)
        try:
            try:
                (await requests.send(call, "PUT", container, name, abort, query=query, accept=(204,))).close()
            except StorageError as error:
                if not attempt or error.code != "NoPendingCopyOperation":  # an earlier attempt may have aborted it
                    raise
            headers = await look_up(requests, call, container, name)
            if headers.get("x-ms-copy-id") == copy_id and headers.get("x-ms-copy-status") == "aborted":
                unchanged = {"if-match": if_match(etag_of(headers)) or "*"}
                (await requests.send(call, "DELETE", container, name, unchanged, accept=(202,))).close()
        except StorageError as error:
            if error.retryable:
                continue
        return
