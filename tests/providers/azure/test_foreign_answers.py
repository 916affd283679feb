"""Moves and syncs with Azure while something else answers in its place."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import web

from dxflow_async import AsyncSession, AzureSettings, Settings
from dxflow_async.exceptions import StorageError
from tests.servers.hierarchical_azure import HierarchicalAzure

TREE = {"a": b"aaaa", "dir/b": b"bbbbbb", "dir/c": b"cc"}
PAGE = "<html><body>Welcome to the network</body></html>"
VERBS = ["GET", "GET list", "HEAD", "PUT", "DELETE", "POST batch"]
KINDS = ["page", "empty", "other version"]


def foreign(kind: str, request: web.Request) -> web.Response:
    """What a portal, a broken proxy or a stale cache answers."""
    if kind == "page":
        return web.Response(text=PAGE, content_type="text/html")
    if kind == "empty":
        return web.Response()
    size = int(request.headers.get("content-length", 0)) or 4
    return web.Response(body=b"?" * size, headers={"ETag": '"0xBAD"', "x-ms-version": "2023-11-03"})


def everywhere(verb: str, kind: str, server: HierarchicalAzure, *, once: bool) -> None:
    """Lets something else answer requests of a verb: all of them, or the first."""
    answered: list[str] = []

    def answer(request: web.Request) -> web.Response | None:
        asked = f"{request.method} {request.query.get('comp', '')}".strip()
        if asked != verb or (once and answered):
            return None
        answered.append(asked)
        return foreign(kind, request)

    server.answer = answer


def files(top: Path) -> dict[str, bytes]:
    return {path.relative_to(top).as_posix(): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def settings(server: HierarchicalAzure, home: Path) -> Settings:
    azure = AzureSettings(endpoint=server.url, account="account1", account_key="a2V5", checksum="md5")
    return Settings(home=home, azure=azure, max_attempts=2)


@pytest.mark.parametrize("once", [True, False], ids=["once", "always"])
@pytest.mark.parametrize("verb", VERBS)
async def test_moves_lose_nothing(verb: str, tmp_path: Path, *, once: bool) -> None:
    """Each file is whole at one end at least, and a source that is gone was stored; one such answer does no harm."""
    for number, kind in enumerate(KINDS):
        here, there = tmp_path / f"here{number}", tmp_path / f"there{number}"
        for name, data in TREE.items():
            (here / name).parent.mkdir(parents=True, exist_ok=True)
            (here / name).write_bytes(data)
        async with HierarchicalAzure() as server:
            server.put("down/")
            for name, data in TREE.items():
                server.put(f"down/{name}", data)
            async with AsyncSession(settings=settings(server, tmp_path / "home")) as session:
                everywhere(verb, kind, server, once=once)
                failed = 0
                for source, place in ((f"{here}/", "azure:/container/up/"), ("azure:/container/down/", f"{there}/")):
                    try:
                        await session.move(source, place)
                    except StorageError:
                        failed += 1
                    everywhere(verb, kind, server, once=once)
        up = {name[3:]: data for name, data in server.files.items() if name.startswith("up/")}
        down = {name[5:]: data for name, data in server.files.items() if name.startswith("down/")}
        assert {**up, **files(here)} == {**files(here), **up} == TREE, kind
        got = files(there) if there.exists() else {}
        assert {**got, **down} == {**down, **got} == TREE, kind
        if once and (verb, kind) != ("HEAD", "other version"):  # which is what a source that was changed looks like
            assert (failed, down, files(here)) == (0, {}, {}), kind


@pytest.mark.parametrize("once", [True, False], ids=["once", "always"])
async def test_syncs_delete_nothing(tmp_path: Path, *, once: bool) -> None:
    """A listing that is none, or cannot be had, deletes nothing at the other side."""
    for number, kind in enumerate(KINDS):
        here = tmp_path / f"here{number}"
        (here / "dir").mkdir(parents=True)
        async with HierarchicalAzure() as server:
            for name, data in TREE.items():
                server.put(f"top/{name}", data)
                (here / name).write_bytes(data)
            async with AsyncSession(settings=settings(server, tmp_path / "home")) as session:
                for source, place in (("azure:/container/top/", f"{here}/"), (f"{here}/", "azure:/container/top/")):
                    everywhere("GET list", kind, server, once=once)
                    with suppress(StorageError):
                        await session.sync(source, place, delete=True)
        assert files(here) == TREE
        assert server.files == {f"top/{name}": data for name, data in TREE.items()}
