from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxflow_async.exceptions import NotFoundError, ServiceError, StallTimeoutError, StorageError, ThrottledError
from dxflow_async.transfer.retry import MAX_SMALL_STEPS, SUBSTANTIAL_PROGRESS, Attempts, RetryPolicy, retry


class Sleeper:
    """Remembers what was to be slept."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


class Failing:
    """An operation that fails with the given errors, then returns how often it was called."""

    def __init__(self, *errors: StorageError) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.calls


def failures(count: int) -> list[StorageError]:
    return [ServiceError(f"failure {number}") for number in range(count)]


async def test_attempts_are_counted() -> None:
    """As many retries are counted as there were failures, and as many waits made."""
    sleeper, attempts = Sleeper(), Attempts()
    assert await retry(Failing(*failures(3)), RetryPolicy(6, sleep=sleeper), attempts) == 4
    assert attempts.retries == len(sleeper.slept) == 3


@pytest.mark.parametrize("max_attempts", [1, 2, 6])
async def test_gives_up_after_max_attempts(max_attempts: int) -> None:
    """The operation is called as often as allowed, and the last error is raised."""
    sleeper, operation = Sleeper(), Failing(*failures(20))
    with pytest.raises(ServiceError, match=f"failure {max_attempts - 1}"):
        await retry(operation, RetryPolicy(max_attempts, sleep=sleeper))
    assert operation.calls == max_attempts
    assert len(sleeper.slept) == max_attempts - 1


@pytest.mark.parametrize("error", [NotFoundError("not there"), ServiceError("never again", retryable=False)])
async def test_other_errors_are_raised_at_once(error: StorageError) -> None:
    """What is not retryable is tried once."""
    sleeper, operation = Sleeper(), Failing(error)
    with pytest.raises(type(error)) as raised:
        await retry(operation, RetryPolicy(sleep=sleeper))
    assert raised.value is error
    assert (operation.calls, sleeper.slept) == (1, [])


@given(failed=st.integers(1, 50))
def test_jitter_is_within_bounds(failed: int) -> None:
    """A wait is below a bound that doubles with each failure, up to the longest."""
    policy = RetryPolicy(first_wait=0.5, longest_wait=8.0)
    assert 0 <= policy.wait(failed, None) <= min(8.0, 0.5 * 2 ** (failed - 1))


def test_jitter_is_full() -> None:
    """Waits are spread over the whole of the range, so that clients do not come back together."""
    policy = RetryPolicy(first_wait=1.0, longest_wait=1.0)
    waits = [policy.wait(1, None) for _ in range(300)]
    assert min(waits) < 0.2
    assert max(waits) > 0.8


async def test_retry_after_is_honoured_and_capped() -> None:
    """What the server asks for is waited, up to the cap, and the jitter of the back-off on top of it."""
    sleeper, asked = Sleeper(), (3.5, 1e9, -1.0, 0.0)
    errors = [ThrottledError("slow down", retry_after=seconds) for seconds in asked]
    await retry(Failing(*errors), RetryPolicy(first_wait=1.0, longest_retry_after=60.0, sleep=sleeper))
    least = (3.5, 60.0, 0.0, 0.0)
    for number, (slept, seconds) in enumerate(zip(sleeper.slept, least, strict=True)):
        assert seconds < slept <= seconds + 2**number


async def test_progress_resets_the_budget() -> None:
    """Failures count in a row: bytes that moved start the count anew, and the total goes on."""
    policy, attempts = RetryPolicy(2, sleep=Sleeper()), Attempts()
    for position in range(1, 6):
        attempts.progressed_to(position)
        await attempts.failed(ServiceError("broke"), policy)
    assert attempts.retries == 5
    with pytest.raises(ServiceError):
        await attempts.failed(ServiceError("broke"), policy)


async def test_no_progress_is_no_progress() -> None:
    """Reaching the same offset again does not start the count anew."""
    policy, attempts = RetryPolicy(2, sleep=Sleeper()), Attempts()
    attempts.progressed_to(7)
    await attempts.failed(ServiceError("broke"), policy)
    attempts.progressed_to(7)
    with pytest.raises(ServiceError):
        await attempts.failed(ServiceError("broke"), policy)


async def test_attempts_with_progress_do_not_count() -> None:
    """An error that moved the call forward takes nothing from the budget, and gives back what others took."""
    errors = failures(9)
    for number in (1, 3, 4, 6, 7):
        errors[number].progressed = True
    sleeper, operation = Sleeper(), Failing(*errors)
    assert await retry(operation, RetryPolicy(2 + 1, sleep=sleeper)) == 10
    operation = Failing(*failures(3), errors[1])
    with pytest.raises(ServiceError):
        await retry(operation, RetryPolicy(3, sleep=sleeper))
    assert operation.calls == 3


async def test_small_steps_do_not_go_on_forever() -> None:
    """A peer that moves some bytes an attempt has a limited number of attempts; large steps start the budget anew."""
    policy, attempts = RetryPolicy(3, sleep=Sleeper()), Attempts()

    async def fail(step: int, error: StorageError) -> None:
        attempts.progressed_to(attempts.position + step)
        await attempts.failed(error, policy)

    for _ in range(MAX_SMALL_STEPS):
        await fail(1, ServiceError("broke"))
    await fail(SUBSTANTIAL_PROGRESS, ServiceError("broke"))
    for _ in range(MAX_SMALL_STEPS + 1):
        await fail(1, ServiceError("broke"))
    with pytest.raises(ServiceError):
        await fail(1, ServiceError("broke"))


async def test_some_bytes_before_a_stall_are_no_progress() -> None:
    """A peer that moves some bytes and stalls has the usual attempts; after many bytes the budget is new."""
    policy, attempts = RetryPolicy(3, sleep=Sleeper()), Attempts()
    for number in range(1, 6):
        attempts.progressed_to(number * SUBSTANTIAL_PROGRESS)
        await attempts.failed(StallTimeoutError("stalled"), policy)
    attempts.progressed_to(attempts.position + 1)
    await attempts.failed(StallTimeoutError("stalled"), policy)
    attempts.progressed_to(attempts.position + 1)
    with pytest.raises(StallTimeoutError):
        await attempts.failed(StallTimeoutError("stalled"), policy)


async def test_errors_that_always_progress_end() -> None:
    """Attempts that report progress each time end too."""
    errors = failures(MAX_SMALL_STEPS + 10)
    for error in errors:
        error.progressed = True
    operation = Failing(*errors)
    with pytest.raises(ServiceError):
        await retry(operation, RetryPolicy(3, sleep=Sleeper()))
    assert MAX_SMALL_STEPS <= operation.calls <= MAX_SMALL_STEPS + 3
