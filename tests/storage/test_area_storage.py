"""The storage of one area: `storage.at(...)` and `session.storage_at(...)`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from dxflow_async import (
    AsyncAreaStorage,
    AsyncSession,
    AsyncUnitStorage,
    ConfigurationError,
    SessionClosedError,
    Settings,
    UnitNotFoundError,
    UnsafePathError,
    UnsupportedError,
)
from dxflow_async.providers.local.kind import LocalSettings
from dxflow_async.storage.deletion import keys_to_delete
from tests.storage.tested_accounts import Account

PAIR = ("you@example.com", "password")


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session at the embedded hub, with the remote `disk`."""
    settings = Settings(home=tmp_path / "home").with_remotes({"disk": LocalSettings(root=tmp_path / "disk")})
    async with AsyncSession(*PAIR, settings=settings) as session:
        yield session


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def test_every_call_at_one_area(account: Account, tmp_path: Path) -> None:
    """What one area's storage does, the documented calls see, and the other way round."""
    (tmp_path / "source").write_bytes(b"12345")
    storage, prefix = account.storage.at("aws"), account / ""
    assert type(storage) is AsyncAreaStorage
    assert len(await storage.upload(tmp_path / "source", prefix)) == 1
    assert len(await storage.upload_many([(str(tmp_path / "source"), f"{prefix}many")])) == 1
    assert (await storage.write(f"{prefix}written", chunks(b"abc"))).ok
    assert [item.name for item in await account.storage.list("AWS", prefix)] == ["many", "source", "written"]
    assert [item.path async for item in storage.scan(prefix)] == [f"{prefix}{n}" for n in ("many", "source", "written")]
    assert (await storage.stat(f"{prefix}source")).size == 5
    assert b"".join([chunk async for chunk in storage.read(f"{prefix}source", 1, 3)]) == b"23"
    await storage.download(f"{prefix}source", tmp_path / "down")
    await storage.download_many([(f"{prefix}many", str(tmp_path / "down" / "other"))])
    assert {each.name for each in (tmp_path / "down").iterdir()} == {"source", "other"}
    await storage.copy(f"{prefix}source", f"{prefix}copied")
    await storage.move(f"{prefix}copied", f"{prefix}moved")
    assert not await account.storage.exists(f"{prefix}copied")
    assert await storage.exists(f"{prefix}moved")
    assert await storage.delete([f"{prefix}moved", f"{prefix}many"]) == 2
    assert [item.name for item in await storage.list(prefix)] == ["source", "written"]


async def test_the_cache_is_the_sessions(account: Account) -> None:
    """What one area's storage lists and stores, the documented calls of the listing cache know."""
    storage, prefix = account.storage.at("AWS"), account / ""
    await storage.write(f"{prefix}d/x", chunks(b"1"))
    assert [item.name for item in await storage.update_path_items(prefix)] == ["d"]
    await storage.update_all(prefix)
    await storage.write(f"{prefix}d/y", chunks(b"2"))
    known = account.storage._get_content_from_path("aws", f"{prefix}d")
    assert known is not None
    assert [each["name"] for each in known] == ["x", "y"]


async def test_storage_types_and_remotes_are_areas(session: AsyncSession, tmp_path: Path) -> None:
    """Private and public are two areas of a remote; a named remote is one in any case."""
    storage = session.get_storage_manager()
    await storage.at("GCP", storage_type="public").write("/bucket/x", chunks(b"1"))
    assert await storage.exists("/bucket/x", "GCP", storage_type="public")
    assert not await storage.at("gcp").exists("/bucket/x")
    for name in ("disk", "DISK"):
        await storage.at(name).write(f"/{name}", chunks(b"1"))
    assert {each.name for each in (tmp_path / "disk").iterdir()} == {"disk", "DISK"}


async def test_what_is_no_area_is_refused_at_once(session: AsyncSession) -> None:
    """An unknown remote, an unknown storage type and a closed session need no request to be refused."""
    storage = session.get_storage_manager()
    with pytest.raises(ConfigurationError, match="'nope' is not allowed; it must be one of AWS, AZURE, GCP, DISK"):
        storage.at("nope")
    with pytest.raises(ConfigurationError, match="storage type = 'secret'"):
        storage.at("aws", storage_type="secret")
    await session.aclose()
    with pytest.raises(SessionClosedError):
        storage.at("aws")


async def test_a_location_leads_to_its_storage(session: AsyncSession, tmp_path: Path) -> None:
    """`storage_at` gives the storage and the path there: of a remote, of a URL, of a unit, of this machine's disks."""
    await session.get_storage_manager().write("/bucket/d/x", chunks(b"1"), "GCP", "public")
    await session.get_storage_manager().write("/bucket/d/x", chunks(b"12"))
    for location, storage_type, size in (("gcp:/bucket/d/x", "public", 1), ("s3://bucket/d/x", "private", 2)):
        storage, path = await session.storage_at(location, storage_type=storage_type)
        assert (path, (await storage.stat(path)).size) == ("/bucket/d/x", size)
    storage, path = await session.storage_at("unit:/Demo/results/")
    assert isinstance(storage, AsyncUnitStorage)
    await storage.mkdir(path)
    assert (session.settings.home / "units" / "Demo" / "results").is_dir()
    (tmp_path / "x").write_bytes(b"123")
    for local in (f"{tmp_path}/x", tmp_path / "x", f"file://{tmp_path}/x"):
        storage, path = await session.storage_at(local)
        assert (await storage.stat(path)).path == path == f"{tmp_path}/x"
        assert b"".join([chunk async for chunk in storage.read(path)]) == b"123"
    storage, path = await session.storage_at(f"{tmp_path}/")
    assert "x" in [item.name for item in await storage.list(path)]
    assert await storage.delete(f"{path}x") == 1
    assert not (tmp_path / "x").exists()
    with pytest.raises(UnitNotFoundError, match="'None'"):
        await session.storage_at("unit:/None/x")


async def test_buckets(cloud: Account, stand_in: Account, session: AsyncSession) -> None:
    """A first segment is a bucket where there are buckets, and the root is none."""
    storage = cloud.storage.at("aws")
    names = ("/bucket", "/bucket/", "/", "/bucket/x", "/bucket/x/")
    assert [await storage.is_bucket(name) for name in names] == [True, True, False, False, False]
    unit, _ = await session.storage_at("unit:/Demo")
    for other in (stand_in.storage.at("aws"), unit):
        assert not await other.is_bucket("/bucket")


async def test_a_deletion_that_fails_is_a_result(cloud: Account) -> None:
    """`try_delete` returns the error that `delete` raises, with the number of objects that are gone."""
    storage, prefix = cloud.storage.at("aws"), cloud / ""
    for name in "ab":
        await storage.write(f"{prefix}{name}", chunks(b"1"))
    result = await storage.try_delete(prefix)
    assert (result.asked, result.deleted, result.error) == (2, 2, None)
    await storage.write(f"{prefix}c", chunks(b"1"))
    result = await storage.try_delete([f"{prefix}c", "/bucket-as-a-whole"])
    assert isinstance(result.error, UnsafePathError)
    assert (result.asked, result.deleted) == (0, 0)
    assert await storage.exists(f"{prefix}c")


async def test_urls(cloud: Account, stand_in: Account) -> None:
    """One area's storage signs URLs where its provider has them."""
    await cloud.storage.at("aws").write(cloud / "x", chunks(b"1"))
    assert (await cloud.storage.at("aws").presign(cloud / "x", 60.0)).startswith("http")
    with pytest.raises(UnsupportedError, match="has no URLs"):
        await stand_in.storage.at("aws").presign(stand_in / "x")


async def test_provider_settings_at_the_hub(tmp_path: Path) -> None:
    """A session stores its own settings of a provider at the hub, lists their names, and deletes them."""
    settings = Settings(home=tmp_path / "home")
    settings = settings.with_remotes({"disk": LocalSettings(root=tmp_path / "disk")})
    configured = replace(
        settings, aws=replace(settings.aws, endpoint="http://127.0.0.1:1", access_key="me", secret_key="s")
    )
    async with AsyncSession(*PAIR, settings=configured) as session:
        assert await session.provider_settings() == {}
        kept = await session.keep_provider_settings("aws")
        assert {"endpoint", "access_key", "secret_key"} <= set(kept)
        assert await session.provider_settings() == {"AWS": kept}
        with pytest.raises(ConfigurationError, match=r"no settings of GCP to keep; set gcp\."):
            await session.keep_provider_settings("gcp")
        for call in (session.keep_provider_settings, session.forget_provider_settings):
            with pytest.raises(ConfigurationError, match="'disk' is not allowed; it must be one of AWS, AZURE, GCP"):
                await call("disk")
        assert await session.forget_provider_settings("AWS")
        assert not await session.forget_provider_settings("AWS")
    async with AsyncSession(settings=configured) as session:
        with pytest.raises(ConfigurationError, match="settings at a hub belong to an account"):
            await session.provider_settings()


async def test_the_root_of_the_disks_is_never_deleted(session: AsyncSession) -> None:
    """No key is named for it, so nothing is deleted; a directory in it has its key."""
    area, path = await session._resolver.area_and_path("/")
    with pytest.raises(UnsafePathError, match="root of this machine's disks"):
        await anext(keys_to_delete(session._resources, area, path))
    area, path = await session._resolver.area_and_path("/no-such-directory/")
    assert [key async for key in keys_to_delete(session._resources, area, path)] == ["no-such-directory/"]
