"""Whole transfers to and from Azurite, in a session."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession, AzureSettings, Settings
from dxflow_async.exceptions import PreconditionFailedError, TransferError
from dxflow_async.storage.manager import AsyncStorageManager
from tests.servers import Azurite
from tests.sessions import MiB, part_files, tasks


def settings_for(azurite: Azurite, home: Path, **options: Any) -> Settings:
    """Settings of a session that works with Azurite."""
    azure = AzureSettings(
        endpoint=azurite.endpoint, account=azurite.account, account_key=azurite.account_key, checksum="crc64"
    )
    return Settings(home=home, azure=azure, **options)


@pytest.fixture
async def storage(azurite: Azurite, tmp_path: Path) -> AsyncIterator[AsyncStorageManager]:
    """The storage of a session whose parts are small."""
    async with AsyncSession(settings=settings_for(azurite, tmp_path / "home", part_size=5 * MiB)) as session:
        yield session.get_storage_manager()


@pytest.fixture
def tree(tmp_path: Path) -> dict[str, bytes]:
    """Files in `here/`: many small ones, an empty one, one of several parts."""
    content = {f"dir{number % 3}/file{number} ü": os.urandom(number * 100) for number in range(40)}
    content |= {"empty": b"", "large": os.urandom(17 * MiB + 1)}
    for name, data in content.items():
        path = tmp_path / "here" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return content


def files(top: Path) -> dict[str, bytes]:
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


async def test_there_and_back(
    storage: AsyncStorageManager, container: str, tree: dict[str, bytes], tmp_path: Path
) -> None:
    """A tree goes up, is moved and copied there, and comes back as it was, verified; deleted, it is gone."""
    assert (await storage.upload(f"{tmp_path}/here/", f"/{container}/up/", "AZURE")).ok
    await storage.copy(f"/{container}/up/", f"/{container}/copied/", "AZURE")
    await storage.move(f"/{container}/copied/", f"/{container}/moved/", "AZURE")
    report = await storage.download(f"/{container}/moved/", tmp_path / "back", "AZURE")
    assert files(tmp_path / "back") == tree
    assert all(result.verified for result in report)
    assert await storage.delete([f"/{container}/moved/", f"/{container}/up/"], "AZURE") == 2 * len(tree)
    assert await storage.list("AZURE", f"/{container}/") == []


async def test_download_of_a_replaced_object_leaves_the_destination(
    azurite: Azurite, container: str, tmp_path: Path
) -> None:
    """An object replaced between two of its parts is that item's error; the old file stays as it was."""
    blob = azurite.client.get_blob_client(container, "versions")
    blob.upload_blob(b"1" * 40 * MiB)
    (tmp_path / "versions").write_bytes(b"old")
    settings = settings_for(azurite, tmp_path / "home", part_size=5 * MiB, max_concurrency=2, max_bandwidth=20 * MiB)
    async with AsyncSession(settings=settings) as session:
        moved = asyncio.Event()
        downloading = asyncio.ensure_future(
            session.get_storage_manager().download(
                f"/{container}/versions", tmp_path, "AZURE", on_progress=lambda _: moved.set()
            )
        )
        waiting = asyncio.ensure_future(moved.wait())
        await asyncio.wait({waiting, downloading}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.to_thread(blob.upload_blob, b"2", overwrite=True)
        with pytest.raises(TransferError) as raised:
            await downloading
    assert isinstance(raised.value.report[0].error, PreconditionFailedError)
    assert (tmp_path / "versions").read_bytes() == b"old"
    assert part_files(tmp_path) == []


async def test_cancelled_upload(azurite: Azurite, container: str, tmp_path: Path) -> None:
    """A cancelled upload leaves no task, and nothing under the name."""
    (tmp_path / "large").write_bytes(bytes(30 * MiB))
    settings = settings_for(azurite, tmp_path / "home", part_size=5 * MiB, max_bandwidth=10 * MiB)
    async with AsyncSession(settings=settings) as session:
        storage, moved = session.get_storage_manager(), asyncio.Event()
        uploading = asyncio.ensure_future(
            storage.upload(str(tmp_path / "large"), f"/{container}/", "AZURE", on_progress=lambda _: moved.set())
        )
        await moved.wait()
        uploading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await uploading
        assert tasks() == set()
        assert await storage.list("AZURE", f"/{container}/") == []
