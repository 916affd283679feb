"""Listings that are a page ahead of who looks at them."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast

import pytest

from dxflow_async.exceptions import AccessDeniedError, NetworkError, StorageError
from dxflow_async.providers.contract import Entry, Features, Page, Provider
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.planning.listing import pages
from dxflow_async.transfer.retry import RetryPolicy

PAGES = 5


class Paged:
    """Five pages of one entry each; `error` is raised for a page as often as it is listed there."""

    name = "AWS"
    features = Features(endpoint="here")

    def __init__(self, errors: Sequence[tuple[int, StorageError]] = ()) -> None:
        self.asked: list[int] = []
        self.under_way = 0
        self.gate: Callable[[int], Any] = lambda _: asyncio.sleep(0)
        self._errors = list(errors)

    async def list_page(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
        number = cursor or 0
        self.asked.append(number)
        self.under_way += 1
        try:
            await self.gate(number)
        finally:
            self.under_way -= 1
        for each in self._errors:
            if each[0] == number:
                self._errors.remove(each)
                raise each[1]
        return Page([Entry(f"{prefix}{number}")], number + 1 if number + 1 < PAGES else None)


def listing(paged: Paged) -> AsyncIterator[Sequence[Entry]]:
    policy = RetryPolicy(max_attempts=2, first_wait=0.001)
    return pages(cast("Provider", paged), "b/", recursive=True, limits=Limits(8, 1 << 20), policy=policy)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_page_ahead() -> None:
    """One page is asked for while the one before is looked at, never more; the first one by itself."""
    paged = Paged()
    seen: list[str] = []
    async for page in listing(paged):
        await settled()
        seen.extend(entry.key for entry in page)
        ahead = 0 if len(seen) == 1 else 1
        assert paged.asked == list(range(min(len(seen) + ahead, PAGES)))
    assert seen == [f"b/{number}" for number in range(PAGES)]


async def test_an_error_in_its_turn() -> None:
    """A page that fails is tried again; what fails for good is raised after the pages before it."""
    denied = AccessDeniedError("no", provider="X", operation="list", path="b/")
    broken = NetworkError("broken", provider="X", operation="list", path="b/", retryable=True)
    paged = Paged([(2, broken), (3, denied)])
    seen: list[str] = []

    async def look() -> None:
        async for page in listing(paged):
            await settled()
            seen.extend(entry.key for entry in page)

    with pytest.raises(AccessDeniedError):
        await look()
    assert seen == ["b/0", "b/1", "b/2"]
    assert paged.asked == [0, 1, 2, 2, 3]


@pytest.mark.parametrize("fails", [False, True], ids=["under way", "failed"])
async def test_nothing_is_left_of_a_listing_that_is_dropped(caplog: pytest.LogCaptureFixture, *, fails: bool) -> None:
    """Who stops looking leaves no request under way, and hears nothing of a page that failed meanwhile."""
    denied = AccessDeniedError("no", provider="X", operation="list", path="b/")
    paged = Paged([(2, denied)] if fails else [])
    never = asyncio.Event()
    paged.gate = lambda number: never.wait() if number == 2 and not fails else asyncio.sleep(0)
    found = cast("Any", listing(paged))
    await anext(found)
    await anext(found)
    await settled()
    assert paged.under_way == (0 if fails else 1)
    await found.aclose()
    assert paged.under_way == 0
    del found
    gc.collect()
    await settled()
    # asyncio's debug mode warns of the collection, which takes long in a large process.
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_cancelled_listing() -> None:
    """Cancelling who waits for a page ends the request for it."""
    paged, reached, never = Paged(), asyncio.Event(), asyncio.Event()

    async def gate(number: int) -> None:
        if number == 2:
            reached.set()
            await never.wait()

    async def look() -> None:
        async for _ in listing(paged):
            pass

    paged.gate = gate
    task = asyncio.create_task(look())
    await reached.wait()
    await settled()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert paged.under_way == 0


@pytest.mark.parametrize("length", [2, 3, 7])
async def test_a_listing_that_goes_in_a_circle(length: int) -> None:
    """Pages whose cursors come again end with an error, however many there are between; so does no other listing."""

    class Circle(Paged):
        async def list_page(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
            page = await super().list_page(prefix, recursive=recursive, cursor=int(cursor or 0) % length)
            return Page(page.entries, f"{int(cursor or 0) % length + 1}")

    seen: list[Sequence[Entry]] = []

    async def look() -> None:
        async for page in listing(Circle()):
            seen.append(page)
            assert len(seen) < 100

    with pytest.raises(StorageError, match="circle"):
        await look()
    assert len(seen) >= length


async def test_a_refused_question_ends_no_listing() -> None:
    """A service that refuses the question for its order is listed page by page."""

    class Refusing(Paged):
        features = Features(endpoint="here", list_after=True)

        def __init__(self) -> None:
            super().__init__()
            self.questions: list[str] = []

        async def list_page(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
            page = await super().list_page(prefix, recursive=recursive, cursor=cursor)
            return Page([Entry(f"{entry.key}-x") for entry in page.entries], page.cursor)

        async def list_after(self, prefix: str, after: str) -> Page:
            self.questions.append(after)
            raise AccessDeniedError("no", provider="X", operation="list", path=prefix)

    paged = Refusing()
    seen = [entry.key async for page in listing(paged) for entry in page]
    assert seen == [f"b/{number}-x" for number in range(PAGES)]
    assert len(paged.questions) == 1
