"""The requests in flight to one endpoint.

Small requests mostly wait, and requests of 1 MiB and more each fill a connection and hold buffers. So small requests,
large reads and large writes have a limit of their own each, and none waits for the others. A `ConcurrencyLaw` finds
each limit from windows of at least 50 milliseconds in which every place was taken:

- Small requests are compared by their time, each with the best time of requests alike: of the same kind and, to a power
  of two, of the same size.
- Large reads are judged by their goodput, also while they are under way.
- Large writes are compared by their time, as small requests. What is sent fills buffers at any speed, those of the
  system and of the service, so only an answer tells that it arrived.

A best time is forgotten slowly, since services and networks change. A step is measured once its effect has arrived: one
request's time after it. Answers to requests that were in flight at a step down say nothing about the new limit.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic, thread_time
from typing import NamedTuple, TypeVar

from dxflow_async.concurrency.descriptors import is_out_of_descriptors
from dxflow_async.exceptions import ThrottledError
from dxflow_async.transfer import telemetry
from dxflow_async.transfer.concurrency_law import ConcurrencyLaw
from dxflow_async.transfer.gate import Gate

__all__ = ["INITIAL", "LARGE_INITIAL", "LARGE_SIZE", "AdaptiveLimit", "Landing", "Permit"]

_log = logging.getLogger("dxflow_async.transfer.limits")

T = TypeVar("T")

INITIAL = 48
"""The limit on small requests at the start."""

LARGE_INITIAL = 6
"""The limit on large reads, and on large writes, at the start."""

LARGE_SIZE = 1 << 20
"""Requests of so many bytes or more are large."""

_WINDOW = 0.05
_STEADY_WINDOW = 0.5
_LONGEST_WINDOW = 0.5
_MIN_ANSWERS = 8
_REQUEST_WORTH = 16 << 10
"""A small request costs about as much as this many bytes."""

_MAX_KINDS = 200
"""Best times that are kept."""

_LARGE_MAXIMUM = 96
"""The most large reads, and large writes: by then a process is busy, and each holds buffers."""

_MIN_LARGE_ANSWERS = 4
"""So many answers to large writes tell how long they take."""

_USED = 0.7
"""Unless this share of the small requests that are allowed was in flight on average, the client is the slower side."""

_BUSY = 0.8
"""If the loop's thread worked for this share of a window, more requests would only wait for it."""

_ALONE = 1.4
"""Requests that take up to this many times the quickest one do not wait for each other."""

_FORGOTTEN = 0.02
"""The share of the difference by which a best time moves towards a window's mean."""


class Landing:
    """How many reads are landing: all of their bytes have arrived, and are being written."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Permit(NamedTuple):
    """A place among the requests in flight.

    Attributes:
        lane: the requests of its size.
        began: when it was taken, by the limit's clock.
        size: the bytes that the request moves.
        alike: the requests that it is compared with.
    """

    lane: Lane
    began: float
    size: int
    alike: tuple[str, int]


class Measured(NamedTuple):
    """What a window says; see `ConcurrencyLaw.measured`."""

    goodput: float
    slowness: float | None
    unloaded: bool = False
    busy: bool = False


class Lane(ABC):
    """One kind of an endpoint's requests: a gate, its law, and what the current window has measured.

    Args:
        start: the limit at the start.
        maximum: the limit never exceeds it.
        clock: returns the time in seconds.

    Attributes:
        gate: where requests wait.
        full: whether every place was taken at some time in this window.
        round_trip: seconds that a small request takes.
        answers, answer_seconds: how many requests ended, and the sum of the seconds that they took.
    """

    def __init__(self, start: int, maximum: int, clock: Callable[[], float]) -> None:
        self.gate = Gate()
        self.full = False
        self.round_trip = 0.0
        self.answers = 0
        self.answer_seconds = 0.0
        self._law = ConcurrencyLaw(start, maximum)
        self._clock = clock
        self._stale = 0  # answers still to come to requests that were in flight when the limit last fell
        self._left_at = clock()
        self._start_window(clock())
        self._apply()

    @property
    def limit(self) -> int:
        """How many requests may be in flight now."""
        return self.gate.capacity

    def try_enter(self) -> bool:
        """Takes a place if there is a free one, and returns whether it did."""
        gate = self.gate
        if not gate.inside and (now := self._clock()) - self._left_at > _WINDOW:
            self._law.interrupted()
            self._start_window(now + self.round_trip)
        if gate.inside < gate.capacity and not gate.waiters:
            gate.inside += 1
            return True
        self.full = True
        return False

    def leave(self, permit: Permit, error: BaseException | None) -> bool:
        """Gives a place back, and returns whether the limit has changed."""
        self._left_at = now = self._clock()
        self.answers += 1
        self.answer_seconds += now - permit.began
        changed = self._answered(permit, now, error)
        self.gate.leave()
        return changed

    def _answered(self, permit: Permit, now: float, error: BaseException | None) -> bool:
        if self._stale:
            self._stale -= 1
            if not self._stale:
                self._start_window(now)
            return False
        refused = isinstance(error, ThrottledError) or (error is not None and is_out_of_descriptors(error))
        if now < self._since and not refused:
            return False
        self._done += 1
        self._refused += refused
        if error is None:
            self._add(permit, now)
        return now >= self._ends_at and self._done >= self._min_answers and self._end_window(now)

    _min_answers = _MIN_ANSWERS

    @property
    def _shortest_window(self) -> float:
        return _WINDOW

    @abstractmethod
    def _add(self, permit: Permit, now: float) -> None:
        """Counts a request that succeeded."""

    @abstractmethod
    def _measure(self, seconds: float) -> Measured | None:
        """Returns what a window says; None if it says nothing."""

    def _end_window(self, now: float) -> bool:
        before, law = self.gate.capacity, self._law
        if self._refused:
            law.refused(self._refused / self._done)
            self._stale = self.gate.inside - 1
        elif self.full and (measured := self._measure(now - self._since)) is not None:
            goodput, slowness, unloaded, busy = measured
            law.measured(goodput, slowness, unloaded=unloaded, busy=busy)
        self._apply()
        changed = self.gate.capacity != before
        self._start_window(now + self.round_trip if changed else now)
        return changed

    def _apply(self) -> None:
        self.gate.capacity = int(self._law.limit)
        self.gate.admit()

    def _start_window(self, now: float) -> None:
        self._since = now
        self._ends_at = now + min(max(self._shortest_window, self.round_trip), _LONGEST_WINDOW)
        self._done = self._refused = 0
        self.full = self.gate.waiting


class SmallLane(Lane):
    """Small requests: their times are compared.

    Args:
        start, maximum, clock: as for `Lane`.
        work: returns the seconds for which this thread has worked.
    """

    def __init__(
        self, start: int, maximum: int, clock: Callable[[], float], work: Callable[[], float] = thread_time
    ) -> None:
        self._work = work
        self._best: dict[tuple[str, int], float] = {}
        self._least: dict[tuple[str, int], float] = {}  # the time of the quickest single request
        super().__init__(start, maximum, clock)

    def _start_window(self, now: float) -> None:
        super()._start_window(now)
        self._worked, self._began = self._work(), self._clock()
        self._bytes = 0
        self._times: dict[tuple[str, int], tuple[float, int]] = {}

    def _add(self, permit: Permit, now: float) -> None:
        self._bytes += permit.size
        taken = now - permit.began
        seconds, number = self._times.get(permit.alike, (0.0, 0))
        self._times[permit.alike] = seconds + taken, number + 1
        if taken < self._least.get(permit.alike, taken + 1):
            self._least[permit.alike] = taken

    def _measure(self, seconds: float) -> Measured | None:
        taken, expected, least, requests = self._compare()
        if not expected:
            return None
        self.round_trip = taken / requests
        if taken < _USED * self.limit * seconds:
            return None
        goodput = (self._bytes + _REQUEST_WORTH * self._done) / seconds
        return Measured(goodput, taken / expected, taken < _ALONE * least, self._is_busy())

    def _is_busy(self) -> bool:
        return self._work() - self._worked > _BUSY * (self._clock() - self._began)

    def _compare(self) -> tuple[float, float, float, int]:
        """Returns the seconds that requests took, would take at best, and took the quickest of them; and their number."""
        taken = expected = least = 0.0
        requests = 0
        for alike, (time, number) in self._times.items():
            mean = time / number
            best = self._best.get(alike, mean)
            if len(self._best) >= _MAX_KINDS:
                self._best.clear()
                self._least.clear()
            self._least[alike] = quickest = _better(self._least.get(alike, mean), mean)
            least += quickest * number
            self._best[alike] = best = _better(best, mean)
            taken += time
            expected += best * number
            requests += number
        return taken, expected, least, requests


class WriteLane(SmallLane):
    """Large writes: the times of those that began since the limit changed are compared."""

    _min_answers = _MIN_LARGE_ANSWERS
    _changed_at = 0.0

    def _answered(self, permit: Permit, now: float, error: BaseException | None) -> bool:
        began_before = permit.began < self._changed_at and error is None
        return not began_before and super()._answered(permit, now, error)

    def _end_window(self, now: float) -> bool:
        changed = super()._end_window(now)
        if changed:
            self._changed_at = now
        return changed

    def _measure(self, seconds: float) -> Measured | None:
        taken, expected, least, _ = self._compare()
        if not expected:
            return None
        goodput = self.limit * self._bytes / taken  # as many as that were under way all the time
        return Measured(goodput, taken / expected, taken < _ALONE * least, self._is_busy())


class ReadLane(Lane):
    """Large reads: their goodput is compared, also while they are under way."""

    _min_answers = 0

    @property
    def _shortest_window(self) -> float:
        return _WINDOW if self._law.doubles else _STEADY_WINDOW

    def moved(self, size: int) -> bool:
        """Counts bytes that arrived, and returns whether the limit has changed."""
        now = self._clock()
        if now < self._since or self._stale:
            return False
        if not self._flows:  # the time until the first bytes was that of connections and requests
            self._flows, self._since, self._ends_at = True, now, now + self._shortest_window
            return False
        self._bytes += size
        return now >= self._ends_at and self._end_window(now)

    def _start_window(self, now: float) -> None:
        super()._start_window(now)
        self._flows, self._bytes = False, 0

    def _add(self, permit: Permit, now: float) -> None:
        """Its bytes were counted as they moved."""

    def _measure(self, seconds: float) -> Measured | None:
        return Measured(self._bytes / seconds, None) if self._bytes > 0 else None


def _idle() -> float:
    return 0.0


def _better(best: float, mean: float) -> float:
    """Returns the best time after a window."""
    return mean if mean < best else best + (mean - best) * _FORGOTTEN


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
    def places(self) -> int:
        """How many requests may be in flight now. Hardly a call has large reads and large writes at one endpoint."""
        return min(self._all.capacity, self._small.limit + max(self._reads.limit, self._writes.limit))

    def change_maximum(self, maximum: int) -> None:
        """Changes the most requests in flight. Requests that are in flight stay."""
        self._all.capacity = maximum
        self._all.admit()

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
        if isinstance(error, ThrottledError):
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
