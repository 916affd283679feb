from __future__ import annotations

import dataclasses

import pytest

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers.http_source.settings import HTTPSourceSettings, from_url


@pytest.mark.parametrize(
    "endpoint",
    ["https://host", "https://host:8443/base/dir", "http://localhost:80", "http://127.0.0.1:1/x", "http://[::1]:80"],
)
def test_endpoints(endpoint: str) -> None:
    """An endpoint is https anywhere, or http on this machine."""
    assert HTTPSourceSettings(endpoint=endpoint).endpoint == endpoint


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("http://host", "plain http"),
        ("http://127.0.0.1.example.org/x", "plain http"),
        ("http://localhost.example.org", "plain http"),
        ("ftp://host", "not valid"),
        ("https://", "not valid"),
        ("https://host:0", "not valid"),
        ("https://host:99999", "not valid"),
        ("https://hö.st", "not valid"),
        ("https://host/\nx", "not valid"),
        ("https://u:p@host/x", "without a user"),
        ("https://host/x?query=SECRET", "without a user or a query"),
    ],
)
def test_bad_endpoints(endpoint: str, reason: str) -> None:
    """An endpoint that cannot be used is refused with a reason, and without its secrets."""
    with pytest.raises(ConfigurationError, match=reason) as raised:
        HTTPSourceSettings(endpoint=endpoint)
    assert "SECRET" not in str(raised.value)


def test_plain_http_may_be_allowed() -> None:
    """`allow_http` allows plain http at another machine, also by URL where a remote of that server says so."""
    settings = HTTPSourceSettings(endpoint="http://host:8080/base", allow_http=True)
    assert from_url("http://host:8080/x", settings)[0].endpoint == "http://host:8080"
    with pytest.raises(ConfigurationError, match="plain http"):
        from_url("http://host/x", settings)


@pytest.mark.parametrize(
    "values",
    [
        {"password": "p"},
        {"username": "u", "token": "t"},
        {"header": "no colon"},
        {"header": "X-Key: a\r\nHost: b"},
        {"token": "two words"},
        {"token": 7},
    ],
)
def test_bad_credentials(values: dict[str, str]) -> None:
    """Credentials that cannot be sent are refused before any I/O."""
    with pytest.raises(ConfigurationError):
        HTTPSourceSettings(endpoint="https://host", **values)  # type: ignore[arg-type]


def test_secrets_are_not_shown() -> None:
    """Neither the settings' repr nor that of their values shows a secret."""
    settings = HTTPSourceSettings(endpoint="https://h", username="u", password="SECRET", header="X-Key: SECRET")
    by_url, _ = from_url("https://u:SECRET@host/x?sig=SECRET", None)
    for each in (settings, by_url):
        assert "SECRET" not in repr(each) + repr(dataclasses.asdict(each))


def test_user_of_a_url() -> None:
    """The user of a URL is unescaped, and replaces that of the remote."""
    remote = HTTPSourceSettings(endpoint="https://host/base", token="t")
    settings, path = from_url("https://me:p%40ss@host/x", remote)
    assert (settings.username, settings.password, settings.token, path) == ("me", "p@ss", None, "/x")


def test_credentials_of_another_server_are_not_used() -> None:
    """A remote's credentials go with URLs of its own server only, port and scheme included."""
    remote = HTTPSourceSettings(endpoint="https://host", token="SECRET")
    assert from_url("https://host:443/x", remote)[0].token == "SECRET"
    for url in ("https://other/x", "https://host:8443/x", "http://localhost/x"):
        assert from_url(url, remote)[0].token is None


@pytest.mark.parametrize("url", ["https://host/a?***", "https://***@host/a", "https://***@host/a?***"])
def test_hidden_secret_is_asked_for_again(url: str) -> None:
    """A location as reports and jobs show it cannot be used again, and says why."""
    with pytest.raises(ConfigurationError, match="give the whole URL again"):
        from_url(url, None)


@pytest.mark.parametrize("url", ["https://host", "https://host/", "https://host//?x=SECRET", "https:///x?SECRET"])
def test_url_without_a_file(url: str) -> None:
    """A URL that names no file is refused, without its query."""
    with pytest.raises(ConfigurationError) as raised:
        from_url(url, None)
    assert "SECRET" not in str(raised.value)


def test_url_as_a_browser_shows_it() -> None:
    """Spaces and letters beyond ASCII are escaped, escapes stay, a fragment is dropped."""
    settings, path = from_url("https://host/ü x/%C3%BC.csv?q=ü 1#part", None)
    assert path == "/ü x/ü.csv"
    assert settings.target == "/%C3%BC%20x/%C3%BC.csv?q=%C3%BC%201"
