"""Jobs that have not come to their end: what is known of them, going on with one, removing what they have left."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import ConfigurationError, DxflowError, JobBusyError, NotFoundError, StorageError
from dxflow_async.models import JobInfo, Leftover, TransferReport
from dxflow_async.providers.contract import ObjectOptions, Provider
from dxflow_async.providers.registry import local_provider
from dxflow_async.storage.area import Area
from dxflow_async.storage.area_storage import AreaStorage, Pairs
from dxflow_async.storage.transfer_service import Located, TransferService
from dxflow_async.transfer.items.multipart import unknown_uploads
from dxflow_async.transfer.journal.jobfile import JobFile, job_ids, known_uploads
from dxflow_async.transfer.journal.journal import Journal
from dxflow_async.transfer.journal.records import AreaId, BegunUpload, ItemId, JobSpec
from dxflow_async.transfer.journal.schema import DamagedJobFile
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.request import request
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.sync.sync import Rules

__all__ = ["Jobs"]

_log = logging.getLogger("dxflow_async.storage.jobs")

T = TypeVar("T")

Areas = tuple[Area | None, Area | None]
"""Of source and destination; None for this machine's disks."""


class Jobs:
    """The jobs of a home directory, for one session.

    Args:
        resources: the session's.
        anywhere: the session's, which knows its listings.
    """

    def __init__(self, resources: Callable[[], Resources], anywhere: TransferService) -> None:
        self._resources = resources
        self._transfers = anywhere

    async def unfinished(self) -> list[JobInfo]:
        """See `AsyncSession.jobs`."""
        resources = self._resources()
        return await resources.threads.run(_infos, resources)

    async def resume(self, job_id: str, on_progress: OnProgress | None) -> TransferReport:
        """See `AsyncSession.resume`."""
        resources = self._resources()
        file = await resources.threads.run(_open, resources, job_id)
        try:
            return await self._go_on(resources, file, on_progress)
        finally:
            await resources.threads.run(file.close)

    async def repeat(self, asked: JobSpec, job_id: str | None, pairs: Sequence[ItemId]) -> TransferReport:
        """Does what a call was asked, but for what is done already. See `TransferReport.retry_failed`."""
        if job_id is not None:
            return await self.resume(job_id, None)
        resources = self._resources()
        areas = await self._checked(resources, asked)
        return await self._do(asked, areas, resources, None, _given(pairs, areas))

    async def clean(self, job_ids: Sequence[str], *, dry_run: bool) -> list[Leftover]:
        """See `AsyncSession.clean_jobs`."""
        resources = self._resources()
        found: list[Leftover] = []
        failures: list[Exception] = []
        for job_id in list(job_ids) or await resources.threads.run(_ids, resources):
            try:
                found += await self._clean(resources, job_id, dry_run=dry_run)
            except (ConfigurationError, JobBusyError) as error:
                if job_ids:
                    raise
                await resources.threads.run(_leave, resources, job_id, error)
            except (StorageError, OSError) as error:
                failures.append(error)  # what the others have left goes all the same
        if failures:
            raise failures[0]
        return found

    # Going on

    async def _go_on(self, resources: Resources, file: JobFile, on_progress: OnProgress | None) -> TransferReport:
        asked = await resources.threads.run(lambda: file.asked)
        with file.reading():
            _check_arguments(asked)
        areas = await self._checked(resources, asked)
        home, threads = resources.settings.home, resources.threads

        async def discard(file: JobFile) -> bool:
            try:
                await _remove_all(await _left_uploads(resources, file, areas[1]))
            except (DxflowError, OSError) as error:
                _log.info("%s", error)
                return False
            return True

        resuming = resources.resuming(lambda _: Journal(home, threads, asked, file, discard))
        moved = asked.operation == "move" and await threads.run(file.ended_any)
        if asked.source is None and not await threads.run(lambda: file.complete):
            _log.warning(
                "job %s had not been told all of its items: give those that are missing to a new call", file.id
            )
        try:
            return await self._do(asked, areas, resuming, on_progress, _pairs(file, resources, areas))
        except NotFoundError:
            if not moved:
                raise
            await threads.run(file.remove)  # all is at its destination, and the source is gone
            return TransferReport([], 0.0)

    async def _do(
        self, asked: JobSpec, areas: Areas, resources: Resources, on_progress: OnProgress | None, pairs: Pairs
    ) -> TransferReport:
        """The call that was asked for."""
        anywhere, arguments = self._transfers.resuming(lambda: resources), dict(asked.arguments)
        area, where = areas[0] or areas[1], asked.places[0] or asked.places[1]

        async def find() -> Area:
            assert area is not None
            return area

        kind = "private" if where is None else where.storage_type
        storage = AreaStorage(lambda: resources, find, anywhere, kind)
        if asked.operation == "upload_many":
            return await storage.upload_many(pairs, **arguments, on_progress=on_progress)
        if asked.operation == "download_many":
            return await storage.download_many(pairs, on_progress=on_progress)
        source, destination = (_located(*each) for each in zip(_paths(asked), asked.places, areas, strict=True))
        if asked.operation == "upload":
            return await storage.upload(source.path, destination.path, **arguments, on_progress=on_progress)
        if asked.operation == "download":
            return await storage.download(source.path, destination.path, on_progress=on_progress)
        if asked.operation == "sync":
            return await anywhere.sync(source, destination, Rules(**arguments), on_progress)
        destination = replace(destination, into=arguments["into"])
        return await anywhere.relocate(source, destination, on_progress, move=asked.operation == "move")

    async def _checked(self, resources: Resources, asked: JobSpec) -> Areas:
        """The areas of both ends.

        Raises:
            ConfigurationError: they are others than the job's.
        """
        start, end = [await self._area(place) for place in asked.places]
        if (start, end) != (None, None) and asked.account != resources.account:
            theirs = asked.account or "no account"
            raise ConfigurationError(f"the job was begun with {theirs}; sign in like that to go on with it")
        return start, end

    async def _area(self, where: AreaId | None) -> Area | None:
        if where is None:
            return None
        area = (await self._transfers.locate(where.location, where.storage_type)).area
        assert area is not None
        if area.where != where.place:
            raise ConfigurationError(
                f"the job was begun with {where.place}, and the settings name {area.where}; set them as they were"
            )
        return area

    # Cleaning

    async def _clean(self, resources: Resources, job_id: str, *, dry_run: bool) -> list[Leftover]:
        run, home = resources.threads.run, resources.settings.home
        try:
            file = await run(_open, resources, job_id)
            try:
                return await self._clean_file(resources, file, dry_run=dry_run)
            finally:
                await run(file.close)
        except DamagedJobFile as error:
            _log.warning("job %s: %s; uploads in parts that it had begun may be left", job_id, error)
            aside = await run(lambda: JobFile.set_aside(home, job_id, dry_run=dry_run))
            return [Leftover(job_id, "damaged", str(aside))]

    async def _clean_file(self, resources: Resources, file: JobFile, *, dry_run: bool) -> list[Leftover]:
        run = resources.threads.run
        _, area = await self._checked(resources, await run(lambda: file.asked))
        uploads = await _left_uploads(resources, file, area)
        known = {upload.id for upload in uploads}
        files = [path for path in await run(_left_files, file, area, resources.threads) if path not in known]
        if not dry_run:
            await _remove_all(uploads)
            await run(_unlink, files)
            await run(file.remove)
        left = [Leftover(file.id, "upload", upload.place) for upload in uploads]
        return [*left, *(Leftover(file.id, "file", path) for path in files), Leftover(file.id, "job", file.id)]


def _check_arguments(asked: JobSpec) -> None:
    """Raises what the call would, were its arguments not those that were noted."""
    if asked.operation == "sync":
        assert Rules(**asked.arguments)
    elif asked.operation in ("copy", "move"):
        assert asked.arguments["into"] in (True, False, None)
    elif asked.arguments.keys() - {"content_type", "metadata"}:
        raise ValueError(f"arguments that {asked.operation} does not have")


def _ids(resources: Resources) -> list[str]:
    return job_ids(resources.settings.home)


def _infos(resources: Resources) -> list[JobInfo]:
    found = []
    for job_id in _ids(resources):
        try:
            found.append(JobFile.info(resources.settings.home, job_id))
        except ConfigurationError as error:
            _leave(resources, job_id, error)
    return found


def _leave(resources: Resources, job_id: str, error: DxflowError) -> None:
    """One job that cannot be used hides no other; those of other processes come and go."""
    if JobFile.lies_idle(resources.settings.home, job_id):
        _log.warning("job %s is left alone: %s", job_id, error)


def _located(path: str, where: AreaId | None, area: Area | None) -> Located:
    if area is None or where is None:
        return Located(path)
    return Located(area.path_shown(path), area, where.storage_type)


def _paths(asked: JobSpec) -> tuple[str, str]:
    """Source and destination; what was relative to another directory is whole."""
    assert asked.source is not None
    assert asked.destination is not None
    start, end = asked.places
    source, destination = asked.source, asked.destination
    if start is None and not os.path.isabs(source):
        path = os.path.join(asked.directory, source)
        source = path if os.path.lexists(path) else os.path.join(glob.escape(asked.directory), source)
    return source, os.path.join(asked.directory, destination) if end is None else destination


def _given(pairs: Iterable[ItemId], areas: Areas) -> list[tuple[str, str]]:
    """Pairs as the call was given them."""
    start, end = areas
    return [
        (source if start is None else start.path_shown(source), goal if end is None else end.path_shown(goal))
        for source, goal in pairs
    ]


async def _pairs(file: JobFile, resources: Resources, areas: Areas) -> AsyncIterator[tuple[str, str]]:
    """The pairs that a job was told, page by page."""
    last: ItemId | None = None
    while page := await resources.threads.run(file.items, last):
        for pair in _given(page, areas):
            yield pair
        last = page[-1]


@dataclass(frozen=True, slots=True)
class _LeftUpload:
    """An upload that nobody goes on with: where it leads, its id, and what removes it."""

    place: str
    id: str
    remove: Callable[[], Awaitable[None]]


async def _left_uploads(resources: Resources, file: JobFile, area: Area | None) -> list[_LeftUpload]:
    """What a job has begun, or may have, and is there."""
    run = resources.threads.run
    uploads, orphans, creations = await run(lambda: (file.uploads(), file.orphans(), file.creations()))
    begun = [(ends.destination, each) for ends, each in uploads]
    shown: Callable[[str], str] = (lambda key: key) if area is None else (lambda key: area.shown(area.path(key)))
    begun += [(shown(key), BegunUpload(key, upload_id, None, 0, 0)) for key, upload_id in orphans]
    left = [_LeftUpload(place, each.id, partial(_remove, resources, area, each)) for place, each in begun]
    if area is None or not (creations and area.provider.features.unfinished_uploads):
        return left
    home, provider = resources.settings.home, area.provider
    known = {each.id for each in left} | await run(lambda: known_uploads(home, but_of=file.id))
    for key, asked_at in creations.items():
        try:
            found = await _ask(resources, provider, lambda k=key, t=asked_at: unknown_uploads(provider, k, t, known))  # type: ignore[misc]
        except NotFoundError:
            continue  # the bucket is gone, and what was in it
        left += [_LeftUpload(shown(key), each.id, partial(_ask, resources, provider, each.abort)) for each in found]
    return left


async def _remove_all(uploads: Iterable[_LeftUpload]) -> None:
    """Removes uploads, as many as can be.

    Raises:
        StorageError: of the first that could not be removed.
    """
    failures: list[StorageError] = []
    for upload in uploads:
        try:
            await upload.remove()
        except NotFoundError:
            continue
        except StorageError as error:
            failures.append(error)
    if failures:
        raise failures[0]


async def _remove(resources: Resources, area: Area | None, begun: BegunUpload) -> None:
    if area is None or area.provider.local_disk is not None:
        await resources.threads.run(_unlink, [begun.id])
        return
    provider = area.provider
    upload, _ = await _ask(
        resources, provider, lambda: provider.resume_upload(begun.key, begun.id, begun.receipts, ObjectOptions())
    )
    await _ask(resources, provider, upload.abort)


async def _ask(resources: Resources, provider: Provider, operation: Callable[[], Awaitable[T]]) -> T:
    return await request(operation, provider, limits=resources.limits, policy=resources.policy)


def _unlink(paths: Iterable[str]) -> None:
    for path in paths:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _left_files(file: JobFile, area: Area | None, threads: Threads) -> list[str]:
    """Returns the temporary files that earlier processes left on this machine's disks; blocks."""
    asked, marks = file.asked, file.marks
    disk = (local_provider(os.sep, threads) if area is None else area.provider).local_disk
    if disk is None:
        return []
    found: list[str] = []
    for directory in _directories(file, asked, area):
        with suppress(OSError):
            found += disk.leftovers(directory, marks)
    return found


def _directories(file: JobFile, asked: JobSpec, area: Area | None) -> Iterator[str]:
    """Yields each directory that a job may have been writing to, once."""
    for top in dict.fromkeys(_tops(file, asked, area)):
        yield from (path for path, _, _ in os.walk(top)) if asked.source is not None else (top,)


def _tops(file: JobFile, asked: JobSpec, area: Area | None) -> Iterator[str]:
    if asked.source is not None:
        path = _on_disk(_paths(asked)[1], area)
        yield path if os.path.isdir(path) else os.path.dirname(path)
        return
    last: ItemId | None = None
    while page := file.items(last):
        for ends in page:
            yield os.path.dirname(_on_disk(ends.destination, area))
        last = page[-1]


def _on_disk(shown: str, area: Area | None) -> str:
    if area is None:  # what was written into the place of a link is beside the file it leads to
        return os.path.realpath(shown) if os.path.islink(shown) else shown
    disk = area.provider.local_disk
    assert disk is not None
    return disk.path(area.key(area.path_shown(shown)))


def _open(resources: Resources, job_id: str) -> JobFile:
    settings = resources.settings
    return JobFile.open(settings.home, job_id, resources.threads.owner_id, durable=settings.durable)
