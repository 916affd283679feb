"""Making one directory like another one: what differs is copied, and what is superfluous is deleted where wanted.

Finding differences and copying go on at once, so that memory does not grow with the directories. Deleting comes last,
and only when both listings came to their end and every copy worked. What could not be read at the source keeps nothing
else: it fails by itself, and its name is protected at the destination.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypedDict, TypeVar

from anyio import create_task_group

from dxflow_async.concurrency.pool import first_of
from dxflow_async.exceptions import AccessDeniedError, StorageError, TransferError, UnsafePathError
from dxflow_async.models import SyncAction, SyncPlan, TransferReport, TransferResult
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.failures import read_failure
from dxflow_async.transfer.items.choose import item_for
from dxflow_async.transfer.items.empty_items import SettledItem
from dxflow_async.transfer.planning.destination import Destination, below, contains
from dxflow_async.transfer.planning.directory_modes import DirectoryModes
from dxflow_async.transfer.planning.tree import look_up, make_directory
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.resources import Resources, TransferCall, raise_failures
from dxflow_async.transfer.sync.compare import Compare, Comparison
from dxflow_async.transfer.sync.deleting import Deleting
from dxflow_async.transfer.sync.differences import Difference, Differences
from dxflow_async.transfer.sync.filters import NameFilter
from dxflow_async.transfer.sync.merge_join import MergeJoin

__all__ = ["Rules", "Sync", "SyncOptions"]

T = TypeVar("T")


class SyncOptions(TypedDict, total=False):
    """The options of `AsyncSession.sync` and `Session.sync`.

    Attributes:
        delete: whether to delete what only `dst` has; by default False. It is deleted at the end, and only when both
            listings were complete and every copy succeeded; a file in the place of a directory, or the reverse, is
            deleted before the copy. What cannot be read at `src` protects its name, and everything below it.
        compare: when two items count as the same. `"size+mtime"` (the default): equal size and time, or equal
            checksums where both sides tell them for free; where `dst` keeps no times, an item of equal size that is not
            older. `"checksum"`: equal checksums; files and objects stored without one are read for it. `"size"`: equal
            size.
        include: glob patterns; when there are any, only matching names are synced.
        exclude: glob patterns of names that are neither copied nor deleted. `*.csv` matches in every directory,
            `raw/*.csv` from the top, `**` any number of directories; a matching directory includes everything in it.
        storage_type: the area of remotes, `"private"` (the default) or `"public"`.
        on_progress: called with a `Progress` at most ten times a second.
    """

    delete: bool
    compare: Compare
    include: str | Iterable[str]
    exclude: str | Iterable[str]
    storage_type: str
    on_progress: OnProgress | None


@dataclass(frozen=True, slots=True)
class Rules:
    """What a sync does.

    Attributes:
        compare: what counts as the same.
        include, exclude: which names it is about; the others are neither copied nor deleted.
        delete: whether what only the destination has goes.

    Raises:
        ConfigurationError: a comparison or a pattern that cannot be.
    """

    compare: Compare
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    delete: bool = False

    def __post_init__(self) -> None:
        assert self.comparison
        assert self.names

    @property
    def comparison(self) -> Comparison:
        """How two entries are compared."""
        return Comparison(self.compare)

    @property
    def names(self) -> NameFilter:
        """The names it is about."""
        return NameFilter(self.include, self.exclude)


class Sync:
    """One sync.

    Args:
        resources: the session's.
        source: a directory: its key ends in a slash, or is empty.
        end: the destination, which may refuse names.
        options: what is stored with what is copied.
        rules: what to do.
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
        self._modes = DirectoryModes(source, self._target, resources.limits, resources.policy)

    async def plan(self) -> SyncPlan:
        """What would be done.

        Raises:
            NotFoundError: there is no such source.
            UnsafePathError: one of the two directories lies in the other one.
            StorageError: a listing failed.
        """
        await self._check()
        return await self._with_pairing(self._plan)

    async def run(self, call: TransferCall) -> TransferReport:
        """Does it, as one call.

        Raises:
            TransferError: something could not be copied, and nothing was deleted; or it could not be read at the
                source, and what the destination has of it was kept; or it could not be deleted.
            NotFoundError, UnsafePathError, StorageError: as for `plan`.
        """
        await self._check()
        await self._modes.make_above("")
        await make_directory(self._resources.context(None), self._target)
        return await self._with_pairing(lambda pairing: self._run(pairing, call))

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

    async def _with_pairing(self, work: Callable[[MergeJoin], Awaitable[T]]) -> T:
        source, target, names = self._source, self._target, self._rules.names
        pairing = MergeJoin(
            (source.key, target.key),
            names.admits,
            (source.provider.features.ordered, target.provider.features.ordered),
            excludes=names.excludes,
            keeps=self._rules.delete,
            real=lambda: target.provider.real_directories,
        )
        try:
            return await work(pairing)
        finally:
            pairing.close()

    async def _plan(self, pairing: MergeJoin) -> SyncPlan:
        plan, differences = SyncPlan(), self._differences(pairing)
        deleting = self._deleting(pairing, differences)

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
        plan.unchanged = differences.unchanged
        plan.compared_by_age = differences.by_age
        return plan

    async def _run(self, pairing: MergeJoin, call: TransferCall) -> TransferReport:
        started, differences = monotonic(), self._differences(pairing)
        deleting = self._deleting(pairing, differences)
        aside: list[TransferResult] = []
        try:
            report = await _beside(
                differences.find,
                lambda: call.run(self._jobs(call.context, differences, deleting, aside)),
            )
        except TransferError as error:
            report = error.report
        kept = any(not self._is_unread(result.error) for result in report.failed)
        for result in aside:
            report.append(result)
        if self._rules.delete and not kept:
            async for result in deleting.run():
                report.append(result)
        report.seconds = monotonic() - started
        report.compared_by_age = differences.by_age
        return raise_failures(report)

    def _is_unread(self, error: StorageError | None) -> bool:
        """Whether a file of this machine could not be read: that is no reason to doubt the listings."""
        provider = self._source.provider
        refused = isinstance(error, AccessDeniedError) and (error.provider, error.operation) == (provider.name, "read")
        return refused and provider.local_disk is not None

    def _differences(self, pairing: MergeJoin) -> Differences:
        source, target, rules = self._source, self._target, self._rules
        return Differences(self._resources, source, target, rules.comparison, pairing, replaces=rules.delete)

    def _deleting(self, pairing: MergeJoin, differences: Differences) -> Deleting:
        return Deleting(self._resources, self._source, self._target, pairing, differences.kept)

    async def _jobs(
        self, context: TransferContext, differences: Differences, deleting: Deleting, aside: list[TransferResult]
    ) -> AsyncIterator[TransferItem]:
        """What is to be copied; what cannot be read, and what was in the way and is gone, is put `aside`."""
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
    """What `work()` returns, while `find()` is run beside it, for as long."""
    try:
        async with create_task_group() as group:
            group.start_soon(find)
            result = await work()
            group.cancel_scope.cancel()
    except BaseExceptionGroup as failures:
        raise first_of(failures) from None
    return result
