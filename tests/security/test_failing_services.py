"""No secret is shown by any verb whose service fails, by a hub's broken answer, or by a setting that is wrong."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from dxflow_async import AsyncSession, Settings
from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import GCPSettings
from dxflow_async.exceptions import ConfigurationError, DxflowError
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.providers.gcp.provider import GCPProvider
from dxflow_async.providers.gcp.resumable import ResumableUpload
from dxflow_async.providers.http import HTTP, Call
from dxflow_async.providers.unit.provider import UnitProvider
from tests.providers.in_memory_bodies import body
from tests.scripted_server import Answer, ScriptedServer, answer
from tests.security.visible_text import (
    BEARER,
    MARK,
    PASSWORD,
    PLACES,
    UNIT_SECRET,
    SettingsFor,
    about_this_process,
    assert_clean,
    dumped,
    written_below,
)
from tests.servers import free_port


async def test_a_hub_whose_answers_break_off(tmp_path: Path, logged: list[str]) -> None:
    """Secrets in an answer of the hub's that breaks off, or is not what it should be, are in no error."""
    given = {"user": {"pointer": "u", "secret": f"{MARK}secret"}, "namespace": {"pointer": "n", "secret": f"{MARK}n"}}
    unit = {"name": "mine", "status": "READY", "ip": "127.0.0.1:1", "secrets": {"RW": f"{MARK}rw", "RO": f"{MARK}ro"}}
    whole = [answer(body=json.dumps(tree).encode()) for tree in (given, {})]

    async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(whole[0].replace(b"Content-Length: ", b"Content-Length: 9"))
        await writer.drain()
        writer.close()

    signing_in: list[Answer] = [
        cut,
        answer(body=json.dumps({**given, "namespace": {"pointer": "n", "secret": ""}}).encode()),
        answer(body=json.dumps({**given, "user": f"{MARK}"}).encode()),
        answer("500 Internal Server Error", json.dumps(given).encode()),
        answer("307 Temporary Redirect", Location=f"https://me:{MARK}@host/?secret={MARK}"),
    ]
    settings = Settings(home=tmp_path / "home")
    for reply in signing_in:
        async with ScriptedServer(reply) as server:
            with pytest.raises(DxflowError) as raised:
                async with AsyncSession("you@example.com", PASSWORD, hub=server.url, settings=settings):
                    pass
            assert_clean(dumped(raised.value))
    for listed in ({"list": [unit]}, {"list": unit}, {"list": [{**unit, "pointer": 1}]}):
        async with (
            ScriptedServer(*whole, answer(body=json.dumps(listed).encode())) as server,
            AsyncSession("you@example.com", PASSWORD, hub=server.url, settings=settings) as session,
        ):
            with pytest.raises(DxflowError) as raised:
                await session.get_compute_manager().list()
            assert_clean(dumped(raised.value))
    assert_clean(*logged)


async def refuse_all_but_grants(request: web.Request) -> web.StreamResponse:
    """A service that gives tokens and sessions of uploads, and fails at all else."""
    base = f"http://{request.host}"
    if request.path == "/token":
        return web.json_response({"access_token": BEARER, "expires_in": 3600, "token_type": "Bearer"})
    if request.query.get("uploadType") == "resumable" and request.method == "POST":
        return web.Response(headers={"Location": f"{base}/upload/storage/v1/b/bucket/o?upload_id={MARK}session"})
    if request.method == "POST" and "uploads" in request.query:
        return web.Response(
            text="<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
        )
    if request.method == "OPTIONS":
        extensions = {"Tus-Version": "1.0.0", "Tus-Extension": "creation,termination"}
        return web.Response(status=204, headers=extensions)
    if request.method == "POST" and request.path == "/storage/upload/":
        return web.Response(status=201, headers={"Location": f"{base}/storage/upload/{MARK}path?token={MARK}"})
    await request.read()
    return web.Response(status=503, text="later", headers={"X-Odd": MARK})


@asynccontextmanager
async def failing_service() -> AsyncIterator[str]:
    """The URL of that service."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", refuse_all_but_grants)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def chunks() -> AsyncIterator[bytes]:
    """A stream for a part and more."""
    for _ in range(7):
        yield b"x" * (1 << 20)


async def every_call(session: AsyncSession, place: str, large: Path) -> AsyncIterator[Awaitable[object]]:
    """What a session can be asked to do at a place."""
    storage = session.get_storage_manager()
    provider = place.partition(":")[0].upper()
    for source in (large, large.with_name("small")):
        yield session.copy(str(source), f"{place}/key")
    yield session.copy(f"{place}/key", str(large.with_name("to")))
    yield session.copy(f"{place}/key", f"{place}/other")
    yield session.move(f"{place}/key", f"{place}/other")
    yield session.sync(f"{large.parent}/tree/", f"{place}/tree/", delete=True)
    yield session.sync(f"{place}/tree/", f"{large.parent}/tree/")
    yield storage.list(provider, "/bucket/")
    yield storage.write("/bucket/key", chunks(), provider)
    yield storage.delete("/bucket/key", provider)
    yield storage.exists("/bucket/key", provider)
    yield anext(aiter(storage.read("/bucket/key", provider=provider)))


@pytest.mark.parametrize("place", PLACES)
async def test_every_call_at_a_service_that_fails(place: SettingsFor, tmp_path: Path, logged: list[str]) -> None:
    """No verb of a provider whose service fails, or is not there, shows a key, a token, a signature or a session."""
    large = tmp_path / "large"
    large.write_bytes(b"x" * (12 << 20))
    (tmp_path / "small").write_bytes(b"x")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_bytes(b"x")
    async with failing_service() as url:
        for endpoint in (url, f"http://127.0.0.1:{free_port()}"):
            provider, options = place(endpoint, tmp_path)
            options = {"max_attempts": 1, "part_size": 5 << 20, **options}
            async with AsyncSession(settings=Settings(home=tmp_path / "home", **options)) as session:
                count = 0
                async for attempt in every_call(session, f"{provider.lower()}:/bucket", large):
                    with pytest.raises(DxflowError) as raised:
                        await attempt
                    assert_clean(dumped(raised.value))
                    count += 1
                assert count == 12
    assert_clean(*logged, about_this_process(), written_below(tmp_path / "home"))


async def test_addresses_of_uploads(logged: list[str], threads: Threads) -> None:
    """The address of an upload at a unit, which may be all that is needed to write to it, is not shown either."""
    http = HTTP(threads)
    async with failing_service() as url:
        unit = UnitProvider("Demo", url, UNIT_SECRET, http, threads)
        for size in (1, 1 << 20):
            with pytest.raises(DxflowError) as raised:
                await unit.write("a", body(b"x" * size), ObjectOptions())
            assert_clean(dumped(raised.value))
    for location in (f"https://elsewhere.example/{MARK}?token={MARK}", f"/caf\u00e9/{MARK}", f"http://[::1/{MARK}"):
        options = answer("204 No Content", Tus_Version="1.0.0", Tus_Extension="creation")
        async with ScriptedServer(options, answer("201 Created", Location=location)) as server:
            unit = UnitProvider("Demo", server.url, UNIT_SECRET, http, threads)
            with pytest.raises(DxflowError) as raised:
                await unit.write("a", body(b"x"), ObjectOptions())
            assert_clean(dumped(raised.value))
    await http.aclose()
    assert_clean(*logged)


async def test_sessions_of_google_uploads(logged: list[str], threads: Threads) -> None:
    """A resumable upload's session, which is all that is needed to write to it, is in no error of its requests."""
    http = HTTP(threads)
    async with failing_service() as url:
        google = GCPProvider(GCPSettings(endpoint=url), http, threads)
        resource = {"name": "key", "contentType": "a/b"}
        sending = ResumableUpload(google.requests, Call("GCP", "write", "/bucket/key"), "bucket", resource)
        for _ in range(2):
            with pytest.raises(DxflowError) as raised:
                await sending.send(body(b"x" * 1000))
            assert_clean(dumped(raised.value))
            assert MARK in str(sending._session)
    with pytest.raises(DxflowError) as raised:
        await sending.send(body(b"x" * 1000))
    assert_clean(dumped(raised.value), repr(sending.__dict__))
    await http.aclose()
    assert_clean(*logged)


KEY_FILE = json.dumps({"type": "service_account", "private_key": f"-----BEGIN PRIVATE KEY-----\n{MARK}{'x' * 1600}"})


@pytest.mark.parametrize(
    "text", [KEY_FILE, KEY_FILE[:90], f"\n{KEY_FILE}", base64.b64encode(KEY_FILE.encode()).decode()]
)
async def test_a_key_where_a_path_belongs(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key's content in the place of its file's name is refused wherever it is set, with advice, without the key."""
    hidden = text[60:90]
    home = tmp_path / "home"
    home.mkdir()
    config = home / "config.toml"
    config.write_text(f"[gcp]\nservice_file = {json.dumps(text)}\n")
    config.chmod(0o600)

    def clean(error: BaseException) -> None:
        assert "seems to hold the key itself" in str(error)
        assert hidden not in dumped(error)

    with pytest.raises(ConfigurationError) as raised:
        Settings.load(home=home)
    clean(raised.value)
    config.unlink()
    for variable in ("DXFLOW_GCP_SERVICE_FILE", "DXFLOW_CA_BUNDLE"):
        monkeypatch.setenv(variable, text)
        with pytest.raises(ConfigurationError) as raised:
            Settings.load(home=home)
        clean(raised.value)
        monkeypatch.delenv(variable)
    with pytest.raises(ConfigurationError, match="seems to hold the key itself") as raised:
        GCPSettings(service_file=Path(text))
    assert hidden not in str(raised.value)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", text)
    async with AsyncSession(settings=Settings(home=home, max_attempts=1)) as session:
        with pytest.raises(ConfigurationError) as raised:
            await session.get_storage_manager().list("GCP", "/bucket-one/")
    clean(raised.value)


@pytest.mark.parametrize(
    "content", ["{", '{"private_key": "M4rk3r"}', '{"type": "service_account", "private_key": "M4rk3r"}']
)
async def test_a_key_file_that_cannot_be_used(content: str, tmp_path: Path) -> None:
    """A key's file that is damaged is named, and nothing of it is shown."""
    file = tmp_path / "key.json"
    file.write_text(f"{content}\n\n{MARK}" if content == "{" else content)
    settings = Settings(home=tmp_path / "home", max_attempts=1, gcp=GCPSettings(service_file=file))
    async with AsyncSession(settings=settings) as session:
        with pytest.raises(DxflowError, match=r"key\.json") as raised:
            await session.get_storage_manager().list("GCP", "/bucket-one/")
    assert_clean(dumped(raised.value))


@pytest.mark.parametrize(
    "lines",
    [
        f"[aws]\naccess_key = 'a'\nsecret_key = '{MARK}'\nendpoint = 'nonsense'",
        f"[aws]\naccess_key = 'a'\nsecret_key = '{MARK}\\n'",
        f"[aws]\nsecret_key = '{MARK}'\ncolour = 1",
        f"[aws]\nsecret_key = '{MARK}'\n=",
        f"[azure]\nsas_token = '{MARK}'\naccount = 'NOT ALLOWED'",
        f"[azure]\nconnection_string = 'AccountName=a;AccountKey={MARK}'\nchecksum = 'none'",
        "[aws]\nendpoint = 'https://me:M4rk3r@host'",
    ],
)
def test_secrets_beside_a_wrong_setting(lines: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of one setting shows nothing of the others: of the file's, the environment's, or the shell's own."""
    (tmp_path / "config.toml").write_text(lines.replace("\\n'", '\\n"').replace(f"'{MARK}\\n", f'"{MARK}\\n'))
    (tmp_path / "config.toml").chmod(0o600)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", MARK)
    monkeypatch.setenv("DXFLOW_AZURE_ACCOUNT_KEY", f"{MARK}\n")
    with pytest.raises(ConfigurationError) as raised:
        Settings.load(home=tmp_path)
    assert_clean(dumped(raised.value))
