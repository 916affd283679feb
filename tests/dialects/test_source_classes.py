"""The storage class of a source goes along with a copy, where the service has the same classes, unless one is named."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import (
    AsyncSession,
    AzureSettings,
    GCPSettings,
    ObjectOptions,
    Settings,
    TransferError,
    UnsupportedError,
)
from tests.dialects.azure_server import AzureServer
from tests.dialects.google_server import GoogleServer
from tests.dialects.opened_clouds import SIZES, TOPS, Server, all_opened, opened, stored
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import PART_SIZE, aws_settings
from tests.sessions import MiB, retry_soon

CLASSES = {"aws": "STANDARD_IA", "azure": "Cool", "gcp": "NEARLINE"}
OTHERS = {"aws": "GLACIER_IR", "azure": "Cold", "gcp": "COLDLINE"}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("how", ["by the service", "refused"])
@pytest.mark.parametrize("remote", list(TOPS))
async def test_within_a_cloud(tmp_path: Path, remote: str, how: str, size: int) -> None:
    """Each verb takes it over, also through this machine; a class of the call wins, and `default` names none."""
    async with opened(remote, tmp_path / "home", refuses=how == "refused") as (session, server, _):
        top = TOPS[remote]
        storage, path = await session.storage_at(f"{top}/top")
        chosen = ObjectOptions(storage_class=CLASSES[remote])
        for name in ("from/a", "from/b", "moving"):
            await storage.write(f"{path}/{name}", bytes(size), options=chosen)
        await storage.write(f"{path}/plain", bytes(size))
        await storage.copy(f"{path}/from/a", f"{path}/one")
        await session.copy(f"{top}/top/from/", f"{top}/top/tree/")
        await session.sync(f"{top}/top/from/", f"{top}/top/synced/")
        await storage.move(f"{path}/moving", f"{path}/moved")
        await storage.copy(f"{path}/plain", f"{path}/plain too")
        await storage.copy(f"{path}/from/a", f"{path}/named", options=ObjectOptions(storage_class=OTHERS[remote]))
        await session.copy(f"{top}/top/from/", f"{top}/top/default/", options=ObjectOptions(storage_class="default"))
        taken = dict.fromkeys(("one", "tree/a", "tree/b", "synced/a", "synced/b", "moved"), CLASSES[remote])
        wanted = {**taken, "named": OTHERS[remote], "plain too": None, "default/a": None, "default/b": None}
        assert {name: stored(server, f"top/{name}").get("storage_class") for name in wanted} == wanted


@pytest.mark.parametrize("remote", ["azure", "gcp"])
async def test_a_class_alone_is_stored_by_the_service(tmp_path: Path, remote: str) -> None:
    """A copy with no other option than a storage class passes no bytes through this machine."""
    async with opened(remote, tmp_path / "home") as (session, server, options):
        storage, path = await session.storage_at(f"{TOPS[remote]}/top")
        await storage.write(f"{path}/from", b"data", options=options)
        await storage.copy(f"{path}/from", f"{path}/to", options=ObjectOptions(storage_class=OTHERS[remote]))
        assert stored(server, "top/to") == stored(server, "top/from") | {"storage_class": OTHERS[remote]}
        if isinstance(server, AzureServer):
            assert server.content["top/to"].copy_id
        else:
            assert isinstance(server, GoogleServer)
            assert len([path for method, path in server.seen if path.startswith("/upload")]) == 1


@pytest.mark.parametrize("remote", list(TOPS))
@pytest.mark.parametrize("size", SIZES)
async def test_settings_win(tmp_path: Path, remote: str, size: int) -> None:
    """The class that a remote's settings name is that of all copies there, also if it is `default`."""
    async with AsyncExitStack() as stack:
        session, server = await _with_remotes(stack, remote, tmp_path)
        for name in ("plain", "named", "default"):
            storage, path = await session.storage_at(f"{name}:{TOPS[remote].partition(':')[2]}/{name}")
            options = ObjectOptions(storage_class=CLASSES[remote])
            await storage.write(f"{path}/from", bytes(size), options=options)
            await storage.copy(f"{path}/from", f"{path}/to")
            source = f"plain:{TOPS[remote].partition(':')[2]}/plain/from"
            await session.copy(source, f"{name}:{TOPS[remote].partition(':')[2]}/{name}/from another")
        wanted = {"plain": CLASSES[remote], "named": OTHERS[remote], "default": None}
        for name, kind in wanted.items():
            assert stored(server, f"{name}/from")["storage_class"] == CLASSES[remote]
            for copied in ("to", "from another"):
                assert stored(server, f"{name}/{copied}").get("storage_class") == kind, (name, copied)


async def _with_remotes(stack: AsyncExitStack, remote: str, tmp_path: Path) -> tuple[AsyncSession, Server]:
    """A session with three remotes at one server, whose settings name no class, another one, and `default`."""
    server: Server
    kinds: dict[str, Any] = {"plain": None, "named": OTHERS[remote], "default": "default"}
    remotes: dict[str, Any]
    if remote == "aws":
        server = s3 = await stack.enter_async_context(S3Server(min_part_size=PART_SIZE))
        remotes = {name: aws_settings(s3, storage_class=kind) for name, kind in kinds.items()}
    elif remote == "azure":
        server = await stack.enter_async_context(AzureServer())
        account: dict[str, Any] = {"endpoint": server.url, "account": "account1", "account_key": "a2V5"}
        remotes = {name: AzureSettings(**account, storage_class=kind) for name, kind in kinds.items()}
    else:
        server = await stack.enter_async_context(GoogleServer())
        file = server.service_file(tmp_path)
        remotes = {
            name: GCPSettings(endpoint=server.url, service_file=file, storage_class=kind)
            for name, kind in kinds.items()
        }
    settings = Settings(home=tmp_path / "home", remotes=remotes, part_size=5 * MiB)
    session = await stack.enter_async_context(AsyncSession(settings=settings))
    retry_soon(session)
    return session, server


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("source", list(TOPS))
async def test_from_cloud_to_cloud(tmp_path: Path, source: str, size: int) -> None:
    """The names of one cloud mean nothing at another: copies have the default class there."""
    async with all_opened(tmp_path / "home") as (session, servers):
        storage, path = await session.storage_at(f"{TOPS[source]}/top")
        await storage.write(f"{path}/from/a", bytes(size), options=ObjectOptions(storage_class=CLASSES[source]))
        for target in TOPS.keys() - {source}:
            await session.copy(f"{TOPS[source]}/top/from/", f"{TOPS[target]}/to/")
            await session.sync(f"{TOPS[source]}/top/from/", f"{TOPS[target]}/synced/")
            for name in ("to/a", "synced/a"):
                assert "storage_class" not in stored(servers[target], name), name


async def test_from_one_s3_service_to_another(tmp_path: Path) -> None:
    """Services that speak S3 have classes of their own."""
    async with S3Server() as one, S3Server() as other:
        remotes = {"one": aws_settings(one), "other": aws_settings(other)}
        async with AsyncSession(settings=Settings(home=tmp_path, remotes=remotes)) as session:
            storage, path = await session.storage_at("one:/bucket/from")
            await storage.write(path, b"data", options=ObjectOptions(storage_class="STANDARD_IA"))
            await session.copy("one:/bucket/from", "other:/bucket/to")
        assert "x-amz-storage-class" not in other.stored("to").headers


@pytest.mark.parametrize("refuses", [None, (501, "NotImplemented")], ids=["by the service", "through this machine"])
@pytest.mark.parametrize("size", [10, 3 * MiB], ids=["whole", "in parts"])
async def test_a_class_that_the_bucket_does_not_take(
    tmp_path: Path, refuses: tuple[int, str] | None, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The copy is stored in the default class, and a warning says so once; a class of the call is an error."""
    quirks = Quirks(classes=("STANDARD_IA",), refuses_copies=refuses)
    async with (
        S3Server(quirks, min_part_size=PART_SIZE) as server,
        open_session(server, tmp_path / "home") as session,
    ):
        storage = session.get_storage_manager().at("aws")
        for name in ("a", "b"):
            await storage.write(f"/bucket/from/{name}", bytes(size))
            server.stored(f"from/{name}").headers["x-amz-storage-class"] = "TIER-1"
        await storage.copy("/bucket/from/a", "/bucket/first")
        await storage.copy("/bucket/from/", "/bucket/to/")
        for name in ("first", "to/a", "to/b"):
            found = server.stored(name)
            assert (len(found.data), found.headers.get("x-amz-storage-class")) == (size, None)
        assert len([each for each in caplog.messages if "stored in the default class" in each]) == 1
        with pytest.raises(TransferError, match="storage class"):
            await storage.copy("/bucket/from/a", "/bucket/named", options=ObjectOptions(storage_class="TIER-1"))
        assert "named" not in server.objects()


async def test_an_archived_blob(tmp_path: Path) -> None:
    """It is copied only to a tier that the call names; else the error says what to do, and a move keeps its source."""
    async with opened("azure", tmp_path / "home") as (session, server, _):
        storage = session.get_storage_manager().at("azure")
        await storage.write("/container/from", b"data", options=ObjectOptions(storage_class="Archive"))
        with pytest.raises(TransferError) as failed:
            await storage.move("/container/from", "/container/to")
        assert isinstance(failed.value.report.failed[0].error, UnsupportedError)
        assert "access tier" in str(failed.value.report.failed[0].error)
        await storage.copy("/container/from", "/container/to", options=ObjectOptions(storage_class="Cool"))
        assert stored(server, "to")["storage_class"] == "Cool"
        assert stored(server, "from")["storage_class"] == "Archive"
