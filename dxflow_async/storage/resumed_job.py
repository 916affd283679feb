"""An earlier call that is resumed: its areas, its source and destination, the items it was given."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace

from dxflow_async.exceptions import ConfigurationError, DxflowError
from dxflow_async.storage.area import Area
from dxflow_async.storage.leftovers import left_uploads, remove_each
from dxflow_async.storage.resolver import Areas, ResolvedLocation
from dxflow_async.storage.write_rules import WriteRules
from dxflow_async.transfer.journal.jobfile import JobFile
from dxflow_async.transfer.journal.journal import Journal
from dxflow_async.transfer.journal.records import ItemId, JobSpec
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.selection import Selection
from dxflow_async.transfer.sync.rules import Rules

__all__ = ["ResumedJob", "check_arguments", "check_key_known", "given_pairs", "open_job", "resolved_ends"]

_log = logging.getLogger("dxflow_async.storage.jobs")


@dataclass(frozen=True, slots=True)
class ResumedJob:
    """A job that this process resumes.

    Attributes:
        resources: the session's resources.
        file: the job's file, which this process has opened.
        spec: the call.
        areas: the areas of its source and destination.
    """

    resources: Resources
    file: JobFile
    spec: JobSpec
    areas: Areas

    def journal(self) -> Journal:
        """Returns a journal that goes on where the earlier one ended."""
        return Journal(self.resources.settings.home, self.resources.threads, self.spec, self.file, self._discard)

    async def pairs(self) -> AsyncIterator[tuple[str, str]]:
        """Yields the pairs that the call was given, page by page."""
        last: ItemId | None = None
        while page := await self.resources.threads.run(self.file.items, last):
            for pair in given_pairs(page, self.areas):
                yield pair
            last = page[-1]

    async def has_moved_any(self) -> bool:
        """Whether it is a move that has moved some item."""
        return self.spec.operation == "move" and await self.resources.threads.run(self.file.ended_any)

    async def warn_when_incomplete(self) -> None:
        """Logs a warning when the call was interrupted before it had read all of its pairs."""
        if self.spec.source is None and not await self.resources.threads.run(lambda: self.file.complete):
            _log.warning(
                "job %s was interrupted before it knew all of its items: start a new call with the missing ones",
                self.file.id,
            )

    async def _discard(self, file: JobFile) -> bool:
        """Removes uploads that nobody resumes; returns whether all of them are gone."""
        try:
            await remove_each(await left_uploads(self.resources, file, self.areas[1]))
        except (DxflowError, OSError) as error:
            _log.info("%s", error)
            return False
        return True


def open_job(resources: Resources, job_id: str, owner_id: str) -> JobFile:
    """Opens a job's file for this call only. Blocks.

    Args:
        resources: the session's resources.
        job_id: the job.
        owner_id: of the temporary files of this call.

    Raises:
        JobNotFoundError: there is no such job.
        ConfigurationError: a newer version wrote it.
        JobBusyError: another process works on it.
    """
    settings = resources.settings
    return JobFile.open(settings.home, job_id, owner_id, durable=settings.durable)


def check_arguments(spec: JobSpec) -> None:
    """Raises the error that the call would raise if its stored arguments were damaged."""
    if spec.operation == "sync":
        assert Rules(**spec.arguments)
        return
    known = {"content_type", "metadata", "overwrite", "if_match", "options", "symlinks", "version", "keyed"}
    if spec.operation in ("copy", "move"):
        assert spec.arguments["into"] in (True, False, None)
        known |= {"into", "more", "include", "exclude", "files", "newer", "older", "larger", "smaller"}
        assert all(isinstance(each, str) for each in spec.arguments.get("more") or ())
        assert Selection.from_json(spec.arguments)
    if spec.arguments.keys() - known:
        raise ValueError(f"arguments that {spec.operation} does not have")
    assert WriteRules.from_json(spec.arguments)


def check_key_known(spec: JobSpec) -> None:
    """Refuses a job whose objects are encrypted with a customer's key, which no job keeps.

    Raises:
        ConfigurationError: it is such a job.
    """
    encryption = (spec.arguments.get("options") or {}).get("encryption", [None])
    if spec.arguments.get("keyed") or encryption[0] == "customer":
        text = "it needs the customer's key, which no job keeps; make a new call with it, or remove the job"
        raise ConfigurationError(f"the job cannot be resumed: {text}")


def resolved_ends(spec: JobSpec, areas: Areas) -> tuple[ResolvedLocation, ResolvedLocation]:
    """Returns source and destination of an earlier call; relative local paths start at its working directory."""
    if spec.source is None or spec.destination is None:
        return ResolvedLocation("", areas[0]), ResolvedLocation("", areas[1])
    first, *others = [
        _resolved(_local_source(spec, each) if areas[0] is None else each, areas[0])
        for each in (spec.source, *(spec.arguments.get("more") or ()))
    ]
    source = replace(first, more=tuple(each.path for each in others))
    path = os.path.join(spec.directory, spec.destination) if areas[1] is None else spec.destination
    return source, replace(_resolved(path, areas[1]), into=spec.arguments.get("into"))


def given_pairs(pairs: Iterable[ItemId], areas: Areas) -> list[tuple[str, str]]:
    """Returns pairs as the call was given them: paths in their areas."""
    start, end = areas
    return [
        (source if start is None else start.path_shown(source), goal if end is None else end.path_shown(goal))
        for source, goal in pairs
    ]


def _resolved(shown: str, area: Area | None) -> ResolvedLocation:
    return ResolvedLocation(shown if area is None else area.path_shown(shown), area)


def _local_source(spec: JobSpec, source: str) -> str:
    if os.path.isabs(source):
        return source
    path = os.path.join(spec.directory, source)
    # A pattern: only the part that the user wrote may have wildcards.
    return path if os.path.lexists(path) else os.path.join(glob.escape(spec.directory), source)
