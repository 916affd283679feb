"""Requests to a compute unit: where they go, the secret they carry, and what their answers are turned into."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from secrets import token_hex
from typing import Any, NamedTuple

from dxflow_async.providers.common.confirm import check_status, not_the_service
from dxflow_async.providers.contract import Body
from dxflow_async.providers.http import HTTP, Call, Response, read_error_body
from dxflow_async.providers.unit.errors import error_of, parse_error
from dxflow_async.providers.unit.protocol import Announced, Endpoint, path_of, quoted
from dxflow_async.security.redaction import Secret

__all__ = ["UPLOADS", "Requests", "TusAnswer"]

UPLOADS = "/storage/upload/"

_DOCUMENT_SIZE = 64 << 10
_ECHO = "dx-request"
_GONE = (404, 410)
_TUS = {"tus-resumable": "1.0.0"}
_MISSING = (404, 405, 501)
_TUS_STATUSES = {"POST": (201,), "PATCH": (204,), "HEAD": (200, 204), "DELETE": (204,)}


class TusAnswer(NamedTuple):
    """What the upload protocol answered.

    Attributes:
        headers: of the answer.
        certain: it is the unit's: of the protocol's status, and with one of its headers.
    """

    headers: Mapping[str, str]
    certain: bool


class Requests:
    """What a provider sends.

    A server that announces `echo` repeats the header `Dx-Request` of each request in its answer. An answer without it
    is not the server's, or belongs to another request.

    Args:
        url: the unit's.
        secret: goes with each request, to this address and no other.
        http: the session's data plane.
        echoes: the server announces `echo`.
    """

    def __init__(self, url: str, secret: str, http: HTTP, *, echoes: bool = False) -> None:
        self.http = http
        self.echoes = echoes
        self._prefix = token_hex(6)
        self._numbers = count(1)
        self.endpoint = Endpoint(url)
        self._headers = {"host": self.endpoint.host, "x-secret-key": Secret(secret)}

    async def announced(self, call: Call) -> Announced:
        """What the server says it can do; one that does not know the question can do the core."""
        url = f"{self.endpoint.url}{UPLOADS}"
        response = await self.http.send(call, "OPTIONS", url, self._headers | _TUS)
        if response.status in _MISSING:
            response.close()
            return Announced()
        response = await self._accepted(call, response)
        if await read_error_body(response) and "tus-version" not in response.headers:
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
    ) -> Response:
        """An answer of status 200 to 299 from one of the storage routes (`items`, `download`, ...)."""
        url = f"{self.endpoint.url}/storage/{route}/?path={quoted(call, path_of(call, key))}{query}"
        if destination is not None:
            url = f"{url}&destination={quoted(call, path_of(call, destination))}"
        sent = self._sent(headers or {})
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
        """An answer of the upload protocol; its body is not of interest.

        Args:
            call, method, headers: of the request.
            address: an upload's; None: where uploads are created.
            body: the bytes.
            repeatable: as `HTTP.send` has it.

        Raises:
            ServiceError: it is the answer of another protocol or version.
        """
        url = f"{self.endpoint.url}{UPLOADS}" if address is None else self.endpoint.url_of(address)
        sent = self._sent({**_TUS, **headers})
        response = await self.http.send(call, method, url, sent, body, repeatable=repeatable)
        response = await self._accepted(call, response, sent)
        await read_error_body(response, _DOCUMENT_SIZE)
        told = response.headers.get("tus-resumable")
        if told not in (None, "1.0.0"):
            raise not_the_service(call, f"it speaks version {told:.20} of the protocol", response.status)
        exact = response.status in _TUS_STATUSES[method]
        signed = told is not None or "upload-offset" in response.headers
        return TusAnswer(response.headers, exact and (signed or "location" in response.headers))

    async def done(self, call: Call, response: Response) -> None:
        """Reads the answer of a route that says no more than that it is done.

        Raises:
            ServiceError: it has another status than a server of ours gives. What another server has done is looked up.
        """
        if self.echoes:
            check_status(call, response, 200)
        await read_error_body(response, _DOCUMENT_SIZE)

    async def document(self, call: Call, response: Response) -> Any:
        """The JSON of a small answer.

        Raises:
            ServiceError: it is none.
        """
        data = await read_error_body(response, _DOCUMENT_SIZE)
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise not_the_service(call, "not valid JSON", response.status) from error

    def _sent(self, headers: Mapping[str, str]) -> dict[str, str]:
        sent = {**self._headers, **headers}
        if self.echoes:
            sent[_ECHO] = f"{self._prefix}-{next(self._numbers)}"
        return sent

    async def _accepted(self, call: Call, response: Response, sent: Mapping[str, str] | None = None) -> Response:
        """The response, where its status is a success.

        Raises:
            ServiceError: it, or the refusal that something is not there, is not the server's.
            StorageError: any other status.
        """
        means = 200 <= response.status < 300 or response.status in _GONE
        if sent is not None and means and sent.get(_ECHO) not in (None, response.headers.get(_ECHO)):
            response.abort()
            raise not_the_service(call, "it does not repeat the request's number", response.status)
        if 200 <= response.status < 300:
            return response
        code, message = parse_error(await read_error_body(response))
        raise error_of(call, response.status, code, message, response.headers)
