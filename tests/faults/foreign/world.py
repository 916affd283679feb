"""One service behind a proxy of foreign answers, and one trial after the other at it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from dxflow_async import AsyncSession
from dxflow_async.exceptions import DxflowError
from dxflow_async.transfer.retry import RetryPolicy
from tests.faults.foreign.attempts import Operation
from tests.faults.foreign.places import LocalPlace, Place, RemotePlace
from tests.faults.foreign.proxy import ForeignProxy, Rule, Seen
from tests.faults.foreign.transfers import AreaId
from tests.faults.foreign.verbs import LOGIN
from tests.faults.proxied_providers import Site, Storage
from tests.sessions import MiB, part_files

__all__ = ["World", "opened"]

ATTEMPTS = 3
_SECONDS = 10
_MOST_REQUESTS = 150


@dataclass
class World:
    """What the trials share.

    Attributes:
        site: the service that is tried.
        proxy: in front of it.
        session, storage: that are tested.
    """

    site: Site
    proxy: ForeignProxy
    session: AsyncSession
    storage: Storage
    _direct: Mapping[AreaId, tuple[Site, AsyncSession, Storage]]
    _directory: Path
    _open: Callable[[], AbstractAsyncContextManager[AsyncSession]]
    _opened: AsyncExitStack
    _numbers: Counter[str] = field(default_factory=Counter)
    _left: set[str] = field(default_factory=set)
    _remotes: list[RemotePlace] = field(default_factory=list)

    @property
    def direct(self) -> Storage:
        """The service's storage without a proxy."""
        return self._direct["remote"][2]

    def large(self, size: int) -> bytes:
        """That many bytes, always the same ones."""
        return _random_bytes(size)

    def place(self, where: AreaId) -> Place:
        """A new directory there."""
        return LocalPlace(self._directory / self._new_name()) if where == "local" else self.remote(where)

    def remote(self, where: AreaId = "remote") -> RemotePlace:
        """A new directory at the service, or at another one."""
        site, _, storage = self._direct[where]
        path = site / self._new_name()
        place = RemotePlace(storage, path, site.location(self.session, path))
        self._remotes.append(place)
        return place

    def parts_of(self, size: int) -> AbstractContextManager[None]:
        """Files are sent in parts of that many bytes; it may be below what users may set, so that files are small."""
        return parts_of(self.session, size)

    def _new_name(self) -> str:
        self._numbers["place"] += 1
        return f"place-{self._numbers['place']:05}"

    async def seen(self, operation: Operation) -> Mapping[str, Seen]:
        """What requests an operation makes where every answer is right; it must work then."""
        attempt = await operation.prepare(self)
        async with self.proxy.giving(None):
            result = await attempt.run()
            seen = dict(self.proxy.seen)
        if found := await attempt.complaints(result, None):
            raise AssertionError(f"{self.site.name} {operation.name} with right answers: {found}")
        await self.clear()
        return seen

    async def tried(self, operation: Operation, rule: Rule, *, ends_well: bool) -> list[str]:
        """What is wrong with an operation under a rule.

        Args:
            operation, rule: what is tried.
            ends_well: whether it must succeed.
        """
        attempt = await operation.prepare(self)
        result: Any = None
        error: BaseException | None = None
        found: list[str] = []
        async with self.proxy.giving(rule):
            try:
                async with asyncio.timeout(_SECONDS):
                    result = await attempt.run()
            except DxflowError as failed:
                error = failed
                if ends_well:
                    found.append(f"it did not end well: {type(failed).__name__}: {failed}"[:400])
            except TimeoutError as failed:
                error = failed
                found.append(f"it did not end within {_SECONDS} seconds")
            except Exception as failed:  # noqa: BLE001 - whatever comes is told of
                error = failed
                found.append(f"it raised {type(failed).__name__}: {failed}"[:400])
            requests = sum(seen.count for seen in self.proxy.seen.values())
            redirected, given = LOGIN in self.proxy.seen, self.proxy.given
        if not given:
            found.append("no request was answered")
        if requests > _MOST_REQUESTS:
            found.append(f"it made {requests} requests")
        if redirected:
            found.append("it followed the redirect to the sign-in page")
        found += await attempt.complaints(result, error)
        found += [f"{path} was left behind" for path in part_files(self._directory)]
        await self.clear()
        if not rule.once:
            await self.reopen()
        return found

    async def reopen(self) -> None:
        """Continues with a new session: an answer that comes again and again is believed, and is no more true."""
        await self._opened.aclose()
        self.session = await self._opened.enter_async_context(self._open())
        self.storage = await self.site.storage(self.session)

    async def new_leftovers(self) -> set[str]:
        """What unfinished uploads have left since it was last asked for."""
        left = set(await asyncio.to_thread(self.site.leftovers))
        new, self._left = left - self._left, left
        return new

    async def clear(self) -> None:
        """Removes what the trials have stored: servers in memory grow slow with every object."""
        remotes, self._remotes = self._remotes, []
        await asyncio.gather(*(place.clear() for place in remotes))


@contextmanager
def parts_of(session: AsyncSession, size: int) -> Iterator[None]:
    """Files of a session are sent in parts of that many bytes."""
    before = session.settings.part_size
    object.__setattr__(session.settings, "part_size", size)
    try:
        yield
    finally:
        object.__setattr__(session.settings, "part_size", before)


@cache
def _random_bytes(size: int) -> bytes:
    return Random(6).randbytes(size)


@asynccontextmanager
async def opened(site: Site, other: Site, directory: Path) -> AsyncIterator[World]:
    """A world at a service; `other` is another one, whose answers are right."""
    proxy = ForeignProxy(site.origin, site.name)
    settings = {"max_attempts": ATTEMPTS, "stall_timeout": 2.0, **other.configure(other.upstream)}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(proxy.running())

        @asynccontextmanager
        async def opened_session() -> AsyncIterator[AsyncSession]:
            async with site.session(directory / "home", proxy.endpoint, **settings) as session:
                policy = RetryPolicy(ATTEMPTS, first_wait=0.001, longest_wait=0.002, longest_retry_after=0.0)
                session._resources.policy = policy
                with parts_of(session, MiB):
                    yield session

        tested = await stack.enter_async_context(AsyncExitStack())
        session = await tested.enter_async_context(opened_session())
        direct = await stack.enter_async_context(site.session(directory / "direct"))
        beside = await stack.enter_async_context(other.session(directory / "beside"))
        world = World(
            site,
            proxy,
            session,
            await site.storage(session),
            {
                "remote": (site, direct, await site.storage(direct)),
                "other": (other, beside, await other.storage(beside)),
            },
            directory / "local",
            opened_session,
            tested,
        )
        yield world
