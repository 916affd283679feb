"""What a visitor works with: a session, and the uploads, jobs and listings in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dxflow_async.hub_page.directories import Listings
from dxflow_async.hub_page.jobs import PageJobs
from dxflow_async.hub_page.locations import Scope
from dxflow_async.hub_page.uploads import Uploads
from dxflow_async.session import AsyncSession

__all__ = ["Place", "Visitor", "Workspace"]


@dataclass(frozen=True, slots=True)
class Place:
    """A place that a visitor sees in the tree.

    Attributes:
        name: for people.
        location: the location of its top.
        kind: `"remote"`, `"unit"` or `"local"`.
        type: the kind of storage, such as `"s3"`.
        state: `"ok"`, or why it cannot be used, in one word.
        note: more about that; empty for nothing.
    """

    name: str
    location: str
    kind: Literal["remote", "unit", "local"]
    type: str
    state: str = "ok"
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns the place as plain JSON types."""
        return {name: getattr(self, name) for name in self.__slots__}


class Workspace:
    """A session with what is open in it.

    Args:
        session: the session.
        scope: the locations that its visitor may name.
        places: returns the places that its visitor sees.
        release: called at the end, after the session was closed.
    """

    def __init__(
        self,
        session: AsyncSession,
        scope: Scope,
        places: Callable[[], Awaitable[Sequence[Place]]],
        release: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.session = session
        self.scope = scope
        self.places = places
        self.listings = Listings()
        self.uploads = Uploads(session)
        self.jobs = PageJobs(session)
        self._release = release
        self._closing: asyncio.Future[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a job runs or an upload is unfinished."""
        return self.uploads.busy or self.jobs.busy

    async def sweep(self) -> None:
        """Ends what nobody goes on with."""
        await self.uploads.sweep()
        await self.listings.sweep()

    async def aclose(self) -> None:
        """Ends uploads, keeps the finished parts of jobs, and closes the session. May be called several times."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        try:
            await self.jobs.aclose()
            await self.uploads.aclose()
            await self.listings.aclose()
            await self.session.aclose()
        finally:
            if self._release is not None:
                await self._release()


@dataclass
class Visitor:
    """Somebody who is signed in with a cookie.

    Attributes:
        email, namespace: of the account; empty without one.
        csrf: the token that every request that changes something must repeat.
        workspace: what the visitor works with.
        owns: whether the workspace ends with the visitor.
        valid: asks whether the sign-in is still valid; None: it always is.
        used: when the last request came, on the monotonic clock.
    """

    email: str
    namespace: str
    csrf: str = field(repr=False)
    workspace: Workspace
    account: str = ""
    owns: bool = True
    valid: Callable[[], Awaitable[bool]] | None = None
    used: float = field(default_factory=time.monotonic)
    checked: float = field(default_factory=time.monotonic)
    requests: int = 0

    async def aclose(self) -> None:
        """Ends the workspace, where it is the visitor's own."""
        if self.owns:
            await self.workspace.aclose()
