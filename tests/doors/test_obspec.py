"""The protocols of obspec."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

import pytest

from dxflow_async import (
    AlreadyExistsError,
    AsyncSession,
    ConfigurationError,
    Encryption,
    NotFoundError,
    ObjectOptions,
    Session,
    Settings,
    UnsupportedError,
)
from dxflow_async.doors.obspec import ObspecStore
from dxflow_async.doors.obspec_blocking import BlockingObspecStore
from dxflow_async.doors.obspec_results import NotModifiedError, PreconditionError
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server
from tests.servers import SeaweedFS
from tests.sessions import settings_for

pytestmark = pytest.mark.server

if TYPE_CHECKING:
    import obspec

    class Asynchronous(
        obspec.CopyAsync,
        obspec.DeleteAsync,
        obspec.GetAsync,
        obspec.GetRangeAsync,
        obspec.GetRangesAsync,
        obspec.HeadAsync,
        obspec.ListAsync,
        obspec.ListWithDelimiterAsync,
        obspec.PutAsync,
        obspec.RenameAsync,
        Protocol,
    ):
        """All protocols of the store: mypy checks that it has them."""

    class Blocking(
        obspec.Copy,
        obspec.Delete,
        obspec.Get,
        obspec.GetRange,
        obspec.GetRanges,
        obspec.Head,
        obspec.List,
        obspec.ListWithDelimiter,
        obspec.Put,
        obspec.Rename,
        Protocol,
    ):
        """The same for blocking callers."""


DATA = b"0123456789"


@pytest.fixture(params=["local", "aws"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Settings]:
    """A location, and settings that know it."""
    if request.param == "aws":
        weed: SeaweedFS = request.getfixturevalue("weed")
        return f"aws:/{request.getfixturevalue('bucket')}/{uuid4().hex[:8]}/top", settings_for(weed, tmp_path / "home")
    return str(tmp_path / "top"), Settings(home=tmp_path / "home")


async def use(store: Asynchronous) -> None:
    """Does what a library does that knows the protocols only."""

    async def stream() -> AsyncIterator[bytes]:
        yield DATA[:5]
        yield DATA[5:]

    put = await store.put_async("x", DATA)
    await store.put_async("streamed", stream())
    await store.put_async("copied", await store.get_async("x"))
    assert bytes(await store.get_range_async("x", start=2, length=3)) == b"234"
    ranges = await store.get_ranges_async("x", starts=[0, 8], ends=[2, 10])
    assert [bytes(each) for each in ranges] == [b"01", b"89"]
    meta = await store.head_async("x")
    assert (meta["path"], meta["size"], meta["last_modified"].year > 2000) == ("x", 10, True)
    assert meta["e_tag"] == put["e_tag"]
    for name in ("x", "streamed", "copied"):
        got = await store.get_async(name)
        assert (bytes(await got.buffer_async()), got.range, got.meta["size"]) == (DATA, (0, 10), 10)
        assert b"".join([bytes(each) async for each in got]) == DATA
    await store.delete_async(["streamed", "copied"])
    await store.copy_async("x", "d/y")
    with pytest.raises(AlreadyExistsError):
        await store.copy_async("x", "d/y", overwrite=False)
    with pytest.raises(AlreadyExistsError):
        await store.rename_async("x", "d/y", overwrite=False)
    with pytest.raises(NotFoundError):
        await store.copy_async("missing", "z")
    await store.rename_async("d/y", "d/z")
    assert [each["path"] async for page in store.list_async() for each in page] == ["d/z", "x"]
    assert [each["path"] async for page in store.list_async("d") for each in page] == ["d/z"]
    assert [each["path"] async for page in store.list_async(offset="e") for each in page] == ["x"]
    found = await store.list_with_delimiter_async()
    assert (found["common_prefixes"], [each["path"] for each in found["objects"]]) == (["d"], ["x"])


@pytest.mark.parametrize(
    ("asked", "span"),
    [
        ((2, 5), (2, 5)),
        ([8, 50], (8, 10)),
        ({"offset": 4}, (4, 10)),
        ({"suffix": 3}, (7, 10)),
        ({"suffix": 99}, (0, 10)),
    ],
)
async def test_ranges(tmp_path: Path, asked: Any, span: tuple[int, int]) -> None:
    """Each kind of range is cut to the object."""
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        store = ObspecStore(session.path(tmp_path / "top"))
        await store.put_async("x", DATA)
        got = await store.get_async("x", options={"range": asked})
        assert (got.range, await got.buffer_async()) == (span, DATA[slice(*span)])


async def test_the_protocols(where: tuple[str, Settings]) -> None:
    """A store over a path does what the protocols say, with conditions."""
    async with AsyncSession(settings=where[1]) as session:
        store = ObspecStore(session.path(where[0]))
        await use(store)
        with pytest.raises(ConfigurationError, match="give one"):
            await store.get_range_async("x", start=0)
        etag = (await store.head_async("x"))["e_tag"]
        with pytest.raises(NotModifiedError):
            await store.get_async("x", options={"if_none_match": f'"other", "{etag}"'})
        with pytest.raises(PreconditionError):
            await store.get_async("x", options={"if_match": '"other"'})
        with pytest.raises(NotModifiedError):
            await store.get_async("x", options={"if_modified_since": datetime.now(tz=UTC)})
        with pytest.raises(PreconditionError):
            await store.get_async("x", options={"if_unmodified_since": datetime(2000, 1, 1, tzinfo=UTC)})
        until = await store.get_async("x", options={"if_unmodified_since": datetime.now(tz=UTC) + timedelta(hours=1)})
        assert await until.buffer_async() == DATA
        for wrong in ((10, 12), (3, 3), (5, 2), {"offset": 10}):
            with pytest.raises(ConfigurationError, match="no byte"):
                await store.get_async("x", options={"range": wrong})  # type: ignore[arg-type]
        head = await store.get_async("x", options={"if_match": f'"{etag}"', "head": True})
        assert (await head.buffer_async(), head.meta["size"]) == (b"", 10)
        with pytest.raises(AlreadyExistsError):
            await store.put_async("x", b"lost", mode="create")
        with pytest.raises(PreconditionError):
            await store.put_async("x", b"lost", mode={"e_tag": "other"})
        await store.put_async("x", bytearray(b"replaced"), mode={"e_tag": etag})
        assert await store.get_range_async("x", start=0, end=8) == b"replaced"
        with pytest.raises(NotFoundError):
            await store.get_async("missing")


async def test_attributes(weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """Attributes come back; those that the storage does not keep are refused before anything is sent."""
    async with AsyncSession(settings=settings_for(weed, tmp_path / "home")) as session:
        store = ObspecStore(session.path(f"aws:/{bucket}/attributes"))
        given: Any = {"Content-Type": "text/csv", "Cache-Control": "max-age=60", "run": "7"}
        await store.put_async("x", b"", attributes=given)
        assert (await store.get_async("x")).attributes == given
        local = ObspecStore(session.path(tmp_path / "top"))
        with pytest.raises(UnsupportedError):
            await local.put_async("x", b"", attributes={"Cache-Control": "max-age=60"})
        assert not (tmp_path / "top/x").exists()


async def test_what_obspec_has_no_names_for(tmp_path: Path) -> None:
    """A storage class is stored by each method that writes; attributes in any letter case, and tags, win per call."""
    base = ObjectOptions("text/x", {"run": "7"}, storage_class="STANDARD_IA", cache_control="no-store")
    async with S3Server() as server, open_session(server, tmp_path / "home") as session:
        store = ObspecStore(session.path("aws:/bucket/top"), object_options=base)
        await store.put_async("plain", DATA)
        await store.put_async("given", DATA, attributes={"content-type": "text/y", "own": "1"}, tags={"a": "b"})
        await session.copy("aws:/bucket/top/plain", "aws:/bucket/top/other", options=ObjectOptions("text/z"))
        await store.copy_async("other", "copied")
        await store.rename_async("other", "renamed")
        found = {name: server.stored(f"top/{name}") for name in ("plain", "given", "copied", "renamed")}
        assert {each.headers["x-amz-storage-class"] for each in found.values()} == {"STANDARD_IA"}
        assert {each.headers["cache-control"] for each in found.values()} == {"no-store"}
        kinds = {name: each.headers["content-type"] for name, each in found.items()}
        assert kinds == {"plain": "text/x", "given": "text/y", "copied": "text/x", "renamed": "text/x"}
        assert (found["given"].metadata["own"], found["given"].tags) == ("1", "a=b")
        assert (found["plain"].metadata["run"], found["plain"].tags) == ("7", "")


def test_the_blocking_protocols(where: tuple[str, Settings], tmp_path: Path) -> None:
    """The blocking store is its twin's, and takes each kind of data."""
    (tmp_path / "file").write_bytes(DATA)

    def pieces() -> Iterator[bytes]:
        yield DATA

    with Session(settings=where[1]) as session, open(tmp_path / "file", "rb") as file:
        store: Blocking = BlockingObspecStore(session.path(where[0]))
        for data in (DATA, bytearray(DATA), memoryview(DATA), io.BytesIO(DATA), file, tmp_path / "file", pieces()):
            store.put("x", data)
            assert bytes(store.get("x").buffer()) == DATA
        assert b"".join(bytes(each) for each in store.get("x", options={"range": (1, 9)})) == DATA[1:9]
        assert bytes(store.get_range("x", start=2, length=3)) == b"234"
        assert [bytes(each) for each in store.get_ranges("x", starts=[0, 8], lengths=[1, 1])] == [b"0", b"8"]
        store.copy("x", "d/y")
        with pytest.raises(AlreadyExistsError):
            store.copy("x", "d/y", overwrite=False)
        store.rename("d/y", "d/z")
        assert [each["path"] for page in store.list() for each in page] == ["d/z", "x"]
        assert store.list_with_delimiter()["common_prefixes"] == ["d"]
        assert store.head("x")["size"] == 10
        store.delete(["x", "d/z"])
        with pytest.raises(NotFoundError):
            store.head("x")
        store = BlockingObspecStore(
            session.path(where[0]), object_options=ObjectOptions(encryption=Encryption.scope("s"))
        )
        with pytest.raises(UnsupportedError, match="encryption"):
            store.put("x", DATA)
