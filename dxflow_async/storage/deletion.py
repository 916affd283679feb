"""Deleting many objects of an area: listing them, deleting them in batches, and the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import NamedTuple

from dxflow_async.concurrency.pool import for_each
from dxflow_async.exceptions import (
    ConfigurationError,
    NotFoundError,
    PreconditionFailedError,
    StorageError,
    TransferError,
    TransferTimeoutError,
    UnsafePathError,
)
from dxflow_async.models import DeleteResult, TransferReport, TransferResult
from dxflow_async.paths import key_of
from dxflow_async.plurals import counted
from dxflow_async.providers.common.conditions import check_matching
from dxflow_async.providers.contract import Provider
from dxflow_async.providers.entries import condition_etag
from dxflow_async.providers.http import Call
from dxflow_async.storage.area import Area, LocalArea
from dxflow_async.storage.listing import ListingCache
from dxflow_async.transfer.context import DeletionRest
from dxflow_async.transfer.executor.coordinator import Coordinator
from dxflow_async.transfer.executor.shared_deletion import DeletionRecord
from dxflow_async.transfer.planning.listing import SHARED_AFTER, pages_to_delete
from dxflow_async.transfer.progress import Meter
from dxflow_async.transfer.request import delete_keys, request
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.retry import may_have_happened

__all__ = ["Deletion", "delete_matching", "keys_to_delete", "only_key", "remove_empty_directory", "single_path"]

_BATCH = 1000
_BATCHES_AT_ONCE = 8
"""Services take a second for a batch; the rest of the listing is read meanwhile."""

_MAX_FAILURES = 10_000


async def keys_to_delete(
    resources: Resources, area: Area, path: str, *, shared: bool = False
) -> AsyncIterator[str | DeletionRest]:
    """Yields the key of an object, or of a directory (a path that ends in a slash) all keys below it.

    Args:
        resources: the session's resources.
        area: the area of the objects.
        path: the object or the directory.
        shared: workers may list by themselves; then the last thing is what is left of a long listing.

    Raises:
        UnsafePathError: the path names a bucket without a slash at its end.
    """
    key = area.key(path)
    if area.provider.features.buckets and "/" not in key:
        advice = f"it names a bucket; write {path}/ to delete everything in it"
        reason = advice if key else "it names no bucket; write the name of one"
        raise UnsafePathError(
            f"{area.name} delete of {path} refused: {reason}",
            provider=area.name,
            operation="delete",
            path=path,
        )
    if isinstance(area, LocalArea) and not key.strip("/"):
        raise UnsafePathError(
            f"LOCAL delete of {path} refused: it is the root of this machine's disks; name a directory in it",
            provider="LOCAL",
            operation="delete",
            path=path,
        )
    if not key.endswith("/") or area.provider.features.directories:
        yield key
        return
    shared, count = shared and _lists_by_ranges(area.provider, key), 0
    listing = pages_to_delete(area.provider, key, limits=resources.limits, policy=resources.policy)
    async with aclosing(listing):
        async for page in listing:
            keys, count = [entry.key for entry in page], count + 1
            left = shared and count >= SHARED_AFTER and len(keys) > 1
            for each in keys[:-1] if left else keys:
                yield each
            if left:
                yield DeletionRest(area.provider, key, keys)
                return


def _lists_by_ranges(provider: Provider, key: str) -> bool:
    """Returns whether the keys of a directory can be listed and deleted in any order, from any key on."""
    features = provider.features
    real = features.directories or features.directories_vary
    return features.list_after and features.key_order and not real and provider.origin is provider and "/" in key


async def delete_matching(
    resources: Resources, cache: ListingCache, area: Area, path: str | Iterable[str], etag: str
) -> DeleteResult:
    """Deletes one object if it has an etag.

    Raises:
        ConfigurationError: the path is not that of one object.
    """
    path, etag = single_path(path, "if_match"), condition_etag(etag)
    provider, key, unsure = area.provider, area.key(path), False

    async def delete() -> None:
        nonlocal unsure
        try:
            if provider.features.conditions:
                await provider.delete_matching(key, etag)
            else:
                await check_matching(provider, Call(area.name, "delete", path), key, etag)
                await provider.delete_one(key)
        except PreconditionFailedError:
            # An earlier attempt, whose answer was lost, may have deleted it.
            if not unsure or await _exists(provider, key):
                raise
        except StorageError as error:
            unsure = unsure or may_have_happened(error)
            raise

    try:
        await request(delete, provider, limits=resources.limits, policy=resources.policy, kind="delete")
    except StorageError as error:
        cache.doubted(area.cache_key, f"/{key_of(path)}")
        return DeleteResult(1, 0, error)
    cache.removed(area.cache_key, f"/{key_of(path)}")
    return DeleteResult(1, 1)


async def remove_empty_directory(resources: Resources, cache: ListingCache, area: Area, path: str) -> None:
    """Removes a directory that is empty; in a cloud, the object that stands for it. What came into it meanwhile stays.

    Raises:
        AlreadyExistsError: the directory is not empty.
    """
    provider, key = area.provider, area.key(f"{path.removesuffix('/')}/")
    remove = provider.remove_directory if provider.real_directories else provider.delete_one
    await request(lambda: remove(key), provider, limits=resources.limits, policy=resources.policy, kind="delete")
    cache.removed(area.cache_key, f"/{key}")


def single_path(path: str | Iterable[str], argument: str, *, slash: bool = False) -> str:
    """Returns the path of one object.

    Args:
        path, argument: of the call.
        slash: whether the name of an object may end in a slash, as that of a directory.

    Raises:
        ConfigurationError: it is that of a directory, or there are several.
    """
    if not isinstance(path, str) or (path.endswith("/") and not slash):
        raise ConfigurationError(f"{argument} belongs to one object: give the path of one object")
    return path


async def only_key(area: Area, path: str) -> AsyncIterator[str]:
    """Yields the key of a path, which is that of one object also where it ends in a slash."""
    yield area.key(path)


async def _exists(provider: Provider, key: str) -> bool:
    try:
        await provider.stat(key)
    except NotFoundError:
        return False
    return True


class _Batch(NamedTuple):
    """Keys to delete, paths that are gone by then, and what is left of a listing."""

    keys: Sequence[str]
    paths: Sequence[str]
    rest: DeletionRest | None = None


class Deletion:
    """One call that deletes.

    Args:
        resources: the session's resources.
        cache: the session's listing cache, which forgets what is deleted.
        area: the area of the objects.
        keys_of: yields the keys that deleting a path deletes, and what is left of a listing for workers.
        coordinator: has the workers of an executor delete; None: this process does.
        meter: counts the objects for the caller's progress.
    """

    def __init__(
        self,
        resources: Resources,
        cache: ListingCache,
        area: Area,
        keys_of: Callable[[str], AsyncIterator[str | DeletionRest]],
        coordinator: Coordinator | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._resources = resources
        self._cache = cache
        self._area = area
        self._keys_of = keys_of
        self._coordinator = coordinator
        self._meter = meter or Meter()
        self._keys: list[str] = []
        self._tried: dict[str, None] = {}  # keys that are being deleted
        self._asked = 0
        self._report = TransferReport()
        self._error: StorageError | None = None
        self._path = ""
        self._paths: list[str] = []

    async def run(self, paths: Iterable[str], seconds: float | None = None) -> DeleteResult:
        """Deletes the objects of these paths. After 10,000 failures the rest is not tried.

        Args:
            paths: objects, and directories.
            seconds: how long it may take at most.

        Raises:
            TransferTimeoutError: it took longer.
        """
        meter = self._meter
        meter.deletes = True
        meter.start()
        try:
            async with asyncio.timeout(seconds) as limit:
                result = await self._run(paths)
        except TimeoutError:
            if not limit.expired():
                raise
            tried = f"{counted(self._asked, 'item')} {'was' if self._asked == 1 else 'were'} tried"
            text = f"the deletion took longer than {seconds:g} s, and {tried}"
            raise TransferTimeoutError(text, report=self._report, operation="delete") from None
        finally:
            meter.stop()
        meter.plan_ended()
        meter.close()
        return result

    async def _run(self, paths: Iterable[str]) -> DeleteResult:
        try:
            if self._coordinator is None:
                await self._delete_batches(paths, _BATCHES_AT_ONCE)
            else:
                async with self._coordinator.deleting() as width:
                    await self._delete_batches(paths, width)
        except StorageError as error:
            self._error = error
        finally:
            self._doubt_rest()
        return self._result()

    async def _delete_batches(self, paths: Iterable[str], width: int) -> None:
        features = self._area.provider.features
        if features.directories or features.directories_vary:
            async for batch in self._batches(paths):  # a directory has to be empty before it can be deleted
                await self._delete(*batch)
        else:
            await for_each(self._batches(paths), lambda batch: self._delete(*batch), width)

    async def _batches(self, paths: Iterable[str]) -> AsyncIterator[_Batch]:
        """Yields keys to delete, and the paths all of whose keys have been yielded by then."""
        for path in paths:
            self._path = f"/{key_of(path)}"
            rest: DeletionRest | None = None
            async for key in self._keys_of(path):
                if isinstance(key, DeletionRest):
                    rest = key
                    continue
                self._keys.append(key)
                if len(self._keys) == _BATCH:
                    yield self._taken()
                if self._gave_up:
                    return
            self._paths.append(self._path)
            self._path = ""
            if rest is not None:
                yield self._taken(rest)
        yield self._taken()

    def _taken(self, rest: DeletionRest | None = None) -> _Batch:
        keys, self._keys = self._keys, []
        paths, self._paths = self._paths, []
        self._tried.update(dict.fromkeys(keys))
        if rest is not None:
            self._tried[rest.prefix] = None
        return _Batch(keys, paths, rest)

    @property
    def _gave_up(self) -> bool:
        return len(self._report.failed) >= _MAX_FAILURES

    async def _delete(self, keys: Sequence[str], paths: Sequence[str], rest: DeletionRest | None = None) -> None:
        """Deletes keys and what is left of a listing, and notes which paths are gone by then."""
        if rest is not None:
            await self._delete_rest(rest)
        failed: Mapping[str, StorageError] = {}
        if keys and self._coordinator is not None:
            failed = await self._coordinator.delete(keys)
        elif keys:
            resources = self._resources
            failed = await delete_keys(self._area.provider, keys, limits=resources.limits, policy=resources.policy)
        for path in paths:
            self._cache.removed(self._area.cache_key, path)
        if rest is not None and not self._report.failed:
            self._tried.pop(rest.prefix, None)  # else the cache forgets it
        self._note(len(keys), failed)
        for key in keys:
            self._tried.pop(key, None)  # two batches may name it

    async def _delete_rest(self, rest: DeletionRest) -> None:
        """Has workers list and delete what is left of a directory; lists what they may not have seen."""
        assert self._coordinator is not None
        shared = self._coordinator.share_deletion(rest, DeletionRecord(self._note, lambda: self._gave_up))
        whole = await shared.run()
        if shared.error is not None:
            raise shared.error
        if whole or self._gave_up:
            return
        keys: list[str] = []
        async for entry in shared.missed(rest.provider, limits=self._resources.limits, policy=self._resources.policy):
            keys.append(entry.key)
            if len(keys) == _BATCH:
                await self._delete(keys, ())
                keys = []
            if self._gave_up:
                return
        await self._delete(keys, ())

    def _note(self, count: int, failed: Mapping[str, StorageError]) -> None:
        """Notes that keys were tried, and the errors of those that could not be deleted."""
        self._asked += count
        self._meter.done_together(count, len(failed))
        for key, error in failed.items():
            path = self._area.path(key)
            self._cache.doubted(self._area.cache_key, path)
            self._report.append(TransferResult(self._area.shown(path), "", error=error))

    def _doubt_rest(self) -> None:
        """Lets the cache forget paths of which not all keys were tried."""
        for path in [self._path, *map(self._area.path, [*self._tried, *self._keys])]:
            if path:
                self._cache.doubted(self._area.cache_key, path)

    def _result(self) -> DeleteResult:
        return DeleteResult(self._asked, self._asked - len(self._report.failed), self._failure())

    def _failure(self) -> StorageError | None:
        """The only error, or a `TransferError` that has each; None when everything was deleted."""
        failed, deleted = self._report.failed, self._asked - len(self._report.failed)
        if not failed:
            return self._error
        first = failed[0].error
        assert first is not None
        if self._asked == 1 and self._error is None:
            return first
        rest = "; so many failed that the rest was not tried" if self._gave_up else ""
        last = "" if self._error is None else f"; it ended early: {self._error}"
        return TransferError(
            f"{len(failed)} of {counted(self._asked, 'item')} could not be deleted, {deleted} "
            f"{'was' if deleted == 1 else 'were'}{rest}; the first: {first}{last}",
            report=self._report,
            provider=first.provider,
            operation=first.operation,
            path=first.path,
            status=first.status,
            code=first.code,
            request_id=first.request_id,
        )
