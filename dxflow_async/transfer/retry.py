"""The one retry loop: exponential back-off with full jitter, and a budget that resets when bytes have moved.

Source of the jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import anyio

from dxflow_async.exceptions import StallTimeoutError, StorageError, ThrottledError
from dxflow_async.transfer import telemetry
from dxflow_async.transfer.waits import Waits

__all__ = ["MAX_SMALL_STEPS", "SUBSTANTIAL_PROGRESS", "Attempts", "RetryPolicy", "retry", "retry_after"]

_log = logging.getLogger("dxflow_async.transfer.retry")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a request is tried, and how long to wait between attempts (in seconds).

    Attributes:
        max_attempts: attempts without progress.
        first_wait, longest_wait: a wait is a random number below a bound. The bound starts at `first_wait` and doubles
            with each failure, up to `longest_wait`.
        longest_retry_after: a server's Retry-After is honoured up to this, plus the random wait.
        sleep: waits. Tests give their own.
        waits: what is waited for now.
    """

    max_attempts: int = 10
    first_wait: float = 0.2
    longest_wait: float = 10.0
    longest_retry_after: float = 120.0
    sleep: Callable[[float], Awaitable[None]] = field(default=anyio.sleep, repr=False)
    waits: Waits = field(default_factory=Waits, repr=False, compare=False)

    def wait(self, failures: int, retry_after: float | None) -> float:
        """Returns the seconds to wait before the next attempt, after `failures` failures in a row."""
        bound: float = min(self.longest_wait, self.first_wait * 2 ** (failures - 1))
        requested = min(max(retry_after or 0.0, 0.0), self.longest_retry_after)
        # The random part keeps clients that were told the same time from coming back together.
        return requested + random.uniform(0, bound)


_SPREAD = 0.1
"""Seconds over which requests spread that wait for the same endpoint."""

SUBSTANTIAL_PROGRESS = 64 << 10
"""Bytes that have to move before the budget of attempts starts anew without limit."""

MAX_SMALL_STEPS = 100
"""How often less progress than that starts the budget anew. A peer that moves a byte an attempt does not go on forever.
"""


@dataclass(slots=True)
class Attempts:
    """The attempts of one item.

    Attributes:
        retries: counts all of them.
        failures: counts those since the last progress.
        position: the offset that was reached.
        refused_by: the endpoint that refused the last attempt; None if another error, or none, occurred.
        on_failure: called before each wait.
    """

    retries: int = 0
    failures: int = 0
    position: int = 0
    refused_by: str | None = None
    on_failure: Callable[[], None] | None = None
    _moved: int = 0
    _small_steps: int = 0

    def progressed_to(self, position: int) -> None:
        """Notes the offset that was reached. Beyond the last one, the budget of failures may start anew."""
        if position > self.position:
            self._moved += position - self.position
            self.position = position

    async def failed(self, error: StorageError, policy: RetryPolicy) -> None:
        """Waits before the next attempt.

        Raises:
            StorageError: `error` itself, if it cannot be retried or the budget is used up.
        """
        policy.waits.throttles += isinstance(error, ThrottledError)
        progressed = self._starts_anew(error)
        self.failures = 1 if progressed else self.failures + 1
        most = min(policy.max_attempts, error.max_attempts or policy.max_attempts)
        outage, failures = None, self.failures
        if error.refused_by is not None and error.retryable:
            outage = policy.waits.refused(error.refused_by, most, lambda count: policy.wait(count, None))
            failures, self.refused_by = max(outage.failures, self.failures), error.refused_by
        if not error.retryable or (failures >= most and not (progressed and error.progressed)):
            raise error
        self.retries += 1
        policy.waits.retries += 1
        if outage is None:
            seconds = policy.wait(failures, error.retry_after)
        else:  # those that wait for the same moment spread a little
            seconds = policy.waits.seconds_until(outage) + random.uniform(0, _SPREAD)
        fields = {**error.fields(), "attempt": failures + 1, "wait": round(seconds, 3)}
        _log.info("%s; attempt %d follows in %.2f s", error, failures + 1, seconds, extra={"fields": fields})
        telemetry.retried(error, seconds)
        if self.on_failure is not None:
            self.on_failure()
        with policy.waits.waiting(error, failures + 1, most, seconds, outage):
            await policy.sleep(seconds)

    def _starts_anew(self, error: StorageError) -> bool:
        """Returns whether the attempt that failed with `error` made enough progress for a new budget."""
        if self._moved >= SUBSTANTIAL_PROGRESS:
            self._moved = self._small_steps = 0
            return True
        small = error.progressed or (self._moved > 0 and not isinstance(error, StallTimeoutError))
        if not small or self._small_steps >= MAX_SMALL_STEPS:
            return False
        self._moved = 0
        self._small_steps += 1
        return True


async def retry(operation: Callable[[], Awaitable[T]], policy: RetryPolicy, attempts: Attempts | None = None) -> T:
    """Awaits `operation()` as often as the policy allows, and returns its result.

    Raises:
        StorageError: the error of the last attempt.
    """
    attempts = attempts or Attempts()
    while True:
        try:
            result = await operation()
        except StorageError as error:
            await attempts.failed(error, policy)
            continue
        if attempts.refused_by is not None:
            policy.waits.recovered(attempts.refused_by)
        return result


async def retry_after(
    error: StorageError, operation: Callable[[], Awaitable[T]], policy: RetryPolicy, attempts: Attempts
) -> T:
    """Does what `retry` does after a first attempt that failed. Callers that rarely retry save a frame by it.

    Raises:
        StorageError: the error of the last attempt, which is `error` if it cannot be retried.
    """
    await attempts.failed(error, policy)
    return await retry(operation, policy, attempts)


def may_have_happened(error: StorageError) -> bool:
    """Returns whether a failed request may still have been carried out. Only a refusal says that it was not.

    An answer that is not the service's own, such as a proxy's page with status 200, may hide the service's answer.
    """
    refused = error.status is not None and 400 <= error.status < 500
    return not refused and not isinstance(error, ThrottledError)
