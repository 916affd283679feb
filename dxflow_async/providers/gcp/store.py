"""Writes, composes and deletes objects, and compares what is stored with what was sent."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from dxflow_async import checksum
from dxflow_async.concurrency.shielded import clean_up
from dxflow_async.exceptions import AccessDeniedError, ChecksumMismatchError, NotFoundError, StorageError
from dxflow_async.providers.common.bare_success import BareSuccess
from dxflow_async.providers.common.capability import Refusals
from dxflow_async.providers.common.confirm import contradiction, not_the_service
from dxflow_async.providers.common.deletion import delete_batches, delete_each
from dxflow_async.providers.common.verified_body import VerifiedBody
from dxflow_async.providers.contract import Body, Entry, ObjectOptions
from dxflow_async.providers.gcp.batch import BATCH_SIZE, batch_answers, batch_body
from dxflow_async.providers.gcp.errors import REQUEST_ID, error_of, parse_error
from dxflow_async.providers.gcp.objects import ENTRY_FIELDS, STORED_FIELDS, MultipartRelatedBody, described
from dxflow_async.providers.gcp.requests import JSON_TYPE, Requests, parsed
from dxflow_async.providers.gcp.resumable import ResumableUpload
from dxflow_async.providers.http import Call, Response, read_error_body

_log = logging.getLogger("dxflow_async.providers.gcp")

__all__ = ["OBJECT", "Sent", "Store", "Version", "acl", "condition", "managed_key", "object_path"]

T = TypeVar("T")

OBJECT = "storage#object"
"""The kind of an object's resource."""

_BATCHES = 4
"""The most batches at a time: the service executes a batch as slowly as its requests one after the other."""

_SMALL_BATCH = 8
_CANCEL_SECONDS = 2.0
_MAX_DELETERS = 16

_WAITS = (401, 408, 429)
"""The statuses below 500 that refuse one request, and not that kind of request."""


class Version(NamedTuple):
    """An object's name and generation; without a generation, the current one."""

    name: str
    generation: str | None = None


class Sent(NamedTuple):
    """A stored object, and the CRC32C of the bytes that were sent for it."""

    entry: Entry
    crc32c: int | None


class Store:
    """The objects of an account.

    Attributes:
        refused: the kinds of requests that the server refused. They are made another way.
        deletions: whether a deletion is believed that has no header of the service's.
    """

    def __init__(self, requests: Requests) -> None:
        self.requests = requests
        self.remote = requests.remote
        self.refused = Refusals()
        self.deletions = BareSuccess()

    async def put(self, call: Call, bucket: str, resource: Mapping[str, Any], body: Body, query: str = "") -> Sent:
        """Stores an object in one request.

        Raises:
            ChecksumMismatchError: the bytes sent differ from `body.crc32c`, or the stored bytes from those sent.
        """
        if "multipart upload" in self.refused:
            return await self.put_in_session(call, bucket, resource, body, query)
        checked = VerifiedBody(call, body)
        related = MultipartRelatedBody(resource, checked)
        path = f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart&fields={STORED_FIELDS}{query}"
        headers = {"content-type": related.content_type}
        try:
            response = await self.requests.send(call, "POST", path, headers, related, missing_bucket=bucket)
        except StorageError as error:
            if not (error.status in (405, 501) or (error.status == 400 and "uploadtype" in str(error).lower())):
                raise
            sent = await self.put_in_session(call, bucket, resource, body, query)
            self.note_refusal("multipart upload", error)
            return sent
        document = await self.requests.document(call, response, OBJECT, needed=False)
        stored = parsed(call, described, bucket, resource["name"], document)
        return Sent(await self._compared(call, resource["name"], stored, body.size, checked.crc32c), checked.crc32c)

    async def put_in_session(
        self, call: Call, bucket: str, resource: Mapping[str, Any], body: Body, query: str = ""
    ) -> Sent:
        """Stores an object by a resumable upload of its own, which is cancelled if it fails.

        Raises:
            ChecksumMismatchError: as for `put`.
        """
        sending = ResumableUpload(self.requests, call, bucket, resource, query)
        try:
            return await self.put_resumable(call, bucket, sending, body)
        except BaseException:
            await clean_up(sending.cancel(), _CANCEL_SECONDS)
            raise

    async def put_resumable(self, call: Call, bucket: str, sending: ResumableUpload, body: Body) -> Sent:
        """Stores an object by a resumable upload, or continues one.

        Raises:
            ChecksumMismatchError: as for `put`.
        """
        stored = await sending.send(body)
        return Sent(await self._compared(call, sending.name, stored, body.size, sending.crc32c), sending.crc32c)

    async def compose(
        self,
        call: Call,
        bucket: str,
        pieces: Sequence[Version],
        resource: Mapping[str, Any],
        size: int,
        query: str = "",
    ) -> Entry:
        """Composes up to 32 objects, in the versions that were written, into one; `query` has further parameters.

        Raises:
            ChecksumMismatchError: the result does not have that `size` or the checksum `resource["crc32c"]`.
        """
        sources = [
            {"name": name, "generation": generation, "objectPreconditions": {"ifGenerationMatch": generation}}
            for name, generation in pieces
        ]
        body = json.dumps({"sourceObjects": sources, "destination": resource}).encode()
        path = f"{object_path(bucket, resource['name'])}/compose?fields={STORED_FIELDS}"
        path += query
        response = await self.requests.send(call, "POST", path, {"content-type": JSON_TYPE}, body)
        document = await self.requests.document(call, response, OBJECT, needed=False)
        stored = parsed(call, described, bucket, resource["name"], document)
        return await self._compared(call, resource["name"], stored, size, checksum.decode(resource.get("crc32c")))

    async def look(self, call: Call, bucket: str, name: str, generation: str | None = None) -> Entry:
        """Returns an object as it is stored now, or a version of it.

        Raises:
            NotFoundError: it does not exist.
        """
        path = f"{object_path(bucket, name)}?fields={ENTRY_FIELDS}"
        if generation is not None:
            path += f"&generation={generation}"
        response = await self.requests.send(call, "GET", path)
        document = await self.requests.document(call, response, OBJECT, needed=False)
        return parsed(call, described, bucket, name, document)

    async def remove(self, call: Call, bucket: str, versions: Sequence[Version]) -> dict[str, StorageError]:
        """Deletes objects; missing ones are not an error. Returns the errors of names that were not deleted.

        Raises:
            StorageError: the outcome is not known for any of them.
        """
        if len(versions) == 1:
            try:
                response = await self.requests.send(call, "DELETE", _version_path(bucket, versions[0]))
                await self._confirm_removed(call, response, bucket, versions[0])
            except NotFoundError:
                pass
            except StorageError as error:
                return {versions[0].name: error}
            return {}
        if "batch" in self.refused:
            return await self._remove_each(call, bucket, versions)
        size = min(BATCH_SIZE, max(_SMALL_BATCH, -(-len(versions) // _BATCHES)))
        known = {version.name: version for version in versions}
        batches = [list(known)[start : start + size] for start in range(0, len(known), size)]

        async def remove(names: Sequence[str]) -> dict[str, StorageError]:
            return await self._remove_batch(call, bucket, [known[name] for name in names])

        return await delete_batches(batches, remove, _BATCHES)

    async def _remove_batch(self, call: Call, bucket: str, versions: Sequence[Version]) -> dict[str, StorageError]:
        paths = [self.requests.billed(_version_path(bucket, version)) for version in versions]
        content_type, body = batch_body("DELETE", paths)
        try:
            response = await self.requests.send(call, "POST", "/batch/storage/v1", {"content-type": content_type}, body)
        except StorageError as error:
            # The batch itself was refused, so that nothing is known against its requests.
            status = error.status or 0
            if not (400 <= status < 500 or status == 501) or status in _WAITS or error.retryable:
                raise
            self.note_refusal("batch", error)
            return await self._remove_each(call, bucket, versions)
        data = await self.requests.whole(call, response)
        answers = parsed(call, batch_answers, response.headers.get("content-type", ""), data, len(versions))
        failed: dict[str, StorageError] = {}
        for version, (status, said) in zip(versions, answers, strict=True):
            if not 200 <= status < 300 and status != 404:
                about = call._replace(path=f"/{bucket}/{version.name}")
                failed[version.name] = error_of(about, status, *parse_error(said), response.headers)
        return failed

    async def _remove_each(self, call: Call, bucket: str, versions: Sequence[Version]) -> dict[str, StorageError]:
        """Deletes objects with one request each, some at a time."""
        known = {version.name: version for version in versions}

        async def remove(name: str) -> None:
            about = call._replace(path=f"/{bucket}/{name}")
            for error in (await self.remove(about, bucket, [known[name]])).values():
                raise error

        return await delete_each(list(known), remove, _MAX_DELETERS)

    @property
    def composes(self) -> bool:
        """Whether the server has not refused to compose objects."""
        return "compose" not in self.refused

    def note_refusal(self, request: str, error: StorageError) -> None:
        """Records that the server refuses a kind of request, which is made another way for an hour."""
        if self.refused.note(request, " ".join(filter(None, [str(error.status or ""), error.code]))):
            _log.info("%s: the server refuses %s requests (%s); they are made another way", self.remote, request, error)

    async def _confirm_removed(self, call: Call, response: Response, bucket: str, version: Version) -> None:
        """Checks a deletion: the service answers with 204 and its own headers; after any other success, a look decides.

        Raises:
            NotFoundError: the object is gone.
            ServiceError: it still exists.
        """
        await read_error_body(response)
        if response.status == 204 and self.deletions.believes(REQUEST_ID in response.headers):
            return
        try:
            await self.look(call, bucket, version.name, version.generation)
        except NotFoundError:
            self.deletions.confirm()
            raise
        except AccessDeniedError:
            if response.status != 204:
                raise
            return  # who may not look has only the answer
        raise not_the_service(call, "the object is there still", response.status)

    async def _compared(self, call: Call, name: str, told: Entry, size: int, crc32c: int | None) -> Entry:
        """Returns the stored object; deletes it if it differs from what was sent.

        The response alone proves neither, so the object is looked up before anything is deleted.

        Args:
            call, name: the object that was written.
            told: the object as the response describes it.
            size, crc32c: of the bytes that were sent.

        Raises:
            ChecksumMismatchError: different bytes are stored.
            ServiceError: the response is not about the stored object.
        """
        if _fits(told, size, crc32c):
            return told
        bucket = told.key.partition("/")[0]
        try:
            found = await self.look(call, bucket, name)
        except NotFoundError as error:
            raise contradiction(call, "nothing is stored under that name") from error
        if found.crc32c is not None and _fits(found, size, crc32c):
            return found
        if (found.etag, found.size, found.crc32c) != (told.etag, told.size, told.crc32c):
            raise contradiction(call, "another version than it describes is stored")
        await self.remove(call, bucket, [Version(name, found.etag)])
        raise call.error(ChecksumMismatchError, "the server stored different bytes than were sent; they were deleted")


def _fits(stored: Entry, size: int, crc32c: int | None) -> bool:
    return stored.size == size and (crc32c is None or stored.crc32c in (None, crc32c))


def object_path(bucket: str, name: str) -> str:
    """Returns the path of an object's resource, without a query."""
    return f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}"


def acl(parameter: str, *, public: bool) -> str:
    """Returns the query parameter that makes an object publicly readable."""
    return f"&{parameter}=publicRead" if public else ""


def managed_key(options: ObjectOptions, parameter: str = "kmsKeyName") -> str:
    """Returns the query parameter of a Cloud KMS key."""
    encryption = options.stored_encryption()
    name = None if encryption is None else encryption.name
    return "" if name is None else f"&{parameter}={quote(name, safe='')}"


def condition(options: ObjectOptions) -> str:
    """Returns the query parameter of the condition on which an object is stored.

    Source: https://cloud.google.com/storage/docs/request-preconditions
    """
    if options.if_absent:
        return "&ifGenerationMatch=0"
    if options.if_match is None:
        return ""
    # An etag that is no generation is none of an object here.
    return f"&ifGenerationMatch={options.if_match if options.if_match.isdecimal() else '1'}"


def _version_path(bucket: str, version: Version) -> str:
    path = object_path(bucket, version.name)
    return path if version.generation is None else f"{path}?generation={version.generation}"
