r"""Finds out whether an endpoint keeps keys with empty, `.` and `..` segments, or backslashes, as Amazon S3 does.

Many compatible servers fold `a//b` into `a/b`, and SeaweedFS does so with `a\b`, so that writing one key replaces
another, and deleting one deletes the other. Before the first such key is written or deleted, a multipart upload of one
is begun and aborted: its answer names the key as the server understood it, and nothing is stored. A listing that has
such a key tells it as well.

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

__all__ = ["check_name", "confirm_name", "is_odd"]

_PROBES = {Ability.ANY_NAMES: "/dxflow-names//./../probe", Ability.BACKSLASHES: "dxflow-names\\probe"}
_SHOWN = {Ability.ANY_NAMES: "'//', '.' and '..'", Ability.BACKSLASHES: "backslashes"}


def is_odd(name: str) -> bool:
    """Returns whether an object's name is one that not every service keeps."""
    return "\\" in name or has_odd_segment(name)


def _needed(name: str) -> list[Ability]:
    """Returns what a service has to keep in an object's name."""
    needed = [Ability.ANY_NAMES] if has_odd_segment(name) else []
    return [*needed, Ability.BACKSLASHES] if "\\" in name else needed


async def check_name(requests: Requests, call: Call, bucket: str, name: str) -> None:
    """Checks that the endpoint keeps an object's name as it is. Only odd names cost a request, the first of each kind.

    Raises:
        UnsafePathError: it does not keep it, or does not tell.
    """
    dialect = requests.dialect
    for ability in _needed(name):
        async with dialect.first(ability):
            if not dialect.known(ability):
                reason = await _probe(requests, call, bucket, _PROBES[ability])
                if reason is None:
                    dialect.accept(ability)
                else:
                    requests.refused(ability, reason, "such keys are refused")
        if not dialect.allows(ability):
            raise call.error(
                UnsafePathError,
                f"such a name is refused: this service does not keep {_SHOWN[ability]} in names; rename it",
            )


async def confirm_name(provider: AWSProvider, call: Call, key: str) -> None:
    """Checks that an object that was just stored is listed under its key. Only the first odd names cost a request.

    Raises:
        UnsafePathError: it is not: the service stored it under another name.
    """
    dialect, needed = provider.dialect, _needed(key.partition("/")[2])
    if dialect.amazon or dialect.names_kept.issuperset(needed):
        return
    try:
        page = await provider.list_page(key, recursive=True)
    except AccessDeniedError:  # the credentials may only write: the probe has to do
        dialect.names_kept.update(needed)
        return
    if any(entry.key == key for entry in page.entries):
        dialect.names_kept.update(needed)
        return
    for ability in needed:
        provider.requests.refused(ability, "listed otherwise", "such keys are refused")
    raise call.error(
        UnsafePathError,
        f"the service stored it under another name: it does not keep {_SHOWN[needed[0]]} in names; look at the name "
        "without them, which may have been replaced, and rename the source",
    )


async def _probe(requests: Requests, call: Call, bucket: str, name: str) -> str | None:
    """Returns why names like one are not kept; None if they are.

    Raises:
        StorageError: the request failed for another reason, such as missing rights or the network.
    """
    try:
        response = await requests.send(call, "POST", bucket, name, query={"uploads": ""})
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
        response = await requests.send(call, "DELETE", bucket, told or name, query={"uploadId": upload_id})
        response.close()
    return None if told == name else "another key in the answer"
