"""The account's areas: `bucket/prefix` of the settings, private and public, at real servers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from dxflow_async import AsyncSession
from dxflow_async.config.settings import AzureSettings, GCPSettings
from dxflow_async.storage.manager import AsyncStorageManager
from tests.servers import Azurite, GCSServer, SeaweedFS
from tests.sessions import settings_for

PROVIDERS = ["AWS", "AZURE", "GCP"]


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def paths(storage: AsyncStorageManager, provider: str, storage_type: str = "private") -> list[str]:
    return [item.path async for item in storage.scan(provider, storage_type=storage_type)]


@pytest.fixture
def areas(weed: SeaweedFS, azurite: Azurite, gcs: GCSServer) -> dict[str, tuple[str, str]]:
    """A private and a public bucket at each provider."""
    private, public = f"private-{uuid4().hex[:8]}", f"public-{uuid4().hex[:8]}"
    for create in (weed.create_bucket, azurite.create_container, gcs.create_bucket):
        create(private)
    for bucket in (weed.create_bucket(public), gcs.create_bucket(public)):
        assert bucket == public
    azurite.create_container(public, public_access="blob")
    rule = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{public}/*"}
    policy = {"Version": "2012-10-17", "Statement": [rule]}
    weed.client.put_bucket_policy(Bucket=public, Policy=json.dumps(policy))
    urls = {
        "AWS": f"{weed.endpoint}/{public}",
        "AZURE": f"{azurite.endpoint}/{public}",
        "GCP": f"{gcs.endpoint}/{public}",
    }
    return {provider: (f"{private}/our/area", urls[provider]) for provider in PROVIDERS}


@pytest.fixture
async def session(
    areas: dict[str, tuple[str, str]], weed: SeaweedFS, azurite: Azurite, gcs: GCSServer, tmp_path: Path
) -> AsyncIterator[AsyncSession]:
    """A session of an account that has areas."""
    settings = settings_for(weed, tmp_path / "home")
    own: dict[str, Any] = {
        name: {"private": private, "public": f"{url.rpartition('/')[2]}/shared/"}
        for name, (private, url) in areas.items()
    }
    settings = replace(
        settings,
        aws=replace(settings.aws, **own["AWS"]),
        azure=AzureSettings(
            endpoint=azurite.endpoint, account=azurite.account, account_key=azurite.account_key, **own["AZURE"]
        ),
        gcp=GCPSettings(endpoint=gcs.endpoint, **own["GCP"]),
    )
    async with AsyncSession("you@example.com", "password", settings=settings) as session:
        yield session


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_paths_begin_in_the_area(
    session: AsyncSession, areas: dict[str, tuple[str, str]], provider: str, tmp_path: Path
) -> None:
    """The first segment of a path is no bucket, and whatever is done stays below the prefix."""
    storage, prefix = session.get_storage_manager(), areas[provider][0]
    settings = replace(session.settings, **{provider.lower(): _whole(session, provider)})
    async with AsyncSession(settings=settings) as other:
        behind = other.get_storage_manager()
        await behind.write(f"/{prefix}-not/neighbour", chunks(b"theirs"), provider)
        (tmp_path / "file.txt").write_text("ours")
        await storage.upload(tmp_path / "file.txt", "/top.txt", provider)
        await storage.copy("/top.txt", "/deep/er/", provider)
        assert await paths(storage, provider) == ["/deep/er/top.txt", "/top.txt"]
        assert [item.path for item in await storage.list(provider)] == ["/deep/", "/top.txt"]
        await storage.update_all(provider)
        assert [each["name"] for each in storage._get_content_from_path(provider, "/deep/er") or ()] == ["top.txt"]
        assert await behind.exists(f"/{prefix}/deep/er/top.txt", provider)
        await storage.download("/", tmp_path / "back", provider)
        assert (tmp_path / "back/deep/er/top.txt").read_text() == "ours"
        await storage.delete("/", provider)
        assert await paths(storage, provider) == []
        left = [item.path async for item in behind.scan(provider, f"/{prefix.partition('/')[0]}/")]
        assert left == [f"/{prefix}-not/neighbour"]


def _whole(session: AsyncSession, provider: str) -> Any:
    return replace(getattr(session.settings, provider.lower()), private=None, public=None)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_public_objects_can_be_read_by_anybody(
    session: AsyncSession, areas: dict[str, tuple[str, str]], provider: str, tmp_path: Path
) -> None:
    """With `utype="public"` they are in the public area, and readable without credentials; others are in neither."""
    storage, url = session.get_storage_manager(), areas[provider][1]
    (tmp_path / "file.txt").write_text("for all")
    (result,) = await storage.upload(tmp_path / "file.txt", "/papers/", provider, utype="public")
    assert result.error is None
    async with aiohttp.ClientSession() as anybody, anybody.get(f"{url}/shared/papers/file.txt") as answer:
        assert await answer.read() == b"for all"
    assert await paths(storage, provider, "public") == ["/papers/file.txt"]
    assert await paths(storage, provider) == []
    await storage.update_path_items("/papers/", "public", provider)
    assert [each["name"] for each in storage._get_content_from_path(provider, "/papers/") or ()] == ["file.txt"]
