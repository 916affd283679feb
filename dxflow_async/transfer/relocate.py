"""Copying and moving within one provider, done by the provider where its Features say so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from dxflow_async.exceptions import NotFoundError, UnsafePathError
from dxflow_async.models import TransferResult
from dxflow_async.paths import check_key
from dxflow_async.providers.base import Entry, ObjectOptions, Part
from dxflow_async.transfer.copy import CopyJob, MarkerJob, ServerCopyJob
from dxflow_async.transfer.engine import Job
from dxflow_async.transfer.listing import pages, stat
from dxflow_async.transfer.moving import Moving, Place, Route, check_target

__all__ = ["relocate"]


async def relocate(
    route: Route, source: Place, destination: Place, options: ObjectOptions, *, move: bool
) -> AsyncIterator[Job]:
    """The jobs that copy or move an object, or a directory with all that is in it, within a provider.

    A destination that ends in a slash is a directory to put the source into; else it is the name to give it. Of a
    source written with a trailing slash only the content is meant.

    Raises:
        NotFoundError: no such source.
        UnsafePathError: a destination that is the source, or lies in it.
    """
    operation = "move" if move else "copy"
    found = await stat(source.provider, source.key, limits=route.limits, policy=route.policy)
    if found is None:
        raise NotFoundError(
            f"{source.provider.name} {operation} of {source.shown} failed: there is no such object or directory; "
            "check the path",
            provider=source.provider.name,
            operation=operation,
            path=source.shown,
        )
    end = destination
    if destination.key.endswith("/") and not source.key.endswith("/"):
        end = _below(destination, source.key.rpartition("/")[2])
    if found.directory:
        source, end = _directory(source), _directory(end)
    _check(source, end, operation, directory=found.directory)
    if move and source.provider.features.rename:
        yield RenameJob(route, source, end, found)
    elif not found.directory:
        yield _copy(route, source, end, found, options, move)
    else:
        listing = pages(source.provider, source.key, recursive=True, limits=route.limits, policy=route.policy)
        async for page in listing:
            for entry in page:
                name = entry.key[len(source.key) :]
                yield _copy(route, _below(source, name), _below(end, name), entry, options, move)


class RenameJob(Moving, Job):
    """An object or a directory that gets another name at once."""

    def __init__(self, route: Route, source: Place, destination: Place, entry: Entry) -> None:
        super().__init__(route, source, destination, entry.size)

    async def open(self) -> Iterator[Part]:
        return iter((Part(1, 0, self.size),))

    async def move(self, part: Part) -> None:
        await self._try(lambda: self._source.provider.rename(self._source.key, self._destination.key))
        self._count(part.size)

    async def finish(self) -> TransferResult:
        return self.result(None)


def _copy(route: Route, source: Place, end: Place, entry: Entry, options: ObjectOptions, move: bool) -> Job:
    provider = source.provider
    if entry.directory:
        return MarkerJob(route, source, end, delete_source=move)
    if provider.features.copy:
        return ServerCopyJob(route, source, end, entry, options, delete_source=move)
    return CopyJob(route, source, end, options, entry, delete_source=move)


def _check(source: Place, end: Place, operation: str, *, directory: bool) -> None:
    if directory and end.key.count("/") == 1 and end.key != source.key:
        check_key(end.key, provider=end.provider.name, operation=operation)
    else:
        check_target(end, operation, directory=directory)
    if end.key == source.key or (directory and end.key.startswith(source.key)):
        raise UnsafePathError(
            f"{source.provider.name} {operation} of {source.shown} to {end.shown} refused: the destination is the "
            "source, or lies in it; choose another one",
            provider=source.provider.name,
            operation=operation,
            path=source.shown,
        )


def _below(place: Place, name: str) -> Place:
    return Place(place.provider, place.key + name, place.shown + name)


def _directory(place: Place) -> Place:
    return place if place.key.endswith("/") or not place.key else _below(place, "/")
