"""A package that adds a kind of provider whose `from_url` changes the host of any settings that it is given."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dxflow_async.providers import registry

__all__ = ["installed"]

_CODE = """
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from dxflow_async.providers import ConfigurationError, ProviderKind
from dxflow_async.providers.http_source.provider import HTTPSourceProvider
from dxflow_async.providers.http_source.settings import HTTPSourceSettings

@dataclass(frozen=True, kw_only=True)
class DavSettings:
    endpoint: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)

def make(settings, resources):
    if settings.endpoint is None:
        raise ConfigurationError("endpoint is not set: it must be https://host/path")
    given = HTTPSourceSettings(endpoint=settings.endpoint, username=settings.username, password=settings.password)
    return HTTPSourceProvider(given, resources.http, name=resources.name)

def from_url(url, settings):
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return replace(settings or DavSettings(), endpoint=f"http://{host}/"), parts.path

@dataclass(frozen=True, kw_only=True)
class VaultSettings:
    key: str | None = field(default=None, repr=False)

    def __post_init__(self):
        if self.key is None:
            raise ConfigurationError("key is not set: it must be the key of the vault")

DAV = ProviderKind(kind="mydav", settings=DavSettings, schemes=("mydav",), factory=make, from_url=from_url)
VAULT = ProviderKind(kind="vault", settings=VaultSettings, schemes=("vault",), factory=make)
"""


@contextmanager
def installed(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Installs the kinds `mydav`, `vault`, which has a required setting, and `broken`, which cannot be imported."""
    info = directory / "mydav-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mydav\nVersion: 1.0\n")
    points = "mydav = mydav_package:DAV\nvault = mydav_package:VAULT\nbroken = mydav_missing:KIND\n"
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{points}")
    (directory / "mydav_package.py").write_text(_CODE)
    monkeypatch.syspath_prepend(directory)
    sys.modules.pop("mydav_package", None)
    registry._kinds.cache_clear()
    yield
    sys.modules.pop("mydav_package", None)
    registry._kinds.cache_clear()
