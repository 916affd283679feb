"""Long listings at services that list `a/b` before `a-b`, and at those that list it after."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dxflow_async import AsyncSession
from dxflow_async.exceptions import ServiceError
from dxflow_async.providers.common.listing_orders import by_directories, from_directories, question
from dxflow_async.providers.http import Call
from dxflow_async.transfer.planning.parallel_listing import list_in_parallel
from tests.servers import SeaweedFS
from tests.sessions import settings_for
from tests.transfer.planning.listed_keys import ListedKeys, run_on_its_own_clock
from tests.transfer.planning.listed_provider import ListedProvider

NAMES = st.lists(st.text("a-./0z\u00e9", min_size=1, max_size=6), min_size=1, max_size=3).map("/".join)
KEYS = st.sets(NAMES.filter(lambda key: "//" not in f"/{key}"), min_size=1, max_size=60)


@given(KEYS, st.integers(1, 5))
@settings(max_examples=200)
def test_every_key_once_in_the_order_of_directories(keys: set[str], page_size: int) -> None:
    """Where the service goes into a directory at its name, each key is listed once, too, in that order."""
    listing = ListedKeys(list(keys), page_size=page_size, directories=True)
    found, _ = run_on_its_own_clock(listing.listed())
    assert found == sorted(keys, key=by_directories)


@given(keys=KEYS, page_size=st.integers(1, 4), directories=st.booleans())
@example(keys={"da/1", "da-1"}, page_size=1, directories=True)
@settings(max_examples=100)
def test_the_order_shows_late(keys: set[str], page_size: int, *, directories: bool) -> None:
    """Where names that stand otherwise in each order come late, each key is listed once, in the service's order."""
    first = [f"A{number:03}" for number in range(60)]
    later = [f"b/{number:03}" for number in range(60)]
    listing = ListedKeys(sorted([*first, *later, *keys]), page_size=page_size, directories=directories)
    found, _ = run_on_its_own_clock(listing.listed(order_is_known=False))
    assert found == listing.keys


def test_names_of_the_directory_itself_tell_no_order() -> None:
    """A listing below a name that has a dash is cut, too, where the order is not known."""
    keys = [f"my-data/{number:05}" for number in range(10_000)]

    async def listed(listing: ListedKeys) -> list[str]:
        call, begun = Call("TEST", "list", "/my-data/"), await listing.page("")
        pages = list_in_parallel(
            call, "my-data/", begun, go_on=listing.page, start_after=listing.after, directories=None
        )
        return [entry.key async for page in pages for entry in page.entries]

    found, seconds = run_on_its_own_clock(listed(ListedKeys(keys)))
    assert found == keys
    assert seconds < 100 * 0.04 / 3


@pytest.mark.parametrize("byte_order", [False, True])
def test_a_start_that_is_ignored_tells_no_order(*, byte_order: bool) -> None:
    """A listing that goes on by cursors has each key, although the service seemed to have the other order."""
    keys = [f"a{middle}{number:03}" for middle in "-/" for number in range(500)]

    class Otherwise(ListedKeys):
        def __init__(self) -> None:
            super().__init__(sorted(keys), honest=False, directories=not byte_order)
            self._directories = byte_order  # as the question was answered

    listing = Otherwise()
    found, _ = run_on_its_own_clock(listing.listed())
    assert found == listing.keys


@given(KEYS, st.sampled_from([str, by_directories]))
@settings(max_examples=300)
def test_the_order_is_told_by_keys(keys: set[str], order: Callable[[str], str]) -> None:
    """What is asked about listed keys has another answer in each order, whatever the names are."""
    listed = sorted((f"top/{key}" for key in keys), key=order)
    asked = question("top/", listed)
    if asked is None:
        assert sorted(listed) == sorted(listed, key=by_directories)
        return
    behind = listed[bisect_right(listed, order(asked.after), key=order) :]
    assert (asked.key in behind) == (asked.directories == (order is by_directories))


def _names(chance: random.Random) -> list[str]:
    """Names that stand alike in both orders, and then names that may not."""
    width, number = chance.choice([2, 3, 4]), chance.choice([200, 600, 1500])
    ends = chance.sample(
        ["", "/a", "/b", "-1", "-2", "/a/1", "/a-1", "/a.x/1", ".b", "-1/2", "z", "/", "\u00e9", "!", "/-", "/./"],
        chance.randrange(1, 7),
    )
    later = [
        f"{at:04}{end}"
        for at in range(number // 3, number, chance.choice([1, 1, 3, 7]))
        for end in ends
        if chance.random() < 0.9
    ]
    return sorted({*(f"{at:0{width}}"[:width] for at in range(number // 3)), *later})


@pytest.mark.parametrize("seed", [873, 1412, 2090, 501034, 503620, 505599, *range(60)])
def test_names_of_many_kinds(seed: int) -> None:
    """Whatever names follow, each key of a service of either order is listed once, also if it ignores starts."""
    chance = random.Random(seed)
    names, directories = _names(chance), chance.random() < 0.5
    page_size, honest = chance.choice([5, 10, 17, 40, 90]), chance.random() < 0.9
    listing = ListedKeys(names, page_size=page_size, directories=directories, honest=honest)
    found, _ = run_on_its_own_clock(ListedProvider(listing).listed())
    assert found == listing.keys


MANY = [f"a{at:03}{middle}{number}" for at in range(60) for middle in "/-" for number in range(30)]


@pytest.mark.parametrize("keys", [MANY, [key for key in MANY if "-" not in key]], ids=["dashes", "directories only"])
@pytest.mark.parametrize("directories", [False, True])
def test_a_service_is_asked_for_its_order(keys: list[str], directories: bool) -> None:
    """A long listing asks once what the order is, and then finds each key in it, several at a time."""
    listing = ListedKeys(sorted(keys), page_size=50, directories=directories)
    provider = ListedProvider(listing)
    found, seconds = run_on_its_own_clock(provider.listed())
    assert found == listing.keys
    assert provider.features.directory_order is directories
    assert seconds < len(keys) / 50 * 0.04


@pytest.mark.parametrize("directories", [False, True])
def test_a_key_that_is_deleted_before_it_is_asked_for(directories: bool) -> None:
    """If the key by which the service is asked goes in that moment, nothing is concluded, and none is missed."""
    listing = ListedKeys(sorted(MANY), page_size=50, directories=directories)
    provider, asked = ListedProvider(listing), question("", listing.keys[:100])
    assert asked is not None

    def delete() -> None:
        if listing.requests == 3 and asked.key in listing.keys:
            listing.keys.remove(asked.key)

    listing.before_answer = delete
    found, _ = run_on_its_own_clock(provider.listed())
    assert [key for key in found if key != asked.key] == listing.keys
    assert provider.features.directory_order in (None, directories)


_FIRST = [f"{number:04}" for number in range(300)]
_DASHES = [f"{number:04}{end}" for number in range(300, 1000) for end in ("", "-1")]
_SLASHES = [f"{number:04}{end}" for number in range(300, 1000) for end in ("/a", "/b", "-1", "-2")]
_MIXED = [f"{number:04}{end}" for number in range(300, 1000, 3) for end in ("/a/1", "/a-1", "/a.x/1", "-1/2", ".b")]


@pytest.mark.parametrize("later", [_DASHES, _SLASHES, _MIXED], ids=["dashes", "directories", "mixed"])
@pytest.mark.parametrize("page_size", [5, 10, 13, 40])
@pytest.mark.parametrize("directories", [False, True])
@pytest.mark.parametrize("plain", [300, 296, 291])
def test_names_that_tell_nothing(later: list[str], page_size: int, directories: bool, plain: int) -> None:
    """Where the first names stand alike in both orders, others may follow that do not: each key is listed once."""
    listing = ListedKeys(sorted(_FIRST[:plain] + later), page_size=page_size, directories=directories)
    found, _ = run_on_its_own_clock(listing.listed(order_is_known=False))
    assert found == listing.keys
    found, _ = run_on_its_own_clock(ListedProvider(listing).listed())
    assert found == listing.keys


@pytest.mark.parametrize("page_size", [10, 40])
def test_an_order_that_was_taken_for_another(page_size: int) -> None:
    """If the service is taken for one of the other order, no key is listed twice without an error."""
    listing = ListedKeys(MANY, page_size=page_size, directories=True)
    provider = ListedProvider(listing)
    provider.features = replace(provider.features, directory_order=False)
    with suppress(ServiceError):
        found, _ = run_on_its_own_clock(provider.listed())
        assert len(set(found)) == len(found)


@given(NAMES)
def test_texts_become_keys_again(key: str) -> None:
    """The text that stands for a key in the order of directories is that key's alone."""
    assert from_directories(by_directories(key)) == key


async def test_directories_beside_names_that_begin_like_them(weed: SeaweedFS, tmp_path: Path) -> None:
    """At SeaweedFS, a long listing, a copy and a deletion have each object where `a/`, `a-1` and `a.x/` are."""
    bucket = weed.create_bucket("orders-of-names")
    names = [f"a{at:02}{middle}{number}" for at in range(30) for middle in "/-" for number in range(40)]
    names += [f"a{at:02}.x/{number}" for at in range(30) for number in range(20)]
    for name in names:
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(name)
    async with AsyncSession(settings=settings_for(weed, tmp_path / "home")) as session:
        await session.upload(f"{tmp_path}/tree/", f"aws:/{bucket}/from/")
        listed = [item.path async for item in session.scan(f"aws:/{bucket}/from/", recursive=True)]
        assert sorted(listed) == sorted(f"/{bucket}/from/{name}" for name in names)
        report = await session.copy(f"aws:/{bucket}/from/", f"aws:/{bucket}/to/", processes=2)
        assert len(report) == len(names)
        again = await session.sync(f"aws:/{bucket}/from/", f"aws:/{bucket}/to/")
        assert not again
        assert await session.delete(f"aws:/{bucket}/from/") == len(names)
        assert not [item async for item in session.scan(f"aws:/{bucket}/from/", recursive=True)]
