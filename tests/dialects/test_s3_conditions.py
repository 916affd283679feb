"""Writes on a condition at S3 servers that obey it, ignore it, refuse it, or lose the answer."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async import AlreadyExistsError, AsyncSession, PreconditionFailedError, TransferError
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import PART_SIZE
from tests.sessions import MiB

_BEHAVIOURS = ["obeyed", "ignored", "refused"]
_FACTS = {"obeyed": "yes (as it answered)", "ignored": "no (ignored; ", "refused": "no (501 NotImplemented; "}


async def _stream(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), MiB):
        yield data[start : start + MiB]


async def _fact(session: AsyncSession, name: str) -> str:
    return dict(await session.get_storage_manager().endpoint_facts()).get(name, "")


@pytest.mark.parametrize("conditions", _BEHAVIOURS)
async def test_existing_objects_stay(tmp_path: Path, conditions: str) -> None:
    """An object that is there stays, whatever the server does with the condition, and what it does is learned."""
    async with (
        S3Server(Quirks(conditions=conditions), min_part_size=PART_SIZE) as server,  # type: ignore[arg-type]
        open_session(server, tmp_path / "home") as session,
    ):
        storage = session.get_storage_manager().at("aws")
        await storage.write("/bucket/first", _stream(b"first"), overwrite=False)
        assert (await _fact(session, "If-None-Match of writes")).startswith(_FACTS[conditions])
        large = os.urandom(3 * MiB)
        await storage.write("/bucket/large", _stream(large), overwrite=False)
        for name, data in (("first", b"second"), ("large", large)):
            with pytest.raises(AlreadyExistsError, match="there is an object of that name"):
                await storage.write(f"/bucket/{name}", _stream(data), overwrite=False)
        (tmp_path / "file").write_bytes(b"x" * 5 * MiB)
        for source, target in ((str(tmp_path / "file"), "large"), ("aws:/bucket/large", "first")):
            with pytest.raises(TransferError) as raised:
                await session.copy(source, f"aws:/bucket/{target}", overwrite=False)
            assert isinstance(raised.value.report[0].error, AlreadyExistsError)
        assert server.objects() == {"first": b"first", "large": large}
        assert server.unfinished() == []


@pytest.mark.parametrize("conditions", _BEHAVIOURS)
async def test_etags(tmp_path: Path, conditions: str) -> None:
    """An object of another etag stays, whatever the server does with the condition."""
    async with (
        S3Server(Quirks(conditions=conditions), min_part_size=PART_SIZE) as server,  # type: ignore[arg-type]
        open_session(server, tmp_path / "home") as session,
    ):
        storage = session.get_storage_manager().at("aws")
        await storage.write("/bucket/name", _stream(b"one"))
        etag = (await storage.stat("/bucket/name")).etag
        await storage.write("/bucket/name", _stream(b"two"), if_match=etag)
        for data in (b"three", os.urandom(3 * MiB)):
            with pytest.raises(PreconditionFailedError):
                await storage.write("/bucket/name", _stream(data), if_match=etag)
        with pytest.raises(PreconditionFailedError):
            await storage.delete("/bucket/name", if_match=etag)
        assert server.objects() == {"name": b"two"}
        await storage.delete("/bucket/name", if_match=(await storage.stat("/bucket/name")).etag)
        with pytest.raises(PreconditionFailedError):
            await storage.write("/bucket/name", _stream(b"four"), if_match=etag)
        assert server.objects() == {}
        assert server.unfinished() == []


@pytest.mark.parametrize("size", [10, 5 * MiB], ids=["whole", "in parts"])
async def test_lost_answers(tmp_path: Path, size: int) -> None:
    """A repeated write whose first answer was lost finds its own object, and is no error."""
    async with (
        S3Server(Quirks(loses_answers=True), min_part_size=PART_SIZE) as server,
        open_session(server, tmp_path / "home") as session,
    ):
        storage, data = session.get_storage_manager().at("aws"), os.urandom(size)
        (tmp_path / "file").write_bytes(data)
        await storage.write("/bucket/streamed", _stream(data), overwrite=False)
        await storage.upload(tmp_path / "file", "/bucket/uploaded", overwrite=False)
        await session.copy("aws:/bucket/uploaded", "aws:/bucket/copied", overwrite=False)
        assert server.objects() == dict.fromkeys(("streamed", "uploaded", "copied"), data)
        etag = (await storage.stat("/bucket/streamed")).etag
        await storage.upload(tmp_path / "file", "/bucket/streamed", if_match=etag)
        assert server.unfinished() == []


async def test_somebody_else_was_first(tmp_path: Path) -> None:
    """A lost answer does not make another object one's own: other bytes of the same size are an error."""
    async with (
        S3Server(Quirks(loses_answers=True), min_part_size=PART_SIZE) as server,
        open_session(server, tmp_path / "home") as session,
    ):
        storage = session.get_storage_manager().at("aws")
        await storage.write("/bucket/warm", _stream(b"1"), overwrite=False)
        answer = server._service.loses

        def other_first(operation: str, ask: object) -> bool:
            lost = answer(operation, ask)  # type: ignore[arg-type]
            if lost:
                server.store("name", b"theirs")
            return lost

        server._service.loses = other_first  # type: ignore[method-assign]
        with pytest.raises(AlreadyExistsError):
            await storage.write("/bucket/name", _stream(b"mine!!"), overwrite=False)
        assert server.objects()["name"] == b"theirs"
