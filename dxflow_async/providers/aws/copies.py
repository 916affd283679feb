"""Copies within S3. Everything that is stored with the source goes along.

CopyObject keeps it by itself, except the storage class. An upload that is put together from parts begins without it,
and so does a copy that gets a time: both send what the source has as headers of their own.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/CopyingObjectsMPUapi.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from dxflow_async.digests import s3_expected
from dxflow_async.exceptions import PreconditionFailedError, StorageError
from dxflow_async.providers.aws.conditions import write_on_condition
from dxflow_async.providers.aws.defaults import in_source_class
from dxflow_async.providers.aws.dialects import Ability
from dxflow_async.providers.aws.headers import (
    METADATA,
    MTIME,
    copy_headers,
    crc32c_of,
    describes_object,
    etag_of,
    object_headers,
    option_headers,
    range_headers,
    split_key,
    stored_headers,
)
from dxflow_async.providers.aws.listed_etags import told_by_head
from dxflow_async.providers.aws.metadata import metadata_header
from dxflow_async.providers.aws.odd_names import check_name
from dxflow_async.providers.aws.xml import Document
from dxflow_async.providers.common.confirm import check_unchanged, contradiction
from dxflow_async.providers.common.etags import if_match, parse_etag, same_etag
from dxflow_async.providers.contract import SYSTEM_OPTIONS, Entry, ObjectOptions
from dxflow_async.providers.http import Call, Response

if TYPE_CHECKING:
    from dxflow_async.providers.aws.provider import AWSProvider

_ALGORITHMS = ("crc32c", "crc64nvme", "crc32", "sha256", "sha1")

__all__ = ["copy_object", "refuses_copy", "stored_tags", "upload_headers"]


async def copy_object(provider: AWSProvider, source: Entry, key: str, options: ObjectOptions) -> Entry:
    """Copies an object with one request; see `Provider.copy`."""
    known = provider.dialect.allows(Ability.LISTED_ETAGS)
    if not known:
        await told_by_head(provider.origin, source)
    copy = partial(_copy, provider, source, key)
    try:
        return await in_source_class(provider, key, options, copy, source)
    except PreconditionFailedError:
        # A copy without a condition was looked at afterwards: its source was replaced.
        if not known or if_match(source.etag) is None or not await told_by_head(provider.origin, source):
            raise
    return await in_source_class(provider, key, options, copy, source)


async def _copy(provider: AWSProvider, source: Entry, key: str, options: ObjectOptions) -> Entry:
    requests, call = provider.requests, Call(provider.name, "copy", f"/{source.key} to /{key}")
    await check_name(requests, call, *split_key(key))
    headers, own = copy_headers(source), option_headers(options)
    if options.public:
        headers["x-amz-acl"] = "public-read"
    described = [name for name in SYSTEM_OPTIONS if getattr(options, name) is not None]
    if options.modified is not None or options.content_type is not None or options.metadata or described:
        headers |= await _stored_with_copy(provider, call, source, options)
        headers["x-amz-metadata-directive"] = "REPLACE"
    if options.tags is not None:
        headers["x-amz-tagging-directive"] = "REPLACE"
    headers |= own

    async def send(condition: Mapping[str, str]) -> Document:
        response = await requests.send(call, "PUT", *split_key(key), {**headers, **condition})
        return await requests.document(call, response, "CopyObjectResult")

    if options.conditional:
        document = await write_on_condition(provider, call, key, options, send, certain=provider.dialect.amazon)
    else:
        document = await send({})
    etag = parse_etag(document.values.get("ETag"))
    await check_unchanged(provider.origin, call, source)
    await _check_version(provider, call, source, etag)
    headers = {f"x-amz-checksum-{name}": document.values.get(f"Checksum{name.upper()}", "") for name in _ALGORITHMS}
    headers["x-amz-checksum-type"] = document.values.get("ChecksumType", "")
    headers["etag"] = document.values.get("ETag", "")
    return Entry(key, source.size, etag=etag, crc32c=crc32c_of(headers), digest=s3_expected(headers))


async def _stored_with_copy(provider: AWSProvider, call: Call, source: Entry, options: ObjectOptions) -> dict[str, str]:
    """Returns the headers of what is stored with the source, where the options do not say something else."""
    stored = stored_headers(await _look(provider, call, source), options.modified)
    if options.metadata:
        given = dict(metadata_header(call, name, value) for name, value in options.metadata.items())
        stored = {name: value for name, value in stored.items() if name == MTIME or not name.startswith(METADATA)}
        stored |= {METADATA + name: value for name, value in given.items()}
    if options.content_type is not None:
        stored["content-type"] = options.content_type
    return stored


def refuses_copy(error: StorageError) -> bool:
    """Returns whether the service may refuse to copy at all, or lack a right that reading and writing do not need.

    CopyObject also reads and writes an object's tags. A target that may not be written refuses a write just the same.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
    """
    return error.status in (405, 501) or (error.status == 403 and error.code == "AccessDenied")


async def _check_version(provider: AWSProvider, call: Call, source: Entry, etag: str | None) -> None:
    """Checks that the requested version was copied: some services ignore `x-amz-copy-source-if-match`.

    The ETag of the copy is that of the source, unless the source was stored in parts or is encrypted. Only where it is
    another one, the source is looked up.

    Raises:
        PreconditionFailedError: the source was replaced.
    """
    if provider.dialect.amazon or source.etag is None or (etag is not None and same_etag(source.etag, etag)):
        return
    if not same_etag((await provider.origin.stat(source.key)).etag, source.etag):
        raise call.error(PreconditionFailedError, "the object was replaced while it was copied; start again")


async def upload_headers(provider: AWSProvider, call: Call, options: ObjectOptions) -> dict[str, str]:
    """Returns the headers that begin an upload whose parts are copied from `options.copied_from`."""
    source = options.copied_from
    assert source is not None, "the parts have no common source"
    headers = object_headers(call, replace(options, metadata={}))
    headers |= await _stored_with_copy(provider, call, source, options) | option_headers(options)
    tags = {} if options.tags is not None else await stored_tags(provider, call, source.key)
    return headers | option_headers(ObjectOptions(tags=tags)) if tags else headers


async def _look(provider: AWSProvider, call: Call, source: Entry) -> Mapping[str, str]:
    """Returns the headers that describe the version of the source that is copied.

    Raises:
        ServiceError: the answer is about something else.
    """
    response = await _ask(provider, call, source)
    response.close()
    if not describes_object(response.headers) or not same_etag(source.etag, etag_of(response.headers)):
        raise contradiction(call, "another version of the source", response.status)
    return response.headers


async def _ask(provider: AWSProvider, call: Call, source: Entry) -> Response:
    """Sends HEAD; where the service has none, GET for the first byte."""
    requests, headers = provider.origin.requests, range_headers(0, None, source.etag)
    if provider.dialect.allows(Ability.HEAD):
        try:
            return await requests.send(call, "HEAD", *split_key(source.key), headers)
        except StorageError as error:
            if error.status not in (405, 501):
                raise
    try:
        return await requests.send(call, "GET", *split_key(source.key), {**headers, "range": "bytes=0-0"})
    except PreconditionFailedError as error:
        if error.status != 416:
            raise
        return await requests.send(call, "GET", *split_key(source.key), headers)  # an empty object has no first byte


async def stored_tags(provider: AWSProvider, call: Call, key: str) -> Mapping[str, str]:
    """Returns an object's tags; empty if it has none, or they cannot be read."""
    requests = provider.requests
    try:
        response = await requests.send(call, "GET", *split_key(key), query={"tagging": ""})
        document = await requests.document(call, response, "Tagging")
    except StorageError as error:
        if error.retryable and error.status != 200:
            raise
        return {}  # they may not be read, or the service has no tags: some answer with the object's bytes
    return {row.get("Key", ""): row.get("Value", "") for row in document.rows.get("Tag", ())}
