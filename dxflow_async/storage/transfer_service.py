"""The calls that transfer items between any two locations: copy, move, sync, upload, download, and resuming them.

Each call is described by a `JobSpec`. A new call makes one from its arguments, a resumed call reads it from the job's
file; from there on both take the same way: the items are planned and transferred, the listing cache learns what was
stored, and a report with failures gets its `retry_failed`.

What plans and moves items is imported by the first call that needs it: a session that only lists starts sooner.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from dxflow_async.exceptions import NotFoundError, TransferError
from dxflow_async.glob_patterns import has_magic
from dxflow_async.location_path import LocationPath
from dxflow_async.models import SyncPlan, TransferReport
from dxflow_async.paths import key_of
from dxflow_async.providers.contract import ObjectOptions, Provider
from dxflow_async.storage.early_totals import early_totals
from dxflow_async.storage.object_views import reading_area
from dxflow_async.storage.write_rules import WriteRules
from dxflow_async.transfer.journal.records import ItemId, JobSpec
from dxflow_async.transfer.planning.destination import (
    Destination,
    LocalDestination,
    LocalPlaces,
    RemoteDestination,
    directory,
)
from dxflow_async.transfer.run_options import RunOptions
from dxflow_async.transfer.selection import Selection
from dxflow_async.transfer.sync.check_report import CheckReport
from dxflow_async.transfer.sync.rules import Rules

if TYPE_CHECKING:
    from dxflow_async.storage.area import Area
    from dxflow_async.storage.listing import ListingCache
    from dxflow_async.storage.resolver import LocationResolver, ResolvedLocation, Written
    from dxflow_async.storage.worker_pools import WorkerPools
    from dxflow_async.transfer.context import Place, TransferContext
    from dxflow_async.transfer.engine import TransferItem
    from dxflow_async.transfer.executor.coordinator import Coordinator, Placement
    from dxflow_async.transfer.executor.options import Workers
    from dxflow_async.transfer.journal.jobfile import JobFile
    from dxflow_async.transfer.journal.journal import Journal
    from dxflow_async.transfer.progress import OnProgress
    from dxflow_async.transfer.resources import Resources, TransferCall
    from dxflow_async.transfer.sync.sync import Sync

__all__ = ["Pairs", "TransferService"]

_HERE = RunOptions()

_HANGS, _LEAST_HANG_SECONDS = 2, 5.0
"""A worker that is not heard of for so many stall timeouts, and at least for so many seconds, hangs."""

Pairs = Iterable[tuple[str, str]] | AsyncIterable[tuple[str, str]]
"""Pairs of source and destination paths, as `upload_many` and `download_many` take them."""


class TransferService:
    """Runs the transfers of a session.

    Args:
        resources: the session's resources.
        resolver: finds the areas of locations.
        cache: the session's listing cache.

    Attributes:
        resources, resolver, cache: as given.
    """

    def __init__(self, resources: Resources, resolver: LocationResolver, cache: ListingCache) -> None:
        self.resources = resources
        self.resolver = resolver
        self.cache = cache

    @cached_property
    def pools(self) -> WorkerPools:
        """Where calls run that are given workers."""
        from dxflow_async.storage.worker_pools import WorkerPools

        return WorkerPools(self.resources, self.resolver.account)

    async def copy(
        self,
        src: Written | Sequence[Written],
        dst: Written,
        storage_type: str,
        on_progress: OnProgress | None,
        running: RunOptions = _HERE,
        *,
        move: bool = False,
        rules: WriteRules | None = None,
        selection: Selection | None = None,
    ) -> TransferReport:
        """Copies or moves; see `AsyncSession.copy` and `AsyncSession.move`."""
        source = await self.resolver.resolve_sources(src, storage_type)
        destination = await self.resolver.resolve(dst, storage_type, new=True)
        if source.more and isinstance(dst, LocationPath | PurePath):
            destination = destination.as_directory()
        return await self.relocate(
            source, destination, on_progress, running, move=move, rules=rules, selection=selection
        )

    async def relocate(
        self,
        source: ResolvedLocation,
        destination: ResolvedLocation,
        on_progress: OnProgress | None = None,
        running: RunOptions = _HERE,
        *,
        move: bool = False,
        rules: WriteRules | None = None,
        selection: Selection | None = None,
    ) -> TransferReport:
        """Copies or moves between locations that are resolved."""
        into = (await self._destination(destination)).into
        destination = replace(destination, into=into)
        operation = "move" if move else "copy"
        arguments: dict[str, Any] = {"into": into}
        if selection is not None:
            arguments |= selection.to_json()
        if source.more:
            arguments["more"] = [replace(source, path=path).shown for path in source.more]
        return await self.run(operation, source, destination, arguments, on_progress, running, rules=rules)

    async def sync(
        self,
        src: Written,
        dst: Written,
        rules: Rules,
        storage_type: str,
        on_progress: OnProgress | None,
        running: RunOptions = _HERE,
    ) -> TransferReport:
        """Syncs; see `AsyncSession.sync`."""
        source, destination = await self._resolve(src, dst, storage_type)
        return await self.run("sync", source, destination, rules.to_json(), on_progress, running)

    async def plan_sync(self, src: Written, dst: Written, rules: Rules, storage_type: str) -> SyncPlan:
        """Returns the actions that `sync` would take."""
        source, destination = await self._resolve(src, dst, storage_type)
        return await (await self._sync(source, destination, rules)).plan()

    async def check(self, a: Written, b: Written, rules: Rules, storage_type: str) -> CheckReport:
        """Compares; see `AsyncSession.check`."""
        from dxflow_async.transfer.planning.relocate import look_up

        source, destination = [await self.resolver.resolve(each, storage_type) for each in (a, b)]
        for side in (source, destination):
            local = LocalPlaces(self.resources.threads)
            place = local.place(side.path) if side.area is None else side.area.place(side.path)
            await look_up(self.resources.context(None), directory(place), "check")
        return CheckReport(await (await self._sync(source, destination, rules)).plan())

    async def run(
        self,
        operation: str,
        source: ResolvedLocation,
        destination: ResolvedLocation,
        arguments: Mapping[str, Any],
        on_progress: OnProgress | None,
        running: RunOptions = _HERE,
        *,
        pairs: Pairs | None = None,
        rules: WriteRules | None = None,
    ) -> TransferReport:
        """Runs a new call.

        Args:
            operation: an operation of `JobSpec`.
            source: the source; of a call that is given pairs, its area.
            destination: the destination; of a call that is given pairs, its area.
            arguments: the call's other arguments, in plain JSON types.
            on_progress: called with a `Progress` at most ten times a second.
            running: how the call runs.
            pairs: the items of `upload_many` and `download_many`, or those of a copy of several objects.
            rules: what is stored with the objects, and which objects are replaced.

        Raises:
            TransferError: some item failed.
        """
        if rules is not None:
            destination = rules.applied_to(destination, operation)
            arguments = {**arguments, **rules.to_json()}
        areas, account = (source.area_id, destination.area_id), self.resolver.account.name
        start, end = (source.shown, destination.shown) if pairs is None else (None, None)
        spec = JobSpec(operation, start, end, arguments, areas, account)
        with self.resources.threads.owning():
            return await self._run(spec, source, destination, pairs or (), on_progress, running)

    async def resume(
        self, job_id: str, on_progress: OnProgress | None = None, running: RunOptions = _HERE
    ) -> TransferReport:
        """Resumes a job; see `AsyncSession.resume`."""
        from dxflow_async.storage.resumed_job import open_job
        from dxflow_async.transfer.journal.jobfile import JobFile

        self.resources.check_open()
        threads = self.resources.threads
        with threads.owning():
            file = await threads.acquire(open_job, self.resources, job_id, threads.owner_id, release=JobFile.close)
            try:
                return await self._resume(file, on_progress, running)
            finally:
                await threads.finish(file.close)

    async def repeat(
        self, spec: JobSpec, job_id: str | None, pairs: Sequence[ItemId], running: RunOptions
    ) -> TransferReport:
        """Repeats a call, except for the items that are done; see `TransferReport.retry_failed`."""
        from dxflow_async.storage.resumed_job import given_pairs, resolved_ends

        if job_id is not None:
            return await self.resume(job_id, None, running)
        areas = await self.resolver.areas_of(spec)
        with self.resources.threads.owning():
            return await self._run(spec, *resolved_ends(spec, areas), given_pairs(pairs, areas), None, running)

    async def _resume(self, file: JobFile, on_progress: OnProgress | None, running: RunOptions) -> TransferReport:
        from dxflow_async.storage.resumed_job import ResumedJob, check_arguments, check_key_known, resolved_ends

        run = self.resources.threads.run
        spec = await run(lambda: file.spec)
        with file.reading():
            check_arguments(spec)
        check_key_known(spec)
        job = ResumedJob(self.resources, file, spec, await self.resolver.areas_of(spec))
        moved = await job.has_moved_any()
        await job.warn_when_incomplete()
        ends = resolved_ends(spec, job.areas)
        try:
            return await self._run(spec, *ends, job.pairs(), on_progress, running, job.journal())
        except NotFoundError:
            if not moved:
                raise
            await run(file.remove)  # everything is at its destination, and the source is gone
            return TransferReport([], 0.0)

    async def _run(
        self,
        spec: JobSpec,
        source: ResolvedLocation,
        destination: ResolvedLocation,
        pairs: Pairs,
        on_progress: OnProgress | None,
        running: RunOptions,
        journal: Journal | None = None,
    ) -> TransferReport:
        placement = self._placement(running.workers, spec, destination.provider)
        call = self.resources.begin(spec, on_progress, journal, placement, running)
        again, meter = partial(self._may_repeat, call, spec, running), call.context.meter
        call.start()
        try:
            async with asyncio.timeout(running.timeout) as limit:
                if not meter.watched or source.area is not None or spec.source is None or spec.operation == "sync":
                    return await self._transfer(call, again, source, destination, pairs)
                selection = Selection.from_json(spec.arguments)
                async with early_totals(self.resources.threads, source.paths, selection, meter):
                    return await self._transfer(call, again, source, destination, pairs)
        except TimeoutError:
            if not limit.expired():
                raise
            raise call.timed_out() from None
        finally:
            call.stop()

    async def _transfer(
        self,
        call: TransferCall,
        again: Callable[[TransferReport, bool], None],
        source: ResolvedLocation,
        destination: ResolvedLocation,
        pairs: Pairs,
    ) -> TransferReport:
        spec = call.spec
        if spec.operation == "sync":
            sync = await self._sync(source, destination, Rules(**spec.arguments))
            return await self._finish(again, source, destination, sync.run(call))
        items = await self._plan(call.context, spec, source, destination, pairs)
        if spec.operation == "move":
            return await self._move(again, source, destination, partial(call.run, items))
        return await self._finish(again, source, destination, call.run(items))

    def deleter(self, area: Area, workers: Workers | None) -> Coordinator | None:
        """Returns what has workers delete objects of an area; None without workers."""
        from dxflow_async.transfer.executor.coordinator import Coordinator

        spec = JobSpec("copy", None, None, {}, (area.id, area.id), self.resolver.account.name)
        placement = self._placement(workers, spec, area.provider)
        return None if placement is None else Coordinator(placement, None, self.resources.threads)

    def _placement(self, workers: Workers | None, spec: JobSpec, destination: Provider | None) -> Placement | None:
        if workers is None:
            return None
        from dxflow_async.transfer.executor.coordinator import Placement

        settings, executor = self.resources.settings, self.pools.executor_for(workers)
        template = partial(self.pools.template, workers, spec, executor)
        hangs = max(_HANGS * settings.stall_timeout, _LEAST_HANG_SECONDS)
        return Placement(executor, template, settings.max_concurrency, settings.max_bandwidth, hangs, destination)

    async def _plan(
        self,
        context: TransferContext,
        spec: JobSpec,
        source: ResolvedLocation,
        destination: ResolvedLocation,
        pairs: Pairs,
    ) -> AsyncIterator[TransferItem]:
        """Returns the items of a call, which are planned as they are transferred."""
        from dxflow_async.transfer.planning.download import download, download_each
        from dxflow_async.transfer.planning.listed_names import with_missing
        from dxflow_async.transfer.planning.several import copy_pairs, relocate_each
        from dxflow_async.transfer.planning.upload import upload, upload_each

        threads, arguments, operation = self.resources.threads, spec.arguments, spec.operation
        rules = WriteRules.from_json(arguments, public=_is_public(destination.area))
        options, overwrite = rules.options, rules.overwrite
        if rules.symlinks != "follow":
            context = replace(context, symlinks=rules.symlinks)
        if operation == "upload_many":
            assert destination.area is not None
            place = destination.area.place
            sent = ((os.fspath(s), place(d)) async for s, d in _each(pairs))
            return upload_each(context, LocalPlaces(threads), sent, options, overwrite=overwrite)
        if operation == "download_many":
            assert source.area is not None
            place = source.area.place
            return download_each(
                context, threads, ((place(s), os.fspath(d)) async for s, d in _each(pairs)), overwrite=overwrite
            )
        if operation == "download":
            assert source.area is not None
            area = reading_area(source.area, source.path, arguments.get("version"), None)
            return download(context, threads, area.place(source.path), destination.path, overwrite=overwrite)
        if spec.source is None:
            assert source.area is not None
            assert destination.area is not None
            from_place, to_place = source.area.place, destination.area.place
            copied = ((from_place(s), to_place(d)) async for s, d in _each(pairs))
            return copy_pairs(context, copied, options, overwrite=overwrite)
        end, move = await self._destination(destination), operation == "move"
        selection = Selection.from_json(arguments)
        if not selection.takes_all:
            context = replace(context, selection=selection)
        if source.area is None:
            items = upload(
                context,
                LocalPlaces(threads, marks_links=rules.symlinks != "follow"),
                source.paths,
                end,
                options,
                operation=operation,
                move=move,
                overwrite=overwrite,
            )
        else:
            items = relocate_each(
                context,
                [source.area.place(path) for path in source.paths],
                end,
                options,
                operation=operation,
                move=move,
                overwrite=overwrite,
            )
        return items if selection.files is None else with_missing(items, selection, source.shown, destination.shown)

    async def _move(
        self,
        again: Callable[[TransferReport, bool], None],
        source: ResolvedLocation,
        destination: ResolvedLocation,
        transfer: Callable[[], Awaitable[TransferReport]],
    ) -> TransferReport:
        """Moves, and removes the directories that the move has emptied."""
        from dxflow_async.transfer.planning.directories import remove_emptied

        tops = await self._tops(source)
        try:
            report = await self._finish(again, source, destination, transfer())
        except BaseException:
            if source.area is not None:
                for path in source.paths:
                    self.cache.doubted(source.area.cache_key, f"/{key_of(path)}")
            raise
        if source.area is not None:
            for path in source.paths:
                self.cache.note_moved(source.area, path, report)
        for top in tops:
            await remove_emptied(self.resources.context(None), top, itself=not source.is_directory)
        return report

    async def _finish(
        self,
        again: Callable[[TransferReport, bool], None],
        source: ResolvedLocation,
        destination: ResolvedLocation,
        transfer: Awaitable[TransferReport],
    ) -> TransferReport:
        """Awaits a transfer, tells the listing cache what was stored, and lets a report retry what failed."""
        area, failure = destination.area, None
        try:
            report = await transfer
        except TransferError as error:
            report, failure = error.report, error
        except BaseException:
            if area is not None:  # nobody knows how much was stored
                self.cache.drop_below(area.cache_key, "/")
            raise
        if area is not None:
            self.cache.note_stored(area, report)
        notices = [each.area.notice for each in (source, destination) if each.area is not None and each.area.notice]
        report.notices = tuple(dict.fromkeys(notices))
        again(report, failure is not None)
        if failure is not None:
            raise failure
        return report

    def _may_repeat(
        self, call: TransferCall, spec: JobSpec, running: RunOptions, report: TransferReport, failed: bool
    ) -> None:
        if spec.operation == "sync" or (failed and call.recorded):
            report.may_retry(partial(self.repeat, spec, report.job_id, call.pairs, running))

    async def _resolve(
        self, src: Written, dst: Written, storage_type: str
    ) -> tuple[ResolvedLocation, ResolvedLocation]:
        resolve = self.resolver.resolve
        return await resolve(src, storage_type), await resolve(dst, storage_type, new=True)

    async def _destination(self, location: ResolvedLocation) -> Destination:
        if location.area is not None:
            return RemoteDestination(location.area.place(location.path))
        threads, into = self.resources.threads, location.into
        if into is None:
            into = location.is_directory or await threads.run(os.path.isdir, location.path)
        return LocalDestination(location.path, threads, into=into)

    async def _tops(self, source: ResolvedLocation) -> list[Place]:
        """The real directories that a move is to leave empty, or to remove."""
        from dxflow_async.transfer.planning.upload import expand

        threads, area = self.resources.threads, source.area
        if area is not None:
            return [place for path in source.paths async for place in self._remote_tops(area, path)]
        files, paths = LocalPlaces(threads), list[str]()
        for path in source.paths:
            try:
                paths += await expand(threads, path)
            except NotFoundError:
                if not source.more:
                    raise
        return [directory(files.place(path)) for path in paths if await threads.run(_is_real_directory, path)]

    async def _remote_tops(self, area: Area, path: str) -> AsyncIterator[Place]:
        from dxflow_async.transfer.planning.globbing import matching

        provider, key = area.provider, area.key(path)
        if not has_magic(key):
            yield directory(area.place(path))
        elif provider.real_directories:
            limits, policy = self.resources.limits, self.resources.policy
            async for entry in matching(provider, key, hidden=True, limits=limits, policy=policy):
                if entry.directory:
                    yield directory(area.place(area.path(entry.key)))

    async def _sync(self, source: ResolvedLocation, destination: ResolvedLocation, rules: Rules) -> Sync:
        from dxflow_async.transfer.sync.sync import Sync

        place = source.area.place(source.path) if source.area is not None else None
        place = place or LocalPlaces(self.resources.threads).place(source.path)
        options = ObjectOptions(public=_is_public(destination.area))
        return Sync(self.resources, directory(place), await self._destination(destination), options, rules)


def _is_public(area: Area | None) -> bool:
    return area is not None and area.public


def _is_real_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path.rstrip("/" + os.sep))


async def _each(pairs: Pairs) -> AsyncIterator[tuple[str, str]]:
    if isinstance(pairs, AsyncIterable):
        async for source, destination in pairs:
            yield source, destination
    else:
        for source, destination in pairs:
            yield source, destination
