"""Registers dxflow engines as a kind of provider."""

from __future__ import annotations

from dxflow_async.providers import Provider, ProviderKind, ProviderResources
from dxflow_async.providers.engine.settings import EngineSettings

__all__ = ["KIND"]


def _make(settings: EngineSettings, resources: ProviderResources) -> Provider:
    from dxflow_async.providers.engine.provider import EngineProvider

    return EngineProvider(settings, resources.http, resources.threads, name=resources.name)


KIND = ProviderKind(kind="engine", settings=EngineSettings, factory=_make)
