"""Registers SSH servers as a kind of provider."""

from __future__ import annotations

from dxflow_async.providers import Provider, ProviderKind, ProviderResources
from dxflow_async.providers.sftp.settings import SFTPSettings, from_url

__all__ = ["KIND"]


def _make(settings: SFTPSettings, resources: ProviderResources) -> Provider:
    from dxflow_async.providers.sftp.provider import SFTPProvider

    return SFTPProvider(settings, resources.http, resources.threads, name=resources.name, durable=resources.durable)


KIND = ProviderKind(kind="sftp", settings=SFTPSettings, factory=_make, schemes=("sftp",), from_url=from_url)
