"""What is stored with objects reaches the service by every verb that writes, from a call and from the settings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import Encryption, ObjectOptions
from tests.dialects.azure_server import AzureServer
from tests.dialects.each_way import (
    SYSTEM,
    open_azure,
    open_google,
    stored_at_azure,
    stored_at_google,
    stored_at_s3,
    write_each_way,
)
from tests.dialects.encrypted_azure import EncryptedAzure
from tests.dialects.encrypted_google import EncryptedGoogle
from tests.dialects.google_server import GoogleServer
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import PART_SIZE
from tests.sessions import MiB

KEY = Encryption.customer(bytes(range(32)))


@pytest.mark.parametrize("size", [10, 3 * MiB], ids=["whole", "in parts"])
@pytest.mark.parametrize("by", ["call", "settings"])
async def test_s3(tmp_path: Path, by: str, size: int) -> None:
    """Class, KMS key, tags and system metadata; a copy in parts, and a copy of a copy, keep them."""
    options = ObjectOptions(
        storage_class="STANDARD_IA",
        encryption=Encryption.managed("alias/own"),
        tags={"a": "1"},
        **SYSTEM,
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
            assert found.headers.get("x-amz-storage-class") == "STANDARD_IA", name
            assert (found.headers[start], found.headers[f"{start}-aws-kms-key-id"]) == ("aws:kms", "alias/own"), name
            if by == "call":
                assert {each: found.headers.get(each.replace("_", "-")) for each in SYSTEM} == SYSTEM, name
                assert found.tags == "a=1", name


@pytest.mark.parametrize("size", [10, 6 * MiB], ids=["whole", "in parts"])
@pytest.mark.parametrize("by", ["call", "settings", "both"])
async def test_azure(tmp_path: Path, by: str, size: int) -> None:
    """Access tier, index tags and system metadata; the tier of a call wins over that of the settings."""
    tier = "Cool" if by == "settings" else "Cold"
    options = ObjectOptions("text/csv", storage_class=tier, tags={"a": "1"}, **SYSTEM)
    settings = {} if by == "call" else {"storage_class": "Cool"}
    async with AzureServer() as server, open_azure(server, tmp_path / "home", **settings) as session:
        given = None if by == "settings" else options
        names = await write_each_way(session, "azure:/container/top", tmp_path / "files", size, given)
        wanted = {"storage_class": tier}
        if given is not None:
            wanted |= {"content_type": "text/csv", "tags": "a=1", **SYSTEM}
        found = {name: stored_at_azure(server, f"top/{name}") for name in names}
        assert {name: {each: has.get(each) for each in wanted} for name, has in found.items()} == dict.fromkeys(
            names, wanted
        )
        assert {len(server.content[f"top/{name}"].data) for name in names} == {size}


@pytest.mark.parametrize("size", [10, 11 * MiB], ids=["whole", "in parts"])
@pytest.mark.parametrize("by", ["call", "settings", "both"])
async def test_google(tmp_path: Path, by: str, size: int) -> None:
    """Storage class and system metadata; the class of a call wins over that of the settings."""
    kind = "NEARLINE" if by == "settings" else "COLDLINE"
    options = ObjectOptions("text/csv", storage_class=kind, **SYSTEM)
    settings = {} if by == "call" else {"storage_class": "NEARLINE"}
    async with GoogleServer() as server, open_google(server, tmp_path / "home", **settings) as session:
        given = None if by == "settings" else options
        names = await write_each_way(session, "gcp:/bucket/top", tmp_path / "files", size, given)
        wanted = {"storage_class": kind}
        if given is not None:
            wanted |= {"content_type": "text/csv", **SYSTEM}
        found = {name: stored_at_google(server, f"top/{name}") for name in names}
        assert {name: {each: has.get(each) for each in wanted} for name, has in found.items()} == dict.fromkeys(
            names, wanted
        )
        assert {len(server.objects[f"top/{name}"].data) for name in names} == {size}
        assert not server.parts


@pytest.mark.parametrize("kind", ["customer", "scope"])
@pytest.mark.parametrize("by", ["call", "settings"])
async def test_azure_encryption(tmp_path: Path, by: str, kind: str) -> None:
    """A customer's key and a scope."""
    settings: dict[str, Any] = {"customer_key": KEY.key} if kind == "customer" else {"encryption_scope": "scope1"}
    options = ObjectOptions(encryption=KEY if kind == "customer" else Encryption.scope("scope1"))
    async with (
        EncryptedAzure() as server,
        open_azure(server, tmp_path / "home", **(settings if by == "settings" else {})) as session,
    ):
        names = await write_each_way(
            session, "azure:/container/top", tmp_path / "files", 10, options if by == "call" else None
        )
        mark = f"key:{KEY.key_sha256}" if kind == "customer" else "scope:scope1"
        assert {name: server.encryption[f"top/{name}"] for name in names} == dict.fromkeys(names, mark)


@pytest.mark.parametrize("kind", ["customer", "managed"])
@pytest.mark.parametrize("by", ["call", "settings"])
async def test_google_encryption(tmp_path: Path, by: str, kind: str) -> None:
    """A customer's key, and one of Cloud KMS."""
    managed = "projects/p/locations/eu/keyRings/r/cryptoKeys/k"
    settings: dict[str, Any] = {"customer_key": KEY.key} if kind == "customer" else {"kms_key": managed}
    options = ObjectOptions(encryption=KEY if kind == "customer" else Encryption.managed(managed))
    async with (
        EncryptedGoogle() as server,
        open_google(server, tmp_path / "home", **(settings if by == "settings" else {})) as session,
    ):
        names = await write_each_way(
            session, "gcp:/bucket/top", tmp_path / "files", 10, options if by == "call" else None
        )
        kept, mark = (server.keys, KEY.key_sha256) if kind == "customer" else (server.managed, managed)
        assert {name: kept.get(f"top/{name}") for name in names} == dict.fromkeys(names, mark)


@pytest.mark.parametrize("remote", ["aws", "azure", "gcp"])
async def test_workers(tmp_path: Path, remote: str) -> None:
    """Objects that other processes send and copy, whole and in parts, have what the call and the settings say."""
    tags: dict[str, Any] = {} if remote == "gcp" else {"tags": {"a": "1"}}
    options, classes = ObjectOptions("text/x-own", **tags, **SYSTEM), {"aws": "STANDARD_IA", "azure": "Cool"}
    settings = {"storage_class": classes.get(remote, "NEARLINE")}
    (tmp_path / "tree").mkdir()
    for name, size in (("large", 11 * MiB), ("small", 10)):
        (tmp_path / "tree" / name).write_bytes(bytes(size))
    async with AsyncExitStack() as stack:
        found: Callable[[str], dict[str, str]]
        if remote == "aws":
            s3 = await stack.enter_async_context(S3Server(min_part_size=PART_SIZE))
            session = await stack.enter_async_context(open_session(s3, tmp_path / "home", **settings))
            object.__setattr__(session.settings, "part_size", 5 * MiB)  # workers take no smaller ones
            found = partial(stored_at_s3, s3)
        elif remote == "azure":
            azure = await stack.enter_async_context(AzureServer())
            session = await stack.enter_async_context(open_azure(azure, tmp_path / "home", **settings))
            found = partial(stored_at_azure, azure)
        else:
            google = await stack.enter_async_context(GoogleServer())
            session = await stack.enter_async_context(open_google(google, tmp_path / "home", **settings))
            found = partial(stored_at_google, google)
        top = {"azure": "azure:/container"}.get(remote, f"{remote}:/bucket")
        await session.copy(f"{tmp_path}/tree/", f"{top}/up/", options=options, processes=2)
        await session.copy(f"{top}/up/", f"{top}/kept/", processes=2)
        other = ObjectOptions(cache_control="no-store")
        await session.copy(f"{top}/up/", f"{top}/changed/", options=other, processes=2)
        wanted = {"content_type": "text/x-own", **settings, **SYSTEM} | ({"tags": "a=1"} if tags else {})
        for name in ("large", "small"):
            assert found(f"up/{name}") == found(f"kept/{name}") == wanted, name
            assert found(f"changed/{name}") == wanted | {"cache_control": "no-store"}, name
