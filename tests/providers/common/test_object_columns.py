"""Pages whose objects are columns."""

from __future__ import annotations

import pickle

import pytest

from dxflow_async.exceptions import ServiceError
from dxflow_async.providers.common.confirm import check_names
from dxflow_async.providers.contract import Entry, ObjectColumns, keys_of
from dxflow_async.providers.http import Call

COLUMNS = ObjectColumns(["b/a", "b/d/", "b/e/", "b/z"], [3, 0, 7, 0], [1.5, 2.5, 3.5, 4.5], ["x", None, "y", "z"])
ENTRIES = [
    Entry("b/a", 3, 1.5, directory=False, etag="x"),
    Entry("b/d/", 0, 2.5, directory=True),
    Entry("b/e/", 7, 3.5, directory=False, etag="y"),
    Entry("b/z", 0, 4.5, directory=False, etag="z"),
]


def test_columns_are_a_sequence_of_entries() -> None:
    """Iteration, indices, slices, length, membership and comparison are those of the list of entries."""
    assert list(COLUMNS) == ENTRIES
    assert [COLUMNS[at] for at in range(-4, 4)] == ENTRIES + ENTRIES
    assert len(COLUMNS) == 4
    assert COLUMNS[:] == ENTRIES
    assert tuple(ENTRIES) == COLUMNS
    assert COLUMNS[1:3] == ENTRIES[1:3]
    assert isinstance(COLUMNS[1:3], ObjectColumns)
    assert COLUMNS[:3] != ENTRIES
    assert ENTRIES[2] in COLUMNS
    assert list(reversed(COLUMNS)) == ENTRIES[::-1]
    assert repr(COLUMNS) == repr(ENTRIES)
    with pytest.raises(IndexError):
        COLUMNS[4]


def test_columns_are_pickled() -> None:
    """Workers of an executor get pages."""
    assert pickle.loads(pickle.dumps(COLUMNS)) == ENTRIES


def test_keys_of_either_kind() -> None:
    """The keys of a page are those of its entries, whatever it is kept as."""
    assert keys_of(COLUMNS) == keys_of(ENTRIES) == ["b/a", "b/d/", "b/e/", "b/z"]


@pytest.mark.parametrize("stranger", ["a/z", "b", "b0", "c/a", ""])
@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_key_outside_the_prefix_is_found_anywhere(stranger: str, at: int) -> None:
    """A key that does not begin with the prefix is refused, wherever it stands and in whatever order."""
    keys = [*COLUMNS.keys[:at], stranger, *COLUMNS.keys[at:]]
    columns = ObjectColumns(keys, [1] * 5, [0.0] * 5, [None] * 5)
    check_names(Call("TEST", "list", "/b/"), "b/", COLUMNS)
    with pytest.raises(ServiceError, match="not below"):
        check_names(Call("TEST", "list", "/b/"), "b/", columns)
