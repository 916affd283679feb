"""Endpoints that refuse connections are waited for once by all items of a call."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from dxflow_async.exceptions import NetworkError, ServiceError, StorageError, ThrottledError
from dxflow_async.transfer.retry import Attempts, RetryPolicy, retry
from dxflow_async.transfer.waits import Waits


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        await asyncio.sleep(0)
        self.now = max(self.now, until)


def refusal() -> StorageError:
    """A refused connection."""
    error = NetworkError("refused", provider="AWS")
    error.refused_by = "127.0.0.1:9"
    return error


@pytest.mark.parametrize("items", [1, 50])
async def test_items_share_the_attempts_of_an_endpoint(items: int) -> None:
    """Fifty items make no more rounds than one, and after the last round the next items fail at once."""
    clock = Clock()
    policy = RetryPolicy(4, sleep=clock.sleep, waits=Waits(clock, gives_up_once=True))
    calls = 0

    async def refused() -> None:
        nonlocal calls
        calls += 1
        raise refusal()

    async def item() -> None:
        with pytest.raises(NetworkError):
            await retry(refused, policy)

    async with asyncio.TaskGroup() as group:
        for _ in range(items):
            group.create_task(item())
    assert items <= calls <= items * 4
    calls = 0
    await item()
    assert calls == 1


async def test_an_endpoint_that_recovers_has_its_attempts_again() -> None:
    """A success ends the outage."""
    clock = Clock()
    policy = RetryPolicy(3, sleep=clock.sleep, waits=Waits(clock, gives_up_once=True))
    outcomes: list[StorageError | None] = [refusal(), refusal(), None, refusal(), refusal(), None]

    async def attempt() -> None:
        if (error := outcomes.pop(0)) is not None:
            raise error

    await retry(attempt, policy)
    await retry(attempt, policy)
    assert outcomes == []


async def test_a_later_call_begins_anew() -> None:
    """The waits of the session itself forget an endpoint that was given up."""
    clock = Clock()
    policy = RetryPolicy(2, sleep=clock.sleep, waits=Waits(clock))
    for _ in range(2):
        attempts = Attempts()
        await attempts.failed(refusal(), policy)
        with pytest.raises(NetworkError):
            await attempts.failed(refusal(), policy)
    assert policy.waits.text() is None


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ThrottledError("slow down", provider="AWS"), "AWS asks for fewer requests; try 2 of 10 in 3 s"),
        (ServiceError("internal", provider="GCP", status=503), "GCP failed (503); try 2 of 10 in 3 s"),
        (NetworkError("broken", provider="AWS"), "the connection to AWS failed; try 2 of 10 in 3 s"),
        (refusal(), "127.0.0.1:9 refuses; try 2 of 10 in 3 s"),
    ],
)
async def test_what_is_waited_for_as_text(error: StorageError, text: str) -> None:
    """While the wait lasts, and not after it."""
    clock, seen = Clock(), list[str | None]()
    waits = Waits(clock)

    async def sleep(_: float) -> None:
        seen.append(waits.text())

    class Policy(RetryPolicy):
        def wait(self, failures: int, retry_after: float | None) -> float:
            return 3.0

    await Attempts().failed(error, replace(Policy(sleep=sleep), waits=waits))
    assert seen == [text]
    assert waits.text() is None
