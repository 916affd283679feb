"""Finds out whether an endpoint keeps keys with empty, `.` and `..` segments, as Amazon S3 does.

Many compatible servers fold `a//b` into `a/b`, so that writing one key replaces another, and deleting one deletes the
other. Before the first such key is written or deleted, a multipart upload of one is begun and aborted: its answer names
the key as the server understood it, and nothing is stored. A listing that has such a key tells it as well.
"""

from __future__ import annotations

from dxflow_async.exceptions import StorageError, UnsafePathError
from dxflow_async.providers.aws.dialects import Ability
from dxflow_async.providers.aws.requests import Requests
from dxflow_async.providers.common.key_path import has_odd_segment
from dxflow_async.providers.http import Call

__all__ = ["check_name"]

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
