"""Customers' keys, keys of Cloud KMS, anonymous access and requesters that pay, at a server that insists on them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import (
    AsyncAreaStorage,
    AsyncSession,
    BearerToken,
    Encryption,
    GCPSettings,
    ObjectOptions,
    Settings,
    StorageError,
)
from tests.dialects.encrypted_google import EncryptedGoogle
from tests.dialects.google_server import TOKEN, GoogleServer
from tests.sessions import MiB, retry_soon

SIZES = [pytest.param(10, id="whole"), pytest.param(45 * MiB, id="in parts", marks=pytest.mark.long)]
KEY, OTHER = Encryption.customer(bytes(range(32))), Encryption.customer(bytes(32))
MANAGED = "projects/p/locations/eu/keyRings/r/cryptoKeys/k"


def open_session(server: GoogleServer, home: Path, **settings: Any) -> AsyncSession:
    async def token() -> BearerToken:
        return BearerToken(TOKEN)

    if not settings.get("anonymous"):
        settings["credentials"] = token
    gcp = GCPSettings(endpoint=server.url, **settings)
    session = AsyncSession(settings=Settings(home=home, gcp=gcp, part_size=5 * MiB))
    retry_soon(session)
    return session


async def read(storage: AsyncAreaStorage, path: str, *span: int, key: Encryption | None = None) -> bytes:
    return b"".join([chunk async for chunk in storage.read(path, *span, encryption=key)])


async def stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.mark.parametrize("size", SIZES)
async def test_a_key_of_each_call(tmp_path: Path, size: int) -> None:
    """Writes, ranged reads, looks, downloads and copies send the key; without it, or with another, they fail."""
    async with EncryptedGoogle() as server, open_session(server, tmp_path / "home") as session:
        storage, data = session.get_storage_manager().at("gcp"), os.urandom(MiB) * (size // MiB) or os.urandom(size)
        (tmp_path / "file").write_bytes(data)
        options = ObjectOptions(encryption=KEY)
        await storage.upload(tmp_path / "file", "/bucket/up", options=options)
        await storage.write("/bucket/written", stream(data), options=options)
        await storage.write("/bucket/plain", data)
        await storage.copy("/bucket/plain", "/bucket/copied", options=options)
        for name in ("up", "written", "copied"):
            path = f"/bucket/{name}"
            assert server.keys[name] == KEY.key_sha256
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
        assert "plain" not in server.keys
        assert not server.parts
        assert await storage.delete([f"/bucket/{name}" for name in ("up", "written", "copied", "plain")]) == 4


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["customer_key", "kms_key"])
async def test_the_settings_of_a_remote(tmp_path: Path, size: int, kind: str) -> None:
    """With a key of the settings every call works as without, and a copy within the remote keeps it."""
    value, mark = (str(KEY.key), KEY.key_sha256) if kind == "customer_key" else (MANAGED, MANAGED)
    async with EncryptedGoogle() as server, open_session(server, tmp_path / "home", **{kind: value}) as session:
        server.quirks.rewrite_size = 20 * MiB  # a large copy takes several requests
        storage, data = session.get_storage_manager().at("gcp"), os.urandom(MiB) * (size // MiB) or os.urandom(size)
        (tmp_path / "file").write_bytes(data)
        await storage.upload(tmp_path / "file", "/bucket/up")
        await storage.write("/bucket/written", stream(data))
        await storage.copy("/bucket/up", "/bucket/copied")
        await storage.move("/bucket/copied", "/bucket/moved")
        kept = server.keys if kind == "customer_key" else server.managed
        for name in ("up", "written", "moved"):
            assert kept[name] == mark
            assert await read(storage, f"/bucket/{name}") == data
            assert await read(storage, f"/bucket/{name}", 2, 9) == data[2:9]
            assert (await storage.stat(f"/bucket/{name}")).size == size
        await storage.delete("/bucket/")
        assert not server.names


async def test_other_keys_of_calls(tmp_path: Path) -> None:
    """A managed key of the call wins; a copy is decrypted with the key of the settings and encrypted with its own."""
    async with EncryptedGoogle() as server:
        async with open_session(server, tmp_path / "home") as session:
            storage = session.get_storage_manager().at("gcp")
            options = ObjectOptions(encryption=Encryption.managed(MANAGED))
            await storage.write("/bucket/x", b"data", options=options)
            await storage.copy("/bucket/x", "/bucket/copied", options=options)
            assert server.managed == {"x": MANAGED, "copied": MANAGED}
        async with open_session(server, tmp_path / "home", customer_key=str(OTHER.key)) as session:
            storage = session.get_storage_manager().at("gcp")
            await storage.write("/bucket/y", b"data")
            await storage.copy("/bucket/y", "/bucket/z", options=ObjectOptions(encryption=KEY))
            assert server.keys == {"y": OTHER.key_sha256, "z": KEY.key_sha256}
            assert await read(storage, "/bucket/z", key=KEY) == b"data"


async def test_anonymous_access(tmp_path: Path) -> None:
    """Requests of an anonymous remote have no credentials."""
    async with (
        EncryptedGoogle(anonymous=True) as server,
        open_session(server, tmp_path / "home", anonymous=True) as session,
    ):
        server.put("dir/x", b"for all")
        storage = session.get_storage_manager().at("gcp")
        assert await read(storage, "/bucket/dir/x") == b"for all"
        assert [item.name for item in await storage.list("/bucket/dir/")] == ["x"]
        await storage.download("/bucket/dir/x", str(tmp_path / "x"))
        assert server.signed == 0


async def test_a_requester_pays(tmp_path: Path) -> None:
    """The project that pays is named by every call; without it the error says which setting to set."""
    async with GoogleServer() as server:
        server.quirks.user_project = "payer-7"
        server.put("x", b"paid")
        async with open_session(server, tmp_path / "home", user_project="payer-7") as session:
            storage = session.get_storage_manager().at("gcp")
            assert await read(storage, "/bucket/x", 1, 3) == b"ai"
            (tmp_path / "file").write_bytes(bytes(45 * MiB))
            await storage.upload(tmp_path / "file", "/bucket/large")
            await storage.copy("/bucket/large", "/bucket/copied")
            await storage.write("/bucket/written", stream(b"data"))
            assert len(await storage.list("/bucket/")) == 4
            await storage.delete("/bucket/")
        server.put("x", b"paid")
        async with open_session(server, tmp_path / "home") as session:
            with pytest.raises(StorageError, match="user_project"):
                await read(session.get_storage_manager().at("gcp"), "/bucket/x")
