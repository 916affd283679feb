"""Uploads that are interrupted at every request, at engines whose behaviour is the most likely to lose something."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from dxflow_async.exceptions import DxflowError
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.providers.engine.provider import EngineProvider
from dxflow_async.testing import body
from tests.providers.engine.connected_engine import connected_engine
from tests.servers.engine import EngineServer
from tests.servers.engine_switches import NASTY, Switches

OLD, NEW = b"old" * 100, b"newer" * 1000
OPTIONS = ObjectOptions()

Interrupt = Callable[[EngineServer, asyncio.Task[Any], int], None]
"""Arranges that a request, by its number, is interrupted."""


def lose_request(server: EngineServer, _: asyncio.Task[Any], number: int) -> None:
    """The connection breaks before the request is done."""
    server.before = lambda count: count == number


def lose_answer(server: EngineServer, _: asyncio.Task[Any], number: int) -> None:
    """The request is done, and its answer lost."""
    server.after = lambda count: count == number


def cancel(server: EngineServer, writing: asyncio.Task[Any], number: int) -> None:
    """The caller's task is cancelled."""

    def stop(count: int) -> bool:
        if count == number:
            writing.cancel()
        return False

    server.before = stop


def die(server: EngineServer, _: asyncio.Task[Any], number: int) -> None:
    """Nothing is sent after this request, as by a process that is killed."""
    server.before = lambda count: count > number


INTERRUPTS = [lose_request, lose_answer, cancel, die]


@contextmanager
def quiet(server: EngineServer) -> Iterator[None]:
    """Ends the interruptions at last."""
    try:
        yield
    finally:
        server.before = server.after = None


def versions(server: EngineServer) -> list[bytes]:
    """Returns the content of each file in the volume, whatever its name."""
    return [path.read_bytes() for path in server.root.rglob("*") if path.is_file()]


async def interrupted_write(server: EngineServer, provider: EngineProvider, interrupt: Interrupt, after: int) -> bool:
    """Overwrites `dir/name`, interrupted some requests later; returns whether that many were made."""
    writing = asyncio.ensure_future(provider.write("dir/name", body(NEW), OPTIONS))
    number = len(server.requests) + after
    interrupt(server, writing, number)
    with quiet(server), suppress(DxflowError, asyncio.CancelledError):
        await writing
    return len(server.requests) > number


@pytest.mark.parametrize("step", [6, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("interrupt", INTERRUPTS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("nasty", NASTY)
async def test_every_moment_has_a_whole_version(nasty: str, interrupt: Interrupt, step: int, tmp_path: Path) -> None:
    """Whenever an upload is interrupted, the old file or the new one is whole, and the next upload succeeds."""
    switches = Switches(**NASTY[nasty])
    switches.token_seconds = 3600.0  # a sign-in in between would move the moment
    async with connected_engine(tmp_path, switches) as (server, provider):
        with suppress(DxflowError):  # the first one learns which temporary names the engine keeps
            await provider.write("dir/name", body(OLD), OPTIONS)
        await provider.write("dir/name", body(OLD), OPTIONS)
        await provider.write("dir/name", body(OLD), OPTIONS)
        after, reached = 1 + list(NASTY).index(nasty) % step, True
        while reached and after < 60:
            reached = await interrupted_write(server, provider, interrupt, after)
            found = versions(server)
            assert OLD in found or NEW in found, (after, server.requests[-after - 5 :])
            path = server.root / "dir" / "name"
            assert not path.exists() or path.read_bytes() in (OLD, NEW)
            await provider.write("dir/name", body(OLD), OPTIONS)
            assert path.read_bytes() == OLD
            after += step
        assert 3 < after < 60


@pytest.mark.parametrize("kind", ["new", "replacing", "directory"])
async def test_a_rename_whose_answer_is_lost(kind: str, tmp_path: Path) -> None:
    """It is looked up, and counts as done if it was."""
    async with connected_engine(tmp_path) as (server, provider):
        (server.root / "from").mkdir() if kind == "directory" else (server.root / "from").write_bytes(NEW)
        if kind == "replacing":
            (server.root / "name").write_bytes(OLD)
        lost: list[int] = []

        def lose(number: int) -> bool:
            if server.requests[number - 1].endswith("rename/") and not lost:
                lost.append(number)
                return True
            return False

        server.after = lose
        await provider.rename("from", "name")
        assert len(lost) == 1
        assert [path.name for path in server.root.iterdir()] == ["name"]


async def test_a_rename_that_copies_half(tmp_path: Path) -> None:
    """Where the engine copies a file to rename it and fails, the uploaded file stays beside the half one."""
    switches = Switches(rename_how="copied")
    async with connected_engine(tmp_path, switches) as (server, provider):
        await provider.write("name", body(OLD), OPTIONS)
        server.breaks_copies = True
        with pytest.raises(DxflowError):
            await provider.write("name", body(NEW), OPTIONS)
        assert OLD in versions(server) or NEW in versions(server)
        server.breaks_copies = False
        await provider.write("name", body(NEW), OPTIONS)
        assert (server.root / "name").read_bytes() == NEW


@pytest.mark.parametrize("empty", ["wiped", "refused"])
@pytest.mark.parametrize("identity", ["query", "body"])
async def test_a_deletion_never_takes_the_volume(identity: str, empty: str, tmp_path: Path) -> None:
    """Whether the engine reads the name from the query or the body, only that name is deleted."""
    async with connected_engine(tmp_path, Switches(delete_identity=identity, delete_volume=empty)) as (
        server,
        provider,
    ):
        await provider.write("kept", body(b"x"), OPTIONS)
        await provider.write("dir/name", body(b"x"), OPTIONS)
        assert await provider.delete(["dir/name", "dir/"]) == {}
        assert [path.name for path in server.root.iterdir()] == ["kept"]


@pytest.mark.parametrize("pattern", ["name", "path", "case_blind", "ignored"])
async def test_a_name_that_a_pattern_misses_is_found(pattern: str, tmp_path: Path) -> None:
    """However the engine reads patterns, a file that exists is never taken for missing."""
    async with connected_engine(tmp_path, Switches(pattern=pattern)) as (server, provider):
        (server.root / "dir" / "sub").mkdir(parents=True)
        (server.root / "dir" / "one").write_bytes(b"x")
        for key in ("dir/none", "dir/sub", "dir/none", "none", "dir/one", "dir/no"):
            with suppress(DxflowError):
                await provider.stat(key)
        assert (await provider.stat("dir/one")).size == 1
        assert (await provider.stat("dir/sub")).directory


async def test_files_of_another_owner(tmp_path: Path) -> None:
    """What the engine may not change stays as it is, and the errors say so; nothing of ours is left there."""
    for code in (403, 500, 401):
        switches = Switches(ownership="some_of_root", error_code_denied=code)
        async with connected_engine(tmp_path / str(code), switches) as (server, provider):
            theirs = server.root / "theirs"
            theirs.mkdir()
            (theirs / "name").write_bytes(OLD)
            for _ in range(2):
                with pytest.raises(DxflowError):
                    await provider.write("theirs/name", body(NEW), OPTIONS)
            with pytest.raises(DxflowError):
                await provider.rename("theirs/name", "mine")
            assert list(await provider.delete(["theirs/name"])) == ["theirs/name"]
            assert list(await provider.delete(["theirs/"])) == ["theirs/"]
            assert [path.name for path in theirs.iterdir()] == ["name"]
            assert (theirs / "name").read_bytes() == OLD


async def test_names_in_another_unicode_form(tmp_path: Path) -> None:
    """An engine that lists names decomposed gets an error, and keeps a whole version of the file."""
    async with connected_engine(tmp_path, Switches(unicode_form="decomposed")) as (server, provider):
        for data in (OLD, NEW):
            with pytest.raises(DxflowError):
                await provider.write("f\u00fc", body(data), OPTIONS)
            found = versions(server)
            assert not found or OLD in found or NEW in found
        await provider.write("plain", body(NEW), OPTIONS)


async def test_a_total_that_is_too_large(tmp_path: Path) -> None:
    """A listing with fewer names than it announces is an error, and nothing is deleted on its account."""
    async with connected_engine(tmp_path) as (server, provider):
        await provider.write("dir/name", body(OLD), OPTIONS)
        server.switches.list_total_wrong = True
        with pytest.raises(DxflowError):
            await provider.list_page("dir/", recursive=True)
        assert "dir/" in await provider.delete(["dir/"])
        assert (server.root / "dir" / "name").read_bytes() == OLD
