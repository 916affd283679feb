"""Finds out whether an endpoint keeps keys with empty, `.` and `..` segments, as Amazon S3 does.

Many compatible servers fold `a//b` into `a/b`, so that writing one key replaces another, and deleting one deletes the
other. Before the first such key is written or deleted, a multipart upload of one is begun and aborted: its answer names
the key as the server understood it, and nothing is stored. A listing that has such a key tells it as well.

A small object that is written, listed and deleted would tell more. But it stays behind where the credentials may not
delete, where versions or locks keep it, and when the process is killed. A service that repeats the key as it was sent
and folds it later is found out by the first such object itself: it must be listed under its own key, or all such names
are refused from then on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dxflow_async.exceptions import AccessDeniedError, StorageError, UnsafePathError
from dxflow_async.providers.aws.dialects import Ability
from dxflow_async.providers.aws.requests import Requests
from dxflow_async.providers.common.key_path import has_odd_segment
from dxflow_async.providers.http import Call

if TYPE_CHECKING:
    from dxflow_async.providers.aws.provider import AWSProvider

__all__ = ["check_name", "confirm_name"]

_PROBE = "/dxflow-names//./../probe"
_NOT_KEPT = (301, 302, 307, 308, 400, 404, 405, 501)


async def check_name(requests: Requests, call: Call, bucket: str, name: str) -> None:
    """Checks that the endpoint keeps an object's name as it is. Only odd names cost a request, the first one of them.

    Raises:
        UnsafePathError: it does not keep it, or does not tell.
    """
    if not has_odd_segment(name):
        return
    dialect = requests.dialect
    async with dialect.first(Ability.ANY_NAMES):
        if not dialect.known(Ability.ANY_NAMES):
            reason = await _probe(requests, call, bucket)
            if reason is None:
                dialect.accept(Ability.ANY_NAMES)
            else:
                requests.refused(Ability.ANY_NAMES, reason, "such keys are refused")
    if not dialect.allows(Ability.ANY_NAMES):
        raise call.error(
            UnsafePathError,
            "such a name is refused: this service does not keep '//', '.' and '..' in names; rename it",
        )


async def confirm_name(provider: AWSProvider, call: Call, key: str) -> None:
    """Checks that an object that was just stored is listed under its key. Only the first odd name costs a request.

    Raises:
        UnsafePathError: it is not: the service stored it under another name.
    """
    dialect = provider.dialect
    if dialect.names_kept or dialect.amazon or not has_odd_segment(key.partition("/")[2]):
        return
    try:
        page = await provider.list_page(key, recursive=True)
    except AccessDeniedError:  # the credentials may only write: the probe has to do
        dialect.names_kept = True
        return
    dialect.names_kept = any(entry.key == key for entry in page.entries)
    if not dialect.names_kept:
        provider._requests.refused(Ability.ANY_NAMES, "listed otherwise", "such keys are refused")
        raise call.error(
            UnsafePathError,
            "the service stored it under another name: it does not keep '//', '.' and '..' in names; look at the name "
            "without them, which may have been replaced, and rename the source",
        )


async def _probe(requests: Requests, call: Call, bucket: str) -> str | None:
    """Returns why odd names are not kept; None if they are.

    Raises:
        StorageError: the request failed for another reason, such as missing rights or the network.
    """
    try:
        response = await requests.send(call, "POST", bucket, _PROBE, query={"uploads": ""})
        document = await requests.document(call, response, "InitiateMultipartUploadResult")
    except StorageError as error:
        if (
            error.retryable
            or error.status not in (301, 302, 307, 308, 400, 404, 405, 501)
            or error.code == "NoSuchBucket"
        ):
            raise
        return f"{error.status} {error.code or ''}".strip()
    told, upload_id = document.values.get("Key", ""), document.values.get("UploadId", "")
    if upload_id:
        response = await requests.send(call, "DELETE", bucket, told or _PROBE, query={"uploadId": upload_id})
        response.close()
    return None if told == _PROBE else "another key in the answer"
