"""Sessions at S3 whose credentials lack a right: the error names it, and nothing is damaged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dxflow_async import AsyncSession
from dxflow_async.exceptions import AccessDeniedError, TransferError
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server

_BEFORE = {"up/a": b"old", "up/b/c": b"other", "else": b"stays"}
_CHANGING = {"PutObject", "DeleteObject", "DeleteObjects", "CopyObject", "CreateMultipartUpload"}


async def run(verb: str, session: AsyncSession, local: Path) -> None:
    """Runs a verb that needs a listing."""
    storage = session.get_storage_manager()
    match verb:
        case "sync to S3":
            await session.sync(f"{local}/", "aws:/bucket/up/", delete=True)
        case "sync from S3":
            await session.sync("aws:/bucket/up/", f"{local}/", delete=True)
        case "sync within S3":
            await session.sync("aws:/bucket/up/", "aws:/bucket/copy/", delete=True)
        case "delete":
            await storage.delete("/bucket/up/")
        case "move":
            await session.move("aws:/bucket/up/", "aws:/bucket/moved/")
        case "move to a disk":
            await session.move("aws:/bucket/up/", f"{local}/moved/")
        case _:
            await storage.download("/bucket/up/", f"{local}/down/")


@pytest.mark.parametrize(
    "verb",
    ["sync to S3", "sync from S3", "sync within S3", "delete", "move", "move to a disk", "download of a directory"],
)
async def test_no_right_to_list(verb: str, tmp_path: Path) -> None:
    """What needs a listing is refused before any damage, on both sides, and the error names the missing right."""
    local = tmp_path / "local"
    local.mkdir()
    (local / "a").write_bytes(b"new")
    (local / "mine").write_bytes(b"mine")
    async with S3Server(Quirks(denied=frozenset({"ListObjects"}))) as server:
        for key, data in _BEFORE.items():
            server.store(key, data)
        async with open_session(server, tmp_path / "home") as session:
            with pytest.raises(AccessDeniedError, match=r"this needs the right s3:ListBucket"):
                await run(verb, session, local)
        assert server.objects() == _BEFORE
        assert not _CHANGING & {request.operation for request in server.requests}
    assert {path.name: path.read_bytes() for path in local.rglob("*") if path.is_file()} == {
        "a": b"new",
        "mine": b"mine",
    }


async def test_one_object_without_the_right_to_list(tmp_path: Path) -> None:
    """An object that is named is written, read and deleted without the right to list."""
    async with (
        S3Server(Quirks(denied=frozenset({"ListObjects"}))) as server,
        open_session(server, tmp_path / "home") as session,
    ):
        storage = session.get_storage_manager()
        (tmp_path / "one").write_bytes(b"1")
        await storage.upload(tmp_path / "one", "/bucket/one")
        await storage.download("/bucket/one", f"{tmp_path}/two")
        assert (tmp_path / "two/one").read_bytes() == b"1"
        assert await storage.delete("/bucket/one") == 1
        assert server.objects() == {}


@pytest.mark.parametrize(
    ("denied", "right"),
    [
        ("ListBuckets", "s3:ListAllMyBuckets"),
        ("PutObject", "s3:PutObject"),
        ("HeadObject", "s3:GetObject"),
        ("DeleteObject", "s3:DeleteObject"),
    ],
)
async def test_other_rights(denied: str, right: str, tmp_path: Path) -> None:
    """The error of a call names the right that the call needs, also where the answer has no code."""
    async with (
        S3Server(Quirks(denied=frozenset({denied}))) as server,
        open_session(server, tmp_path / "home") as session,
    ):
        server.store("one", b"1")
        (tmp_path / "two").write_bytes(b"2")
        provider = (await session._resolver.area("AWS")).provider
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "ListBuckets": lambda: provider.list_page("", recursive=False),
            "PutObject": lambda: session.copy(tmp_path / "two", "aws:/bucket/two"),
            "HeadObject": lambda: provider.stat("bucket/one"),
            "DeleteObject": lambda: session.get_storage_manager().delete("/bucket/one"),
        }
        with pytest.raises((AccessDeniedError, TransferError), match=f"this needs the right {right}:"):
            await calls[denied]()
        assert server.objects() == {"one": b"1"}
