"""Amazon S3 and services that speak its API.

Credentials and endpoints come from the SDK; every request goes over the data plane. The first segment of a key is the
bucket. Source: https://docs.aws.amazon.com/AmazonS3/latest/API/
"""

from __future__ import annotations

import copy
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AWSSettings
from dxflow_async.exceptions import StorageError, UnsafePathError, UnsupportedError
from dxflow_async.presumed_digests import DigestFacts
from dxflow_async.providers.aws import xml as s3xml
from dxflow_async.providers.aws.bodies import SentBody, send_body
from dxflow_async.providers.aws.conditions import delete_matching, probe, write_on_condition
from dxflow_async.providers.aws.confirm import Signs, confirm_read, confirm_seen, confirm_stored, look_by_read
from dxflow_async.providers.aws.copies import copy_object, refuses_copy, stored_tags, upload_headers
from dxflow_async.providers.aws.defaults import default_options, in_source_class
from dxflow_async.providers.aws.deletion import delete_keys, delete_version
from dxflow_async.providers.aws.dialects import Ability, Dialect, is_amazon
from dxflow_async.providers.aws.headers import (
    FULL_OBJECT,
    checksum_type,
    crc32c_of,
    describes_object,
    entry_of,
    etag_of,
    has_service_headers,
    object_headers,
    range_headers,
    split_key,
)
from dxflow_async.providers.aws.learned_features import LearnedFeatures
from dxflow_async.providers.aws.limits import write_limits
from dxflow_async.providers.aws.listed_etags import get_version, same_version
from dxflow_async.providers.aws.listed_parts import list_parts
from dxflow_async.providers.aws.listing import list_buckets, list_objects, list_objects_after
from dxflow_async.providers.aws.object_digests import add_digests, complete_digest
from dxflow_async.providers.aws.odd_names import check_name, confirm_name, is_odd
from dxflow_async.providers.aws.refusals import Refusal
from dxflow_async.providers.aws.requests import Requests
from dxflow_async.providers.aws.unfinished_uploads import unfinished
from dxflow_async.providers.aws.upload import S3Upload
from dxflow_async.providers.aws.versions import list_versions
from dxflow_async.providers.common.confirm import (
    check_status,
    check_version,
    contradiction,
    extent,
    has_body,
    not_the_service,
    read_body,
)
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
    PartLimitError,
    PartReceipt,
    Provider,
    RangeIgnoredError,
    Reader,
    Upload,
)
from dxflow_async.providers.http import HTTP, Call, Response

__all__ = ["AWSProvider"]

MiB, GiB, TiB = 1 << 20, 1 << 30, 1 << 40

_UPLOAD_CHECKSUMS = (Ability.UPLOAD_CRC32C, Ability.PART_CRC32C)
"""Abilities without which an upload is begun without checksums."""


def _features(endpoint: str | None) -> Features:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
    amazon = endpoint is None or is_amazon(urlsplit(endpoint).netloc)
    return Features(
        checksum=True,
        checksum_first=True,
        copy=True,
        resumable=True,
        unfinished_uploads=True,
        presign=True,
        list_after=True,
        public=True,
        metadata=True,
        mtime=True,
        min_part_size=5 * MiB,
        max_part_size=5 * GiB,
        max_parts=10_000,
        max_size=5 * TiB,
        max_copy_size=5 * GiB,
        # Services such as Cloudflare R2 refuse an upload at its end if the sizes vary.
        varied_parts_doubtful=not amazon,
        buckets=True,
        versions=True,
        any_names=True,  # `odd_names` refuses them where the service does not keep them
        options=frozenset(("storage_class", *SYSTEM_OPTIONS, "tags", "encryption")),
        copies_with_options=True,
        storage_classes="amazon" if amazon else endpoint,
        encryptions=frozenset(("service", "managed", "customer")),
        conditions=True,
        object_versions=True,
        # Other services show it by what they answer.
        atomic_create=amazon,
        atomic_replace=amazon,
        key_order=amazon and "s3express" not in (endpoint or ""),
        endpoint=endpoint or "s3.amazonaws.com",
    )


class AWSProvider(Provider):
    """An S3 account.

    Args:
        settings: endpoint, region and credentials.
        http: the session's data plane; the provider does not close it.
        threads: the session's worker threads.
        name: the remote's name, as errors show it.
    """

    def __init__(self, settings: AWSSettings, http: HTTP, threads: Threads, *, name: str = "AWS") -> None:
        self.name = name
        self._known = Known(_features(settings.endpoint))
        self._origin: AWSProvider | None = None
        self.version: str | None = None
        self.defaults = default_options(settings)
        self.refused_classes: set[tuple[str, str]] = set()
        if settings.anonymous:
            self.features = replace(self.features, presign=False)
        self.dialect = Dialect(settings, limited=self._note_limit)
        self._http = http
        self.requests = Requests(settings, http, threads, self.dialect, name=name, met=self._note_host)
        self._query = {"x-amz-request-payer": "requester"} if settings.requester_pays else None
        self._readable_buckets: set[str] = set()
        self.signs = Signs()
        self._digest_facts, self.learned = DigestFacts(), LearnedFeatures(self)
        self.copy_refusals = CopyRefusals()
        self._whole = WholeObjects(http.stall_timeout)

    @property
    def features(self) -> Features:
        """What the service can do, as far as it is known: also for every view of this provider."""
        return self._known.features

    @features.setter
    def features(self, features: Features) -> None:
        self._known.features = features

    @property
    def origin(self) -> AWSProvider:
        return self._origin or self

    def with_customer_key(self, encryption: Encryption) -> Provider:
        view = copy.copy(self)
        view._origin = self
        view.requests = self.requests.with_customer_key(encryption)
        view.defaults = replace(self.defaults or ObjectOptions(), encryption=None)
        return view

    def at_version(self, version: str) -> Provider:
        view = copy.copy(self)
        view._origin = self._origin or self
        view.requests = self.requests.with_version(version)
        view.version = version
        return view

    async def list_versions(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
        return await list_versions(self, prefix, recursive=recursive, cursor=cursor)

    async def connect(self) -> None:
        await self.requests.prepare()

    async def list_page(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
        if "/" not in prefix:
            return await list_buckets(self, prefix)
        return await list_objects(self, prefix, recursive=recursive, cursor=cursor)

    async def list_after(self, prefix: str, after: str) -> Page:
        return await list_objects_after(self, prefix, after)

    async def stat(self, key: str) -> Entry:
        bucket, name = split_key(key)
        call = Call(self.name, "stat", f"/{key}")
        if name and not (self.dialect.allows(Ability.HEAD) and self.dialect.allows(Ability.HEAD_SIZE)):
            return await look_by_read(self, call, key)
        try:
            response = await self.requests.send(call, "HEAD", bucket, name, range_headers(0, None, None))
        except StorageError as error:
            if name and error.status == 404 and error.request_id is None:
                return await look_by_read(self, call, key)  # a balancer may have said so; the answer to GET has words
            if not name or error.status not in (405, 501):
                raise
            entry = await look_by_read(self, call, key)
            self.requests.refused(Ability.HEAD, str(error.status), "objects are looked up by reading their first byte")
            return entry
        response.close()
        check_status(call, response, 200)
        if not name:
            return Entry(f"{bucket}/", directory=True)
        size = content_length(response.headers)
        if size is None:
            size = await self._look_up_size(call, key, etag_of(response.headers))
            instead = "objects are looked up by reading their first byte"
            self.requests.refused(Ability.HEAD_SIZE, "no Content-Length", instead)
        entry = self.described(key, response.headers, size, etag_of(response.headers))
        entry.directory = not entry.size and key.endswith("/")
        return entry if describes_object(response.headers) else await confirm_seen(self, call, entry)

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
        if not requests_ranges(self) and (start or end is not None):
            read_all = partial(self.read, key, etag=etag, listed=listed)
            return await self._whole.read(call, key, start, end, etag, read_all)
        if etag is None:
            response = await self.requests.send(call, "GET", *split_key(key), range_headers(start, end, None))
        else:
            response, etag = await get_version(self, call, key, (start, end), etag)
        seen = etag_of(response.headers)
        try:
            if etag is not None:
                await check_version(self, call, key, etag, seen)
            size, length = await extent(self, call, key, response, (start, end), (seen, listed))
        except ValueError as error:
            response.close()
            raise not_the_service(call, str(error), response.status) from error
        except BaseException as error:
            response.close()
            if isinstance(error, RangeIgnoredError):
                self.requests.refused(Ability.RANGES, "200", "objects are read whole, in one stream")
            raise
        entry = self.described(key, response.headers, size, seen)
        if etag is None and listed is None and not self.signs.known(response.headers):
            try:
                await confirm_read(self, call, entry)
                self.signs.plain = True
            except BaseException:
                response.close()
                raise
        if length != size or not size:
            return body_reader(entry, length, self._http, call, response)
        reading = body_reader(entry, length, self._http, call, response, entry.crc32c)
        return reading if entry.digest is None else VerifiedReader(reading, entry.digest, call)

    def write(self, key: str, body: Body, options: ObjectOptions) -> Coroutine[Any, Any, Entry]:
        return in_source_class(self, key, options, partial(self._write, key, body))

    async def _write(self, key: str, body: Body, options: ObjectOptions) -> Entry:
        bucket, name = split_key(key)
        call = Call(self.name, "write", f"/{key}")
        headers = object_headers(call, options)
        odd = is_odd(name)
        if odd:
            await check_name(self.requests, call, bucket, name)

        # Without closures: an object is one of hundreds in flight, and each of their cells is one more to collect.
        if options.conditional:
            send = partial(self._send_body, call, bucket, name, headers, body)
            response, confirmed = await write_on_condition(self, call, key, options, send)
        else:
            response, confirmed = await self._send_body(call, bucket, name, headers, body)
        empty, told = not await has_body(response), crc32c_of(response.headers, body.crc32c)
        if self.signs.confirm(response.headers, body, "object", told, empty=empty) or confirmed:
            crc32c = body.crc32c if confirmed else told
            stored = Entry(key, body.size, etag=etag_of(response.headers), crc32c=crc32c)
        else:
            stored = await confirm_stored(self, call, key, body)
            self.signs.plain = self.signs.plain or not has_service_headers(response.headers)
        self.learned.see_etag(response.headers)
        if odd:
            await confirm_name(self, call, key)
        await self.learned.check_metadata(call, key, options)
        if options.if_absent and not self.dialect.known(Ability.CREATE_ONLY):
            await probe(self, call, key, body, {**headers, "if-none-match": "*"})
        if options.public:
            await self.check_readable(call, bucket, name)
        return stored

    def _send_body(
        self, call: Call, bucket: str, name: str, headers: Mapping[str, str], body: Body, condition: Any = None
    ) -> Coroutine[Any, Any, SentBody]:
        judge = partial(self._write_limit, call, body.size)
        sent = {**headers, **condition} if condition else headers
        return send_body(self.requests, call, bucket, name, {}, sent, body, judge=judge)

    async def start_upload(self, key: str, size: int | None, options: ObjectOptions) -> Upload:
        return await in_source_class(self, key, options, partial(self._start_upload, key))

    async def _start_upload(self, key: str, options: ObjectOptions) -> Upload:
        bucket, name = split_key(key)
        call = Call(self.name, "write", f"/{key}")
        query, dialect, requests = {"uploads": ""}, self.dialect, self.requests
        await check_name(requests, call, bucket, name)
        copied = options.copied_from is not None
        headers = await upload_headers(self, call, options) if copied else object_headers(call, options)
        refused: dict[Ability, str] = {}
        while True:
            asked = dict(headers)
            checksums = Ability.UPLOAD_CRC32C not in refused and all(map(dialect.allows, _UPLOAD_CHECKSUMS))
            if checksums:
                asked["x-amz-checksum-algorithm"] = "CRC32C"
                if Ability.FULL_OBJECT not in refused and dialect.allows(Ability.FULL_OBJECT):
                    asked["x-amz-checksum-type"] = FULL_OBJECT
            try:
                response = await requests.send(call, "POST", bucket, name, asked, query=query)
                break
            except StorageError as error:
                if not checksums:
                    raise
                only_type = "x-amz-checksum-type" in asked and "x-amz-checksum-type" in str(error)
                ability = Ability.FULL_OBJECT if only_type else Ability.UPLOAD_CRC32C
                refused[ability] = requests.doubted(error, ability)
        for ability, reason in refused.items():
            requests.refused(ability, reason, "uploads are begun without it")
        if checksums:
            dialect.accept(Ability.UPLOAD_CRC32C)
        document = await requests.document(call, response, "InitiateMultipartUploadResult")
        upload_id = document.values.get("UploadId")
        if not upload_id:
            raise not_the_service(call, "it does not name the upload")
        told = response.headers.get("x-amz-checksum-algorithm", "").strip().upper()
        if told not in ("", "CRC32C") or (not told and not dialect.allows(Ability.OBJECT_CRC32C)):
            # It uses another one, or, as a service that ignores the CRC32C of objects, none.
            checksums = False
        full = checksums and checksum_type(response.headers) == FULL_OBJECT
        return S3Upload(self, key, upload_id, options, checksums=checksums, full=full)

    async def resume_upload(
        self, key: str, upload_id: str, receipts: Sequence[PartReceipt], options: ObjectOptions
    ) -> tuple[Upload, Sequence[PartReceipt]]:
        listed = await list_parts(self.requests, Call(self.name, "write", f"/{key}"), key, upload_id)
        kept = [each for each in receipts if listed.has(each)]
        checksums = listed.algorithm == "CRC32C" or (not listed.algorithm and all(receipt.verified for receipt in kept))
        upload = S3Upload(
            self,
            key,
            upload_id,
            options,
            checksums=checksums,
            full=listed.checksum_type == FULL_OBJECT,
            told=listed.checksums,
        )
        return upload, kept

    async def unfinished_uploads(self, key: str) -> Sequence[tuple[Upload, float]]:
        bucket, name = split_key(key)
        call = Call(self.name, "list uploads", f"/{key}")

        async def ask(query: Mapping[str, str]) -> bytes:
            response = await self.requests.send(call, "GET", bucket, query=query)
            return await read_body(call, response, self._http, s3xml.MAX_DOCUMENT_SIZE)

        try:
            found = await unfinished(name, ask)
        except s3xml.MalformedXMLError as error:
            raise not_the_service(call, str(error)) from error
        return [(S3Upload(self, key, each, ObjectOptions(), checksums=False), began) for each, began in found]

    async def delete(self, keys: Sequence[str]) -> dict[str, StorageError]:
        if self.version is not None:
            return await delete_version(self, keys[0])
        refused: dict[str, StorageError] = {}
        for key in filter(is_odd, keys):
            try:
                await check_name(self.requests, Call(self.name, "delete", f"/{key}"), *split_key(key))
            except UnsafePathError as error:
                refused[key] = error
        if not refused:
            return await delete_keys(self, keys)
        kept = [key for key in keys if key not in refused]
        return refused | (await delete_keys(self, kept) if kept else {})

    async def delete_matching(self, key: str, etag: str) -> None:
        await delete_matching(self, key, etag)

    async def same_version(self, etag: str, seen: Entry) -> bool:
        return await same_version(self, etag, seen)

    async def complete_digest(self, entry: Entry) -> Entry:
        return await complete_digest(self, entry)

    async def copy(self, source: Entry, key: str, options: ObjectOptions) -> Entry:
        call = Call(self.name, "copy", f"/{source.key} to /{key}")
        copied = partial(copy_object, self, source, key, options)
        return await self.copy_refusals.attempt(self, call, (source, key), copied, refuses_copy)

    async def stored_tags(self, source: Entry) -> Mapping[str, str]:
        return await stored_tags(self, Call(self.name, "copy", f"/{source.key}"), source.key)

    async def presign(self, key: str, expires: float, *, method: str = "GET") -> str:
        bucket, name = split_key(key)
        region = await self.requests.region_of(bucket)
        _, base, _ = await self.requests.base(bucket, region)
        url = base + quote(name, safe="/-_.~")
        return await self.requests.identity.presign(method, url, region, int(expires), self._query)

    def endpoint_facts(self) -> Sequence[tuple[str, str]]:
        return [*self.dialect.facts(), *self.copy_refusals.facts]

    def described(self, key: str, headers: Mapping[str, str], size: int, etag: str | None) -> Entry:
        """Returns the object that the headers describe, without its checksums if they are not to be compared."""
        entry = entry_of(key, headers, size, etag)
        self.learned.see(entry, headers)
        if not self.dialect.compares:
            entry.crc32c = entry.digest = None
        else:
            add_digests(entry, headers, self._digest_facts, amazon=self.dialect.amazon)
        return entry

    def learn_conditions(self) -> None:
        """Takes over which conditions of writes the service is known to obey itself."""
        create, replaces = self.dialect.has(Ability.CREATE_ONLY), self.dialect.has(Ability.REPLACE_ONLY)
        self.features = replace(self.features, atomic_create=create, atomic_replace=replaces)

    def _note_host(self, host: str) -> None:
        """Notes the host that the SDK's configuration names."""
        if not is_amazon(host):
            self.features = replace(self.features, varied_parts_doubtful=True, endpoint=host, key_order=False)
            self.features = replace(self.features, atomic_create=False, atomic_replace=False)

    def _note_limit(self, name: str, value: Any) -> None:
        self.features = replace(self.features, **{name: value})

    def limit_error(self, call: Call, refusal: Refusal, limits: Mapping[str, Any]) -> StorageError:
        """Notes limits that a refusal tells; returns the error by which the engine begins the object anew."""
        for name, value in limits.items():
            self.dialect.limit(name, value, refusal.reason)
        said = f"{refusal.message or 'no reason given'} ({refusal.reason})"
        advice = "set part_size so that the object has fewer parts, or parts of another size"
        return call.error(PartLimitError, f"{said}; {advice}", status=refusal.status, code=refusal.code or None)

    def _write_limit(self, call: Call, size: int, refusal: Refusal) -> StorageError | None:
        limits = write_limits(refusal, size)
        return self.limit_error(call, refusal, limits) if limits else None

    async def aclose(self) -> None:
        await self._whole.aclose()

    async def _look_up_size(self, call: Call, key: str, etag: str | None) -> int:
        """Returns the size of an object whose HEAD has none."""

        async def get(headers: Mapping[str, str]) -> Response:
            response = await self.requests.send(
                call, "GET", *split_key(key), range_headers(0, None, etag) | {**headers}
            )
            if not same_etag(etag, etag_of(response.headers)):
                response.close()
                raise contradiction(call, "another version", response.status)
            return response

        size, _ = await look_up_size(call, self._http, get)
        return size

    async def check_readable(self, call: Call, bucket: str, name: str) -> None:
        """Checks once per bucket that an object just made public is readable without credentials."""
        if bucket in self._readable_buckets:
            return
        host, base, _ = await self.requests.base(bucket, await self.requests.region_of(bucket))
        response = await self._http.send(call, "HEAD", base + quote(name, safe="/-_.~"), {"host": host})
        response.close()
        if response.status != 200:
            raise call.error(
                UnsupportedError,
                f'the object is stored, but bucket "{bucket}" does not allow public objects '
                f"({response.status} without credentials); allow public access in its settings or add a bucket policy",
                status=response.status,
            )
        self._readable_buckets.add(bucket)
