"""Lists a range of keys in a worker, for others to work on; and deletes keys that were listed so.

The keys go to the coordinator before anything is done with them, packed, so that they cost it next to nothing. Whoever
works on them may be lost: the coordinator has them still, and hands the same keys out again.

A listing that ends before its range keeps the last key that it has seen for the next one. That has to begin with a key
that is there, and shows by it that the service begins where it was asked to.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Any

from dxflow_async.concurrency.pool import for_each
from dxflow_async.exceptions import StorageError, UnsupportedError
from dxflow_async.providers.contract import Entry, Provider
from dxflow_async.transfer.executor.shard import ListedKeys, ListingRange, PackedKeys
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.planning.listing import pages_after
from dxflow_async.transfer.request import delete_keys
from dxflow_async.transfer.retry import RetryPolicy

__all__ = ["PackedDeletion", "list_range", "pack", "unpack"]

_BATCH = 1000
_BATCHES_AT_ONCE = 8
_SAMPLES = 24
"""Keys of a piece that the coordinator gets to see, to find where to cut what is left."""


def pack(values: Sequence[Any]) -> bytes:
    """Returns values as bytes that only workers open."""
    return zlib.compress(pickle.dumps(values, pickle.HIGHEST_PROTOCOL), 1)


def unpack(content: bytes) -> Sequence[Any]:
    """Returns the values of `pack`."""
    found: Sequence[Any] = pickle.loads(zlib.decompress(content))  # noqa: S301 - from a worker of the same call
    return found


async def list_range(
    provider: Provider, span: ListingRange, *, limits: Limits, policy: RetryPolicy
) -> tuple[ListedKeys, StorageError | None]:
    """Lists as much of a range as makes a shard; returns it, and why the listing ended early.

    Args:
        provider: where the keys are.
        span: the range.
        limits, policy: the worker's.
    """
    found, first, beyond, ended = list[Entry](), None, None, False
    enough = max(span.max_items, 2)  # one of them stays
    listing = pages_after(provider, span.prefix, span.low, limits=limits, policy=policy)
    try:
        async with aclosing(listing):
            async for page in listing:
                if page.entries and first is None:
                    first = page.entries[0].key
                found += [each for each in page.entries if span.high is None or each.key <= span.high]
                behind = (each.key for each in page.entries if span.high is not None and each.key > span.high)
                beyond = next(behind, None)
                ended = beyond is not None or page.cursor is None
                if ended or len(found) >= enough:
                    break
    except StorageError as error:
        refused = isinstance(error, UnsupportedError) and first is None
        return ListedKeys(PackedKeys(0, b""), None, span.low, None, False, refused, ()), error
    if not ended:
        beyond = found.pop().key
    keys = [each.key for each in found]
    packed = pack(found if span.entries else [key[len(span.prefix) :] for key in keys])
    sample = keys[:: max(1, len(keys) // _SAMPLES)]
    position = keys[-1] if keys else span.low
    return ListedKeys(PackedKeys(len(keys), packed), first, position, beyond, ended, False, sample), None


class PackedDeletion:
    """Deletes keys that were listed. It is used once.

    Args:
        provider: where the keys are.
        prefix: the directory.
        keys: the names in it.
        limits, policy: the worker's.

    Attributes:
        tried: for how many keys the service answered.
        failed: the errors of the keys that could not be deleted.
        error: why not all were tried.
    """

    def __init__(
        self, provider: Provider, prefix: str, keys: PackedKeys, *, limits: Limits, policy: RetryPolicy
    ) -> None:
        self._provider = provider
        self._keys = [prefix + name for name in unpack(keys.content)]
        self._limits = limits
        self._policy = policy
        self.tried = 0
        self.failed: dict[str, StorageError] = {}
        self.error: StorageError | None = None

    async def run(self) -> None:
        """Deletes the keys, in several batches at once."""
        await for_each(self._batches(), self._delete, _BATCHES_AT_ONCE)

    def _batches(self) -> Iterator[Sequence[str]]:
        for start in range(0, len(self._keys), _BATCH):
            if self.error is not None:
                return
            yield self._keys[start : start + _BATCH]

    async def _delete(self, keys: Sequence[str]) -> None:
        try:
            failed = await delete_keys(self._provider, keys, limits=self._limits, policy=self._policy)
        except StorageError as error:
            self.error = self.error or error
            return
        self.tried += len(keys)
        self.failed |= failed
