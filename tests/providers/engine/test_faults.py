"""Engines that fail, and proxies that answer in their place: errors are clear, and nothing is lost."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.exceptions import (
    AccessDeniedError,
    DxflowError,
    NetworkError,
    NotFoundError,
    SourceChangedError,
    StorageError,
    TransferError,
)
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.providers.engine.settings import EngineSettings
from dxflow_async.testing import body
from tests.providers.engine.connected_engine import connected_engine, temporary_files
from tests.servers.engine import EngineServer
from tests.servers.engine_switches import FAULT_VALUES, Switches
from tests.servers.engine_versions import KeptVersions

OPTIONS = ObjectOptions()
OLD, NEW = b"old" * 50, b"newer" * 100
ERRORS = (StorageError, TransferError)


@asynccontextmanager
async def lab(
    folder: Path, switches: Switches | None = None, **settings: Any
) -> AsyncIterator[tuple[EngineServer, AsyncSession]]:
    """Serves an engine, which a session knows as the remote `lab`."""
    async with EngineServer(folder / "volume", switches).serve() as server:
        remote = EngineSettings(address=server.url, key=server.write_key(folder / "key.pem"))
        own = {"ca_bundle": server.authority, "journal": False, "durable": False, **settings}
        async with AsyncSession(settings=Settings(home=folder / "home", remotes={"lab": remote}, **own)) as session:
            yield server, session


def local_file(folder: Path, data: bytes) -> Path:
    """Writes the file that is uploaded."""
    path = folder / "local.bin"
    path.write_bytes(data)
    return path


# Any fault


DAILY = {"stream_end=late_500", "login_page=rename", "token_revoked=in_upload", "upload_stores_half=True"}


@pytest.mark.parametrize(
    ("switch", "value"),
    [
        pytest.param(*each, id=name, marks=() if name in DAILY else pytest.mark.long)
        for each in FAULT_VALUES
        if (name := f"{each[0]}={each[1]}")
    ],
)
async def test_no_fault_loses_a_version(switch: str, value: Any, tmp_path: Path) -> None:
    """Under each fault, every call ends right or with an error of ours, and no version of a file is ever gone."""
    async with lab(tmp_path, max_attempts=2, stall_timeout=0.5) as (server, session):
        kept = KeptVersions(server)
        path = local_file(tmp_path, OLD)
        await session.copy(path, "lab:/dir/name")
        await session.copy(path, "lab:/dir/other")
        setattr(server.switches, switch, value)
        if switch in ("rate_limited", "overload", "upload_limit_how"):
            partner = {"rate_limited": ("rate_limit", "429"), "overload": ("at_once", 2)}
            setattr(server.switches, *partner.get(switch, ("upload_limit", 100)))
        if switch != "download_changes":  # then the engine's own volume changes
            kept.expect("dir/name", OLD, NEW)
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: session.copy(local_file(tmp_path, NEW), "lab:/dir/name"),
            lambda: session.copy("lab:/dir/name", f"{tmp_path}/back"),
            lambda: session.move("lab:/dir/name", "lab:/moved/name"),
            lambda: session.move("lab:/dir/name", f"{tmp_path}/away"),
            lambda: session.copy("lab:/dir/", f"{tmp_path}/tree/"),
        ]
        for call in calls:
            if (tmp_path / "away").exists():
                break
            with suppress(*ERRORS):
                await call()
                assert (tmp_path / "away").exists() or not kept.lost
            if (tmp_path / "away").exists():
                kept.forget()
        assert kept.lost == []
        for back in (tmp_path / "back", tmp_path / "away"):
            assert not back.exists() or back.read_bytes().startswith((OLD[:-9], NEW[:-9]))
        server.switches = Switches()
        with suppress(NotFoundError):
            await session.copy("lab:/dir/other", f"{tmp_path}/still")
            assert (tmp_path / "still").read_bytes()[:100] == OLD[:100]


# Answers of a proxy


VERBS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "list": lambda provider: provider.list_page("dir/", recursive=True),
    "download": lambda provider: provider.read("dir/name"),
    "upload": lambda provider: provider.write("dir/name", body(NEW), OPTIONS),
    "rename": lambda provider: provider.rename("dir/name", "dir/moved"),
    "delete": lambda provider: provider.delete_one("dir/name"),
    "create": lambda provider: provider.make_directory("dir/new/"),
}


@pytest.mark.parametrize("verb", VERBS)
async def test_a_sign_in_page_is_no_answer(verb: str, tmp_path: Path) -> None:
    """A web page with status 200 is an error of each call, which says so, and changes nothing."""
    async with connected_engine(tmp_path) as (server, provider):
        await provider.write("dir/name", body(OLD), OPTIONS)
        server.switches.login_page = verb
        with pytest.raises(StorageError, match="a sign-in page, a proxy or another server"):
            await VERBS[verb](provider)
        assert [path.name for path in (server.root / "dir").iterdir()] == ["name"]
        assert (server.root / "dir" / "name").read_bytes() == OLD


async def test_a_page_of_the_size_of_the_file(tmp_path: Path) -> None:
    """A page is not taken for a file of its size: an engine names its files, and a web page is no table."""
    async with connected_engine(tmp_path) as (server, provider):
        page = b"<!DOCTYPE html><html><body><h1>Please sign in</h1></body></html>"
        for name in ("table.csv", "page.html"):
            (server.root / name).write_bytes(page)
        async with await provider.read("page.html") as reading:
            assert b"".join([bytes(chunk) async for chunk in reading]) == page
        server.switches.login_page = "download"
        for name in ("table.csv", "page.html"):
            with pytest.raises(StorageError, match="a page in the place of the file"):
                await provider.read(name)
    async with connected_engine(tmp_path / "other", Switches(download_headers="none")) as (server, provider):
        (server.root / "page.html").write_bytes(page)
        async with await provider.read("page.html") as reading:
            assert b"".join([bytes(chunk) async for chunk in reading]) == page


async def test_a_sign_in_page_in_the_place_of_the_sign_in(tmp_path: Path) -> None:
    """The connection fails, and the error says why."""
    with pytest.raises(StorageError, match="a sign-in page"):
        async with connected_engine(tmp_path, Switches(login_page="sign_in")):
            pass


@pytest.mark.parametrize("page", ["list", "download", "upload", "rename", "delete", "create"])
@pytest.mark.parametrize("direction", ["up", "down", "within"])
async def test_a_move_keeps_its_source_on_such_an_answer(page: str, direction: str, tmp_path: Path) -> None:
    """A move deletes nothing before the copy is proved, whichever of its requests a proxy answers."""
    async with lab(tmp_path, max_attempts=2) as (server, session):
        kept = KeptVersions(server)
        path = local_file(tmp_path, OLD)
        await session.copy(path, "lab:/dir/name")
        server.switches.login_page = page
        source, target = {
            "up": (str(path), "lab:/new/name"),
            "down": ("lab:/dir/name", f"{tmp_path}/back"),
            "within": ("lab:/dir/name", "lab:/new/name"),
        }[direction]
        kept.expect("name", OLD)
        with suppress(*ERRORS):
            await session.move(source, target)
        assert kept.lost == [] or (tmp_path / "back").read_bytes() == OLD
        assert path.exists() or (server.root / "new" / "name").read_bytes() == OLD


# Tokens


@pytest.mark.parametrize("http", ["code", "200"])
async def test_a_token_that_is_revoked_while_a_listing_is_sent(http: str, tmp_path: Path) -> None:
    """The listing is requested again with another token; it is never short."""
    async with connected_engine(tmp_path, Switches(token_revoked="in_listing", error_http=http)) as (server, provider):
        server.revoking = 7
        for number in range(8):
            (server.root / f"{number}").mkdir()
            (server.root / f"{number}" / "name").touch()
        page = await provider.list_page("", recursive=True)
        assert [entry.key for entry in page.entries] == [f"{number}/name" for number in range(8)]
        assert server.signed_in > 1


@pytest.mark.parametrize("http", ["code", "200"])
async def test_a_token_that_is_revoked_while_a_file_is_uploaded(http: str, tmp_path: Path) -> None:
    """The upload is sent again with another token, and the old file is whole meanwhile."""
    async with lab(tmp_path, Switches(token_revoked="in_upload", error_http=http)) as (server, session):
        kept = KeptVersions(server)
        for number in range(6):
            data = bytes([number]) * 300_000
            await session.copy(local_file(tmp_path, data), "lab:/name")
            assert (server.root / "name").read_bytes() == data
            kept.expect("name", data, bytes([number + 1]) * 300_000)
        assert kept.lost == []
        assert server.signed_in > 1
        assert temporary_files(server) == []


@pytest.mark.parametrize("http", ["code", "200"])
async def test_a_token_that_is_revoked_before_a_download(http: str, tmp_path: Path) -> None:
    """The download is requested again with another token."""
    async with lab(tmp_path, Switches(error_http=http)) as (server, session):
        await session.copy(local_file(tmp_path, OLD), "lab:/name")

        def revoke(_: int) -> bool:
            if server.requests[-1].endswith("/artifact/"):
                server.revoke_tokens()
            return False

        server.after = revoke
        await session.copy("lab:/name", f"{tmp_path}/back")
        assert (tmp_path / "back").read_bytes() == OLD
        assert server.signed_in > 1


# Limits


LONG = pytest.mark.long


@pytest.mark.parametrize("limited", ["all", pytest.param("auth", marks=LONG)])
@pytest.mark.parametrize(
    "limit", ["429", pytest.param("429_plain", marks=LONG), pytest.param("503", marks=LONG), "502"]
)
async def test_rate_limits_are_waited_for(limit: str, limited: str, tmp_path: Path) -> None:
    """Where every third request is refused, or some fail, a tree arrives and comes back all the same."""
    async with lab(tmp_path, Switches(rate_limit=limit, rate_limited=limited)) as (_, session):
        tree = tmp_path / "tree"
        tree.mkdir()
        for number in range(3):
            (tree / str(number)).write_bytes(OLD)
        await session.copy(f"{tree}/", "lab:/dir/")
        await session.copy("lab:/dir/", f"{tmp_path}/back/")
        assert sorted(os.listdir(tmp_path / "back")) == ["0", "1", "2"]


async def test_an_engine_that_is_overloaded(tmp_path: Path) -> None:
    """Where more than two requests at once are refused, a tree arrives all the same."""
    async with lab(tmp_path, Switches(at_once=2, overload="503")) as (server, session):
        tree = tmp_path / "tree"
        tree.mkdir()
        for number in range(20):
            (tree / str(number)).write_bytes(OLD)
        await session.copy(f"{tree}/", "lab:/dir/")
        assert len(os.listdir(server.root / "dir")) == 20


@pytest.mark.parametrize(("how", "words"), [("413", "too large"), ("507", "no space left"), ("reset", None)])
async def test_a_file_that_is_too_large(how: str, words: str | None, tmp_path: Path) -> None:
    """The error names the file; the old version stays, and nothing of the new one."""
    async with connected_engine(tmp_path) as (server, provider):
        await provider.write("name", body(OLD), OPTIONS)
        server.switches.upload_limit, server.switches.upload_limit_how = 4096, how
        with pytest.raises(StorageError, match=words) as raised:
            await provider.write("name", body(bytes(100_000)), OPTIONS)
        assert "/name" in str(raised.value)
        assert (server.root / "name").read_bytes() == OLD
        assert temporary_files(server) == []


async def test_a_key_without_the_permission(tmp_path: Path) -> None:
    """The error names the permission that the key lacks."""
    async with connected_engine(tmp_path) as (server, provider):
        server.switches.artifact_denied = True
        with pytest.raises(AccessDeniedError, match="ARTIFACT"):
            await provider.list_page("", recursive=False)


# Transport


async def test_a_certificate_of_ones_own(tmp_path: Path) -> None:
    """A self-signed certificate is refused with the name of the setting; `ca_bundle` makes it trusted."""
    async with lab(tmp_path, Switches(transport="tls")) as (server, session):
        assert server.url.startswith("https://")
        await session.copy(local_file(tmp_path, OLD), "lab:/name")
        assert (server.root / "name").read_bytes() == OLD
    async with lab(tmp_path / "other", Switches(transport="tls"), ca_bundle=None, max_attempts=1) as (server, session):
        with pytest.raises((NetworkError, TransferError), match="ca_bundle"):
            await session.copy(local_file(tmp_path, OLD), "lab:/name")
        assert server.requests == []


@pytest.mark.parametrize("status", [404, 301, 308])
async def test_every_path_ends_in_a_slash(status: int, tmp_path: Path) -> None:
    """Engines may redirect other paths, which would lose a body or a token; none is requested."""
    async with connected_engine(tmp_path, Switches(slashless=status)) as (server, provider):
        await provider.write("dir/name", body(OLD), OPTIONS)
        await provider.rename("dir/name", "dir/moved")
        async with await provider.read("dir/moved") as reading:
            assert await reading.read()
        assert await provider.delete(["dir/moved", "dir/"]) == {}
        assert all(each.endswith("/") for each in server.requests)


# Links, names and directories


async def test_a_loop_of_links_that_an_engine_follows(tmp_path: Path) -> None:
    """A listing ends, the loop is an entry that cannot be read, and a deletion ends with an error."""
    async with connected_engine(tmp_path, Switches(symlinks="followed")) as (server, provider):
        (server.root / "dir").mkdir()
        (server.root / "dir" / "file").write_bytes(OLD)
        for name in ("one", "two"):
            (server.root / "dir" / name).symlink_to(server.root / "dir")
        page = await provider.list_page("dir/", recursive=True)
        entries = list(page.entries)
        while page.cursor is not None:
            page = await provider.list_page("dir/", recursive=True, cursor=page.cursor)
            entries += page.entries
        assert any("loop" in (entry.unreadable or "") for entry in entries)
        assert len(server.requests) < 200
        error = (await provider.delete(["dir/"]))["dir/"]
        assert "loop" in str(error)
        assert len(server.requests) < 300


async def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    """It is an entry that cannot be read, and can be deleted."""
    for symlinks in ("listed", "followed"):
        async with connected_engine(tmp_path / symlinks, Switches(symlinks=symlinks)) as (server, provider):
            (server.root / "dir").mkdir()
            (server.root / "dir" / "link").symlink_to(server.root / "nowhere")
            (entry,) = (await provider.list_page("dir/", recursive=True)).entries
            assert entry.unreadable is not None
            assert await provider.delete(["dir/"]) == {}


@pytest.mark.parametrize("kind", ["refused", "archive", "endless", "empty"])
async def test_no_directory_is_downloaded(kind: str, tmp_path: Path) -> None:
    """Whatever an engine sends for a directory, its files are downloaded one by one; other routes are left alone."""
    async with lab(tmp_path, Switches(download_directory=kind)) as (server, session):
        (server.root / "dir" / "empty").mkdir(parents=True)
        (server.root / "dir" / "name").write_bytes(OLD)
        await session.copy("lab:/dir/", f"{tmp_path}/back/")
        assert sorted(os.listdir(tmp_path / "back")) == ["empty", "name"]
        used = {each.partition(" ")[2] for each in server.requests}
        assert not any(part in each for each in used for part in ("zip", "shell"))
        assert not any(each.startswith("HEAD") for each in server.requests)


@pytest.mark.parametrize("names", ["replaced", "omitted"])
async def test_names_that_are_not_unicode(names: str, tmp_path: Path) -> None:
    """A name that JSON cannot hold is a failed item where the engine shows it; its directory is kept in any case."""
    async with connected_engine(tmp_path, Switches(names=names)) as (server, provider):
        (server.root / "dir").mkdir()
        (server.root / "dir" / os.fsdecode(b"bad\xff")).write_bytes(OLD)
        (server.root / "dir" / "good").write_bytes(OLD)
        entries = (await provider.list_page("dir/", recursive=True)).entries
        assert [entry.unreadable is None for entry in entries] == ([True] if names == "omitted" else [False, True])
        if names == "replaced":
            assert "dir/" in await provider.delete(["dir/"])
            assert len(os.listdir(server.root / "dir")) == 1


@pytest.mark.parametrize("change", ["grows", "shrinks"])
async def test_a_file_that_changes_during_its_download(change: str, tmp_path: Path) -> None:
    """The bytes of a file that changed meanwhile are not taken for a version of it."""
    async with connected_engine(tmp_path) as (server, provider):
        (server.root / "name").write_bytes(OLD)
        server.switches.download_changes = change
        async with await provider.read("name") as reading:
            with pytest.raises(SourceChangedError):
                _ = [chunk async for chunk in reading]


async def test_the_end_of_a_file_that_grows(tmp_path: Path) -> None:
    """A range of a log that grows meanwhile is read, as its last lines are followed."""
    for ranges in ("served", "ignored"):
        async with connected_engine(tmp_path / ranges, Switches(download_range=ranges)) as (server, provider):
            (server.root / "log").write_bytes(OLD)
            server.switches.download_changes = "grows"
            async with await provider.read("log", 50, 100) as reading:
                assert b"".join([bytes(chunk) async for chunk in reading]) == OLD[50:100]


# What is left behind


async def test_abandoned_uploads_are_removed_after_a_day(tmp_path: Path) -> None:
    """An upload into a directory that was listed removes what killed processes have left there long ago."""
    async with connected_engine(tmp_path) as (server, provider):
        (server.root / "dir").mkdir()
        old, new = (server.root / "dir" / f".dxflow-async-{digit * 16}.part" for digit in "ab")
        for path in (old, new):
            path.write_bytes(OLD)
        os.utime(old, (1.0, 1.0))
        assert (await provider.list_page("dir/", recursive=True)).entries == []
        await provider.write("dir/name", body(NEW), OPTIONS)
        assert sorted(os.listdir(server.root / "dir")) == [new.name, "name"]


async def test_a_replaced_file_that_is_left_is_listed(tmp_path: Path) -> None:
    """The old version is shown while no newer one has the name, and removed with the next upload to that name."""
    async with connected_engine(tmp_path, Switches(rename_exists="refused")) as (server, provider):
        await provider.write("name", body(OLD), OPTIONS)
        await provider.write("name", body(NEW), OPTIONS)
        server.before = lambda _: (server.root / "name").exists() is False
        with suppress(DxflowError):
            await provider.write("name", body(OLD), OPTIONS)
        server.before = None
        names = [entry.key for entry in (await provider.list_page("", recursive=True)).entries]
        assert [name.rpartition(".")[2] for name in names] == ["old"]
        await provider.write("name", body(OLD), OPTIONS)
        assert [entry.key for entry in (await provider.list_page("", recursive=True)).entries] == ["name"]
        await provider.write("name", body(NEW), OPTIONS)
        assert (server.root / "name").read_bytes() == NEW
        assert [name for name in temporary_files(server) if name.endswith("old")] == []


# Presigned links


@pytest.mark.parametrize("code", [401, 403, 410])
async def test_links_end(code: int, tmp_path: Path) -> None:
    """A link works without a token, and not after its time."""
    async with connected_engine(tmp_path, Switches(share_expired=code, share_signature="escaped")) as (
        server,
        provider,
    ):
        await provider.write("name", body(OLD), OPTIONS)
        url = await provider.presign("name", 60.0)
        assert (await provider._threads.run(_get, url)) == (200, OLD)
        server._shares = {key: (name, 0.0, writes) for key, (name, _, writes) in server._shares.items()}
        assert (await provider._threads.run(_get, url))[0] == code


def _get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""
