"""Uploads whose bytes are compared: downloaded again, or with a checksum that the engine's machine computes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.exceptions import ChecksumMismatchError, ConfigurationError, StorageError, UnsupportedError
from dxflow_async.providers import ObjectOptions
from dxflow_async.providers.engine.remote_checksum import HashedBody
from dxflow_async.providers.engine.settings import EngineSettings
from dxflow_async.testing import body
from tests.providers.engine.connected_engine import connected_engine, temporary_files
from tests.servers.engine import EngineServer
from tests.servers.engine_switches import Switches

OPTIONS = ObjectOptions()
SHELL = Switches(shell="works")


def damages(server: EngineServer) -> Callable[[str], None]:
    """Returns a hook that changes a byte of each unfinished upload once it is stored."""

    def damage(moment: str) -> None:
        if not (moment.startswith("after PUT") and moment.endswith("/upload/")):
            return
        for name in temporary_files(server):
            path = server.root / name
            path.write_bytes(path.read_bytes()[:-1] + b"!")

    return damage


@pytest.mark.parametrize("name", ["a", "dir/b c", 'it\'s "$(touch evil)" `id`;\n--.txt', "größe *?"])
async def test_the_machine_computes_the_checksum(tmp_path: Path, name: str) -> None:
    """The file is stored, whatever its name, and neither a shell nor a file of the command stays."""
    async with connected_engine(tmp_path, SHELL, verify="remote-sha256") as (server, provider):
        for content in (b"x" * 5000, b""):
            await provider.write(name, body(content), OPTIONS)
            assert (server.root / name).read_bytes() == content
        assert temporary_files(server) == []
        assert server._shells == {}
        assert not [name for _, _, names in os.walk(tmp_path) if "evil" in names for name in names]
        assert server.requests.count("PUT /api/shell/execute/") == 3  # one of them looks whether it works
        assert "GET /api/artifact/download/" in server.requests


@pytest.mark.parametrize("verify", ["readback", "remote-sha256"])
async def test_other_bytes_never_get_the_name(tmp_path: Path, verify: str) -> None:
    """A file of the right size with a wrong byte is an error; the old file stays, and nothing else."""
    async with connected_engine(tmp_path, SHELL, verify=verify) as (server, provider):
        await provider.write("name", body(b"old"), OPTIONS)
        server.moments = damages(server)
        with pytest.raises(ChecksumMismatchError):
            await provider.write("name", body(b"new" * 1000), OPTIONS)
        assert [path.name for path in server.root.iterdir()] == ["name"]
        assert (server.root / "name").read_bytes() == b"old"
        assert server._shells == {}


async def test_equal_sizes_are_not_noticed_otherwise(tmp_path: Path) -> None:
    """Without the setting only the size is compared, as the documentation says."""
    async with connected_engine(tmp_path, SHELL) as (server, provider):
        server.moments = damages(server)
        await provider.write("name", body(b"new"), OPTIONS)
        assert (server.root / "name").read_bytes() == b"ne!"
        assert not [each for each in server.requests if "shell" in each]


@pytest.mark.parametrize("shell", ["absent", "refused"])
async def test_an_engine_without_shells_gets_no_upload(tmp_path: Path, shell: str) -> None:
    """The error says what to set, and comes before anything is uploaded."""
    async with connected_engine(tmp_path, Switches(shell=shell), verify="remote-sha256") as (server, provider):
        with pytest.raises(UnsupportedError, match=r"remote-sha256.*set verify to readback or size"):
            await provider.write("name", body(b"x"), OPTIONS)
        assert not [each for each in server.requests if "upload" in each]
        assert list(server.root.iterdir()) == []


async def test_a_command_that_fails_is_no_checksum(tmp_path: Path) -> None:
    """Where the uploaded file cannot be read by the command, the upload fails, and the old file stays."""
    async with connected_engine(tmp_path, SHELL, verify="remote-sha256") as (server, provider):
        await provider.write("name", body(b"old"), OPTIONS)

        def remove(moment: str) -> None:
            if moment == "before POST /api/shell/":
                for name in temporary_files(server):
                    (server.root / name).unlink()

        server.moments = remove
        with pytest.raises(StorageError, match="computed no checksum"):
            await provider.write("name", body(b"new"), OPTIONS)
        assert [path.name for path in server.root.iterdir()] == ["name"]
        assert (server.root / "name").read_bytes() == b"old"


@pytest.mark.parametrize("verify", ["size", "readback", "remote-sha256"])
async def test_reports_say_what_was_compared(tmp_path: Path, verify: str) -> None:
    """An upload counts as verified where its bytes were compared, and not for its size; a download never does."""
    (tmp_path / "source").write_bytes(b"content")
    async with EngineServer(tmp_path / "volume", SHELL).serve() as server:
        lab = EngineSettings(address=server.url, key=server.write_key(tmp_path / "key.pem"), verify=verify)
        async with AsyncSession(settings=Settings(home=tmp_path / "home", remotes={"lab": lab})) as session:
            uploaded = await session.copy(tmp_path / "source", "lab:/name")
            async with session.open("lab:/stream", "wb") as file:
                await file.write(b"content")
            downloaded = await session.copy("lab:/name", tmp_path / "target")
    assert uploaded.verified == (verify != "size")
    assert downloaded.verified == 0
    assert (server.root / "stream").read_bytes() == b"content"


async def test_the_digest_is_that_of_the_last_reading() -> None:
    """A body that is sent again is hashed from its beginning; an empty one needs no reading."""
    hashed = HashedBody(body(b"abc"))
    assert hashed.sha256 is None
    for _ in range(2):
        assert b"".join([bytes(chunk) async for chunk in hashed]) == b"abc"
        assert hashed.sha256 == hashlib.sha256(b"abc").hexdigest()
    assert HashedBody(body(b"")).sha256 == hashlib.sha256().hexdigest()


def test_the_setting_is_checked() -> None:
    """Other words are refused, and the message lists those that are allowed."""
    with pytest.raises(ConfigurationError, match="size, readback, remote-sha256"):
        EngineSettings(verify="sha256")
