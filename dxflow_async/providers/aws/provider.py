"""Amazon S3 and services that speak its API.

Credentials and endpoints come from the SDK; every request goes over the data plane. The first segment of a key is the
bucket. Source: https://docs.aws.amazon.com/AmazonS3/latest/API/
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AWSSettings
from dxflow_async.exceptions import NotFoundError, StorageError, UnsupportedError
from dxflow_async.providers.aws import xml as s3xml
from dxflow_async.providers.aws.confirm import Signs, confirm_read, confirm_seen, confirm_stored
from dxflow_async.providers.aws.credentials import AMAZON
from dxflow_async.providers.aws.errors import error_of
from dxflow_async.providers.aws.headers import (
    copy_headers,
    crc32c_of,
    describes_object,
    entry_of,
    etag_of,
    has_service_headers,
    object_headers,
    range_headers,
    split_key,
    timed_headers,
)
from dxflow_async.providers.aws.requests import Requests
from dxflow_async.providers.aws.unfinished_uploads import unfinished
from dxflow_async.providers.aws.upload import S3Upload
from dxflow_async.providers.common.confirm import (
    check_names,
    check_status,
    check_unchanged,
    check_version,
    contradiction,
    extent,
    not_the_service,
    read_body,
)
from dxflow_async.providers.common.deletion import delete_batches, delete_each
from dxflow_async.providers.common.etags import opaque_tag, parse_etag, same_etag
from dxflow_async.providers.common.verified_reader import VerifiedReader, body_reader
from dxflow_async.providers.contract import (
    Body,
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
from dxflow_async.providers.http import HTTP, Call, HTTPReader

__all__ = ["AWSProvider"]

MiB, GiB, TiB = 1 << 20, 1 << 30, 1 << 40

_MAX_DELETERS = 8
_NOT_THERE = {"NoSuchKey", "NoSuchVersion"}


# Features


def _features(endpoint: str | None) -> Features:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
    return Features(
        checksum=True,
        checksum_first=True,
        copy=True,
        resumable=True,
        unfinished_uploads=True,
        presign=True,
        public=True,
        metadata=True,
        mtime=True,
        min_part_size=5 * MiB,
        max_part_size=5 * GiB,
        max_parts=10_000,
        max_size=5 * TiB,
        max_copy_size=5 * GiB,
        # Services such as Cloudflare R2 refuse an upload at its end if the sizes vary.
        uniform_parts=endpoint is not None and not AMAZON.search(endpoint),
        buckets=True,
        versions=True,
        endpoint=endpoint or "s3.amazonaws.com",
    )


# The provider


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
        self.features = _features(settings.endpoint)
        self._http = http
        self._requests = Requests(settings, http, threads, name=name)
        self._readable_buckets: set[str] = set()
        self._signs = Signs()

    async def list_page(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
        bucket, slash, rest = prefix.partition("/")
        if not slash:
            return await self._list_buckets(bucket)
        size = str(page_size(recursive=recursive, first=cursor is None))
        query = {"list-type": "2", "encoding-type": "url", "prefix": rest, "max-keys": size}
        if not recursive:
            query["delimiter"] = "/"
        if cursor is not None:
            query["continuation-token"] = cursor
        call = Call(self.name, "list", f"/{prefix}")
        response = await self._requests.send(call, "GET", bucket, query=query)
        parser = s3xml.ListParser(bucket)
        async with HTTPReader(Entry(prefix), -1, self._http, call, response) as reading:
            try:
                async for chunk in reading:
                    parser.feed(chunk)
                parser.close()
            except s3xml.MalformedXMLError as error:
                raise not_the_service(call, str(error), response.status) from error
        check_names(call, prefix, parser.entries)
        if (differs := parser.contradiction(prefix=rest, recursive=recursive, token=cursor)) is not None:
            raise contradiction(call, differs)
        if parser.token is not None and parser.token == cursor:
            raise contradiction(call, "the page names itself as the next page")
        return Page(parser.entries, parser.token)

    async def stat(self, key: str) -> Entry:
        bucket, name = split_key(key)
        call = Call(self.name, "stat", f"/{key}")
        response = await self._requests.send(call, "HEAD", bucket, name, range_headers(0, None, None))
        response.close()
        check_status(call, response, 200)
        if not name:
            return Entry(f"{bucket}/", directory=True)
        entry = entry_of(key, response.headers, int(response.headers.get("content-length", 0)))
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
        bucket, name = split_key(key)
        call = Call(self.name, "read", f"/{key}")
        response = await self._requests.send(call, "GET", bucket, name, range_headers(start, end, etag))
        try:
            await check_version(self, call, key, etag, etag_of(response.headers))
            version = etag_of(response.headers), listed
            size, length = await extent(self, call, key, response, (start, end), version)
        except ValueError as error:
            response.close()
            raise not_the_service(call, str(error), response.status) from error
        except BaseException:
            response.close()
            raise
        entry = entry_of(key, response.headers, size)
        if etag is None and listed is None and not self._signs.known(response.headers):
            try:
                await confirm_read(self, call, entry)
                self._signs.plain = True
            except BaseException:
                response.close()
                raise
        if length != size or not size:
            return body_reader(entry, length, self._http, call, response)
        reading = body_reader(entry, length, self._http, call, response, entry.crc32c)
        return reading if entry.digest is None else VerifiedReader(reading, entry.digest, call)

    async def write(self, key: str, body: Body, options: ObjectOptions) -> Entry:
        bucket, name = split_key(key)
        call = Call(self.name, "write", f"/{key}")
        headers = object_headers(options)
        response = await self._requests.send_body(call, bucket, name, {}, headers, body)
        if await self._signs.confirm(response, body, "object"):
            stored = Entry(key, body.size, etag=etag_of(response.headers), crc32c=crc32c_of(response.headers))
        else:
            stored = await confirm_stored(self, call, key, body)
            self._signs.plain = self._signs.plain or not has_service_headers(response.headers)
        if options.public:
            await self._check_readable(call, bucket, name)
        return stored

    async def start_upload(self, key: str, size: int | None, options: ObjectOptions) -> Upload:
        bucket, name = split_key(key)
        call = Call(self.name, "write", f"/{key}")
        headers, refusal = object_headers(options), None
        if checksums := self._requests.checksums is not False:
            sent = {**headers, "x-amz-checksum-algorithm": "CRC32C", "x-amz-checksum-type": "FULL_OBJECT"}
            try:
                response = await self._requests.send(call, "POST", bucket, name, sent, query={"uploads": ""})
            except StorageError as error:
                checksums, refusal = False, self._requests.refusal_of(error)
        if not checksums:
            response = await self._requests.send(call, "POST", bucket, name, headers, query={"uploads": ""})
            self._requests.remember(refusal)
        document = await self._requests.document(call, response, "InitiateMultipartUploadResult")
        upload_id = document.values.get("UploadId")
        if not upload_id:
            raise not_the_service(call, "it does not name the upload")
        return S3Upload(self, key, upload_id, public=options.public, checksums=checksums)

    async def resume_upload(
        self, key: str, upload_id: str, receipts: Sequence[PartReceipt], options: ObjectOptions
    ) -> tuple[Upload, Sequence[PartReceipt]]:
        call = Call(self.name, "write", f"/{key}")
        found, document = await self._list_parts(call, key, upload_id)
        kept = [
            each for each in receipts if found.get(each.part.number) == (opaque_tag(each.etag or ""), each.part.size)
        ]
        told = document.values.get("ChecksumAlgorithm") == "CRC32C"
        checksums = told or all(receipt.verified for receipt in kept)
        return S3Upload(self, key, upload_id, public=options.public, checksums=checksums), kept

    async def unfinished_uploads(self, key: str) -> Sequence[tuple[Upload, float]]:
        bucket, name = split_key(key)
        call = Call(self.name, "list uploads", f"/{key}")

        async def ask(query: Mapping[str, str]) -> bytes:
            response = await self._requests.send(call, "GET", bucket, query=query)
            return await read_body(call, response, self._http, s3xml.MAX_DOCUMENT_SIZE)

        try:
            found = await unfinished(name, ask)
        except s3xml.MalformedXMLError as error:
            raise not_the_service(call, str(error)) from error
        return [(S3Upload(self, key, each, public=False, checksums=False), began) for each, began in found]

    async def delete(self, keys: Sequence[str]) -> dict[str, StorageError]:
        by_bucket: dict[str, list[str]] = {}
        each: list[str] = []
        for key in keys:
            if s3xml.is_text(key):
                by_bucket.setdefault(split_key(key)[0], []).append(key)
            else:
                each.append(key)
        failed = await delete_batches(list(by_bucket.values()), self._delete_together) if by_bucket else {}
        return failed | await delete_each(each, self._delete_each, _MAX_DELETERS) if each else failed

    async def copy(self, source: Entry, key: str, options: ObjectOptions) -> Entry:
        bucket, name = split_key(key)
        call = Call(self.name, "copy", f"/{source.key} to /{key}")
        headers = copy_headers(source)
        if options.public:
            headers["x-amz-acl"] = "public-read"
        if options.modified is not None:
            response = await self._requests.send(
                call, "HEAD", *split_key(source.key), range_headers(0, None, source.etag)
            )
            response.close()
            if not describes_object(response.headers) or not same_etag(source.etag, etag_of(response.headers)):
                raise contradiction(call, "another version of the source", response.status)
            headers |= timed_headers(response.headers, options.modified)
        response = await self._requests.send(call, "PUT", bucket, name, headers)
        document = await self._requests.document(call, response, "CopyObjectResult")
        await check_unchanged(self, call, source)
        return Entry(key, source.size, etag=parse_etag(document.values.get("ETag")))

    async def presign(self, key: str, expires: float, *, method: str = "GET") -> str:
        bucket, name = split_key(key)
        region = await self._requests.region_of(bucket)
        _, base, _ = await self._requests.base(bucket, region)
        return await self._requests.identity.presign(method, base + quote(name, safe="/-_.~"), region, int(expires))

    async def _list_parts(
        self, call: Call, key: str, upload_id: str
    ) -> tuple[dict[int, tuple[str, int]], s3xml.Document]:
        """Returns the etag and size of each stored part, by number, and the last page of the listing."""
        query, more = {"uploadId": upload_id}, True
        found: dict[int, tuple[str, int]] = {}
        while more:
            response = await self._requests.send(call, "GET", *split_key(key), query=query)
            document = await self._requests.document(call, response, "ListPartsResult")
            rows = document.rows.get("Part", ())
            try:
                found |= {int(row["PartNumber"]): (opaque_tag(row.get("ETag", "")), int(row["Size"])) for row in rows}
            except (KeyError, ValueError) as error:
                raise not_the_service(call, f"a part without a number or a size ({error})") from error
            marker = document.values.get("NextPartNumberMarker", "")
            more = document.values.get("IsTruncated") == "true"
            if more and marker in ("", query.get("part-number-marker")):
                raise contradiction(call, "the list of parts goes on without saying where")
            query["part-number-marker"] = marker
        return found, document

    async def _delete_each(self, key: str) -> None:
        call = Call(self.name, "delete", f"/{key}")
        response = await self._requests.send(call, "DELETE", *split_key(key))
        response.close()
        if response.status == 204:
            return
        with suppress(NotFoundError):
            await self.stat(key)
            raise not_the_service(call, f"status {response.status}, and it is still there", response.status)

    async def _delete_together(self, keys: Sequence[str]) -> dict[str, StorageError]:
        """Deletes keys of one bucket in one request."""
        call, bucket = Call(self.name, "delete", f"/{keys[0]}"), split_key(keys[0])[0]
        data = s3xml.delete_body([split_key(key)[1] for key in keys])
        digest = await self._requests.digest(hashlib.md5(usedforsecurity=False), data)
        headers = {"content-md5": base64.b64encode(digest).decode()}
        response = await self._requests.send(call, "POST", bucket, "", headers, query={"delete": ""}, body=data)
        document = await self._requests.document(call, response, "DeleteResult")
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

    async def _list_buckets(self, prefix: str) -> Page:
        call = Call(self.name, "list", "/")
        document = await self._requests.document(
            call, await self._requests.send(call, "GET", ""), "ListAllMyBucketsResult"
        )
        names = sorted(row["Name"] for row in document.rows.get("Bucket", ()) if row.get("Name", "").startswith(prefix))
        return Page([Entry(f"{name}/", directory=True) for name in names], None)

    async def _check_readable(self, call: Call, bucket: str, name: str) -> None:
        """Checks once per bucket that an object just made public is readable without credentials."""
        if bucket in self._readable_buckets:
            return
        host, base, _ = await self._requests.base(bucket, await self._requests.region_of(bucket))
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
