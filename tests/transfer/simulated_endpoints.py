"""Modelled endpoints, on a clock of their own, that an `AdaptiveLimit` is tried against."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from dxflow_async.exceptions import ThrottledError
from dxflow_async.transfer.adaptive_limit import AdaptiveLimit, Permit

__all__ = ["CappedConnections", "Clock", "Run", "SmallRequests"]

KiB, MiB = 1 << 10, 1 << 20


@dataclass
class Run:
    """What a run has done.

    Attributes:
        done: for each 50 milliseconds, how much was done: requests, or bytes.
        limits: the limit at the end of each of them.
    """

    done: list[float] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)

    def rate(self, start: float, end: float) -> float:
        """Returns how much was done per second between two moments."""
        return sum(self.done[int(start * 20) : int(end * 20)]) / (end - start)

    def note(self, now: float, done: float, limit: int) -> None:
        """Counts what is done now."""
        while len(self.done) <= now * 20:
            self.done.append(0.0)
            self.limits.append(limit)
        self.done[-1] += done
        self.limits[-1] = limit


@dataclass(frozen=True)
class SmallRequests:
    """An endpoint for small requests.

    Args:
        latency: seconds that each request takes at least.
        client: the most requests per second that the client itself makes.
        rate: the most requests per second that are served; others queue.
        quota: the most requests per second that are not refused.
        noise: the mean of what is added to the latency, as a share of it.
        sizes: bytes of requests; each takes some time more by `bandwidth`, in bytes per second of a connection.
    """

    latency: float
    client: float = 6000.0
    rate: float = 1e9
    quota: float | None = None
    noise: float = 0.0
    sizes: tuple[int, ...] = (16 * KiB,)
    bandwidth: float = 1e12

    def run(self, seconds: float, *, fixed: int | None = None) -> Run:
        """Keeps as many requests in flight as the limit allows, or `fixed`."""
        clock = Clock()
        return self.use(_fixed(fixed) if fixed is not None else AdaptiveLimit(512, clock=clock), clock, seconds)

    def use(self, limit: AdaptiveLimit, clock: Clock, seconds: float) -> Run:
        """Keeps as many requests in flight as a limit allows, and ends them all after so many seconds of the clock."""
        began, chance, run = clock.now, random.Random(1), Run()
        busy: list[tuple[float, int, bool, Permit]] = []
        client = served = told = began
        number, tokens = 0, 0.0
        while clock.now - began < seconds:
            while (permit := limit.try_acquire(chance.choice(self.sizes))) is not None:
                number += 1
                client = max(client, clock.now) + 1 / self.client
                if self.quota is not None:
                    tokens, told = min(0.1 * self.quota, tokens + (client - told) * self.quota), client
                    if tokens < 1:
                        heapq.heappush(busy, (client + 0.3 * self.latency + 0.01, number, True, permit))
                        continue
                    tokens -= 1
                served = max(served, client) + 1 / self.rate
                taken = self.latency * (1 + self.noise * chance.expovariate(1)) + permit.size / self.bandwidth
                heapq.heappush(busy, (served + taken, number, False, permit))
            clock.now, _, refused, permit = heapq.heappop(busy)
            limit.release(permit, ThrottledError("slow down") if refused else None)
            run.note(clock.now - began, not refused, limit.limit)
        for *_, permit in busy:
            limit.release(permit)
        return run

    def best(self) -> float:
        """Returns the requests per second at the best fixed number in flight."""
        return max(self.run(3.0, fixed=number).rate(1.0, 3.0) for number in (4, 16, 48, 96, 192, 384, 512))


@dataclass(frozen=True)
class CappedConnections:
    """An endpoint for parts of 8 MiB that caps each connection.

    Args:
        cap: bytes per second of a connection.
        link: bytes per second of all together.
        latency: seconds until a part begins to move.
        writes: whether parts are sent. Then buffers on the way may take them at any speed.
        burst: bytes that a connection moves at once, before it rests until they are within its cap.
    """

    cap: float
    link: float
    latency: float
    writes: bool = False
    burst: int = 0

    def run(self, seconds: float, *, fixed: int | None = None) -> Run:
        """Keeps as many parts in flight as the limit allows, or `fixed`."""
        clock, run = Clock(), Run()
        limit = _fixed(fixed) if fixed is not None else AdaptiveLimit(512, clock=clock)
        parts: list[_Part] = []
        while clock.now < seconds:
            while (permit := limit.try_acquire(8 * MiB, writes=self.writes)) is not None:
                parts.append(_Part(clock.now + self.latency, permit, 8 * MiB if self.writes else 0))
            moving = [part for part in parts if part.begins <= clock.now]
            step = 0.002 * min(self.link if self.burst else self.cap, self.link / max(1, len(moving)))
            done = 0.0
            for part in moving:
                size = min(step, self._allowed(clock.now - part.begins) - part.moved) if self.burst else step
                done += size
                part.move(size, limit.moved)
                if part.left <= 0:
                    parts.remove(part)
                    limit.release(part.permit)
            run.note(clock.now, done, limit.write_limit if self.writes else limit.read_limit)
            clock.now += 0.002
        return run

    def _allowed(self, seconds: float) -> float:
        """Returns how many bytes of a part may have moved by then."""
        return self.burst * (1 + seconds * self.cap // self.burst)

    def best(self) -> float:
        """Returns the bytes per second at the best fixed number in flight."""
        return max(self.run(2.0, fixed=number).rate(1.0, 2.0) for number in (6, 12, 24, 48, 96))


class Clock:
    """A clock that the model turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class _Part:
    """A part in flight. It is counted in pieces of 256 KiB."""

    def __init__(self, begins: float, permit: Permit, ahead: int) -> None:
        self.begins = begins
        self.permit = permit
        self.left = 8.0 * MiB
        self.moved = 0.0
        self._uncounted = float(ahead)
        self._to_count = 8 * MiB

    def move(self, size: float, count: Callable[[int], None]) -> None:
        if not size:
            return
        self.left -= size
        self.moved += size
        self._uncounted += size
        if self._uncounted >= 256 * KiB or self.left <= 0:
            counted = min(int(self._uncounted), self._to_count)
            self._to_count -= counted
            self._uncounted = 0.0
            count(counted)


def _fixed(number: int) -> AdaptiveLimit:
    """Returns a limit that never moves: its clock stands still."""
    return AdaptiveLimit(number, number, clock=lambda: 0.0, large_initial=number)
