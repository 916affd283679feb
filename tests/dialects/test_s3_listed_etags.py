"""Services whose listings tell other ETags than HEAD and GET: what a listing said is used with every verb."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, PreconditionFailedError, TransferError
from dxflow_async.providers.contract import Entry, ObjectOptions
from dxflow_async.transfer.items import server_copy
from tests.dialects.s3_exchange import Answer, Ask
from tests.dialects.s3_operations import Operation
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import PART_SIZE
from tests.sessions import MiB

LARGE = bytes(range(251)) * 14_000
"""More than one request copies."""
QUIRKS = Quirks(other_listed_etags=True)


@pytest.fixture
async def server() -> AsyncIterator[S3Server]:
    """A server with a small object and a large one."""
    async with S3Server(QUIRKS, min_part_size=PART_SIZE) as server:
        server.store("top/small", b"a" * 100, metadata={"a": "1"})
        server.store("top/large", LARGE, metadata={"a": "1"})
        yield server


@pytest.fixture
async def session(server: S3Server, tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session at it."""
    async with open_session(server, tmp_path / "home") as session:
        yield session


async def _body(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _listed(session: AsyncSession, key: str) -> Entry:
    provider = (await session._resolver.area("AWS")).provider
    return (await provider.list_page(f"bucket/{key}", recursive=True)).entries[0]


@pytest.mark.parametrize("verb", ["copy", "move", "sync"])
async def test_copies_in_parts(
    server: S3Server, session: AsyncSession, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects that are copied in parts are copied, moved and synced with their metadata, all parts of one version."""
    monkeypatch.setattr(server_copy, "_COPY_PART_SIZE", 2 * MiB)
    before, etag = server.objects(), server.stored("top/large").etag
    await getattr(session, verb)("aws:/bucket/top/", "aws:/bucket/copy/")
    copied = {name: server.objects()[f"copy/{name}"] for name in ("small", "large")}
    assert copied == {name: before[f"top/{name}"] for name in copied}
    assert server.metadata("copy/large")["a"] == "1"
    parts = [request for request in server.requests if request.operation == "UploadPartCopy"]
    assert [(part.headers["x-amz-copy-source-if-match"], part.status) for part in parts] == [(f'"{etag}"', 200)] * 2
    assert server.unfinished() == []
    assert any(key.startswith("top/") for key in server.objects()) is (verb != "move")


@pytest.mark.parametrize("name", ["small", "large"])
async def test_a_source_that_is_replaced_meanwhile(server: S3Server, session: AsyncSession, name: str) -> None:
    """An object that is replaced after it was listed, by one of the same size, is not copied under its old name."""
    answer, old = server._answer, server.stored(f"top/{name}").data

    def replaced_first(operation: Operation, ask: Ask) -> Answer:
        about = ask.headers.get("x-amz-copy-source", ask.key).endswith(f"top/{name}")
        if about and operation.name in ("HeadObject", "CopyObject") and server.objects()[f"top/{name}"] == old:
            server.store(f"top/{name}", old[1:] + b"?")
        return answer(operation, ask)

    server._answer = replaced_first  # type: ignore[method-assign]
    with pytest.raises(TransferError) as caught:
        await session.copy("aws:/bucket/top/", "aws:/bucket/copy/")
    (failed,) = caught.value.report.failed
    assert failed.source.endswith(name)
    assert f"copy/{name}" not in server.objects()
    assert server.unfinished() == []


async def test_later_copies_look_first(server: S3Server, session: AsyncSession) -> None:
    """After the first refusal of a listed ETag, sources are looked up first; the facts say so."""
    for number in range(5):
        server.store(f"more/{number}", b"%d" % number)
    await session.copy("aws:/bucket/top/small", "aws:/bucket/first/")
    await session.copy("aws:/bucket/top/", "aws:/bucket/second/")
    since = len(server.requests)
    await session.copy("aws:/bucket/more/", "aws:/bucket/third/")
    assert [request.status for request in server.refused(since) if request.operation == "CopyObject"] == []
    facts = dict(await session.get_storage_manager().endpoint_facts())
    assert "others in listings" in facts["ETags in listings that HEAD tells, too"]


async def test_reads(server: S3Server, session: AsyncSession) -> None:
    """The version that a listing named is read, whole and by range; another one is an error."""
    provider = (await session._resolver.area("AWS")).provider
    listed = await _listed(session, "top/large")
    for span, data in (((0, None), LARGE), ((10, 2 * MiB), LARGE[10 : 2 * MiB])):
        async with await provider.read(listed.key, *span, etag=listed.etag, listed=listed) as reading:
            assert b"".join([bytes(chunk) async for chunk in reading]) == data
    server.store("top/large", LARGE[::-1])
    with pytest.raises(PreconditionFailedError):
        await provider.read(listed.key, 0, 10, etag=listed.etag)


@pytest.mark.parametrize("conditions", ["obeyed", "ignored", "refused"])
async def test_conditions(tmp_path: Path, conditions: str) -> None:
    """An object is replaced or deleted on the condition of the ETag that a listing told; another version stays."""
    quirks = replace(QUIRKS, conditions=conditions)  # type: ignore[arg-type]
    async with S3Server(quirks, min_part_size=PART_SIZE) as server, open_session(server, tmp_path / "home") as session:
        storage = session.get_storage_manager().at("aws")
        for size in (10, 10, 5 * MiB):  # the second time the service is known to obey
            server.store("name", os.urandom(size))
            etag = (await storage.list("/bucket/"))[0].etag
            await storage.write("/bucket/name", _body(b"new"), if_match=etag)
            assert server.objects() == {"name": b"new"}
            with pytest.raises(PreconditionFailedError):
                await storage.write("/bucket/name", _body(b"newer"), if_match=etag)
            with pytest.raises(PreconditionFailedError):
                await storage.delete("/bucket/name", if_match=etag)
            assert server.objects() == {"name": b"new"}
        large = os.urandom(5 * MiB)
        (tmp_path / "large").write_bytes(large)
        etag = (await storage.list("/bucket/"))[0].etag
        await storage.upload(tmp_path / "large", "/bucket/name", if_match=etag)
        assert server.objects() == {"name": large}
        await storage.delete("/bucket/name", if_match=(await storage.list("/bucket/"))[0].etag)
        assert server.objects() == {}


async def test_sync_by_checksum(server: S3Server, session: AsyncSession, tmp_path: Path) -> None:
    """A sync that compares bytes reads the listed version of each object, and finds a change of the same size."""
    await session.copy("aws:/bucket/top/", f"{tmp_path}/down/")
    assert len(await session.sync("aws:/bucket/top/", f"{tmp_path}/down/", compare="checksum")) == 0
    server.store("top/small", b"b" * 100)
    assert len(await session.sync("aws:/bucket/top/", f"{tmp_path}/down/", compare="checksum")) == 1
    assert (tmp_path / "down/small").read_bytes() == b"b" * 100


@pytest.mark.usefixtures("server")
async def test_another_version_is_told_apart(session: AsyncSession) -> None:
    """An ETag is that of an object only if a listing has it, with the size and the time that HEAD tells."""
    provider = (await session._resolver.area("AWS")).provider
    listed, seen = await _listed(session, "top/small"), await provider.stat("bucket/top/small")
    assert listed.etag is not None
    assert listed.etag != seen.etag
    assert await provider.same_version(listed.etag, seen)
    assert not await provider.same_version("0" * 32, seen)
    assert not await provider.same_version(listed.etag, replace(seen, size=99))
    assert not await provider.same_version(listed.etag, replace(seen, modified=seen.modified - 2))
    with pytest.raises(PreconditionFailedError):
        await provider.copy(replace(listed, etag="0" * 32), "bucket/copy", ObjectOptions())
