"""Whether the worker processes of a pool are silent, though shards wait for them.

A process that stops within a shard is found by its shard. One that stops between two shards has told nothing of the
next one, and may hold the lock of the queue that all processes of the pool read, or write their results to.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing.process import BaseProcess
from time import monotonic
from typing import Any

__all__ = ["Silence", "WatchedTime", "is_alive", "is_stopped", "named", "processes_of"]

_START_SECONDS = 60.0
"""Time for new processes to start, which import the program's main module."""

_LONGEST_SECONDS = 0.5
"""How long a process that looks for its workers several times a second may not look before time stops for it."""


class WatchedTime:
    """The time in which this process could have heard of its workers.

    A program that is stopped as a whole, as by Ctrl-Z, or that gets no processor, says nothing of its workers: they
    were not heard of because nobody listened, or could not tell anything either.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._looked_at = monotonic()

    def look(self) -> float:
        """Returns the seconds until now."""
        now = monotonic()
        self._seconds += min(now - self._looked_at, _LONGEST_SECONDS)
        self._looked_at = now
        return self._seconds


class Silence:
    """Knows since when no process of a pool was heard of, in whichever call of a session."""

    def __init__(self) -> None:
        self._out: set[Future[Any]] = set()
        self._time = WatchedTime()
        self._heard_at = 0.0
        self._started = False

    @property
    def started(self) -> bool:
        """Whether a process was heard of."""
        return self._started

    def began(self) -> None:
        """Notes that the processes are started anew."""
        self._started = False
        self._heard_at = self._time.look()

    def waits_for(self, future: Future[Any]) -> None:
        """Notes a shard that is handed to the pool."""
        if not self._out:
            self._heard_at = self._time.look()
        self._out.add(future)
        future.add_done_callback(self._ended)

    def forget(self, future: Future[Any]) -> None:
        """Notes that nobody waits for a shard any more. A silence begins anew, since its worker may be the reason."""
        if future in self._out:
            self._out.discard(future)
            self._heard_at = self._time.look()

    def heard(self) -> None:
        """Notes that a process was heard of."""
        self._started = True
        self._heard_at = self._time.look()

    def ended(self, hang_seconds: float) -> bool:
        """Returns whether a pool is silent for so long, though shards wait. The next silence begins then."""
        seconds = hang_seconds if self._started else max(hang_seconds, _START_SECONDS)
        if not self._out or self._time.look() - self._heard_at <= seconds:
            return False
        self._heard_at = self._time.look()
        return True

    def is_shared(self, pool: ProcessPoolExecutor) -> bool:
        """Returns whether the pool has other work than shards, behind which they may wait."""
        # There is no public way to see what a pool has to do.
        pending = getattr(pool, "_pending_work_items", None)
        return pending is None or any(item.future not in self._out for item in list(pending.values()))

    def _ended(self, future: Future[Any]) -> None:
        self._out.discard(future)
        if not future.cancelled():
            self._heard_at = self._time.look()
            self._started = self._started or not isinstance(future.exception(), BrokenExecutor)


def processes_of(pool: ProcessPoolExecutor) -> list[BaseProcess]:
    """Returns the processes of a pool, for which there is no public way before Python 3.14."""
    return list((pool._processes or {}).values())


def is_alive(pid: int) -> bool:
    """Returns whether there is a process of this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def is_stopped(pid: int) -> bool:
    """Returns whether a process is known to be stopped, by a signal or a debugger. Only Linux tells."""
    with suppress(OSError, IndexError), open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0] in (b"T", b"t")
    return False


def named(pids: Iterable[int]) -> str:
    """Returns how an error names worker processes: those that are stopped, if there are any."""
    every = sorted(pids)
    stopped = [pid for pid in every if is_stopped(pid)]
    shown = ", ".join(map(str, stopped or every))
    return f"worker process {shown}{' (stopped)' if stopped else ''}"
