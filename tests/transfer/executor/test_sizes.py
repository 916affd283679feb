"""How large shards are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxflow_async.transfer.executor.sizes import ShardSizes

_MIB = 1 << 20
_GIB = 1 << 30


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_one_object_keeps_the_connections_of_all_workers_busy(workers: int) -> None:
    """The first shards of an object have several parts, since a worker moves the parts of a shard at the same time."""
    sizes = ShardSizes()
    assert sizes.parts(32 * _MIB, _GIB, workers) == 8
    assert sizes.most_parts(32 * _MIB) == 8


def test_a_small_object_is_shared_by_all_workers() -> None:
    """Where there are few parts, each worker gets its share before any gets several."""
    assert ShardSizes().parts(32 * _MIB, 128 * _MIB, 4) == 1
    assert ShardSizes().parts(32 * _MIB, 256 * _MIB, 4) == 2


@given(
    st.integers(1 << 20, 1 << 30),
    st.integers(1, 1 << 30),
    st.integers(1, 5 << 40),
    st.integers(1, 1000),
)
def test_shards_of_parts_are_bounded(size: int, part_size: int, left: int, workers: int) -> None:
    """A shard has at least one part, and never more than its bytes, eight parts, or its share of the object allow."""
    parts = ShardSizes(bytes=size).parts(part_size, left, workers)
    assert 1 <= parts <= max(1, 8, size // part_size)
    assert parts == 1 or parts * part_size * workers <= left
