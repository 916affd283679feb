"""Requests by themselves: in a place among those in flight, and tried as often as the policy allows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import TypeVar

from dxflow_async.providers.contract import Provider
from dxflow_async.transfer.failures import translated
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.retry import RetryPolicy, retry

__all__ = ["request"]

T = TypeVar("T")


async def request(
    operation: Callable[[], Awaitable[T]], provider: Provider, *, limits: Limits, policy: RetryPolicy
) -> T:
    """What `operation()`, a request to a provider, returns.

    Raises:
        DxflowError: the last one; of what is none of ours, a `StorageError` whose cause it is.
    """
    limit = limits.requests(provider)

    async def once() -> T:
        with translated(provider):
            async with limit or nullcontext():
                return await operation()

    return await retry(once, policy)
