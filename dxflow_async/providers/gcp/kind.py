"""Registers Google Cloud Storage as a kind of provider."""

from __future__ import annotations

from dxflow_async.config.settings import GCPSettings
from dxflow_async.providers.contract import Provider
from dxflow_async.providers.registry import ProviderKind, ProviderResources

__all__ = ["KIND"]


def _make(settings: GCPSettings, resources: ProviderResources) -> Provider:
    from dxflow_async.providers.gcp.provider import GCPProvider

    return GCPProvider(settings, resources.http, resources.threads, name=resources.name)


KIND = ProviderKind(kind="gcs", settings=GCPSettings, schemes=("gs",), factory=_make)
