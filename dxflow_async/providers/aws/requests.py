"""Sends requests to S3: their URLs and signatures, and what is changed about a request that is refused."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import logging
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AWSSettings
from dxflow_async.exceptions import StorageError
from dxflow_async.providers.aws import xml as s3xml
from dxflow_async.providers.aws.checksum_settings import load_checksum_settings
from dxflow_async.providers.aws.credentials import CloudCredentials
from dxflow_async.providers.aws.dialects import Ability, Dialect
from dxflow_async.providers.aws.endpoints import Base
from dxflow_async.providers.aws.errors import UNKNOWN_HEADER_CODES, error_of, is_time_refused, late_error, region_named
from dxflow_async.providers.aws.headers import customer_headers
from dxflow_async.providers.aws.refusals import (
    CHECKSUM_MODE,
    Judge,
    Refusal,
    is_mute,
    may_be_moved,
    refusal_of,
    refuses_mode,
    refuses_unsigned,
    without_mode,
)
from dxflow_async.providers.common.confirm import not_the_service, read_body
from dxflow_async.providers.common.sigv4 import UNSIGNED, Credentials, Signer, query_string
from dxflow_async.providers.contract import Body, Encryption, PartLimitError
from dxflow_async.providers.http import HTTP, Call, Response
from dxflow_async.security.redaction import printable
from dxflow_async.streams import chunks_of

__all__ = ["Requests"]

_log = logging.getLogger("dxflow_async.providers.aws")

_NOBODY = Credentials("", "", None)
"""The credentials of requests that are not signed."""

_MAX_BASES = 1000

_PLAIN = re.compile(r"[A-Za-z0-9/_.~-]*").fullmatch
"""Tells a name that nothing has to be escaped in, for a tenth of the time that `quote` takes."""

_ABOUT_OBJECTS = (404, 412, 416)
"""Statuses of refusals that are about an object: the service took the request itself as it is."""


class _Attempt(NamedTuple):
    """A request that is sent until nothing about it can be changed any more.

    Attributes:
        ability: what the endpoint needs for a request that is `unsigned`: its payload is not signed.
    """

    call: Call
    method: str
    bucket: str
    name: str
    headers: Mapping[str, str]
    query: Mapping[str, str] | None
    body: Body | bytes | None
    region: str
    ability: Ability
    unsigned: bool


class Requests:
    """Sends the requests of a provider.

    Args:
        settings: endpoint, region and credentials.
        http: the session's data plane.
        threads: compute digests of bodies.
        dialect: what is known of the endpoint.
        name: the remote's name, as errors show it.
        met: called with the service's host once it is known.

    Attributes:
        identity: credentials, region and endpoint.
        http, threads, dialect: see above.
        prepared: whether `prepare` has ended.
    """

    def __init__(
        self,
        settings: AWSSettings,
        http: HTTP,
        threads: Threads,
        dialect: Dialect,
        *,
        name: str,
        met: Callable[[str], None] | None = None,
    ) -> None:
        self.http = http
        self.dialect = dialect
        self.identity = CloudCredentials(settings, http, threads, name=name)
        self._settings = settings
        self.threads = threads
        self._signer = Signer(clock=self.identity.clock)
        self._regions: dict[str, str] = {}
        self._configured_region: str | None = None
        self._regionless: set[str] = set()
        self._asking_region = asyncio.Lock()
        self._bases: dict[tuple[str, str], Base] = {}
        self._met = met
        self.prepared = False
        self._anonymous = settings.anonymous
        self._customer: Mapping[str, str] = {}
        self._source_customer: Mapping[str, str] = {}
        if settings.customer_key is not None:
            self.use_customer_key(Encryption.customer(settings.customer_key))
            self._source_customer = customer_headers(Encryption.customer(settings.customer_key), "x-amz-copy-source")
        self._version: str | None = None
        self._always = {"x-amz-request-payer": "requester"} if settings.requester_pays else {}

    def with_customer_key(self, encryption: Encryption) -> Requests:
        """Returns these requests with a customer's key; sources of copies are read with the key of these."""
        other = copy.copy(self)
        other.use_customer_key(encryption)
        return other

    def with_version(self, version: str) -> Requests:
        """Returns these requests for one version of each object that is read, looked up or deleted."""
        other = copy.copy(self)
        other._version = version
        return other

    def use_customer_key(self, encryption: Encryption) -> None:
        """Adds the key to every request that reads or writes an object from now on."""
        self._customer = customer_headers(encryption)

    async def prepare(self) -> None:
        """Finds out what the configuration says beyond the settings: the service's host, and which checksums to use.

        Sends no request.

        Raises:
            ConfigurationError: the configuration is not valid.
        """
        if self.prepared:
            return
        sent, compared = await load_checksum_settings(self._settings, self.identity)
        if self._settings.endpoint is None:
            base = await self.identity.base("", await self.identity.region())
            self.dialect.meet(base.host)
            if self._met is not None:
                self._met(base.host)
        if not self.prepared:
            self.prepared = True
            self.dialect.use_checksums(sent=sent, compared=compared)

    def send(
        self,
        call: Call,
        method: str,
        bucket: str,
        name: str = "",
        headers: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
        judge: Judge | None = None,
    ) -> Coroutine[Any, Any, Response]:
        """Sends a request and returns a response with status 200 to 206.

        A refused request is sent again where one thing about it can be changed, each of them once: the bucket's region,
        expired credentials, the header that asks for checksums, a payload that is not signed.

        Args:
            call: names the request in errors.
            method, bucket, name, headers, query, body: the request.
            judge: chooses the error of a refusal; None from it leaves that to the table of errors.
        """
        request = call, method, bucket, name, headers or {}, query, body, judge
        asks = headers is not None and CHECKSUM_MODE in headers
        if not self.prepared or (asks and Ability.READ_CHECKSUMS not in self.dialect.proven):
            return self._send_first(*request, asks=asks)
        return self._send(*request)

    async def _send_first(self, *request: Any, asks: bool) -> Response:
        """Sends a request that may be the first one; the first that asks for checksums is waited for by others."""
        await self.prepare()
        if asks and not self.dialect.known(Ability.READ_CHECKSUMS):
            async with self.dialect.first(Ability.READ_CHECKSUMS):
                return await self._send(*request)
        return await self._send(*request)

    async def _find_region(self) -> str:
        self._configured_region = found = await self.identity.region()
        return found

    async def _send(
        self,
        call: Call,
        method: str,
        bucket: str,
        name: str,
        headers: Mapping[str, str],
        query: Mapping[str, str] | None,
        body: Body | bytes | None,
        judge: Judge | None,
    ) -> Response:
        dialect, ability = self.dialect, Ability.UNSIGNED if body is None else Ability.UNSIGNED_BODIES
        asks = CHECKSUM_MODE in headers and Ability.READ_CHECKSUMS not in dialect.proven
        if asks and not dialect.allows(Ability.READ_CHECKSUMS):
            headers = without_mode(headers)
        region = self._regions.get(bucket) or self._configured_region or await self._find_region()
        unsigned = ability in dialect.proven or dialect.allows(ability)
        attempt = _Attempt(call, method, bucket, name, headers, query, body, region, ability, unsigned)
        changed: dict[str, str] = {}
        expired: Credentials | None = None
        explained: Refusal | None = None
        while True:
            identity = self.identity
            credentials = _NOBODY if self._anonymous else identity.fixed or await identity.credentials()
            if expired is None or credentials != expired:
                offset = self.identity.clock.offset
                response = await self._send_once(attempt, credentials)
                if 200 <= response.status < 207:
                    self._learn(attempt, changed)
                    return response
                refusal = await refusal_of(response)
                if (error := judge(refusal) if judge is not None else None) is not None:
                    raise error
                if self._is_time(response, offset, refusal, changed):
                    continue
            other = self._moved(attempt, refusal, changed)
            if other is None and self._expired(credentials, refusal, changed):
                expired = credentials
                continue
            if other is None:
                refusal = await self._explained(attempt, refusal, changed, credentials)
                other = await self._changed(attempt, refusal, changed)
                explained = refusal = _in_words(refusal, explained)
            if other is None:
                raise self._error(attempt, refusal, changed)
            attempt, expired = other, None

    def _is_time(self, response: Response, offset: float, refusal: Refusal, changed: dict[str, str]) -> bool:
        """Returns whether the time of a signature was refused, and another one follows; once a request."""
        if "time" in changed:
            return False
        told = is_time_refused(self.identity.clock, offset, response, refusal.code, refusal.message, refusal.data)
        if told:
            changed["time"] = refusal.reason
        return told

    def _expired(self, credentials: Credentials, refusal: Refusal, changed: dict[str, str]) -> bool:
        """Returns whether keys may have expired, and others may be had; once a request."""
        if "keys" in changed or not self.identity.forget(credentials, refusal.status, refusal.code):
            return False
        changed["keys"] = refusal.reason
        return True

    def _error(self, attempt: _Attempt, refusal: Refusal, changed: Mapping[str, str]) -> StorageError:
        """Returns the error of a request about which nothing can be changed any more."""
        if refusal.status in _ABOUT_OBJECTS:
            self._learn(attempt, changed)
        elif changed.get("unsigned") == refusal.reason:
            # Signing the payload changed nothing, so it is not tried again for each request that is refused.
            self.dialect.accept(attempt.ability)
        told = refusal.status, refusal.code, refusal.message, refusal.headers
        if "time" in changed and refusal.status in (400, 401, 403):
            return late_error(attempt.call, *told, self.identity.clock)
        return error_of(attempt.call, *told, keyed=bool(self._customer or self._source_customer))

    def _moved(self, attempt: _Attempt, refusal: Refusal, changed: dict[str, str]) -> _Attempt | None:
        """Returns a request for the region that a refusal names; None if it names none, or for the second time."""
        told = region_named(refusal.headers, refusal.code, refusal.message, refusal.data)
        if told is None or told == attempt.region or not attempt.bucket or "region" in changed:
            return None
        changed["region"] = refusal.reason
        self._regions[attempt.bucket] = told
        self.dialect.region(attempt.bucket, told, refusal.reason)
        return attempt._replace(region=told)

    async def _changed(self, attempt: _Attempt, refusal: Refusal, changed: dict[str, str]) -> _Attempt | None:
        """Returns a refused request with one thing changed that the refusal may be about; None if there is nothing.

        Args:
            attempt: the request.
            refusal: its response.
            changed: the reasons of earlier changes, by what was changed; the new one is added.
        """
        if (moved := self._moved(attempt, refusal, changed)) is not None:
            return moved
        if "mode" not in changed and refuses_mode(refusal, attempt.headers, self.dialect):
            changed["mode"] = refusal.reason
            return attempt._replace(headers=without_mode(attempt.headers))
        if attempt.unsigned and refuses_unsigned(refusal, attempt.headers, self.dialect, attempt.ability):
            changed["unsigned"] = refusal.reason
            return attempt._replace(unsigned=False)
        if attempt.bucket and "region" not in changed and may_be_moved(refusal):
            region = await self._ask_region(attempt)
            if region is not None and region != attempt.region:
                changed["region"] = refusal.reason
                self.dialect.region(attempt.bucket, region, refusal.reason)
                return attempt._replace(region=region)
        return None

    def _send_once(self, attempt: _Attempt, credentials: Credentials) -> Coroutine[Any, Any, Response]:
        base = self._bases.get((attempt.bucket, attempt.region))
        if base is not None and (attempt.unsigned or self._anonymous):
            return self._send_signed(attempt, credentials, base, UNSIGNED)
        return self._send_prepared(attempt, credentials)

    async def _send_prepared(self, attempt: _Attempt, credentials: Credentials) -> Response:
        """Sends a request to a bucket that is not known yet, or one with the digest of its body in its signature."""
        bucket, region, payload = attempt.bucket, attempt.region, UNSIGNED
        base = self._bases.get((bucket, region)) or await self.base(bucket, region)
        if not (attempt.unsigned or self._anonymous):
            payload = (await self.digest(hashlib.sha256(), attempt.body)).hex()
        return await self._send_signed(attempt, credentials, base, payload)

    def _send_signed(
        self, attempt: _Attempt, credentials: Credentials, base: Base, payload: str
    ) -> Coroutine[Any, Any, Response]:
        call, method, _, name, headers, query, body, region, _, _ = attempt
        host, start, root = base
        escaped = name if _PLAIN(name) else quote(name, safe="/-_.~")
        path = root + escaped
        if self._version is not None and name:
            query = {**(query or {}), "versionId": self._version}
        text = query_string(query.items()) if query else ""
        url = start + (f"{escaped}?{text}" if text else escaped)
        signed = {**headers, **self._always, "host": host}
        if self._customer or self._source_customer:
            signed |= self._key_headers(attempt)
        if self._anonymous:
            return self.http.send(call, method, url, signed, body)
        self._signer.sign(credentials, region, method, path, text, signed, payload)
        # A condition that an attempt fulfilled does not hold for the next one, so a caller that retries must know.
        conditional = method != "GET" and ("if-none-match" in headers or (method != "HEAD" and "if-match" in headers))
        return self.http.send(call, method, url, signed, body, repeatable=False if conditional else None)

    def _key_headers(self, attempt: _Attempt) -> dict[str, str]:
        """Returns the headers of the customer's key for a request that reads or writes the bytes of an object."""
        query = attempt.query or {}
        about_bytes = bool(attempt.name) and attempt.method != "DELETE" and "tagging" not in query
        headers = dict(self._customer) if about_bytes else {}
        if "x-amz-copy-source" in attempt.headers:
            headers |= dict(self._source_customer)
        return headers

    def _learn(self, attempt: _Attempt, changed: Mapping[str, str]) -> None:
        """Notes what a successful request says about the endpoint."""
        dialect = self.dialect
        if attempt.unsigned and attempt.ability not in dialect.proven:
            dialect.accept(Ability.UNSIGNED, attempt.ability)
        if CHECKSUM_MODE in attempt.headers and Ability.READ_CHECKSUMS not in dialect.proven:
            dialect.accept(Ability.READ_CHECKSUMS)
        if not changed:
            return
        if "unsigned" in changed:
            self.refused(attempt.ability, changed["unsigned"], "payloads are signed")
            if attempt.body is None:
                dialect.refuse(Ability.UNSIGNED_BODIES, changed["unsigned"])
        if "mode" in changed:
            self.refused(Ability.READ_CHECKSUMS, changed["mode"], "objects are read without their checksums")

    def refused(self, ability: Ability, reason: str, instead: str) -> None:
        """Remembers that the endpoint does not have an ability, and says so once.

        Args:
            ability: what was refused.
            reason: the status and the code of the refusal.
            instead: how it is done from now on, for the log.
        """
        if self.dialect.refuse(ability, reason):
            host = self._settings.endpoint or "s3.amazonaws.com"
            _log.warning("%s refuses: %s (%s); for an hour, %s", host, ability, printable(reason), instead)

    async def _explained(
        self, attempt: _Attempt, refusal: Refusal, changed: dict[str, str], credentials: Credentials
    ) -> Refusal:
        """Returns a refusal that says why; that of a HEAD request has no body, and a GET request is sent for it."""
        if attempt.method != "HEAD" or "explained" in changed or not is_mute(refusal, self.dialect):
            return refusal
        changed["explained"] = refusal.reason
        return await self._explain(attempt, credentials) or refusal

    async def _explain(self, attempt: _Attempt, credentials: Credentials) -> Refusal | None:
        """Sends a refused HEAD request as a GET request, whose refusal has a body; None if it is not refused."""
        if attempt.name:
            asked = attempt._replace(method="GET", headers={**attempt.headers, "range": "bytes=0-0"})
        else:
            asked = attempt._replace(method="GET", query={"list-type": "2", "max-keys": "1"})
        response = await self._send_once(asked, credentials)
        if 200 <= response.status < 207 or response.status == 416:
            response.close()
            return None
        return await refusal_of(response)

    async def _ask_region(self, attempt: _Attempt) -> str | None:
        """Returns the region that a bucket itself names, where a refusal does not; asks once a bucket."""
        bucket = attempt.bucket
        async with self._asking_region:
            known = self._regions.get(bucket)
            if known is not None or bucket in self._regionless:
                return known
            if len(self._regionless) >= _MAX_BASES:
                self._regionless.clear()
            self._regionless.add(bucket)
            head = attempt._replace(method="HEAD", name="", headers={}, query=None, body=None)
            response = await self._send_once(head, _NOBODY if self._anonymous else await self.identity.credentials())
            response.close()
            region = region_named(response.headers, "", "", b"")
            if region is not None:
                self._regions[bucket] = region
            return region

    def doubted(self, error: StorageError, ability: Ability) -> str:
        """Returns the reason if an ability that is not known to be there may have caused an error; else raises it."""
        told = error.status == 501 or error.code in UNKNOWN_HEADER_CODES
        if not told or isinstance(error, PartLimitError):
            raise error
        if self.dialect.known(ability) and self.dialect.allows(ability):
            raise error
        return f"{error.status or ''} {error.code or ''}".strip()

    async def digest(self, digest: Any, body: Body | bytes | None) -> bytes:
        """Returns the digest of a body, which is read once more than it is sent."""
        if isinstance(body, bytes):
            digest.update(body)
        elif body is not None:
            async with chunks_of(body) as chunks:
                async for chunk in chunks:
                    await self.threads.run(digest.update, chunk)
        return bytes(digest.digest())

    async def region_of(self, bucket: str) -> str:
        """Returns the region of a bucket, or the configured one until the service names the bucket's own."""
        return self._regions.get(bucket) or await self.identity.region()

    async def base(self, bucket: str, region: str) -> Base:
        """Returns a bucket's host, and the URL and path that precede the names of its objects."""
        if len(self._bases) >= _MAX_BASES:
            self._bases.clear()
        self._bases[bucket, region] = base = await self.identity.base(bucket, region)
        self.dialect.meet(base.host)
        return base

    async def document(self, call: Call, response: Response, *roots: str) -> s3xml.Document:
        """Parses a small XML response with one of these root elements. S3 also reports failures with status 200.

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
        if document.root not in roots:
            raise not_the_service(call, f"<{document.root:.100}> where <{roots[0]}> was expected", response.status)
        return document


def _in_words(refusal: Refusal, explained: Refusal | None) -> Refusal:
    """Returns what was said of an earlier refusal, where a HEAD request that was changed is refused without a word."""
    return refusal if explained is None or refusal.code or refusal.status != explained.status else explained
