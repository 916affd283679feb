"""The three kinds of requests to an endpoint: small ones, large reads and large writes.

A `ConcurrencyLaw` finds the limit of each kind from windows of at least 50 milliseconds in which every place was taken:

- Small requests are compared by their time, each with the best time of requests alike: of the same kind and, to a power
  of two, of the same size.
- Large reads are judged by their goodput, also while they are under way.
- Large writes are compared by their time, as small requests. What is sent fills buffers at any speed, those of the
  system and of the service, so only an answer tells that it arrived.

A best time is forgotten slowly, since services and networks change. A step is measured once its effect has arrived: one
request's time after it. Answers to requests that were in flight at a step down say nothing about the new limit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from time import thread_time
from typing import NamedTuple

from dxflow_async.concurrency.descriptors import is_out_of_descriptors
from dxflow_async.exceptions import ThrottledError
from dxflow_async.transfer.concurrency_law import ConcurrencyLaw
from dxflow_async.transfer.gate import Gate

__all__ = ["Lane", "Measured", "Permit", "ReadLane", "SmallLane", "WriteLane"]

_WINDOW = 0.05
_STEADY_WINDOW = 0.5
_LONGEST_WINDOW = 0.5
_MIN_ANSWERS = 8
_REQUEST_WORTH = 16 << 10
"""A small request costs about as much as this many bytes."""

_MAX_KINDS = 200
"""Best times that are kept."""

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

    def change_maximum(self, maximum: int) -> None:
        """Changes the most that the limit may be. Requests that are in flight stay."""
        self._law.change_maximum(maximum)
        self._apply()

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
        refused = error is not None and (isinstance(error, ThrottledError) or is_out_of_descriptors(error))
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
        """Returns the seconds that requests took, would at best, and the quickest of them took; and their number."""
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
    _bytes: int
    _flows: bool

    @property
    def _shortest_window(self) -> float:
        return _WINDOW if self._law.doubles else _STEADY_WINDOW

    def moved(self, size: int) -> bool:
        """Counts bytes that arrived, and returns whether the limit has changed."""
        now = self._clock()
        if now < self._since or self._stale:
            return False
        if self.gate.inside > self.gate.capacity:  # after a step down, its effect comes when enough of them have ended
            self._flows, self._bytes = False, 0
            return False
        if not self._flows:  # the time until the first bytes was that of connections and requests
            self._flows = True
            self._since, self._ends_at = now, now + self._shortest_window
            return False
        self._bytes += size
        return now >= self._ends_at and self._end_window(now)

    def _start_window(self, now: float) -> None:
        super()._start_window(now)
        self._flows = False
        self._bytes = 0

    def _add(self, permit: Permit, now: float) -> None:
        """Its bytes were counted as they moved."""

    def _measure(self, seconds: float) -> Measured | None:
        return Measured(self._bytes / seconds, None) if self._bytes > 0 else None


def _better(best: float, mean: float) -> float:
    """Returns the best time after a window."""
    return mean if mean < best else best + (mean - best) * _FORGOTTEN
