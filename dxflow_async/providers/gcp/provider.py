"""Google Cloud Storage.

Credentials come from the SDK; every request goes over the data plane. Objects are read by the XML API, which sends the
metadata of an object with its bytes; everything else uses the JSON API. The first segment of a key is the bucket, and
an etag is a generation.
Source: https://cloud.google.com/storage/docs/json_api/v1 and https://cloud.google.com/storage/docs/xml-api/overview
"""

from __future__ import annotations

import copy
import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import GCPSettings
from dxflow_async.exceptions import (
    AccessDeniedError,
    NotFoundError,
    PreconditionFailedError,
    StorageError,
    UnsafePathError,
    UnsupportedError,
)
from dxflow_async.providers.common.conditions import LooksFirst, refused
from dxflow_async.providers.common.confirm import (
    check_names,
    contradiction,
    disagreement,
    entries_after,
    extent,
    not_the_service,
)
from dxflow_async.providers.common.copy_refusals import CopyRefusals
from dxflow_async.providers.common.deletion import delete_batches
from dxflow_async.providers.common.key_path import has_odd_segment
from dxflow_async.providers.common.page_tokens import grouped
from dxflow_async.providers.common.spooled_upload import SpooledUpload
from dxflow_async.providers.common.status_errors import is_page
from dxflow_async.providers.common.verified_reader import body_reader
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
    page_size,
)
from dxflow_async.providers.gcp.bucket_rules import BucketRules
from dxflow_async.providers.gcp.compose import PARTS_PREFIX, ComposeUpload
from dxflow_async.providers.gcp.copies import rewrite
from dxflow_async.providers.gcp.credentials import CloudCredentials
from dxflow_async.providers.gcp.errors import REQUEST_ID, refuses_rewrite
from dxflow_async.providers.gcp.objects import (
    LIST_FIELDS,
    SINGLE_SIZE,
    entries_of,
    entry_of_headers,
    is_decompressed,
    resource_of,
)
from dxflow_async.providers.gcp.pages import bucket_names, next_token
from dxflow_async.providers.gcp.requests import Requests, parsed
from dxflow_async.providers.gcp.store import Store, Version, acl, condition, managed_key, object_path
from dxflow_async.providers.http import HTTP, Call

__all__ = ["GCPProvider"]

_log = logging.getLogger("dxflow_async.providers.gcp")

TiB = 1 << 40

_MAX_BUCKETS = 1000
_OBJECTS = "storage#objects"
_WHOLE = "whole-"
"""Starts the id of an upload that is sent in one request at its end, so that no other process can continue it."""

# https://cloud.google.com/storage/docs/buckets#naming
_BUCKET = re.compile(r"(?!.*(?:\.\.|\.-|-\.))(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")


# Features


def _features(identity: CloudCredentials, *, signs: bool) -> Features:
    google = (urlsplit(identity.endpoint).hostname or "").endswith("googleapis.com")
    # https://cloud.google.com/storage/quotas#objects; parts are objects, put together in rounds: their number is ours.
    return Features(
        checksum=True,
        checksum_first=True,
        streams_parts=True,
        parts_are_objects=True,
        copy=True,
        resumable=True,
        presign=signs and not (identity.anonymous or identity.unsigned),
        public=True,
        metadata=True,
        mtime=True,
        mtime_listed=True,
        list_after=True,
        max_part_size=5 * TiB,
        max_parts=10_000,
        max_size=5 * TiB,
        max_copy_size=5 * TiB,
        buckets=True,
        versions=True,
        options=frozenset(("storage_class", *SYSTEM_OPTIONS, "encryption")),
        copies_with_class=True,
        storage_classes="google",
        encryptions=frozenset(("managed", "customer")),
        conditions=True,
        object_versions=True,
        # Emulators ignore some conditions.
        atomic_create=google,
        atomic_replace=google,
        key_order=google,
        any_names=True,
        endpoint=identity.endpoint,
    )


def _defaults(settings: GCPSettings) -> ObjectOptions | None:
    """Returns what the settings say about all new objects; None if they say nothing."""
    if settings.storage_class is None and settings.kms_key is None:
        return None
    encryption = None if settings.kms_key is None else Encryption.managed(settings.kms_key)
    return ObjectOptions(storage_class=settings.storage_class, encryption=encryption)


# The provider


class GCPProvider(LooksFirst):
    """A Google Cloud Storage account.

    Args:
        settings: endpoint, project and credentials.
        http: the session's data plane; the provider does not close it.
        threads: the session's worker threads.
        name: the remote's name, as errors show it.

    Raises:
        ConfigurationError: `STORAGE_EMULATOR_HOST` is not a host.
    """

    def __init__(self, settings: GCPSettings, http: HTTP, threads: Threads, *, name: str = "GCP") -> None:
        self.name = name
        self._identity = CloudCredentials(settings, http, threads, name=name)
        self.requests = Requests(http, self._identity, settings.user_project, name)
        if settings.customer_key is not None:
            self.requests.use_customer_key(Encryption.customer(settings.customer_key))
        self._store = Store(self.requests)
        self._rules = BucketRules(self.requests)
        self._origin: GCPProvider | None = None
        self._version: str | None = None
        self.defaults = _defaults(settings)
        self._threads = threads
        self._buckets: set[str] = set()
        self._copy_refusals = CopyRefusals()
        self._whole = WholeObjects(http.stall_timeout)
        self._known = Known(_features(self._identity, signs=settings.credentials is None))

    @property
    def features(self) -> Features:
        """What the service can do, as far as it is known: also for every view of this provider."""
        return self._known.features

    @features.setter
    def features(self, features: Features) -> None:
        self._known.features = features

    async def connect(self) -> None:
        if found := await self._identity.find_endpoint():
            self.features = replace(
                self.features, endpoint=found, atomic_create=False, atomic_replace=False, key_order=False
            )

    @property
    def origin(self) -> GCPProvider:
        return self._origin or self

    def with_customer_key(self, encryption: Encryption) -> Provider:
        view = copy.copy(self)
        view._origin = self
        view.requests = self.requests.with_customer_key(encryption)
        view._store = Store(view.requests)
        view._store.refused, view._store.deletions = self._store.refused, self._store.deletions
        view.defaults = replace(self.defaults or ObjectOptions(), encryption=None)
        return view

    def at_version(self, version: str) -> Provider:
        view = copy.copy(self)
        view._origin = self._origin or self
        view._version = version
        return view

    async def list_versions(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
        call = Call(self.name, "list", f"/{prefix}")
        bucket, rest = self.split(call, prefix)
        query = {"versions": "true"} if recursive else {"versions": "true", "delimiter": "/"}
        if cursor is not None:
            query["pageToken"] = cursor
        page = await self._list(call, bucket, rest, query)
        # The service lists the oldest version of a key first.
        newest_first = sorted(page.entries, key=lambda entry: -int(entry.version or 0))
        return replace(page, entries=sorted(newest_first, key=lambda entry: entry.key.encode()))

    def completed(self, options: ObjectOptions) -> ObjectOptions:
        return options.with_defaults(self.defaults)

    async def list_page(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
        call = Call(self.name, "list", f"/{prefix}")
        if "/" not in prefix:
            return await self._list_buckets(call, prefix, cursor)
        bucket, rest = self.split(call, prefix)
        query = {} if recursive else {"delimiter": "/"}
        if cursor is not None:
            query["pageToken"] = cursor
        return await self._list(call, bucket, rest, query)

    async def list_after(self, prefix: str, after: str) -> Page:
        call = Call(self.name, "list", f"/{prefix}")
        bucket, rest = self.split(call, prefix)
        page = await self._list(call, bucket, rest, {"startOffset": after.removeprefix(f"{bucket}/")})
        while not page.entries and page.cursor is not None:  # an empty page does not show where the listing began
            page = await self._list(call, bucket, rest, {"pageToken": page.cursor})
        return entries_after(self, call, page, after)

    async def _list(self, call: Call, bucket: str, rest: str, more: Mapping[str, str]) -> Page:
        recursive, cursor = "delimiter" not in more, more.get("pageToken")
        size = str(page_size(recursive=recursive, first=not more or more.keys() == {"delimiter"}))
        query = {"prefix": rest, "maxResults": size, "fields": LIST_FIELDS, **more}
        path = f"/storage/v1/b/{bucket}/o?{urlencode(query, quote_via=quote)}"
        response = await self.requests.send(call, "GET", path, missing_bucket=bucket)
        document = await self.requests.document(call, response, _OBJECTS, signs=("items", "prefixes"))
        # Parts of uploads are hidden, except from a listing of that very prefix.
        hidden = "" if rest.startswith(PARTS_PREFIX) else PARTS_PREFIX
        entries = parsed(call, entries_of, bucket, document, hidden)
        if recursive and document.get("prefixes"):
            raise contradiction(call, "the page is one of a directory, not of all that is below")
        prefix = f"{bucket}/{rest}"
        check_names(call, prefix, entries)
        shown, directory = (entries, "") if recursive else grouped(entries, prefix, getattr(cursor, "directory", ""))
        return Page(shown, next_token(call, document, cursor, entries, directory))

    async def stat(self, key: str) -> Entry:
        call = Call(self.name, "stat", f"/{key}")
        bucket, name = self.split(call, key)
        if not name:
            # The right to list objects does not include the right to read the bucket's metadata.
            path = f"/storage/v1/b/{bucket}/o?maxResults=1&fields=kind"
            try:
                response = await self.requests.send(call, "GET", path, missing_bucket=bucket)
            except AccessDeniedError:
                if not await self._rules.permits_anything(bucket):
                    raise
            else:
                await self.requests.document(call, response, _OBJECTS, signs=("items",))
            return Entry(f"{bucket}/", directory=True)
        return await self._store.look(call, bucket, name, self._version)

    async def read(
        self,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        etag: str | None = None,
        listed: Entry | None = None,
    ) -> Reader:
        call = Call(self.name, "read", f"/{key}")
        bucket, name = self.split(call, key)
        if not requests_ranges(self) and (start or end is not None):
            return await self._whole.read(call, key, start, end, etag, lambda: self.read(key, etag=etag, listed=listed))
        # Compressed objects arrive as they are stored, with their own size and checksum.
        headers = {"accept-encoding": "gzip"}
        if start or end is not None:
            headers["range"] = f"bytes={start}-{'' if end is None else end - 1}"
        path = self._media_path(bucket, name, self._version or etag)
        try:
            response = await self.requests.send(call, "GET", path, headers)
        except NotFoundError as error:
            await self.check_replaced(call, key, etag, error)
            raise
        try:
            if is_decompressed(response.status, response.headers):
                raise call.error(
                    UnsupportedError,
                    "it is stored compressed (Content-Encoding: gzip), and the server or a proxy sends it "
                    "decompressed; set its Cache-Control to no-transform, or remove its Content-Encoding",
                )
            version = response.headers.get("x-goog-generation"), listed
            size, length = await extent(self, call, key, response, (start, end), version)
            entry = await self._confirmed(call, entry_of_headers(key, response.headers, size), etag, response.headers)
        except ValueError as error:
            response.close()
            raise not_the_service(call, str(error), response.status) from error
        except BaseException:
            response.close()
            raise
        crc32c = entry.crc32c if length == size else None
        return body_reader(entry, length, self.requests.http, call, response, crc32c)

    async def write(self, key: str, body: Body, options: ObjectOptions) -> Entry:
        call = Call(self.name, "write", f"/{key}")
        bucket, name = self.split(call, key)
        options = self.completed(options)
        resource = resource_of(name, options, body.crc32c)
        query = acl("predefinedAcl", public=options.public) + condition(options) + managed_key(options)
        await self.check_condition(call, key, options)
        put = self._store.put if body.size <= SINGLE_SIZE else self._store.put_in_session
        try:
            return (await put(call, bucket, resource, body, query)).entry
        except StorageError as error:
            raise refused(call, options, error, missing=isinstance(error, NotFoundError)) from error

    async def start_upload(self, key: str, size: int | None, options: ObjectOptions) -> Upload:
        call = Call(self.name, "write", f"/{key}")
        bucket, name = self.split(call, key)
        options = self.completed(options)
        resource_of(name, options, None)  # refuses what cannot be kept before the parts are sent
        if self._store.composes and not await self._rules.obstacle(bucket):
            composed = ComposeUpload(self._store, self._rules, key, options, self._read_part)
            return self._checked(call, key, composed, options)
        upload = SpooledUpload(call, self._threads, lambda body: self.write(key, body, options))
        upload.id = f"{_WHOLE}{secrets.token_hex(8)}"
        return upload

    async def resume_upload(
        self, key: str, upload_id: str, receipts: Sequence[PartReceipt], options: ObjectOptions
    ) -> tuple[Upload, Sequence[PartReceipt]]:
        call = Call(self.name, "write", f"/{key}")
        self.split(call, key)
        if upload_id.startswith(_WHOLE):
            raise call.error(NotFoundError, "its bytes were on the disk of the process that began it")
        options = self.completed(options)
        upload = ComposeUpload(self._store, self._rules, key, options, self._read_part, upload_id)
        page = await self.list_page(upload.directory, recursive=True)
        found = list(page.entries)
        while page.cursor is not None:
            page = await self.list_page(upload.directory, recursive=True, cursor=page.cursor)
            found += page.entries
        kept = upload.go_on(found, receipts)
        return self._checked(call, key, upload, options), kept

    async def _read_part(self, key: str, generation: str | None) -> Reader:
        return await self.read(key, etag=generation)

    async def delete(self, keys: Sequence[str]) -> dict[str, StorageError]:
        by_bucket: dict[str, list[str]] = {}
        refused: dict[str, StorageError] = {}
        for key in keys:
            try:
                bucket, _ = self.split(Call(self.name, "delete", f"/{key}"), key)
            except UnsafePathError as error:
                refused[key] = error
            else:
                by_bucket.setdefault(bucket, []).append(key)

        async def delete(same: Sequence[str]) -> dict[str, StorageError]:
            bucket = same[0].partition("/")[0]
            versions = [Version(key.partition("/")[2], self._version) for key in same]
            failed = await self._store.remove(Call(self.name, "delete", f"/{same[0]}"), bucket, versions)
            return {f"{bucket}/{name}": error for name, error in failed.items()} if failed else failed

        return refused | await delete_batches(list(by_bucket.values()), delete)

    async def delete_matching(self, key: str, etag: str) -> None:
        call, options = Call(self.name, "delete", f"/{key}"), ObjectOptions(if_match=etag)
        bucket, name = self.split(call, key)
        await self.check_condition(call, key, options)
        path = f"{object_path(bucket, name)}?{condition(options)[1:]}"
        try:
            response = await self.requests.send(call, "DELETE", path)
        except StorageError as error:
            raise refused(call, options, error, missing=isinstance(error, NotFoundError)) from error
        response.close()
        if response.status != 204 or not self._store.deletions.believes(REQUEST_ID in response.headers):
            with suppress(NotFoundError):
                await self._store.look(call, bucket, name)
                raise not_the_service(call, "the object is there still", response.status)

    async def copy(self, source: Entry, key: str, options: ObjectOptions) -> Entry:
        call = Call(self.name, "copy", f"/{source.key} to /{key}")

        async def rewritten() -> Entry:
            return await rewrite(self, call, source, key, options)

        return await self._copy_refusals.attempt(self.origin, call, (source, key), rewritten, refuses_rewrite)

    def endpoint_facts(self) -> Sequence[tuple[str, str]]:
        """Returns what was learned of the service, with the reason of each."""
        return [*self._store.refused.facts, *self._rules.facts, *self._copy_refusals.facts]

    async def presign(self, key: str, expires: float, *, method: str = "GET") -> str:
        bucket, name = self.split(Call(self.name, "presign", f"/{key}"), key)
        return await self._identity.presign(method, bucket, name, int(expires))

    async def aclose(self) -> None:
        await self._whole.aclose()

    async def _list_buckets(self, call: Call, prefix: str, cursor: Any | None) -> Page:
        fields = "kind,nextPageToken,items(name)"
        query = {"project": await self._identity.project(), "prefix": prefix, "fields": fields}
        if cursor is not None:
            query["pageToken"] = cursor
        response = await self.requests.send(call, "GET", f"/storage/v1/b?{urlencode(query)}")
        document = await self.requests.document(call, response, "storage#buckets")
        names = parsed(call, bucket_names, document)
        found = [Entry(f"{name}/", directory=True) for name in names if name.startswith(prefix)]
        return Page(found, next_token(call, document, cursor, found))

    async def _confirmed(self, call: Call, seen: Entry, etag: str | None, headers: Mapping[str, str]) -> Entry:
        """Returns the object that the headers of a download describe; looks up a version that they leave out.

        Raises:
            ServiceError: they contradict the request, or what is stored.
            PreconditionFailedError: another version is stored by now.
        """
        stored_size = headers.get("x-goog-stored-content-length", "")
        if stored_size and stored_size != str(seen.size):
            raise contradiction(call, f"{seen.size} bytes of an object that is told to have {stored_size:.20}")
        if seen.etag is not None:
            if etag not in (None, seen.etag):
                raise contradiction(call, f"the version is {seen.etag:.30}, not {etag}")
            return seen
        now = await self.stat(seen.key)
        if etag not in (None, now.etag):
            raise call.error(PreconditionFailedError, "the object was replaced in the meantime; start again")
        if (differs := disagreement(now, seen)) is not None:
            raise contradiction(call, differs)
        if is_page(headers) and seen.content_type != now.content_type:
            raise contradiction(call, "a page in place of the object")
        return replace(seen, etag=now.etag, crc32c=now.crc32c)

    def _media_path(self, bucket: str, name: str, generation: str | None) -> str:
        """Returns the path of an object's bytes at the XML API, which sends its metadata, too.

        Emulators do that in the JSON API as well, and have the XML API only under the name of Google's host.
        """
        query = [] if generation is None else [f"generation={quote(generation, safe='')}"]
        # An escaped slash keeps servers and proxies from resolving segments.
        path = f"/{bucket}/{quote(name, safe='-_.~' if has_odd_segment(name) else '/-_.~')}"
        if self._identity.anonymous:
            query.append("alt=media")
            path = f"/download{object_path(bucket, name)}"
        return f"{path}?{'&'.join(query)}" if query else path

    async def check_replaced(self, call: Call, key: str, etag: str | None, missing: NotFoundError) -> None:
        """Raises PreconditionFailedError if a missing version was replaced by another one."""
        if etag is None:
            return
        try:
            entry = await self.stat(key)
        except NotFoundError:
            return
        if entry.etag != etag:
            raise call.error(
                PreconditionFailedError, "the object was replaced in the meantime; start again", status=404
            ) from missing

    def split(self, call: Call, key: str) -> tuple[str, str]:
        """Splits a key into bucket and name; refuses names that no bucket can have and that might change the URL."""
        bucket, _, name = key.partition("/")
        if name in (".", "..") and call.operation != "list":  # https://cloud.google.com/storage/docs/objects#naming
            raise call.error(UnsafePathError, "Google Cloud Storage has no objects named . or ..; rename it")
        if bucket in self._buckets:
            return bucket, name
        if not _BUCKET.fullmatch(bucket) or max(map(len, bucket.split("."))) > 63:
            raise UnsafePathError(
                f'{call.provider} {call.operation} of {call.path} refused: no bucket can have the name "{bucket}": '
                "it takes 3 to 63 small letters, digits, -, _ and ., and a letter or digit at either end",
                provider=call.provider,
                operation=call.operation,
                path=call.path,
            )
        if len(self._buckets) >= _MAX_BUCKETS:
            self._buckets.clear()
        self._buckets.add(bucket)
        return bucket, name
