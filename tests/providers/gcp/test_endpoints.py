"""Endpoints of Google Cloud Storage: settings, emulators, other universes, and private ones."""

from __future__ import annotations

import json
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import GCPSettings
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers.gcp.credentials import CloudCredentials
from dxflow_async.providers.gcp.provider import GCPProvider
from dxflow_async.providers.http import HTTP


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("STORAGE_EMULATOR_HOST", "GOOGLE_CLOUD_UNIVERSE_DOMAIN", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("value", "endpoint"),
    [
        ("localhost:9000", "http://localhost:9000"),
        (" http://fake-gcs:4443/ ", "http://fake-gcs:4443"),
        ("http://localhost:4443/storage/v1/", "http://localhost:4443"),
        ("localhost:4443/storage/v1", "http://localhost:4443"),
        ("https://[::1]:4443", "https://[::1]:4443"),
        ("0.0.0.0:4443", "http://0.0.0.0:4443"),
    ],
)
def test_emulators(http: HTTP, threads: Threads, monkeypatch: pytest.MonkeyPatch, value: str, endpoint: str) -> None:
    """All forms of the variable that Google's clients take are understood, and go without a token."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", value)
    found = CloudCredentials(GCPSettings(), http, threads)
    assert (found.endpoint, found.anonymous) == (endpoint, endpoint.startswith("http:"))


@pytest.mark.parametrize("value", ["http://user:hush@host", "http://host/other", "ftp://host"])
def test_wrong_emulator(http: HTTP, threads: Threads, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Another value is an error that names the variable and shows no password."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", value)
    with pytest.raises(ConfigurationError, match="STORAGE_EMULATOR_HOST") as caught:
        CloudCredentials(GCPSettings(), http, threads)
    assert "hush" not in str(caught.value)


def test_universes(http: HTTP, threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    """The storage service is that of the universe which the environment names; settings come first."""
    monkeypatch.setenv("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "googleapis.com")
    assert CloudCredentials(GCPSettings(), http, threads).endpoint == "https://storage.googleapis.com"
    monkeypatch.setenv("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "apis-Other.example")
    assert CloudCredentials(GCPSettings(), http, threads).endpoint == "https://storage.apis-other.example"
    own = GCPSettings(endpoint="https://storage.other.example")
    assert CloudCredentials(own, http, threads).endpoint == "https://storage.other.example"
    monkeypatch.setenv("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "evil.example/path?x")
    with pytest.raises(ConfigurationError, match="GOOGLE_CLOUD_UNIVERSE_DOMAIN"):
        CloudCredentials(GCPSettings(), http, threads)


@pytest.mark.parametrize(
    ("written", "endpoint"),
    [
        ("https://storage-lab.p.googleapis.com/", "https://storage-lab.p.googleapis.com"),
        ("https://storage.us-east1.rep.googleapis.com", "https://storage.us-east1.rep.googleapis.com"),
        ("https://storage.googleapis.com/storage/v1/", "https://storage.googleapis.com"),
        ("http://10.0.0.5:4443", "http://10.0.0.5:4443"),
    ],
)
def test_settings(http: HTTP, threads: Threads, written: str, endpoint: str) -> None:
    """Private, regional and other endpoints are used as they are, and get a token."""
    found = CloudCredentials(GCPSettings(endpoint=written), http, threads)
    assert (found.endpoint, found.anonymous) == (endpoint, False)


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    """The key of a service account."""
    return generate_private_key(65537, 2048)


def account(directory: Path, key: RSAPrivateKey, universe: str) -> Path:
    """Writes the file of a service account of a universe, and returns its path."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    info = {"type": "service_account", "client_email": "robot@lab.example", "private_key": pem, "private_key_id": "k1"}
    file = directory / "account.json"
    file.write_text(json.dumps({**info, "universe_domain": universe, "token_uri": "http://127.0.0.1:9/token"}))
    return file


@pytest.mark.parametrize("by", ["settings", "variable"])
async def test_universe_of_the_file(
    http: HTTP, threads: Threads, key: RSAPrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """The storage service is that of the universe which only the file names; its accounts sign their tokens."""
    file = account(tmp_path, key, "Apis-Other.example")
    if by == "variable":
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    provider = GCPProvider(GCPSettings(service_file=file if by == "settings" else None), http, threads)
    await provider.connect()
    assert provider.features.endpoint == "https://storage.apis-other.example"
    found = CloudCredentials(GCPSettings(service_file=file), http, threads)
    grant = await found.grant()
    assert found.endpoint == "https://storage.apis-other.example"
    claims = jwt.decode(grant.authorization.removeprefix("Bearer "), key.public_key(), algorithms=["RS256"])
    assert (claims["iss"], claims["sub"]) == ("robot@lab.example", "robot@lab.example")
    assert claims["scope"].endswith("/devstorage.full_control")
    assert "aud" not in claims


async def test_endpoint_of_the_settings_comes_before_the_universe(
    http: HTTP, threads: Threads, key: RSAPrivateKey, tmp_path: Path
) -> None:
    """An endpoint of the settings stays; public credentials stay at the public service."""
    own = GCPSettings(service_file=account(tmp_path, key, "other.example"), endpoint="https://storage-x.other.example")
    provider = GCPProvider(own, http, threads)
    await provider.connect()
    assert provider.features.endpoint == "https://storage-x.other.example"
    public = GCPProvider(GCPSettings(service_file=account(tmp_path, key, "googleapis.com")), http, threads)
    await public.connect()
    assert public.features.endpoint == "https://storage.googleapis.com"
    assert public.features.atomic_create


async def test_two_universes(
    http: HTTP, threads: Threads, key: RSAPrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials of one universe are not sent to the one that the environment names."""
    monkeypatch.setenv("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "third.example")
    found = CloudCredentials(GCPSettings(service_file=account(tmp_path, key, "other.example")), http, threads)
    with pytest.raises(ConfigurationError, match=r"universe other\.example, and GOOGLE_CLOUD_UNIVERSE_DOMAIN is third"):
        await found.grant()
