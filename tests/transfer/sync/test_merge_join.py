"""Two listings made into pairs, in order and out of it; without a loop."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dxflow_async.providers.contract import Entry, Features
from dxflow_async.transfer.sync.compare import Comparison, Seen
from dxflow_async.transfer.sync.filters import NameFilter
from dxflow_async.transfer.sync.merge_join import DESTINATION, SOURCE, MergeJoin, Pair, order
from dxflow_async.transfer.sync.spill import Spill

Tree = dict[str, int]

NAMES = st.text(st.sampled_from("ab-. /\u00e9\U0001f680\udcff"), min_size=1, max_size=6).filter(
    lambda name: "" not in name.split("/")
)
TREES = st.dictionaries(NAMES, st.integers(0, 2), max_size=30)


OPENED: list[MergeJoin | Spill] = []
"""What the tests of this module opened; closed at its end."""


def new_join(*arguments: Any, **options: Any) -> MergeJoin:
    """Opens a merge join."""
    OPENED.append(join := MergeJoin(*arguments, **options))
    return join


def new_spill() -> Spill:
    """Opens a spill file."""
    OPENED.append(spill := Spill())
    return spill


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    """Closes everything that was opened."""
    yield
    for each in OPENED:
        each.close()
    OPENED.clear()


def entries(prefix: str, tree: Tree) -> list[Entry]:
    """The listing of a tree, in the order of its keys."""
    return [Entry(prefix + name, size) for name, size in sorted(tree.items(), key=lambda item: order(item[0]))]


def pages(listing: Sequence[Entry], size: int) -> Iterator[Sequence[Entry]]:
    return (listing[start : start + size] for start in range(0, len(listing), size))


def paired(
    pairing: MergeJoin, source: Sequence[Entry], destination: Sequence[Entry], size: int = 3
) -> tuple[list[Pair], list[Pair]]:
    """What comes of two listings: what is at the source, and what is at the destination only."""
    waiting = [pages(source, size), pages(destination, size)]
    found: list[Pair] = []
    with closing(pairing):
        while (side := pairing.wants()) is not None:
            page = next(waiting[side], None)
            found += pairing.end(side) if page is None else pairing.feed(side, page)
        found += [pair for page in pairing.left(SOURCE) for pair in page]
        return found, [pair for page in pairing.left(DESTINATION, reverse=True) for pair in page]


def synced(source: Tree, destination: Tree, found: list[Pair], superfluous: list[Pair]) -> Tree:
    """The destination after what the pairs say was done."""
    result = dict(destination)
    comparison, features = Comparison("size"), Features()
    for pair in found:
        assert pair.source is not None
        if pair.destination is None or comparison.difference(
            Seen(features, pair.source), Seen(features, pair.destination)
        ):
            result[pair.name] = source[pair.name]
    for pair in superfluous:
        del result[pair.name]
    return result


@given(TREES, TREES, st.randoms(use_true_random=False), st.integers(1, 7), st.sampled_from(["sorted", "one", "both"]))
def test_after_a_sync_the_trees_are_equal(
    source: Tree, destination: Tree, chance: random.Random, size: int, disorder: str
) -> None:
    """With deleting, whatever the trees and however the listings are out of order; every name is said once."""
    ours, theirs = entries("from/", source), entries("to/", destination)
    if disorder != "sorted":
        chance.shuffle(theirs)
    if disorder == "both":
        chance.shuffle(ours)
    found, superfluous = paired(new_join(("from/", "to/")), ours, theirs, size)
    assert sorted(pair.name for pair in found) == sorted(source)
    assert sorted(pair.name for pair in superfluous) == sorted(destination.keys() - source.keys())
    assert all((pair.destination is not None) == (pair.name in destination) for pair in found)
    assert synced(source, destination, found, superfluous) == source
    assert synced(source, destination, found, []) == {**destination, **source}


@given(TREES, TREES, st.integers(1, 7))
def test_where_the_order_is_kept_nothing_waits(source: Tree, destination: Tree, size: int) -> None:
    """What is new is said at once when the destination's order can be relied on."""
    pairing = new_join(("", ""), ordered=(True, True), keeps=False)
    waiting = [pages(entries("", source), size), pages(entries("", destination), size)]
    found: list[Pair] = []
    with closing(pairing):
        while (side := pairing.wants()) is not None:
            page = next(waiting[side], None)
            found += pairing.end(side) if page is None else pairing.feed(side, page)
        assert list(pairing.left(SOURCE)) == list(pairing.left(DESTINATION)) == []
    assert [pair.name for pair in found] == sorted(source, key=order)
    assert not pairing.disordered


@given(TREES, TREES, st.sampled_from(["a", "*b*", "a/", "**/b", ".*"]))
def test_what_is_excluded_is_neither_copied_nor_deleted(source: Tree, destination: Tree, pattern: str) -> None:
    """Whichever side it is on."""
    admits = NameFilter(exclude=[pattern]).admits
    found, superfluous = paired(new_join(("", ""), admits), entries("", source), entries("", destination))
    result = synced(source, destination, found, superfluous)
    names = {*source, *destination}
    assert {name: result[name] for name in names if name in result} == {
        name: (source if admits(name) else destination)[name]
        for name in names
        if name in (source if admits(name) else destination)
    }


def test_disorder_is_noticed() -> None:
    """As SeaweedFS lists: the directory before the name that its slash is greater than."""
    pairing = new_join(("", ""))
    listing = [Entry("a/b"), Entry("a-b")]
    found, superfluous = paired(pairing, [Entry("a-b"), Entry("a/b")], listing)
    assert (sorted(pair.name for pair in found), superfluous) == (["a-b", "a/b"], [])
    assert pairing.disordered


def test_what_is_named_twice_is_said_once() -> None:
    """A page that begins where the one before ended makes nothing superfluous."""
    pairing = new_join(("", ""))
    found, superfluous = paired(pairing, entries("", {"a": 1, "b": 1}), [Entry("a"), Entry("a"), Entry("b")], 1)
    assert ([pair.name for pair in found], superfluous) == (["a", "b"], [])
    assert pairing.disordered


def test_directories_that_could_not_be_read_are_remembered() -> None:
    """Also those that are not included: what is below them is not known."""
    pairing = new_join(("", ""), NameFilter(include=["*.csv"]).admits)
    paired(pairing, [Entry("d/", directory=True, unreadable="permission denied"), Entry("x.csv")], [])
    assert all(pairing.protected.covers(name) for name in ("d", "d/", "d/x/y", "D/x"))
    assert not any(pairing.protected.covers(name) for name in ("d-x", "dd/", "x.csv", "e/d"))


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 1), NAMES), max_size=40))
def test_what_waits_on_disk_comes_back_as_it_was(rows: list[tuple[int, str]]) -> None:
    """All that a listing says, by name and in order; what was taken waits no longer."""
    spool = new_spill()
    spool.MAX_BUFFERED = 3
    with closing(spool):
        expected = {}
        for number, (side, name) in enumerate(rows):
            entry = Entry(name, number, 1.25, etag="e", crc32c=7, content_type="t", unreadable="u", mtime=0.1)
            spool.put(side, order(name), entry)
            expected[side, name] = entry
        for side in (0, 1):
            names = sorted((name for each, name in expected if each == side), key=order)
            listed = [entry for page in spool.pages(side, 2) for entry in page]
            assert listed == [expected[side, name] for name in names]
            assert [entry for page in spool.pages(side, 2, reverse=True) for entry in page] == listed[::-1]
            for name in names:
                assert spool.take(side, order(name)) == expected[side, name]
                assert spool.take(side, order(name)) is None


@given(TREES, TREES, st.integers(1, 7), st.booleans(), st.booleans())
def test_what_is_in_the_way_is_found(source: Tree, destination: Tree, size: int, ordered: bool, keeps: bool) -> None:
    """Of two trees of a disk: each file below another one's, and each in the place of a directory, knows of it."""
    ours, theirs = of_a_disk(source), of_a_disk(destination)
    pairing = new_join(("from/", "to/"), ordered=(ordered, ordered), keeps=keeps, real=lambda: True)
    waiting = [pages(entries("from/", ours), size), pages(entries("to/", theirs), size)]
    found: list[Pair] = []
    with closing(pairing):
        while (side := pairing.wants()) is not None:
            page = next(waiting[side], None)
            found += pairing.end(side) if page is None else pairing.feed(side, page)
        found += [pair for page in pairing.left(SOURCE) for pair in page]
        found += [pair for page in pairing.blocked() for pair in page]
        left = {pair.name for page in pairing.left(DESTINATION) for pair in page}
    assert sorted(pair.name for pair in found) == sorted(ours)
    if not (ordered or keeps):
        return
    files, directories = set(theirs), {name[:end] for name in theirs for end in slashes(name)}
    for pair in found:
        above = [pair.name[:end] for end in slashes(pair.name) if pair.name[:end] in files]
        expected = f"to/{above[0]}" if above else f"to/{pair.name}/" if pair.name in directories else None
        assert (pair.obstacle.key if pair.obstacle else None) == expected
        assert not left.intersection(above)


def of_a_disk(tree: Tree) -> Tree:
    """The tree without what lies below a file of it."""
    return {name: size for name, size in tree.items() if not any(name[:end] in tree for end in slashes(name))}


def slashes(name: str) -> list[int]:
    """Where a name's slashes are."""
    return [place for place, letter in enumerate(name) if letter == "/"]
