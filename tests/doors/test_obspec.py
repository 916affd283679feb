"""The protocols of obspec."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from dxflow_async import AlreadyExistsError, AsyncSession, ConfigurationError, NotFoundError, Settings
from dxflow_async.doors.obspec import ObspecStore

if TYPE_CHECKING:
    from obspec import (
        CopyAsync,
        DeleteAsync,
        GetRangeAsync,
        GetRangesAsync,
        HeadAsync,
        ListAsync,
        ListWithDelimiterAsync,
        RenameAsync,
    )

    class Everything(
        CopyAsync,
        DeleteAsync,
        GetRangeAsync,
        GetRangesAsync,
        HeadAsync,
        ListAsync,
        ListWithDelimiterAsync,
        RenameAsync,
        Protocol,
    ):
        """All protocols of the store: mypy checks that it has them."""


async def use(store: Everything) -> None:
    """Does what a library does that knows the protocols only."""
    assert bytes(await store.get_range_async("x", start=2, length=3)) == b"234"
    ranges = await store.get_ranges_async("x", starts=[0, 8], ends=[2, 10])
    assert [bytes(each) for each in ranges] == [b"01", b"89"]
    meta = await store.head_async("x")
    assert (meta["path"], meta["size"], meta["last_modified"].year > 2000) == ("x", 10, True)
    await store.copy_async("x", "d/y")
    with pytest.raises(AlreadyExistsError):
        await store.copy_async("x", "d/y", overwrite=False)
    await store.rename_async("d/y", "d/z")
    assert [each["path"] async for page in store.list_async() for each in page] == ["d/z", "x"]
    assert [each["path"] async for page in store.list_async("d") for each in page] == ["d/z"]
    assert [each["path"] async for page in store.list_async(offset="e") for each in page] == ["x"]
    found = await store.list_with_delimiter_async()
    assert (found["common_prefixes"], [each["path"] for each in found["objects"]]) == (["d"], ["x"])
    await store.delete_async(["x", "d/z"])
    with pytest.raises(NotFoundError):
        await store.head_async("x")


async def test_the_protocols(tmp_path: Path) -> None:
    """A store over a path does what the protocols say."""
    async with AsyncSession("you@example.com", "password", settings=Settings(home=tmp_path)) as session:
        top = session.path("aws:/bucket/top")
        await (top / "x").write_bytes(b"0123456789")
        await use(ObspecStore(top))
        with pytest.raises(ConfigurationError, match="give one"):
            await ObspecStore(top).get_range_async("x", start=0)
