"""The session's budgets, which all its calls share: requests in flight, buffered bytes, bytes per second.

How concurrency is found: an `AdaptiveLimit` per endpoint counts requests in windows of a quarter of a second. A window
in which every place was taken says whether more requests help: if goodput (bytes that arrived, plus 16 KiB for each
request) grew by 5 %, the limit rises by two. If it fell by 5 %, the limit falls by two, but never below its start:
goodput is noisy, and a walk downhill would end at one. A window with refusals (429, 503 SlowDown, ...) lowers the limit
by half the share of answers that were refusals, as in data center TCP: a storm ends quickly, and at the edge of what
the service allows little is given away. Answers to requests that were in flight when the limit fell are ignored, since
they say nothing about the new limit.

Requests of 1 MiB and more have a second, lower limit that moves with the first: each of them fills a connection and
holds buffers, while small requests mostly wait.

Source: https://www.rfc-editor.org/rfc/rfc8257
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

from dxflow_async.exceptions import StorageError, ThrottledError
from dxflow_async.providers.contract import Provider
from dxflow_async.transfer import telemetry

__all__ = ["AdaptiveLimit", "Bandwidth", "Limits", "MemoryBudget"]

_log = logging.getLogger("dxflow_async.transfer.limits")

T = TypeVar("T")

_INITIAL = 48
_LARGE_INITIAL = 6
_LARGE_SIZE = 1 << 20
_READ_AHEAD = 4
_REQUEST_WORTH = 16 << 10
_BETTER = 1.05


class Gate:
    """Lets a number of tasks in at a time. The others wait and are served in order.

    Attributes:
        capacity: how many tasks may be inside.
        inside: how many tasks are inside.
    """

    def __init__(self) -> None:
        self.capacity = 0
        self.inside = 0
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> bool:
        """Whether a task waits."""
        return bool(self._waiters)

    def try_enter(self) -> bool:
        """Takes a place if there is a free one, and returns whether it did."""
        free = self.inside < self.capacity and not self._waiters
        self.inside += free
        return free

    async def enter(self) -> None:
        """Waits for a place and takes it."""
        if self.try_enter():
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """Gives a place back."""
        self.inside -= 1
        while self._waiters and self.inside < self.capacity:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self.inside += 1
                waiter.set_result(None)


class AdaptiveLimit:
    """The requests in flight to one endpoint. The module's docstring says how the limit moves.

    Use it as `async with limit`, or call `run` for a request with a body.

    Args:
        maximum: the limit never exceeds it.
        initial: the limit at the start; only refusals lower the limit below it.
        endpoint: the endpoint's name in logs and metrics.
        on_change: called when the limit has changed.

    Attributes:
        limit: how many requests may be in flight now.
    """

    _WINDOW = 0.25  # seconds over which goodput is measured
    _STEP = 2.0

    def __init__(
        self,
        maximum: int,
        initial: int = _INITIAL,
        *,
        endpoint: str = "",
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._endpoint = endpoint
        self._on_change = on_change
        self._maximum = maximum
        self._floor = float(min(initial, maximum))
        self._all, self._large = Gate(), Gate()
        self._set(self._floor)
        self._done = 0
        self._refused = 0
        self._moved = 0
        self._full = False
        self._since = monotonic()
        self._goodput = 0.0
        # Answers still to come to requests that were in flight when the limit last fell.
        self._stale = 0

    @property
    def in_flight(self) -> int:
        """How many requests are in flight."""
        return self._all.inside

    async def run(self, request: Callable[[], Awaitable[T]], size: int = 0) -> T:
        """Awaits `request()` in a place of its own and returns its result.

        Args:
            request: makes the request.
            size: the bytes that the request moves.
        """
        await self.acquire(size)
        try:
            return await request()
        except StorageError as error:
            self.failed(error)
            raise
        finally:
            self.release(size)

    async def acquire(self, size: int = 0) -> None:
        """Waits for a place for a request of `size` bytes. `release` must be told the same size."""
        if size >= _LARGE_SIZE:
            await self._large.enter()
        try:
            if not self._all.try_enter():
                await self._all.enter()
        except BaseException:
            if size >= _LARGE_SIZE:
                self._large.leave()
            raise
        self._full = self._full or self._all.waiting or self._large.waiting

    def release(self, size: int = 0) -> None:
        """Gives the place back."""
        self._answered()
        self._all.leave()
        if size >= _LARGE_SIZE:
            self._large.leave()

    def failed(self, error: StorageError) -> None:
        """Notes that a request failed which is released next. Refusals lower the limit."""
        if isinstance(error, ThrottledError):
            telemetry.throttled(self._endpoint)
            self._refused += 1

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, StorageError):
            self.failed(error)
        self.release()

    def moved(self, size: int) -> None:
        """Counts bytes that arrived."""
        self._moved += size

    def _answered(self) -> None:
        now = monotonic()
        if self._stale:
            self._stale -= 1
            if not self._stale:
                self._start_window(now)
            return
        self._done += 1
        if now - self._since >= self._WINDOW:
            self._adapt(now)

    def _adapt(self, now: float) -> None:
        """Moves the limit at the end of a window."""
        if self._refused:
            self._step_down(self._refused / self._done)
        elif self._full:
            # A small request costs about as much as 16 KiB. Counted like this, both kinds of work steer the limit
            # alike.
            goodput = (self._moved + _REQUEST_WORTH * self._done) / (now - self._since)
            if self._limit < self._floor or goodput > self._goodput * _BETTER:
                self._set(min(float(self._maximum), self._limit + self._STEP))
            elif goodput < self._goodput / _BETTER:
                self._set(max(self._floor, self._limit - self._STEP))
            self._goodput = goodput
            telemetry.concurrency(self._endpoint, self.limit)
        self._start_window(now)

    def _step_down(self, refused: float) -> None:
        self._set(max(1.0, self._limit * (1 - refused / 2)))
        self._stale = self._all.inside - 1
        fields = {"endpoint": self._endpoint, "concurrency": self.limit}
        text = "%s refuses requests: at most %d are in flight from now on"
        _log.info(text, self._endpoint, self.limit, extra={"fields": fields})
        telemetry.concurrency(self._endpoint, self.limit)

    def _set(self, limit: float) -> None:
        self._limit = limit
        self.limit = self._all.capacity = int(limit)
        self._large.capacity = max(min(self.limit, _LARGE_INITIAL), self.limit - (_INITIAL - _LARGE_INITIAL))
        self._on_change()

    def _start_window(self, now: float) -> None:
        self._since = now
        self._done = self._refused = self._moved = 0
        self._full = self._all.waiting or self._large.waiting


class MemoryBudget:
    """The bytes that may be buffered at a time. Waiters are served in order, so a large one is not starved.

    Args:
        size: bytes. A request for more than this gets all of it.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._waiters: deque[tuple[asyncio.Future[None], int]] = deque()

    @property
    def used(self) -> int:
        """Bytes that are taken now."""
        return self._used

    async def take(self, size: int) -> int:
        """Waits until `size` bytes are free, and returns how many bytes to `give` back."""
        size = min(size, self._size)
        if not self._waiters and self._used + size <= self._size:
            self._used += size
            return size
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append((waiter, size))
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self.give(size)
            else:
                waiter.cancel()
                self._serve()
            raise
        return size

    def give(self, size: int) -> None:
        """Gives back what `take` returned."""
        self._used -= size
        self._serve()

    def _serve(self) -> None:
        while self._waiters:
            waiter, size = self._waiters[0]
            if not waiter.done():
                if self._used + size > self._size:
                    return
                self._used += size
                waiter.set_result(None)
            self._waiters.popleft()


class Bandwidth:
    """A limit on bytes per second.

    Args:
        rate: bytes per second.
        burst: after a pause, as many seconds' worth may pass at once.
    """

    def __init__(self, rate: int, burst: float = 0.25) -> None:
        self._rate = rate
        self._burst = burst
        self._free_at = 0.0

    async def take(self, size: int) -> None:
        """Waits until `size` bytes may pass."""
        now = monotonic()
        self._free_at = max(self._free_at, now - self._burst) + size / self._rate
        if self._free_at > now:
            await asyncio.sleep(self._free_at - now)


@dataclass(slots=True)
class Limits:
    """All budgets of a session.

    Args:
        max_concurrency: the most requests in flight to one endpoint.
        max_memory_bytes: the most buffered bytes.
        max_bandwidth: bytes per second, or None for no limit.
    """

    max_concurrency: int
    max_memory_bytes: int
    max_bandwidth: int | None = None
    memory: MemoryBudget = field(init=False)
    bandwidth: Bandwidth | None = field(init=False)
    _endpoints: dict[str, AdaptiveLimit] = field(default_factory=dict)
    _workers: int = field(init=False)

    def __post_init__(self) -> None:
        self._count_workers()
        self.memory = MemoryBudget(self.max_memory_bytes)
        self.bandwidth = None if self.max_bandwidth is None else Bandwidth(self.max_bandwidth)

    def workers(self) -> int:
        """Returns how many parts are worth moving at a time: as many as requests, and a few to read ahead."""
        return self._workers

    def _count_workers(self) -> None:
        widest = max([_INITIAL, *(limit.limit for limit in self._endpoints.values())])
        self._workers = min(widest, self.max_concurrency) + _READ_AHEAD

    @property
    def largest_part(self) -> int:
        """The largest part of a stream, in bytes, so that several fit into memory."""
        return max(self.max_memory_bytes // 4, 1)

    def requests(self, provider: Provider) -> AdaptiveLimit | None:
        """Returns the limit on requests in flight for a provider; None for a provider without a network."""
        endpoint = provider.features.endpoint
        if endpoint is None:
            return None
        limit = self._endpoints.get(endpoint)
        if limit is None:
            limit = self._endpoints[endpoint] = AdaptiveLimit(
                self.max_concurrency, endpoint=endpoint, on_change=self._count_workers
            )
        return limit
