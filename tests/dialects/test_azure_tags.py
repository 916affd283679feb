"""Index tags, which a copy at the service does not take over, and deleted blobs that an account keeps for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, ObjectOptions
from dxflow_async.exceptions import AccessDeniedError, StorageError, TransferError, UnsupportedError
from tests.dialects.azure_quirks import AzureQuirks
from tests.dialects.azure_server import AzureServer
from tests.dialects.azure_session import open_session

TAGS = "project=lab%207&empty="


@pytest.fixture
async def server() -> AsyncIterator[AzureServer]:
    """A server with two blobs, one of which has tags."""
    async with AzureServer() as server:
        for name in ("from/tagged", "from/plain"):
            server.put(name, b"content", other="metadata")
        server.content["from/tagged"].tags = TAGS
        yield server


@pytest.fixture
async def session(server: AzureServer, tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session with it."""
    async with open_session(server, tmp_path / "home") as session:
        yield session


@pytest.mark.parametrize("verb", ["copy", "sync", "move"])
async def test_tags_go_along(server: AzureServer, session: AsyncSession, verb: str) -> None:
    """Tags go along with a copy within the account, and cost a request for the blobs that have some."""
    slash = "" if verb == "sync" else "/"
    await getattr(session, verb)(f"azure:/container/from{slash}", f"azure:/container/to{slash}")
    assert server.content["to/tagged"].tags == TAGS
    assert server.content["to/tagged"].metadata["other"] == "metadata"
    assert server.content["to/plain"].tags == ""
    assert [name for asked, name in server.requests if asked == "GET tags"] == ["from/tagged"]


async def test_one_blob(server: AzureServer, session: AsyncSession) -> None:
    """So do those of one blob that is looked up."""
    await session.copy("azure:/container/from/tagged", "azure:/container/copy")
    assert server.content["copy"].tags == TAGS


@pytest.mark.parametrize("quirks", [AzureQuirks(denied=frozenset({"tags"})), AzureQuirks(no_tags=True)])
async def test_tags_that_cannot_be_read(
    server: AzureServer, session: AsyncSession, quirks: AzureQuirks, caplog: pytest.LogCaptureFixture
) -> None:
    """Many roles may not read tags: then the copy has none, and a warning says so."""
    server.quirks = quirks
    await session.copy("azure:/container/from/", "azure:/container/to/")
    assert server.content["to/tagged"].tags == ""
    assert "the copy has no index tags" in caplog.text


@pytest.mark.parametrize(
    ("quirks", "cls"),
    [(AzureQuirks(denied=frozenset({"tags"})), AccessDeniedError), (AzureQuirks(no_tags=True), UnsupportedError)],
)
async def test_tags_that_cannot_be_stored(
    server: AzureServer, session: AsyncSession, tmp_path: Path, quirks: AzureQuirks, cls: type[StorageError]
) -> None:
    """Tags that a call asks for, and that cannot be stored, make it fail, and nothing is stored without them."""
    server.quirks = quirks
    (tmp_path / "file").write_bytes(b"content")
    with pytest.raises(TransferError) as raised:
        await session.get_storage_manager().upload(
            tmp_path / "file", "/container/new", "AZURE", options=ObjectOptions(tags={"a": "b"})
        )
    assert isinstance(raised.value.report.failed[0].error, cls)
    assert "new" not in server.content


async def test_soft_delete(server: AzureServer, session: AsyncSession, tmp_path: Path) -> None:
    """Blobs that were deleted, and are kept for a while, are neither listed, found, copied nor deleted again."""
    server.quirks = AzureQuirks(soft_delete=True)
    storage = session.get_storage_manager()
    await storage.delete("/container/from/plain", provider="AZURE")
    assert list(server.deleted) == ["from/plain"]
    assert [item.path async for item in storage.scan("AZURE", "/container/from/")] == ["/container/from/tagged"]
    assert not await storage.exists("/container/from/plain", provider="AZURE")
    await session.copy("azure:/container/from/", f"{tmp_path}/here/")
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["tagged"]
    await storage.delete("/container/from/", provider="AZURE")
    assert server.files == {}
    (tmp_path / "here/plain").write_bytes(b"other content")
    await session.sync(str(tmp_path / "here"), "azure:/container/from", delete=True)
    assert server.files == {"from/plain": b"other content", "from/tagged": b"content"}
    assert len(await session.sync(str(tmp_path / "here"), "azure:/container/from", delete=True)) == 0
