from __future__ import annotations

import base64
import json
import os
from collections.abc import Awaitable
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, AWSSettings, Settings
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import (
    AuthenticationError,
    ConfigurationError,
    DxflowError,
    NotFoundError,
    StorageError,
)
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.unit.provider import UnitProvider
from dxflow_async.security.redaction import Secret, printable, redacted
from tests.providers.in_memory_bodies import body
from tests.scripted_server import Answer, ScriptedServer, answer, hang_up
from tests.security.visible_text import (
    BEARER,
    KEY,
    MARK,
    PASSWORD,
    PLACES,
    TOKEN,
    UNIT_SECRET,
    SettingsFor,
    about_this_process,
    assert_clean,
    aws,
    azure_key,
    azure_sas,
    dumped,
    gcp,
    held,
    written_below,
)
from tests.servers import MotoServer

PROXY_PASSWORD = f"{MARK}proxy"

ANSWERS: dict[str, Answer] = {
    "refused": answer("403 Forbidden", b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"),
    "failed": answer("500 Internal Server Error", b'{"error": "\\u001b[2J"}'),
    "nonsense": b"\x00\x01 nothing that is HTTP\r\n\r\n",
    "cut off": hang_up,
    "redirected": answer("307 Temporary Redirect", Location=f"http://127.0.0.1:1/?X-Amz-Signature={MARK}"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("what", ANSWERS)
async def test_errors_of_the_clouds(place: SettingsFor, what: str, tmp_path: Path, logged: list[str]) -> None:
    """Whatever goes wrong with a request, no secret is in a log, an error, a dump of its frames, or a repr."""
    token = answer(body=json.dumps({"access_token": BEARER, "expires_in": 3600, "token_type": "Bearer"}).encode())
    home, source = tmp_path / "home", tmp_path / "file"
    source.write_bytes(b"x" * 1000)
    for answers in ([ANSWERS[what]], [token, ANSWERS[what]]) if place is gcp else ([ANSWERS[what]],):
        async with ScriptedServer(*answers) as server:
            provider, options = place(server.url, tmp_path)
            settings = Settings(home=home, max_attempts=2, **options)
            async with AsyncSession(settings=settings) as session:
                storage = session.get_storage_manager()
                for attempt in (
                    storage.upload(source, "/bucket/key", provider),
                    storage.download("/bucket/key", tmp_path / "to", provider),
                    storage.list(provider, "/bucket/"),
                    storage.delete("/bucket/key", provider),
                ):
                    with pytest.raises(DxflowError) as raised:
                        await attempt
                    assert_clean(dumped(raised.value))
                area = await storage._resolver.area(provider, "private")
                assert_clean(held(session, settings, storage, area, area.provider))
    assert_clean(*logged, about_this_process(), written_below(home))


@pytest.mark.parametrize("place", PLACES)
async def test_names_that_cannot_be_sent(place: SettingsFor, tmp_path: Path, logged: list[str]) -> None:
    """A request that cannot even be written (a header beyond ASCII, a closed port) shows nothing of it either."""
    token = answer(body=json.dumps({"access_token": BEARER, "expires_in": 3600}).encode())
    async with ScriptedServer(*([token] if place is gcp else []), answer(body=b"{}")) as server:
        provider, options = place(server.url, tmp_path)
        async with AsyncSession(settings=Settings(home=tmp_path / "home", max_attempts=1, **options)) as session:
            storage = session.get_storage_manager()
            (tmp_path / "file").write_text("x")
            for metadata in ({"name": "caf\u00e9\n"}, {"na\r\nme": "x"}):
                with pytest.raises((DxflowError, ValueError)) as raised:
                    await storage.upload(tmp_path / "file", "/bucket/key", provider, metadata=metadata)
                assert_clean(dumped(raised.value))
            await server.__aexit__(None, None, None)
            with pytest.raises(DxflowError) as refused:
                await storage.list(provider, "/bucket/")
            assert_clean(dumped(refused.value))
    assert_clean(*logged)


async def test_a_run_that_works(moto: MotoServer, odd_bucket: str, tmp_path: Path, logged: list[str]) -> None:
    """Uploads, downloads, presigned URLs and deletions at debug level leave no secret behind."""
    home = tmp_path / "home"
    own = AWSSettings(endpoint=moto.endpoint, access_key="ID", secret_key=KEY, session_token=TOKEN)
    settings = Settings(home=home, aws=own)
    async with AsyncSession(settings=settings) as session:
        storage = session.get_storage_manager()
        (tmp_path / "big").write_bytes(os.urandom(1 << 20))
        reports = [
            await storage.upload(tmp_path / "big", f"/{odd_bucket}/big"),
            await storage.download(f"/{odd_bucket}/big", tmp_path / "copy"),
        ]
        assert TOKEN in await storage.presign(f"/{odd_bucket}/big")
        await storage.delete(f"/{odd_bucket}/big")
        assert_clean(held(session, settings, storage, *reports))
    assert_clean(*logged, about_this_process(), written_below(home))


@pytest.mark.parametrize("what", ANSWERS)
async def test_errors_of_a_unit(what: str, logged: list[str]) -> None:
    """A unit's secret goes to the unit, and nowhere else."""
    threads = Threads(1)
    http = HTTP(threads)
    async with ScriptedServer(ANSWERS[what]) as server:
        unit = UnitProvider("Demo", server.url, UNIT_SECRET, http, threads)
        attempts: list[Awaitable[object]] = [
            unit.stat("a"),
            unit.read("a"),
            unit.list_page("", recursive=True),
            unit.write("a", body(b"x"), ObjectOptions()),
        ]
        for attempt in attempts:
            with pytest.raises(DxflowError) as raised:
                await attempt
            assert_clean(dumped(raised.value))
        assert_clean(held(unit, unit._requests))
        assert {request.headers["x-secret-key"] for request in server.requests} == {UNIT_SECRET}
    await http.aclose()
    threads.close()
    assert_clean(*logged)


async def test_signing_in(tmp_path: Path, logged: list[str]) -> None:
    """A password and what a sign-in gave show nowhere: right or wrong, at a hub, or at one that makes no sense."""
    home = tmp_path / "home"
    settings = Settings(home=home)
    async with AsyncSession("you@example.com", PASSWORD, settings=settings) as session:
        assert session._account._secrets is not None
        secrets = session.secrets
        assert secrets is not None
        own = [secrets["user"]["secret"], secrets["namespace"]["secret"]]
        texts = held(session, settings, session._account._secrets)
    with pytest.raises(DxflowError) as wrong:
        async with AsyncSession("you@example.com", f"{PASSWORD}!", settings=settings):
            pass
    texts += dumped(wrong.value)
    for reply in ANSWERS.values():
        async with ScriptedServer(reply) as server:
            for given in ({"email": "you@example.com", "password": PASSWORD}, {"secrets": secrets}):
                with pytest.raises(DxflowError) as raised:
                    async with AsyncSession(**given, hub=server.url, settings=settings):
                        pass
                texts += dumped(raised.value)
    texts += "\n".join(logged) + about_this_process() + written_below(home)
    assert_clean(texts)
    for secret in own:
        assert repr(str(secret)) not in texts
        assert str(secret) not in texts


async def test_a_proxy_that_asks_who_we_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[str]) -> None:
    """A proxy's password is in no error."""
    async with ScriptedServer(answer("407 Proxy Authentication Required")) as server:
        monkeypatch.setenv("https_proxy", f"http://me:{PROXY_PASSWORD}@127.0.0.1:{server.port}")
        monkeypatch.setenv("http_proxy", f"http://me:{PROXY_PASSWORD}@127.0.0.1:{server.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        for scheme in ("http", "https"):
            provider, given = aws(f"{scheme}://storage.example", tmp_path)
            async with AsyncSession(settings=Settings(home=tmp_path / "home", max_attempts=1, **given)) as session:
                with pytest.raises(DxflowError) as raised:
                    await session.get_storage_manager().list(provider, "/bucket/")
                client = session._resources.http.client
                assert_clean(dumped(raised.value), held(session._resources.http, client, *client._origins.values()))
        sent = {request.headers["proxy-authorization"] for request in server.requests}
        assert sent == {f"Basic {base64.b64encode(f'me:{PROXY_PASSWORD}'.encode()).decode()}"}
    assert_clean(*logged)


async def test_redirects_are_not_followed(tmp_path: Path) -> None:
    """No provider sends a request, let alone credentials, to where an answer points."""
    async with ScriptedServer(answer()) as elsewhere:
        for status in (
            "301 Moved Permanently",
            "302 Found",
            "303 See Other",
            "307 Temporary Redirect",
            "308 Permanent",
        ):
            async with ScriptedServer(answer(status, Location=f"{elsewhere.url}/bucket/key")) as server:
                places: list[SettingsFor] = [aws, azure_key, azure_sas]
                for place in places:
                    provider, given = place(server.url, tmp_path)
                    settings = Settings(home=tmp_path / "home", max_attempts=1, **given)
                    async with AsyncSession(settings=settings) as session:
                        storage = session.get_storage_manager()
                        for attempt in (storage.list(provider, "/bucket/"), _read(session, provider)):
                            with pytest.raises(DxflowError):
                                await attempt
                with pytest.raises(DxflowError, match="redirects to"):
                    async with AsyncSession(
                        "you@example.com", PASSWORD, hub=server.url, settings=Settings(home=tmp_path)
                    ):
                        pass
        assert elsewhere.requests == []


async def _read(session: AsyncSession, provider: str) -> list[bytes]:
    chunks = session.get_storage_manager().read("/bucket/key", provider=provider)
    return [chunk async for chunk in chunks]


def test_a_secret_is_a_text_that_does_not_show() -> None:
    """It is the text wherever it is used, and three stars wherever it is shown."""
    secret = Secret(KEY)
    assert f"{secret}" == KEY
    assert f"{secret!r} {[secret]} { {'a': secret} }" == "'***' ['***'] {'a': '***'}"
    assert KEY not in repr(AWSSettings(access_key="ID", secret_key=KEY, session_token=TOKEN))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://host/a?X-Amz-Signature=1&b=2 failed", "https://host/a?*** failed"),
        ("see https://user:password@host:1/a, or b", "see https://***@host:1/a, or b"),
        ("two: http://a/?x=1 https://b/?y=2", "two: http://a/?*** https://b/?***"),
        ("http(s)://host[:port][/path]", "http(s)://host[:port][/path]"),
        ("aws:/bucket/what?", "aws:/bucket/what?"),
    ],
)
def test_urls_in_messages(text: str, shown: str) -> None:
    """Of a URL, what may be a signature or a password is left out; all else stays."""
    assert redacted(text) == shown
    assert str(DxflowError(text)) == shown


def test_messages_command_no_terminal() -> None:
    """What names and servers put into a message is shown with escapes, whatever error it is."""
    kinds: list[type[DxflowError]] = [DxflowError, ConfigurationError, AuthenticationError, StorageError, NotFoundError]
    for kind in kinds:
        assert str(kind("\x1b[2J\r\u202egnp")) == "\\x1b[2J\\r\\u202egnp"
    assert printable("caf\u00e9 \u2603") == "caf\u00e9 \u2603"
