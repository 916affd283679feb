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
from dxflow_async.providers.local.provider import LocalProvider
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

@dataclass(frozen=True, kw_only=True)
class FolderSettings:
    root: str | None = None

class FolderProvider(LocalProvider):
    local_disk = None

    def __init__(self, root, threads):
        super().__init__(root, threads)
        self.features = replace(self.features, resumable=False, stages=False, endpoint="folder")

FOLDER = ProviderKind(
    kind="folder",
    settings=FolderSettings,
    factory=lambda settings, resources: FolderProvider(settings.root, resources.threads),
)
MYDAV = ProviderKind(kind="mydav", settings=DavSettings, schemes=("mydav",), factory=make, from_url=from_url)
VAULT = ProviderKind(kind="vault", settings=VaultSettings, schemes=("vault",), factory=make)
"""


@contextmanager
def installed(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Installs the package.

    Its kinds are `mydav`, `vault` (it has a required setting), `folder` (a directory that is used like a service which
    resumes no uploads) and `broken` (it cannot be imported).
    """
    info = directory / "mydav-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mydav\nVersion: 1.0\n")
    points = [f"{name} = mydav_package:{name.upper()}" for name in ("mydav", "vault", "folder")]
    text = "\n".join([f"[{registry.GROUP}]", *points, "broken = mydav_missing:KIND"])
    (info / "entry_points.txt").write_text(text)
    (directory / "mydav_package.py").write_text(_CODE)
    monkeypatch.syspath_prepend(directory)
    sys.modules.pop("mydav_package", None)
    registry._kinds.cache_clear()
    yield
    sys.modules.pop("mydav_package", None)
    registry._kinds.cache_clear()
