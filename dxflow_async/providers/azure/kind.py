"""Registers Azure Blob Storage as a kind of provider."""

from __future__ import annotations

from dxflow_async.config.settings import AzureSettings
from dxflow_async.providers.contract import Provider
from dxflow_async.providers.registry import ProviderKind, ProviderResources

__all__ = ["KIND"]


def _make(settings: AzureSettings, resources: ProviderResources) -> Provider:
    from dxflow_async.providers.azure.provider import AzureProvider

    return AzureProvider(settings, resources.http, resources.threads, name=resources.name)


KIND = ProviderKind(kind="azure", settings=AzureSettings, schemes=("az",), factory=_make)
