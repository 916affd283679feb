"""Storage classes, encryption, tags and anonymous access at an S3 server that checks each of them."""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async import AccessDeniedError, AsyncSession, Encryption, ObjectOptions, StorageError
from tests.dialects.s3_round import open_session, play
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_service import KEY_MD5
from tests.dialects.s3_subject import PART_SIZE
from tests.sessions import MiB

_KEY = base64.b64encode(bytes(range(32))).decode()
_OTHER = base64.b64encode(bytes(range(1, 33))).decode()


async def _stream(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), MiB):
        yield data[start : start + MiB]


async def _read(session: AsyncSession, path: str, encryption: Encryption | None = None) -> bytes:
    storage = session.get_storage_manager().at("aws")
    return b"".join([chunk async for chunk in storage.read(path, encryption=encryption)])


async def test_customer_key_of_a_remote(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every verb works with a key in the settings: it is on every part, look, read and copy; and nothing shows it."""
    caplog.set_level(logging.DEBUG)
    async with (
        S3Server(min_part_size=PART_SIZE) as server,
        open_session(server, tmp_path / "home", customer_key=_KEY) as session,
    ):
        await play(session, server, tmp_path, "round")
        await session.get_storage_manager().write("/bucket/kept", _stream(b"kept"))
        assert all(KEY_MD5 in server.stored(key).headers for key in server.objects())
        assert _KEY not in repr(session.settings)
        assert _KEY not in caplog.text
        assert all(_KEY.encode() not in path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    async with (
        S3Server(min_part_size=PART_SIZE) as server,
        open_session(server, tmp_path / "plain", customer_key=_KEY) as session,
        open_session(server, tmp_path / "other", customer_key=_OTHER) as other,
    ):
        await session.get_storage_manager().write("/bucket/kept", _stream(b"kept"))
        with pytest.raises(AccessDeniedError) as raised:
            await _read(other, "/bucket/kept")
        assert _OTHER not in str(raised.value) + repr(vars(raised.value))


@pytest.mark.parametrize("size", [10, 5 * MiB], ids=["whole", "in parts"])
async def test_customer_key_of_a_call(tmp_path: Path, size: int) -> None:
    """One call encrypts under a key, another one reads with it; without it, nothing can be read."""
    async with S3Server(min_part_size=PART_SIZE) as server, open_session(server, tmp_path / "home") as session:
        storage, data = session.get_storage_manager().at("aws"), os.urandom(size)
        key, other = Encryption.customer(_KEY), Encryption.customer(_OTHER)
        (tmp_path / "file").write_bytes(data)
        await storage.upload(tmp_path / "file", "/bucket/up", options=ObjectOptions(encryption=key))
        await storage.write("/bucket/written", _stream(data), options=ObjectOptions(encryption=key))
        await storage.write("/bucket/plain", _stream(data))
        await storage.copy("/bucket/plain", "/bucket/copied", options=ObjectOptions(encryption=key))
        for name in ("up", "written", "copied"):
            assert KEY_MD5 in server.stored(name).headers
            assert await _read(session, f"/bucket/{name}", key) == data
            assert (await storage.stat(f"/bucket/{name}", encryption=key)).size == size
            await storage.download(f"/bucket/{name}", str(tmp_path / name), encryption=key)
            assert (tmp_path / name).read_bytes() == data
            with pytest.raises(StorageError):
                await _read(session, f"/bucket/{name}")
            with pytest.raises(AccessDeniedError):
                await _read(session, f"/bucket/{name}", other)


@pytest.mark.parametrize("size", [10, 5 * MiB], ids=["whole", "in parts"])
async def test_classes_tags_and_managed_keys(tmp_path: Path, size: int) -> None:
    """Storage class, tags and KMS key reach the service, from the settings and from a call, which wins."""
    settings = {"storage_class": "STANDARD_IA", "encryption": "aws:kms", "kms_key": "alias/own"}
    async with (
        S3Server(min_part_size=PART_SIZE) as server,
        open_session(server, tmp_path / "home", **settings) as session,
    ):
        storage, data = session.get_storage_manager().at("aws"), os.urandom(size)
        (tmp_path / "file").write_bytes(data)
        await storage.upload(tmp_path / "file", "/bucket/set", options=ObjectOptions(tags={"a": "1 2", "b": "&"}))
        await storage.copy("/bucket/set", "/bucket/copied")
        own = ObjectOptions(storage_class="GLACIER_IR", encryption=Encryption.service(), tags={"c": "3"})
        await storage.upload(tmp_path / "file", "/bucket/own", options=own)
        await storage.copy("/bucket/set", "/bucket/copied own", options=own)
        start = "x-amz-server-side-encryption"
        for name, tags in (
            ("set", "a=1%202&b=%26"),
            ("copied", "a=1%202&b=%26"),
            ("own", "c=3"),
            ("copied own", "c=3"),
        ):
            found, mine = server.stored(name), "own" in name
            assert found.tags.replace("+", "%20") == tags
            assert found.headers["x-amz-storage-class"] == ("GLACIER_IR" if mine else "STANDARD_IA")
            assert found.headers[start] == ("AES256" if mine else "aws:kms")
            assert found.headers.get(f"{start}-aws-kms-key-id") == (None if mine else "alias/own")


async def test_anonymous_access(tmp_path: Path) -> None:
    """Requests without credentials read public objects, and are refused others."""
    async with S3Server() as server:
        server.store("public", b"for all")
        server._service.buckets["bucket"].objects["public"] = server.stored("public").__class__(
            **{**vars(server.stored("public")), "public": True}
        )
        server.store("private", b"for some")
        async with open_session(server, tmp_path / "home", access_key=None, secret_key=None, anonymous=True) as session:
            assert await _read(session, "/bucket/public") == b"for all"
            with pytest.raises(AccessDeniedError):
                await _read(session, "/bucket/private")
        assert not any("authorization" in request.headers for request in server.requests)
