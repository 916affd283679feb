"""Whose token a request carries, and who signs URLs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gcloud.aio.storage import blob as sdk_blob

from dxflow_async.exceptions import (
    AccessDeniedError,
    ConfigurationError,
    NetworkError,
    ServiceError,
    StorageError,
    ThrottledError,
    UnsupportedError,
)
from dxflow_async.providers.contract import Entry, ObjectOptions
from dxflow_async.providers.gcp import credentials as gcp_identity
from tests.providers.connected_providers import ConnectGCP
from tests.providers.in_memory_bodies import body
from tests.scripted_server import ScriptedServer, answer
from tests.servers.resumable import ResumableServer

OPTIONS = ObjectOptions()


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which nobody has signed in."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))


@pytest.fixture
async def google() -> AsyncIterator[ResumableServer]:
    """The service, with its tokens."""
    async with ResumableServer() as server:
        yield server


async def test_one_token_for_many_requests(google: ResumableServer, connect_gcp: ConnectGCP, tmp_path: Path) -> None:
    """Requests that come together wait for one token, which later ones carry too."""
    provider = connect_gcp(google.url, service_file=google.service_file(tmp_path))
    for _ in range(2):
        await asyncio.gather(*(provider.write(f"bucket/{number}", body(b"x"), OPTIONS) for number in range(20)))
    assert google.requests["token"] == 1
    assert google.requests["refused"] == 0


async def test_settings_win_over_the_variable(
    google: ResumableServer, connect_gcp: ConnectGCP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service file of the settings is used, and the file that the environment names is not even read."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing"))
    provider = connect_gcp(google.url, service_file=google.service_file(tmp_path))
    await provider.write("bucket/name", body(b"x"), OPTIONS)
    assert google.requests["token"] == 1
    assert google.requests["refused"] == 0


async def test_token_is_renewed_before_its_end(
    google: ResumableServer, connect_gcp: ConnectGCP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour's token is renewed well before it ends, and a short one when a quarter of it is left."""
    provider = connect_gcp(google.url, service_file=google.service_file(tmp_path))
    clock = [1_800_000_000.0]
    monkeypatch.setattr(gcp_identity, "time", lambda: clock[0])
    for seconds, tokens in ((0, 1), (3300, 1), (100, 2), (3300, 2), (100, 3)):
        clock[0] += seconds
        await provider.write("bucket/name", body(b"x"), OPTIONS)
        assert google.requests["token"] == tokens
    google.token_seconds = 8
    for seconds, tokens in ((3400, 4), (5, 4), (2, 5)):
        clock[0] += seconds
        await provider.write("bucket/name", body(b"x"), OPTIONS)
        assert google.requests["token"] == tokens


async def test_token_server_that_fails(
    google: ResumableServer, connect_gcp: ConnectGCP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the old token is good, a renewal that fails stops nobody, and is not tried with every request."""
    provider = connect_gcp(google.url, service_file=google.service_file(tmp_path))
    clock = [1_800_000_000.0]
    monkeypatch.setattr(gcp_identity, "time", lambda: clock[0])
    await provider.write("bucket/name", body(b"x"), OPTIONS)
    google.token_failures.extend([503] * 10)
    clock[0] += 3500
    for _ in range(5):
        await provider.write("bucket/name", body(b"x"), OPTIONS)
    assert google.requests["token"] == 2
    clock[0] += 200
    with pytest.raises(ServiceError, match=r"internal_failure \(503\)") as raised:
        await provider.write("bucket/name", body(b"x"), OPTIONS)
    assert raised.value.retryable
    google.token_failures.clear()
    await provider.write("bucket/name", body(b"x"), OPTIONS)


@pytest.mark.parametrize(
    ("status", "expected", "retryable"), [(400, AccessDeniedError, False), (429, ThrottledError, True)]
)
async def test_what_a_token_server_says(
    google: ResumableServer,
    connect_gcp: ConnectGCP,
    tmp_path: Path,
    status: int,
    expected: type[StorageError],
    *,
    retryable: bool,
) -> None:
    """A token server's refusal is one of our errors, asked for once."""
    google.token_failures.append(status)
    with pytest.raises(StorageError, match="internal_failure") as raised:
        await connect_gcp(google.url, service_file=google.service_file(tmp_path)).stat("bucket/name")
    assert type(raised.value) is expected
    assert (raised.value.status, raised.value.retryable) == (status, retryable)
    assert google.requests["token"] == 1


async def test_token_server_that_gives_none(google: ResumableServer, connect_gcp: ConnectGCP, tmp_path: Path) -> None:
    """A page in the place of a token is a failure to try again; no answer at all is told from no credentials."""
    for reply in (
        *(b"{}", b"[]", b"", b"<html>", b'{"access_token": "x", "expires_in": "soon"}'),
        *(b'{"access_token": "x y", "expires_in": 9}', b'{"access_token": "x", "expires_in": -1}'),
    ):
        async with ScriptedServer(answer(body=reply)) as server:
            file = google.service_file(tmp_path, token_uri=f"{server.url}/token")
            with pytest.raises(ServiceError, match="no token in it; a sign-in page") as raised:
                await connect_gcp(google.url, service_file=file).stat("bucket/name")
            assert raised.value.retryable
    file = google.service_file(tmp_path, token_uri="http://127.0.0.1:9/token")
    with pytest.raises(NetworkError, match="sign in"):
        await connect_gcp(google.url, service_file=file).stat("bucket/name")


async def test_wrong_key(google: ResumableServer, connect_gcp: ConnectGCP, tmp_path: Path) -> None:
    """Another account's key is refused by the token server; what it says is passed on, the key is not."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = google.service_file(tmp_path, private_key=pem.decode())
    with pytest.raises(AccessDeniedError, match=r"Invalid JWT Signature.*GCP\.service_file") as raised:
        await connect_gcp(google.url, service_file=file).stat("bucket/name")
    assert (raised.value.status, raised.value.code, raised.value.retryable) == (400, "invalid_grant", False)
    assert pem.decode()[100:140] not in str(raised.value)


@pytest.mark.parametrize(
    "change",
    [{"private_key": "no key"}, {"private_key": 7}, {"type": "unheard"}, {"type": None}],
)
async def test_file_that_is_no_account(
    google: ResumableServer, connect_gcp: ConnectGCP, tmp_path: Path, change: dict[str, Any]
) -> None:
    """A file that names no usable account is a wrong setting, and named."""
    file = google.service_file(tmp_path, **change)
    with pytest.raises(ConfigurationError, match=r"GCP\.service_file = .*service\.json"):
        await connect_gcp(google.url, service_file=file).stat("bucket/name")


async def test_file_that_is_not_json(
    google: ResumableServer, connect_gcp: ConnectGCP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is not JSON is not passed over in silence, nor one that the environment names and is not there."""
    (tmp_path / "file").write_text("{")
    with pytest.raises(ConfigurationError, match="not JSON"):
        await connect_gcp(google.url, service_file=tmp_path / "file").stat("bucket/name")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing"))
    with pytest.raises(ConfigurationError, match="missing"):
        await connect_gcp(google.url).stat("bucket/name")


async def test_default_credentials(
    google: ResumableServer, connect_gcp: ConnectGCP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a setting, the file that the environment names is taken, and its project."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(google.service_file(tmp_path)))
    provider = connect_gcp(google.url)
    await provider.write("bucket/name", body(b"x"), OPTIONS)
    assert google.requests["token"] == 1
    page = await provider.list_page("", recursive=False)
    assert page.entries == [Entry("bucket/", directory=True)]


async def test_user_who_signed_in(connect_gcp: ConnectGCP, tmp_path: Path) -> None:
    """What `gcloud auth application-default login` leaves behind is found and used."""
    token = json.dumps({"access_token": "user-token", "expires_in": 3600}).encode()
    async with ScriptedServer(answer(body=token), answer(body=b'{"kind": "storage#buckets"}')) as server:
        content = {"type": "authorized_user", "client_id": "id", "client_secret": "s", "refresh_token": "r"}
        (tmp_path / "gcloud").mkdir()
        file = tmp_path / "gcloud/application_default_credentials.json"
        file.write_text(json.dumps({**content, "token_uri": f"{server.url}/token", "quota_project_id": "mine"}))
        provider = connect_gcp(server.url)
        provider._identity.anonymous = False  # as if it were elsewhere
        await provider.list_page("", recursive=False)
    asked, listed = server.requests
    assert b"refresh_token=r" in asked.body
    assert listed.headers["authorization"] == "Bearer user-token"
    assert "project=mine" in listed.target


METADATA = """
import asyncio, sys
from dxflow_async.config.settings import GCPSettings
from dxflow_async.providers.gcp.provider import GCPProvider
from dxflow_async.providers.http import HTTP
from dxflow_async.concurrency.threads import Threads

async def main():
    threads = Threads(1)
    http = HTTP(threads, connect_timeout=2)
    provider = GCPProvider(GCPSettings(endpoint=sys.argv[1]), http, threads)
    provider._identity.anonymous = False  # as if it were elsewhere
    try:
        print([entry.key for entry in (await provider.list_page("", recursive=False)).entries])
    except Exception as error:
        print(type(error).__name__, error)
    await http.aclose()

asyncio.run(main())
"""


async def run_on_machine(endpoint: str, metadata_host: str, **variables: str) -> str:
    """What a program prints that lists the buckets, on a machine with that metadata server."""
    environment = {**os.environ, "GCE_METADATA_HOST": metadata_host, **variables}
    command = [sys.executable, "-c", METADATA, endpoint]
    done = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.strip()


async def test_machine_with_a_service_account() -> None:
    """Where nothing else says who we are, the metadata server does, and whose buckets are listed."""
    token = json.dumps({"access_token": "machine-token", "expires_in": 3600}).encode()
    buckets = answer(body=b'{"kind": "storage#buckets", "items": [{"name": "bucket-one"}]}')
    async with ScriptedServer(answer(body=b"project-of-machine"), answer(body=token), buckets) as server:
        said = await run_on_machine(server.url, server.url.removeprefix("http://"))
    assert said == "['bucket-one/']"
    project, token_request, listed = server.requests
    assert project.target == "/computeMetadata/v1/project/project-id"
    assert token_request.headers["metadata-flavor"] == "Google"
    assert "project=project-of-machine" in listed.target
    assert listed.headers["authorization"] == "Bearer machine-token"


async def test_no_credentials_at_all(google: ResumableServer) -> None:
    """Where there is no metadata server either, the error says what to set."""
    said = await run_on_machine(google.url, "127.0.0.1:9", GOOGLE_CLOUD_PROJECT="project-one")
    assert said.startswith("ConfigurationError no GCP credentials were found: set GCP.service_file")
    said = await run_on_machine(google.url, "127.0.0.1:9")
    assert said.startswith("ConfigurationError no GCP credentials were found: set GCP.service_file")
    assert "GCE_METADATA_HOST names, 127.0.0.1:9, does not answer" in said


@pytest.mark.parametrize("variables", [{}, {"GOOGLE_CLOUD_PROJECT": "project-one"}])
async def test_metadata_service_that_hangs(google: ResumableServer, variables: dict[str, str]) -> None:
    """A metadata service that accepts a connection and never answers is given up soon, and named."""

    async def hang(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with ScriptedServer(hang) as server:
        said = await run_on_machine(google.url, server.url.removeprefix("http://"), **variables)
    assert said.startswith("ConfigurationError no GCP credentials were found: set GCP.service_file")
    assert "does not answer: correct or unset the variable" in said
    assert len(server.requests) == 1


# Emulators


@pytest.mark.parametrize(
    ("host", "endpoint"),
    [
        ("localhost:4443", "http://localhost:4443"),
        ("http://127.0.0.1:1234/", "http://127.0.0.1:1234"),
        ("https://gcs.example.com", "https://gcs.example.com"),
        ("", "https://storage.googleapis.com"),
    ],
)
def test_emulator_of_the_environment(
    connect_gcp: ConnectGCP, monkeypatch: pytest.MonkeyPatch, host: str, endpoint: str
) -> None:
    """`STORAGE_EMULATOR_HOST` is honoured, with a scheme and without; a setting goes before it."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", host)
    assert connect_gcp().features.endpoint == endpoint
    assert connect_gcp("http://127.0.0.1:1").features.endpoint == "http://127.0.0.1:1"


def test_emulator_that_is_no_host(connect_gcp: ConnectGCP, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no host is said so, before anything is sent."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://host/with/a path")
    with pytest.raises(ConfigurationError, match="STORAGE_EMULATOR_HOST"):
        connect_gcp()


@pytest.mark.parametrize(
    ("endpoint", "anonymous"),
    [
        ("http://127.0.0.1:1", True),
        ("http://[::1]:1", True),
        ("http://localhost", True),
        ("https://127.0.0.1:1", False),
        ("http://127.0.0.1.example.com", False),
        ("http://10.0.0.7:1", False),
        (None, False),
    ],
)
def test_who_is_asked_without_a_token(connect_gcp: ConnectGCP, endpoint: str | None, *, anonymous: bool) -> None:
    """Only an emulator on this machine is asked without a token, and signs no URLs."""
    provider = connect_gcp(endpoint)
    assert provider._identity.anonymous is anonymous
    assert provider.features.presign is not anonymous


def test_emulator_elsewhere_is_asked_without_a_token(connect_gcp: ConnectGCP, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `STORAGE_EMULATOR_HOST` names is an emulator wherever it is, such as in another container."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://gcs:4443")
    assert connect_gcp()._identity.anonymous
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "https://gcs:4443")
    assert not connect_gcp()._identity.anonymous


async def test_emulator_gets_no_token(connect_gcp: ConnectGCP) -> None:
    """An emulator on this machine sees no token, unless there are credentials for it."""
    async with ScriptedServer(answer(body=b'{"kind": "storage#buckets"}')) as server:
        await connect_gcp(server.url).list_page("", recursive=False)
    assert "authorization" not in server.requests[0].headers


async def test_no_token_in_the_clear(google: ResumableServer, connect_gcp: ConnectGCP, tmp_path: Path) -> None:
    """A token never goes to another machine without encryption."""
    provider = connect_gcp("http://10.255.255.1:1", service_file=google.service_file(tmp_path))
    with pytest.raises(ConfigurationError, match=r"GCP\.endpoint .* https"):
        await provider.stat("bucket/name")
    assert google.requests["token"] == 0


# Signed URLs


async def test_signed_url(google: ResumableServer, connect_gcp: ConnectGCP, tmp_path: Path) -> None:
    """A signed URL works as it is and no other way, for its method and its time only."""
    provider = connect_gcp(google.url, service_file=google.service_file(tmp_path))
    await provider.write("bucket/a b+c%?ü/x", body(b"signed"), OPTIONS)
    url = await provider.presign("bucket/a b+c%?ü/x", 60)
    assert await asyncio.to_thread(fetch, url) == (200, b"signed")
    for wrong in (
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url.replace("a%20b", "other"),
        url.replace("X-Goog-Expires=60", "X-Goog-Expires=600"),
    ):
        assert wrong != url
        assert (await asyncio.to_thread(fetch, wrong))[0] == 403
    assert (await asyncio.to_thread(fetch, url, b"data"))[0] == 403
    target = await provider.presign("bucket/put", 60, method="PUT")
    assert (await asyncio.to_thread(fetch, target, b"from outside"))[0] == 200
    assert google.objects["put"].data == b"from outside"


def fetch(url: str, data: bytes | None = None) -> tuple[int, bytes]:
    """What anybody gets from a URL, or puts there."""
    request = urllib.request.Request(url, data, method="GET" if data is None else "PUT")
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""


async def test_signed_url_is_the_sdk_s(google: ResumableServer, connect_gcp: ConnectGCP, tmp_path: Path) -> None:
    """The URL is, byte for byte, the one that another implementation makes at that moment."""
    file = google.service_file(tmp_path)
    provider = connect_gcp("https://storage.googleapis.com", service_file=file)
    token = SimpleNamespace(service_data=json.loads(file.read_text()))
    for name in ("a", "dir/a b+c%?ü/~._-", "x//y"):
        bucket: Any = SimpleNamespace(name="bucket-one", storage=SimpleNamespace(token=token))
        theirs = sdk_blob.Blob(bucket, name, {"size": 0})
        while True:
            before = await theirs.get_signed_url(600)
            ours = await provider.presign(f"bucket-one/{name}", 600)
            if before == await theirs.get_signed_url(600):  # within one second
                break
        assert ours == before


async def test_who_signs_urls(google: ResumableServer, connect_gcp: ConnectGCP, tmp_path: Path) -> None:
    """Without a service account's key there are no signed URLs, and none for longer than a week."""
    content = {"type": "authorized_user", "client_id": "id", "client_secret": "s", "refresh_token": "r"}
    (tmp_path / "user.json").write_text(json.dumps(content))
    for provider in (connect_gcp(google.url), connect_gcp(google.url, service_file=tmp_path / "user.json")):
        with pytest.raises(UnsupportedError, match=r"GCP\.service_file"):
            await provider.presign("bucket/name", 60)
    for expires in (0, 604_801):
        with pytest.raises(ConfigurationError, match="604800"):
            await connect_gcp(google.url, service_file=google.service_file(tmp_path)).presign("bucket/name", expires)


async def test_nothing_shows_the_token(google: ResumableServer, connect_gcp: ConnectGCP, tmp_path: Path) -> None:
    """Neither what is printed nor an error has a token or a key in it."""
    provider = connect_gcp(google.url, service_file=google.service_file(tmp_path))
    with pytest.raises(StorageError) as raised:
        await provider.stat("bucket/missing")
    (token,) = google.tokens
    grant = await provider._identity.grant()
    assert token in grant.authorization
    assert token not in f"{grant!r} {raised.value} {raised.value!r} {raised.value.__dict__}"
