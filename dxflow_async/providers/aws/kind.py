"""Registers S3 as a kind of provider."""

from __future__ import annotations

from dxflow_async.config.settings import AWSSettings
from dxflow_async.providers.contract import Provider
from dxflow_async.providers.registry import ProviderKind, ProviderResources

__all__ = ["KIND"]


def _make(settings: AWSSettings, resources: ProviderResources) -> Provider:
    from dxflow_async.providers.aws.provider import AWSProvider

    return AWSProvider(settings, resources.http, resources.threads, name=resources.name)


KIND = ProviderKind(kind="s3", settings=AWSSettings, schemes=("s3",), factory=_make)
