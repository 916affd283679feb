"""Registers web servers as a kind of provider."""

from __future__ import annotations

from dxflow_async.providers import Provider, ProviderKind, ProviderResources
from dxflow_async.providers.http_source.settings import HTTPSourceSettings, from_url

__all__ = ["KIND"]


def _make(settings: HTTPSourceSettings, resources: ProviderResources) -> Provider:
    from dxflow_async.providers.http_source.provider import HTTPSourceProvider

    return HTTPSourceProvider(settings, resources.http, name=resources.name)


KIND = ProviderKind(
    kind="https", settings=HTTPSourceSettings, factory=_make, schemes=("https", "http"), from_url=from_url
)
