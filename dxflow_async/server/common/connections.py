"""Connections of the servers: request heads must arrive in time, and refused ones appear in no log.

aiohttp has no time limit for a request's head, and logs heads that it refuses with the secrets in them.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from dxflow_async.server.common.middleware import error_response

__all__ = ["HEAD_SECONDS", "IDLE_SECONDS", "Runner"]

HEAD_SECONDS = 30.0
"""Seconds in which a request's head must arrive, from its first byte or from the start of the connection."""

IDLE_SECONDS = 75.0
"""Seconds that a connection is kept without a request: longer than proxies keep theirs to a server."""

_log = logging.getLogger("dxflow_async.hub")


class Runner(web.AppRunner):
    """Runs an application with these connections. The arguments are those of `web.AppRunner`."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made.request_handler, request_factory=made.request_factory, **made._kwargs)


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    __slots__ = ("_head_timer",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self._stop_waiting()
        elif self._head_timer is None and self._waiter is not None:
            self._await_head()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answers a request that did not reach the application, and keeps the request itself out of the log."""
        # The application answers its own failures. What aiohttp raises before is about a header that it cannot read.
        if status != 400 and not isinstance(exc, ValueError):
            return super().handle_error(request, status, exc, message)
        _log.info("a request from %s is not valid HTTP: %s", request.remote, type(exc).__name__)
        response = error_response(400, "malformed_request", "the request's head is not valid HTTP")
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Writes the end of an answer, for as long as somebody reads it."""
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            if self.transport is not None:
                self.transport.abort()
            raise ConnectionResetError("nobody reads the answer") from None

    def _await_head(self) -> None:
        self._head_timer = self._loop.call_later(HEAD_SECONDS, self.force_close)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
