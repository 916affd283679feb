"""Tells the page what has changed, over server-sent events.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from aiohttp import web

from dxflow_async.hub_page.answers import send
from dxflow_async.server.common.middleware import ACTIVITY, refusal

__all__ = ["MAX_CLIENTS", "Events"]

MAX_CLIENTS = 16
"""The most pages that follow one session."""

_PAUSE_SECONDS = 0.25
_HEARTBEAT_SECONDS = 15.0
_RETRY_MILLISECONDS = 2000


class _Client:
    """A page that follows: what it has not been told yet. A job that changes often counts once."""

    def __init__(self) -> None:
        self.changed: dict[str, None] = {}
        self.removed: dict[str, None] = {}
        self.wake = asyncio.Event()
        self.ended = False


class Events:
    """The pages that follow the jobs of a session.

    Args:
        snapshot: returns a job as plain JSON types; None if it is gone.
    """

    def __init__(self, snapshot: Callable[[str], Mapping[str, Any] | None]) -> None:
        self._snapshot = snapshot
        self._clients: set[_Client] = set()

    def changed(self, job_id: str) -> None:
        """Notes that a job has changed."""
        for client in self._clients:
            client.changed[job_id] = None
            client.wake.set()

    def removed(self, job_id: str) -> None:
        """Notes that a job is gone."""
        for client in self._clients:
            client.changed.pop(job_id, None)
            client.removed[job_id] = None
            client.wake.set()

    def close(self) -> None:
        """Ends all answers."""
        for client in self._clients:
            client.ended = True
            client.wake.set()

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """`GET page/events`: writes changes, until the client or the server ends.

        Raises:
            HTTPTooManyRequests: too many pages follow.
        """
        if len(self._clients) >= MAX_CLIENTS:
            raise refusal(web.HTTPTooManyRequests, "too_many", "too many pages of this session are open; close some")
        client = _Client()
        self._clients.add(client)
        ends = asyncio.get_running_loop().create_task(_end_with_server(request.app[ACTIVITY].ends, client))
        try:
            response = web.StreamResponse(
                headers={
                    "Content-Type": "text/event-stream; charset=utf-8",
                    "Cache-Control": "no-store",
                    "X-Accel-Buffering": "no",
                }
            )
            await response.prepare(request)
            await send(response, f"retry: {_RETRY_MILLISECONDS}\n\n".encode())
            while not client.ended:
                await self._tell(client, response)
            return response
        finally:
            self._clients.discard(client)
            ends.cancel()

    async def _tell(self, client: _Client, response: web.StreamResponse) -> None:
        """Waits for changes, and writes them; without any, a comment that keeps the connection open."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_HEARTBEAT_SECONDS):
                await client.wake.wait()
        client.wake.clear()
        changed, removed = [*client.changed], [*client.removed]
        client.changed.clear()
        client.removed.clear()
        lines = [_event("removed", {"id": each}) for each in removed]
        lines += [_event("job", tree) for each in changed if (tree := self._snapshot(each)) is not None]
        await send(response, b"".join(lines) or b": nothing new\n\n")
        if lines and not client.ended:
            await asyncio.sleep(_PAUSE_SECONDS)


async def _end_with_server(ends: asyncio.Event, client: _Client) -> None:
    await ends.wait()
    client.ended = True
    client.wake.set()


def _event(name: str, tree: Mapping[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(tree)}\n\n".encode()
