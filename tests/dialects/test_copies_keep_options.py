"""Copies keep what is stored with their sources: within a cloud, through this machine, and from cloud to cloud."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dxflow_async import Encryption, ObjectOptions
from tests.dialects.each_way import SYSTEM, open_azure
from tests.dialects.encrypted_azure import EncryptedAzure
from tests.dialects.opened_clouds import SIZES, TOPS, all_opened, opened, stored, tags_of

KEPT = {"content_type": "text/x-own", **SYSTEM}
OPTIONS = ObjectOptions("text/x-own", {"run": "7"}, **SYSTEM)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("how", ["by the service", "refused", "with an option"])
@pytest.mark.parametrize("remote", list(TOPS))
async def test_within_a_cloud(tmp_path: Path, remote: str, how: str, size: int) -> None:
    """Each field goes along, tags too, by each verb; an option of the call replaces its own field alone."""
    async with opened(remote, tmp_path / "home", refuses=how == "refused") as (session, server, options):
        top = TOPS[remote]
        storage, path = await session.storage_at(f"{top}/top")
        for name in ("from/a", "from/b", "moving"):
            await storage.write(f"{path}/{name}", bytes(size), options=options)
        before = stored(server, "top/moving")
        assert before.items() >= {**KEPT, "run": "7"}.items()
        assert "tags" in before or remote == "gcp"
        given: dict[str, Any] = {"options": ObjectOptions(cache_control="no-store")} if how == "with an option" else {}
        await storage.copy(f"{path}/from/a", f"{path}/one", **given)
        await session.copy(f"{top}/top/from/", f"{top}/top/tree/", **given)
        await storage.move(f"{path}/moving", f"{path}/moved", **given)
        names = ["one", "tree/a", "tree/b", "moved"]
        if not given:
            await session.sync(f"{top}/top/from/", f"{top}/top/synced/")
            names += ["synced/a", "synced/b"]
        wanted = before | ({"cache_control": "no-store"} if given else {})
        assert {name: stored(server, f"top/{name}") for name in names} == dict.fromkeys(names, wanted)


@pytest.mark.parametrize("remote", ["aws", "azure"])
async def test_tags_of_a_call_replace_those_of_the_source(tmp_path: Path, remote: str) -> None:
    """Also where there are none in it: the copy then has no tags."""
    for refuses in (False, True):
        async with opened(remote, tmp_path / str(refuses), refuses=refuses) as (session, server, options):
            storage, path = await session.storage_at(f"{TOPS[remote]}/top")
            await storage.write(f"{path}/from", b"data", options=options)
            await storage.copy(f"{path}/from", f"{path}/other", options=ObjectOptions(tags={"c": "3"}))
            await storage.copy(f"{path}/from", f"{path}/none", options=ObjectOptions(tags={}))
            assert stored(server, "top/other")["tags"] == "c=3"
            assert "tags" not in stored(server, "top/none")


@pytest.mark.parametrize("kind", ["customer_key", "encryption_scope"])
async def test_within_an_encrypted_account(tmp_path: Path, kind: str) -> None:
    """Azure copies nothing under a key: what goes through this machine keeps its tags, too."""
    value = Encryption.customer(bytes(range(32))).key if kind == "customer_key" else "scope1"
    options = ObjectOptions("text/x-own", {"run": "7"}, **SYSTEM, **tags_of("azure"))
    async with EncryptedAzure() as server, open_azure(server, tmp_path / "home", **{kind: value}) as session:
        storage = session.get_storage_manager().at("azure")
        await storage.write("/container/from/a", b"data", options=options)
        await storage.copy("/container/from/", "/container/to/")
        await storage.copy("/container/from/a", "/container/copy")
        assert stored(server, "to/a") == stored(server, "copy") == stored(server, "from/a")
        assert stored(server, "to/a")["tags"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("source", list(TOPS))
async def test_from_cloud_to_cloud(tmp_path: Path, source: str, size: int) -> None:
    """Each field but the tags goes along, alone and in a tree; an option of the call replaces its own field alone."""
    async with all_opened(tmp_path / "home") as (session, servers):
        storage, path = await session.storage_at(f"{TOPS[source]}/top")
        await storage.write(f"{path}/from/a", bytes(size), options=OPTIONS)
        for target in TOPS.keys() - {source}:
            top = f"{TOPS[target]}/to"
            await session.copy(f"{TOPS[source]}/top/from/a", f"{top}/one")
            await session.copy(f"{TOPS[source]}/top/from/", f"{top}/tree/")
            await session.sync(f"{TOPS[source]}/top/from/", f"{top}/synced/")
            other = ObjectOptions(content_language="fr")
            await session.copy(f"{TOPS[source]}/top/from/", f"{top}/other/", options=other)
            for name in ("one", "tree/a", "synced/a"):
                assert stored(servers[target], f"to/{name}") == {**KEPT, "run": "7"}, name
            assert stored(servers[target], "to/other/a") == {**KEPT, "run": "7", "content_language": "fr"}
