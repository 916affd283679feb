from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxflow_async.exceptions import UnsupportedError
from dxflow_async.providers.contract import Features
from dxflow_async.transfer.plan import PartPolicy, part_size_at, part_size_for, split, stream_part_size

MiB, GiB, TiB = 1 << 20, 1 << 30, 1 << 40
S3 = Features(min_part_size=5 * MiB, max_part_size=5 * GiB, max_parts=10_000, max_size=5 * TiB)


@given(size=st.integers(0, 1 << 24), part_size=st.integers(1 << 12, 1 << 22))
def test_parts_cover_exactly_and_in_order(size: int, part_size: int) -> None:
    """The parts begin at nothing, follow one another without a gap, and end at the size."""
    end = 0
    for number, part in enumerate(split(size, part_size), 1):
        assert part.number == number
        assert part.offset == end
        assert 0 < part.size <= part_size or size == 0
        end += part.size
    assert end == size


@given(size=st.integers(1, 5 * TiB), wanted=st.integers(1, 64 * MiB))
def test_part_size_keeps_the_limits(size: int, wanted: int) -> None:
    """Whatever the size, parts are as many and as large as the provider takes."""
    part_size = part_size_for(size, wanted, S3)
    assert S3.min_part_size <= part_size <= S3.max_part_size
    assert part_size >= wanted
    assert -(-size // part_size) <= S3.max_parts


@given(size=st.integers(1, 4 * TiB), more=st.integers(0, TiB))
def test_part_size_grows_with_the_object(size: int, more: int) -> None:
    """A larger object never has smaller parts."""
    assert part_size_for(size, 8 * MiB, S3) <= part_size_for(size + more, 8 * MiB, S3)


def test_wanted_part_size_is_taken_while_it_fits() -> None:
    """No more is taken than asked for, unless the number of parts demands it."""
    assert part_size_for(10_000 * 8 * MiB, 8 * MiB, S3) == 8 * MiB
    assert part_size_for(10_000 * 8 * MiB + 1, 8 * MiB, S3) == 9 * MiB


def test_objects_of_any_size_move_whole() -> None:
    """A destination that takes bodies of any size gets objects up to its limit whole, unless it wants a checksum."""
    whole = Features(streams_whole=True, endpoint="here", max_size=5 * GiB)
    assert PartPolicy(DISK, whole, 8 * MiB).largest_whole(1) == 5 * GiB
    assert PartPolicy(DISK, replace(whole, checksum_first=True), 8 * MiB).largest_whole(1) == 16 * MiB
    assert PartPolicy(DISK, whole, 8 * MiB).memory_for(5 * GiB) == 2 * MiB


@pytest.mark.parametrize(
    "features",
    [S3, Features(max_parts=10, max_part_size=MiB, max_size=5 * TiB)],
    ids=["larger than any object", "more parts than there are"],
)
def test_too_large_an_object_is_refused(features: Features) -> None:
    """What no part size can hold is refused, with the limits in the message."""
    with pytest.raises(UnsupportedError, match=str(features.max_size)):
        part_size_for(5 * TiB + 1, 8 * MiB, features)


@given(number=st.integers(1, 10_000), first=st.integers(5 * MiB, 64 * MiB), largest=st.integers(1, 64 * MiB))
def test_stream_parts_never_shrink_nor_exceed(number: int, first: int, largest: int) -> None:
    """The parts of a stream are at least the first size, never smaller than the one before, and bounded."""
    size = part_size_at(number, first, largest)
    assert first <= size <= max(first, largest)
    assert size <= part_size_at(number + 1, first, largest)


def test_ten_thousand_stream_parts_hold_half_a_tebibyte() -> None:
    """A stream of unknown length may be long."""
    assert sum(part_size_at(number, 8 * MiB, 64 * MiB) for number in range(1, 10_001)) > 0.45 * TiB


DISK = Features(cheap_reread=True, max_part_size=5 * GiB)
CLOUD = Features(checksum_first=True, endpoint="here", max_part_size=5 * GiB)
STREAMING = Features(checksum_first=True, streams_parts=True, endpoint="here", max_part_size=5 * GiB)
COSTLY = Features(checksum_first=True, streams_parts=True, parts_are_objects=True, endpoint="here")
NO_RANGES = Features(ranges=False, endpoint="here")


@pytest.mark.parametrize(
    ("source", "destination", "left", "parts"),
    [
        (DISK, CLOUD, 0, 2),
        (DISK, CLOUD, 1_000_000, 2),
        (CLOUD, DISK, 99, 2),
        (CLOUD, DISK, 100, 8),
        (DISK, COSTLY, 0, 8),
        (CLOUD, COSTLY, 0, 2),
    ],
    ids=["up", "up, among many", "down", "down, among many", "parts are objects", "parts are objects, from a cloud"],
)
def test_small_objects_move_whole(source: Features, destination: Features, left: int, parts: int) -> None:
    """Two parts' worth moves as one part, and more where cutting costs requests or gains no speed."""
    assert PartPolicy(source, destination, 8 * MiB).largest_whole(left) == parts * 8 * MiB


@pytest.mark.parametrize(
    ("source", "destination", "size", "expected"),
    [
        (DISK, CLOUD, TiB, 8 * MiB),
        (DISK, STREAMING, 16 * MiB, 8 * MiB),
        (DISK, STREAMING, 512 * MiB, 16 * MiB),
        (DISK, STREAMING, TiB, 32 * MiB),
        (CLOUD, DISK, 512 * MiB + 32, 8 * MiB),
        (CLOUD, DISK, GiB + 32, 16 * MiB),
        (CLOUD, DISK, TiB, 32 * MiB),
        (CLOUD, STREAMING, TiB, 8 * MiB),
        (NO_RANGES, DISK, GiB, GiB),
        (NO_RANGES, DISK, 6 * GiB, 5 * GiB),
        (NO_RANGES, CLOUD, GiB, 8 * MiB),
    ],
)
def test_streamed_parts_grow_with_the_object(source: Features, destination: Features, size: int, expected: int) -> None:
    """Parts that take no memory grow up to four times; a source without ranges is read in one part where it can be."""
    assert PartPolicy(source, destination, 8 * MiB).wanted_size(size) == expected


@pytest.mark.parametrize(
    ("source", "destination", "size", "memory"),
    [
        (CLOUD, CLOUD, 8 * MiB, 8 * MiB),
        (DISK, CLOUD, 8 * MiB, 2 * MiB),
        (CLOUD, DISK, 8 * MiB, 2 * MiB),
        (CLOUD, DISK, 5, 5),
    ],
)
def test_parts_take_their_memory(source: Features, destination: Features, size: int, memory: int) -> None:
    """Only a part that is held whole takes its whole size from the budget."""
    assert PartPolicy(source, destination, 8 * MiB).memory_for(size) == memory


def test_no_request_is_larger_than_the_service_takes() -> None:
    """Whatever the part size, an object that exceeds one request goes in parts, and no part exceeds its limit."""
    for policy in (PartPolicy(DISK, S3, 3 * GiB), PartPolicy(replace(S3, endpoint="s3"), S3, 5 * GiB)):
        assert policy.largest_whole(1) == 5 * GiB
    assert PartPolicy(DISK, replace(S3, max_write_size=10 * MiB), 8 * MiB).largest_whole(1) == 10 * MiB
    assert PartPolicy(DISK, Features(streams_whole=True, max_write_size=MiB), 8 * MiB).largest_whole(1) == MiB
    assert part_size_for(11 * GiB, 20 * GiB, S3) == 5 * GiB


def test_parts_vary_late_where_that_may_be_refused() -> None:
    """Small parts of one size make up a stream of up to 41 GiB; a longer one has parts that grow, and fits, too."""
    doubtful = replace(S3, varied_parts_doubtful=True)
    sizes = [stream_part_size(number, 8 * MiB, 64 * MiB, doubtful) for number in range(1, 10_001)]
    assert set(sizes[:5_250]) == {8 * MiB}
    assert sizes == sorted(sizes)
    assert 318 * GiB <= sum(sizes) < 319 * GiB
    few = replace(S3, max_parts=1_000)
    assert sum(stream_part_size(number, 8 * MiB, 64 * MiB, few) for number in range(1, 1_001)) > 40 * GiB


def test_parts_of_one_size_hold_a_long_stream() -> None:
    """Parts that must not vary are as large as a long stream needs, as far as memory allows."""
    uniform = replace(S3, uniform_parts=True)
    assert {stream_part_size(number, 8 * MiB, 128 * MiB, uniform) for number in (1, 1001, 9999)} == {27 * MiB}
    assert stream_part_size(1, 8 * MiB, 16 * MiB, uniform) == 16 * MiB
    assert stream_part_size(1, 32 * MiB, 16 * MiB, uniform) == 32 * MiB
    assert stream_part_size(1, 8 * MiB, 128 * MiB, replace(uniform, max_parts=1000)) == 128 * MiB
    assert stream_part_size(1500, 8 * MiB, 128 * MiB, S3) == 16 * MiB
