"""Customers' keys, encryption scopes and anonymous access at a server of Azure's kind that insists on them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import (
    AsyncAreaStorage,
    AsyncSession,
    AzureSettings,
    Encryption,
    ObjectOptions,
    Settings,
    StorageError,
)
from tests.dialects.encrypted_azure import EncryptedAzure
from tests.sessions import MiB

SIZES = [pytest.param(10, id="whole"), pytest.param(45 * MiB, id="in blocks", marks=pytest.mark.long)]
KEY, OTHER = Encryption.customer(bytes(range(32))), Encryption.customer(bytes(32))
MARK = f"key:{KEY.key_sha256}"


def open_session(server: EncryptedAzure, home: Path, **settings: Any) -> AsyncSession:
    if not settings.get("anonymous"):
        settings |= {"account": "account1", "account_key": "a2V5"}
    azure = AzureSettings(endpoint=server.url, **settings)
    return AsyncSession(settings=Settings(home=home, azure=azure, part_size=5 * MiB))


async def read(storage: AsyncAreaStorage, path: str, *span: int, key: Encryption | None = None) -> bytes:
    return b"".join([chunk async for chunk in storage.read(path, *span, encryption=key)])


async def stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.mark.parametrize("size", SIZES)
async def test_a_key_of_each_call(tmp_path: Path, size: int) -> None:
    """Writes, ranged reads, looks, downloads and copies send the key; without it, or with another, they fail."""
    async with EncryptedAzure() as server, open_session(server, tmp_path / "home") as session:
        storage, data = session.get_storage_manager().at("azure"), os.urandom(MiB) * (size // MiB) or os.urandom(size)
        (tmp_path / "file").write_bytes(data)
        options = ObjectOptions(encryption=KEY)
        await storage.upload(tmp_path / "file", "/container/up", options=options)
        await storage.write("/container/written", stream(data), options=options)
        await storage.write("/container/plain", data)
        await storage.copy("/container/plain", "/container/copied", options=options)
        for name in ("up", "written", "copied"):
            path = f"/container/{name}"
            assert server.encryption[name] == MARK
            assert await read(storage, path, key=KEY) == data
            assert await read(storage, path, 2, 9, key=KEY) == data[2:9]
            assert (await storage.stat(path, encryption=KEY)).size == size
            await storage.download(path, str(tmp_path / name), encryption=KEY)
            assert (tmp_path / name).read_bytes() == data
            async with storage.open(path, encryption=KEY) as file:
                assert await file.read(5) == data[:5]
            for wrong in (None, OTHER):
                with pytest.raises(StorageError) as raised:
                    await read(storage, path, key=wrong)
                assert str(KEY.key) not in str(raised.value)
        assert server.encryption["plain"] == ""
        assert len(await storage.list("/container/")) == 4
        assert await storage.delete([f"/container/{name}" for name in ("up", "written", "copied", "plain")]) == 4


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["customer_key", "encryption_scope"])
async def test_the_settings_of_a_remote(tmp_path: Path, size: int, kind: str) -> None:
    """With a key or a scope of the settings every call works as without, and a copy within the remote keeps it."""
    value = str(KEY.key) if kind == "customer_key" else "scope-7"
    mark = MARK if kind == "customer_key" else "scope:scope-7"
    async with EncryptedAzure() as server, open_session(server, tmp_path / "home", **{kind: value}) as session:
        storage, data = session.get_storage_manager().at("azure"), os.urandom(MiB) * (size // MiB) or os.urandom(size)
        (tmp_path / "file").write_bytes(data)
        await storage.upload(tmp_path / "file", "/container/up")
        await storage.write("/container/written", stream(data))
        await storage.copy("/container/up", "/container/copied")
        await storage.move("/container/copied", "/container/moved")
        for name in ("up", "written", "moved"):
            assert server.encryption[name] == mark
            assert await read(storage, f"/container/{name}") == data
            assert await read(storage, f"/container/{name}", 2, 9) == data[2:9]
            assert (await storage.stat(f"/container/{name}")).size == size
        await storage.delete("/container/")
        assert not server.files


async def test_a_scope_of_a_call_and_another_key_for_a_copy(tmp_path: Path) -> None:
    """A scope of the call wins; a copy is decrypted with the key of the settings and encrypted with its own."""
    async with EncryptedAzure() as server:
        async with open_session(server, tmp_path / "home") as session:
            storage = session.get_storage_manager().at("azure")
            await storage.write("/container/x", b"data", options=ObjectOptions(encryption=Encryption.scope("own")))
            assert server.encryption["x"] == "scope:own"
            assert await read(storage, "/container/x") == b"data"
        async with open_session(server, tmp_path / "home", customer_key=str(OTHER.key)) as session:
            storage = session.get_storage_manager().at("azure")
            await storage.write("/container/y", b"data")
            await storage.copy("/container/y", "/container/z", options=ObjectOptions(encryption=KEY))
            assert server.encryption == {"x": "scope:own", "y": f"key:{OTHER.key_sha256}", "z": MARK}
            assert await read(storage, "/container/z", key=KEY) == b"data"


async def test_anonymous_access(tmp_path: Path) -> None:
    """Requests of an anonymous remote have no credentials."""
    async with EncryptedAzure() as server, open_session(server, tmp_path / "home", anonymous=True) as session:
        server.put("dir/x", b"for all")
        storage = session.get_storage_manager().at("azure")
        assert await read(storage, "/container/dir/x") == b"for all"
        assert [item.name for item in await storage.list("/container/dir/")] == ["x"]
        assert (await storage.stat("/container/dir/x")).size == 7
        await storage.download("/container/dir/x", str(tmp_path / "x"))
        assert server.signed == 0
