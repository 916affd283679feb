"""Requests to Google Cloud Storage: with a token, and with their failures as our errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from dxflow_async.exceptions import StorageError
from dxflow_async.providers.common.confirm import not_the_service, read_body
from dxflow_async.providers.contract import Body
from dxflow_async.providers.gcp.credentials import CloudCredentials
from dxflow_async.providers.gcp.errors import error_of, parse_error
from dxflow_async.providers.http import HTTP, Call, Response, read_error_body
from dxflow_async.security.redaction import Secret

__all__ = ["JSON_TYPE", "Requests", "parsed"]

JSON_TYPE = "application/json; charset=UTF-8"

MAX_DOCUMENT_SIZE = 32 << 20
"""Of an answer that is to be understood, no more is taken."""

P = ParamSpec("P")
T = TypeVar("T")


class Requests:
    """One endpoint, and who asks it.

    Args:
        http: the session's data plane.
        identity: tokens, and where the service is.
    """

    def __init__(self, http: HTTP, identity: CloudCredentials) -> None:
        self.http = http
        self._identity = identity
        self._base = identity.endpoint
        self._host = urlsplit(self._base).netloc

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
        """A response of status 200 to 299.

        Args:
            call, method, headers, body: what is sent.
            path: escaped, with its query.
            missing_bucket: the bucket, where nothing else can be missing.

        Raises:
            StorageError: any other status, and what the data plane raises. A token that the service refuses, having
                accepted it before, is `retryable`: the next request comes with another one.
        """
        sent = {"host": self._host, **headers} if headers else {"host": self._host}
        grant = None
        if not self._identity.anonymous:
            grant = await self._identity.grant()
            sent["authorization"] = grant.authorization
        response = await self.http.send(call, method, self._base + path, sent, body)
        if 200 <= response.status < 300:
            if grant is not None:
                grant.proven = True
            return response
        error = await self.failure(call, response, missing_bucket=missing_bucket)
        if response.status == 401 and grant is not None:
            error.retryable = self._identity.reject(grant)
        raise error

    async def send_to_session(
        self, call: Call, method: str, session: str, headers: Mapping[str, str], body: Body | None
    ) -> Response:
        """Whatever a resumable upload's session answers. Its name is its permission: no token is sent."""
        sent, session = {"host": self._host, **headers}, Secret(session)
        # Bytes that broke off may have been kept: the session has to be asked before any are sent again.
        return await self.http.send(call, method, self._base + session, sent, body, repeatable=body is None)

    async def failure(self, call: Call, response: Response, *, missing_bucket: str = "") -> StorageError:
        """What a response that is no success says."""
        reason, message = parse_error(await read_error_body(response))
        if response.status < 400:
            return not_the_service(call, f"status {response.status}", response.status)
        return error_of(call, response.status, reason, message, response.headers, missing_bucket=missing_bucket)

    async def document(self, call: Call, response: Response, kind: str, *, needed: bool = True) -> dict[str, Any]:
        """A JSON answer of that kind.

        Args:
            call, response: what was asked, and the answer.
            kind: as the service names it, such as `storage#objects`.
            needed: an answer that tells no kind at all is refused, too.

        Raises:
            ServiceError: it is another answer than the service's.
        """
        document = parsed(call, json.loads, await self.whole(call, response))
        if not isinstance(document, dict):
            raise not_the_service(call, "not valid: no JSON object", response.status)
        told = document.get("kind")
        if told != kind and (needed or told is not None):
            raise not_the_service(call, f"not valid: kind {told!r:.50} where {kind!r} was expected", response.status)
        return document

    async def whole(self, call: Call, response: Response) -> bytes:
        """An answer's body.

        Raises:
            StorageError: it broke off, or is far too long.
        """
        return await read_body(call, response, self.http, MAX_DOCUMENT_SIZE)


def parsed(call: Call, parse: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `parse(*args)` makes of an answer.

    Raises:
        ServiceError: it is not what it should be.
    """
    try:
        return parse(*args, **kwargs)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise not_the_service(call, f"not valid: {error!r:.300}") from error
