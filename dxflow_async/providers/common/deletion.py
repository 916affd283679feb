"""Deletion of several objects, with an error for each key that failed.

Some services delete one object in a request, others up to some number. In both cases, a key that cannot be deleted does
not hide what became of the others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from dxflow_async.concurrency.pool import for_each
from dxflow_async.exceptions import NetworkError, StallTimeoutError, StorageError

__all__ = ["delete_batches", "delete_each"]


async def delete_each(
    keys: Sequence[str], delete: Callable[[str], Awaitable[None]], workers: int
) -> dict[str, StorageError]:
    """Deletes keys with one request each, `workers` at a time; returns the errors of those that failed.

    If `workers` requests in a row do not reach the service, the rest is not tried and fails with the same error.

    Args:
        keys: the keys.
        delete: deletes one key, and raises `StorageError` if it could not.
        workers: the most requests at a time.

    Returns:
        The error of each key that could not be deleted: empty if all were.

    Example:
        >>> async def delete(self, keys: Sequence[str]) -> dict[str, StorageError]:
        ...     return await delete_each(keys, self.delete_one, workers=16)
    """
    failed: dict[str, StorageError] = {}
    remaining, unreached = iter(keys), 0

    async def delete_one(key: str) -> None:
        nonlocal unreached
        try:
            await delete(key)
            unreached = 0
        except (NetworkError, StallTimeoutError) as error:
            failed[key] = error
            unreached += 1
            if unreached >= workers:
                failed.update(dict.fromkeys(remaining, error))
        except StorageError as error:
            failed[key] = error
            unreached = 0

    await for_each(remaining, delete_one, min(len(keys), workers))
    return failed


async def delete_batches(
    batches: Sequence[Sequence[str]],
    delete: Callable[[Sequence[str]], Awaitable[dict[str, StorageError]]],
    workers: int = 1,
) -> dict[str, StorageError]:
    """Deletes batches of keys, `workers` at a time; returns the errors of the keys that failed.

    Args:
        batches: the keys of each request.
        delete: deletes one batch and returns the errors of its keys; raises if nothing is known about any of them.
        workers: the most requests at a time.

    Returns:
        The error of each key that could not be deleted: empty if all were.

    Raises:
        StorageError: every batch raised.

    Example:
        >>> batches = [keys[start : start + 100] for start in range(0, len(keys), 100)]
        >>> failed = await delete_batches(batches, self.delete_batch, workers=4)
    """
    if len(batches) == 1:
        return await delete(batches[0])
    failed: dict[str, StorageError] = {}
    errors: list[StorageError] = []

    async def delete_batch(batch: Sequence[str]) -> None:
        try:
            failed.update(await delete(batch))
        except StorageError as error:
            errors.append(error)
            failed.update(dict.fromkeys(batch, error))

    await for_each(batches, delete_batch, workers)
    if errors and len(errors) == len(batches):
        raise errors[0]
    return failed
