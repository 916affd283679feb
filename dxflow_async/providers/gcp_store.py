"""Objects written, put together and removed; what was stored is compared with what was sent."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from anyio import CapacityLimiter, create_task_group

from dxflow_async import checksum
from dxflow_async.exceptions import ChecksumMismatchError, NotFoundError, StorageError
from dxflow_async.providers.base import Body, Entry
from dxflow_async.providers.checked import Checked
from dxflow_async.providers.deletion import delete_batches
from dxflow_async.providers.gcp_batch import BATCH_SIZE, batch_answers, batch_body
from dxflow_async.providers.gcp_errors import error_of, parse_error
from dxflow_async.providers.gcp_objects import STORED_FIELDS, Related, entry_of
from dxflow_async.providers.gcp_requests import JSON_TYPE, Requests, parsed
from dxflow_async.providers.gcp_resumable import ResumableUpload
from dxflow_async.providers.http import Call

__all__ = ["Sent", "Store", "Version", "acl", "few_at_a_time", "object_path"]

T = TypeVar("T")

_BATCHES = 4
"""Under way at a time: the service works off a batch as slowly as if its requests came one after the other."""

_SMALL_BATCH = 8


class Version(NamedTuple):
    """An object's name and generation; without one, whichever is there."""

    name: str
    generation: str | None = None


class Sent(NamedTuple):
    """An object as it is stored, and the CRC32C of what was sent for it."""

    entry: Entry
    crc32c: int | None


class Store:
    """The objects of an account."""

    def __init__(self, requests: Requests) -> None:
        self.requests = requests

    async def put(self, call: Call, bucket: str, resource: Mapping[str, Any], body: Body, query: str = "") -> Sent:
        """Stores an object by one request.

        Raises:
            ChecksumMismatchError: other bytes were sent than `body.crc32c` says, or stored than were sent.
        """
        checked = Checked(call, body)
        related = Related(resource, checked)
        path = f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart&fields={STORED_FIELDS}{query}"
        headers = {"content-type": related.content_type}
        response = await self.requests.send(call, "POST", path, headers, related, missing_bucket=bucket)
        document = await self.requests.document(call, response)
        return Sent(await self._compared(call, bucket, document, body.size, checked.crc32c), checked.crc32c)

    async def put_resumable(self, call: Call, bucket: str, sending: ResumableUpload, body: Body) -> Sent:
        """Stores an object by a resumable upload, or goes on with it.

        Raises:
            ChecksumMismatchError: as `put`.
        """
        document = await sending.send(body)
        return Sent(await self._compared(call, bucket, document, body.size, sending.crc32c), sending.crc32c)

    async def compose(
        self,
        call: Call,
        bucket: str,
        pieces: Sequence[Version],
        resource: Mapping[str, Any],
        size: int,
        *,
        public: bool = False,
    ) -> Entry:
        """Makes one object of up to 32, in the versions that were written.

        Raises:
            ChecksumMismatchError: it is not of that `size`, or not what `resource["crc32c"]` says.
        """
        sources = [
            {"name": name, "generation": generation, "objectPreconditions": {"ifGenerationMatch": generation}}
            for name, generation in pieces
        ]
        body = json.dumps({"sourceObjects": sources, "destination": resource}).encode()
        path = f"{object_path(bucket, resource['name'])}/compose?fields={STORED_FIELDS}"
        path += acl("destinationPredefinedAcl", public=public)
        response = await self.requests.send(call, "POST", path, {"content-type": JSON_TYPE}, body)
        document = await self.requests.document(call, response)
        return await self._compared(call, bucket, document, size, checksum.decode(resource.get("crc32c")))

    async def remove(self, call: Call, bucket: str, versions: Sequence[Version]) -> dict[str, StorageError]:
        """Deletes objects; what is not there is no error. Returns the errors of the names that were not deleted.

        Raises:
            StorageError: nothing is known of any of them.
        """
        if len(versions) == 1:
            try:
                (await self.requests.send(call, "DELETE", _version_path(bucket, versions[0]))).close()
            except NotFoundError:
                pass
            except StorageError as error:
                return {versions[0].name: error}
            return {}
        size = min(BATCH_SIZE, max(_SMALL_BATCH, -(-len(versions) // _BATCHES)))
        known = {version.name: version for version in versions}
        batches = [list(known)[start : start + size] for start in range(0, len(known), size)]

        async def remove(names: Sequence[str]) -> dict[str, StorageError]:
            return await self._remove_batch(call, bucket, [known[name] for name in names])

        return await delete_batches(batches, remove, _BATCHES)

    async def _remove_batch(self, call: Call, bucket: str, versions: Sequence[Version]) -> dict[str, StorageError]:
        content_type, body = batch_body("DELETE", [_version_path(bucket, version) for version in versions])
        response = await self.requests.send(call, "POST", "/batch/storage/v1", {"content-type": content_type}, body)
        data = await self.requests.whole(call, response)
        answers = parsed(call, batch_answers, response.headers.get("content-type", ""), data, len(versions))
        failed: dict[str, StorageError] = {}
        for version, (status, said) in zip(versions, answers, strict=True):
            if status >= 300 and status != 404:
                about = call._replace(path=f"/{bucket}/{version.name}")
                failed[version.name] = error_of(about, status, *parse_error(said), response.headers)
        return failed

    async def _compared(
        self, call: Call, bucket: str, document: Mapping[str, Any], size: int, crc32c: int | None
    ) -> Entry:
        """What was stored; when it is not what was sent, it is removed again."""
        stored = parsed(call, entry_of, bucket, document)
        if stored.size == size and (crc32c is None or stored.crc32c in (None, crc32c)):
            return stored
        with suppress(StorageError):
            await self.remove(call, bucket, [Version(document["name"], stored.etag)])
        raise call.error(ChecksumMismatchError, "the server stored other bytes than were sent; they were removed again")


async def few_at_a_time(operations: Sequence[Callable[[], Awaitable[T]]], limit: int) -> list[T]:
    """What the operations return, in their order.

    Raises:
        StorageError: the first one; the others are cancelled.
    """
    results: dict[int, T] = {}
    limiter = CapacityLimiter(limit)

    async def run(number: int) -> None:
        async with limiter:
            results[number] = await operations[number]()

    try:
        async with create_task_group() as group:
            for number in range(len(operations)):
                group.start_soon(run, number)
    except BaseExceptionGroup as failures:
        raise _first_of(failures) from None
    return [results[number] for number in range(len(operations))]


def _first_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = failures
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def object_path(bucket: str, name: str) -> str:
    """Where an object's resource is, without the query."""
    return f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}"


def acl(parameter: str, *, public: bool) -> str:
    """What makes an object readable for everybody, as a piece of a query."""
    return f"&{parameter}=publicRead" if public else ""


def _version_path(bucket: str, version: Version) -> str:
    path = object_path(bucket, version.name)
    return path if version.generation is None else f"{path}?generation={version.generation}"
