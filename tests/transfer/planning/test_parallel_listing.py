"""Long listings, requested in several places at once."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dxflow_async.exceptions import ServiceError, UnsupportedError
from dxflow_async.providers.contract import Entry, Page
from dxflow_async.providers.http import Call
from dxflow_async.transfer.planning.parallel_listing import list_in_parallel
from tests.transfer.planning.key_shapes import SHAPES, keys_of
from tests.transfer.planning.listed_keys import ListedKeys, run_on_its_own_clock

CALL = Call("TEST", "list", "/")


@given(st.sets(st.text(st.characters(min_codepoint=33, exclude_categories=["Cs"]), min_size=1)), st.integers(1, 7))
@settings(max_examples=150)
def test_every_key_once_and_in_order(keys: set[str], page_size: int) -> None:
    """Whatever the keys are, and however few fit on a page, each is listed once, in order."""
    listing = ListedKeys(sorted(keys), page_size=page_size)
    found, _ = run_on_its_own_clock(listing.listed())
    assert found == sorted(keys)


@pytest.mark.parametrize("shape", SHAPES)
def test_long_listing_is_quick(shape: str) -> None:
    """A listing of 300 pages takes a quarter of the time that it takes page by page, or less."""
    keys = keys_of(shape, 30_000)
    listing = ListedKeys(keys)
    found, seconds = run_on_its_own_clock(listing.listed())
    assert found == keys
    assert seconds < len(keys) / 100 * 0.04 / 4


@pytest.mark.parametrize("shape", SHAPES)
def test_requests_are_not_wasted(shape: str) -> None:
    """Requests that find nothing new are at most twice as many as the pages, and half as many of names that count."""
    keys = keys_of(shape, 30_000)
    listing = ListedKeys(keys)
    run_on_its_own_clock(listing.listed())
    assert listing.requests < (3 if shape == "words" else 1.5) * len(keys) / 100


def test_requests_leave_while_answers_wait() -> None:
    """The next request leaves when one answer was parsed, not when all those were that have arrived by then."""

    class Parsed(ListedKeys):
        async def page(self, cursor: str) -> Page:
            page = await super().page(cursor)
            asyncio.get_running_loop()._now += 0.002  # type: ignore[attr-defined]
            return page

    listing = Parsed(keys_of("counted", 50_000))
    found, seconds = run_on_its_own_clock(listing.listed())
    assert found == listing.keys
    assert seconds < len(found) / 100 * 0.042 / 9


def test_pages_that_are_not_in_order_are_refused() -> None:
    """A page whose last key stands before its first one ends the listing, which would go back again and again."""

    class Turned(ListedKeys):
        async def page(self, cursor: str) -> Page:
            page = await super().page(cursor)
            return Page(page.entries[::-1], page.cursor) if self.requests > 20 else page

    with pytest.raises(ServiceError, match="contradicts"):
        run_on_its_own_clock(Turned(keys_of("counted", 5000)).listed())


@pytest.mark.parametrize("count", [99, 100, 101, 200, 250, 400])
def test_short_listing_costs_what_it_did(count: int) -> None:
    """A listing of a few pages makes hardly more requests, and takes no longer."""
    listing = ListedKeys(keys_of("counted", count))
    found, seconds = run_on_its_own_clock(listing.listed())
    pages = -(-count // 100)
    assert len(found) == count
    assert listing.requests <= 3 * pages - 2
    assert seconds < pages * 0.04 + 0.001


def test_keys_come_and_go() -> None:
    """Keys that stay are found once and in order while others are added and removed everywhere."""
    choice = random.Random(4)
    stay = keys_of("counted", 20_000)[::2]
    others = keys_of("counted", 20_000)[1::2]
    listing = ListedKeys(sorted(stay + others[::3]))

    def change() -> None:
        there = set(listing.keys)
        for key in choice.sample(others, 40):
            if key in there:
                listing.keys.remove(key)
            else:
                listing.add(key)

    listing.before_answer = change
    found, _ = run_on_its_own_clock(listing.listed())
    assert found == sorted(set(found))
    assert [key for key in found if key in set(stay)] == stay


def test_server_that_ignores_the_start() -> None:
    """Where a service does not begin where it is asked to, the listing goes on by cursors, and has every key once."""
    listing = ListedKeys(keys_of("digests", 3000), honest=False)
    found, _ = run_on_its_own_clock(listing.listed())
    assert found == listing.keys
    assert listing.requests == 30


def test_server_that_finds_nothing_after_a_key() -> None:
    """An empty answer where more is known to be there is not believed."""

    class Blind(ListedKeys):
        async def after(self, key: str) -> Page:
            return Page((), None)

    listing = Blind(keys_of("digests", 3000))
    found, _ = run_on_its_own_clock(listing.listed())
    assert found == listing.keys


@pytest.mark.parametrize("shape", SHAPES)
def test_server_that_leaves_out_keys(shape: str) -> None:
    """Keys that a service leaves out where it is asked to begin are found by the range before."""

    class Leaky(ListedKeys):
        async def after(self, key: str) -> Page:
            page = await super().after(key)
            return page if key in self.keys else Page(page.entries[40:], page.cursor)

    listing = Leaky(keys_of(shape, 10_000))
    found, _ = run_on_its_own_clock(listing.listed())
    assert found == listing.keys


@pytest.mark.parametrize(("shape", "seed"), [("dates", 2), ("dates", 5), ("digests", 5), ("unpadded", 4)])
def test_the_earliest_key_that_was_seen_counts(shape: str, seed: int) -> None:
    """Of ranges that have seen, in any order, where a later one begins, the one with the earliest key is believed."""
    choice = random.Random(seed)

    class LeakyAndUneven(ListedKeys):
        async def after(self, key: str) -> Page:
            await asyncio.sleep(choice.random() * 0.2)
            page = await super().after(key)
            return page if key in self.keys else Page(page.entries[3:], page.cursor)

        async def page(self, cursor: str) -> Page:
            if cursor in self.keys:
                await asyncio.sleep(choice.random() * 0.4)
            return await super().page(cursor)

    every, keys = keys_of(shape, 6000), list[str]()
    at = 0
    while at < len(every):
        run, gap = choice.choice([1, 2, 5, 20, 100, 400]), choice.choice([0, 1, 50, 300, 800])
        keys += every[at : at + run]
        at += run + gap
    listing = LeakyAndUneven(sorted(set(keys)), page_size=[5, 10, 20][seed % 3])
    found, _ = run_on_its_own_clock(listing.listed())
    assert found == listing.keys


def test_pages_that_go_back_are_refused() -> None:
    """A page that names keys again that are listed already is an error, not a second finding."""

    class Circle(ListedKeys):
        async def page(self, cursor: str) -> Page:
            page = await super().page(cursor if cursor < "data/file-00001500" else "")
            return Page(page.entries, page.cursor and f"{page.cursor}{self.requests}")

    with pytest.raises(ServiceError, match="contradicts"):
        run_on_its_own_clock(Circle(keys_of("counted", 3000)).listed())


async def test_error_comes_after_the_keys_before_it() -> None:
    """Everything before the page that could not be fetched is yielded before its error is raised."""
    keys = keys_of("counted", 5000)

    class Broken(ListedKeys):
        async def page(self, cursor: str) -> Page:
            page = await super().page(cursor)
            if any(entry.key == keys[2500] for entry in page.entries):
                raise ServiceError("it broke")
            return page

    listing = Broken(keys, delay=0.001)
    first, found = await listing.page(""), list[str]()

    async def collect() -> None:
        async with aclosing(list_in_parallel(CALL, "", first, go_on=listing.page, start_after=listing.after)) as pages:
            async for page in pages:
                found.extend(entry.key for entry in page.entries)

    with pytest.raises(ServiceError, match="it broke"):
        await collect()
    assert found == keys[: len(found)]
    assert 2300 < len(found) <= 2500


async def test_listing_that_is_left_makes_no_more_requests() -> None:
    """Requests that are under way end with the listing."""
    listing = ListedKeys(keys_of("counted", 50_000), delay=0.001)
    first = await listing.page("")
    async with aclosing(list_in_parallel(CALL, "", first, go_on=listing.page, start_after=listing.after)) as pages:
        for _ in range(20):
            await anext(pages)
    assert len(asyncio.all_tasks()) == 1
    requests = listing.requests
    await asyncio.sleep(0.01)
    assert listing.requests == requests


async def test_pages_ahead_are_bounded() -> None:
    """While nobody takes pages, no more than some tens of them are fetched."""
    listing = ListedKeys(keys_of("counted", 50_000), delay=0)
    first = await listing.page("")
    async with aclosing(list_in_parallel(CALL, "", first, go_on=listing.page, start_after=listing.after)) as pages:
        for _ in range(100):
            await anext(pages)
        requests = listing.requests
        for _ in range(500):
            await asyncio.sleep(0)
        assert listing.requests - requests <= 64
        assert requests < 100 + 100


async def test_heavy_pages_ahead_are_fewer() -> None:
    """What waits is bounded by its memory: of pages whose objects have much metadata, only a few are fetched."""
    for keys, most in ("a", 160), ("abcdefgh", 64):  # 100 objects of each page take some 270 KB, or 1.7 MB
        listing = ListedKeys(keys_of("counted", 50_000), delay=0, metadata=dict.fromkeys(keys, "x" * 2000))
        first = await listing.page("")
        async with aclosing(list_in_parallel(CALL, "", first, go_on=listing.page, start_after=listing.after)) as pages:
            for taken in range(1, 101):
                await anext(pages)
                for _ in range(20):
                    await asyncio.sleep(0)
                assert listing.requests - taken <= most


@pytest.mark.parametrize("shape", SHAPES)
def test_a_start_in_the_middle_that_is_refused(shape: str) -> None:
    """A range that the service does not begin, or begins with an empty page, is listed by the one before it."""

    class Refusing(ListedKeys):
        async def after(self, key: str) -> Page:
            page = await super().after(key)
            if key not in self.keys and self.requests > 12:
                raise UnsupportedError("an empty page shows nothing")
            return page

    listing = Refusing(keys_of(shape, 5000))
    found, _ = run_on_its_own_clock(listing.listed())
    assert found == listing.keys


async def test_pages_ahead_are_bounded_where_nothing_is_cut() -> None:
    """Also a listing that goes on in one place waits for its caller."""
    listing = ListedKeys(keys_of("counted", 50_000), delay=0, honest=False)
    first = await listing.page("")
    async with aclosing(list_in_parallel(CALL, "", first, go_on=listing.page, start_after=listing.after)) as pages:
        for _ in range(3):
            await anext(pages)
        for _ in range(2000):
            await asyncio.sleep(0)
        assert listing.requests <= 3 + 64


async def test_pages_of_hidden_keys_are_passed() -> None:
    """Pages without entries in the middle of a listing end nothing."""
    keys = keys_of("counted", 5000)

    class Hiding(ListedKeys):
        async def page(self, cursor: str) -> Page:
            page = await super().page(cursor)
            shown: list[Entry] = [entry for entry in page.entries if not keys[1000] <= entry.key < keys[4000]]
            return Page(shown, page.cursor)

    found = await Hiding(keys, delay=0).listed()
    assert found == keys[:1000] + keys[4000:]
