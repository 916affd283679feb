"""What a client of engines does where their answers are wrong, late or missing."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from dxflow_async.exceptions import (
    AccessDeniedError,
    AlreadyExistsError,
    AuthenticationError,
    ConfigurationError,
    NetworkError,
    NotFoundError,
    SourceChangedError,
    StallTimeoutError,
    StorageError,
    UnsupportedError,
)
from dxflow_async.providers.contract import ObjectOptions, Reader
from dxflow_async.providers.engine.provider import EngineProvider
from dxflow_async.providers.engine.settings import EngineSettings
from dxflow_async.testing import body, session_resources
from tests.providers.engine.connected_engine import connected_engine, temporary_files
from tests.servers.engine import EngineServer
from tests.servers.engine_switches import Switches

OPTIONS = ObjectOptions()


async def collected(reading: Reader) -> bytes:
    return b"".join([bytes(chunk) async for chunk in reading])


async def stored(provider: EngineProvider, key: str) -> bytes:
    async with await provider.read(key) as reading:
        return await collected(reading)


# Listings


@pytest.mark.parametrize("end", ["none", "reset", "late_500"])
async def test_a_listing_that_breaks_off_is_an_error(end: str, tmp_path: Path) -> None:
    """A listing without its end is never a short or an empty directory, and nothing is deleted on its account."""
    async with connected_engine(tmp_path) as (server, provider):
        await provider.write("dir/name", body(b"x"), OPTIONS)
        server.switches.stream_end = end
        with pytest.raises(StorageError) as raised:
            await provider.list_page("dir/", recursive=True)
        assert raised.value.retryable
        assert "dir/" in await provider.delete(["dir/"])
        server.switches.stream_end = "bracket"
        assert await stored(provider, "dir/name") == b"x"


async def test_a_listing_that_stalls_is_an_error(tmp_path: Path) -> None:
    """A listing that sends nothing any more ends after the stall timeout."""
    async with EngineServer(tmp_path / "volume").serve() as server, session_resources("LAB") as resources:
        resources.http.stall_timeout = 0.5  # before there are connections
        settings = EngineSettings(address=server.url, key=server.write_key(tmp_path / "key.pem"))
        resources.http.stall_timeout = 1.0  # it counts for new connections
        provider = EngineProvider(settings, resources.http, resources.threads)
        await provider.connect()
        server.switches.stream_end = "silence"
        with pytest.raises(StallTimeoutError):
            await provider.list_page("", recursive=False)
        await provider.aclose()


@pytest.mark.parametrize("total", ["value", "absent"])
async def test_pages_that_were_not_requested(total: str, tmp_path: Path) -> None:
    """An engine that caps its listings without saying so is asked for the rest."""
    async with connected_engine(tmp_path, Switches(paging="capped", total=total)) as (server, provider):
        for number in range(1203):
            (server.root / f"{number:04}").touch()
        page = await provider.list_page("", recursive=True)
        found = [entry.key for entry in page.entries]
        while page.cursor is not None:
            page = await provider.list_page("", recursive=True, cursor=page.cursor)
            found += [entry.key for entry in page.entries]
        assert found == [f"{number:04}" for number in range(1203)]


async def test_names_that_json_cannot_hold(tmp_path: Path) -> None:
    """A name that the engine cannot tell is an entry that cannot be read, and keeps its directory."""
    async with connected_engine(tmp_path) as (server, provider):
        (server.root / "dir").mkdir()
        (server.root / "dir" / "good").touch()
        (server.root / "dir" / "bad\ufffd").touch()
        (entry, good) = sorted(
            (await provider.list_page("dir/", recursive=True)).entries, key=lambda each: len(each.key)
        )
        assert entry.unreadable is not None
        assert good.unreadable is None
        assert "dir/" in await provider.delete(["dir/"])
        assert (server.root / "dir" / "bad\ufffd").exists()


async def test_links_are_neither_followed_nor_deleted_as_directories(tmp_path: Path) -> None:
    """A link is an entry that cannot be read; deleting the directory that it is in leaves its target."""
    async with connected_engine(tmp_path) as (server, provider):
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "kept").write_bytes(b"kept")
        (server.root / "dir").mkdir()
        (server.root / "dir" / "link").symlink_to(outside)
        (entry,) = (await provider.list_page("dir/", recursive=True)).entries
        assert entry.unreadable is not None
        assert await provider.delete(["dir/"]) == {}
        assert (outside / "kept").read_bytes() == b"kept"


# Signing in


async def test_all_tasks_share_one_sign_in(tmp_path: Path) -> None:
    """Many requests at once sign in once."""
    async with connected_engine(tmp_path) as (server, provider):
        await asyncio.gather(*(provider.write(f"{number}", body(b"x"), OPTIONS) for number in range(20)))
        assert server.signed_in == 1


async def test_tokens_that_live_for_a_second(tmp_path: Path) -> None:
    """A token is renewed in time, or when it is refused."""
    async with connected_engine(tmp_path, Switches(token_seconds=1.0, expires_at="absent")) as (server, provider):
        for number in range(3):
            await provider.write(f"{number}", body(b"x"), OPTIONS)
            await asyncio.sleep(0.6)
        assert 1 < server.signed_in < 6


async def test_a_token_that_is_revoked_is_renewed(tmp_path: Path) -> None:
    """A refused token is renewed once, for all tasks."""
    async with connected_engine(tmp_path) as (server, provider):
        await provider.write("name", body(b"x"), OPTIONS)
        server.revoke_tokens()
        await asyncio.gather(*(provider.stat("name") for _ in range(10)))
        assert server.signed_in == 2


async def test_a_key_that_is_not_registered(tmp_path: Path) -> None:
    """The error names the engine and the key's file, holds no secret, and is not retried."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    async with EngineServer(tmp_path / "volume").serve() as server, session_resources("LAB") as resources:
        path = server.write_key(tmp_path / "key.pem")
        server.key = rsa.generate_private_key(65537, 2048)
        provider = EngineProvider(EngineSettings(address=server.url, key=path), resources.http, resources.threads)
        with pytest.raises(AuthenticationError) as raised:
            await provider.connect()
        assert isinstance(raised.value, AccessDeniedError)
        assert server.url in str(raised.value)
        assert str(path) in str(raised.value)
        assert not raised.value.retryable


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "ssh-keygen -p -m PEM"),
        (b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n", "openssl rsa"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n", "a public key"),
        (b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", "damaged"),
        (b"hello", "no private key"),
        (None, os.strerror(errno.ENOENT)),
    ],
)
async def test_keys_that_cannot_be_used(data: bytes | None, advice: str, tmp_path: Path) -> None:
    """The error names the file, and the command that converts it."""
    path = tmp_path / "key"
    if data is not None:
        path.write_bytes(data)
    async with EngineServer(tmp_path / "volume").serve() as server, session_resources("LAB") as resources:
        provider = EngineProvider(EngineSettings(address=server.url, key=path), resources.http, resources.threads)
        with pytest.raises(ConfigurationError) as raised:
            await provider.connect()
    assert advice in str(raised.value)
    assert str(path) in str(raised.value)


async def test_keys_in_pkcs8(tmp_path: Path) -> None:
    """Both forms of PEM are read."""
    async with EngineServer(tmp_path / "volume").serve() as server, session_resources("LAB") as resources:
        path = server.write_key(tmp_path / "key.pem", pkcs8=True)
        provider = EngineProvider(EngineSettings(address=server.url, key=path), resources.http, resources.threads)
        await provider.connect()
        await provider.write("name", body(b"x"), OPTIONS)
        await provider.aclose()


async def test_a_unix_socket_needs_no_key(tmp_path: Path) -> None:
    """Over the engine's own socket everything works without a token."""
    path = tmp_path / "s"
    async with EngineServer(tmp_path / "volume").serve(socket=path) as server, session_resources("LAB") as resources:
        provider = EngineProvider(EngineSettings(address=server.url), resources.http, resources.threads)
        await provider.connect()
        await provider.write("dir/name", body(b"x" * 1000), OPTIONS)
        assert await stored(provider, "dir/name") == b"x" * 1000
        await provider.aclose()
        assert server.signed_in == 0


async def test_an_engine_behind_a_path(tmp_path: Path) -> None:
    """A base URL may have a path, as behind a proxy."""
    engine = EngineServer(tmp_path / "volume")
    async with engine.serve(prefix="/lab/one") as server, session_resources("LAB") as resources:
        settings = EngineSettings(address=f"{server.url}/", key=server.write_key(tmp_path / "key.pem"))
        provider = EngineProvider(settings, resources.http, resources.threads)
        await provider.connect()
        await provider.write("name", body(b"x"), OPTIONS)
        await provider.aclose()


@pytest.mark.parametrize("permissions", ["all", "absent"])
async def test_a_key_that_may_only_read(permissions: str, tmp_path: Path) -> None:
    """Writes are refused before anything is sent, by the permissions or by the token; the error names the key."""
    async with connected_engine(tmp_path, Switches(read_only=True, permissions=permissions)) as (server, provider):
        (server.root / "name").write_bytes(b"x")
        assert await stored(provider, "name") == b"x"
        before = len(server.requests)
        for call in (
            provider.write("name", body(b"y"), OPTIONS),
            provider.delete(["name"]),
            provider.rename("name", "other"),
            provider.make_directory("dir/"),
            provider.remove_directory("dir/"),
        ):
            with pytest.raises(AccessDeniedError, match=r"key\.pem"):
                await call
        assert len(server.requests) == before


# Writing


@pytest.mark.parametrize("write", ["in_place", "renamed"])
@pytest.mark.parametrize("broken", ["stays", "removed"])
async def test_an_upload_that_is_cancelled_leaves_the_old_file(write: str, broken: str, tmp_path: Path) -> None:
    """The old file stays whole, and nothing of the new one is left."""

    class Endless:
        size, crc32c = 1 << 30, None

        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield bytes(1 << 16)
                await asyncio.sleep(0.01)

    async with connected_engine(tmp_path, Switches(upload_write=write, upload_broken=broken)) as (server, provider):
        await provider.write("name", body(b"old"), OPTIONS)
        with suppress(TimeoutError):
            await asyncio.wait_for(provider.write("name", Endless(), OPTIONS), 0.5)
        await asyncio.sleep(0.1)
        assert (server.root / "name").read_bytes() == b"old"
        assert [path.name for path in server.root.iterdir() if "dxflow-async" in path.name] == []


async def test_an_engine_that_stores_half(tmp_path: Path) -> None:
    """A success that stored something else is an error, and the old file stays."""
    async with connected_engine(tmp_path) as (server, provider):
        await provider.write("name", body(b"old"), OPTIONS)
        server.switches.upload_stores_half = True
        with pytest.raises(StorageError) as raised:
            await provider.write("name", body(b"newer"), OPTIONS)
        assert raised.value.retryable
        assert (server.root / "name").read_bytes() == b"old"
        assert temporary_files(server) == []


async def test_a_file_that_is_too_large_is_not_tried_again(tmp_path: Path) -> None:
    """The error of a limit names the file and is not retried."""
    async with connected_engine(tmp_path, Switches(upload_limit=4096)) as (_, provider):
        with pytest.raises(StorageError, match="dir/large") as raised:
            await provider.write("dir/large", body(bytes(1 << 20)), OPTIONS)
        assert not raised.value.retryable or isinstance(raised.value, NetworkError)


@pytest.mark.parametrize("rename", ["replaces", "refused", "nothing"])
async def test_one_whole_version_exists_at_every_moment(rename: str, tmp_path: Path) -> None:
    """While a file is replaced, some name always has one of its versions, whole."""
    async with connected_engine(tmp_path, Switches(rename_exists=rename)) as (server, provider):
        versions = [bytes([number]) * (1000 + number) for number in range(6)]
        await provider.write("name", body(versions[0]), OPTIONS)
        missing: list[str] = []

        async def look() -> None:
            while True:
                names = [path.name for path in server.root.iterdir()]
                whole = [name for name in names if not name.endswith(".part")]
                if not any((server.root / name).read_bytes() in versions for name in whole):
                    missing.append(str(names))
                await asyncio.sleep(0)

        looking = asyncio.create_task(look())
        for version in versions[1:]:
            await provider.write("name", body(version), OPTIONS)
        looking.cancel()
        assert missing == []
        assert (server.root / "name").read_bytes() == versions[-1]
        assert temporary_files(server) == []


async def test_a_replacement_that_fails_half_way_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the second rename fails, the old file gets its name back."""
    async with connected_engine(tmp_path, Switches(rename_exists="refused")) as (server, provider):
        await provider.write("name", body(b"old"), OPTIONS)
        await provider.write("name", body(b"older"), OPTIONS)
        renames = 0
        rename = provider._storing._rename

        async def fail(call: object, old: str, new: str) -> None:
            nonlocal renames
            renames += 1
            if renames == 2:
                raise AccessDeniedError("no")
            await rename(call, old, new)  # type: ignore[arg-type]

        monkeypatch.setattr(provider._storing, "_rename", fail)
        with pytest.raises(AccessDeniedError):
            await provider.write("name", body(b"new"), OPTIONS)
        assert renames == 3
        assert (server.root / "name").read_bytes() == b"older"
        assert temporary_files(server) == []


async def test_a_directory_of_that_name_stays(tmp_path: Path) -> None:
    """A file never takes the place of a directory, nor moves into it."""
    async with connected_engine(tmp_path) as (server, provider):
        await provider.make_directory("name/")
        with pytest.raises(AlreadyExistsError):
            await provider.write("name", body(b"x"), OPTIONS)
        assert (server.root / "name").is_dir()
        assert list((server.root / "name").iterdir()) == []


async def test_readback_compares_the_bytes(tmp_path: Path) -> None:
    """With `verify = "readback"` the stored bytes are read again before they get their name."""
    async with connected_engine(tmp_path, verify="readback") as (server, provider):
        await provider.write("name", body(b"x" * 5000), OPTIONS)
        assert "GET /api/artifact/download/" in server.requests


# Reading


@pytest.mark.parametrize("served", ["served", "ignored", "416"])
async def test_ranges_count_once_they_were_seen(served: str, tmp_path: Path) -> None:
    """A large file is read in the right order and whole, whether or not the engine sends ranges."""
    data = bytes(range(256)) * 40_000
    async with connected_engine(tmp_path, Switches(download_range=served)) as (server, provider):
        (server.root / "name").write_bytes(data)
        assert await stored(provider, "name") == data
        assert provider.features.ranges == (served == "served")
        async with await provider.read("name", 1_000_000, 1_000_100) as reading:
            assert b"".join([bytes(chunk) async for chunk in reading]) == data[1_000_000:1_000_100]


async def test_a_range_that_is_another_one_is_an_error(tmp_path: Path) -> None:
    """A wrong range is never believed, and after the second one no range is requested."""
    async with connected_engine(tmp_path, Switches(download_range="served", download_range_wrong=True)) as (
        server,
        provider,
    ):
        (server.root / "name").write_bytes(bytes(range(200)))
        for _ in range(2):
            with pytest.raises(StorageError) as raised:
                await provider.read("name", 10, 20)
            assert raised.value.retryable
        async with await provider.read("name", 10, 20) as reading:
            assert bytes(await reading.read()) == bytes(range(10, 20))


async def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    """Bytes of two versions are never taken for one."""
    async with connected_engine(tmp_path) as (server, provider):
        path = server.root / "name"
        path.write_bytes(b"old")
        async with await provider.read("name") as reading:
            path.write_bytes(b"new")
            os.utime(path, (1, 1))
            with pytest.raises(SourceChangedError):
                await collected(reading)


async def test_a_download_that_ends_early_is_an_error(tmp_path: Path) -> None:
    """A body that is shorter than the file is an error that may be retried."""
    async with connected_engine(tmp_path, Switches(download_shorter=True)) as (server, provider):
        (server.root / "name").write_bytes(bytes(100_000))
        with pytest.raises(StorageError) as raised:
            await stored(provider, "name")
        assert raised.value.retryable


async def test_a_failure_in_the_place_of_the_file(tmp_path: Path) -> None:
    """An envelope that reports a failure with status 200 is never taken for the file; a file of JSON is one."""
    async with connected_engine(tmp_path, Switches(download_error="envelope")) as (server, provider):
        path = server.root / "name"
        path.write_bytes(b"x" * 500)
        entry = await provider.stat("name")
        path.unlink()
        with pytest.raises(NotFoundError):
            await provider.read("name", listed=entry)
        text = b'[{"kind":"status","payload":{"code":404,"message":"mine"}}]'
        path.write_bytes(text)
        assert await stored(provider, "name") == text


async def test_a_directory_is_never_downloaded(tmp_path: Path) -> None:
    """Whatever the engine would send for a directory, it is not requested."""
    async with connected_engine(tmp_path) as (server, provider):
        await provider.make_directory("dir/")
        with pytest.raises(NotFoundError):
            await provider.read("dir")
        assert "GET /api/artifact/download/" not in server.requests


# Deleting


@pytest.mark.parametrize("identity", ["", ".", "/", "..", "a/../b"])
async def test_the_volume_itself_is_never_deleted(identity: str, tmp_path: Path) -> None:
    """Names that may mean the volume, or lead out of it, are refused before a request is made."""
    async with connected_engine(tmp_path) as (server, provider):
        await provider.write("kept", body(b"x"), OPTIONS)
        before = len(server.requests)
        assert list(await provider.delete([identity])) == [identity]
        assert len(server.requests) == before
        assert (server.root / "kept").exists()


@pytest.mark.parametrize("batch", ["json", "refused", "partial", "error_absent"])
async def test_every_deletion_is_confirmed(batch: str, tmp_path: Path) -> None:
    """Files that an answer to a batch does not name are deleted one by one."""
    async with connected_engine(tmp_path, Switches(batch=batch)) as (server, provider):
        names = [f"dir/{number}" for number in range(250)]
        (server.root / "dir").mkdir()
        for name in names:
            (server.root / name).touch()
        assert await provider.delete(names) == {}
        assert list((server.root / "dir").iterdir()) == []


async def test_a_filled_directory_is_not_removed(tmp_path: Path) -> None:
    """An engine would delete it with its content; it is listed first."""
    async with connected_engine(tmp_path) as (server, provider):
        await provider.write("dir/name", body(b"x"), OPTIONS)
        with pytest.raises(AlreadyExistsError):
            await provider.remove_directory("dir/")
        assert (server.root / "dir" / "name").exists()


# Links


async def test_links_are_made_for_what_exists(tmp_path: Path) -> None:
    """A link for reading or writing needs a file."""
    async with connected_engine(tmp_path) as (_, provider):
        with pytest.raises(NotFoundError):
            await provider.presign("name", 60.0)
        with pytest.raises(UnsupportedError):
            await provider.presign("name", 60.0, method="PUT")
        await provider.write("name", body(b"x"), OPTIONS)
        assert "signature=" in await provider.presign("name", 60.0)
