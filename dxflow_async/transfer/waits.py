"""What a call waits for: endpoints that refuse connections, and requests that are tried again later.

An endpoint that refuses connections is waited for once, not once for each item: the first refusal begins an outage, and
every item that is refused meanwhile waits for the same moment and shares the number of attempts. An outage ends when an
attempt succeeds or when the endpoint was not asked for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from dxflow_async.exceptions import NetworkError, StallTimeoutError, StorageError, ThrottledError

__all__ = ["Outage", "Waits"]

_SHOWN_SECONDS = 0.5
"""Shorter waits are not worth showing."""

_FORGOTTEN_AFTER = 10.0
"""Seconds without a refusal after which an outage is over."""


@dataclass(slots=True)
class Outage:
    """An endpoint that refuses connections.

    Attributes:
        failures: the attempts that were refused. Those of several items at a time count as one.
        until: when the next attempt is made, on the clock of `Waits`.
        most: the most attempts.
        waiting: how many requests wait for that moment.
    """

    failures: int = 0
    until: float = 0.0
    most: int = 0
    waiting: int = 0


@dataclass(slots=True, eq=False)
class _Wait:
    error: StorageError
    attempt: int
    most: int
    until: float


class Waits:
    """The waits of one call, or of the calls of a session that are no transfers.

    Args:
        clock: returns the time in seconds.
        gives_up_once: after the last attempt, items that are refused fail at once. Otherwise the next request that is
            refused begins a new outage.

    Attributes:
        retries: how many requests were repeated.
        throttles: how many of all failures were refusals because of too many requests.
    """

    def __init__(self, clock: Callable[[], float] = monotonic, *, gives_up_once: bool = False) -> None:
        self.retries = self.throttles = 0
        self._clock = clock
        self._gives_up_once = gives_up_once
        self._outages: dict[str, Outage] = {}
        self._waits: set[_Wait] = set()

    def refused(self, endpoint: str, most: int, wait: Callable[[int], float]) -> Outage:
        """Notes that an endpoint refused a connection, and returns its outage.

        Args:
            endpoint: the host and port.
            most: the most attempts.
            wait: returns the seconds to wait after so many attempts.
        """
        now, outage = self._clock(), self._outages.get(endpoint)
        if outage is None or now > outage.until + _FORGOTTEN_AFTER:
            outage = self._outages[endpoint] = Outage(most=most)
        if now >= outage.until:
            outage.failures += 1
            outage.until = now + wait(outage.failures)
        if outage.failures >= most and not self._gives_up_once:
            self._outages.pop(endpoint, None)
        return outage

    def recovered(self, endpoint: str) -> None:
        """Notes that an endpoint took a connection."""
        self._outages.pop(endpoint, None)

    def seconds_until(self, outage: Outage) -> float:
        """Returns the seconds until an outage's next attempt."""
        return max(outage.until - self._clock(), 0.0)

    @contextmanager
    def waiting(
        self, error: StorageError, attempt: int, most: int, seconds: float, outage: Outage | None = None
    ) -> Iterator[None]:
        """Shows a wait while the block runs.

        Args:
            error: why the request waits.
            attempt: the number of the next attempt.
            most: the most attempts.
            seconds: the length of the wait.
            outage: what it waits for, if an endpoint refuses connections.
        """
        if outage is not None:
            outage.waiting += 1
            try:
                yield
            finally:
                outage.waiting -= 1
            return
        if seconds < _SHOWN_SECONDS:
            yield
            return
        wait = _Wait(error, attempt, most, self._clock() + seconds)
        self._waits.add(wait)
        try:
            yield
        finally:
            self._waits.discard(wait)

    def text(self) -> str | None:
        """Describes what is waited for; None if nothing is.

        Example:
            >>> waits = Waits(lambda: 100.0)
            >>> outage = waits.refused("127.0.0.1:9000", 10, lambda _: 2.0)
            >>> with waits.waiting(NetworkError("refused"), 2, 10, 2.0, outage):
            ...     waits.text()
            '127.0.0.1:9000 refuses; try 2 of 10 in 2 s'
        """
        now = self._clock()
        for endpoint, outage in self._outages.items():
            if outage.waiting and outage.failures < outage.most:
                return f"{endpoint} refuses; {_next(outage.failures + 1, outage.most, outage.until - now)}"
        wait = max(self._waits, key=lambda each: each.until, default=None)
        if wait is None:
            return None
        more = f", and {len(self._waits) - 1} more wait" if len(self._waits) > 1 else ""
        return f"{_reason(wait.error)}; {_next(wait.attempt, wait.most, wait.until - now)}{more}"


def _next(attempt: int, most: int, seconds: float) -> str:
    return f"try {attempt} of {most} in {max(round(seconds), 0)} s"


def _reason(error: StorageError) -> str:
    provider = error.provider or "the service"
    if isinstance(error, ThrottledError):
        return f"{provider} asks for fewer requests"
    if isinstance(error, StallTimeoutError):
        return f"{provider} does not answer"
    if isinstance(error, NetworkError):
        return f"the connection to {provider} failed"
    return f"{provider} failed" + ("" if error.status is None else f" ({error.status})")
