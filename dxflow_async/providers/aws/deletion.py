"""Deletes objects of S3: many in one request, or one by one where the service has no such request.

Google's S3 interface, Huawei OBS, Alibaba OSS and older Riak CS and Ceph have no DeleteObjects. They answer with 501,
405, 400 or 403, which is remembered for the endpoint. One key takes one DELETE request in any case.

Services that keep objects as files (MinIO's older backends, JuiceFS) take `name/` for the file `name`, and would delete
it. Except at Amazon's, a key with a slash at its end is deleted only if a listing has it.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dxflow_async import checksum
from dxflow_async.exceptions import AccessDeniedError, NotFoundError, StorageError
from dxflow_async.providers.aws import xml as s3xml
from dxflow_async.providers.aws.dialects import Ability
from dxflow_async.providers.aws.errors import UNKNOWN_HEADER_CODES, error_of
from dxflow_async.providers.aws.headers import has_service_headers, split_key
from dxflow_async.providers.common.confirm import has_body, not_the_service
from dxflow_async.providers.common.deletion import delete_batches, delete_each
from dxflow_async.providers.http import Call

if TYPE_CHECKING:
    from dxflow_async.providers.aws.provider import AWSProvider

__all__ = ["delete_keys", "delete_version"]

_MAX_DELETERS = 8
_NOT_THERE = {"NoSuchKey", "NoSuchVersion"}
_MISSING_CODES = {"NotImplemented", "MethodNotAllowed", "UnsupportedOperation", "NoSuchKey"}
_DIGEST_CODES = UNKNOWN_HEADER_CODES | {"BadDigest", "InvalidDigest", "MissingContentMD5", "MalformedXML"}


async def delete_keys(provider: AWSProvider, keys: Sequence[str]) -> dict[str, StorageError]:
    """Deletes keys; see `Provider.delete`."""
    await provider.requests.prepare()
    markers = [] if provider.dialect.amazon else [key for key in keys if key.endswith("/")]
    if not markers:
        return await _delete_named(provider, keys)
    failed, gone = await _look_for_markers(provider, markers)
    left = [key for key in keys if key not in failed and key not in gone]
    return failed | (await _delete_named(provider, left) if left else {})


async def delete_version(provider: AWSProvider, key: str) -> dict[str, StorageError]:
    """Deletes the version that a provider is at, for good; a missing one is no error. See `Provider.delete`."""
    return await _delete_only(provider, key)


async def _look_for_markers(provider: AWSProvider, keys: Sequence[str]) -> tuple[dict[str, StorageError], set[str]]:
    """Looks for directory markers. Returns the errors of keys that must not be deleted, and keys that are not there."""
    gone: set[str] = set()

    async def look(key: str) -> None:
        try:
            page = await provider.list_page(key, recursive=True)
        except AccessDeniedError:
            if await _exists(provider, key.rstrip("/")):
                raise  # it may be what the service would delete
            return
        if not any(entry.key == key for entry in page.entries[:1]):
            gone.add(key)

    if len(keys) > 1:
        return await delete_each(keys, look, _MAX_DELETERS), gone
    try:
        await look(keys[0])
    except StorageError as error:
        if error.retryable or isinstance(error, NotFoundError):
            raise
        return {keys[0]: error}, gone
    return {}, gone


async def _exists(provider: AWSProvider, key: str) -> bool:
    try:
        await provider.stat(key)
    except NotFoundError:
        return False
    return True


async def _delete_named(provider: AWSProvider, keys: Sequence[str]) -> dict[str, StorageError]:
    by_bucket: dict[str, list[str]] = {}
    each: list[str] = []
    for key in keys:
        if s3xml.is_text(key):
            by_bucket.setdefault(split_key(key)[0], []).append(key)
        else:
            each.append(key)
    batches = [batch for batch in by_bucket.values() if len(batch) > 1]
    each += [batch[0] for batch in by_bucket.values() if len(batch) == 1]
    if len(keys) == 1:
        return await _delete_only(provider, keys[0])
    failed = await delete_batches(batches, lambda batch: _delete_batch(provider, batch)) if batches else {}
    return failed | await _delete_singly(provider, each) if each else failed


async def _delete_only(provider: AWSProvider, key: str) -> dict[str, StorageError]:
    try:
        await _delete_one(provider, key)
    except StorageError as error:
        if error.retryable or isinstance(error, NotFoundError):
            raise
        return {key: error}
    return {}


async def _delete_singly(provider: AWSProvider, keys: Sequence[str]) -> dict[str, StorageError]:
    return await delete_each(keys, lambda key: _delete_one(provider, key), _MAX_DELETERS)


async def _delete_batch(provider: AWSProvider, keys: Sequence[str]) -> dict[str, StorageError]:
    """Deletes keys of one bucket, in one request if the service has it."""
    async with provider.dialect.first(Ability.BATCH_DELETE):
        if not provider.dialect.allows(Ability.BATCH_DELETE):
            return await _delete_singly(provider, keys)
        try:
            failed = await _delete_together(provider, keys)
        except StorageError as error:
            return await _delete_instead(provider, keys, error)
        provider.dialect.accept(Ability.BATCH_DELETE)
        return failed


async def _delete_instead(provider: AWSProvider, keys: Sequence[str], error: StorageError) -> dict[str, StorageError]:
    """Deletes keys one by one after their common request was refused.

    Raises:
        StorageError: `error` itself, if it does not say that the request is missing.
    """
    if not _may_be_missing(error) or provider.dialect.has(Ability.BATCH_DELETE):
        raise error
    if isinstance(error, AccessDeniedError):
        # Rights may be missing for this request only; one key tells.
        try:
            await _delete_one(provider, keys[0])
        except AccessDeniedError:
            raise error from None
    failed = await _delete_singly(provider, keys)
    if len(failed) == len(keys):
        return failed
    reason = f"{error.status or ''} {error.code or ''}".strip()
    provider.requests.refused(Ability.BATCH_DELETE, reason, "objects are deleted one by one")
    return failed


def _may_be_missing(error: StorageError) -> bool:
    """Returns whether a refusal may mean that the service has no DeleteObjects."""
    if error.status in (405, 501) or error.code in _MISSING_CODES:
        return True
    if error.status == 404:
        return error.code is None
    return (error.status == 400 and (error.code is None or error.code in _DIGEST_CODES)) or (
        error.status == 403 and error.code in (None, "AccessDenied")
    )


async def _delete_together(provider: AWSProvider, keys: Sequence[str]) -> dict[str, StorageError]:
    """Deletes keys of one bucket in one request, whose body carries an MD5, or a CRC32C where MD5 is refused."""
    call, bucket = Call(provider.name, "delete", f"/{keys[0]}"), split_key(keys[0])[0]
    data, requests, dialect = (
        s3xml.delete_body([split_key(key)[1] for key in keys]),
        provider.requests,
        provider.dialect,
    )
    refused: StorageError | None = None
    for headers in await _digests(provider, data):
        try:
            response = await requests.send(call, "POST", bucket, "", headers, query={"delete": ""}, body=data)
        except StorageError as error:
            if error.status != 400 or error.code not in _DIGEST_CODES or dialect.has(Ability.BATCH_DELETE):
                raise
            refused = error
            continue
        document = await requests.document(call, response, "DeleteResult")
        if refused is not None:
            requests.refused(Ability.DELETE_MD5, f"400 {refused.code}", "deletions carry a CRC32C instead")
        return _failures(call, bucket, keys, document)
    assert refused is not None
    raise refused


async def _digests(provider: AWSProvider, data: bytes) -> Sequence[Mapping[str, str]]:
    """Returns the headers to try: Amazon and others refuse this request without a digest of its body."""
    crc = {
        "x-amz-sdk-checksum-algorithm": "CRC32C",
        "x-amz-checksum-crc32c": checksum.encode(checksum.crc32c(data)),
    }
    if not provider.dialect.allows(Ability.DELETE_MD5):
        return (crc,)
    digest = await provider.requests.digest(hashlib.md5(usedforsecurity=False), data)
    return {"content-md5": base64.b64encode(digest).decode()}, crc


def _failures(call: Call, bucket: str, keys: Sequence[str], document: s3xml.Document) -> dict[str, StorageError]:
    """Returns the errors that the response has for single keys."""
    asked, failed = set(keys), dict[str, StorageError]()
    for row in document.rows.get("Error", ()):
        if row.get("Code") in _NOT_THERE:
            continue
        key = f"{bucket}/{row.get('Key', '')}"
        error = error_of(call._replace(path=f"/{key}"), 200, row.get("Code", ""), row.get("Message", ""), {})
        if key not in asked:  # it cannot be told which keys it is about
            raise error
        failed[key] = error
    return failed


async def _delete_one(provider: AWSProvider, key: str) -> None:
    """Deletes one object with one request. An object that does not exist is no error.

    Services answer with 204; some answer with 200. After the first of these, a lookup shows that it means the same, as
    it does after an answer without a header of S3's, which a proxy may give in its place.

    Raises:
        StorageError: the object was not deleted.
    """
    call, dialect = Call(provider.name, "delete", f"/{key}"), provider.dialect
    try:
        response = await provider.requests.send(call, "DELETE", *split_key(key))
    except NotFoundError as error:
        if error.code in _NOT_THERE:
            return
        raise
    empty, deletions = not await has_body(response), provider.signs.deletions
    believed = deletions.believes(has_service_headers(response.headers))
    if empty and believed and (response.status == 204 or not dialect.allows(Ability.PLAIN_DELETE)):
        return
    try:
        await provider.stat(key)
    except NotFoundError:
        if response.status == 200:
            dialect.refuse(Ability.PLAIN_DELETE, "200")
        if empty:
            deletions.confirm()
        return
    except AccessDeniedError:
        if response.status != 204:
            raise
        return  # who may not look has only the answer
    raise not_the_service(call, f"status {response.status}, and it is still there", response.status)
