"""Answers to requests that may take minutes, such as copies: white space shows that the server still works.

A client gives up when no byte arrives for its stall timeout, and repeats the request. So the answer begins early, with
status 200, and white space follows until the work is done, several times in the client's `Dx-Stall-Timeout`. A failure
is then `{"error": {"code", "message", "status"}}` in the body of that answer. Only clients of this library look for it
there. They send `Dx-Request`; all others get their answer at the end, with the status that fits.

A repeated request joins the work that an earlier one began, if its answer was lost.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping
from typing import Any, TypeVar

from aiohttp import web

from dxflow_async.server.common.middleware import ECHO, failure_of

__all__ = ["RunningWork", "answer_slowly"]

T = TypeVar("T")

STALL_HEADER = "Dx-Stall-Timeout"
"""The header in which a client says how many seconds it waits for a byte."""

_PATIENCE_SECONDS = 0.25
"""Seconds before an answer begins, and between two signs of life for clients that do not say how long they wait."""

_SIGNS = 4
"""Signs of life in a stall timeout."""

_MIN_PATIENCE_SECONDS = 0.05
_MAX_PATIENCE_SECONDS = 15.0
"""The most seconds between two signs of life. Proxies wait for a minute, by default."""


async def answer_slowly(
    request: web.Request, work: Awaitable[T], describe: Callable[[T], Mapping[str, Any]], *, changes: bool = True
) -> web.StreamResponse:
    """Answers with the result of `work`, which goes on if the client leaves.

    Args:
        request: the request.
        work: what takes its time.
        describe: returns the result as JSON has it.
        changes: whether the work changes something. Otherwise every client gets signs of life, and a failure ends the
            connection of those that do not look for it in the body.
    """
    working = asyncio.ensure_future(work)
    working.add_done_callback(_retrieve)
    waiting = asyncio.shield(working)
    ours = ECHO in request.headers
    if changes and not ours:
        return web.json_response(describe(await waiting))
    pause = _pause(request)
    await asyncio.wait([working], timeout=min(pause, _PATIENCE_SECONDS))
    if working.done():
        return web.json_response(describe(await waiting))
    response = web.StreamResponse()
    response.content_type = "application/json"
    await response.prepare(request)
    while not working.done():
        await response.write(b" ")
        await asyncio.wait([working], timeout=pause)
    try:
        document = describe(await waiting)
    except Exception as error:
        if not ours:
            raise
        document = failure_of(request, error)
    await response.write(json.dumps(document).encode())
    return response


def _pause(request: web.Request) -> float:
    """Returns the seconds between two signs of life."""
    text = request.headers.get(STALL_HEADER, "")
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        return _PATIENCE_SECONDS
    return min(max(float(text) / _SIGNS, _MIN_PATIENCE_SECONDS), _MAX_PATIENCE_SECONDS)


class RunningWork:
    """Work by a key that says what is done, so that equal requests share it."""

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Future[Any]] = {}

    def join(self, key: Hashable, start: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Future[T]:
        """Returns the running work of that key, or starts it. It goes on if whoever waits for it is cancelled."""
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = asyncio.ensure_future(start())
            running.add_done_callback(_retrieve)
            running.add_done_callback(lambda _: self._running.pop(key))
        return running

    async def aclose(self) -> None:
        """Waits for the work that runs."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)


def _retrieve(ended: asyncio.Future[Any]) -> None:
    """Notes that the exception was seen: the client may be gone."""
    if not ended.cancelled():
        ended.exception()
