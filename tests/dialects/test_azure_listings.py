"""Long listings of Azure accounts: from a key on where the service can, and as ever where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from dxflow_async import AsyncSession, AzureSettings, Settings
from dxflow_async.exceptions import StorageError
from tests.dialects.azure_names import AzureNames
from tests.sessions import retry_soon

FLAT = [f"data/file-{number:06}" for number in range(6000)]
DEEP = [f"data/{number // 1500}/{number // 100 % 15:02}/{number:06}" for number in range(6000)]
WIDE = [f"data/{character}{number:04}" for character in "aé丂\uff21" for number in range(1500)]


async def listed(server: AzureNames, home: Path) -> list[str]:
    """The names below `data/`, in the order in which a recursive listing has them."""
    azure = AzureSettings(endpoint=server.url, account="account1", account_key="a2V5")
    async with AsyncSession(settings=Settings(home=home, azure=azure)) as session:
        retry_soon(session)
        items = session.get_storage_manager().scan("AZURE", "/container/data/")
        return [item.path.removeprefix("/container/") async for item in items]


@pytest.mark.parametrize("names", [FLAT, DEEP, WIDE], ids=["flat", "deep", "wide"])
async def test_from_a_key_on(tmp_path: Path, names: list[str]) -> None:
    """A long listing is requested in several places at once, and has each name once and in order."""
    async with AzureNames([*names, "data", "data0/x"]) as server:
        assert await listed(server, tmp_path) == sorted(names)
    assert sum("startFrom" in query for query in server.queries) > 1
    assert len(server.queries) < 5 * len(names) / 1000


@pytest.mark.parametrize("start", ["ignored", "empty"])
async def test_start_is_not_believed(tmp_path: Path, start: str) -> None:
    """A service that ignores where it is to begin, or finds nothing from there on, lists page by page."""
    async with AzureNames(DEEP, start=start) as server:
        assert await listed(server, tmp_path) == sorted(DEEP)
    assert sum("startFrom" in query for query in server.queries) == 1


@pytest.mark.parametrize("count", [10, 200, 1150])
async def test_short_listing(tmp_path: Path, count: int) -> None:
    """A listing of two pages makes no request more."""
    async with AzureNames(FLAT[:count]) as server:
        assert await listed(server, tmp_path) == FLAT[:count]
    assert len(server.queries) == (1 if count <= 200 else 2)


async def test_names_come_and_go(tmp_path: Path) -> None:
    """Names that stay are found once and in order while others come and go."""
    stay, others = FLAT[::2], FLAT[1::2]
    async with AzureNames(FLAT) as server:

        def change() -> None:
            done = len(server.queries)
            server.names.symmetric_difference_update(others[done % 7 :: 50])

        server.before_answer = change
        found = await listed(server, tmp_path)
    assert found == sorted(set(found))
    assert [name for name in found if name in set(stay)] == stay


async def test_other_order(tmp_path: Path) -> None:
    """Where the service's order is not that of the bytes, the listing goes page by page, or fails; no name is lost."""
    names = [f"data/{character}{number:04}" for character in "😀\uff21" for number in range(1500)]
    async with AzureNames(names) as server:
        assert sorted(await listed(server, tmp_path)) == sorted(names)
    assert not any("startFrom" in query for query in server.queries)
    late = [*FLAT, *(f"data/zz{character}{number:04}" for character in "😀\uff21" for number in range(1500))]
    async with AzureNames(late) as server:
        azure = AzureSettings(endpoint=server.url, account="account1", account_key="a2V5")
        async with AsyncSession(settings=Settings(home=tmp_path / "late", azure=azure)) as session:
            retry_soon(session)
            storage = session.get_storage_manager()
            with pytest.raises(StorageError, match="order"):
                assert [item async for item in storage.scan("AZURE", "/container/data/")]
            found = [item.path async for item in storage.scan("AZURE", "/container/data/")]
    assert sorted(found) == sorted(f"/container/{name}" for name in late)


async def test_directories_late_in_the_listing(tmp_path: Path) -> None:
    """Blobs that stand for directories, wherever they are listed, are neither files nor lost."""
    markers = ["data/file-004500", "data/file-004500.d"]
    names = [*FLAT, "data/file-004500.d", *(f"data/file-004500.d/{number}" for number in range(3))]
    async with AzureNames(names, markers=markers) as server:
        found = await listed(server, tmp_path)
    files = [name for name in found if not name.endswith("/")]
    assert sorted(files) == sorted(set(names) - set(markers))
    assert {name for name in found if name.endswith("/")} <= {f"{name}/" for name in markers}
