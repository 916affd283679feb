"""Sends requests to Google Cloud Storage, with a token, and translates their failures."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote, urlsplit

from dxflow_async.exceptions import StorageError
from dxflow_async.providers.common.confirm import not_the_service, read_body
from dxflow_async.providers.contract import Body, Encryption
from dxflow_async.providers.gcp.credentials import CloudCredentials
from dxflow_async.providers.gcp.errors import error_of, parse_error
from dxflow_async.providers.http import HTTP, Call, Response, read_error_body
from dxflow_async.security.redaction import Secret

__all__ = ["JSON_TYPE", "Requests", "parsed"]

JSON_TYPE = "application/json; charset=UTF-8"

MAX_DOCUMENT_SIZE = 32 << 20
"""The most bytes of a response that is parsed."""

P = ParamSpec("P")
T = TypeVar("T")


class Requests:
    """Sends requests to one endpoint.

    Args:
        http: the session's data plane.
        identity: tokens and the endpoint.
        user_project: the project that pays for the requests; None: the bucket's.
        remote: the remote's name, as errors show it.
    """

    def __init__(
        self, http: HTTP, identity: CloudCredentials, user_project: str | None = None, remote: str = "GCP"
    ) -> None:
        self.http = http
        self.remote = remote
        self._identity = identity
        self._base = ""
        self._headers: dict[str, str] = {}
        self._use(identity.endpoint)
        self._billing = ""
        if user_project is not None:
            self._billing = f"userProject={quote(user_project, safe='')}"
            self._headers["x-goog-user-project"] = user_project
        self._customer: dict[str, str] = {}
        self._source_customer: dict[str, str] = {}

    def _use(self, endpoint: str) -> None:
        self._base = endpoint
        self._headers = {**self._headers, "host": urlsplit(endpoint).netloc}

    def use_customer_key(self, encryption: Encryption) -> None:
        """Adds a customer's key to every request that reads or writes an object; sources of copies have it, too."""
        self._customer = _key_headers(encryption, "x-goog")
        self._source_customer = _key_headers(encryption, "x-goog-copy-source")

    def with_customer_key(self, encryption: Encryption) -> Requests:
        """Returns these requests with a customer's key; sources of copies are read with the key of these."""
        other = copy.copy(self)
        other._customer = _key_headers(encryption, "x-goog")
        return other

    def _keys_for(self, method: str, path: str) -> dict[str, str]:
        """Returns the headers of the key for a request about the bytes or the checksum of an object."""
        plain = path.partition("?")[0]
        about_bytes = plain.startswith("/upload/") or "/o/" in plain or not plain.startswith(("/storage/", "/batch/"))
        if method in ("DELETE", "PATCH") or not about_bytes:
            return {}
        return self._customer | (self._source_customer if "/rewriteTo/" in plain else {})

    async def send(
        self,
        call: Call,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
        *,
        missing_bucket: str = "",
    ) -> Response:
        """Sends a request and returns a response with status 200 to 299.

        Args:
            call, method, headers, body: the request.
            path: escaped, with its query.
            missing_bucket: the bucket, if nothing else can be missing.

        Raises:
            StorageError: any other status, and the errors of the data plane. A refused token that was accepted before
                makes it
                `retryable`: the next request carries a new one.
        """
        grant = None
        if not (self._identity.anonymous or self._identity.unsigned):
            grant = await self._identity.grant()
        if self._base != self._identity.endpoint:  # the credentials named it
            self._use(self._identity.endpoint)
        sent = {**self._headers, **headers} if headers else {**self._headers}
        if self._customer or self._source_customer:
            sent |= self._keys_for(method, path)
        if grant is not None:
            sent["authorization"] = grant.authorization
        # A condition that an attempt fulfilled does not hold for the next one, so a caller that retries must know.
        more = {"repeatable": False} if "ifGenerationMatch=" in path and method != "GET" else {}
        response = await self.http.send(call, method, self._base + self.billed(path), sent, body, **more)
        if 200 <= response.status < 300:
            if grant is not None:
                grant.proven = True
            return response
        error = await self.failure(call, response, missing_bucket=missing_bucket)
        if response.status == 401 and grant is not None:
            error.retryable = self._identity.reject(grant)
        raise error

    def billed(self, path: str) -> str:
        """Returns a path that names the project that pays, if there is one.

        Source: https://cloud.google.com/storage/docs/using-requester-pays
        """
        if not self._billing:
            return path
        return f"{path}{'&' if '?' in path else '?'}{self._billing}"

    async def send_to_session(
        self, call: Call, method: str, session: str, headers: Mapping[str, str], body: Body | None
    ) -> Response:
        """Returns any response of a resumable upload session. Its URL is its permission: no token is sent."""
        sent, session = {**self._headers, **self._customer, **headers}, Secret(session)
        # The server may have kept bytes of a broken request: ask for its state before sending more.
        return await self.http.send(call, method, self._base + session, sent, body, repeatable=body is None)

    async def failure(self, call: Call, response: Response, *, missing_bucket: str = "") -> StorageError:
        """Returns the error for an unsuccessful response."""
        reason, message = parse_error(await read_error_body(response))
        if response.status < 400:
            return not_the_service(call, f"status {response.status}", response.status)
        return error_of(call, response.status, reason, message, response.headers, missing_bucket=missing_bucket)

    async def document(
        self, call: Call, response: Response, kind: str, *, needed: bool = True, signs: Collection[str] = ()
    ) -> dict[str, Any]:
        """Returns a JSON response of that kind.

        Args:
            call, response: the request and its response.
            kind: as the service names it, such as `storage#objects`.
            needed: whether a response without any kind is refused, too.
            signs: a response without any kind that has one of these fields is accepted nevertheless. Some servers
                leave out the kind.

        Raises:
            ServiceError: the response is not the service's.
        """
        document = parsed(call, json.loads, await self.whole(call, response))
        if not isinstance(document, dict):
            raise not_the_service(call, "not valid: no JSON object", response.status)
        told = document.get("kind")
        if told != kind and (told is not None or (needed and not any(sign in document for sign in signs))):
            raise not_the_service(call, f"not valid: kind {told!r:.50} where {kind!r} was expected", response.status)
        return document

    async def whole(self, call: Call, response: Response) -> bytes:
        """Returns the body of a response.

        Raises:
            StorageError: it broke off, or is far too long.
        """
        return await read_body(call, response, self.http, MAX_DOCUMENT_SIZE)


def _key_headers(encryption: Encryption, prefix: str) -> dict[str, str]:
    """Returns the headers of a customer's key, which is never shown.

    Source: https://cloud.google.com/storage/docs/encryption/using-customer-supplied-keys
    """
    return {
        f"{prefix}-encryption-algorithm": "AES256",
        f"{prefix}-encryption-key": Secret(encryption.key or ""),
        f"{prefix}-encryption-key-sha256": Secret(encryption.key_sha256),
    }


def parsed(call: Call, parse: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Returns `parse(*args)`.

    Raises:
        ServiceError: the response does not have the expected form.
    """
    try:
        return parse(*args, **kwargs)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise not_the_service(call, f"not valid: {error!r:.300}") from error
