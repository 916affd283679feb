"""The requests in flight to one endpoint.

Small requests mostly wait, and requests of 1 MiB and more each fill a connection and hold buffers. So small requests,
large reads and large writes have a limit of their own each, and none waits for the others. `request_lanes` says how
each limit moves.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic, thread_time
from typing import TypeVar

from dxflow_async.exceptions import ThrottledError
from dxflow_async.transfer import telemetry
from dxflow_async.transfer.gate import Gate
from dxflow_async.transfer.request_lanes import Permit, ReadLane, SmallLane, WriteLane

__all__ = ["INITIAL", "LARGE_INITIAL", "LARGE_SIZE", "AdaptiveLimit", "Landing", "Permit"]

_log = logging.getLogger("dxflow_async.transfer.limits")

T = TypeVar("T")

INITIAL = 48
"""The limit on small requests at the start."""

LARGE_INITIAL = 6
"""The limit on large reads, and on large writes, at the start."""

LARGE_SIZE = 1 << 20
"""Requests of so many bytes or more are large."""

_LARGE_MAXIMUM = 96
"""The most large reads, and large writes: by then a process is busy, and each holds buffers."""


class Landing:
    """How many reads are landing: all of their bytes have arrived, and are being written."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


def _idle() -> float:
    return 0.0


class AdaptiveLimit:
    """The requests in flight to one endpoint. The module's docstring says how the limits move.

    Call `run` for a request, or hold a place with `async with limit.place(...)`.

    Args:
        maximum: the most requests in flight, of both sizes.
        initial: the limit on small requests at the start; only refusals lower it below.
        large_initial: the same for large requests.
        endpoint: the endpoint's name in logs and metrics.
        on_change: called when a limit has changed.
        clock: returns the time in seconds.
        landing: counts the reads that are being written; several endpoints may share it.
        work: returns the seconds for which the loop's thread has worked. By default the system says so, unless the
            time is another one than the system's.
    """

    def __init__(
        self,
        maximum: int,
        initial: int = INITIAL,
        *,
        endpoint: str = "",
        on_change: Callable[[], None] = lambda: None,
        large_initial: int = LARGE_INITIAL,
        clock: Callable[[], float] = monotonic,
        landing: Landing | None = None,
        work: Callable[[], float] | None = None,
    ) -> None:
        self.landing = Landing() if landing is None else landing
        self._endpoint = endpoint
        self._on_change = on_change
        self._clock = clock
        self._all = Gate()
        self._all.capacity = maximum
        work = work or (thread_time if clock is monotonic else _idle)
        self._small = SmallLane(initial, maximum, clock, work)
        most = min(maximum, _LARGE_MAXIMUM)
        self._reads, self._writes = ReadLane(large_initial, most, clock), WriteLane(large_initial, most, clock, work)

    @property
    def limit(self) -> int:
        """How many small requests may be in flight now."""
        return self._small.limit

    @property
    def read_limit(self) -> int:
        """How many large reads may be in flight now."""
        return self._reads.limit

    @property
    def write_limit(self) -> int:
        """How many large writes may be in flight now."""
        return self._writes.limit

    @property
    def free_writes(self) -> int:
        """How many more large writes may be in flight now."""
        gate = self._writes.gate
        return max(gate.capacity - gate.inside, 0)

    @property
    def places(self) -> int:
        """How many requests may be in flight now. Hardly a call has large reads and large writes at one endpoint."""
        return min(self._all.capacity, self._small.limit + max(self._reads.limit, self._writes.limit))

    def change_maximum(self, maximum: int) -> None:
        """Changes the most requests in flight. Requests that are in flight stay."""
        self._all.capacity = maximum
        self._all.admit()
        self._small.change_maximum(maximum)
        for lane in (self._reads, self._writes):
            lane.change_maximum(min(maximum, _LARGE_MAXIMUM))

    @property
    def answered(self) -> tuple[int, float]:
        """How many requests ended, and the sum of the seconds that they took."""
        lanes = self._small, self._reads, self._writes
        return sum(lane.answers for lane in lanes), sum(lane.answer_seconds for lane in lanes)

    @property
    def in_flight(self) -> int:
        """How many requests are in flight."""
        return self._all.inside

    async def run(self, request: Callable[[], Awaitable[T]], size: int = 0, kind: str = "") -> T:
        """Awaits `request()` in a place of its own and returns its result.

        Args:
            request: makes the request.
            size: the bytes that the request writes.
            kind: of the request; its time is compared with those of the same kind.
        """
        permit = self.try_acquire(size, kind, writes=True) or await self.wait(size, kind, writes=True)
        try:
            result = await request()
        except BaseException as error:
            self.release(permit, error)
            raise
        self.release(permit)
        return result

    @asynccontextmanager
    async def place(self, size: int = 0, kind: str = "") -> AsyncIterator[None]:
        """Holds a place while the block runs; see `try_acquire`."""
        permit = await self.acquire(size, kind)
        try:
            yield
        except BaseException as error:
            self.release(permit, error)
            raise
        self.release(permit)

    async def acquire(self, size: int = 0, kind: str = "") -> Permit:
        """Waits for a place for a request, and returns it for `release`; see `try_acquire`."""
        return self.try_acquire(size, kind) or await self.wait(size, kind)

    async def wait(self, size: int = 0, kind: str = "", *, writes: bool = False) -> Permit:
        """Waits for a place after `try_acquire` found none; see there."""
        lane = self._small if size < LARGE_SIZE else self._writes if writes else self._reads
        await lane.gate.enter()
        if not self._all.try_enter():
            try:
                await self._all.enter()
            except BaseException:
                lane.gate.leave()
                raise
        return Permit(lane, self._clock(), size, (kind, size.bit_length()))

    def try_acquire(self, size: int = 0, kind: str = "", *, writes: bool = False) -> Permit | None:
        """Returns a permit if there is a free place.

        Args:
            size: the bytes that the request moves.
            kind: of the request; its time is compared with those of the same kind.
            writes: whether the bytes are those of its body.
        """
        lane = self._small if size < LARGE_SIZE else self._writes if writes else self._reads
        if not lane.try_enter():
            return None
        if not self._all.try_enter():
            lane.gate.leave()
            return None
        return Permit(lane, self._clock(), size, (kind, size.bit_length()))

    def release(self, permit: Permit, error: BaseException | None = None) -> None:
        """Gives a place back.

        Args:
            permit: from `acquire`.
            error: why the request failed. Refusals lower the limit.
        """
        if error is not None and isinstance(error, ThrottledError):
            telemetry.throttled(self._endpoint)
        gate = permit.lane.gate
        before = gate.capacity
        changed = permit.lane.leave(permit, error)
        self._all.leave()
        if changed:
            self._changed(fallen=gate.capacity < before and isinstance(error, ThrottledError))

    def moved(self, size: int) -> None:
        """Counts bytes that arrived."""
        if self._reads.gate.inside:
            self._reads.round_trip = self._small.round_trip
            if self._reads.moved(size):
                self._changed(fallen=False)

    def _changed(self, *, fallen: bool) -> None:
        self._on_change()
        telemetry.concurrency(self._endpoint, self.places)
        if fallen:
            fields = {"endpoint": self._endpoint, "concurrency": self.places}
            text = "%s refuses requests: at most %d are in flight from now on"
            _log.info(text, self._endpoint, self.places, extra={"fields": fields})
