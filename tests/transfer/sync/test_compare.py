"""What counts as the same; without a loop."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers.common.mtime import changed_at, format_mtime, parse_mtime
from dxflow_async.providers.contract import Entry, Features
from dxflow_async.transfer.sync.compare import Compare, Comparison, Seen

LISTED = Features(mtime=True, mtime_listed=True)
ASKED = Features(mtime=True, checksum=True)
NONE = Features()


def difference(by: Compare, one: Entry, other: Entry, features: Features = LISTED) -> str | None:
    comparison = Comparison(by)
    source, destination = Seen(LISTED, one), Seen(features, other)
    assert comparison.decided(source, destination)
    return comparison.difference(source, destination)


@pytest.mark.parametrize("by", ["size", "size+mtime", "checksum"])
def test_another_size_is_a_difference(by: Compare) -> None:
    """However it is compared, and without a look at anything else."""
    assert difference(by, Entry("a", 1), Entry("a", 2), ASKED) == "size differs"


def test_size_alone() -> None:
    """Neither times nor checksums are looked at."""
    one, other = Entry("a", 1, mtime=1.0, crc32c=1), Entry("a", 1, mtime=2.0, crc32c=2)
    assert difference("size", one, other, ASKED) is None


@pytest.mark.parametrize(("seconds", "same"), [(0.0, True), (2e-6, True), (-9e-6, True), (1e-4, False), (1.0, False)])
def test_times_within_the_precision_of_storing_them_are_the_same(seconds: float, same: bool) -> None:
    """A microsecond more or less is no change."""
    now = 1_700_000_000.123456
    found = difference("size+mtime", Entry("a", 1, mtime=now), Entry("a", 1, mtime=now + seconds))
    assert (found is None) is same


def test_a_time_survives_being_stored() -> None:
    """Written and read, every time is within the tolerance of itself."""
    for time in (0.1, -5.75, 1_700_000_000.1234567, 4e9 + 1e-6):
        stored = parse_mtime(format_mtime(time))
        assert difference("size+mtime", Entry("a", mtime=time), Entry("a", mtime=stored)) is None


def test_checksums_that_are_known_anyway_decide() -> None:
    """Instead of times: equal bytes with another time are the same, others with an equal time are not."""
    assert difference("size+mtime", Entry("a", 1, mtime=1.0, crc32c=5), Entry("a", 1, mtime=9.0, crc32c=5)) is None
    assert difference("size+mtime", Entry("a", 1, mtime=1.0, crc32c=5), Entry("a", 1, mtime=1.0, crc32c=6))


def test_what_the_listing_does_not_tell_is_asked_for() -> None:
    """A time, or a checksum; once it was asked for, it is decided."""
    source, destination = Seen(LISTED, Entry("a", 1, mtime=1.0)), Seen(ASKED, Entry("a", 1, modified=99.0))
    assert not Comparison("size+mtime").decided(source, destination)
    assert not Comparison("checksum").decided(source, destination)
    destination.looked_up(Entry("a", 1, modified=99.0, mtime=1.0, crc32c=3))
    assert Comparison("size+mtime").decided(source, destination)
    assert Comparison("size+mtime").difference(source, destination) is None
    source.crc32c = 4
    assert Comparison("checksum").difference(source, destination) == "checksum differs"


def test_what_is_not_known_is_not_taken_for_the_same() -> None:
    """Neither a time nor a checksum; where times could decide, the bytes are read then."""
    assert difference("size+mtime", Entry("a", 1, mtime=1.0), Entry("a", 1), NONE) == "time not known"
    assert is_close(Entry("a", 1, mtime=1.0), Entry("a", 1), NONE)
    assert is_close(Entry("a", 1), Entry("a", 1, mtime=1.0))
    unknown = Comparison("checksum").difference(Seen(LISTED, Entry("a")), Seen(LISTED, Entry("a")))
    assert unknown == "checksum not known"


@pytest.mark.parametrize(
    ("stored", "expected", "close"),
    [
        (1000.0, None, False),
        (1000.5, None, False),
        (5000.0, None, False),
        (999.9, "the source is newer", True),
        (998.0, "the source is newer", True),
        (997.9, "the source is newer", False),
    ],
)
@pytest.mark.parametrize("features", [NONE, ASKED, LISTED])
def test_an_object_without_a_time_is_compared_by_age(
    stored: float, expected: str | None, close: bool, features: Features
) -> None:
    """As others do: it is the same when it was not stored before the source was changed. A clock may be a bit off."""
    source, destination = Entry("a", 1, mtime=1000.0), Entry("a", 1, modified=stored)
    found = Seen(features, destination, destination)
    assert Comparison("size+mtime").difference(Seen(LISTED, source), found) == expected
    assert Comparison("size+mtime").by_age(Seen(LISTED, source), found)
    assert Comparison("size+mtime").is_close(Seen(LISTED, source), found) is close
    assert not Comparison("size").by_age(Seen(LISTED, source), found)


def test_the_size_is_looked_at_before_the_age() -> None:
    """A newer object of another size is not the same."""
    assert difference("size+mtime", Entry("a", 1, mtime=1.0), Entry("a", 2, modified=9.0)) == "size differs"


@pytest.mark.parametrize(
    ("kept", "close"),
    [(1000.0, True), (999.0, True), (1001.0, True), (1000.25, False), (998.0, False), (4000.0, False)],
)
def test_times_that_a_disk_may_have_rounded_do_not_decide(kept: float, close: bool) -> None:
    """FAT keeps every other second: the bytes are compared. Two exact times are never rounded ones."""
    source, destination = Entry("a", 1, mtime=1000.75), Entry("a", 1, mtime=kept)
    assert difference("size+mtime", source, destination) == "time differs"
    assert is_close(source, destination) is close
    assert is_close(destination, source) is close


@pytest.mark.parametrize(
    ("kept", "expected"), [(1000.0, None), (1000.75, None), (1001.0, "time differs"), (999.0, "time differs")]
)
def test_a_time_that_was_cut_is_the_same(kept: float, expected: str | None) -> None:
    """Where one side keeps whole seconds, the other side's time cut to a second is the same time, and no other."""
    exact, cut = Entry("a", 1, mtime=1000.75), Entry("a", 1, mtime=kept)
    seconds = replace(LISTED, mtime_resolution=1.0)
    assert Comparison("size+mtime").difference(Seen(LISTED, exact), Seen(seconds, cut)) == expected
    assert Comparison("size+mtime").difference(Seen(seconds, cut), Seen(LISTED, exact)) == expected


def is_close(source: Entry, destination: Entry, features: Features = LISTED) -> bool:
    return Comparison("size+mtime").is_close(Seen(LISTED, source), Seen(features, destination))


def test_there_are_three_comparisons() -> None:
    """The message says which."""
    with pytest.raises(ConfigurationError, match=r"md5.*size\+mtime, checksum, size"):
        Comparison("md5")  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "yesterday", "1e400", "nan", "inf", "1" * 40, "1,5", "2023-01-01T00:00:00Z"])
def test_hostile_times_are_none(text: str) -> None:
    """What anybody may have written into metadata becomes no file's time."""
    assert parse_mtime(text) is None
    assert parse_mtime(None) is None


def test_which_time_counts() -> None:
    """The one that was kept before the one of storing; of two, the one that the listing and the copy agree on."""
    listed, seen = Entry("a", modified=10.25), Entry("a", modified=10.0)
    assert changed_at(LISTED, listed, seen) == 10.25
    assert changed_at(ASKED, listed, seen) == 10.0
    assert changed_at(ASKED, listed, Entry("a", modified=10.0, mtime=5.0)) == 5.0
    assert changed_at(ASKED, Entry("a", modified=10.0, mtime=float("inf")), None) == 10.0
    assert changed_at(NONE, None, Entry("a")) is None
