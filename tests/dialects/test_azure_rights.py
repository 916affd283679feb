"""Credentials of Azure that permit only a part: what was stored is no failure, and nothing is deleted unseen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, AzureSettings, Settings
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import AccessDeniedError, TransferError
from dxflow_async.providers.azure.provider import AzureProvider
from dxflow_async.providers.contract import Buffered, ObjectOptions, Part
from dxflow_async.providers.http import HTTP
from tests.dialects.azure_server import AzureServer
from tests.sessions import retry_soon

MiB = 1 << 20
WRITE_ONLY = frozenset({"read", "list", "delete"})
READ_ONLY = frozenset({"write", "delete"})


@pytest.fixture
async def server() -> AsyncIterator[AzureServer]:
    """A server with a file in a directory."""
    async with AzureServer() as server:
        server.put("dir/x", b"x")
        yield server


@pytest.fixture
async def session(server: AzureServer, tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session with a shared access signature."""
    azure = AzureSettings(endpoint=server.url, account="account1", sas_token="sv=1&sp=cw&sig=AAAA")
    async with AsyncSession(settings=Settings(home=tmp_path / "home", azure=azure, part_size=5 * MiB)) as session:
        retry_soon(session)
        yield session


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with files, one of them in parts, and an empty directory."""
    for name, data in (("a", b"a"), ("sub/b", b"bb"), ("large", bytes(41 * MiB))):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(data)
    (tmp_path / "tree" / "empty").mkdir()
    return tmp_path / "tree"


@pytest.mark.parametrize("no_etags", [False, True])
async def test_write_only(server: AzureServer, session: AsyncSession, tree: Path, *, no_etags: bool) -> None:
    """A tree is uploaded twice with the right to write alone, and a file is moved."""
    server.quirks.denied, server.quirks.no_etags = WRITE_ONLY, no_etags
    for _ in range(2):
        report = await session.copy(f"{tree}/", "azure:/container/tree/")
        assert not report.failed
    assert server.files["tree/a"] == b"a"
    assert server.files["tree/sub/b"] == b"bb"
    assert len(server.files["tree/large"]) == 41 * MiB
    assert "tree/empty" in server.directories


async def test_write_only_resumes(server: AzureServer, http: HTTP, threads: Threads) -> None:
    """An upload goes on where the list of blocks may not be read: its parts count as not stored."""
    server.quirks.denied = WRITE_ONLY
    provider = AzureProvider(AzureSettings(endpoint=server.url, account="account1", sas_token="sig=A"), http, threads)
    options = ObjectOptions()
    begun = await provider.start_upload("container/big", 6, options)
    receipt = await begun.write_part(Part(1, 0, 3), Buffered((b"abc",), 3))
    upload, kept = await provider.resume_upload("container/big", begun.id, [receipt], options)
    assert kept == []
    parts = [(Part(1, 0, 3), b"abc"), (Part(2, 3, 3), b"def")]
    receipts = [await upload.write_part(part, Buffered((data,), 3)) for part, data in parts]
    stored = await upload.finish(receipts, None)
    assert (stored.size, server.files["big"]) == (6, b"abcdef")
    await provider.aclose()


@pytest.mark.parametrize("verb", ["copy", "move", "sync"])
async def test_read_only(server: AzureServer, session: AsyncSession, tree: Path, verb: str) -> None:
    """A missing right to write is an error that names it, at once; a move keeps its source."""
    server.quirks.denied = READ_ONLY
    with pytest.raises(TransferError, match="AuthorizationPermissionMismatch"):
        await getattr(session, verb)(f"{tree}/sub/", "azure:/container/tree/")
    assert (tree / "sub" / "b").exists()
    assert sum(verb == "PUT" for verb, _ in server.requests) == 1


async def test_without_list(server: AzureServer, session: AsyncSession, tmp_path: Path) -> None:
    """A file is read and written without the right to list; a directory is an error that names the right."""
    server.quirks.denied = frozenset({"list"})
    await session.copy("azure:/container/dir/x", str(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == b"x"
    with pytest.raises(AccessDeniedError, match="list of /container/dir/"):
        await session.copy("azure:/container/dir/", f"{tmp_path}/dir/")
    assert not (tmp_path / "dir").exists()


async def test_nothing_is_deleted_unseen(server: AzureServer, http: HTTP, threads: Threads) -> None:
    """A directory that may not be looked at may be a file, which the service would delete: it stays."""
    server.quirks.denied = frozenset({"read", "list"})
    provider = AzureProvider(AzureSettings(endpoint=server.url, account="account1", sas_token="sig=A"), http, threads)
    failed = await provider.delete(["container/dir/x/"])
    assert isinstance(failed["container/dir/x/"], AccessDeniedError)
    assert server.files == {"dir/x": b"x"}
    await provider.aclose()
