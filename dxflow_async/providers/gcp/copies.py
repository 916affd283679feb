"""Copies within Google Cloud Storage: the service rewrites an object, a large one in several requests.

Source: https://cloud.google.com/storage/docs/json_api/v1/objects/rewrite
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode

from dxflow_async.exceptions import AccessDeniedError, NotFoundError, StorageError
from dxflow_async.providers.common.conditions import refused
from dxflow_async.providers.common.confirm import contradiction, disagreement
from dxflow_async.providers.common.mtime import format_mtime
from dxflow_async.providers.contract import Entry, ObjectOptions
from dxflow_async.providers.gcp.objects import KEPT_FIELDS, STORED_FIELDS, described, text_of
from dxflow_async.providers.gcp.requests import JSON_TYPE, parsed
from dxflow_async.providers.gcp.store import condition, managed_key, object_path
from dxflow_async.providers.http import Call

if TYPE_CHECKING:
    from dxflow_async.providers.gcp.provider import GCPProvider

__all__ = ["rewrite"]

_log = logging.getLogger("dxflow_async.providers.gcp")

_MAX_STALLED_CALLS = 16
"""Calls in a row that copy no further byte. Each copies at least 1 MiB, also where a server does not tell how much."""


async def rewrite(provider: GCPProvider, call: Call, source: Entry, key: str, options: ObjectOptions) -> Entry:
    """Copies an object within the service, with everything that is stored with it; see `Provider.copy`.

    A class other than the standard one goes along, unless the options or the settings name one. The service itself
    stores copies in the class of the bucket.
    """
    bucket, name = provider.split(call, key)
    await provider.check_condition(call, key, options)
    path = f"{object_path(*provider.split(call, source.key))}/rewriteTo/b/{bucket}/o/{quote(name, safe='')}"
    query, headers, body, reached = _query(provider, source, options), None, None, None
    furthest = stalled = 0
    storage_class = options.with_defaults(provider.defaults, source).storage_class
    if storage_class is not None:
        # A resource of the copy is stored in the place of that of the source.
        resource = await _kept_with_copy(provider, call, source, options)
        body = json.dumps(resource | {"storageClass": storage_class}).encode()
        headers = {"content-type": JSON_TYPE}
    while True:  # a large object takes several calls, each of which continues the one before
        try:
            response = await provider.requests.send(call, "POST", f"{path}?{urlencode(query)}", headers, body)
        except NotFoundError as error:
            await provider.origin.check_replaced(call, source.key, source.etag, error)
            raise
        except StorageError as error:
            raise refused(call, options, error) from error
        document = await provider.requests.document(call, response, "storage#rewriteResponse", signs=("done",))
        if document.get("done") is True:
            stored = parsed(call, described, bucket, name, document.get("resource") or {})
            stored = await _compared_with_source(provider, call, source, stored)
            if options.modified is not None and stored.mtime is None:
                stored.mtime = await _keep_time(provider, call, bucket, name, stored, options.modified)
            return stored
        token, before = parsed(call, text_of, document, "rewriteToken"), reached
        reached = token, (done := parsed(call, _rewritten, document))
        furthest, stalled = (done, 0) if done > furthest else (furthest, stalled + 1)
        if reached == before or stalled > _MAX_STALLED_CALLS + (0 if done else source.size >> 20):
            raise contradiction(call, "the copy goes on without getting further")
        query["rewriteToken"] = token


def _rewritten(document: Mapping[str, Any]) -> int:
    """Returns how many bytes of a copy there are; 0 where that is not told."""
    return int(document.get("totalBytesRewritten") or 0)


async def _kept_with_copy(provider: GCPProvider, call: Call, source: Entry, options: ObjectOptions) -> dict[str, Any]:
    """Returns the resource of a copy with everything that is stored with its source."""
    path = f"{object_path(*provider.split(call, source.key))}?fields=kind,{KEPT_FIELDS}"
    if source.etag is not None:
        path += f"&generation={source.etag}"
    reader = provider.origin
    response = await reader.requests.send(call, "GET", path)
    kept = await reader.requests.document(call, response, "storage#object", needed=False)
    kept.pop("kind", None)
    if options.modified is not None:
        kept["metadata"] = {"mtime": format_mtime(options.modified), **(kept.get("metadata") or {})}
    return kept


async def _keep_time(
    provider: GCPProvider, call: Call, bucket: str, name: str, stored: Entry, modified: float
) -> float | None:
    """Adds the time of the source to what is stored with a copy, and returns it as the service reports it.

    The copy exists already, so that it stays without a time if the credentials may not change it.
    """
    path = f"{object_path(bucket, name)}?ifGenerationMatch={stored.etag}"
    body = json.dumps({"metadata": {"mtime": format_mtime(modified)}}).encode()
    try:
        response = await provider.requests.send(call, "PATCH", path, {"content-type": JSON_TYPE}, body)
    except AccessDeniedError as error:
        _log.info("/%s/%s keeps no time: %s", bucket, name, error)
        return None
    document = await provider.requests.document(call, response, "storage#object", needed=False)
    return parsed(call, described, bucket, name, document).mtime


async def _compared_with_source(provider: GCPProvider, call: Call, source: Entry, stored: Entry) -> Entry:
    """Returns a copy that has the size of its source, which may have been replaced if no version was requested.

    Raises:
        ServiceError: the copy has another size or another checksum.
    """
    if source.etag is None and source.size != stored.size:
        source = await provider.origin.stat(source.key)
    if (differs := disagreement(replace(source, etag=None), stored)) is not None:
        raise contradiction(call, f"the copy: {differs}")
    return stored


def _query(provider: GCPProvider, source: Entry, options: ObjectOptions) -> dict[str, str]:
    """Returns the parameters of the first request."""
    query = {"fields": f"kind,done,rewriteToken,totalBytesRewritten,resource({STORED_FIELDS},metadata)"}
    if source.etag is not None:
        query["sourceGeneration"] = source.etag
    if options.public:
        query["destinationPredefinedAcl"] = "publicRead"
    if (key_name := managed_key(provider.completed(options), "destinationKmsKeyName")) != "":
        query["destinationKmsKeyName"] = unquote(key_name.partition("=")[2])
    if options.conditional:
        name_of_condition, _, value = condition(options)[1:].partition("=")
        query[name_of_condition] = value
    return query
