"""Endpoints of Google Cloud Storage: settings, emulators, other universes, and private ones."""

from __future__ import annotations

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import GCPSettings
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers.gcp.credentials import CloudCredentials
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
