"""Sends requests to a compute unit, with its secret, and checks the responses."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from secrets import token_hex
from typing import Any, NamedTuple

from dxflow_async.providers.common.confirm import check_status, not_the_service
from dxflow_async.providers.common.status_errors import is_page
from dxflow_async.providers.contract import Body, Buffered, Entry
from dxflow_async.providers.http import HTTP, Call, HTTPReader, Response, read_error_body
from dxflow_async.providers.unit.errors import error_of, parse_error
from dxflow_async.providers.unit.protocol import Announced, Endpoint, path_of, quoted
from dxflow_async.security.redaction import Secret

__all__ = ["UPLOADS", "Requests", "TusAnswer"]

UPLOADS = "/storage/upload/"

_DOCUMENT_SIZE = 64 << 10
_ECHO = "dx-request"
_GONE = (404, 410)
_OVERRIDE = "x-http-method-override"
_OVERRIDABLE = ("PATCH", "HEAD", "DELETE")
_REFUSED_METHOD = (405, 501)
_STALL = "dx-stall-timeout"
_TUS = {"tus-resumable": "1.0.0"}
_MISSING = (404, 405, 501)
_UNASKED = (400, 401, 403)
_ANSWERS_TO_OPTIONS = ("tus-version", "allow", "access-control-allow-methods", "access-control-allow-origin")
_TUS_STATUSES = {"POST": (201,), "PATCH": (204,), "HEAD": (200, 204), "DELETE": (204,)}


class TusAnswer(NamedTuple):
    """A response of the upload protocol.

    Attributes:
        headers: of the response.
        certain: whether it is the unit's: it has a status and a header of the protocol.
    """

    headers: Mapping[str, str]
    certain: bool


class Requests:
    """Sends the requests of a provider.

    A server that advertises `echo` repeats the header `Dx-Request` of each request in its response. A response without
    it comes from something else, or belongs to another request.

    Args:
        url: the unit's.
        secret: sent with each request, to this address only.
        http: the session's data plane.
        echoes: whether the server advertises `echo`.
    """

    def __init__(self, url: str, secret: str, http: HTTP, *, echoes: bool = False) -> None:
        self.http = http
        self.echoes = echoes
        self._prefix = token_hex(6)
        self._numbers = count(1)
        # Methods that are refused: whether `POST` takes their place, as X-HTTP-Method-Override asks.
        self._overridden: dict[str, bool] = {}
        self.endpoint = Endpoint(url)
        self._headers = {"host": self.endpoint.host, "x-secret-key": Secret(secret)}

    async def announced(self, call: Call) -> Announced:
        """Returns what the server advertises; a server that does not know the question can do the core."""
        url = f"{self.endpoint.url}{UPLOADS}"
        response = await self.http.send(call, "OPTIONS", url, self._headers | _TUS)
        if response.status in _MISSING:
            response.close()
            return Announced()
        if response.status in _UNASKED and not is_page(response.headers):
            code, message = parse_error(await read_error_body(response))
            if not code:
                return Announced()  # something answers for CORS only; what is refused shows later
            raise error_of(call, response.status, code, message, response.headers)
        response = await self._accepted(call, response)
        said = await read_error_body(response)
        if said and not any(name in response.headers for name in _ANSWERS_TO_OPTIONS):
            raise not_the_service(call, "it does not say which protocol it speaks", response.status)
        return Announced.parse(response.headers)

    async def ask(
        self,
        call: Call,
        method: str,
        route: str,
        key: str,
        headers: Mapping[str, str] | None = None,
        *,
        destination: str | None = None,
        query: str = "",
        repeatable: bool | None = None,
        slow: bool = False,
    ) -> Response:
        """Sends a request to a storage route (`items`, `download`, ...); returns a response with status 200 to 299.

        A `slow` request may take minutes: the server is told how soon it has to show that it works.
        """
        url = f"{self.endpoint.url}/storage/{route}/?path={quoted(call, path_of(call, key))}{query}"
        if destination is not None:
            url = f"{url}&destination={quoted(call, path_of(call, destination))}"
        sent = self._sent(headers or {})
        if slow and self.echoes:
            sent[_STALL] = f"{self.http.stall_timeout:.3f}"
        return await self._accepted(call, await self.http.send(call, method, url, sent, repeatable=repeatable), sent)

    async def tus(
        self,
        call: Call,
        method: str,
        address: str | None,
        headers: Mapping[str, str],
        body: Body | None = None,
        *,
        repeatable: bool | None = None,
    ) -> TusAnswer:
        """Sends a request of the upload protocol, and ignores the body of the response.

        Args:
            call, method, headers: the request.
            address: of an upload; None: the address that creates uploads.
            body: the bytes.
            repeatable: as for `HTTP.send`.

        Raises:
            ServiceError: the response belongs to another protocol or version.
        """
        url = f"{self.endpoint.url}{UPLOADS}" if address is None else self.endpoint.url_of(address)
        sent = self._sent({**_TUS, **headers})
        size = 0 if body is None else body.size
        replaced = address is not None and self._overridden.get(method)
        if not replaced:
            response = await self.http.send(call, method, url, sent, body, repeatable=repeatable)
            if address is not None and self._may_override(method, response):
                replaced = await self._refused_method(call, method, response, body)
        if replaced:
            sent[_OVERRIDE] = method
            response = await self.http.send(call, "POST", url, sent, body, repeatable=method != "PATCH")
            if response.status in _REFUSED_METHOD:
                self._overridden[method] = False
        response = await self._accepted(call, response, sent, size)
        await read_error_body(response, _DOCUMENT_SIZE)
        told = response.headers.get("tus-resumable")
        if told and set(re.split(r"\s*,\s*", told)) == {"1.0.0"}:
            told = "1.0.0"  # a proxy may add the header once more
        if told not in (None, "1.0.0"):
            raise not_the_service(call, f"it speaks version {told:.20} of the protocol", response.status)
        exact = response.status in _TUS_STATUSES[method]
        signed = told is not None or "upload-offset" in response.headers
        return TusAnswer(response.headers, exact and (signed or "location" in response.headers))

    def _may_override(self, method: str, response: Response) -> bool:
        refused = response.status in _REFUSED_METHOD and method in _OVERRIDABLE
        return refused and self._overridden.get(method) is not False

    async def _refused_method(self, call: Call, method: str, response: Response, body: Body | None) -> bool:
        """Learns from a refusal of a method that a proxy may not let it through; returns whether to send a `POST`.

        Raises:
            StorageError: the body has to be read again first.
        """
        code, message = parse_error(await read_error_body(response))
        if code:
            raise error_of(call, response.status, code, message, response.headers)
        self._overridden[method] = True
        if body is None or isinstance(body, Buffered):
            return True
        error = error_of(call, response.status, code, message, response.headers)
        error.progressed = error.retryable = True
        raise error

    async def done(self, call: Call, response: Response) -> None:
        """Reads the response of a route that only reports success.

        Raises:
            NetworkError, StallTimeoutError: the response broke off, so the work may not be done.
            ServiceError: a server of this library would answer with another status. The work of other servers is looked
                up.
            StorageError: the body, which was begun before the work was done, reports a failure.
        """
        if self.echoes:
            check_status(call, response, 200)
        with suppress(ValueError, RecursionError):  # other servers may say anything
            _check_done(call, response, json.loads(await self._body(call, response)))

    async def document(self, call: Call, response: Response) -> Any:
        """Returns the JSON of a small response.

        Raises:
            NetworkError, StallTimeoutError: the response broke off.
            ServiceError: it is not JSON.
            StorageError: it reports a failure, after white space that showed that the server works.
        """
        data = await self._body(call, response)
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise not_the_service(call, "not valid JSON", response.status) from error
        _check_done(call, response, document)
        return document

    async def _body(self, call: Call, response: Response) -> bytes:
        """Returns the beginning of a body, without the white space before it, of which there may be any amount."""
        pieces, size = [], 0
        async with HTTPReader(Entry(""), -1, self.http, call, response) as reading:
            while size < _DOCUMENT_SIZE and (piece := bytes(await reading.read())):
                kept = piece if size else piece.lstrip()
                pieces.append(kept)
                size += len(kept)
        return b"".join(pieces)[:_DOCUMENT_SIZE]

    def _sent(self, headers: Mapping[str, str]) -> dict[str, str]:
        sent = {**self._headers, **headers}
        if self.echoes:
            sent[_ECHO] = f"{self._prefix}-{next(self._numbers)}"
        return sent

    async def _accepted(
        self, call: Call, response: Response, sent: Mapping[str, str] | None = None, size: int = 0
    ) -> Response:
        """Returns the response if its status is successful.

        Args:
            call, response: the request and its response.
            sent: the request's headers.
            size: the size of its body in bytes.

        Raises:
            ServiceError: the response, or the refusal that something is missing, is not the server's.
            StorageError: any other status.
        """
        means = 200 <= response.status < 300 or response.status in _GONE
        if sent is not None and means and sent.get(_ECHO) not in (None, response.headers.get(_ECHO)):
            response.abort()
            raise not_the_service(call, "it does not repeat the request's number", response.status)
        if 200 <= response.status < 300:
            return response
        code, message = parse_error(await read_error_body(response))
        raise error_of(call, response.status, code, message, response.headers, size)


def _check_done(call: Call, response: Response, document: Any) -> None:
    """Raises the failure that the body of a successful status reports, if it does."""
    failure = document.get("error") if isinstance(document, dict) and "directory" not in document else None
    if not failure:
        return
    details = failure if isinstance(failure, dict) else {"message": failure}
    status, code, message = (details.get(name) for name in ("status", "code", "message"))
    status = status if type(status) is int and 400 <= status < 600 else 500
    code, message = (text if isinstance(text, str) else "" for text in (code, message))
    raise error_of(call, status, code[:100], message[:500], response.headers)
