"""The visitors that are signed in, by the value of their cookie. Their number is limited, and idle ones end."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time

from aiohttp import web

from dxflow_async.hub_page.workspace import Visitor
from dxflow_async.server.common.middleware import refusal

__all__ = ["IDLE_SECONDS", "MAX_OF_ACCOUNT", "MAX_VISITORS", "Visitors"]

_log = logging.getLogger("dxflow_async.hub")

IDLE_SECONDS = 1800.0
"""Seconds after which a visitor without a request, a job or an upload is signed out."""

MAX_VISITORS = 256
MAX_OF_ACCOUNT = 8

_CHECK_SECONDS = 10.0
"""A sign-in that was ended elsewhere, as by `hub user disable`, ends here after this time."""

_SWEEP_SECONDS = 15.0


class Visitors:
    """The visitors that are signed in.

    Only a digest of each cookie is kept.

    Args:
        idle: seconds after which a visitor ends; None: never.
        most: the largest number of visitors.
    """

    def __init__(self, idle: float | None = IDLE_SECONDS, most: int = MAX_VISITORS) -> None:
        self._idle = idle
        self._most = most
        self._visitors: dict[bytes, Visitor] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._sweeping: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._visitors)

    def start(self) -> None:
        """Begins to look for idle visitors."""
        self._sweeping = asyncio.get_running_loop().create_task(self._sweep())

    def check_room(self, account: str) -> None:
        """Makes room for another visitor of an account: idle ones of the same account go first.

        Raises:
            HTTPServiceUnavailable: there is none.
        """
        own = [each for each in self._visitors.values() if account and each.account == account]
        crowd = own if len(own) >= MAX_OF_ACCOUNT else [*self._visitors.values()]
        if crowd is not own and len(crowd) < self._most:
            return
        free = [each for each in crowd if not (each.workspace.busy or each.requests)]
        if not free:
            text = "too many people are signed in; try again later, or sign out elsewhere"
            raise refusal(web.HTTPServiceUnavailable, "too_many", text, {"Retry-After": "60"})
        self._end(min(free, key=lambda each: each.used))

    def add(self, visitor: Visitor) -> str:
        """Adds a visitor, and returns the value of the cookie."""
        cookie = secrets.token_urlsafe(32)
        self._visitors[_digest(cookie)] = visitor
        return cookie

    async def find(self, cookie: str) -> Visitor | None:
        """Returns the visitor of a cookie, if there is one whose sign-in is valid."""
        visitor = self._visitors.get(_digest(cookie)) if cookie else None
        if visitor is None:
            return None
        now = time.monotonic()
        if self._is_idle(visitor, now):
            self._end(visitor)
            return None
        if visitor.valid is not None and now - visitor.checked >= _CHECK_SECONDS:
            visitor.checked = now
            if not await visitor.valid():
                self._end(visitor)
                return None
        visitor.used = now
        return visitor

    async def remove(self, visitor: Visitor) -> None:
        """Signs a visitor out, and waits until everything of theirs has ended."""
        await asyncio.shield(self._end(visitor))

    async def aclose(self) -> None:
        """Signs everybody out."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        for visitor in [*self._visitors.values()]:
            self._end(visitor)
        while self._ending:
            await asyncio.wait(self._ending)

    def _is_idle(self, visitor: Visitor, now: float) -> bool:
        if self._idle is None or visitor.workspace.busy or visitor.requests:
            return False
        return now - visitor.used > self._idle

    def _end(self, visitor: Visitor) -> asyncio.Task[None]:
        for digest in [digest for digest, each in self._visitors.items() if each is visitor]:
            del self._visitors[digest]
        task = asyncio.get_running_loop().create_task(_close(visitor))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = time.monotonic()
            for visitor in [*self._visitors.values()]:
                if self._is_idle(visitor, now):
                    self._end(visitor)
                else:
                    await _sweep(visitor)


async def _sweep(visitor: Visitor) -> None:
    try:
        await visitor.workspace.sweep()
    except Exception:  # noqa: BLE001 - the others are looked at all the same
        _log.exception("what a visitor had left open could not be closed")


async def _close(visitor: Visitor) -> None:
    try:
        await visitor.aclose()
    except Exception:  # noqa: BLE001 - the others are closed all the same
        _log.exception("what a visitor had open could not be closed")


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).digest()
