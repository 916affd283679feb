"""Azure Blob Storage.

Credentials come from the SDK and azure-identity; every request goes over the data plane. The first segment of a key is
the container. Source: https://learn.microsoft.com/rest/api/storageservices/
"""

from __future__ import annotations

import copy
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AzureSettings
from dxflow_async.exceptions import (
    AccessDeniedError,
    AlreadyExistsError,
    NotFoundError,
    PreconditionFailedError,
    ServiceError,
    StorageError,
    UnsupportedError,
)
from dxflow_async.providers.azure.confirm import (
    confirm_read,
    confirm_seen,
    deleted,
    look_up,
    look_up_container,
    names_file,
    not_azures,
    stored,
)
from dxflow_async.providers.azure.copy import copy_blob, refuses_copy, stored_tags
from dxflow_async.providers.azure.credentials import CloudCredentials, TokenCredential
from dxflow_async.providers.azure.deletion import Deletions
from dxflow_async.providers.azure.directories import Cursor, Namespace
from dxflow_async.providers.azure.headers import (
    DIRECTORY_HEADER,
    condition_headers,
    entry_of,
    etag_of,
    is_directory,
    object_headers,
    range_headers,
)
from dxflow_async.providers.azure.listing import Listings
from dxflow_async.providers.azure.names import split_key
from dxflow_async.providers.azure.requests import Requests
from dxflow_async.providers.azure.upload import BlockUpload
from dxflow_async.providers.azure.xml import BlobListParser
from dxflow_async.providers.common.conditions import LooksFirst, refused
from dxflow_async.providers.common.confirm import check_unchanged, check_version, contradiction, entries_after, extent
from dxflow_async.providers.common.copy_refusals import CopyRefusals
from dxflow_async.providers.common.etags import same_etag
from dxflow_async.providers.common.fields import content_length
from dxflow_async.providers.common.untold_size import look_up_size
from dxflow_async.providers.common.verified_reader import VerifiedReader, body_reader
from dxflow_async.providers.common.views import Known
from dxflow_async.providers.common.whole_objects import WholeObjects, requests_ranges
from dxflow_async.providers.contract import (
    SYSTEM_OPTIONS,
    Body,
    Encryption,
    Entry,
    Features,
    ObjectOptions,
    Page,
    PartReceipt,
    Provider,
    Reader,
    Upload,
)
from dxflow_async.providers.http import HTTP, Call, Response

__all__ = ["AzureProvider"]

MiB = 1 << 20


# Features


def _features(identity: CloudCredentials) -> Features:
    # Servers of others may ignore conditions: https://learn.microsoft.com/azure/storage/common/storage-account-overview
    azure = re.search(r"\.(core\.[a-z.]+|storage\.azure\.net)$", urlsplit(identity.endpoint).hostname or "") is not None
    # https://learn.microsoft.com/azure/storage/blobs/scalability-targets: 50,000 blocks of up to 4,000 MiB
    return Features(
        checksum=True,
        checksum_first=True,
        copy=True,
        directories_vary=True,
        resumable=True,
        presign=identity.has_key,
        public=True,
        metadata=True,
        metadata_identifiers=True,
        mtime=True,
        mtime_listed=True,
        list_after=True,
        list_directories=True,
        min_part_size=1,
        max_part_size=4000 * MiB,
        max_parts=50_000,
        max_size=50_000 * 4000 * MiB,
        max_copy_size=50_000 * 4000 * MiB,
        buckets=True,
        versions=True,
        options=frozenset(("storage_class", *SYSTEM_OPTIONS, "tags", "encryption")),
        copies_with_class=True,
        storage_classes="azure",
        encryptions=frozenset(("customer", "scope")),
        conditions=True,
        object_versions=True,
        atomic_create=azure,
        atomic_replace=azure,
        endpoint=identity.endpoint,
    )


# The provider


class AzureProvider(LooksFirst):
    """The blobs of a storage account.

    Within a page, keys are sorted by bytes; pages are in the service's order, see `listing`. Names with a backslash, or
    with a segment that ends in a dot, are refused: the service would change them.

    Args:
        settings: endpoint, account and credentials.
        http: the session's data plane; the provider does not close it.
        threads: the session's worker threads.
        name: the remote's name, as errors show it.
        credential: one of azure-identity's asynchronous credentials, closed by its owner; None: as the settings say.
    """

    def __init__(
        self,
        settings: AzureSettings,
        http: HTTP,
        threads: Threads,
        *,
        name: str = "AZURE",
        credential: TokenCredential | None = None,
    ) -> None:
        self.name = name
        self._identity = CloudCredentials(settings, http, threads, credential, name=name)
        self._known = Known(_features(self._identity))
        self._origin: AzureProvider | None = None
        self._defaults = None if settings.storage_class is None else ObjectOptions(storage_class=settings.storage_class)
        self._requests = Requests(self._identity, http, threads, checksum=settings.checksum)
        if settings.customer_key is not None:
            self._requests.encryption = Encryption.customer(settings.customer_key)
        elif settings.encryption_scope is not None:
            self._requests.encryption = Encryption.scope(settings.encryption_scope)
        self._public_containers: set[str] = set()
        self._copy_refusals = CopyRefusals()
        self._whole = WholeObjects(http.stall_timeout)
        self._namespace = Namespace()
        self._listings = Listings(self._requests, self._namespace)
        self._deletions = Deletions(self.name, self._requests, self._namespace)
        self._requests.dialect.on_older = self._learn_limits

    @property
    def features(self) -> Features:
        """What the service can do, as far as it is known. Blobs under a customer's key are copied through memory."""
        encryption, features = self._requests.encryption, self._known.features
        return features if encryption is None else replace(features, copy=False)

    @features.setter
    def features(self, features: Features) -> None:
        self._known.features = features

    @property
    def origin(self) -> Provider:
        return self._origin or self

    def with_customer_key(self, encryption: Encryption) -> Provider:
        view = copy.copy(self)
        view._origin = self
        view._requests = self._requests.with_encryption(encryption)
        view._deletions = Deletions(self.name, view._requests, self._namespace)
        return view

    def at_version(self, version: str) -> Provider:
        view = copy.copy(self)
        view._origin = self._origin or self
        view._requests = self._requests.with_version(version)
        view._deletions = Deletions(self.name, view._requests, self._namespace)
        return view

    async def list_versions(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
        return await self._listings.versions(Call(self.name, "list", f"/{prefix}"), prefix, cursor, recursive=recursive)

    def _completed(self, call: Call, options: ObjectOptions) -> tuple[dict[str, str], Requests]:
        """Returns the headers of options and of the settings, and the requests that encrypt as they say."""
        options = options.with_defaults(self._defaults)
        encryption = options.stored_encryption()
        requests = self._requests if encryption is None else self._requests.with_encryption(encryption)
        return object_headers(call, options), requests

    @property
    def real_directories(self) -> bool:
        return self._namespace.has_directories

    async def list_page(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
        return await self._list(Call(self.name, "list", f"/{prefix}"), prefix, cursor, recursive=recursive)

    async def list_after(self, prefix: str, after: str) -> Page:
        """Implements `Provider.list_after`; a page that begins elsewhere is not believed."""
        call = Call(self.name, "list", f"/{prefix}")
        page = await self._list(call, prefix, Cursor("", partial=True), recursive=True, after=after)
        return entries_after(self, call, page, after)

    def listing_order(self, key: str) -> bytes:
        return self._listings.order(key)

    async def _list(
        self, call: Call, prefix: str, cursor: Cursor | None, *, recursive: bool, after: str | None = None
    ) -> Page:
        try:
            return await self._listings.page(call, prefix, cursor, recursive=recursive, after=after)
        finally:
            if self._known.features.list_after and not self._listings.ordered:
                self._known.features = replace(self._known.features, list_after=False)

    async def stat(self, key: str) -> Entry:
        call = Call(self.name, "stat", f"/{key}")
        container, name = split_key(call, key)
        if not name:
            await self._check_container(call, container)
            return Entry(f"{container}/", directory=True)
        try:
            headers = await look_up(self._requests, call, container, name)
        except NotFoundError as error:
            if not name.endswith("/") or error.code not in (None, "BlobNotFound"):
                raise
            headers = await look_up(self._requests, call, container, name.removesuffix("/"))
            if not is_directory(headers):
                raise
        if name.endswith("/") and await names_file(
            self._requests, call, container, name, headers, flat=self._namespace.flat
        ):
            raise call.error(NotFoundError, "it is a file; write it without the slash at its end")
        if is_directory(headers):
            self._namespace.note(typed="x-ms-resource-type" in headers)
            key = f"{key.removesuffix('/')}/"
        size = 0 if is_directory(headers) else content_length(headers)
        if size is None:
            size = await self._look_up_size(call, container, name, etag_of(headers))
        entry = entry_of(key, headers, size)
        entry.directory = is_directory(headers)
        return entry if self._requests.version is not None else await confirm_seen(self, call, entry, headers)

    async def read(
        self, key: str, start: int = 0, end: int | None = None, *, etag: str | None = None, listed: Entry | None = None
    ) -> Reader:
        call = Call(self.name, "read", f"/{key}")
        container, name = split_key(call, key)
        if not requests_ranges(self) and (start or end is not None):
            return await self._whole.read(call, key, start, end, etag, lambda: self.read(key, etag=etag, listed=listed))
        headers = range_headers(start, end, etag)
        response = await self._requests.send(call, "GET", container, name, headers, accept=(200, 206))
        try:
            _check_object(call, response.headers)
            if etag_of(response.headers) is None:
                raise not_azures(call, response, f"{response.status} without an ETag")
            await check_version(self, call, key, etag, etag_of(response.headers))
            version = etag_of(response.headers), listed
            size, length = await self._extent(call, key, response, (start, end), version)
            entry = entry_of(key, response.headers, size)
            if etag is None and listed is None:
                await confirm_read(self, call, entry, response.headers)
        except BaseException:
            response.close()
            raise
        crc32c = entry.crc32c if length == size else None
        reading = body_reader(entry, length, self._requests.http, call, response, crc32c)
        if length != size or not size or entry.digest is None:
            return reading
        return VerifiedReader(reading, entry.digest, call)

    async def _extent(
        self, call: Call, key: str, response: Response, span: tuple[int, int | None], version: tuple[Any, Entry | None]
    ) -> tuple[int, int]:
        """Returns the size of an object, and the size of the range that the response contains.

        Raises:
            PreconditionFailedError: the object has no byte in the range; Azurite then sends an empty response.
            ServiceError: the response contains another range than the one requested.
        """
        try:
            size, length = await extent(self, call, key, response, span, version)
        except ValueError as error:
            raise call.error(ServiceError, str(error), status=response.status) from error
        if not length and span != (0, None):
            raise call.error(PreconditionFailedError, "the object is shorter than the range; start again", status=416)
        return size, length

    async def write(self, key: str, body: Body, options: ObjectOptions) -> Entry:
        call = Call(self.name, "write", f"/{key}")
        container, name = split_key(call, key)
        stored_with, requests = self._completed(call, options)
        headers = {"x-ms-blob-type": "BlockBlob", **stored_with, **condition_headers(options)}
        if options.public:
            await self._check_public(call, container)
        await self.check_condition(call, key, options)
        if name.endswith("/") and not body.size:
            return await self._mark_directory(call, key, container, name, headers, body)
        try:
            response, measured = await requests.send_body(call, container, name, {}, headers, body, keep=True)
        except StorageError as error:
            raise refused(call, options, error) from error
        etag = await stored(self._requests, call, container, name, response, body.size, measured.crc32c)
        return Entry(key, body.size, etag=etag, crc32c=measured.crc32c)

    async def start_upload(self, key: str, size: int | None, options: ObjectOptions) -> Upload:
        call = Call(self.name, "write", f"/{key}")
        container, name = split_key(call, key)
        headers, requests = self._completed(call, options)
        if options.public:
            await self._check_public(call, container)
        upload = BlockUpload(requests, call, key, (container, name), headers, options, secrets.token_hex(8))
        return self._checked(call, key, upload, options)

    async def resume_upload(
        self, key: str, upload_id: str, receipts: Sequence[PartReceipt], options: ObjectOptions
    ) -> tuple[Upload, Sequence[PartReceipt]]:
        call = Call(self.name, "write", f"/{key}")
        headers, requests = self._completed(call, options)
        upload = BlockUpload(requests, call, key, split_key(call, key), headers, options, upload_id)
        return self._checked(call, key, upload, options), await upload.confirmed(receipts)

    async def delete(self, keys: Sequence[str]) -> dict[str, StorageError]:
        """Implements `Provider.delete`. Directories are deleted last, the deepest first, and only if they are empty."""
        return await self._deletions.delete(keys)

    async def delete_matching(self, key: str, etag: str) -> None:
        call = Call(self.name, "delete", f"/{key}")
        container, name = split_key(call, key)
        options = ObjectOptions(if_match=etag)
        await self.check_condition(call, key, options)
        try:
            response = await self._requests.send(call, "DELETE", container, name, condition_headers(options))
        except StorageError as error:
            raise refused(call, options, error, missing=isinstance(error, NotFoundError)) from error
        await deleted(self._requests, call, container, name, response)

    async def remove_directory(self, key: str) -> None:
        if not self._namespace.has_directories:
            return await super().remove_directory(key)
        call = Call(self.name, "remove", f"/{key}")
        container, name = split_key(call, f"{key.removesuffix('/')}/")
        if not self._namespace.typed and (await self.list_page(f"{container}/{name}", recursive=False)).entries:
            raise call.error(AlreadyExistsError, "something is in it", code="DirectoryIsNotEmpty")
        return await self._deletions.delete_one(f"{container}/{name}")

    async def copy(self, source: Entry, key: str, options: ObjectOptions) -> Entry:
        """Implements `Provider.copy`. During a large copy the key holds an empty object, which an error removes."""
        call = Call(self.name, "copy", f"/{source.key} to /{key}")
        container, name = split_key(call, key)
        origin = split_key(call, source.key)
        options = options.with_defaults(self._defaults, source)
        if options.public:
            await self._check_public(call, container)
        await self.check_condition(call, key, options)

        async def copy() -> str | None:
            return await copy_blob(self._requests, call, source, origin, (container, name), options)

        try:
            attempt = self._copy_refusals.attempt
            etag = await attempt(self.origin, call, (source, key), copy, refuses_copy)
        except StorageError as error:
            # The service tells a source that was replaced from a target by the code.
            raise error if error.code == "SourceConditionNotMet" else refused(call, options, error) from error
        await check_unchanged(self, call, source)
        return Entry(key, source.size, etag=etag)

    async def stored_tags(self, source: Entry) -> Mapping[str, str]:
        if not source.tag_count:
            return {}
        call = Call(self.name, "copy", f"/{source.key}")
        return dict(await stored_tags(self._requests, call, split_key(call, source.key)))

    def endpoint_facts(self) -> Sequence[tuple[str, str]]:
        """Returns what was learned of the service, with the reason of each."""
        directories = [("directories", "hierarchical namespace")] if self._namespace.typed else []
        return [*self._requests.dialect.facts, *directories, *self._copy_refusals.facts]

    async def presign(self, key: str, expires: float, *, method: str = "GET") -> str:
        """Implements `Provider.presign`. A PUT needs the header `x-ms-blob-type: BlockBlob`."""
        call = Call(self.name, "presign", f"/{key}")
        container, name = split_key(call, key)
        if not self.features.presign:
            raise call.error(UnsupportedError, "URLs are signed with the account's key; set AZURE.account_key")
        url = await self._requests.url(container, name)
        query = await self._identity.presign(method, container, name, int(expires), https=url.startswith("https:"))
        return f"{url}?{query}"

    async def aclose(self) -> None:
        await self._whole.aclose()
        await self._identity.aclose()

    async def _check_container(self, call: Call, container: str) -> None:
        """Checks that a container exists.

        A shared access signature of a container does not permit to read its properties; a listing needs less.
        """
        try:
            await look_up_container(self._requests, call, container)
        except AccessDeniedError as error:
            query = {"restype": "container", "comp": "list", "maxresults": "1"}
            try:
                await self._requests.listing(call, container, query, BlobListParser(container))
            except AccessDeniedError:
                raise error from None

    async def _look_up_size(self, call: Call, container: str, name: str, etag: str | None) -> int:
        """Returns the size of a blob whose HEAD has none."""

        async def get(headers: Mapping[str, str]) -> Response:
            sent = {f"x-ms-{header}": value for header, value in headers.items()} | range_headers(0, None, etag)
            response = await self._requests.send(call, "GET", container, name, sent, accept=(200, 206))
            if etag_of(response.headers) is None or not same_etag(etag, etag_of(response.headers)):
                response.close()
                raise contradiction(call, "another version", response.status)
            return response

        size, _ = await look_up_size(call, self._requests.http, get)
        return size

    def _learn_limits(self) -> None:
        """Takes over the limits of the protocol's version."""
        features = _features(self._identity)
        if not self._requests.dialect.has_large_blocks:
            # https://learn.microsoft.com/rest/api/storageservices/put-block and put-blob, before 2019-12-12
            size, most = 100 * MiB, 50_000 * 100 * MiB
            features = replace(features, max_part_size=size, max_write_size=256 * MiB, max_size=most)
        known = self.features
        has_start = known.list_after and self._requests.dialect.has_start
        self.features = replace(features, ranges=known.ranges, list_after=has_start)

    # Directories

    async def _mark_directory(
        self, call: Call, key: str, container: str, name: str, headers: dict[str, str], body: Body
    ) -> Entry:
        """Creates a directory, or the empty object that marks one; an existing one stays as it is."""
        name, new = self._namespace.directory_name(name), headers | DIRECTORY_HEADER | {"if-none-match": "*"}
        try:
            response, measured = await self._requests.send_body(call, container, name, {}, new, body, keep=True)
        except StorageError as error:
            if error.status not in (400, 409, 412):
                raise
            try:
                there = await self._marked(key)
            except AccessDeniedError:  # the credentials may only write
                if error.code != "BlobAlreadyExists":
                    raise error from None
                there = Entry(key, directory=True)
            if there is None:
                raise
            return there
        etag = await stored(self._requests, call, container, name, response, body.size, measured.crc32c)
        return Entry(key, body.size, etag=etag, crc32c=measured.crc32c)

    async def _marked(self, key: str) -> Entry | None:
        """Returns an existing directory, or the object that marks one."""
        with suppress(NotFoundError):
            entry = await self.stat(key)
            if entry.directory or not entry.size:
                return entry
        return None

    async def _check_public(self, call: Call, container: str) -> None:
        """Checks once, before anything is written, that a container permits public reading."""
        if container in self._public_containers:
            return
        headers = await look_up_container(self._requests, call, container)
        if headers.get("x-ms-blob-public-access") not in ("blob", "container"):
            raise call.error(
                UnsupportedError,
                f'container "{container}" does not let objects be read publicly; set its public access level to Blob, '
                "which the account has to allow",
            )
        self._public_containers.add(container)


def _check_object(call: Call, headers: Mapping[str, str]) -> None:
    if is_directory(headers) and not call.path.endswith("/"):
        raise call.error(NotFoundError, "it is a directory; write it with a slash at its end")
