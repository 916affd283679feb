"""The time of a file's last change goes along, at no cost."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession
from dxflow_async.providers.http import HTTP, Call, Response
from tests.servers import SeaweedFS
from tests.sessions import MiB
from tests.storage.scratch_directories import CloudSpot, LocalSpot
from tests.storage.tested_accounts import Account, Spots

TIME = 1234567890.123457


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods of all requests that are sent from now on."""
    sent: list[str] = []
    send = HTTP.send

    async def counted(self: HTTP, call: Call, method: str, *arguments: Any, **options: Any) -> Response:
        sent.append(method)
        return await send(self, call, method, *arguments, **options)

    monkeypatch.setattr(HTTP, "send", counted)
    return sent


@pytest.mark.parametrize("size", [5, 11 * MiB])
async def test_a_file_keeps_its_time_there_and_back(account: Account, tmp_path: Path, size: int) -> None:
    """Up and down again, small or in parts."""
    (tmp_path / "file").write_bytes(bytes(size))
    os.utime(tmp_path / "file", (1, TIME))
    await account.storage.upload(tmp_path / "file", account / "x")
    await account.storage.download(account / "x", tmp_path / "back")
    await account.storage.download_many([(account / "x", str(tmp_path / "many"))])
    for path in (tmp_path / "back/x", tmp_path / "many"):
        assert path.stat().st_mtime == pytest.approx(TIME, abs=2e-6)


async def test_small_files_take_one_request_each(cloud: Account, tmp_path: Path, requests: list[str]) -> None:
    """Up one to write it, down one to read it, beside those of the listing; none to look at times."""
    (tmp_path / "many").mkdir()
    for number in range(50):
        (tmp_path / "many" / str(number)).write_bytes(b"x")
    await cloud.storage.upload(f"{tmp_path}/many/", cloud / "many/")
    assert requests == ["PUT"] * 50
    requests.clear()
    await cloud.storage.download(cloud / "many/", tmp_path / "back")
    assert sorted(requests) == ["GET"] * 52
    assert (tmp_path / "back/7").stat().st_mtime == pytest.approx((tmp_path / "many/7").stat().st_mtime, abs=2e-6)


@pytest.mark.parametrize(("size", "asked"), [(10_000, 0), (70_000, 20)])
async def test_a_second_sync_asks_only_for_what_it_cannot_know(
    everywhere: AsyncSession, spots: Spots, requests: list[str], size: int, asked: int
) -> None:
    """Small files are compared by the MD5 that S3 lists; of others the time is asked for, once each."""
    source, target = spots("LOCAL", "x"), spots("AWS", "y")
    assert isinstance(source, LocalSpot)
    await source.put({str(number): bytes([number]) * size for number in range(20)})
    await everywhere.sync(source.location, target.location)
    requests.clear()
    assert len(await everywhere.sync(source.location, target.location)) == 0
    assert requests == ["GET"] + ["HEAD"] * asked
    (source.path / "7").write_bytes(b"x" * size)
    assert len(await everywhere.sync(source.location, target.location)) == 1
    assert (await target.tree())["7"] == b"x" * size


@pytest.mark.parametrize(("value", "kept"), [("1000000000", 1e9), ("yesterday", None)])
async def test_metadata_of_the_users_own_wins(
    cloud: Account, weed: SeaweedFS, tmp_path: Path, value: str, kept: float | None
) -> None:
    """An `mtime` that is given is stored instead; what is no time stays metadata."""
    (tmp_path / "file").write_bytes(b"x")
    os.utime(tmp_path / "file", (1, TIME))
    await cloud.storage.upload(tmp_path / "file", cloud / "x", metadata={"MTime": value, "other": "1"})
    bucket, _, key = (cloud / "x")[1:].partition("/")
    assert weed.client.head_object(Bucket=bucket, Key=key)["Metadata"] == {"mtime": value, "other": "1"}
    item = await cloud.storage.stat(cloud / "x")
    assert dict(item.metadata) == {"other": "1"} | ({} if kept else {"mtime": value})
    await cloud.storage.download(cloud / "x", tmp_path / "back/")
    expected = item.modification if kept is None else kept
    assert (tmp_path / "back/x").stat().st_mtime == expected


async def test_a_copy_put_together_from_parts_has_all_that_the_source_has(
    everywhere: AsyncSession, spots: Spots, weed: SeaweedFS, tmp_path: Path
) -> None:
    """Above the size that S3 copies at once: media type, metadata, time."""
    spot = spots("AWS", "x")
    assert isinstance(spot, CloudSpot)
    storage = everywhere.get_storage_manager()
    (tmp_path / "file.json").write_bytes(os.urandom(11 * MiB))
    os.utime(tmp_path / "file.json", (1, TIME))
    await storage.upload(tmp_path / "file.json", f"{spot.path}/", metadata={"k": "v"})
    area = await storage._resolver.area("AWS", "private")
    area.provider.features = replace(area.provider.features, max_copy_size=6 * MiB)
    await everywhere.copy(spot / "file.json", spot / "copy")
    bucket, _, key = spot.path[1:].partition("/")
    one, other = (weed.client.head_object(Bucket=bucket, Key=f"{key}/{name}") for name in ("file.json", "copy"))
    assert other["Metadata"] == one["Metadata"] == {"k": "v", "mtime": f"{TIME:.6f}"}
    assert other["ContentType"] == one["ContentType"] == "application/json"
    assert (await spot.tree())["copy"] == (tmp_path / "file.json").read_bytes()


async def test_a_local_copy_keeps_its_time(everywhere: AsyncSession, spots: Spots) -> None:
    """From disk to disk, and where a directory stands in for a cloud."""
    spot = spots("LOCAL", "x")
    assert isinstance(spot, LocalSpot)
    await spot.put({"a": b"1"})
    os.utime(spot.path / "a", (1, TIME))
    await everywhere.copy(spot / "a", spot / "b")
    assert (spot.path / "b").stat().st_mtime == pytest.approx(TIME, abs=2e-6)


async def test_a_stand_in_keeps_times_too(stand_in: Account, tmp_path: Path) -> None:
    """Also of what is copied within it."""
    (tmp_path / "file").write_bytes(b"1")
    os.utime(tmp_path / "file", (1, TIME))
    await stand_in.storage.upload(tmp_path / "file", stand_in / "a")
    await stand_in.storage.copy(stand_in / "a", stand_in / "b")
    assert (await stand_in.storage.stat(stand_in / "b")).modification == pytest.approx(TIME, abs=2e-6)
