"""The session's budgets, which all its calls share: requests in flight, bytes in memory, bytes a second."""

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
    """Lets so many through at a time; the others wait, and are served in order.

    Attributes:
        capacity: how many.
        inside: how many are through.
    """

    def __init__(self) -> None:
        self.capacity = 0
        self.inside = 0
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> bool:
        """Whether someone is not through."""
        return bool(self._waiters)

    def try_enter(self) -> bool:
        """Whether there was a place, which is taken then."""
        free = self.inside < self.capacity and not self._waiters
        self.inside += free
        return free

    async def enter(self) -> None:
        """Waits for a place."""
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
        """Gives the place back."""
        self.inside -= 1
        while self._waiters and self.inside < self.capacity:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self.inside += 1
                waiter.set_result(None)


class AdaptiveLimit:
    """Requests in flight to one endpoint: up while goodput grows, a step back where it fell, down when throttled.

    The more of the answers are refusals, the larger is the step down, as in data center TCP: a storm ends it soon,
    and at the edge of what is allowed little is given away.
    Source: https://www.rfc-editor.org/rfc/rfc8257

    Use as `async with limit`, or `run` for a request with a body. Only throttling takes it below where it began:
    goodput is noisy, and a walk downhill would end at one. Of requests of 1 MiB and more, fewer are in flight: each
    fills a connection, where small ones mostly wait, and each has buffers.

    Args:
        maximum: never more than that.
        initial: where it starts.
        endpoint: whose requests, as logs and metrics call it.
        on_change: called when the limit is another one.

    Attributes:
        limit: requests that may be in flight now.
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
        # Answers to come to requests that were in flight at the last decrease: they say nothing of it.
        self._stale = 0

    @property
    def in_flight(self) -> int:
        """Requests that are."""
        return self._all.inside

    async def run(self, request: Callable[[], Awaitable[T]], size: int = 0) -> T:
        """What `request()` returns, in a place for one that moves so many bytes."""
        await self.acquire(size)
        try:
            return await request()
        except StorageError as error:
            self.failed(error)
            raise
        finally:
            self.release(size)

    async def acquire(self, size: int = 0) -> None:
        """Waits for a place; `release` gives it back, and is to be told the same size."""
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
        """A request in flight failed, which is released next; where many are throttled, fewer are made from then on."""
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
        """Bytes that arrived, for the goodput."""
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
        """A window with refusals is a reason to step down; one in which all places were taken says whether to go up."""
        if self._refused:
            self._step_down(self._refused / self._done)
        elif self._full:
            # A small request costs about as much as 16 KiB; so counted, both kinds of work steer alike.
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
        text = "%s asked for less: %d requests in flight from now on"
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
    """Bytes that may be buffered at a time; waiters are served in order, so a large one is not starved.

    Args:
        size: bytes. A request for more than all of it gets all of it.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._waiters: deque[tuple[asyncio.Future[None], int]] = deque()

    @property
    def used(self) -> int:
        """Bytes taken now."""
        return self._used

    async def take(self, size: int) -> int:
        """Waits until there is room; returns what to `give` back."""
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
        """Frees what `take` returned."""
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
    """A cap on bytes a second: each taker waits for its turn on the line.

    Args:
        rate: bytes a second.
        burst: seconds' worth that may pass at once after a pause.
    """

    def __init__(self, rate: int, burst: float = 0.25) -> None:
        self._rate = rate
        self._burst = burst
        self._free_at = 0.0

    async def take(self, size: int) -> None:
        """Returns when `size` bytes may pass."""
        now = monotonic()
        self._free_at = max(self._free_at, now - self._burst) + size / self._rate
        if self._free_at > now:
            await asyncio.sleep(self._free_at - now)


@dataclass(slots=True)
class Limits:
    """All budgets of a session.

    Args:
        max_concurrency: requests in flight per endpoint, at most.
        max_memory_bytes: buffered bytes.
        max_bandwidth: bytes a second, or None.
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
        """Parts worth working on at a time: as many as requests may be in flight, and a few to read ahead."""
        return self._workers

    def _count_workers(self) -> None:
        widest = max([_INITIAL, *(limit.limit for limit in self._endpoints.values())])
        self._workers = min(widest, self.max_concurrency) + _READ_AHEAD

    @property
    def largest_part(self) -> int:
        """Bytes one part of a stream may have, so that several are in flight."""
        return max(self.max_memory_bytes // 4, 1)

    def requests(self, provider: Provider) -> AdaptiveLimit | None:
        """The budget of requests in flight that a provider draws on; None: no network."""
        endpoint = provider.features.endpoint
        if endpoint is None:
            return None
        limit = self._endpoints.get(endpoint)
        if limit is None:
            limit = self._endpoints[endpoint] = AdaptiveLimit(
                self.max_concurrency, endpoint=endpoint, on_change=self._count_workers
            )
        return limit
