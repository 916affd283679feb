"""A call that is cancelled at any of its awaits: nothing is left of it, and the session works on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession
from tests.faults.proxied_providers import Site, Storage, hashes, make_tree
from tests.servers import SeaweedFS
from tests.sessions import open_files, part_files, tasks, unfinished_uploads

_log = logging.getLogger("tests.faults")

MOST = 1500
"""Awaits that no call here has."""

Operation = Callable[[int], Coroutine[Any, Any, object]]


class Stepped(Coroutine[Any, Any, Any]):
    """A coroutine that tells whenever it suspends."""

    def __init__(self, inner: Coroutine[Any, Any, Any], suspended: Callable[[], None]) -> None:
        self._inner = inner
        self._suspended = suspended

    def send(self, value: Any) -> Any:
        result = self._inner.send(value)
        self._suspended()
        return result

    def throw(self, *error: Any) -> Any:
        result = self._inner.throw(*error)
        self._suspended()
        return result

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


async def cancelled_at(number: int, work: Coroutine[Any, Any, object]) -> bool:
    """Runs `work`, with all tasks it starts, and cancels it at its await of that number; False: it has fewer."""
    loop, count = asyncio.get_running_loop(), 0

    def suspended() -> None:
        nonlocal count
        count += 1
        if count == number:
            running.cancel()

    def step(loop: asyncio.AbstractEventLoop, inner: Any, **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(Stepped(inner, suspended), loop=loop, **options)

    loop.set_task_factory(step)
    try:
        running = loop.create_task(work)
        async with asyncio.timeout(30):
            await asyncio.wait({running})
    finally:
        loop.set_task_factory(None)
    if count < number:
        running.result()
        return False
    assert running.cancelled(), f"the cancellation at await {number} was lost"
    return True


async def sweep(operation: Operation, check: Callable[[int], Awaitable[None]], step: int) -> None:
    """Cancels at every await, or every `step`th, until the operation ends before it would be."""
    before, number = tasks(), 1
    while await cancelled_at(number, operation(number)):
        assert tasks() == before, f"cancelled at await {number}"
        try:
            await check(number)
        except AssertionError as error:
            raise AssertionError(f"cancelled at await {number}: {error}") from error
        number += step
        assert number < MOST
    _log.warning("%d awaits", number)
    assert number > 10


@pytest.fixture
def small_tree(site: Site, tmp_path: Path) -> Path:
    """Two small files and one of three parts."""
    return make_tree(tmp_path / "tree", 2, site.three_parts)


class Sweeping:
    """What is looked at after each cancellation."""

    def __init__(
        self, site: Site, session: AsyncSession, storage: Storage, weed: SeaweedFS, tmp_path: Path, *, every: bool
    ) -> None:
        self.storage = storage
        self.site = site
        self.step = 1 if every else 3 if site.name == "AWS" else 7
        self._session = session
        self._weed = weed
        self._top = tmp_path

    async def nothing_is_left(self, number: int) -> None:
        """And the session works on."""
        assert part_files(self._top) == []
        home = str(self._top / "home")  # of a hub, which is open as long as the session
        assert [name for name in open_files(self._top) if not name.startswith(home)] == []
        if self.site.name == "AWS":
            assert unfinished_uploads(self._weed, self.site.bucket) == []
        elif self.site.name != "AZURE":  # which drops blocks that were not committed by itself
            assert self.site.leftovers() == []
        limits = self._session._resources.limits
        assert limits.memory.used == 0
        assert all(limit.in_flight == 0 for limit in limits.endpoints.values())
        assert await self.storage.exists(self.site / "from/small-0000")


@pytest.fixture(params=["some", pytest.param("every", marks=pytest.mark.long)])
def every(request: pytest.FixtureRequest) -> bool:
    """Whether each await is tried, or every third one at S3 and every seventh one elsewhere."""
    return bool(request.param == "every")


@pytest.fixture
async def sweeping(
    site: Site, weed: SeaweedFS, small_tree: Path, tmp_path: Path, *, every: bool
) -> AsyncIterator[Sweeping]:
    """A session to sweep in, with the tree stored."""
    async with site.session(tmp_path / "home") as session:
        storage = await site.storage(session)
        await storage.upload(f"{small_tree}/", site / "from/")
        yield Sweeping(site, session, storage, weed, tmp_path, every=every)


async def test_upload(sweeping: Sweeping, small_tree: Path) -> None:
    """An upload cancelled at any await leaves no task, no open file, no place taken and no upload begun."""
    storage, site = sweeping.storage, sweeping.site
    await sweep(lambda _: storage.upload(f"{small_tree}/", site / "to/"), sweeping.nothing_is_left, sweeping.step)


async def test_download(sweeping: Sweeping, small_tree: Path, tmp_path: Path) -> None:
    """Of a download cancelled at any await there are whole files or none, and nothing temporary."""
    storage, site, right = sweeping.storage, sweeping.site, hashes(small_tree)

    async def check(number: int) -> None:
        await sweeping.nothing_is_left(number)
        back = tmp_path / f"back-{number}"
        if back.exists():
            assert hashes(back).items() <= right.items()

    await sweep(lambda number: storage.download(site / "from/", tmp_path / f"back-{number}"), check, sweeping.step)


async def test_copy(sweeping: Sweeping) -> None:
    """A copy within a provider cancelled at any await leaves nothing unfinished."""
    storage, site = sweeping.storage, sweeping.site
    await sweep(lambda _: storage.copy(site / "from/", site / "copied/"), sweeping.nothing_is_left, sweeping.step)


async def test_copy_between_providers(
    aws: Site, gcp: Site, weed: SeaweedFS, small_tree: Path, tmp_path: Path, *, every: bool
) -> None:
    """A copy from one provider to another cancelled at any await leaves nothing at either."""
    options = gcp.configure(gcp.upstream)
    async with aws.session(tmp_path / "home", **options) as session:
        storage = await aws.storage(session)
        await storage.upload(f"{small_tree}/", aws / "from/")
        sweeping = Sweeping(aws, session, storage, weed, tmp_path, every=every)

        async def check(number: int) -> None:
            await sweeping.nothing_is_left(number)
            assert gcp.leftovers() == []

        await sweep(lambda _: session.copy(f"aws:{aws / 'from/'}", f"gcp:{gcp / 'copied/'}"), check, 1 if every else 3)
