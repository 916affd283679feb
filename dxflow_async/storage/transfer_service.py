"""Copying, moving and syncing between any two places, with a listing cache that stays true."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dxflow_async.exceptions import TransferError
from dxflow_async.models import SyncPlan, TransferReport
from dxflow_async.paths import Location, is_local_path, key_of, parse_location, unit_path, unknown_scheme
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.storage.area import Area
from dxflow_async.storage.listing import ListingCache, note_moved, note_stored
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.journal.records import AreaId, JobSpec
from dxflow_async.transfer.planning.destination import (
    Destination,
    LocalDestination,
    LocalFiles,
    RemoteDestination,
    directory,
)
from dxflow_async.transfer.planning.tree import relocate, remove_emptied
from dxflow_async.transfer.planning.upload import expand, upload
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.sync.sync import Rules, Sync

__all__ = ["Located", "TransferService", "Written"]

Written = str | os.PathLike[str]
"""How users write a place: `aws:/bucket/key`, `unit:/Demo/name`, a local path; a path object is always local."""

_SEPARATORS = ("/", os.sep)


@dataclass(frozen=True, slots=True)
class Located:
    """A place that users wrote.

    Attributes:
        path: without the provider.
        area: of the account's storage; None on this machine.
        storage_type: of the area.
        into: of this machine's, whether it is a directory to put things into; None: as it is written, and is.
    """

    path: str
    area: Area | None = None
    storage_type: str = "private"
    into: bool | None = None

    @property
    def shown(self) -> str:
        """As users write it."""
        return self.path if self.area is None else self.area.shown(self.path)

    @property
    def where(self) -> AreaId | None:
        """Where it lies; None on this machine's disks."""
        return None if self.area is None else AreaId(self.area.shown(""), self.storage_type, self.area.where)

    @property
    def content_only(self) -> bool:
        """Whether only what is in the directory is meant."""
        return self.path.endswith("/" if self.area is not None else _SEPARATORS)


class TransferService:
    """What goes from anywhere to anywhere.

    Args:
        resources: the session's.
        areas: finds the area of a provider and a storage type.
        units: finds the area of a unit by its name.
        cache: the session's listings.
    """

    def __init__(
        self,
        resources: Callable[[], Resources],
        areas: Callable[[str, str], Awaitable[Area]],
        units: Callable[[str], Awaitable[Area]],
        cache: ListingCache,
    ) -> None:
        self._resources = resources
        self._areas = areas
        self._units = units
        self._cache = cache

    @property
    def cache(self) -> ListingCache:
        """The session's listings."""
        return self._cache

    def resuming(self, resources: Callable[[], Resources]) -> TransferService:
        """The same with other resources: those of a call that goes on with what an earlier one has begun."""
        return TransferService(resources, self._areas, self._units, self._cache)

    async def locate(self, written: Written, storage_type: str, *, new: bool = False) -> Located:
        """What users wrote, found.

        Args:
            written: the place.
            storage_type: of the account's places.
            new: whether it is a destination, which need not exist yet.

        Raises:
            ConfigurationError: no place is written like that, or the provider cannot be used.
        """
        threads = self._resources().threads  # which a closed session has not
        text = os.fspath(written)
        local = isinstance(written, os.PathLike)
        if not local and unknown_scheme(text) is not None:
            local = await threads.run(lambda: is_local_path(text, new=new))
        location = Location("LOCAL", text) if local else parse_location(text)
        if location.provider == "LOCAL":
            return Located(location.path)
        if location.provider == "UNIT":
            name, path = unit_path(location.path)
            return Located(path, await self._units(name))
        return Located(location.path, await self._areas(location.provider, storage_type), storage_type)

    async def relocate(
        self, source: Located, destination: Located, on_progress: OnProgress | None = None, *, move: bool
    ) -> TransferReport:
        """Copies or moves; see `AsyncSession.copy` and `AsyncSession.move`."""
        resources = self._resources()
        end = await self._end(destination)
        options, operation = _options(destination), "move" if move else "copy"

        def plan(context: TransferContext) -> AsyncIterator[TransferItem]:
            if source.area is None:
                files = LocalFiles(resources.threads)
                return upload(context, files, source.path, end, options, operation=operation, move=move)
            start = source.area.place(source.path)
            return relocate(context, start, end, options, operation=operation, move=move)

        asked = _job_spec(operation, source, destination, {"into": end.into})
        tops = await self._tops(source) if move else []
        try:
            report = await self.transfer(destination, plan, on_progress, asked)
        except BaseException:
            if move and source.area is not None:
                self._cache.doubted((source.area.name, source.storage_type), f"/{key_of(source.path)}")
            raise
        if move and source.area is not None:
            note_moved(self._cache, source.area, source.storage_type, source.path, report)
        for top in tops:
            await remove_emptied(resources.context(None), top, itself=not source.content_only)
        return report

    async def sync(
        self, source: Located, destination: Located, rules: Rules, on_progress: OnProgress | None
    ) -> TransferReport:
        """Syncs; see `AsyncSession.sync`."""
        sync = await self._sync(source, destination, rules)
        return await self._kept_true(destination, sync.run(on_progress))

    async def plan(self, source: Located, destination: Located, rules: Rules) -> SyncPlan:
        """What `sync` would do."""
        sync = await self._sync(source, destination, rules)
        return await sync.plan()

    async def transfer(
        self,
        destination: Located,
        plan: Callable[[TransferContext], AsyncIterator[TransferItem]],
        on_progress: OnProgress | None,
        asked: JobSpec,
    ) -> TransferReport:
        """Runs the jobs of a plan, after which the listing cache knows what was stored."""
        return await self._kept_true(destination, self._resources().transfer(plan, on_progress, asked))

    async def _kept_true(self, destination: Located, transfer: Awaitable[TransferReport]) -> TransferReport:
        area = destination.area
        if area is None:
            return await transfer
        try:
            report = await transfer
        except TransferError as error:
            note_stored(self._cache, area, destination.storage_type, error.report)
            raise
        except BaseException:
            # Broken off: who knows what is stored.
            self._cache.drop_below((area.name, destination.storage_type), "/")
            raise
        note_stored(self._cache, area, destination.storage_type, report)
        return report

    async def _end(self, destination: Located) -> Destination:
        if destination.area is not None:
            return RemoteDestination(destination.area.place(destination.path))
        threads = self._resources().threads
        into = destination.into
        if into is None:
            into = destination.path.endswith(_SEPARATORS) or await threads.run(os.path.isdir, destination.path)
        return LocalDestination(destination.path, threads, into=into)

    async def _tops(self, source: Located) -> list[Place]:
        """The real directories that a move is to leave empty, or gone."""
        threads = self._resources().threads
        if source.area is not None:
            return [directory(source.area.place(source.path))]
        files = LocalFiles(threads)
        paths = await expand(threads, source.path)
        return [directory(files.place(path)) for path in paths if await threads.run(_is_real_directory, path)]

    async def _sync(self, source: Located, destination: Located, rules: Rules) -> Sync:
        resources = self._resources()
        place = source.area.place(source.path) if source.area is not None else None
        place = place or LocalFiles(resources.threads).place(source.path)
        asked = _job_spec("sync", source, destination, asdict(rules))
        return Sync(resources, directory(place), await self._end(destination), _options(destination), rules, asked)


def _job_spec(operation: str, source: Located, destination: Located, arguments: Mapping[str, Any]) -> JobSpec:
    return JobSpec(operation, source.shown, destination.shown, arguments, (source.where, destination.where))


def _options(destination: Located) -> ObjectOptions:
    return ObjectOptions(public=destination.area is not None and destination.area.public)


def _is_real_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path.rstrip("".join(_SEPARATORS)))
