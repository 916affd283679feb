"""What is stored with objects reaches the service by every verb that writes, from a call and from the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession, AzureSettings, BearerToken, Encryption, GCPSettings, ObjectOptions, Settings
from tests.dialects.encrypted_azure import EncryptedAzure
from tests.dialects.encrypted_google import EncryptedGoogle
from tests.dialects.google_server import TOKEN
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import PART_SIZE
from tests.sessions import MiB

KEY = Encryption.customer(bytes(range(32)))
SYSTEM = {
    "cache_control": "max-age=60",
    "content_disposition": "attachment",
    "content_encoding": "x-own",
    "content_language": "de",
}


def open_azure(url: str, home: Path, **settings: Any) -> AsyncSession:
    azure = AzureSettings(endpoint=url, account="account1", account_key="a2V5", **settings)
    return AsyncSession(settings=Settings(home=home, azure=azure, part_size=5 * MiB))


def open_google(url: str, home: Path, **settings: Any) -> AsyncSession:
    async def token() -> BearerToken:
        return BearerToken(TOKEN)

    gcp = GCPSettings(endpoint=url, credentials=token, **settings)
    return AsyncSession(settings=Settings(home=home, gcp=gcp, part_size=5 * MiB))


async def stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def write_each_way(
    session: AsyncSession, top: str, directory: Path, size: int, options: ObjectOptions | None
) -> list[str]:
    """Writes an object with each verb, and returns their names below the directory `top`."""
    storage, path = await session.storage_at(top)
    for name in ("file", "moved file", "tree/a", "tree/b"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(b"x" * size)
    file, data = str(directory / "file"), b"x" * size
    given: dict[str, Any] = {} if options is None else {"options": options}
    for name in ("from", "moving", "renaming"):
        await storage.write(f"{path}/plain/{name}", stream(data))
    calls: dict[str, Callable[[str], Awaitable[object]]] = {
        "upload": lambda name: storage.upload(file, name, **given),
        "upload many": lambda name: storage.upload_many([(file, name)], **given),
        "upload new": lambda name: storage.upload(file, name, overwrite=False, **given),
        "write": lambda name: storage.write(name, stream(data), **given),
        "write bytes": lambda name: storage.write(name, data, overwrite="skip", **given),
        "copy": lambda name: storage.copy(f"{path}/plain/from", name, **given),
        "move": lambda name: storage.move(f"{path}/plain/moving", name, **given),
        "copy of a session": lambda name: session.copy(file, f"{top}/{name.rpartition('/')[2]}", **given),
        "move of a session": lambda name: session.move(
            str(directory / "moved file"), f"{top}/{name.rpartition('/')[2]}", **given
        ),
    }
    for name, call in calls.items():
        await call(f"{path}/{name}")
    async with storage.open(f"{path}/opened", "wb", **given) as opened:
        await opened.write(data)
    async with (session.path(top) / "opened path").open("xb", **given) as opened:
        await opened.write(data)
    await storage.upload(f"{directory}/tree/", f"{path}/tree/", **given)
    return [*calls, "opened", "opened path", "tree/a", "tree/b"]


@pytest.mark.parametrize("size", [10, 3 * MiB], ids=["whole", "in parts"])
@pytest.mark.parametrize("by", ["call", "settings"])
async def test_s3(tmp_path: Path, by: str, size: int) -> None:
    """Class, KMS key, tags and system metadata; a copy in parts, and a copy of a copy, keep them."""
    options = ObjectOptions(
        storage_class="STANDARD_IA",
        encryption=Encryption.managed("alias/own"),
        tags={"a": "1"},
        **SYSTEM,  # type: ignore[arg-type]
    )
    settings = {"storage_class": "STANDARD_IA", "encryption": "aws:kms", "kms_key": "alias/own"}
    async with (
        S3Server(min_part_size=PART_SIZE) as server,
        open_session(server, tmp_path / "home", **(settings if by == "settings" else {})) as session,
    ):
        names = await write_each_way(
            session, "aws:/bucket/top", tmp_path / "files", size, options if by == "call" else None
        )
        storage = session.get_storage_manager().at("aws")
        if by == "call":
            await storage.copy("/bucket/top/copy", "/bucket/top/kept")
            found = server.stored("top/kept")
            assert {each: found.headers.get(each.replace("_", "-")) for each in SYSTEM} == SYSTEM
            assert found.tags == "a=1"
        start = "x-amz-server-side-encryption"
        for name in names:
            found = server.stored(f"top/{name}")
            assert len(found.data) == size, name
            assert found.headers["x-amz-storage-class"] == "STANDARD_IA", name
            assert (found.headers[start], found.headers[f"{start}-aws-kms-key-id"]) == ("aws:kms", "alias/own"), name
            if by == "call":
                assert {each: found.headers.get(each.replace("_", "-")) for each in SYSTEM} == SYSTEM, name
                assert found.tags == "a=1", name


@pytest.mark.parametrize("kind", ["customer", "scope"])
@pytest.mark.parametrize("by", ["call", "settings"])
async def test_azure(tmp_path: Path, by: str, kind: str) -> None:
    """A customer's key and a scope."""
    settings: dict[str, Any] = {"customer_key": KEY.key} if kind == "customer" else {"encryption_scope": "scope1"}
    options = ObjectOptions(encryption=KEY if kind == "customer" else Encryption.scope("scope1"))
    async with (
        EncryptedAzure() as server,
        open_azure(server.url, tmp_path / "home", **(settings if by == "settings" else {})) as session,
    ):
        names = await write_each_way(
            session, "azure:/container/top", tmp_path / "files", 10, options if by == "call" else None
        )
        mark = f"key:{KEY.key_sha256}" if kind == "customer" else "scope:scope1"
        assert {name: server.encryption[f"top/{name}"] for name in names} == dict.fromkeys(names, mark)


@pytest.mark.parametrize("kind", ["customer", "managed"])
@pytest.mark.parametrize("by", ["call", "settings"])
async def test_google(tmp_path: Path, by: str, kind: str) -> None:
    """A customer's key, and one of Cloud KMS."""
    managed = "projects/p/locations/eu/keyRings/r/cryptoKeys/k"
    settings: dict[str, Any] = {"customer_key": KEY.key} if kind == "customer" else {"kms_key": managed}
    options = ObjectOptions(encryption=KEY if kind == "customer" else Encryption.managed(managed))
    async with (
        EncryptedGoogle() as server,
        open_google(server.url, tmp_path / "home", **(settings if by == "settings" else {})) as session,
    ):
        names = await write_each_way(
            session, "gcp:/bucket/top", tmp_path / "files", 10, options if by == "call" else None
        )
        kept, mark = (server.keys, KEY.key_sha256) if kind == "customer" else (server.managed, managed)
        assert {name: kept.get(f"top/{name}") for name in names} == dict.fromkeys(names, mark)
