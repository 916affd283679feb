"""The process and the event loop that a session belongs to.

A session's sockets, threads and locks work in one event loop. Used in another one they fail with errors of asyncio,
or never wake up. In a process forked from the session's own they are worse: both processes share each socket and the
epoll descriptor of the loop, so that a child which closes a connection takes it away from its parent. So a session
notes its loop at its first call, and refuses every call from elsewhere.

A forked child must not even clean up: closing the parent's coroutines would run their `finally` blocks, which end
connections and delete temporary files, and closing SQLite in the child breaks its locks
(https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_). So the child keeps
what it inherited alive until its end, when the system closes the descriptors.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any
from weakref import WeakSet, ref

from dxflow_async.concurrency.event_loop import check_asyncio
from dxflow_async.exceptions import SessionClosedError, SessionLoopError

__all__ = ["Owner"]

_HOME_SECONDS = 10.0
"""How long another thread's loop has for closing a session."""

_POLL_SECONDS = 0.1

_owners: WeakSet[Owner] = WeakSet()
_inherited: list[object] = []


class Owner:
    """Where one session may be used.

    Args:
        resources: what the session owns. A forked child keeps it alive.

    Attributes:
        loop: the session's event loop; None before its first call.
        pid: the process that made the session.
        forked: whether this process was forked from that one.
    """

    def __init__(self, resources: object) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.pid = os.getpid()
        self.forked = False
        self._resources = ref(resources)
        _owners.add(self)

    def check(self) -> None:
        """Checks that a call is made where the session belongs; the first call decides which loop that is.

        Raises:
            ConfigurationError: the caller is a task of trio.
            SessionLoopError: the caller runs in another event loop.
            SessionClosedError: the process was forked from the session's own.
        """
        self.check_place()
        if self.loop is None:
            self.loop = asyncio._get_running_loop()

    def check_place(self) -> None:
        """Checks the same for a call that does no work, and that may be made without a loop."""
        self.check_process()
        check_asyncio()
        if self.elsewhere:
            raise SessionLoopError(_OTHER_LOOP)

    def check_process(self) -> None:
        """Checks that this process made the session.

        Raises:
            SessionClosedError: it was forked from the one that did.
        """
        if self.forked:
            raise SessionClosedError(
                f"this session belongs to process {self.pid} and cannot be used in a process forked from it; "
                "make a session after the fork"
            )

    @property
    def elsewhere(self) -> bool:
        """Whether the caller runs in another event loop than the session's."""
        running = asyncio._get_running_loop()
        return running is not None and self.loop is not None and running is not self.loop

    async def run_at_home(self, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Awaits `work()` in the session's loop, which runs in another thread.

        Returns:
            Whether it was done. Otherwise that loop does not run any more, or is busy for too long.
        """
        loop = self.loop
        if loop is None or not loop.is_running():
            return False
        running = asyncio.run_coroutine_threadsafe(work(), loop)
        waiting, deadline = asyncio.wrap_future(running), monotonic() + _HOME_SECONDS
        while loop.is_running() and monotonic() < deadline:
            done, _ = await asyncio.wait({waiting}, timeout=_POLL_SECONDS)
            if done:
                waiting.result()
                return True
        running.cancel()
        return False

    def forget_process(self) -> None:
        """Gives the session up in a forked child: nothing that it owns is used, closed or deleted from now on."""
        self.forked = True
        _inherited.append(self._resources())
        if self.loop is not None:
            _inherited.append(self.loop)
            with contextlib.suppress(RuntimeError):  # another thread of the parent was changing the set
                _inherited.append(asyncio.all_tasks(self.loop))


_OTHER_LOOP = (
    "this session belongs to another event loop: make one AsyncSession in each loop (each asyncio.run makes a new "
    "loop), or use the blocking Session, which every thread may call"
)


def _forked() -> None:
    if not _owners:
        return
    for owner in list(_owners):
        owner.forget_process()
    if len(_inherited) > 0:
        # The ending interpreter would collect a mere global, too.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(_inherited))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
