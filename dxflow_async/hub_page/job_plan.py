"""What a job is to do: read from a request, checked, and turned into a call of the session."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

from dxflow_async.exceptions import NotFoundError
from dxflow_async.glob_patterns import has_magic
from dxflow_async.handles import AsyncTransferJob
from dxflow_async.hub_page.directories import as_directory
from dxflow_async.hub_page.locations import Scope, check_name, decode_location
from dxflow_async.server.common.middleware import refusal
from dxflow_async.session import AsyncSession
from dxflow_async.transfer.overwrite import Overwrite
from dxflow_async.transfer.progress import OnProgress

__all__ = ["JobPlan", "Verb"]

Verb = Literal["copy", "move", "delete", "rename"]

_VERBS: tuple[Verb, ...] = ("copy", "move", "delete", "rename")
_MAX_SOURCES = 10_000
_LOOKUPS = 16


@dataclass(frozen=True, slots=True)
class JobPlan:
    """What a job is to do.

    Attributes:
        verb: the kind of job.
        sources: locations; those of directories end in a slash.
        destination: the directory to copy into, with a slash at its end; of a rename, the new location.
        overwrite: what happens to files that are there already.
    """

    verb: Verb
    sources: tuple[str, ...]
    destination: str | None = None
    overwrite: Overwrite = True

    @classmethod
    def of(cls, tree: Mapping[str, Any], scope: Scope) -> JobPlan:
        """Reads a job from a request.

        Raises:
            HTTPError: it is not valid, or names a place that the visitor may not see.
        """
        verb, given, overwrite = tree.get("verb"), tree.get("sources"), tree.get("overwrite", True)
        if verb not in _VERBS:
            raise refusal(web.HTTPBadRequest, "invalid_verb", f"verb must be one of {', '.join(_VERBS)}")
        if not isinstance(given, list) or not 0 < len(given) <= _MAX_SOURCES:
            raise refusal(web.HTTPBadRequest, "invalid_location", f"sources must be 1 to {_MAX_SOURCES} locations")
        if overwrite not in (True, False, "skip"):
            raise refusal(web.HTTPBadRequest, "invalid_overwrite", 'overwrite must be true, false or "skip"')
        sources = tuple(scope.check(decode_location(each)) for each in given)
        if verb != "copy":
            for each in sources:
                _refuse_top(each)
        if verb == "delete":
            return cls(verb, sources)
        if verb == "rename":
            if len(sources) != 1:
                raise refusal(web.HTTPBadRequest, "invalid_location", "one item is renamed at a time")
            return cls(verb, sources, scope.check(_sibling(sources[0], check_name(tree.get("name")))), overwrite=False)
        return cls(verb, sources, as_directory(scope.check(decode_location(tree.get("destination")))), overwrite)

    @property
    def title(self) -> str:
        """A short text for people."""
        name = self.sources[0].rstrip("/").rpartition("/")[2] or self.sources[0]
        subject = name if len(self.sources) == 1 else f"{len(self.sources)} items"
        return f"{self.verb.capitalize()} {subject}"

    async def check(self, session: AsyncSession) -> None:
        """Checks what can be checked before the job starts.

        Raises:
            HTTPConflict: the new name of a rename exists.
            StorageError: a source does not exist.
        """
        for each in self.sources:
            await session.storage_at(each)
            # A name that looks like a pattern is one only if nothing has that name.
            if has_magic(each) and self.verb != "delete" and not await session.exists(each):
                raise NotFoundError(f"{each} does not exist any more", operation=self.verb, path=each)
        if self.destination is not None:
            await session.storage_at(self.destination)
        if self.verb == "rename":
            assert self.destination is not None
            if await session.exists(self.destination.rstrip("/")):
                raise refusal(web.HTTPConflict, "exists", "the new name exists already; choose another one")

    async def call(self, session: AsyncSession) -> JobCall:
        """Returns the call of the session that does it. Raises as `check`."""
        await self.check(session)
        if self.verb == "delete":
            return JobCall("delete", self.sources)
        real = [each.endswith("/") and await are_directories_real(session, each) for each in self.sources]
        destination = self.destination or ""
        verb: Literal["copy", "move"] = "copy" if self.verb == "copy" else "move"
        if len(self.sources) == 1 and self.sources[0].endswith("/") and not real[0]:
            # The slash tells a directory from an object of the same name; its content is put into one of that name.
            name = self.sources[0].rstrip("/").rpartition("/")[2]
            into = as_directory(destination) if self.verb == "rename" else f"{destination}{name}/"
            return JobCall(verb, self.sources, into, self.overwrite)
        await self._refuse_ambiguous(session, real)
        into = destination.rstrip("/") if self.verb == "rename" else destination
        return JobCall(verb, tuple(each.rstrip("/") for each in self.sources), into, self.overwrite)

    async def _refuse_ambiguous(self, session: AsyncSession, real: Sequence[bool]) -> None:
        """Refuses directories among several sources that share their name with an object."""
        doubtful = [
            each for each, is_real in zip(self.sources, real, strict=True) if each.endswith("/") and not is_real
        ]
        limit = asyncio.Semaphore(_LOOKUPS)

        async def look(location: str) -> bool:
            async with limit:
                return not (await session.stat(location.rstrip("/"))).directory

        if any(await asyncio.gather(*map(look, doubtful))):
            text = "a directory and an object have the same name; choose that directory alone"
            raise refusal(web.HTTPConflict, "ambiguous", text)


@dataclass(frozen=True, slots=True)
class JobCall:
    """A call of the session.

    Attributes:
        verb: the name of the call.
        sources, destination, overwrite: its arguments.
    """

    verb: Literal["copy", "move", "delete"]
    sources: tuple[str, ...]
    destination: str = ""
    overwrite: Overwrite = True

    def start(self, session: AsyncSession, on_progress: OnProgress) -> AsyncTransferJob[Any]:
        """Starts the call."""
        if self.verb == "delete":
            return session.start.delete(self.sources, on_progress=on_progress)
        start = session.start.copy if self.verb == "copy" else session.start.move
        sources: str | Sequence[str] = self.sources[0] if len(self.sources) == 1 else self.sources
        return start(sources, self.destination, overwrite=self.overwrite, on_progress=on_progress)


async def are_directories_real(session: AsyncSession, location: str) -> bool:
    """Returns whether directories are real at a location, so that no object can have the name of one."""
    area, _ = await session._resolver.area_and_path(location)
    return area.provider.real_directories


def _sibling(location: str, name: str) -> str:
    """Returns the location beside another one."""
    end = "/" if location.endswith("/") else ""
    return f"{location.rstrip('/').rpartition('/')[0]}/{name}{end}"


def _refuse_top(location: str) -> None:
    """Refuses to move or delete a whole place."""
    scheme, _, path = location.partition(":") if ":" in location.partition("/")[0] else ("local", "", location)
    parts = [each for each in path.split("/") if each]
    if len(parts) <= (1 if scheme.lower() == "unit" else 0) or ".." in parts:
        raise refusal(web.HTTPBadRequest, "whole_place", "a whole place is neither moved, renamed nor deleted")
