"""Deleting many objects: one that cannot be deleted, among others; and batches beside each other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest
from aiohttp import web

from dxflow_async import AsyncSession
from dxflow_async.exceptions import AccessDeniedError, TransferError
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server
from tests.servers import Azurite


@pytest.fixture
def leased(azurite: Azurite) -> str:
    """A container with d/0 to d/4, of which nobody may delete d/2."""
    container = azurite.create_container(f"leased-{uuid4().hex[:8]}")
    for number in range(5):
        azurite.client.get_blob_client(container, f"d/{number}").upload_blob(b"x")
    azurite.client.get_blob_client(container, "d/2").acquire_lease()
    return container


def names(azurite: Azurite, container: str) -> list[str]:
    """What is stored."""
    return [blob.name for blob in azurite.client.get_container_client(container).list_blobs()]


async def test_others_are_deleted(everywhere: AsyncSession, azurite: Azurite, leased: str) -> None:
    """One protected object fails by name; all others below the directory go, and the error says how many."""
    storage = everywhere.get_storage_manager()
    with pytest.raises(TransferError, match=r"1 of 5 items could not be deleted, 4 were; the first: .*d/2") as raised:
        await storage.delete(f"/{leased}/d/", "AZURE")
    (failed,) = raised.value.report
    assert failed.source == f"azure:/{leased}/d/2"
    assert isinstance(failed.error, AccessDeniedError)
    assert names(azurite, leased) == ["d/2"]
    with pytest.raises(AccessDeniedError, match="d/2"):  # the only one: its own error
        await storage.delete(f"/{leased}/d/2", "AZURE")


async def test_sync_deletes_the_others(
    everywhere: AsyncSession, azurite: Azurite, leased: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A sync reports the one object that stays, and the others as deleted."""
    source = tmp_path_factory.mktemp("source")
    (source / "new").write_bytes(b"x")
    with pytest.raises(TransferError, match=r"1 of 6 items failed; .*d/2") as raised:
        await everywhere.sync(f"{source}/", f"azure:/{leased}/", delete=True)
    assert len(raised.value.report.deleted) == 4
    assert names(azurite, leased) == ["d/2", "new"]


class SlowDeletions(S3Server):
    """Takes a while for each DeleteObjects.

    Attributes:
        most_at_once: the most of them that were waiting at a time.
    """

    _at_once = most_at_once = 0

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method != "POST":
            return await super()._serve(request)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(0.2)
        self._at_once -= 1
        return await super()._serve(request)


@pytest.mark.parametrize("verb", ["delete", "sync"])
async def test_batches_are_deleted_beside_each_other(verb: str, tmp_path: Path) -> None:
    """A service that is slow to delete a batch gets several at a time, and a bounded number of them."""
    (tmp_path / "empty").mkdir()
    async with SlowDeletions() as server, open_session(server, tmp_path / "home") as session:
        for number in range(10_500):
            server.store(f"d/{number:05}", b"")
        server.store("kept", b"")
        if verb == "delete":
            await session.delete("aws:/bucket/d/")
        else:
            report = await session.sync(tmp_path / "empty", "aws:/bucket/d/", delete=True)
            assert len(report.deleted) == 10_500
        assert set(server.objects()) == {"kept"}
    assert 4 <= server.most_at_once <= 8
