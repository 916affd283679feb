"""Single requests and deletions outside items: within the endpoint's limit, and retried as the policy allows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from typing import TypeVar

from dxflow_async.exceptions import StorageError
from dxflow_async.providers.contract import Provider
from dxflow_async.transfer.failures import failure_of, translated
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.retry import Attempts, RetryPolicy, retry

__all__ = ["delete_keys", "request"]

T = TypeVar("T")


async def request(
    operation: Callable[[], Awaitable[T]], provider: Provider, *, limits: Limits, policy: RetryPolicy, kind: str = ""
) -> T:
    """Makes a request to a provider and returns its result.

    Args:
        operation: makes the request once.
        provider: where the request goes.
        limits: the session's budgets.
        policy: how often to try.
        kind: of the request, such as `"list"`; times are compared among requests of one kind.

    Raises:
        DxflowError: the error of the last attempt. Other exceptions become the cause of a `StorageError`.
    """
    limit = limits.requests(provider)

    async def once() -> T:
        with translated(provider):
            return await (operation() if limit is None else limit.run(operation, kind=kind))

    return await retry(once, policy)


async def delete_keys(
    provider: Provider, keys: Sequence[str], *, limits: Limits, policy: RetryPolicy
) -> dict[str, StorageError]:
    """Deletes up to 1,000 keys, as `Provider.delete` does, and retries those that failed.

    Returns:
        The last error of each key that could not be deleted.

    Raises:
        StorageError: the service never answered for any of the keys.
    """
    limit, attempts = limits.requests(provider), Attempts()
    failed = _not_utf8(keys, provider) if provider.features.buckets else {}
    remaining, answered = [key for key in keys if key not in failed] if failed else keys, bool(failed)
    while remaining:
        error: StorageError | None = None
        try:
            with translated(provider):
                async with limit.place(kind="delete") if limit is not None else nullcontext():
                    outcome = await provider.delete(remaining)
        except StorageError as raised:
            error, again = raised, dict.fromkeys(remaining, raised)
        else:
            answered = True
            failed.update({key: each for key, each in outcome.items() if not each.retryable})
            again = {key: each for key, each in outcome.items() if each.retryable}
            attempts.progressed_to(len(keys) - len(again))
            error = max(again.values(), key=lambda each: each.retry_after or 0.0, default=None)
        if error is not None:
            try:
                await attempts.failed(error, policy)
            except StorageError:
                if not answered:
                    raise
                return failed | again
        remaining = [*again]
    return failed


def _not_utf8(keys: Sequence[str], provider: Provider) -> dict[str, StorageError]:
    """Returns the errors of names that no cloud accepts. One of them would fail the request for all keys."""
    failed: dict[str, StorageError] = {}
    for key in keys:
        if not key.isascii():
            try:
                key.encode()
            except UnicodeEncodeError as error:
                failed[key] = failure_of(error, (f"{provider.name} /{key}", ""), "delete")
    return failed
