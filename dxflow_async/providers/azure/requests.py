"""Sends requests to Azure Blob Storage: their URLs, their signatures, and the checksums of their bodies."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from typing import TypeVar
from urllib.parse import quote, urlsplit

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import ChecksumMismatchError, ServiceError, StorageError, UnsupportedError
from dxflow_async.providers.azure.batch import Answer, MalformedBatchError, batch_answers, batch_body
from dxflow_async.providers.azure.checksum import Measured, measure
from dxflow_async.providers.azure.confirm import not_azures
from dxflow_async.providers.azure.credentials import Access, Account, CloudCredentials
from dxflow_async.providers.azure.dialects import CRC64, VERSIONS, Dialect, is_version_refusal
from dxflow_async.providers.azure.errors import (
    UNKNOWN_HEADER_CODES,
    error_of,
    is_time_refused,
    is_token_refusal,
    late_error,
    parse_error,
)
from dxflow_async.providers.azure.headers import checksum_header, encryption_headers
from dxflow_async.providers.azure.xml import BlobListParser, BlockListParser, ContainerListParser, TagsParser
from dxflow_async.providers.common.bare_success import BareSuccess
from dxflow_async.providers.common.confirm import FEW_ATTEMPTS
from dxflow_async.providers.common.sigv4 import query_string
from dxflow_async.providers.common.xml_reader import MAX_DOCUMENT_SIZE, MalformedXMLError
from dxflow_async.providers.contract import Body, Encryption, Entry
from dxflow_async.providers.http import HTTP, Call, HTTPReader, Response, read_error_body
from dxflow_async.security.redaction import Secret

__all__ = ["Requests", "compared"]

_SIGNED = Access()

_MAX_BASES = 1000

ListParser = TypeVar("ListParser", BlobListParser, BlockListParser, ContainerListParser, TagsParser)


class Requests:
    """Sends the requests of a provider.

    Args:
        identity: the account and its credentials.
        http: the session's data plane.
        threads: compute checksums of large bodies.
        checksum: the setting.

    Attributes:
        dialect: what was learned of the endpoint.
        deletions: whether a deletion is believed that has no header of the service's.
    """

    def __init__(self, identity: CloudCredentials, http: HTTP, threads: Threads, *, checksum: str) -> None:
        self.http = http
        self.dialect = Dialect(identity.endpoint)
        self.deletions = BareSuccess()
        self._identity = identity
        self._threads = threads
        self._account: Account | None = None
        self._bases: dict[str, tuple[str, str]] = {}
        self._stamp = (0, "")
        self._checksum = checksum
        self.encryption: Encryption | None = None
        self.version: str | None = None
        # None: not known yet; True: the server compared a CRC64; False: it gets none.
        self._crc64: bool | None = None

    async def send(
        self,
        call: Call,
        method: str,
        container: str,
        name: str = "",
        headers: dict[str, str] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
        accept: tuple[int, ...] = (),
    ) -> Response:
        """Sends a request and returns a successful response.

        A refused bearer token is renewed, once. A signature whose time the service refuses is made anew with the
        service's time, once. Where the service refuses the version of the protocol, older ones are tried.

        Args:
            call, method, container, name, headers, query, body: the request.
            accept: the statuses that the service answers with; by default any success, which the caller checks.

        Raises:
            StorageError: the request was refused.
            ServiceError: the response has another successful status.
        """
        account = self._account or await self._open()
        url, path = self._bases.get(container) or self._base(account, container)
        escaped = f"/{_escaped(name)}" if name else ""
        query = self._query(method, name, query)
        text = query_string(query.items()) if query else ""
        url, path = url + escaped, path + escaped
        size = 0 if body is None else len(body) if isinstance(body, bytes) else body.size
        clock, timed, renewed = self._identity.clock, False, False
        while True:
            offset, version = clock.offset, self.dialect.version
            signed = {"host": account.host, "x-ms-version": version, "x-ms-date": self._now(), **(headers or {})}
            if self.encryption is not None:
                signed |= self._encryption_headers(call, method, name, query or {}, signed, url)
            access = await _authorize(account, method, path, query or {}, signed, size)
            # A condition that an attempt fulfilled does not hold for the next one, so a caller that retries must know.
            conditional = method not in ("GET", "HEAD") and ("if-none-match" in signed or "if-match" in signed)
            more = {"repeatable": False} if conditional else {}
            response = await self.http.send(call, method, _url(url, text, access.sas), signed, body, **more)
            if 200 <= response.status < 300:
                self.dialect.confirm(version)
                if accept and response.status not in accept:
                    raise not_azures(call, response, f"status {response.status}")
                return response
            data = await read_error_body(response)
            code, message = parse_error(response.headers, data)
            if self._takes_older(call, response.status, code, data, version):
                continue
            if timed or renewed:
                break
            if account.key is not None and is_time_refused(clock, offset, response, code, message):
                timed = True
            elif is_token_refusal(response.status, code) and account.forget(access):
                renewed = True
            else:
                break
        told = response.status, code, message, response.headers
        raise late_error(call, *told, clock) if timed and response.status in (400, 401, 403) else error_of(call, *told)

    def with_encryption(self, encryption: Encryption) -> Requests:
        """Returns these requests with another encryption of the blobs that they write."""
        other = copy.copy(self)
        other.encryption = encryption
        return other

    def _query(self, method: str, name: str, query: Mapping[str, str] | None) -> Mapping[str, str] | None:
        """Returns the query of a request with the version that it is about."""
        if self.version is None or not name or method == "PUT":
            return query
        return {**(query or {}), "versionid": self.version}

    def with_version(self, version: str) -> Requests:
        """Returns these requests for one version of each blob that is read, looked up or deleted."""
        other = copy.copy(self)
        other.version = version
        return other

    def _encryption_headers(
        self, call: Call, method: str, name: str, query: Mapping[str, str], headers: Mapping[str, str], url: str
    ) -> dict[str, str]:
        """Returns the headers of the encryption for a request that reads or writes a blob or a block.

        Raises:
            UnsupportedError: the key would be sent without encryption.
        """
        encryption = self.encryption
        if encryption is None or not name or query.get("comp", "block") not in ("block", "blocklist"):
            return {}
        keyed, listing = encryption.key is not None, method == "GET" and query.get("comp") == "blocklist"
        if listing or not (method == "PUT" or (keyed and method in ("GET", "HEAD"))):
            return {}
        if "x-ms-copy-source" in headers:
            return {}  # an encryption scope of its own is not possible, and nothing is copied under a key
        host = urlsplit(url).hostname or ""
        if keyed and url.startswith("http:") and host not in ("127.0.0.1", "localhost", "::1"):
            raise call.error(UnsupportedError, "a customer's key is sent over https:// only; change AZURE.endpoint")
        return encryption_headers(encryption)

    async def send_body(
        self,
        call: Call,
        container: str,
        name: str,
        query: Mapping[str, str],
        headers: dict[str, str],
        body: Body,
        *,
        keep: bool = False,
    ) -> tuple[Response, Measured]:
        """PUTs a body with a CRC64 that the server compares, or with a Content-MD5 once CRC64 was refused.

        `keep` also stores its CRC32C as that of the whole object.
        """
        refusal = None
        await self._open()  # it decides whether a CRC64 is sent
        without = self._crc64 is False or not self.dialect.has_crc64
        for md5 in (True,) if without else (False, True):
            measured = await self._measure(call, body, md5=md5)
            sent = {**headers, measured.header: measured.value}
            if keep:
                sent |= checksum_header(measured.crc32c)
            try:
                response = await self.send(call, "PUT", container, name, sent, query=query, body=body)
                break
            except StorageError as error:
                if md5:
                    raise
                refusal = self._refusal(error)
        self._remember(refusal)
        if compared(call, response, measured) and not md5:
            self._crc64 = True
        return response, measured

    async def listing(
        self, call: Call, container: str, query: Mapping[str, str], parser: ListParser, name: str = ""
    ) -> ListParser:
        """Returns a page of a container's blobs, or of a blob's blocks, parsed as it arrives."""
        response = await self.send(call, "GET", container, name, query=query, accept=(200,))
        async with HTTPReader(Entry(container), -1, self.http, call, response) as reading:
            try:
                async for chunk in reading:
                    parser.feed(chunk)
                parser.close()
            except MalformedXMLError as error:
                text = f"the server's listing is not valid ({error}); a sign-in page or a proxy may have answered"
                raise call.error(ServiceError, text, max_attempts=FEW_ATTEMPTS) from error
        return parser

    async def batches(self) -> bool:
        """Whether deletions can be batched: Azurite fails under a shared access signature, so it is not tried there."""
        if not self.dialect.has_batches:
            return False
        account = self._account or await self._open()
        return account.key is not None or not (await account.access()).sas

    async def delete_together(
        self, call: Call, container: str, names: Sequence[str], headers: Mapping[str, str]
    ) -> Sequence[Answer]:
        """Deletes names in one request, each with its headers; returns the responses in their order."""
        account = self._account or await self._open()
        path = self._base(account, container)[1]
        for _ in range(2):
            requests = []
            for name in names:
                target, signed = f"{path}/{_escaped(name)}", {**headers, "x-ms-date": self._now()}
                access = await _authorize(account, "DELETE", target, {}, signed, 0)
                requests.append((target, signed))
            answers = await self._batch(call, container, requests)
            if not (any(is_token_refusal(each.status, each.code) for each in answers) and account.forget(access)):
                break
        return answers

    async def _batch(
        self, call: Call, container: str, requests: Sequence[tuple[str, dict[str, str]]]
    ) -> Sequence[Answer]:
        content_type, body = batch_body(requests)
        query, headers = {"restype": "container", "comp": "batch"}, {"content-type": content_type}
        response = await self.send(call, "POST", container, "", headers, query=query, body=body, accept=(202,))
        data = await read_error_body(response, MAX_DOCUMENT_SIZE)
        try:
            return batch_answers(response.headers.get("content-type", ""), data, len(requests))
        except MalformedBatchError as error:
            raise call.error(ServiceError, f"the server's answer is not valid ({error})") from error

    async def url(self, container: str, name: str) -> str:
        """Returns an object's URL, with the shared access signature if one is used.

        The URL is a secret then.
        """
        account = self._account or await self._open()
        plain = f"{self._base(account, container)[0]}/{_escaped(name)}"
        return plain if account.key is not None else _url(plain, "", (await account.access()).sas)

    def _takes_older(self, call: Call, status: int, code: str, data: bytes, used: str) -> bool:
        """Returns whether a refusal is one of the version that was used, and an older one remains to be tried.

        Raises:
            UnsupportedError: no version remains.
        """
        if not is_version_refusal(self.dialect, used, status, code, data):
            return False
        older = self.dialect.try_older(used)
        if data and not older:
            told = f"the server takes none of the protocol's versions from {VERSIONS[-1]} to {VERSIONS[0]}; update it"
            raise call.error(UnsupportedError, told, status=status, code=code)
        return older

    async def _open(self) -> Account:
        if self._account is None:
            self._account = await self._identity.account()
            # Azurite computes CRC64 in JavaScript, which takes longer than everything else; its MD5 is native.
            if self._checksum == "md5" or (self._checksum == "auto" and self._account.root):
                self._crc64 = False
        return self._account

    def _base(self, account: Account, container: str) -> tuple[str, str]:
        """Returns the URL and path of a container, or of the service, which precede names."""
        path = f"{account.root}/{quote(container, safe='')}"
        if len(self._bases) >= _MAX_BASES:
            self._bases.clear()
        self._bases[container] = base = (account.origin + path, path)
        return base

    def _now(self) -> str:
        second = int(self._identity.clock.now())
        if second != self._stamp[0]:
            self._stamp = second, formatdate(second, usegmt=True)
        return self._stamp[1]

    async def _measure(self, call: Call, body: Body, *, md5: bool) -> Measured:
        measured = await measure(body, self._threads, md5=md5)
        if body.crc32c not in (None, measured.crc32c):
            raise call.error(ChecksumMismatchError, "the bytes to be sent are not those that were read; try again")
        return measured

    def _refusal(self, error: StorageError) -> StorageError:
        """Returns the error if a CRC64 may have caused it; raises it otherwise."""
        if self._crc64 or not (error.status == 501 or error.code in UNKNOWN_HEADER_CODES):
            raise error
        return error

    def _remember(self, refusal: StorageError | None) -> None:
        """Records that a request succeeded without a CRC64: for an hour none are sent."""
        if refusal is not None and self._crc64 is None:
            self.dialect.refuse(CRC64, refusal.code or str(refusal.status))


async def _authorize(
    account: Account, method: str, path: str, query: Mapping[str, str], headers: dict[str, str], size: int
) -> Access:
    """Adds the authorization to `headers`, unless it belongs into the URL; returns what permits the request."""
    if account.key is not None:
        account.key.sign(method, path, query, headers, size)
        return _SIGNED
    access = await account.access()
    if access.token:
        headers["authorization"] = Secret(f"Bearer {access.token}")
    return access


def _url(plain: str, query: str, sas: str) -> str:
    """A URL with its query and a shared access signature; a secret, if there is one."""
    if sas:
        return Secret(f"{plain}?{query}&{sas}" if query else f"{plain}?{sas}")
    return f"{plain}?{query}" if query else plain


def _escaped(name: str) -> str:
    return quote(name, safe="/-_.~")


def compared(call: Call, response: Response, measured: Measured) -> bool:
    """Returns whether the server compared the checksum that was sent: it repeats it then.

    Raises:
        ChecksumMismatchError: the server names another checksum.
    """
    told = response.headers.get(measured.header)
    if told not in (None, measured.value):
        raise call.error(ChecksumMismatchError, "the server stored different bytes than were sent")
    # The service compares a block's MD5 but does not repeat it.
    by_azurite = measured.header == "content-md5" and response.headers.get("server", "").startswith("Azurite-")
    return told is not None or by_azurite
