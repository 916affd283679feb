"""Transfers with Azure servers that know only older versions of the protocol, refuse requests, or permit less."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, AzureSettings, Settings
from dxflow_async.exceptions import AccessDeniedError, UnsupportedError
from tests.dialects.azure_server import AzureServer
from tests.sessions import retry_soon

MiB = 1 << 20
LARGE = bytes(41 * MiB)
"""Too large to be sent whole: a file of more than eight parts is cut."""


@pytest.fixture
async def server() -> AsyncIterator[AzureServer]:
    """A server with some files."""
    async with AzureServer() as server:
        for name in ("a", "b", "c"):
            server.put(f"dir/{name}", name.encode())
        yield server


@pytest.fixture
async def session(server: AzureServer, tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session with it, with the smallest parts."""
    azure = AzureSettings(endpoint=server.url, account="account1", account_key="a2V5")
    async with AsyncSession(settings=Settings(home=tmp_path / "home", azure=azure, part_size=5 * MiB)) as session:
        retry_soon(session)
        yield session


def asked(server: AzureServer, what: str) -> int:
    """How many requests of a verb there were."""
    return sum(verb == what for verb, _ in server.requests)


@pytest.mark.parametrize("words", ["service", "azurite", "none"])
@pytest.mark.parametrize("newest", ["2019-07-07", "2017-11-09"])
async def test_older_version(
    server: AzureServer, session: AsyncSession, tmp_path: Path, newest: str, words: str
) -> None:
    """The newest version that the server takes is found once, and everything works with it."""
    server.quirks.newest_version, server.quirks.version_words = newest, words
    storage = session.get_storage_manager()
    assert await storage.exists("/container/dir/a", "AZURE")
    wrong = [version for version in server.versions if version > newest]
    assert len(wrong) == len(set(wrong))
    (tmp_path / "large").write_bytes(LARGE)
    await session.copy(str(tmp_path / "large"), "azure:/container/large")
    await session.copy("azure:/container/large", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == server.files["large"] == LARGE
    assert await storage.delete("/container/dir/", "AZURE") == 4
    assert [version for version in server.versions if version > newest] == wrong
    assert ("protocol version", newest) in await storage.endpoint_facts("AZURE")


async def test_upload_is_first(server: AzureServer, session: AsyncSession, tmp_path: Path) -> None:
    """An upload whose first requests, many at once, are refused for their version is done with an older one."""
    server.quirks.newest_version = "2019-07-07"
    (tmp_path / "large").write_bytes(LARGE)
    await session.copy(str(tmp_path / "large"), "azure:/container/large")
    assert server.files["large"] == LARGE


async def test_no_version_in_common(server: AzureServer, session: AsyncSession) -> None:
    """A server that takes none of the versions is told as such, at once."""
    server.quirks.newest_version = "2009-09-19"
    with pytest.raises(UnsupportedError, match="protocol's versions"):
        await session.get_storage_manager().list("AZURE", "/container/dir/")
    assert len(server.versions) == len(set(server.versions))


@pytest.mark.parametrize(
    "refusal", [(404, "ResourceNotFound"), (400, "InvalidInput"), (403, "AuthorizationFailure"), (501, "")]
)
async def test_batches_are_refused(server: AzureServer, session: AsyncSession, refusal: tuple[int, str]) -> None:
    """Blobs are deleted one by one where batches are refused, which is remembered."""
    server.quirks.batch_refusal = refusal
    storage = session.get_storage_manager()
    assert await storage.delete("/container/dir/", "AZURE") == 4
    for name in ("x", "y"):
        server.put(f"other/{name}", b"1")
    assert await storage.delete("/container/other/", "AZURE") == 3
    assert server.content == {}
    assert asked(server, "POST batch") == 1
    facts = dict(await storage.endpoint_facts("AZURE"))
    assert str(refusal[0]) in facts["deletion of many blobs in one request"]


async def test_batch_in_a_missing_container(server: AzureServer, session: AsyncSession) -> None:
    """A missing container is an error of all, and no reason to try each blob."""
    server.quirks.batch_refusal = (404, "ContainerNotFound")
    with pytest.raises(Exception, match="does not exist"):
        await session.get_storage_manager().delete("/container/dir/", "AZURE")
    assert asked(server, "DELETE") == 0
    assert set(server.files) == {"dir/a", "dir/b", "dir/c"}


async def test_container_without_rights(server: AzureServer, session: AsyncSession) -> None:
    """A container whose properties may not be read exists if it can be listed; otherwise the right is missing."""
    server.quirks.no_container_rights = True
    storage = session.get_storage_manager()
    assert (await storage.stat("/container/", "AZURE")).directory
    server.quirks.no_list = True
    with pytest.raises(AccessDeniedError):
        await storage.stat("/container/", "AZURE")


async def test_snapshots_are_no_files(server: AzureServer, session: AsyncSession, tmp_path: Path) -> None:
    """Snapshots in a listing are not taken for the blobs themselves."""
    server.quirks.snapshots = True
    await session.copy("azure:/container/dir/", f"{tmp_path}/here/")
    assert (tmp_path / "here" / "a").read_bytes() == b"a"
    items = await session.get_storage_manager().list("AZURE", "/container/dir/")
    assert [item.size for item in items] == [1, 1, 1]
