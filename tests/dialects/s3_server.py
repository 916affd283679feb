"""An S3 server in this process that answers as Amazon's does, and otherwise where a switch says so.

It keeps everything in memory and checks signatures, checksums and conditions. It knows path-style addresses, no
versions of objects and no `aws-chunked` bodies.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self
from urllib.parse import unquote

from aiohttp import web

from tests.dialects.s3_exchange import Answer, Ask, S3Error, without_etags
from tests.dialects.s3_operations import Operation, operation_of
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_service import S3Service
from tests.dialects.s3_signature import UNSIGNED, check_signature, is_signed
from tests.dialects.s3_store import Bucket, StoredObject

__all__ = ["Request", "S3Server"]

_REGION = "us-east-1"
_PAGE = "<html><body><h1>400 Bad Request</h1>Your browser sent a request that this server could not understand.</html>"


@dataclass(frozen=True)
class Request:
    """A request that the server answered.

    Attributes:
        operation: its name at Amazon, such as `"PutObject"`.
        status: of the answer.
        code: of the error; empty for none.
        size: of the request's body, in bytes.
    """

    operation: str
    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    size: int
    status: int
    code: str


class S3Server:
    """A running server; use it with `async with`.

    Args:
        quirks: how it differs from Amazon's.
        buckets: that exist from the beginning.
        min_part_size: of all parts but the last, in bytes. Amazon's is 5 MiB; tests are quicker with less.

    Attributes:
        endpoint: its URL.
        access_key, secret_key: what to sign with.
        region: what clients may sign for at first.
        requests: what was answered, in order.

    Example:
        async with S3Server(Quirks(max_parts=3)) as server:
            settings = AWSSettings(
                endpoint=server.endpoint, access_key=server.access_key, secret_key=server.secret_key
            )
    """

    access_key = "AKIDDIALECT"
    secret_key = "c2VjcmV0LW9mLXRoZS1kaWFsZWN0cw=="
    region = _REGION

    def __init__(
        self, quirks: Quirks | None = None, *, buckets: tuple[str, ...] = ("bucket",), min_part_size: int = 5 << 20
    ) -> None:
        self.quirks = quirks or Quirks()
        self.endpoint = ""
        self.requests: list[Request] = []
        self._service = S3Service(self.quirks, min_part_size)
        self._service.buckets |= {name: Bucket() for name in buckets}
        self._runner = web.ServerRunner(
            web.Server(self._serve, access_log=None, read_bufsize=1 << 20), shutdown_timeout=0.1
        )
        self._arrived = 0

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.endpoint = "http://{}:{}".format(*self._runner.addresses[0])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    # Looks behind the back of what is tested

    def objects(self, bucket: str = "bucket") -> dict[str, bytes]:
        """Returns the bytes of all objects, by key."""
        return {key: found.data for key, found in self._service.buckets[bucket].objects.items()}

    def metadata(self, key: str, bucket: str = "bucket") -> dict[str, str]:
        """Returns the user metadata of an object as it is stored."""
        return dict(self._service.buckets[bucket].objects[key].metadata)

    def store(
        self,
        key: str,
        data: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        checksums: Mapping[str, str] | None = None,
        tags: str = "",
        bucket: str = "bucket",
    ) -> None:
        """Stores an object as another program would."""
        self._service.buckets[bucket].objects[key] = StoredObject(
            data,
            hashlib.md5(data).hexdigest(),
            dict(headers or {}),
            dict(metadata or {}),
            dict(checksums or {}),
            "FULL_OBJECT",
            self._service.now(),
            tags=tags,
        )

    def stored(self, key: str, bucket: str = "bucket") -> StoredObject:
        """Returns everything that is stored of an object."""
        return self._service.buckets[bucket].objects[key]

    def unfinished(self, bucket: str = "bucket") -> list[str]:
        """Returns the keys of uploads that are neither completed nor aborted."""
        return [upload.key for upload in self._service.buckets[bucket].uploads.values()]

    def operations(self, since: int = 0) -> Counter[str]:
        """Counts the requests by operation, after the first `since` ones."""
        return Counter(request.operation for request in self.requests[since:])

    def refused(self, since: int = 0) -> list[Request]:
        """Returns the requests that were answered with an error, after the first `since` ones."""
        return [request for request in self.requests[since:] if request.status >= 400 or request.code]

    # Requests

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        raw_path, _, raw_query = request.raw_path.partition("?")
        body = await request.content.read()
        bucket, _, key = raw_path.removeprefix("/").partition("/")
        if self.quirks.folds_slashes:
            key = re.sub("//+", "/", key).lstrip("/")
        pairs = [each.partition("=") for each in raw_query.split("&") if each]
        ask = Ask(
            request.method,
            raw_path,
            raw_query,
            unquote(bucket),
            unquote(key),
            {unquote(name): unquote(value) for name, _, value in pairs},
            {name.lower(): value for name, value in request.headers.items()},
            body,
        )
        operation, code = operation_of(ask), ""
        try:
            answer = self._answer(operation, ask)
        except S3Error as error:
            code = error.code
            answer = self._service.xml(error.xml(), error.status, error.headers)
        self.requests.append(
            Request(
                operation.name, ask.method, ask.bucket, ask.key, ask.query, ask.headers, len(body), answer.status, code
            )
        )
        if not code and self._service.loses(operation.name, ask) and request.transport is not None:
            request.transport.abort()
        if self.quirks.no_etags is not None:
            answer = without_etags(answer, everywhere=self.quirks.no_etags == "everywhere")
        return await self._send(request, answer)

    def _answer(self, operation: Operation, ask: Ask) -> Answer:
        service, quirks = self._service, self.quirks
        self._arrived += 1
        if quirks.html_400_every is not None and self._arrived % quirks.html_400_every == 0:
            return Answer(400, {"Content-Type": "text/html"}, _PAGE.encode(), foreign=True)
        if is_signed(ask):
            self._check_signed(ask)
        elif not self._is_public(operation.name, ask):
            raise S3Error(403, "AccessDenied", "Access Denied")
        pays = {ask.headers.get("x-amz-request-payer"), ask.query.get("x-amz-request-payer")}
        if quirks.requester_pays and "requester" not in pays:
            raise S3Error(403, "AccessDenied", "Access Denied")
        if operation.name in quirks.denied:
            raise S3Error(403, "AccessDenied", "Access Denied")
        if quirks.refuses_checksums is not None and any(
            name.startswith("x-amz-checksum-") and name != "x-amz-checksum-mode" for name in ask.headers
        ):
            raise S3Error(*quirks.refuses_checksums)
        if ask.key in quirks.damaged and operation.name in ("PutObject", "UploadPart"):
            headers = {name: value for name, value in ask.headers.items() if name != "content-md5"}
            ask = replace(ask, body=bytes(len(ask.body)), headers=headers)
        return operation.handler(service, ask)

    def _check_signed(self, ask: Ask) -> None:
        quirks = self.quirks
        region = quirks.home_region or _REGION
        try:
            payload = check_signature(ask, {self.access_key: self.secret_key}, region, self._service.now())
        except S3Error as error:
            if quirks.home_region is not None:
                error.headers.pop("x-amz-bucket-region", None)
            raise
        if "authorization" not in ask.headers:
            return
        if payload == UNSIGNED:
            if quirks.refuses_unsigned == "all" or (quirks.refuses_unsigned == "bodies" and ask.body):
                text = "The provided 'x-amz-content-sha256' header does not match what was computed."
                raise S3Error(400, "XAmzContentSHA256Mismatch", text)
        elif payload.startswith("STREAMING-"):
            self._service.not_implemented()
        elif payload != hashlib.sha256(ask.body).hexdigest():
            text = "The provided 'x-amz-content-sha256' header does not match what was computed."
            raise S3Error(400, "XAmzContentSHA256Mismatch", text)

    def _is_public(self, operation: str, ask: Ask) -> bool:
        if operation not in ("GetObject", "HeadObject"):
            return False
        with suppress(S3Error):
            return self._service.object(ask.bucket, ask.key).public
        return False

    async def _send(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        headers = {"x-amz-request-id": f"{int(time.time()):016X}", "x-amz-id-2": "dialect", "Server": "AmazonS3"}
        headers = answer.headers if answer.foreign else headers | answer.headers
        if answer.chunked or (request.method == "HEAD" and self.quirks.head_without_length):
            response = web.StreamResponse(status=answer.status, headers=headers)
            if answer.chunked:
                response.enable_chunked_encoding()
            await response.prepare(request)
            if answer.chunked:
                await response.write(answer.body)
            await response.write_eof()
            return response
        if request.method == "HEAD" and answer.status < 400:  # aiohttp leaves out a length of 0
            return web.Response(status=answer.status, headers=headers | {"Content-Length": str(len(answer.body))})
        if request.method == "HEAD":
            return web.Response(status=answer.status, headers=headers)
        return web.Response(status=answer.status, headers=headers, body=answer.body)
