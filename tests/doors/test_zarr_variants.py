"""Groups, keys and ranges of the zarr store at every kind of storage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("zarr", reason="the store is zarr's")

import numpy as np
import zarr
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import Buffer, cpu
from zarr.core.sync import sync

from dxflow_async.doors.zarr import DxflowStore

pytestmark = pytest.mark.server


@pytest.fixture
def make(remote: str, options: dict[str, Any], tops: Callable[[str], str]) -> Iterator[Callable[..., DxflowStore]]:
    """Makes stores of one location."""
    name, _, rest = tops(remote).partition("/")
    location = f"/{rest}" if name == "local" else f"{name}:/{rest}"
    made: list[DxflowStore] = []

    def one(**more: Any) -> DxflowStore:
        made.append(DxflowStore(location, **options, **more))
        return made[-1]

    yield one
    for store in made:
        sync(store._sessions.aclose())


def buffer(data: bytes) -> Buffer:
    return cpu.Buffer.from_bytes(data)


def numbers(group: zarr.Group, name: str) -> list[int]:
    array = group[name]
    assert isinstance(array, zarr.Array)
    return [int(each) for each in np.asarray(array[:])]


def listed(values: Any) -> list[str]:
    async def collect() -> list[str]:
        return sorted([each async for each in values])

    return sync(collect())


def test_modes(make: Callable[..., DxflowStore]) -> None:
    """Groups are opened, made, replaced and refused as their mode says."""
    with pytest.raises(FileNotFoundError):
        zarr.open_group(make(), mode="r")
    group = zarr.open_group(make(), mode="w-")
    group.create_array("x", shape=(4,), dtype="i4")[:] = [1, 2, 3, 4]
    with pytest.raises(FileExistsError):
        zarr.open_group(make(), mode="w-")
    reading = zarr.open_group(make(), mode="r")
    assert numbers(reading, "x") == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="read"):
        reading.create_group("y")
    with pytest.raises(ValueError, match="read"):
        zarr.open_group(make(read_only=True), mode="r+").create_group("y")
    zarr.open_group(make(), mode="r+").create_group("y")
    zarr.open_group(make(), mode="a").attrs["k"] = "v"
    assert zarr.open_group(make(), mode="r").attrs["k"] == "v"
    assert sorted(zarr.open_group(make(), mode="r")) == ["x", "y"]
    assert sorted(zarr.open_group(make(), mode="w")) == []


@pytest.mark.filterwarnings("ignore:Consolidated metadata:UserWarning")  # it is not in the specification
def test_deleting_and_consolidating(make: Callable[..., DxflowStore]) -> None:
    """A deleted group takes nothing beside it along, and consolidated metadata is found."""
    group = zarr.open_group(make(), mode="w")
    for name in ("a", "ab", "a_"):
        group.create_group(name).create_array("x", shape=(2,), dtype="i4")[:] = 1
    zarr.consolidate_metadata(make())
    read = zarr.open_consolidated(make())
    assert read.metadata.consolidated_metadata is not None
    assert numbers(read, "ab/x") == [1, 1]
    del group["a"]
    assert sorted(zarr.open_group(make(), mode="r", use_consolidated=False)) == ["a_", "ab"]
    assert numbers(zarr.open_group(make(), mode="r", use_consolidated=False), "ab/x") == [1, 1]


def test_similar_prefixes(make: Callable[..., DxflowStore]) -> None:
    """A prefix is a text, and a directory a whole segment."""
    store = make()
    for key in ("a/x", "a/s/y", "ab/x", "abc"):
        sync(store.set(key, buffer(b"1")))
    assert listed(store.list_prefix("a")) == ["a/s/y", "a/x", "ab/x", "abc"]
    assert listed(store.list_prefix("a/")) == ["a/s/y", "a/x"]
    assert listed(store.list_prefix("ab")) == ["ab/x", "abc"]
    assert listed(store.list_prefix("a/s")) == ["a/s/y"]
    assert listed(store.list_prefix("none/")) == []
    assert listed(store.list_dir("a")) == listed(store.list_dir("a/")) == ["s", "x"]
    assert listed(store.list_dir("")) == ["a", "ab", "abc"]
    assert listed(store.list_dir("abc")) == listed(store.list_dir("none")) == []
    sync(store.delete_dir("a"))
    assert listed(store.list()) == ["ab/x", "abc"]
    sync(store.delete_dir("abc"))
    sync(store.delete_dir("none"))
    assert listed(store.list()) == ["ab/x", "abc"]
    sync(store.clear())
    assert sync(store.is_empty(""))


RANGES: list[tuple[ByteRequest | None, bytes]] = [
    (None, b"0123456789"),
    (RangeByteRequest(2, 5), b"234"),
    (RangeByteRequest(8, 50), b"89"),
    (RangeByteRequest(3, 3), b""),
    (OffsetByteRequest(7), b"789"),
    (OffsetByteRequest(10), b""),
    (SuffixByteRequest(3), b"789"),
    (SuffixByteRequest(50), b"0123456789"),
]


def test_ranges_and_keys(make: Callable[..., DxflowStore]) -> None:
    """Ranges are cut at the end of a value; a directory, or what lies below a value, is no value."""
    store = make()
    sync(store.set("k", buffer(b"0123456789")))
    sync(store.set("d/x", buffer(b"x")))
    for asked, data in RANGES:
        found = sync(store.get("k", cpu.buffer_prototype, asked))
        assert found is not None
        assert found.to_bytes() == data, asked
    several = sync(store.get_partial_values(cpu.buffer_prototype, [("k", asked) for asked, _ in RANGES]))
    assert [each.to_bytes() for each in several if each is not None] == [data for _, data in RANGES]
    for key in ("none", "d", "k/x", "d/none"):
        for asked, _ in RANGES:
            assert sync(store.get(key, cpu.buffer_prototype, asked)) is None, (key, asked)
        assert not sync(store.exists(key))
        sync(store.set_if_not_exists("k", buffer(b"other")))
    sync(store.delete("none"))
    assert sync(store.getsize("k")) == 10
    assert sync(store.getsize_prefix("")) == 11
    sync(store.set_if_not_exists("new", buffer(b"new")))
    found = sync(store.get("new", cpu.buffer_prototype))
    assert found is not None
    assert found.to_bytes() == b"new"
