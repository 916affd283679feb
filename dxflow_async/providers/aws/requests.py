"""Sends requests to S3: their URLs, their signatures, and the checksums of their bodies."""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from dxflow_async import checksum
from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AWSSettings
from dxflow_async.exceptions import StorageError
from dxflow_async.providers.aws import xml as s3xml
from dxflow_async.providers.aws.credentials import CloudCredentials, bucket_path, virtual_host
from dxflow_async.providers.aws.errors import UNKNOWN_HEADER_CODES, error_of, is_time_refused, parse_error, region_named
from dxflow_async.providers.common.confirm import not_the_service, read_body
from dxflow_async.providers.common.sigv4 import UNSIGNED, Signer, query_string
from dxflow_async.providers.contract import Body
from dxflow_async.providers.http import HTTP, Call, Response, read_error_body
from dxflow_async.security.redaction import printable

__all__ = ["Requests"]

_log = logging.getLogger("dxflow_async.providers.aws")

_MAX_BASES = 1000


class Requests:
    """Sends the requests of a provider.

    Args:
        settings: endpoint, region and credentials.
        http: the session's data plane.
        threads: compute digests of bodies.
        name: the remote's name, as errors show it.

    Attributes:
        identity: credentials, region and endpoint.
        http: see above.
        checksums: None: it is not known yet whether the server compares CRC32C; True: it returned one; False: it
            refused one.
    """

    def __init__(self, settings: AWSSettings, http: HTTP, threads: Threads, *, name: str) -> None:
        self.http = http
        self.identity = CloudCredentials(settings, http, threads, name=name)
        self.checksums: bool | None = None
        self._settings = settings
        self._threads = threads
        self._signer = Signer(clock=self.identity.clock)
        self._regions: dict[str, str] = {}
        self._bases: dict[tuple[str, str], tuple[str, str, str]] = {}

    async def send(
        self,
        call: Call,
        method: str,
        bucket: str,
        name: str = "",
        headers: dict[str, str] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
    ) -> Response:
        """Sends a request and returns a response with status 200 to 206.

        A bucket in another region is followed there, once. Credentials that the service calls expired are refreshed,
        once. A signature whose time the service refuses is made anew with the service's time, once.
        """
        region, refused = await self.region_of(bucket), None
        regions, clock, timed = {region}, self.identity.clock, False
        while (credentials := await self.identity.credentials()) != refused:
            host, base, root = self._bases.get((bucket, region)) or await self.base(bucket, region)
            escaped = quote(name, safe="/-_.~") if name else ""
            path = root + escaped
            text = query_string(query.items()) if query else ""
            url = base + (f"{escaped}?{text}" if text else escaped)
            signed = {**headers, "host": host} if headers else {"host": host}
            payload = (await self.digest(hashlib.sha256(), body)).hex() if self._settings.sign_payload else UNSIGNED
            offset = clock.offset
            self._signer.sign(credentials, region, method, path, text, signed, payload)
            response = await self.http.send(call, method, url, signed, body)
            if 200 <= response.status < 207:
                return response
            data = await read_error_body(response)
            code, message = parse_error(data)
            moved = region_named(response.headers, code, message, data)
            if moved and moved not in regions and bucket and len(regions) == 1:
                self._regions[bucket] = region = moved
                regions.add(region)
            elif not timed and is_time_refused(clock, offset, response, code, message, data):
                timed = True
            elif refused is None and self.identity.forget(credentials, response.status, code):
                refused = credentials
            else:
                break
        message = clock.explained(message) if timed else message
        raise error_of(call, response.status, code, message, response.headers)

    async def send_body(
        self, call: Call, bucket: str, name: str, query: Mapping[str, str], headers: dict[str, str], body: Body
    ) -> Response:
        """Sends a body with a checksum that the server compares; falls back to Content-MD5, and remembers it."""
        refusal = None
        if self.checksums is not False and body.crc32c is not None:
            sent = {**headers, "x-amz-checksum-crc32c": checksum.encode(body.crc32c)}
            try:
                response = await self.send(call, "PUT", bucket, name, sent, query=query, body=body)
            except StorageError as error:
                refusal = self.refusal_of(error)
            else:
                if self.checksums is None and "x-amz-checksum-crc32c" in response.headers:
                    self.checksums = True
                return response
        digest = await self.digest(hashlib.md5(usedforsecurity=False), body)
        headers = {**headers, "content-md5": base64.b64encode(digest).decode()}
        response = await self.send(call, "PUT", bucket, name, headers, query=query, body=body)
        self.remember(refusal)
        return response

    def refusal_of(self, error: StorageError) -> StorageError:
        """Returns the error if checksum headers may have caused it; raises it otherwise."""
        if self.checksums or not (error.status == 501 or error.code in UNKNOWN_HEADER_CODES):
            raise error
        return error

    def remember(self, refusal: StorageError | None) -> None:
        """Records that a request succeeded without checksum headers: from now on none are sent."""
        if refusal is not None and self.checksums is None:
            self.checksums = False
            text = "%s takes no CRC32C (%s): bodies carry a Content-MD5 instead"
            _log.warning(text, self._settings.endpoint or "s3.amazonaws.com", printable(refusal.code or ""))

    async def digest(self, digest: Any, body: Body | bytes | None) -> bytes:
        """Returns the digest of a body, which is read once more than it is sent."""
        if isinstance(body, bytes):
            digest.update(body)
        elif body is not None:
            async for chunk in body:
                await self._threads.run(digest.update, chunk)
        return bytes(digest.digest())

    async def region_of(self, bucket: str) -> str:
        """Returns the region of a bucket, or the configured one until the service names the bucket's own."""
        return self._regions.get(bucket) or await self.identity.region()

    async def base(self, bucket: str, region: str) -> tuple[str, str, str]:
        """Returns a bucket's host, and the URL and path that precede the names of its objects."""
        scheme, _, host = (await self.identity.endpoint(region)).partition("://")
        path = "/"
        if bucket and await self._virtual(bucket, host):
            host = virtual_host(bucket, host)
        elif bucket:
            path = bucket_path(bucket)
        if len(self._bases) >= _MAX_BASES:
            self._bases.clear()
        self._bases[bucket, region] = base = (host, f"{scheme}://{host}{path}", path)
        return base

    async def _virtual(self, bucket: str, host: str) -> bool:
        if self._settings.addressing == "auto" and not re.fullmatch(r"[a-z0-9-]+", bucket):
            return False  # the certificate's wildcard does not match a bucket name with a dot
        return await self.identity.addressing(host) == "virtual"

    async def document(self, call: Call, response: Response, root: str) -> s3xml.Document:
        """Parses a small XML response with that root element. S3 also reports failures with status 200.

        Raises:
            ServiceError: the response is not S3's.
        """
        data = await read_body(call, response, self.http, s3xml.MAX_DOCUMENT_SIZE)
        try:
            document = s3xml.parse(data)
        except s3xml.MalformedXMLError as error:
            raise not_the_service(call, str(error), response.status) from error
        if document.root == "Error":
            code, message = document.values.get("Code", ""), document.values.get("Message", "")
            raise error_of(call, response.status, code, message, response.headers)
        if document.root != root:
            raise not_the_service(call, f"<{document.root:.100}> where <{root}> was expected", response.status)
        return document
