"""Places that commands are given: their storage, and the objects that a pattern matches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from dxflow_async.cli.locations import location_of
from dxflow_async.cli.status import PLACE_ERRORS, Failures
from dxflow_async.exceptions import ConfigurationError, NotFoundError, StorageError, UnitNotFoundError
from dxflow_async.glob_patterns import has_magic
from dxflow_async.paths import parse_location
from dxflow_async.session import AsyncSession
from dxflow_async.storage.area_storage import AsyncAreaStorage

__all__ = [
    "Place",
    "area_name",
    "check_given",
    "check_locations",
    "found_places",
    "is_local",
    "location_of",
    "places_of",
]


class Place(NamedTuple):
    """One place.

    Attributes:
        location: as the user wrote it, or of an object that a pattern matched, as the user would write it.
        storage: the storage that it is in.
        path: its path there.
    """

    location: str
    storage: AsyncAreaStorage
    path: str


def area_name(*, public: bool) -> str:
    """Returns the storage type of the option `--public`."""
    return "public" if public else "private"


async def found_places(
    session: AsyncSession, locations: Sequence[str], *, public: bool = False
) -> AsyncIterator[Place]:
    """Yields the places of locations in their order; of a pattern, each object and directory that it matches.

    Raises:
        ConfigurationError: no location was given, or one is not a location.
        NotFoundError: nothing matches a pattern.
    """
    for location in check_given(locations):
        storage, path = await session.storage_at(location, storage_type=area_name(public=public))
        if not has_magic(path):
            yield Place(location, storage, path)
            continue
        found = False
        async for item in storage.glob(path):
            found = True
            yield Place(location_of(location, path, item.path), storage, item.path)
        if not found:
            raise NotFoundError(
                f"{location} failed: nothing matches; check the pattern, and write a backslash before each *, ? and [ "
                "that is part of a name",
                operation="list",
                path=path,
            )


async def places_of(
    session: AsyncSession, locations: Sequence[str], failures: Failures, *, public: bool = False
) -> AsyncIterator[Place]:
    """Yields the places of several locations as `found_places`. One that cannot be found is a failure of its own.

    Raises:
        ConfigurationError: no location was given, or one is not a location; nothing was looked up before.
    """
    await check_locations(session, locations, public=public)
    for location in locations:
        places = found_places(session, (location,), public=public)
        while True:
            try:
                place = await anext(places)
            except StopAsyncIteration:
                break
            except PLACE_ERRORS as error:
                failures.add(error)
                break
            before = failures.count
            yield place
            if failures.count == before:
                failures.note_success()


async def check_locations(session: AsyncSession, locations: Sequence[str], *, public: bool = False) -> None:
    """Checks what can be said of locations before one of them is used.

    Raises:
        ConfigurationError: none was given, or one is not a location.
    """
    for location in check_given(locations):
        with suppress(StorageError, UnitNotFoundError):
            await session.storage_at(location, storage_type=area_name(public=public))


def check_given(locations: Sequence[str]) -> Sequence[str]:
    """Returns the locations of a command.

    Raises:
        ConfigurationError: there is none.
    """
    if not locations:
        raise ConfigurationError("no place was given; write aws:/bucket/key or ./path")
    return locations


def is_local(location: str) -> bool:
    """Returns whether a location is certainly a path of this machine."""
    try:
        return parse_location(location).provider == "LOCAL"
    except ConfigurationError:
        return False
