"""Azure Blob Storage.

Identity (connection strings, tokens, signed URLs) is the SDK's; every request goes over our data plane.
The first segment of a key is the container. Source: https://learn.microsoft.com/rest/api/storageservices/
"""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from anyio import CancelScope, move_on_after

from dxflow_async import checksum
from dxflow_async.config import AzureSettings
from dxflow_async.exceptions import (
    ChecksumMismatchError,
    NotFoundError,
    PreconditionFailedError,
    ServiceError,
    StorageError,
    UnsafePathError,
    UnsupportedError,
)
from dxflow_async.providers.azure_batch import MAX_BATCH
from dxflow_async.providers.azure_errors import error_of
from dxflow_async.providers.azure_headers import (
    checksum_header,
    entry_of,
    etag_of,
    is_directory,
    object_headers,
    range_headers,
)
from dxflow_async.providers.azure_identity import Identity, TokenCredential
from dxflow_async.providers.azure_requests import Requests, compared
from dxflow_async.providers.azure_xml import BlobListParser, BlockListParser, ContainerListParser, block_list
from dxflow_async.providers.base import (
    Body,
    Buffered,
    Entry,
    Features,
    ObjectOptions,
    Page,
    Part,
    Provider,
    Reading,
    Receipt,
    Upload,
    page_size,
)
from dxflow_async.providers.deletion import delete_batches, delete_each
from dxflow_async.providers.fields import extent_of
from dxflow_async.providers.http import HTTP, Call, HTTPReading, Response
from dxflow_async.providers.threads import Threads

__all__ = ["AzureProvider"]

MiB = 1 << 20

_MAX_DELETERS = 8
_UNDO_SECONDS = 10.0
_WITH_SNAPSHOTS = {"x-ms-delete-snapshots": "include"}
_FIRST_LOOK, _LONGEST_LOOK = 0.1, 5.0


# Features


def _features(identity: Identity) -> Features:
    # https://learn.microsoft.com/azure/storage/blobs/scalability-targets: 50,000 blocks of up to 4,000 MiB
    return Features(
        checksum=True,
        checksum_first=True,
        copy=True,
        resumable=True,
        presign=identity.has_key,
        public=True,
        mtime=True,
        mtime_listed=True,
        min_part_size=1,
        max_part_size=4000 * MiB,
        max_parts=50_000,
        max_size=50_000 * 4000 * MiB,
        max_copy_size=50_000 * 4000 * MiB,
        buckets=True,
        versions=True,
        endpoint=identity.endpoint,
    )


# The provider


class AzureProvider(Provider):
    """A storage account's blobs.

    Keys come in the order of their names' UTF-16, which is that of their bytes but where characters beyond U+FFFF
    meet others above U+E000; within a page they are put in the order of bytes. Names with a backslash, or with a
    segment that ends in a dot, are refused: the service would take them for other names.

    Args:
        settings: endpoint, account and credentials.
        http: the session's data plane; not closed here.
        threads: the session's threads.
        credential: one of azure-identity's async credentials, closed by its owner; None: what the settings say.
    """

    name = "AZURE"

    def __init__(
        self, settings: AzureSettings, http: HTTP, threads: Threads, *, credential: TokenCredential | None = None
    ) -> None:
        self._identity = Identity(settings, threads, credential)
        self.features = _features(self._identity)
        self._requests = Requests(self._identity, http, threads, checksum=settings.checksum)
        self._public_containers: set[str] = set()

    async def list_page(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
        container, slash, rest = prefix.partition("/")
        size = str(page_size(recursive=recursive, first=cursor is None))
        query = {"comp": "list", "maxresults": size}
        if cursor is not None:
            query["marker"] = cursor
        call = Call(self.name, "list", f"/{prefix}")
        if not slash:
            query["prefix"] = container
            containers = await self._requests.listing(call, "", query, ContainerListParser())
            return Page(containers.entries, containers.marker)
        _check_container(call, container)
        query |= {"restype": "container", "include": "metadata", "prefix": rest}
        if not recursive:
            query["delimiter"] = "/"
        blobs = await self._requests.listing(call, container, query, BlobListParser(container))
        return Page(blobs.entries, blobs.marker)

    async def stat(self, key: str) -> Entry:
        call = Call(self.name, "stat", f"/{key}")
        container, name = _split(call, key)
        response = await self._requests.send(
            call, "HEAD", container, name, query={} if name else {"restype": "container"}
        )
        response.close()
        if not name:
            return Entry(f"{container}/", directory=True)
        _check_object(call, response.headers)
        entry = entry_of(key, response.headers, int(response.headers.get("content-length", 0)))
        entry.directory = is_directory(response.headers)
        return entry

    async def read(
        self, key: str, start: int = 0, end: int | None = None, *, etag: str | None = None, listed: Entry | None = None
    ) -> Reading:
        call = Call(self.name, "read", f"/{key}")
        container, name = _split(call, key)
        response = await self._requests.send(call, "GET", container, name, range_headers(start, end, etag))
        try:
            size, length = _extent(call, response, start, end)
        except StorageError:
            response.close()
            raise
        entry = entry_of(key, response.headers, size)
        return HTTPReading(entry, length, self._requests.http, call, response, entry.crc32c if length == size else None)

    async def write(self, key: str, body: Body, options: ObjectOptions) -> Entry:
        call = Call(self.name, "write", f"/{key}")
        container, name = _split(call, key)
        headers = {"x-ms-blob-type": "BlockBlob", **object_headers(call, options)}
        if options.public:
            await self._check_public(call, container)
        response, measured = await self._requests.send_body(call, container, name, {}, headers, body, keep=True)
        response.close()
        return Entry(key, body.size, etag=etag_of(response.headers), crc32c=measured.crc32c)

    async def start_upload(self, key: str, size: int | None, options: ObjectOptions) -> Upload:
        call = Call(self.name, "write", f"/{key}")
        container, name = _split(call, key)
        headers = object_headers(call, options)
        if options.public:
            await self._check_public(call, container)
        return _BlockUpload(self, key, container, name, headers, secrets.token_hex(8))

    async def resume_upload(
        self, key: str, upload_id: str, receipts: Sequence[Receipt], options: ObjectOptions
    ) -> tuple[Upload, Sequence[Receipt]]:
        call = Call(self.name, "write", f"/{key}")
        container, name = _split(call, key)
        upload = _BlockUpload(self, key, container, name, object_headers(call, options), upload_id)
        query = {"comp": "blocklist", "blocklisttype": "uncommitted"}
        found = dict((await self._requests.listing(call, container, query, BlockListParser(), name)).blocks)
        return upload, [each for each in receipts if found.get(upload.block_id(each.part.number)) == each.part.size]

    async def delete(self, keys: Sequence[str]) -> dict[str, StorageError]:
        if len(keys) == 1 or not await self._requests.batches():
            return await delete_each(keys, self._delete_one, _MAX_DELETERS)
        by_container: dict[str, list[str]] = {}
        refused: dict[str, StorageError] = {}
        for key in keys:
            try:
                container, _ = _split(Call(self.name, "delete", f"/{key}"), key)
            except UnsafePathError as error:
                refused[key] = error
            else:
                by_container.setdefault(container, []).append(key)
        batches = [
            same[start : start + MAX_BATCH]
            for same in by_container.values()
            for start in range(0, len(same), MAX_BATCH)
        ]
        return refused | await delete_batches(batches, self._delete_together)

    async def copy(self, source: Entry, key: str, options: ObjectOptions) -> Entry:
        """As `Provider.copy`. While a large copy is under way the key holds an empty object, which an error removes."""
        call = Call(self.name, "copy", f"/{source.key} to /{key}")
        container, name = _split(call, key)
        headers = {"x-ms-copy-source": await self._requests.url(*_split(call, source.key))}
        if source.etag is not None:
            headers["x-ms-source-if-match"] = f'"{source.etag}"'
        if options.public:
            await self._check_public(call, container)
        response = await self._requests.send(call, "PUT", container, name, headers)
        response.close()
        stored = await self._finish_copy(call, container, name, response.headers)
        return Entry(key, source.size, etag=etag_of(stored))

    async def presign(self, key: str, expires: float, *, method: str = "GET") -> str:
        """As `Provider.presign`; a PUT has to be sent with the header `x-ms-blob-type: BlockBlob`."""
        call = Call(self.name, "presign", f"/{key}")
        container, name = _split(call, key)
        if not self.features.presign:
            raise call.error(UnsupportedError, "URLs are signed with the account's key; set AZURE.account_key")
        url = await self._requests.url(container, name)
        query = await self._identity.presign(method, container, name, int(expires), https=url.startswith("https:"))
        return f"{url}?{query}"

    async def aclose(self) -> None:
        await self._identity.aclose()

    async def _delete_one(self, key: str) -> None:
        call = Call(self.name, "delete", f"/{key}")
        try:
            response = await self._requests.send(call, "DELETE", *_split(call, key), _WITH_SNAPSHOTS)
        except NotFoundError as error:
            if error.code != "BlobNotFound":
                raise
        else:
            response.close()

    async def _delete_together(self, keys: Sequence[str]) -> dict[str, StorageError]:
        """Deletes keys of one container by one request."""
        call, failed = Call(self.name, "delete", f"/{keys[0]}"), dict[str, StorageError]()
        container, names = _split(call, keys[0])[0], [_split(call, key)[1] for key in keys]
        answers = await self._requests.delete_together(call, container, names, _WITH_SNAPSHOTS)
        refused = len(answers) < len(keys)  # as a whole
        for key, answer in zip(keys, answers, strict=False):
            if answer.status >= 300 and answer.code != "BlobNotFound":
                about = call._replace(path=f"/{key}")
                failed[key] = error_of(about, answer.status, answer.code, answer.message, answer.headers)
        if refused:
            raise failed.get(keys[0]) or call.error(
                ServiceError, "the server answered for none of the names; try again"
            )
        return failed

    # Copies

    async def _finish_copy(self, call: Call, container: str, name: str, begun: Mapping[str, str]) -> Mapping[str, str]:
        """The headers of a copy that has come to its end; what does not get there is undone."""
        headers, pause, copy_id = begun, _FIRST_LOOK, begun.get("x-ms-copy-id", "")
        try:
            while (status := headers.get("x-ms-copy-status")) == "pending":
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_LOOK)
                headers = await self._look(call, container, name)
                if headers.get("x-ms-copy-id") != copy_id:
                    raise call.error(PreconditionFailedError, "the target was replaced meanwhile; start again")
        except BaseException:
            with CancelScope(shield=True), move_on_after(_UNDO_SECONDS), suppress(StorageError):
                await self._undo_copy(call, container, name, copy_id)
            raise
        if status != "success":
            reason = headers.get("x-ms-copy-status-description", "no reason given")
            raise call.error(ServiceError, f"the service gave up ({status}: {reason}); try again")
        return headers

    async def _undo_copy(self, call: Call, container: str, name: str, copy_id: str) -> None:
        """Ends a copy under way, and removes the empty object it leaves; one that has finished stays."""
        query = {"comp": "copy", "copyid": copy_id}
        (await self._requests.send(call, "PUT", container, name, {"x-ms-copy-action": "abort"}, query=query)).close()
        headers = await self._look(call, container, name)
        if headers.get("x-ms-copy-id") == copy_id and headers.get("x-ms-copy-status") == "aborted":
            (await self._requests.send(call, "DELETE", container, name, {"if-match": headers.get("etag", "*")})).close()

    async def _look(self, call: Call, container: str, name: str) -> Mapping[str, str]:
        response = await self._requests.send(call, "HEAD", container, name)
        response.close()
        return response.headers

    async def _check_public(self, call: Call, container: str) -> None:
        """Looks, before anything is written, whether a container lets anybody read; once where it does."""
        if container in self._public_containers:
            return
        response = await self._requests.send(call, "HEAD", container, query={"restype": "container"})
        response.close()
        if response.headers.get("x-ms-blob-public-access") not in ("blob", "container"):
            raise call.error(
                UnsupportedError,
                f'container "{container}" does not let objects be read publicly; set its public access level to Blob, '
                "which the account has to allow",
            )
        self._public_containers.add(container)


class _BlockUpload(Upload):
    """Blocks that are committed once; nothing is said to the service before the first of them."""

    def __init__(
        self, provider: AzureProvider, key: str, container: str, name: str, headers: dict[str, str], upload_id: str
    ) -> None:
        self.id = upload_id
        self._provider = provider
        self._key = key
        self._container = container
        self._name = name
        self._headers = headers

    async def write_part(self, part: Part, body: Body) -> Receipt:
        if not part.size:
            return Receipt(part, None, 0, verified=True)  # there are no empty blocks
        call = Call(self._provider.name, "write", f"/{self._key} (part {part.number})")
        query = {"comp": "block", "blockid": self.block_id(part.number)}
        response, measured = await self._provider._requests.send_body(
            call, self._container, self._name, query, {}, body
        )
        response.close()
        return Receipt(part, None, measured.crc32c, verified=compared(call, response, measured))

    async def finish(self, receipts: Sequence[Receipt], crc32c: int | None) -> Entry:
        call = Call(self._provider.name, "write", f"/{self._key}")
        whole = checksum.combine((receipt.crc32c, receipt.part.size) for receipt in receipts)
        if None not in (whole, crc32c) and whole != crc32c:
            raise call.error(ChecksumMismatchError, "the parts do not make the whole; start again")
        headers = self._headers if whole is None else {**self._headers, **checksum_header(whole)}
        data = block_list(self.block_id(receipt.part.number) for receipt in receipts if receipt.part.size)
        blocks, query = Buffered((data,), len(data)), {"comp": "blocklist"}
        response, _ = await self._provider._requests.send_body(
            call, self._container, self._name, query, headers, blocks
        )
        response.close()
        verified = all(receipt.verified for receipt in receipts)
        size = sum(receipt.part.size for receipt in receipts)
        return Entry(self._key, size, etag=etag_of(response.headers), crc32c=whole if verified else None)

    async def abort(self) -> None:
        """Does nothing: the service drops blocks that were not committed, a week after the last of them."""

    def block_id(self, number: int) -> str:
        """What the service calls a part; all are of one length, as it wants them: 21 bytes, so without padding."""
        return base64.b64encode(f"{self.id}{number:05}".encode()).decode()


# https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
_CONTAINER = re.compile(r"\$(root|web|logs|blobchangefeed)|(?=.{3,63}\Z)[a-z0-9]+(-[a-z0-9]+)*")
_OTHERWISE = re.compile(r"\.(/|\Z)|\\")


def _split(call: Call, key: str) -> tuple[str, str]:
    """Container and name.

    Raises:
        UnsafePathError: the service would not take them, or take them for others.
    """
    container, _, name = key.partition("/")
    _check_container(call, container)
    if ("." in name or "\\" in name) and _OTHERWISE.search(name):
        raise call.error(
            UnsafePathError, "Azure does not keep a backslash, nor a dot at the end of a name's segment; rename it"
        )
    return container, name


def _check_container(call: Call, container: str) -> None:
    if not _CONTAINER.fullmatch(container):
        raise call.error(
            UnsafePathError,
            f"{container!r} is no container's name: 3 to 63 small letters, digits and single hyphens between them",
        )


def _check_object(call: Call, headers: Mapping[str, str]) -> None:
    if is_directory(headers) and not call.path.endswith("/"):
        raise call.error(NotFoundError, "it is a directory; write it with a slash at its end")


def _extent(call: Call, response: Response, start: int, end: int | None) -> tuple[int, int]:
    """The size of an object, and that of the range of it that comes.

    Raises:
        NotFoundError: it is a directory.
        PreconditionFailedError: the range has no byte of it, which Azurite says with an empty answer.
        ServiceError: another range comes than was asked for.
    """
    _check_object(call, response.headers)
    try:
        size, length = extent_of(response.status, response.headers, start, end)
    except ValueError as error:
        raise call.error(ServiceError, str(error), status=response.status) from error
    if not length and (start or end is not None):
        raise call.error(PreconditionFailedError, "the object is shorter than the range; start again", status=416)
    return size, length
