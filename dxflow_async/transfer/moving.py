"""What every item of a transfer has in common: two ends, budgets, retries, and counters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple, TypeVar

from dxflow_async.exceptions import StorageError
from dxflow_async.models import TransferResult
from dxflow_async.providers.base import Provider
from dxflow_async.providers.checksum import label
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.progress import Meter
from dxflow_async.transfer.retry import Attempts, RetryPolicy, retry

__all__ = ["Moving", "Place", "Route"]

T = TypeVar("T")


class Place(NamedTuple):
    """An object at a provider, and how users write it."""

    provider: Provider
    key: str
    shown: str


@dataclass(frozen=True, slots=True)
class Route:
    """What all jobs of a call share.

    `part_size` is in bytes; an object of up to twice that moves as one.
    """

    limits: Limits
    policy: RetryPolicy
    meter: Meter
    part_size: int


class Moving:
    """What moves from one place to another: since when, how many bytes, and how often it was tried."""

    def __init__(self, route: Route, source: Place, destination: Place, size: int = 0) -> None:
        self.size = size
        self._route = route
        self._source = source
        self._destination = destination
        self._started = monotonic()
        self._retries = 0
        self._crc32c: int | None = None
        self._verified = False
        self._moved = 0

    async def abort(self) -> None:
        """Not to be finished: what was counted does not count."""
        self._route.meter.moved(-self._moved)
        self._moved = 0

    def result(self, error: StorageError | None) -> TransferResult:
        """What became of it."""
        return TransferResult(
            self._source.shown,
            self._destination.shown,
            self._moved,
            monotonic() - self._started,
            self._retries + 1,
            label(self._crc32c),
            self._verified and error is None,
            None,
            error,
        )

    async def _settle(self, delete_source: bool) -> TransferResult:
        """It arrived: of a move, the source goes now."""
        if delete_source:
            await self._try(lambda: self._source.provider.delete([self._source.key]), self._source)
        return self.result(None)

    def _count(self, size: int) -> None:
        self._moved += size
        self._route.meter.moved(size)
        for place in (self._source, self._destination):
            limit = self._route.limits.requests(place.provider)
            if limit is not None:
                limit.moved(size)

    async def _try(self, operation: Callable[[], Awaitable[T]], place: Place | None = None) -> T:
        """A request, to the destination by default, within its limit, as often as the policy allows."""
        limit = self._route.limits.requests((place or self._destination).provider)

        async def limited() -> T:
            async with limit or nullcontext():
                return await operation()

        attempts = Attempts()
        try:
            return await retry(limited, self._route.policy, attempts)
        finally:
            self._retries += attempts.retries
