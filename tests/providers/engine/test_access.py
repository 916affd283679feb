"""Where an engine's address and key come from, and that neither a key nor a token goes elsewhere."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path

import pytest
from aiohttp import web

from dxflow_async import AsyncSession, Settings
from dxflow_async.exceptions import AlreadyExistsError, ConfigurationError, StorageError, TransferError
from dxflow_async.providers import ObjectOptions
from dxflow_async.providers.engine.settings import EngineSettings, find_access
from dxflow_async.testing import body
from tests.providers.engine.connected_engine import connected_engine
from tests.servers.engine import EngineServer

PROFILE = """# written by the tool
http-port: 80
connection-address: "https://profile.example"   # a comment
connection-key: '/keys/profile.pem'
connection-token: of-profile
"""
ENVIRONMENT = {"CONNECTION_ADDRESS": "https://variable.example", "CONNECTION_KEY": "/keys/variable.pem"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home directory in which the engine's own tool has a default profile."""
    (tmp_path / ".dxflow").mkdir()
    (tmp_path / ".dxflow/default_config.yaml").write_text(PROFILE)
    (tmp_path / ".dxflow/other_config.yaml").write_text("connection-address: http://other.example/api\n")
    return tmp_path


def test_settings_come_before_variables_and_these_before_the_profile(home: Path) -> None:
    """The first that names an address decides; the key is of the same place."""
    own = EngineSettings(address="https://own.example/lab/", key=Path("/keys/own.pem"))
    found = [find_access(own, ENVIRONMENT, home), find_access(EngineSettings(), ENVIRONMENT, home)]
    found.append(find_access(EngineSettings(), {}, home))
    assert [(each.address, str(each.key)) for each in found] == [
        ("https://own.example/lab", "/keys/own.pem"),
        ("https://variable.example", "/keys/variable.pem"),
        ("https://profile.example", "/keys/profile.pem"),
    ]
    assert found[2].token == "of-profile"
    assert "of-profile" not in repr(EngineSettings(token="of-profile"))


def test_a_profile_is_chosen_by_its_name(home: Path) -> None:
    """Its address is used without `/api`; one that does not exist is an error that names the file."""
    found = find_access(EngineSettings(profile="other", key=Path("/k.pem")), {}, home)
    assert found.address == "http://other.example"
    with pytest.raises(ConfigurationError, match=r"missing_config\.yaml"):
        find_access(EngineSettings(profile="missing"), {}, home)
    with pytest.raises(ConfigurationError, match="profile"):
        EngineSettings(profile="../x")


def test_no_key_or_token_goes_to_another_address(home: Path) -> None:
    """What belongs to the address of a variable or of the profile is not used for the address of the settings."""
    with pytest.raises(ConfigurationError, match=r"https://own\.example needs a key"):
        find_access(EngineSettings(address="https://own.example"), ENVIRONMENT, home)
    same = find_access(EngineSettings(address="HTTPS://profile.example/".lower()), {}, home)
    assert (str(same.key), same.token) == ("/keys/profile.pem", "of-profile")
    own = find_access(EngineSettings(address="https://profile.example", key=Path("/keys/own.pem")), {}, home)
    assert (str(own.key), own.token) == ("/keys/own.pem", None)


def test_the_socket_is_used_where_nothing_names_an_address(tmp_path: Path) -> None:
    """On the engine's own machine nothing has to be set; elsewhere the error says what to set."""
    with pytest.raises(ConfigurationError, match="set address and key, or profile, or CONNECTION_ADDRESS"):
        find_access(EngineSettings(), {"CONNECTION_ADDRESS": "0.0.0.0"}, tmp_path)
    (tmp_path / ".dxflow").mkdir()
    path = tmp_path / ".dxflow/unix.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        found = find_access(EngineSettings(), {}, tmp_path)
    assert (found.socket, found.key, found.token) == (str(path), None, None)


@pytest.mark.parametrize("address", ["lab.example", "ftp://lab", "https://", "unix://relative", "https://lab/?x=1"])
def test_addresses_that_cannot_be(address: str) -> None:
    """Each is refused when the settings are made; a password in one is not shown."""
    with pytest.raises(ConfigurationError, match="address"):
        EngineSettings(address=address)
    with pytest.raises(ConfigurationError) as raised:
        EngineSettings(address="https://me:hidden@lab/?x")
    assert "hidden" not in str(raised.value)


async def test_no_redirect_is_followed(tmp_path: Path) -> None:
    """A redirect in the place of an answer is an error, and the other server hears of neither token nor bytes."""
    heard: list[str] = []

    async def listen(request: web.Request) -> web.Response:
        heard.append(f"{request.method} {request.path_qs} {dict(request.headers)} {await request.read()!r}")
        return web.Response(text="[]")

    other = web.Application()
    other.router.add_route("*", "/{path:.*}", listen)
    runner = web.AppRunner(other, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with connected_engine(tmp_path) as (server, provider):
        elsewhere = f"http://127.0.0.1:{runner.addresses[0][1]}/"

        async def redirect(_request: web.Request, _handler: object, _kind: str) -> web.Response:
            return web.Response(status=307, headers={"Location": elsewhere})

        server._limited_answer = redirect  # type: ignore[method-assign, assignment]
        for call in (
            provider.write("name", body(b"x"), ObjectOptions()),
            provider.stat("name"),
            provider.delete(["n"]),
        ):
            outcome = (await asyncio.gather(call, return_exceptions=True))[0]
            failure = outcome["n"] if isinstance(outcome, dict) else outcome
            assert isinstance(failure, StorageError)
    await runner.cleanup()
    assert heard == []


async def test_no_secret_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither tokens nor the signatures of links are in logs, errors or `repr`s."""
    caplog.set_level(logging.DEBUG)
    async with connected_engine(tmp_path) as (server, provider):
        await provider.write("name", body(b"x"), ObjectOptions())
        link = await provider.presign("name", 60)
        server.switches.artifact_denied = True
        with pytest.raises(StorageError) as raised:
            await provider.stat("name")
        secrets = [*server._tokens, link.partition("signature=")[2]]
        shown = f"{caplog.text} {raised.value} {raised.value!r} {provider!r} {provider._settings!r}"
    assert all(secrets)
    assert [each for each in secrets if each in shown] == []


async def test_an_existing_file_is_not_replaced_where_that_was_asked(tmp_path: Path) -> None:
    """With `overwrite=False` the name is looked up before a byte is sent; the file that is there stays."""
    (tmp_path / "new").write_bytes(b"new")
    async with EngineServer(tmp_path / "volume").serve() as server:
        lab = EngineSettings(address=server.url, key=server.write_key(tmp_path / "key.pem"))
        async with AsyncSession(settings=Settings(home=tmp_path / "home", remotes={"lab": lab})) as session:
            await session.copy(tmp_path / "new", "lab:/free", overwrite=False)
            (server.root / "taken").write_bytes(b"old")
            before = len(server.requests)
            with pytest.raises(TransferError) as raised:
                await session.copy(tmp_path / "new", "lab:/taken", overwrite=False)
            assert isinstance(raised.value.__cause__, AlreadyExistsError)
            assert not [each for each in server.requests[before:] if "upload" in each]
        assert (server.root / "taken").read_bytes() == b"old"
        assert (server.root / "free").read_bytes() == b"new"
