"""The verbs on locations, of both sessions: at a remote, a unit, and local paths."""

from __future__ import annotations

import contextlib
import io
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession, ConfigurationError, NotFoundError, Session, Settings

DATA = bytes(range(256)) * 9000
"""More than two of the chunks that `write` cuts."""


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session with an account; local directories stand in for the clouds."""
    async with AsyncSession("you@example.com", "password", settings=Settings(home=tmp_path / "home")) as found:
        yield found


async def _chunks() -> AsyncIterator[bytes]:
    yield DATA[:100]
    yield DATA[100:]


@pytest.mark.parametrize("place", ["aws:/bucket/dir/", "unit:/Demo/dir/", "{directory}/"])
async def test_every_verb_at_every_kind_of_place(session: AsyncSession, tmp_path: Path, place: str) -> None:
    """What is written is listed, looked up, found by a pattern, read whole and in part, and deleted."""
    top = place.format(directory=tmp_path / "local")
    given: dict[str, Any] = {"bytes": DATA, "view": memoryview(DATA), "file": io.BytesIO(DATA), "async": _chunks()}
    given |= {"iterable": (DATA[start : start + 1000] for start in range(0, len(DATA), 1000))}
    for name, data in given.items():
        assert (await session.write(f"{top}{name}", data)).bytes == len(DATA)
        assert await session.read_bytes(f"{top}{name}") == DATA, name
    assert [item.name for item in await session.list(top)] == sorted(given)
    assert [item.name async for item in session.scan(top)] == sorted(given)
    assert [item.name for item in await session.list(f"{top}*i*e*")] == ["file", "iterable", "view"]
    assert (await session.stat(f"{top}file")).size == len(DATA)
    assert await session.exists(f"{top}file")
    assert b"".join([chunk async for chunk in session.read(f"{top}file", 5, 2_000_000)]) == DATA[5:2_000_000]
    assert await session.delete([f"{top}file", f"{top}view"]) == 2
    assert not await session.exists(f"{top}file")
    with pytest.raises(NotFoundError, match="nothing matches"):
        await session.list(f"{top}none*")


@pytest.mark.parametrize("data", ["text", ["text"], 5])
async def test_only_bytes_are_written(session: AsyncSession, data: Iterable[bytes]) -> None:
    """Text is refused with advice, and nothing is stored."""
    with pytest.raises(ConfigurationError, match="encode text"):
        await session.write("aws:/bucket/name", data)
    assert not await session.exists("aws:/bucket/name")


async def test_places_are_deleted_from_several_remotes(session: AsyncSession) -> None:
    """One call deletes at each of them."""
    places = ["aws:/bucket/a", "gcp:/bucket/b", "aws:/bucket/c", "unit:/Demo/d"]
    for place in places:
        await session.write(place, b"1")
    assert await session.delete(places) == 4
    assert not any([await session.exists(place) for place in places])


async def test_hidden_names_match_at_remotes_only(session: AsyncSession, tmp_path: Path) -> None:
    """Wildcards leave out a leading dot on this machine's disks, as a shell does; object stores have none."""
    for top in ("aws:/bucket/", f"{tmp_path}/shown/"):
        for name in (".hidden", "shown", ".dir/x"):
            await session.write(f"{top}{name}", b"1")
    assert [item.name for item in await session.list("aws:/bucket/**/*")] == ["x", ".hidden", "shown"]
    assert [item.name for item in await session.list("aws:/bucket/*")] == [".dir", ".hidden", "shown"]
    assert [item.name for item in await session.list(f"{tmp_path}/shown/*")] == ["shown"]
    assert [item.name for item in await session.list(f"{tmp_path}/shown/**/*")] == ["shown"]
    assert [item.name for item in await session.list(f"{tmp_path}/shown/.h*")] == [".hidden"]


def test_the_blocking_twin(tmp_path: Path) -> None:
    """It has the same verbs, without `await`."""
    with Session("you@example.com", "password", settings=Settings(home=tmp_path / "home")) as session:
        session.write("aws:/bucket/dir/one", DATA)
        session.write("aws:/bucket/dir/two", io.BytesIO(b"2"))
        assert session.read_bytes("aws:/bucket/dir/one") == b"".join(session.read("aws:/bucket/dir/one")) == DATA
        assert [item.name for item in session.scan("aws:/bucket/dir/")] == ["one", "two"]
        assert [item.name for item in session.list("aws:/bucket/dir/t*")] == ["two"]
        session.copy(["aws:/bucket/dir/one", "aws:/bucket/dir/two"], f"{tmp_path}/copy/")
        assert session.check(f"{tmp_path}/copy", "aws:/bucket/dir").ok
        assert session.delete("aws:/bucket/dir/one") == 1
        assert not session.check(f"{tmp_path}/copy", "aws:/bucket/dir").ok


async def test_uploads_and_downloads_know_which_side_is_local(session: AsyncSession, tmp_path: Path) -> None:
    """A local name that reads like a remote is a file; slashes at the end mean what they do for copies."""
    tree = tmp_path / "aws:"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "a.txt").write_bytes(b"hello")
    with contextlib.chdir(tmp_path):
        assert len(await session.upload("aws:/", "aws:/bucket/up/")) == 1
        assert await session.read_bytes("aws:/bucket/up/sub/a.txt") == b"hello"
        await session.upload(["aws:/sub/a.txt", Path("aws:/sub")], "aws:/bucket/several/", larger="1B")
        assert [item.name for item in await session.list("aws:/bucket/several/")] == ["a.txt", "sub"]
        await session.download("aws:/bucket/up/sub/", "gcp:/")
        assert await session.read_bytes(tmp_path / "gcp:" / "a.txt") == b"hello"
        await session.download("aws:/bucket/up/sub/a.txt")
        assert await session.read_bytes(tmp_path / "a.txt") == b"hello"


async def test_files_are_opened_by_their_location(session: AsyncSession, tmp_path: Path) -> None:
    """To write and to read, as bytes and as text, at a remote and on this machine."""
    for place in ("aws:/bucket/opened", str(tmp_path / "opened")):
        async with session.open(place, "w") as file:
            await file.write("grün")
        async with session.open(place, "r") as text:
            assert await text.read() == "grün"
        async with session.open(place) as data:
            assert await data.read() == "grün".encode()


def test_files_are_opened_by_their_location_in_blocking_sessions(tmp_path: Path) -> None:
    """The same, as files of io."""
    with Session("you@example.com", "password", settings=Settings(home=tmp_path / "home")) as session:
        with session.open("aws:/bucket/opened", "w") as file:
            file.write("grün")
        with session.open("aws:/bucket/opened", "r") as text:
            assert text.read() == "grün"
        (tmp_path / "a").write_bytes(b"hello")
        assert session.upload(tmp_path / "a", "aws:/bucket/").bytes == 5
        assert session.download("aws:/bucket/a", tmp_path / "b").bytes == 5


async def test_a_location_instead_of_a_path_says_what_to_write(session: AsyncSession) -> None:
    """The calls of one remote take paths: nothing is looked up or stored under a name that is a location."""
    storage = session.get_storage_manager()
    with pytest.raises(ConfigurationError, match="path='/x' and provider='AWS'"):
        await storage.stat("aws:/x")
    for call in (storage.write("s3://x/y", _chunks()), storage.delete("gcp:/x"), storage.exists("unit:/Demo/x")):
        with pytest.raises(ConfigurationError, match="it is a location"):
            await call
    with pytest.raises(ConfigurationError, match="write path='/data/'"):
        await storage.list("/data/")
    with pytest.raises(ConfigurationError, match="provider='aws' and path='/x/'"):
        await storage.list("aws:/x/")
    with pytest.raises(ConfigurationError, match="did you mean AZURE"):
        await storage.list("azrue")
    await storage.write("/bucket/aws:/x", _chunks())
    assert (await storage.stat("bucket/aws:/x")).size == len(DATA)
