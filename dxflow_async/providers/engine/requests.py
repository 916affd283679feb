"""Sends requests to an engine, signed in, and reads the envelopes of its answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from dxflow_async.providers import (
    HTTP,
    Body,
    Buffered,
    Call,
    Entry,
    HTTPReader,
    Response,
    StorageError,
    Threads,
    UnsafePathError,
    UnsupportedError,
    not_the_service,
    read_error_body,
)
from dxflow_async.providers.engine.envelope import Answer, BrokenEnvelopeError, EnvelopeParser, is_success
from dxflow_async.providers.engine.errors import error_of, message_of
from dxflow_async.providers.engine.settings import Access
from dxflow_async.providers.engine.sign_in import KeyRefusedError, Session

__all__ = ["NEW", "OLD", "Query", "Requests"]

NEW, OLD = "/api/artifact/", "/api/object/fs/"
"""The prefixes of the storage routes of the two generations of engines."""

Query = Sequence[tuple[str, str]]

_MAX_ENTITIES = 1_000_000
_REFUSALS = (429, 503)
_REFUSAL_DELAYS = (0.1, 0.4, 1.0, 2.0)
"""Seconds before a refused request is repeated, where the engine does not tell."""

_LONGEST_DELAY = 5.0
_STREAM = "application/stream+json"


class Requests:
    """Sends the requests of a provider.

    Args:
        access: the engine.
        http: sends them.
        threads: sign nonces.

    Attributes:
        prefix: of the storage routes; the engine's generation decides.
        session: the sign-in.
    """

    def __init__(self, access: Access, http: HTTP, threads: Threads) -> None:
        self.access = access
        self.http = http
        self.prefix = NEW
        self.session = Session(access, threads, self._document)
        self._host = urlsplit(access.address).netloc

    async def artifacts(
        self, call: Call, method: str, route: str = "", *, query: Query = (), document: Any = None
    ) -> Answer:
        """Sends a request to a storage route, and returns the whole answer."""
        return await self.answer(call, method, self.prefix + route, query=query, document=document)

    async def delete(self, call: Call, path: str) -> None:
        """Deletes one name.

        The name is in the query and in the body: an engine that reads only one of them and finds no name there might
        take the whole volume for it.
        """
        assert path.strip("/.")
        await self.artifacts(call, "DELETE", query=(("identity", path),), document={"identity": path})

    async def answer(
        self, call: Call, method: str, path: str, *, query: Query = (), document: Any = None, repeatable: bool = False
    ) -> Answer:
        """Sends a request, and returns the whole answer.

        A token that is refused within the answer, whose status is one of success, is renewed once, too.

        Raises:
            StorageError: the engine refused it, or reports a failure in its answer.
            ServiceError: the answer is not an envelope, or breaks off.
            KeyRefusedError: it refuses the key.
        """
        headers = {"accept": _STREAM} | ({} if document is None else {"content-type": "application/json"})

        async def request() -> Answer:
            body = None if document is None else _encoded(document)
            sent = await self.send(call, method, path, query=query, headers=headers, body=body, repeatable=repeatable)
            return await self.read(call, sent)

        def attempt() -> Awaitable[Answer]:
            return _patiently(request, _REFUSALS if method != "GET" else (*_REFUSALS, 502, 504))

        try:
            return await attempt()
        except KeyRefusedError:
            raise
        except StorageError as error:
            used = self.session.used
            if error.status != 401 or used is None:
                raise
            await self.session.renew(call, used, error)
        try:
            return await attempt()
        except KeyRefusedError:
            raise
        except StorageError as error:
            raise self.session.refused(call, error) if error.status == 401 else error from error

    async def read(self, call: Call, response: Response) -> Answer:
        """Returns the envelope of a successful response, whole."""
        parser = EnvelopeParser()
        try:
            async for piece in _pieces(call, response, self.http):
                parser.feed(piece)
                if len(parser.answer.entities) > _MAX_ENTITIES:
                    text = f"the answer has over {_MAX_ENTITIES} entries"
                    raise call.error(UnsupportedError, text)
            parser.close()
        except BrokenEnvelopeError as error:
            if (failure := parser.answer.failure) is None:
                raise not_the_service(call, str(error), response.status) from error
            raise error_of(call, *_with_headers(failure, response)) from error
        if (failure := parser.answer.failure) is not None:
            raise error_of(call, *_with_headers(failure, response))
        return parser.answer

    async def send(
        self,
        call: Call,
        method: str,
        path: str,
        *,
        query: Query = (),
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        repeatable: bool | None = None,
        rereadable: bool = True,
    ) -> Response:
        """Sends a request; returns a response with a status of success, whose body is still to be read.

        A token that is refused is renewed once, and the request is sent again if its body is `rereadable`.

        Raises:
            StorageError: the engine refused the request.
            KeyRefusedError: it refuses the key.
        """
        url = self._url(call, path, query)
        token = await self.session.token(call)
        response = await self._attempt(call, method, url, headers, body, token, repeatable=repeatable)
        if response.status == 401 and token is not None:
            refusal = await self._refusal(call, response)
            renewed = await self.session.renew(call, token, refusal)
            if not rereadable:
                refusal.retryable = refusal.progressed = True
                raise refusal
            response = await self._attempt(call, method, url, headers, body, renewed, repeatable=repeatable)
            if response.status == 401:
                raise self.session.refused(call, await self._refusal(call, response))
        if is_success(response.status):
            return response
        if response.status < 400:
            response.close()
            raise not_the_service(call, f"status {response.status}", response.status)
        raise await self._refusal(call, response)

    async def confirm_stored(self, call: Call, response: Response) -> None:
        """Reads the answer to an upload, of which only the status is documented, and raises a failure that it reports.

        A web page is a failure: a proxy has answered in the engine's place.
        """
        if response.headers.get("content-length") == "0":
            response.close()
            return
        data = bytearray()
        async for piece in _pieces(call, response, self.http):
            if len(data) < 64 << 10:
                data += piece
        code, message = message_of(response.headers, bytes(data))
        if code is None and _is_page(response.headers, bytes(data)):
            raise not_the_service(call, f"a web page with status {response.status}", response.status)
        if code is not None and not is_success(code):
            raise self.refused_within(error_of(call, code, response.headers, message))

    def refused_within(self, error: StorageError) -> StorageError:
        """Returns an error that an answer with a status of success reports.

        Where the token was refused, the call may be tried again, with another token.
        """
        if error.status == 401 and self.session.used is not None:
            self.session.forget(self.session.used)
            error.retryable = error.progressed = True
        return error

    async def _attempt(
        self,
        call: Call,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: Body | None,
        token: str | None,
        *,
        repeatable: bool | None,
    ) -> Response:
        sent = {"host": self._host, **(headers or {})}
        if token is not None:
            sent["authorization"] = token
        return await self.http.send(call, method, url, sent, body, repeatable=repeatable)

    async def _document(self, call: Call, method: str, path: str, document: Any) -> Answer:
        """Sends a request of the sign-in, which has no token."""
        headers = {"accept": "application/json"} | ({} if document is None else {"content-type": "application/json"})
        url = self._url(call, path, ())

        async def request() -> Answer:
            body = None if document is None else _encoded(document)
            response = await self._attempt(call, method, url, headers, body, None, repeatable=False)
            if not is_success(response.status):
                raise await self._refusal(call, response)
            return await self.read(call, response)

        return await _patiently(request, _REFUSALS)

    async def _refusal(self, call: Call, response: Response) -> StorageError:
        body = await read_error_body(response)
        code, message = message_of(response.headers, body)
        status = response.status if code is None or code < 400 else code
        if code is None and response.status in (404, 405, 400) and _is_page(response.headers, body):
            return not_the_service(call, f"a web page with status {response.status}", response.status)
        return error_of(call, status, response.headers, message)

    def _url(self, call: Call, path: str, query: Query) -> str:
        try:
            told = "&".join(f"{name}={quote(value, safe='')}" for name, value in query)
        except UnicodeEncodeError as error:
            text = "engines take only names that are valid Unicode; rename it"
            raise call.error(UnsafePathError, text) from error
        return f"{self.access.address}{path}?{told}" if told else f"{self.access.address}{path}"


async def _patiently(request: Callable[[], Awaitable[Answer]], refusals: Collection[int]) -> Answer:
    """Repeats a small request that is refused for a moment, with one of some statuses.

    One upload makes several requests. Were each refusal to end it, it would not succeed where many are refused.
    """
    for delay in _REFUSAL_DELAYS:
        try:
            return await request()
        except StorageError as error:
            if error.status not in refusals or not error.retryable:
                raise
            await asyncio.sleep(min(_LONGEST_DELAY, delay if error.retry_after is None else error.retry_after))
    return await request()


async def _pieces(call: Call, response: Response, http: HTTP) -> AsyncIterator[bytes]:
    async with HTTPReader(Entry(""), -1, http, call, response) as reading:
        while piece := await reading.read():
            yield bytes(piece)


def _with_headers(failure: tuple[int, str], response: Response) -> tuple[int, Mapping[str, str], str]:
    return failure[0], response.headers, failure[1]


def _encoded(document: Any) -> Buffered:
    data = json.dumps(document, ensure_ascii=True).encode()
    return Buffered((data,), len(data))


def _is_page(headers: Mapping[str, str], body: bytes) -> bool:
    return "html" in headers.get("content-type", "").lower() or body.lstrip()[:1] == b"<"
