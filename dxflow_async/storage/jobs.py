"""Jobs, the calls that are unfinished: listing them, and removing what they have left."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dxflow_async.exceptions import ConfigurationError, DxflowError, JobBusyError, StorageError
from dxflow_async.models import JobList, Leftover
from dxflow_async.storage.leftovers import left_files, left_uploads, remove_each
from dxflow_async.storage.resumed_job import open_job, resolved_ends
from dxflow_async.transfer.executor.killed_calls import remove_dead_channels
from dxflow_async.transfer.journal.jobfile import JobFile, job_ids
from dxflow_async.transfer.journal.schema import DamagedJobFile

if TYPE_CHECKING:
    from dxflow_async.storage.resolver import LocationResolver
    from dxflow_async.transfer.resources import Resources

__all__ = ["Jobs"]

_log = logging.getLogger("dxflow_async.storage.jobs")


class Jobs:
    """The jobs in a home directory.

    Args:
        resources: the session's resources.
        resolver: finds the areas of jobs.
    """

    def __init__(self, resources: Resources, resolver: LocationResolver) -> None:
        self._resources = resources
        self._resolver = resolver

    async def unfinished(self, ids: Sequence[str] = ()) -> JobList:
        """See `AsyncSession.jobs`.

        Raises:
            ConfigurationError: one of the ids is not a job's, or a newer version wrote that job.
        """
        self._resources.check_open()
        return await self._resources.threads.run(self._infos, ids)

    async def clean(self, ids: Sequence[str], *, dry_run: bool) -> list[Leftover]:
        """See `AsyncSession.clean_jobs`."""
        self._resources.check_open()
        run = self._resources.threads.run
        found: list[Leftover] = []
        failures: list[Exception] = []
        for job_id in list(ids) or await run(self._ids):
            try:
                found += await self._clean(job_id, dry_run=dry_run)
            except (ConfigurationError, JobBusyError) as error:
                if ids:
                    raise
                await run(self._warn_of, job_id, error)
            except (StorageError, OSError) as error:
                failures.append(error)  # the other jobs are cleaned all the same
        if not dry_run:
            await run(remove_dead_channels)
        if failures:
            raise failures[0]
        return found

    async def _clean(self, job_id: str, *, dry_run: bool) -> list[Leftover]:
        threads, home = self._resources.threads, self._resources.settings.home
        try:
            file = await threads.acquire(open_job, self._resources, job_id, threads.owner_id, release=JobFile.close)
            try:
                return await self._clean_file(file, dry_run=dry_run)
            finally:
                await threads.finish(file.close)
        except DamagedJobFile as error:
            _log.warning("job %s: %s; uploads in parts that it had begun may be left", job_id, error)
            aside = await threads.run(lambda: JobFile.set_aside(home, job_id, dry_run=dry_run))
            return [Leftover(job_id, "damaged", str(aside))]

    async def _clean_file(self, file: JobFile, *, dry_run: bool) -> list[Leftover]:
        run = self._resources.threads.run
        spec = await run(lambda: file.spec)
        areas = await self._resolver.areas_of(spec)
        area, (_, destination) = areas[1], resolved_ends(spec, areas)
        uploads = await left_uploads(self._resources, file, area)
        files = await left_files(self._resources, file, destination.shown, area, [upload.id for upload in uploads])
        if not dry_run:
            await remove_each(uploads)
            await remove_each(files)
            await run(file.remove)
        left = [Leftover(file.id, "upload", upload.location) for upload in uploads]
        return [*left, *(Leftover(file.id, "file", each.location) for each in files), Leftover(file.id, "job", file.id)]

    def _ids(self) -> list[str]:
        return job_ids(self._resources.settings.home)

    def _infos(self, ids: Sequence[str]) -> JobList:
        home = self._resources.settings.home
        if ids:
            return JobList([JobFile.info(home, job_id) for job_id in ids])
        found = JobList()
        for job_id in self._ids():
            try:
                found.append(JobFile.info(home, job_id))
            except ConfigurationError as error:
                self._warn_of(job_id, error)
        return found

    def _warn_of(self, job_id: str, error: DxflowError) -> None:
        """Logs why a job is skipped, unless another process has just ended it."""
        if JobFile.lies_idle(self._resources.settings.home, job_id):
            _log.warning("job %s is left alone: %s", job_id, error)
