"""Finding what a location means: which storage area, and which path in it."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.location_path import LocationPath
from dxflow_async.models import Unit
from dxflow_async.paths import (
    URL,
    Location,
    is_local_path,
    is_url,
    parse_location,
    provider_name,
    unit_path,
    unknown_location,
    unknown_scheme,
)
from dxflow_async.providers import registry
from dxflow_async.storage.area import Area, LocalArea
from dxflow_async.storage.connections import Connections
from dxflow_async.storage.remotes import Remote, Remotes, URLRemote
from dxflow_async.storage.units import UnitVolumes
from dxflow_async.storage.url_areas import URLAreas
from dxflow_async.transfer.planning.destination import LocalPlaces

if TYPE_CHECKING:
    from dxflow_async.account_connection import AccountConnection
    from dxflow_async.providers.contract import Provider
    from dxflow_async.transfer.journal.records import AreaId, JobSpec
    from dxflow_async.transfer.resources import Resources

__all__ = ["Areas", "LocalText", "LocationResolver", "ResolvedLocation", "Written"]

_log = logging.getLogger("dxflow_async.session")

Written = str | os.PathLike[str]
"""A location as users write it: `aws:/bucket/key`, a URL, a local path, or what `AsyncSession.path` returned.

Any other path object is a local path.
"""


class LocalText(os.PathLike[str]):
    """A local path as its caller wrote it: no text of it is a remote, and a slash at its end stays.

    Args:
        path: the path.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._text = os.fspath(path)

    def __fspath__(self) -> str:
        return self._text


Areas = tuple[Area | None, Area | None]
"""The areas of a source and a destination; None stands for this machine's disks."""

_SEPARATORS = ("/", os.sep)


@dataclass(frozen=True, slots=True)
class ResolvedLocation:
    """A location whose area is known.

    Attributes:
        path: the path in the area, or on this machine's disks.
        area: the storage area; None stands for this machine's disks.
        into: of a local destination, whether it is a directory to put things into; None until that is known.
        more: of a source, the paths of the other sources of the call, which are in the same area.
    """

    path: str
    area: Area | None = None
    into: bool | None = None
    more: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of all sources of the call."""
        return (self.path, *self.more)

    @property
    def shown(self) -> str:
        """The location as users write it."""
        return self.path if self.area is None else self.area.shown(self.path)

    @property
    def area_id(self) -> AreaId | None:
        """The identity of the area, for job files; None for this machine's disks."""
        return None if self.area is None else self.area.id

    @property
    def provider(self) -> Provider | None:
        """The area's provider; None for this machine's disks."""
        return None if self.area is None else self.area.provider

    @property
    def is_directory(self) -> bool:
        """Whether it is written with a slash at its end."""
        return self.path.endswith("/" if self.area is not None else _SEPARATORS)

    def as_directory(self) -> Self:
        """Returns the location as a directory, for path objects: they cannot end in a slash."""
        if self.area is None:
            return replace(self, into=True)
        return replace(self, path=f"{self.path.rstrip('/')}/")


class LocationResolver:
    """Finds the areas of locations, and owns the providers in them.

    Args:
        resources: the session's resources.
        account: the session's account, which is signed in to before the first area is used.
    """

    def __init__(self, resources: Resources, account: AccountConnection) -> None:
        self._resources = resources
        self._account = account
        self._remotes = Remotes(resources, account)
        self._providers: dict[tuple[str, str], Provider] = {}
        self._connections = Connections(resources)
        self._url_areas = URLAreas(resources, self._connections)
        self._volumes = UnitVolumes(resources)
        self._local_places = LocalPlaces(resources.threads)
        self.check_unit: Callable[[Unit], Awaitable[None]] | None = None
        """Raises an error for units of the account that must not be reached; None: all of them may be."""

    @property
    def account(self) -> AccountConnection:
        """The session's account."""
        return self._account

    @property
    def volumes(self) -> UnitVolumes:
        """The volumes of compute units."""
        return self._volumes

    async def resolve(self, written: Written, storage_type: str = "private", *, new: bool = False) -> ResolvedLocation:
        """Returns the area and the path of a location.

        Args:
            written: the location.
            storage_type: the area of a remote, `"private"` or `"public"`.
            new: whether it is a destination, which need not exist yet.

        Raises:
            ConfigurationError: the text is not a location, or the remote cannot be used.
            UnitNotFoundError: there is no such compute unit.
        """
        self._resources.check_open()
        location = await self.parse(written, new=new)
        if location.provider == "LOCAL":
            return ResolvedLocation(location.path)
        if location.provider == "UNIT":
            name, path = unit_path(location.path)
            return ResolvedLocation(path, await self.unit_area(name))
        if location.provider == URL:
            return await self._resolve_url(location.path, storage_type)
        return ResolvedLocation(location.path, await self.area(location.provider, storage_type))

    async def resolve_sources(
        self, written: Written | Sequence[Written], storage_type: str = "private"
    ) -> ResolvedLocation:
        """Returns the source of a call, or its several sources. Raises as `resolve`.

        Raises:
            ConfigurationError: there is no source, or they are not all in one place.
        """
        if isinstance(written, str | os.PathLike):
            return await self.resolve(written, storage_type)
        found = [await self.resolve(each, storage_type) for each in written]
        if not found:
            raise ConfigurationError("no source was given; write aws:/bucket/key or a local path")
        first = found[0]
        for each in found:
            if each.area_id != first.area_id:
                text = "several sources of one call must be in one place; make a call for each place"
                raise ConfigurationError(f"{first.shown} and {each.shown}: {text}")
        return replace(first, more=tuple(each.path for each in found[1:]))

    async def area_and_path(self, written: Written, storage_type: str = "private") -> tuple[Area, str]:
        """Returns the area of a location, and the path there. Of a local path, that is its absolute path.

        Raises as `resolve`.
        """
        location = await self.resolve(written, storage_type)
        if location.area is not None:
            return location.area, location.path
        place = self._local_places.place(location.path)
        return LocalArea("LOCAL", place.provider), f"/{place.key}"

    async def area_of(self, written: Written, storage_type: str = "private") -> Area:
        """Returns the area of a location. Raises as `resolve`."""
        area, _ = await self.area_and_path(written, storage_type)
        return area

    async def parse(self, written: Written, *, new: bool = False) -> Location:
        """Parses a location. A text with an unknown scheme is a local path where a file of that name exists.

        Raises:
            ConfigurationError: the text is not a location.
        """
        remotes = self._resources.settings.remotes
        if isinstance(written, LocationPath) and not written.is_local:
            text: str = written.text
        else:
            text = os.fspath(written)
        if isinstance(written, os.PathLike) and (not isinstance(written, LocationPath) or written.is_local):
            return Location("LOCAL", text)
        run = self._resources.threads.run
        # The URL of an Azure account may be of any host.
        schemes = ("http", "https", *await run(registry.url_schemes)) if is_url(text) else ()
        if unknown_scheme(text, remotes, schemes) is not None:
            if await run(lambda: is_local_path(text, new=new)):
                return Location("LOCAL", text)
            raise unknown_location(text, remotes, schemes or await run(registry.url_schemes))
        return parse_location(text, remotes, schemes)

    def remote_name(self, provider: str) -> str:
        """Returns a remote's name in capitals, without any I/O.

        Raises:
            ConfigurationError: there is no remote of that name.
        """
        return provider_name(provider, self._resources.settings.remotes)

    def check_area(self, provider: str, storage_type: str) -> str:
        """Checks the name of a remote and a storage type, without any I/O; returns the remote's name in capitals.

        Raises:
            ConfigurationError: there is no such remote or storage type.
            SessionClosedError: the session was closed.
        """
        self._resources.check_not_closed()
        name = self.remote_name(provider)
        if storage_type not in ("private", "public"):
            raise ConfigurationError(f"storage type = {storage_type!r} is not allowed; it must be private or public")
        return name

    async def area(self, provider: str, storage_type: str = "private") -> Area:
        """Returns a storage area of a remote; the first call signs in.

        Raises:
            ConfigurationError: there is no such remote or storage type, or its settings are wrong.
            SessionClosedError: the session was closed.
        """
        self._resources.check_open()
        return await self._area(await self._remotes.find(self.check_area(provider, storage_type)), storage_type)

    async def unit_area(self, name: str) -> Area:
        """Returns the volume of a compute unit: the engine that the settings give that name, else the account's unit.

        Raises:
            ConfigurationError: the session has no account, or the engine's settings cannot be used.
            UnitNotFoundError: there is no such unit.
            ComputeUnitError: several units have that name, or it has no address yet.
        """
        engine = self._resources.settings.units.get(name)
        if engine is not None:
            return await self._volumes.open_engine(name, engine)
        # Asked for each time: a unit that was restarted may have another address.
        hub = await self._account.unit_hub()
        unit = await hub.find(name)
        if self.check_unit is not None:
            await self.check_unit(unit)
        return await self._volumes.open(unit)

    async def areas_of(self, spec: JobSpec) -> Areas:
        """Returns the areas of an earlier call's source and destination.

        Raises:
            ConfigurationError: the account or the settings are not those of the earlier call.
        """
        source, destination = [await self._area_of(each) for each in spec.places]
        if (source, destination) != (None, None) and spec.account != self._account.name:
            theirs = spec.account or "no account"
            raise ConfigurationError(f"the job was begun with {theirs}; sign in like that to resume it")
        return source, destination

    async def aclose(self) -> None:
        """Closes all providers."""
        async with AsyncExitStack() as stack:  # one that fails keeps no other one open
            stack.push_async_callback(self._volumes.aclose)
            stack.push_async_callback(self._url_areas.aclose)
            for provider in self._providers.values():
                stack.push_async_callback(provider.aclose)

    async def _area_of(self, area_id: AreaId | None) -> Area | None:
        if area_id is None:
            return None
        area = await self.area_of(area_id.location, area_id.storage_type)
        if area.where != area_id.place:
            raise ConfigurationError(
                f"the job was begun with {area_id.place}, and the settings name {area.where}; set them as they were"
            )
        return area

    async def _resolve_url(self, url: str, storage_type: str) -> ResolvedLocation:
        found = await self._remotes.of_url(url)
        if not isinstance(found, URLRemote):
            remote, path = found
            return ResolvedLocation(path, await self._area(remote, storage_type))
        async with self._remotes.naming(found.name):
            return ResolvedLocation(found.path, await self._url_areas.open(found))

    async def _area(self, remote: Remote, storage_type: str) -> Area:
        if remote.settings is None:
            return Area(remote.name, self._stand_in(remote.name, storage_type), storage_type=storage_type)
        prefix = getattr(remote.settings, storage_type, None)
        async with self._remotes.naming(remote.name):
            provider = self._provider(remote)
            await self._connections.connect(provider)
        return Area(
            remote.name,
            provider,
            f"{prefix.rstrip('/')}/" if prefix else "",
            public=storage_type == "public",
            storage_type=storage_type,
            notice=remote.notice(provider),
        )

    def _provider(self, remote: Remote) -> Provider:
        key = (remote.name, "")
        if key not in self._providers:
            kind, resources = registry.kind_of_settings(remote.settings).kind, self._resources.of_provider(remote.name)
            self._providers[key] = provider = registry.create_provider(kind, remote.settings, resources)
            if (notice := remote.notice(provider)) is not None:
                _log.info("%s", notice)
        return self._providers[key]

    def _stand_in(self, name: str, storage_type: str) -> Provider:
        """A local directory in the place of a remote that is not configured."""
        key = (name, storage_type)
        if key not in self._providers:
            root = self._resources.settings.storage_home / name.lower() / storage_type
            resources = self._resources.of_provider(name)
            self._providers[key] = registry.create_stand_in(storage_type, root, resources)
        return self._providers[key]
