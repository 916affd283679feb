"""Syncs a directory: copies what is new or changed, and deletes what is superfluous, if requested.

Differences are found while others are copied, so memory does not grow with the directories. Deletion comes last, and
only if both listings were complete and every copy worked. A source entry that cannot be read fails by itself; it stops
no deletion, but its name is protected at the destination.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from time import monotonic
from typing import Any, TypeVar

from dxflow_async.concurrency.pool import open_task_group
from dxflow_async.exceptions import AccessDeniedError, StorageError, TransferError, UnsafePathError
from dxflow_async.models import SyncAction, SyncPlan, TransferReport, TransferResult
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.failures import read_failure
from dxflow_async.transfer.items.choose import item_for
from dxflow_async.transfer.items.empty_items import SettledItem
from dxflow_async.transfer.planning.destination import Destination, below, contains
from dxflow_async.transfer.planning.directories import DirectoryModes, make_directory
from dxflow_async.transfer.planning.listed_names import missing_results
from dxflow_async.transfer.planning.listing import pages
from dxflow_async.transfer.planning.relocate import look_up
from dxflow_async.transfer.resources import Resources, TransferCall, raise_failures
from dxflow_async.transfer.sync.deleting import Deleting
from dxflow_async.transfer.sync.differences import Difference, Differences
from dxflow_async.transfer.sync.merge_join import MergeJoin
from dxflow_async.transfer.sync.rules import Rules
from dxflow_async.transfer.sync.stable import StableEntries

__all__ = ["Sync"]

T = TypeVar("T")


class Sync:
    """One sync.

    Args:
        resources: the session's.
        source: a directory: its key ends in a slash, or is empty.
        end: the destination, which may refuse names.
        options: what is stored with the copies.
        rules: what the sync does.
    """

    def __init__(
        self,
        resources: Resources,
        source: Place,
        end: Destination,
        options: ObjectOptions,
        rules: Rules,
    ) -> None:
        self._resources = resources
        self._source = source
        self._end = end
        self._target = end.directory()
        self._options = options
        self._rules = rules
        self._selection = rules.selection()
        self._stable: StableEntries | None = None
        self._modes = DirectoryModes(source, self._target, resources.limits, resources.policy)

    async def plan(self) -> SyncPlan:
        """Returns what the sync would do.

        Raises:
            NotFoundError: the source does not exist.
            UnsafePathError: one of the two directories lies in the other one.
            StorageError: a listing failed.
        """
        await self._check()
        await self._settle()
        return await self._with_join(self._plan)

    async def run(self, call: TransferCall) -> TransferReport:
        """Runs the sync as one call.

        Raises:
            TransferError: something could not be copied, and nothing was deleted; or a source entry could not be read,
                and what the destination has of it was kept; or something could not be deleted.
            NotFoundError, UnsafePathError, StorageError: as for `plan`.
        """
        await self._check()
        await self._settle()
        await self._modes.make_above("")
        await make_directory(self._resources.context(None), self._target)
        return await self._with_join(lambda joined: self._run(joined, call))

    async def _check(self) -> None:
        source, target = self._source, self._target
        await look_up(self._resources.context(None), source, "sync")
        if await contains(source, target) or await contains(target, source):
            raise UnsafePathError(
                f"{source.provider.name} sync of {source.shown} to {target.shown} refused: one of them is the other, "
                "or lies in it; choose another destination",
                provider=source.provider.name,
                operation="sync",
                path=source.shown,
            )

    async def _settle(self) -> None:
        """Lists the source a first time, and waits, where only stable files are wanted."""
        if not self._rules.stable:
            return
        source, resources = self._source, self._resources
        self._stable = StableEntries()
        listed = pages(source.provider, source.key, recursive=True, limits=resources.limits, policy=resources.policy)
        async with aclosing(listed):
            await self._stable.add_all(listed)
        await asyncio.sleep(self._rules.stable)

    async def _with_join(self, work: Callable[[MergeJoin], Awaitable[T]]) -> T:
        source, target, selection = self._source, self._target, self._selection
        joined = MergeJoin(
            (source.key, target.key),
            selection.admits_name,
            (source.provider.features.ordered, target.provider.features.ordered),
            excludes=selection.names.excludes,
            keeps=self._rules.delete,
            real=lambda: target.provider.real_directories,
        )
        try:
            return await work(joined)
        finally:
            joined.close()

    async def _plan(self, joined: MergeJoin) -> SyncPlan:
        plan, differences = SyncPlan(), self._differences(joined)
        deleting = self._deleting(joined, differences)

        async def collect() -> None:
            async for each in differences:
                if each.obstacle is not None:
                    async for action in deleting.plan_obstacle(each.obstacle):
                        plan.append(action)
                plan.append(_planned(each))

        await _beside(differences.find, collect)
        if self._rules.delete:
            async for action in deleting.plan():
                plan.append(action)
        for result in missing_results(self._selection, "", ""):
            plan.append(SyncAction("skip", result.source.removeprefix("/"), 0, "listed, and not at the source"))
        plan.unchanged = differences.unchanged
        plan.compared_by_age = differences.by_age
        return plan

    async def _run(self, joined: MergeJoin, call: TransferCall) -> TransferReport:
        meter = call.context.meter
        meter.compares = True
        started, differences = monotonic(), self._differences(joined)
        source, target = self._source, self._target
        deleting = self._deleting(joined, differences)
        aside: list[TransferResult] = []
        try:
            report = await _beside(
                differences.find,
                lambda: call.run(self._items(call.context, differences, deleting, aside)),
            )
        except TransferError as error:
            report = error.report
        kept = any(not self._is_unread(result.error) for result in report.failed)
        for result in (*aside, *missing_results(self._selection, source.shown, target.shown)):
            report.append(result)
        if self._rules.delete and not kept:
            meter.deletes = True
            async for result in deleting.run():
                report.append(result)
                meter.deleted_one()
            meter.close()
        report.seconds = monotonic() - started
        report.compared_by_age = differences.by_age
        return raise_failures(report)

    def _is_unread(self, error: StorageError | None) -> bool:
        """Returns whether a local file could not be read. That is no reason to doubt the listings."""
        provider = self._source.provider
        refused = isinstance(error, AccessDeniedError) and (error.provider, error.operation) == (provider.name, "read")
        return refused and provider.local_disk is not None

    def _differences(self, joined: MergeJoin) -> Differences:
        source, target, rules = self._source, self._target, self._rules
        return Differences(
            self._resources,
            source,
            target,
            rules.comparison,
            joined,
            self._selection,
            replaces=rules.delete,
            stable=self._stable,
        )

    def _deleting(self, joined: MergeJoin, differences: Differences) -> Deleting:
        return Deleting(self._resources, self._source, self._target, joined, differences.kept, self._selection)

    async def _items(
        self, context: TransferContext, differences: Differences, deleting: Deleting, aside: list[TransferResult]
    ) -> AsyncIterator[TransferItem]:
        """Yields what has to be copied. Unreadable entries and removed obstacles are reported in `aside`."""
        await self._end.prepare(context)
        async for each in differences:
            source, target = below(self._source, each.name), below(self._target, each.name)
            if each.error is not None:
                yield SettledItem(TransferResult(source.shown, target.shown, error=each.error))
            elif each.kind == "unread":
                error = read_failure(source, each.entry, "sync")
                aside.append(TransferResult(source.shown, target.shown, error=error))
            else:
                if each.obstacle is not None:
                    aside += [result async for result in deleting.remove_obstacle(each.obstacle)]
                end, entry, options = self._end, each.entry, self._options
                await self._modes.make_above(each.name)
                yield item_for(context, source, end, target, entry, options, operation="sync", keep_time=True)


def _planned(difference: Difference) -> SyncAction:
    name, size, reason = difference.name, difference.entry.size, difference.reason
    return SyncAction("copy" if difference.kind == "copy" else "skip", name, size, reason)


async def _beside(find: Callable[[], Coroutine[Any, Any, None]], work: Callable[[], Awaitable[T]]) -> T:
    """Returns the result of `work()`. `find()` runs beside it, and is cancelled when `work()` ends."""
    async with open_task_group() as group:
        group.start_soon(find)
        result = await work()
        group.cancel_scope.cancel()
    return result
