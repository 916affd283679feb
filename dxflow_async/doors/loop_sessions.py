"""Sessions for libraries that call from event loops of their own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import weakref
from typing import Any

from dxflow_async.session import AsyncSession

__all__ = ["LoopSessions"]

_SECONDS = 5.0
"""How long closing a session may take when its owner is collected."""


class LoopSessions:
    """Makes a session for each event loop that asks for one, and closes them when it is collected.

    Args:
        session: the session to use instead, where its owner has one.
        options: the arguments of `AsyncSession` for the sessions that are made.
    """

    def __init__(self, session: AsyncSession | None = None, **options: Any) -> None:
        self._given = session
        self._options = options
        self._made: list[tuple[asyncio.AbstractEventLoop, AsyncSession]] = []
        self._pid = os.getpid()
        weakref.finalize(self, _close_all, self._made, self._pid)

    def get(self) -> AsyncSession:
        """Returns the session of the running event loop. Call it in a coroutine."""
        if self._given is not None:
            return self._given
        loop = asyncio.get_running_loop()
        if self._pid != os.getpid():  # the sessions are the parent's
            self._pid, self._made = os.getpid(), []
            weakref.finalize(self, _close_all, self._made, self._pid)
        for owner, session in self._made:
            if owner is loop and not session.closed:
                return session
        self._made[:] = [each for each in self._made if not _is_over(*each)]
        session = AsyncSession(**self._options)
        self._made.append((loop, session))
        return session

    async def aclose(self) -> None:
        """Closes the session of the running event loop, if it was made here. The next `get` makes another one."""
        loop = asyncio.get_running_loop()
        mine = [each for each in self._made if each[0] is loop]
        self._made[:] = [each for each in self._made if each[0] is not loop]
        for _, session in mine:
            await session.aclose()


def _is_over(loop: asyncio.AbstractEventLoop, session: AsyncSession) -> bool:
    if loop.is_closed() and not session.closed:
        session._resources.abandon()
    return loop.is_closed() or session.closed


def _close_all(made: list[tuple[asyncio.AbstractEventLoop, AsyncSession]], pid: int) -> None:
    if pid != os.getpid():
        return
    for loop, session in made:
        if _is_over(loop, session):
            continue
        if not loop.is_running():
            session._resources.abandon()
            continue
        closing = asyncio.run_coroutine_threadsafe(session.aclose(), loop)
        if asyncio._get_running_loop() is None:
            with contextlib.suppress(Exception):  # the interpreter ends, or the loop does
                closing.result(_SECONDS)
