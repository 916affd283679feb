"""Requests to a compute unit: where they go, the secret they carry, and what their answers are turned into."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dxflow_async.exceptions import ServiceError
from dxflow_async.providers.base import Body
from dxflow_async.providers.http import HTTP, Call, Response, read_error_body
from dxflow_async.providers.unit_errors import error_of, parse_error
from dxflow_async.providers.unit_protocol import Announced, Endpoint, path_of, quoted
from dxflow_async.showing import Secret

__all__ = ["UPLOADS", "Requests"]

UPLOADS = "/storage/upload/"

_DOCUMENT_SIZE = 64 << 10
_TUS = {"tus-resumable": "1.0.0"}
_MISSING = (404, 405, 501)


class Requests:
    """What a provider sends.

    Args:
        url: the unit's.
        secret: goes with each request, to this address and no other.
        http: the session's data plane.
    """

    def __init__(self, url: str, secret: str, http: HTTP) -> None:
        self.http = http
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
        response.close()
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
        sent = {**self._headers, **(headers or {})}
        return await self._accepted(call, await self.http.send(call, method, url, sent, repeatable=repeatable))

    async def tus(
        self,
        call: Call,
        method: str,
        address: str | None,
        headers: Mapping[str, str],
        body: Body | None = None,
        *,
        repeatable: bool | None = None,
    ) -> Response:
        """An answer of the upload protocol; its body is not of interest.

        Args:
            call, method, headers: of the request.
            address: an upload's; None: where uploads are created.
            body: the bytes.
            repeatable: as `HTTP.send` has it.
        """
        url = f"{self.endpoint.url}{UPLOADS}" if address is None else self.endpoint.url_of(address)
        sent = {**self._headers, **_TUS, **headers}
        response = await self.http.send(call, method, url, sent, body, repeatable=repeatable)
        response = await self._accepted(call, response)
        await read_error_body(response, _DOCUMENT_SIZE)
        return response

    async def document(self, call: Call, response: Response) -> Any:
        """The JSON of a small answer.

        Raises:
            ServiceError: it is none.
        """
        data = await read_error_body(response, _DOCUMENT_SIZE)
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise call.error(ServiceError, "the server's answer is not valid JSON") from error

    async def _accepted(self, call: Call, response: Response) -> Response:
        if 200 <= response.status < 300:
            return response
        code, message = parse_error(await read_error_body(response))
        raise error_of(call, response.status, code, message, response.headers)
