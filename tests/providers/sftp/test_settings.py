from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers.sftp.settings import SFTPSettings, from_url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", "two words"),
        ("host", "-oProxyCommand=x y"),
        ("port", 0),
        ("port", 70000),
        ("username", ""),
        ("username", "a\nb"),
        ("key_files", "-----BEGIN OPENSSH PRIVATE KEY-----\nabc"),
        ("jump_host", "a b"),
        ("jump_host", "-x@y z"),
        ("path", ""),
        ("path", "/a/../b"),
        ("max_connections", 0),
        ("password", 7),
    ],
)
def test_settings_that_are_refused(name: str, value: Any) -> None:
    """The error names the setting; a key that was put there is not shown."""
    with pytest.raises(ConfigurationError, match=name) as raised:
        SFTPSettings(**{name: value})
    assert "BEGIN" not in str(raised.value)


def test_secrets_are_not_shown() -> None:
    """No repr shows a password or a passphrase."""
    by_url, _ = from_url("sftp://me:SECRET@host/x", None)
    for settings in (SFTPSettings(host="h", password="SECRET", passphrase="SECRET"), by_url):
        assert "SECRET" not in repr(settings) + repr(dataclasses.asdict(settings))


@pytest.mark.parametrize(
    ("url", "place", "path"),
    [
        ("sftp://host/a/b", ("host", None, None, "/"), "/a/b"),
        ("sftp://me@host:2222/a%20b/%FF", ("host", 2222, "me", "/"), "/a b/\udcff"),
        ("sftp://[::1]:22/x", ("::1", 22, None, "/"), "/x"),
        ("sftp://host/~/dir/x", ("host", None, None, "~"), "/dir/x"),
        ("sftp://host/~", ("host", None, None, "~"), "/"),
        ("sftp://host", ("host", None, None, "/"), "/"),
        ("sftp://host/a%3Fb%23c", ("host", None, None, "/"), "/a?b#c"),
    ],
)
def test_urls(url: str, place: tuple[object, ...], path: str) -> None:
    """A URL names host, port, user and an absolute path, or one in the user's home."""
    settings, found = from_url(url, None)
    assert ((settings.host, settings.port, settings.username, settings.path), found) == (place, path)


@pytest.mark.parametrize(
    "url", ["sftp:///x", "sftp://host:0x/y", "sftp://host/a?b=SECRET", "sftp://host/a#b", "sftp://h/\n"]
)
def test_urls_that_are_refused(url: str) -> None:
    """A URL that is not valid, or has a query, is refused without its content."""
    with pytest.raises(ConfigurationError, match="not valid") as raised:
        from_url(url, None)
    assert "SECRET" not in str(raised.value)


def test_hidden_password_is_asked_for_again() -> None:
    """A location as reports and jobs show it cannot be used again, and says why."""
    for url in ("sftp://***@host/x", "sftp://me:***@host/x"):
        with pytest.raises(ConfigurationError, match="give the whole URL again"):
            from_url(url, None)


def test_settings_of_a_remote_go_with_its_own_server() -> None:
    """A URL of a configured remote has its keys and its known hosts; one of another server or user has none of them."""
    remote = SFTPSettings(host="host", username="me", key_files="/key", path="/base", max_connections=2)
    for url in ("sftp://host/x", "sftp://me@host/x", "sftp://host:22/x"):
        settings, path = from_url(url, remote)
        assert (settings.key_files, settings.username, settings.path, path) == ("/key", "me", "/", "/x")
    for url in ("sftp://other/x", "sftp://you@host/x", "sftp://host:2222/x"):
        assert from_url(url, remote)[0].key_files is None
