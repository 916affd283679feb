"""Append and page blobs, whose stored checksums do not follow their bytes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, AzureSettings, checksum
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import ChecksumMismatchError
from dxflow_async.providers.azure.provider import AzureProvider
from dxflow_async.providers.http import HTTP
from tests.dialects.azure_server import AzureServer
from tests.dialects.azure_session import open_session

STALE = base64.b64encode(hashlib.md5(b"as it was").digest()).decode()
DATA = b"as it was, and more"


@pytest.fixture
async def server() -> AsyncIterator[AzureServer]:
    """A server with an append blob to which something was added after its checksums were stored."""
    async with AzureServer() as server:
        server.put("log", DATA, dxflow_crc32c=checksum.encode(checksum.crc32c(b"as it was")))
        server.content["log"].blob_type, server.content["log"].md5 = "AppendBlob", STALE
        yield server


@pytest.fixture
async def session(server: AzureServer, tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session with it."""
    async with open_session(server, tmp_path / "home") as session:
        yield session


@pytest.mark.parametrize("kind", ["AppendBlob", "PageBlob"])
@pytest.mark.parametrize("verb", ["copy", "sync", "move"])
async def test_stale_checksums(
    server: AzureServer, session: AsyncSession, tmp_path: Path, kind: str, verb: str
) -> None:
    """They are read, copied, synced and moved; none of it is compared with a stale checksum, or claims to be."""
    server.content["log"].blob_type = kind
    source = "azure:/container/" if verb == "sync" else "azure:/container/log"
    report = await getattr(session, verb)(source, f"{tmp_path}/here/")
    assert [(item.verified, item.error) for item in report] == [(False, None)]
    assert (tmp_path / "here" / "log").read_bytes() == DATA
    assert ("log" in server.files) is (verb != "move")


async def test_within_azure(server: AzureServer, session: AsyncSession) -> None:
    """A copy that the service makes, and a read in pieces, do not fail either; no checksum is reported."""
    await session.copy("azure:/container/log", "azure:/container/copy")
    storage = session.get_storage_manager()
    assert b"".join([bytes(chunk) async for chunk in storage.read("/container/log", provider="AZURE")]) == DATA
    assert (await storage.stat("/container/log", "AZURE")).checksum is None
    assert server.files["copy"] == DATA


async def test_block_blobs_are_compared(server: AzureServer, http: HTTP, threads: Threads) -> None:
    """The MD5 of a block blob is compared: other bytes are a failure."""
    server.put("block", DATA)
    server.content["block"].md5 = STALE
    provider = AzureProvider(AzureSettings(endpoint=server.url, account="account1", sas_token="sig=A"), http, threads)
    async with await provider.read("container/block") as reading:
        with pytest.raises(ChecksumMismatchError, match="another MD5"):
            await reading.read()
    await provider.aclose()
